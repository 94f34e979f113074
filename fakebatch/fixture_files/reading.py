"""Files -> documents, each after those that it includes; entries -> as many as `repeat` says. Keeps the limits.

Knows nothing of what stands in a file, but for how files include each other and how an entry is repeated.
"""

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from string import Formatter
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from ..errors import FieldError, Problem, nearest
from .problems import Place, check, refused
from .yaml_text import DEEPEST, Document, DocumentError, Position, position_in

Content = TypeVar("Content")
Record = TypeVar("Record", bound=msgspec.Struct)

INCLUDE = "include"
"""The key of the files that a file includes, relative to it."""
REPEAT = "repeat"
"""The key of how many an entry amounts to."""
MOST_RECORDS = 2_000_000
"""How many all entries together may amount to. [choice]"""
LARGEST_FILE = 2**30
"""In bytes: a larger one is taken for a mistake. [choice]"""
_MOST_SIBLINGS = 1_000
"""How many names in a folder are compared with one that is not there."""

_FORMAT = re.compile(r"\d{0,3}[dxX]?", re.ASCII)
_BRACES = re.compile("[{}]")


class Files(Generic[Content]):
    """Reads files, each once and after those that it includes.

    `begin` is called with a document as soon as it is read, and returns what it makes of it and the items of its
    `include` with their indices; `finish` is called with both after those were read. What is in `given` is not
    read: that is what stands in a file of that name. `problems` are what was wrong with
    the files, in the order in which it was met.
    """

    def __init__(
        self,
        begin: Callable[[Document], tuple[Content, Iterable[tuple[int, str]]]],
        finish: Callable[[Document, Content], None],
        given: Mapping[Path, bytes],
    ) -> None:
        self.problems: list[Problem] = []
        self._given = given
        self._begin = begin
        self._finish = finish
        self.seen: dict[Path, None] = {}
        """The files that were read, or tried, in that order."""
        self._open: list[Path] = []
        self._spellings: dict[tuple[int, int], Path] = {}

    def read(self, path: Path, included: Place | None = None) -> None:
        """Read a file and, before what is in it, those that it includes."""
        try:
            document = self._document(path)
        except _UnreadableError as error:
            if included and error.position == (0, 0):  # where it is included is the best place to point at
                self.problems.append(included.problem(f"{_shown(path)}: {error}"))
            else:
                self.problems.append(Problem(_shown(path), *error.position, "", str(error)))
            return
        if document is None or (document.data is None and not document.flawed):
            return
        content, includes = self._begin(document)
        self._open.append(self._spelled(path.resolve()))
        for index, name in includes:
            self.read(path.parent / name, Place(document, (INCLUDE, index)))
        self._open.pop()
        self._finish(document, content)

    def _document(self, path: Path) -> Document | None:
        """Return what is in a file; None if it was read before. Raises _UnreadableError."""
        resolved = self._spelled(_resolved(path))
        if resolved in self._open:
            cycle = [*self._open[self._open.index(resolved) :], resolved]
            raise _UnreadableError(f"the files include each other: {' -> '.join(map(_shown, cycle))}")
        if len(self._open) >= DEEPEST:
            raise _UnreadableError(f"files include each other more than {DEEPEST} deep")
        if resolved in self.seen:
            return None
        self.seen[resolved] = None
        content = self._given[path] if path in self._given else _read(path)
        text = _decoded(content)
        try:
            return Document(_shown(path), text, is_json=path.suffix.lower() == ".json")
        except DocumentError as error:
            raise _UnreadableError(error.message, error.position) from None

    def _spelled(self, path: Path) -> Path:
        """Return a path as it was first spelled: where the case of letters does not count, there are many spellings."""
        try:
            about = path.stat()
        except (OSError, ValueError):
            return path
        # Not every file system has numbers for its files.
        return self._spellings.setdefault((about.st_dev, about.st_ino), path) if about.st_ino else path


class _UnreadableError(Exception):
    def __init__(self, message: str, position: Position = (0, 0)) -> None:
        super().__init__(message)
        self.position = position


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except FileNotFoundError:
        raise _UnreadableError("it can't be read: the current folder is gone; give a whole path") from None
    except (OSError, ValueError, RuntimeError) as error:  # no path at all, or a loop of links
        raise _UnreadableError(f"it can't be read: {error}") from None


def _shown(path: Path) -> str:
    """Return a path as short as it can be: relative to the current folder if it lies there."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (OSError, ValueError):
        return str(path)


def _read(path: Path) -> bytes:
    """Return what is in a file. Raises _UnreadableError, saying what to do."""
    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            raise _UnreadableError("it is a folder; name the files in it")
        if not stat.S_ISREG(about.st_mode):  # a FIFO, a device or a socket may never end, or never begin
            raise _UnreadableError("it is no regular file; save what it gives to one")
        if about.st_size > LARGEST_FILE:
            raise _UnreadableError(f"it is larger than {LARGEST_FILE:,} bytes; use repeat, or write less")
        return path.read_bytes()
    except FileNotFoundError:
        if path.is_symlink():
            raise _UnreadableError("it is a link to a file that is not there") from None
        raise _UnreadableError(f"there is no such file{nearest(path.name, _siblings(path))}") from None
    except (OSError, ValueError) as error:
        raise _UnreadableError(f"it can't be read: {getattr(error, 'strerror', None) or error}") from None


def _decoded(content: bytes) -> str:
    """Return what is in a file as text. Raises _UnreadableError, saying what to do."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", "replace")
        message = f"it is not UTF-8 (byte 0x{content[error.start]:02x}); save it as UTF-8"
        raise _UnreadableError(message, position_in(before, len(before))) from None


