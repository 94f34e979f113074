"""Which fixture files are meant: by a path, a folder, a pattern, or the name of a scenario that ships with the package.

`fakebatch:throttled` is a scenario, `fakebatch:paging` a set of them. Each begins with a comment: what goes wrong in
real life. Knows nothing of what is in a fixture file.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import FixtureError, Problem, nearest

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_PREFIX = "fakebatch:"
ENDINGS = (".yaml", ".yml", ".json")
"""How the names of fixture files end."""


class Scenario(NamedTuple):
    """A fixture file of the package."""

    name: str
    """As it is asked for: `fakebatch:throttled`."""
    belongs_to: str
    """The name of its set: `fakebatch:paging`."""
    file: "Traversable"

    @property
    def about(self) -> str:
        """What goes wrong in it, in a few sentences."""
        lines = takewhile(lambda line: line.startswith("#"), self.file.read_text(encoding="utf-8").splitlines())
        return " ".join(line.lstrip("# ") for line in lines)


def is_name(fixture: str) -> bool:
    """Tell whether a text is the name of a scenario, or would be, and no path."""
    return fixture.startswith(_PREFIX)


def scenarios() -> Iterator[Scenario]:
    """Yield all of them, set by set, in the order of their names."""
    from importlib.resources import files  # not at the top: most who load this module need none of them

    folders = {folder.name: folder for folder in files(__name__).iterdir() if folder.name in ("jobs", "paging")}
    for name, folder in sorted(folders.items()):
        for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
            yield Scenario(_PREFIX + file.name.removesuffix(".yaml"), _PREFIX + name, file)


def chosen(name: str) -> list[Scenario]:
    """Return the scenario of a name, or those of a set.

    Raises FixtureError, with the nearest right spelling, if it is neither.
    """
    known = list(scenarios())
    found = [scenario for scenario in known if name in (scenario.name, scenario.belongs_to)]
    if not found:
        names = {name for scenario in known for name in (scenario.name, scenario.belongs_to)}
        # With the prefix, which they share, all names would be near.
        near = nearest(name.removeprefix(_PREFIX), [known.removeprefix(_PREFIX) for known in names])
        hint = nearest(name, names) if near else "; `fakebatch scenarios` lists them"
        raise _refusal(name, f"there is no such scenario{hint}")
    return found


def as_path(name: str) -> AbstractContextManager[Path]:
    """Return a context in which one scenario is a file: a copy, where the package is in an archive.

    Raises FixtureError for what is the name of none, or of a set.
    """
    from importlib.resources import as_file

    found = chosen(name)
    if name == found[0].belongs_to:
        names = ", ".join(scenario.name for scenario in found)
        raise _refusal(name, f"this is a set of scenarios, and a world is made of one; name one of {names}")
    return as_file(found[0].file)


def files_of(folder: Path, fixture: str | os.PathLike[str]) -> list[str | Path]:
    """Return the fixture files that a path means, relative to a folder: all of a folder, those that match a pattern
    with `*`, `?`, `[` or `**`, or one, be it there or not. The name of a scenario stays what it is.

    Raises FixtureError where there is none.
    """
    path = os.fspath(fixture)
    if is_name(path):
        return [path]
    if not path:
        raise _refusal("''", "this names no file")
    from glob import glob

    try:
        if (folder / path).is_dir():
            missing = f"there is no fixture file in this folder; they end in {', '.join(ENDINGS)}"
            found = [entry for entry in (folder / path).iterdir() if entry.suffix.lower() in ENDINGS]
        elif not (folder / path).exists() and set("*?[") & set(path):
            missing = f"no fixture file in {folder} matches this pattern"
            found = [folder / match for match in glob(path, root_dir=folder, recursive=True)]  # noqa: PTH207 - absolute, too
        else:
            return [folder / path]
        files = sorted(entry for entry in found if entry.is_file())
    except OSError as error:
        raise _refusal(path, f"it can't be read: {error.strerror}") from None
    if not files:
        raise _refusal(path, missing)
    return list(files)


def scenarios_of(folder: Path, pattern: object) -> dict[str | Path, str]:
    """Return the fixture files that a pattern of scenarios means, as `files_of` has it, and what each is called.

    Raises FixtureError where there is none, and for what is no pattern.
    """
    if not isinstance(pattern, str | os.PathLike):
        raise _refusal(repr(pattern), "a scenario is a fixture file, a folder or a pattern, such as 'scenarios/*.yaml'")
    name = os.fspath(pattern)
    if is_name(name):
        return {scenario.name: scenario.name.removeprefix(_PREFIX) for scenario in chosen(name)}
    return {file: Path(file).stem for file in files_of(folder, name)}


def _refusal(name: str, message: str) -> FixtureError:
    return FixtureError([Problem(name, 0, 0, "", message)])
