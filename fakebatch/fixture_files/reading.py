"""From fixture files to the description of a world, with located errors.

A good file takes the short way: parsed, turned into the declared types by msgspec, and expanded. Only a file that
fails there is gone over a second time, node by node (see `validation`), to say everything that is wrong with it and
where. Knows nothing of servers or of what becomes of the description.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from string import Formatter
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET
from msgspec.structs import astuple

from ..errors import FieldError, FixtureError, Problem, nearest
from ..service.accounts import Account
from ..service.baseline import Baseline
from ..service.images import Image
from ..service.schema import FixtureFile, ImageEntry, StepEntry
from ..service.script import Step, StepBuilder
from .problems import check, find
from .yaml_text import Document, DocumentError, Position, position_in

_by_id = attrgetter("id")
_PLACEHOLDER_FORMAT = re.compile(r"\d{0,3}[dxX]?", re.ASCII)
_TEXTS = ("id", "name", "description", "ecs_image_id", "creation_time")
"""The fields of an image in which `{n}` is replaced."""
_IMAGE_FIELDS = len(Image.__struct_fields__)


def load(*paths: str | os.PathLike[str]) -> Baseline:
    """Load fixture files, and those that they include, as one world. A file that is named twice counts once.

    Raises FixtureError, listing everything that is wrong with all of them.
    """
    loading = _Loading()
    for path in paths:
        loading.read(Path(path))
    return loading.finish()


class _Place(NamedTuple):
    """A place in the data of a file: `("images", 3, "Platform")`."""

    document: Document
    keys: tuple[str | int, ...]

    def inside(self, *keys: str | int) -> "_Place":
        return self._replace(keys=(*self.keys, *keys))

    def problem(self, message: str) -> Problem:
        position = find(self.document, self.keys)
        return Problem(self.document.name, *position, _where(self.keys), message)


def _where(keys: Sequence[str | int]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")


def _shown(path: Path) -> str:
    """Return a path as short as it can be: relative to the current folder if it lies there."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


_SECTIONS: dict[str, type] = {"include": str, "images": ImageEntry, "accounts": Account, "script": StepEntry}
_Sections = Mapping[str, Iterable[tuple[int, Any]]]


def _sound_items(data: Any, declared: type) -> Iterator[tuple[int, Any]]:
    for index, item in enumerate(data if isinstance(data, list) else []):
        with suppress(msgspec.ValidationError):
            yield index, msgspec.convert(item, declared)