def _siblings(path: Path) -> list[str]:
    try:
        with os.scandir(path.parent) as entries:
            return [entry.name for entry in islice(entries, _MOST_SIBLINGS)]
    except OSError:  # it is not there, or may be entered and not listed
        return []


class Expanded(NamedTuple, Generic[Record]):
    """The records of a list of entries."""

    place: Place
    records: list[Record]
    counts: dict[int, int]
    """How many of the records each entry made, by its index, in the order of the records."""

    def by_entry(self) -> Iterator[tuple[Place, list[Record]]]:
        """Yield the place of each entry, and its records."""
        records = iter(self.records)
        for index, count in self.counts.items():
            yield self.place.inside(index), list(islice(records, count))


class Kind(NamedTuple, Generic[Record]):
    """What the entries of a list are."""

    make: Callable[[Mapping[str, Any]], Record]
    """Returns the record of an entry. Raises FieldError or `msgspec.ValidationError` if it is none."""
    key: str
    """The field that must differ between records."""
    needs_key: bool
    """Whether a record can't do without."""
    noun: str
    """What one of them is called."""
    declared: Any
    """The type of an entry."""


class Entries:
    """Makes records of entries, within the limits. What is wrong with them is added to `problems`."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems: list[Problem] = problems
        self._made = 0

    def expand(self, place: Place, entries: Iterable[tuple[int, Any]], kind: Kind[Record]) -> "Expanded[Record]":
        """Return the records that the entries of a list amount to: none of one with which something is wrong."""
        records: list[Record] = []
        counts: dict[int, int] = {}
        for index, entry in entries:
            before = len(records)
            if REPEAT not in entry and "{n" not in str(entry.get(kind.key)) and self._made < MOST_RECORDS:
                self._made += 1  # the short way, since there may be many
                try:
                    records.append(kind.make(entry))
                except (msgspec.ValidationError, FieldError) as error:
                    self._refuse(place.inside(index), error, kind)
            else:
                records += self._repeat(place.inside(index), entry, kind)
            counts[index] = len(records) - before
        return Expanded(place, records, counts)

    def _refuse(self, place: Place, error: msgspec.ValidationError | FieldError, kind: Kind[Any]) -> None:
        """Report all that is not as declared in an entry; what the record itself says if that is nothing."""
        found = [finding.problem for finding in check(place, place.data, kind.declared)]
        self.problems += dict.fromkeys(found) or [refused(place, error)]

    def _repeat(self, place: Place, entry: Mapping[str, Any], kind: Kind[Record]) -> list[Record]:
        found = list(self._wrong_placeholders(place, entry, kind))
        count = entry.get(REPEAT, 1)
        if not found and self._made + count > MOST_RECORDS:
            at = place.inside(REPEAT) if REPEAT in entry else place
            found.append(at.problem(f"this makes more than {MOST_RECORDS:,} records in all; make fewer"))
        self.problems += found
        if found:
            return []
        self._made += count
        template = {name: value for name, value in entry.items() if name != REPEAT}
        fill = _filler(template) or (lambda _: template)
        try:
            return [kind.make(fill(number)) for number in range(count)]
        except (msgspec.ValidationError, FieldError) as error:
            self._refuse(place, error, kind)
            return []

    @staticmethod
    def _wrong_placeholders(place: Place, entry: Mapping[str, Any], kind: Kind[Any]) -> Iterator[Problem]:
        key = str(entry.get(kind.key, ""))
        if REPEAT not in entry:
            if "{n" in key:
                message = f"{key!r} has a placeholder but is not repeated"
                yield place.inside(kind.key).problem(f"{message}; add repeat: 10, or as many as you want")
            return
        for keys, text in _texts_with_braces(entry, ()):
            if problem := _wrong_placeholder(text):
                yield place.inside(*keys).problem(problem)
        if entry[REPEAT] != 1 and "{n" not in key.replace("{{", "") and (key or kind.needs_key):
            message = f"a repeated {kind.noun} needs {{n}} in its {kind.key}, or all would have the same"
            yield place.inside(kind.key).problem(message)


def _texts_with_braces(data: Any, keys: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(data, str):
        if _BRACES.search(data):
            yield keys, data
    elif isinstance(data, dict | list):
        for key, part in data.items() if isinstance(data, dict) else enumerate(data):
            yield from _texts_with_braces(part, (*keys, key))


def _wrong_placeholder(text: str) -> str:
    """Return what is wrong with the placeholders of a text, or nothing."""
    try:
        for _, placeholder, form, conversion in Formatter().parse(text):
            if placeholder is not None and (placeholder != "n" or conversion):
                return f"unknown placeholder {{{placeholder}}}; the only one is {{n}} (a brace itself is {{{{ or }}}})"
            if not _FORMAT.fullmatch(form or ""):
                return f"unknown format {{n:{form}}}; write {{n}}, or {{n:04}} for four digits"
    except ValueError as error:
        return f"{text!r} has a stray brace ({error}); a brace itself is {{{{ or }}}}"
    return ""


class _Part(NamedTuple):
    key: Any
    fill: Callable[[int], Any]


def _filler(data: Any) -> Callable[[int], Any] | None:
    """Return a function from a number to the data with it in its texts; None if there are no placeholders in it."""
    if isinstance(data, str):
        return (lambda number: data.format(n=number)) if _BRACES.search(data) else None
    if not isinstance(data, dict | list):
        return None
    items = data.items() if isinstance(data, dict) else enumerate(data)
    parts = [_Part(key, fill) for key, part in items if (fill := _filler(part))]

    def filled(number: int) -> Any:
        copy = data.copy()
        for key, fill in parts:
            copy[key] = fill(number)
        return copy

    return filled if parts else None
