"""From the fixtures that a command line names to what they describe: files, and `-` for what comes on stdin.

Knows nothing of what is done with it.
"""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from ..errors import FixtureError, Problem, printable
from ..scenarios import ENDINGS
from ..service.baseline import load
from ..service.description import CATALOGUE, Baseline
from ..service.registry import summary
from ..service.world import World
from ..state.collection import counted

STDIN = "-"
"""The name of what comes on stdin."""


def describe(fixtures: Sequence[str], given: bytes = b"") -> Baseline:
    """Return the baseline that fixtures make up; without any, the reference's own. `given` is what came on stdin.

    Raises FixtureError for what does not load.
    """
    return load(*fixtures, given={Path(STDIN): given}) if fixtures else CATALOGUE


def read_stdin(fixtures: Sequence[str]) -> bytes:
    """Return what comes on stdin, if that is one of the fixtures."""
    return sys.stdin.buffer.read() if STDIN in fixtures and sys.stdin else b""


def files_in(name: str) -> list[str]:
    """Return the fixture files in a folder and those below it, but for hidden ones; or the name, if it is of no folder.

    Raises FixtureError for a folder without any.
    """
    folder = Path(name)
    if not folder.is_dir():
        return [name]
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    names = [str(path) for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not names:
        raise FixtureError([Problem(name, 0, 0, "", f"there is no file in it whose name ends in {', '.join(ENDINGS)}")])
    return names


def contents(baseline: Baseline) -> str:
    """Return what a baseline holds, as a person would write it: `4 images, 1 account`."""
    others = {"account": baseline.accounts, "progress rule": baseline.progress, "step": baseline.script}
    counts = [counted(len(found), noun) for noun, found in others.items() if found]
    return ", ".join([summary(baseline.records), *counts])


def mistakes(world: World) -> list[str]:
    """Return what went wrong inside of fakebatch while it answered requests, a line for each."""
    return [f"fakebatch: this is a mistake of fakebatch's own: {told(error)}" for error in world.take_failures()]


def told(error: BaseException) -> str:
    """Return what an exception says in one line, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return printable(f"{type(error).__name__}: {error}{where}")