class _Loading:
    """The state of one `load`: what has been read so far, and what was wrong with it."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.seen: set[Path] = set()
        self.open: list[Path] = []
        self.images: list[Image] = []
        self.image_places: list[tuple[_Place, int]] = []  # an entry, and how many images it made
        self.accounts: list[Account] = []
        self.account_places: list[_Place] = []
        self.script: list[Step] = []
        self.expect: Any = None

    def read(self, path: Path, included: _Place | None = None) -> None:
        """Read a file and, before it, those that it includes."""
        try:
            resolved = path.resolve()
        except (OSError, ValueError, RuntimeError) as error:  # no path at all, or a loop of links
            self._report(path, included, f"it can't be read: {error}")
            return
        if resolved in self.open:
            chain = " -> ".join(_shown(open_path) for open_path in [*self.open[self.open.index(resolved) :], resolved])
            self._report(path, included, f"the files include each other: {chain}")
            return
        if resolved in self.seen:
            return
        self.seen.add(resolved)
        try:
            text = _read_text(path)
        except _UnreadableError as error:
            self._report(path, included, str(error), error.position)
            return
        try:
            document = Document(_shown(path), text, is_json=path.suffix.lower() == ".json")
        except DocumentError as error:
            self.problems.append(Problem(_shown(path), *error.position, "", error.message))
            return
        if document.data is None:
            return
        sections = self._convert(document)
        self.open.append(resolved)
        for index, name in sections["include"]:
            self.read(path.parent / name, _Place(document, ("include", index)))
        self.open.pop()
        self._take(sections, document)

    def _convert(self, document: Document) -> _Sections:
        """Return the items of each section with their indices, and report those that are not as declared."""
        refused = ""
        try:
            content = msgspec.convert(document.data, FixtureFile)
            refused = document.flaw
            if not refused:
                return {name: enumerate(getattr(content, name)) for name in _SECTIONS} | {
                    "expect": [(0, content.expect)]
                }
        except msgspec.ValidationError as error:
            refused = str(error)
        found = [Problem(document.name, *f.position, _where(f.keys), f.message) for f in check(document, FixtureFile)]
        self.problems += found or [Problem(document.name, 0, 0, "", refused)]
        # What is as declared is gone on with, to find what else is wrong.
        data = document.data if isinstance(document.data, dict) else {}
        return {name: _sound_items(data.get(name), declared) for name, declared in _SECTIONS.items()} | {"expect": []}

    def _report(self, path: Path, included: _Place | None, message: str, position: Position = (0, 0)) -> None:
        """Report what is wrong with a file as a whole: where it is included, if there is no better place."""
        if included and position == (0, 0):
            self.problems.append(included.problem(f"{_shown(path)}: {message}"))
        else:
            self.problems.append(Problem(_shown(path), *position, "", message))

    def _take(self, sections: _Sections, document: Document) -> None:
        for index, entry in sections["images"]:
            place = _Place(document, ("images", index))
            before = len(self.images)
            self.images += self._expand(entry, place)
            self.image_places.append((place, len(self.images) - before))
        for index, account in sections["accounts"]:
            self.accounts.append(account)
            self.account_places.append(_Place(document, ("accounts", index)))
        for index, step in sections["script"]:
            self._take_step(step, _Place(document, ("script", index)))
        for _, expect in sections["expect"]:
            self.expect = self.expect if expect is None else expect

    def _expand(self, entry: ImageEntry, place: _Place) -> list[Image]:
        """Return the images that an entry amounts to, and report what is wrong with it."""
        try:
            if entry.repeat is not UNSET:
                return self._repeat(entry, entry.repeat, place)
            if "{n" not in entry.id:
                return [Image(*astuple(entry)[:_IMAGE_FIELDS])]
            message = f"{entry.id!r} has a placeholder but is not repeated; add repeat: 10, or as many as you want"
            self.problems.append(place.inside("Id").problem(message))
        except FieldError as error:
            self.problems.append(place.inside(error.field).problem(str(error)))
        return []

    def _repeat(self, entry: ImageEntry, count: int, place: _Place) -> list[Image]:
        texts = {name: getattr(entry, name) for name in _TEXTS if re.search("[{}]", getattr(entry, name))}
        problems = list(_placeholder_problems(texts, place))
        self.problems += problems
        constant = {name: getattr(entry, name) for name in Image.__struct_fields__ if name not in texts}
        return [
            Image(**constant, **{name: text.format(n=number) for name, text in texts.items()})
            for number in range(0 if problems else count)
        ]

    def _take_step(self, entry: StepEntry, place: _Place) -> None:
        line = find(place.document, place.keys)[0]
        origin = f"{place.document.name}:{line}" if line else place.document.name
        key = "on"
        try:
            step = StepBuilder(entry.on, origin=origin)
            key = "calls"
            step = StepBuilder(entry.on, None if entry.calls is UNSET else entry.calls, origin=origin)
            key = "where"
            step = StepBuilder(entry.on, None if entry.calls is UNSET else entry.calls, entry.where, origin=origin)
            key = "fail"
            if isinstance(entry.fail, dict):
                _fail(step, entry.fail)
            elif entry.fail is not UNSET:
                step.fail(entry.fail)
            key = "delay"
            if entry.delay is not UNSET:
                step.delay(entry.delay)
            key = "drop"
            if entry.drop is not UNSET:
                step.drop(entry.drop)
            key = "reply"
            if entry.reply is not UNSET:
                step.reply(entry.reply.status, entry.reply.headers, entry.reply.body)
        except ValueError as error:
            self.problems.append(place.inside(key).problem(str(error)))
            return
        for index, image in enumerate(entry.add):
            step.add(*self._expand(image, place.inside("add", index)))
        if entry.remove:
            step.remove(*entry.remove)
        if not step.attempted:
            message = "the step does nothing; give it fail, delay, drop, reply, add or remove"
            self.problems.append(place.problem(message))
        self.script.append(step.step)

    def finish(self) -> Baseline:
        """Return the whole, or raise everything that was wrong."""
        ids = {image.id for image in self.images}
        if len(ids) < len(self.images):
            self._report_duplicate_ids()
        self._report_duplicate_accounts()
        self._report_orphans()
        if self.problems:
            raise FixtureError(self.problems)
        self.images.sort(key=_by_id)
        return Baseline({"images": self.images}, self.accounts, self.script, self.expect)

    def _report_duplicate_ids(self) -> None:
        first: dict[str, _Place] = {}
        images = iter(self.images)
        for place, count in self.image_places:
            reported = False
            for _ in range(count):
                image_id = next(images).id
                if image_id not in first:
                    first[image_id] = place
                elif not reported:
                    reported = True  # once for an entry that is repeated
                    self._report_duplicate("Id", image_id, place, first[image_id])

    def _report_duplicate_accounts(self) -> None:
        first: dict[str, _Place] = {}
        for account, place in zip(self.accounts, self.account_places, strict=True):
            if place != first.setdefault(account.access_key_id, place):
                self._report_duplicate("AccessKeyId", account.access_key_id, place, first[account.access_key_id])

    def _report_duplicate(self, key: str, value: str, place: _Place, first: _Place) -> None:
        line, column = find(first.document, (*first.keys, key))
        elsewhere = f"{first.document.name}:{line}:{column}: {_where(first.keys)}"
        self.problems.append(
            place.inside(key).problem(f"{value!r} is there already, at {elsewhere}; each must be unique")
        )

    def _report_orphans(self) -> None:
        """Report Self images that nobody could see: they have the default owner, and no account is that owner."""
        owners = {account.owner_id for account in self.accounts}
        images = iter(self.images)
        for place, count in self.image_places if owners else ():
            for image in [next(images) for _ in range(count)][:1]:
                if (
                    image.type == "Self"
                    and image.owner_id not in owners
                    and "OwnerId" not in place.document.at(place.keys)
                ):
                    allowed = ", ".join(map(str, sorted(owners)))
                    message = f"no account has the default OwnerId {image.owner_id}, so nobody would see it"
                    self.problems.append(place.problem(f"{message}; give it one of {allowed}"))


def _fail(step: StepBuilder, arguments: dict[str, str | int]) -> None:
    if "code" not in arguments:
        raise ValueError("which error? add code")
    step.fail(**arguments)  # type: ignore[arg-type]  # checked by fail itself


def _placeholder_problems(texts: dict[str, str], place: _Place) -> Iterator[Problem]:
    """Yield what is wrong with the placeholders of an entry that is repeated; `texts` are those that hold any."""
    for name, text in texts.items():
        problem = _placeholder_problem(text)
        if problem:
            encoded = Image.__struct_encode_fields__[Image.__struct_fields__.index(name)]
            yield place.inside(encoded).problem(problem)
    if "n" not in _placeholders(texts.get("id", "")):
        yield place.inside("Id").problem("a repeated image needs {n} in its Id, or all would have the same")


def _placeholder_problem(text: str) -> str:
    try:
        for _, placeholder, form, conversion in Formatter().parse(text):
            if placeholder is not None and (placeholder != "n" or conversion):
                return f"unknown placeholder {{{placeholder}}}; the only one is {{n}} (a brace itself is {{{{ or }}}})"
            if not _PLACEHOLDER_FORMAT.fullmatch(form or ""):
                return f"unknown format {{n:{form}}}; write {{n}}, or {{n:04}} for four digits"
    except ValueError as error:
        return f"{text!r} has a stray brace ({error}); a brace itself is {{{{ or }}}}"
    return ""


def _placeholders(text: str) -> set[str | None]:
    with suppress(ValueError):
        return {placeholder for _, placeholder, _, _ in Formatter().parse(text)}
    return {"n"}  # a stray brace is a problem of its own


class _UnreadableError(Exception):
    def __init__(self, message: str, position: Position = (0, 0)) -> None:
        super().__init__(message)
        self.position = position


def _read_text(path: Path) -> str:
    """Return a file's text. Raises _UnreadableError, saying what to do."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise _UnreadableError(f"there is no such file{nearest(path.name, siblings)}") from None
    except IsADirectoryError:
        raise _UnreadableError("it is a folder; name the files in it") from None
    except (OSError, ValueError) as error:
        raise _UnreadableError(f"it can't be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", "replace")
        message = f"it is not UTF-8 (byte 0x{content[error.start]:02x}); save it as UTF-8"
        raise _UnreadableError(message, position_in(before, len(before))) from None
