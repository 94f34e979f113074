"""From the text of a fixture file to plain data, and to the nodes that know where everything stands.

YAML's surprises end here: keys are taken as written (`on` is a key, not true), timestamps are text, an alias bomb is
refused before it expands. Knows nothing of what the data means.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, time
from functools import cached_property
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import Reader

from ..service.records import format_time

Position = tuple[int, int]
"""Line and column, from 1; (0, 0) if there is none."""

DEEPEST = 100
"""How deeply a document may be nested; the C library beneath would crash at some depth. [choice]"""
MOST_ALIASED = 1_000_000
"""How many values the aliases of a document may stand for. [choice]"""
LONGEST_NUMBER = 4000
"""In digits: Python refuses to write out one that is a little longer. [choice]"""

_TAG = "tag:yaml.org,2002:"
MAPPING, LIST, MERGE, TIMESTAMP = _TAG + "map", _TAG + "seq", _TAG + "merge", _TAG + "timestamp"
_TEXTS = (_TAG + "str", TIMESTAMP)

_SURROGATE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<lone>u[dD][89a-fA-F]..)|.)")
"""An escape in a JSON text; `lone` if it is half a character."""
_LARGEST_NUMBER = 10**LONGEST_NUMBER
_JSON_TOKEN = re.compile(r'(?P<text>"(?:[^"\\]|\\.)*")|(?P<open>[\[{])|(?P<close>[\]}])|(?P<word>[^\s,:\[\]{}"]+)')

_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class DocumentError(Exception):
    """A text, or a value in it, that is not YAML or not JSON."""

    def __init__(self, message: str, position: Position) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


class _Loader(_BaseLoader):  # type: ignore[misc]  # which one it is depends on how PyYAML was built
    """PyYAML's safe loader, in C where there is one, that refuses what is nested too deeply."""

    depth = 0

    def descend_resolver(self, parent: Node | None, index: Any) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise DocumentError(f"this is nested more than {DEEPEST} deep", position_of(parent))
        super().descend_resolver(parent, index)

    def ascend_resolver(self) -> None:
        self.depth -= 1
        super().ascend_resolver()

    def refuse_tag(self, node: Node) -> None:
        raise DocumentError(f"unknown tag {short_tag(node)}; remove it", position_of(node))


_Loader.add_constructor(None, _Loader.refuse_tag)


class Document:
    """A parsed text: its plain `data` (None if the text is empty), and its nodes.

    `flaw`: what is wrong that the data does not show, such as a duplicate key; empty if nothing is.
    """

    def __init__(self, name: str, text: str, *, is_json: bool) -> None:
        """Parse a text. Raises DocumentError."""
        self.name = name
        self.flaw = ""
        self.data: Any = None
        self._text = text
        self._is_json = is_json
        if is_json:
            self._parse_json()
        else:
            self._parse_yaml()

    def _parse_json(self) -> None:
        def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            unique = dict(pairs)
            if len(unique) < len(pairs):
                self.flaw = "a key is there twice"
            return unique

        try:
            self.data = json.loads(self._text, object_pairs_hook=mapping) if self._text.strip() else None
        except json.JSONDecodeError as error:
            raise DocumentError(f"this is not JSON: {error.msg}", (error.lineno, error.colno)) from None
        except RecursionError:
            raise DocumentError("this is nested too deeply", (1, 1)) from None
        except ValueError:
            found = re.search(rf"\d{{{LONGEST_NUMBER}}}", self._text)
            position = position_in(self._text, found.start() if found else 0)
            raise DocumentError(f"this number has more than {LONGEST_NUMBER} digits", position) from None
        for escape in _SURROGATE.finditer(self._text) if "\\u" in self._text else ():
            if escape["lone"]:
                message = f"this is not JSON: \\{escape['lone']} is half a character"
                raise DocumentError(message, position_in(self._text, escape.start()))

    def _parse_yaml(self) -> None:
        try:
            if self.root is not None:
                if "*" in self._text:
                    _refuse_alias_bomb(self.root)
                self.data = self._plain(self.root)
        except yaml.reader.ReaderError as error:
            found = Reader.NON_PRINTABLE.search(self._text)
            position = position_in(self._text, found.start() if found else 0)
            raise DocumentError(f"this is not YAML: {error.reason}", position) from None
        except yaml.MarkedYAMLError as error:
            _refuse_deep_nesting(self._text[: error.problem_mark.index] if error.problem_mark else self._text)
            # Without its C library, PyYAML names what it did not find; but where a secret should stand, that is one.
            problem = re.sub(r"(alias|anchor|handle) '.*?'", r"\1", error.problem or "")
            message = " ".join(part for part in (error.context, problem) if part)
            raise DocumentError(f"this is not YAML: {message}", _position_of_error(error)) from None

    @cached_property
    def _loader(self) -> Any:
        return _Loader("" if self._is_json else self._text)

    @cached_property
    def root(self) -> Node | None:
        """The root node; None if the text is empty. Of JSON it is made only once somebody asks where a thing is."""
        return _json_nodes(self._text) if self._is_json else self._loader.get_single_node()

    def at(self, keys: tuple[str | int, ...]) -> Any:
        """Return the data at a place."""
        data = self.data
        for key in keys:
            data = data[key]
        return data

    def value(self, node: Node) -> Any:
        """Return a node's value as YAML means it. Raises DocumentError if it means nothing."""
        self._loader.recursive_objects.clear()  # of a failure before this: that node would not be tried again
        try:
            value = self._loader.construct_object(node, deep=True)
        except yaml.MarkedYAMLError as error:
            raise DocumentError(error.problem or str(error), _position_of_error(error)) from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # PyYAML lets them through
            message = f"{quoted(node.value)} can't be read as {short_tag(node)}; if it is a text, write it in quotes"
            raise DocumentError(message, position_of(node)) from None
        if isinstance(value, int) and abs(value) >= _LARGEST_NUMBER:
            raise DocumentError(f"this number has more than {LONGEST_NUMBER} digits", position_of(node))
        return value

    def _plain(self, node: Node) -> Any:
        tag = node.tag
        if isinstance(node, ScalarNode):
            return node.value if tag in _TEXTS else self._free(node)
        if tag == MAPPING and isinstance(node, MappingNode):
            return self._mapping(node)
        if tag == LIST and isinstance(node, SequenceNode):
            return [self._plain(item) for item in node.value]
        self.flaw = "an unknown tag"
        return None

    def _free(self, node: Node) -> Any:
        try:
            return self.value(node)
        except DocumentError as error:
            self.flaw = error.message
            return None

    def _timestamp(self, node: Node) -> str:
        """Return a timestamp as the service writes it, or one that names no moment as it stands there."""
        try:
            moment: date = self.value(node)
            return format_time(moment if isinstance(moment, datetime) else datetime.combine(moment, time()))
        except (DocumentError, ValueError):
            return str(node.value)

    def _mapping(self, node: MappingNode) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key, value in pairs(node):
            name = key.value
            if not isinstance(key, ScalarNode) or name in mapping:
                self.flaw = "a key is there twice, or is no text"
            elif name == "CreationTime" and value.tag == TIMESTAMP and isinstance(value, ScalarNode):
                mapping[name] = self._timestamp(value)
            elif name == "expect" and node is self.root:
                mapping[name] = self._free(value)
                if not self.flaw and any(self.repeated_keys(value)):
                    self.flaw = "a key is there twice"
            else:
                mapping[name] = self._plain(value)
        return mapping

    def repeated_keys(self, node: Node) -> Iterator[tuple[Node, Node]]:
        """Yield each key below a node of free data that its mapping has already, with the first one.

        PyYAML would keep the last silently. Keys are compared as YAML means them: 1 is not "1", but it is 0x1.
        """
        if isinstance(node, MappingNode):
            first: dict[Any, Node] = {}
            for key, value in node.value:
                if key.tag != MERGE and key is not first.setdefault(self.value(key), key):
                    yield key, first[self.value(key)]
                yield from self.repeated_keys(value)
        elif isinstance(node, SequenceNode):
            for item in node.value:
                yield from self.repeated_keys(item)


def shortened(text: object) -> str:
    """Return a text that fits into a message: a long one cut short."""
    whole = str(text)
    return whole if len(whole) <= 80 else whole[:77] + "..."


def quoted(text: object) -> str:
    """Return a text in quotes; a long one cut short."""
    return repr(shortened(text))


def short_tag(node: Node) -> str:
    """Return a node's tag, YAML's own ones by their short names."""
    return str(node.tag).replace(_TAG, "!!")


def position_of(node: Node | None) -> Position:
    """Return where a node begins."""
    return (node.start_mark.line + 1, node.start_mark.column + 1) if node else (1, 1)


def _position_of_error(error: yaml.MarkedYAMLError) -> Position:
    mark = error.problem_mark or error.context_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def position_in(text: str, offset: int) -> Position:
    """Return the position of an offset in a text."""
    before = text[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")


def pairs(node: MappingNode) -> Iterator[tuple[Node, Node]]:
    """Yield the keys and values of a mapping; behind its own, those that `<<` merges into it.

    Its own hide those of the same name. Raises DocumentError if `<<` stands before anything but mappings.
    """
    merged: list[Node] = []
    for key, value in node.value:
        if key.tag == MERGE:
            merged += value.value if isinstance(value, SequenceNode) else [value]
        else:
            yield key, value
    if merged:
        names = {key.value for key, _ in node.value if isinstance(key, ScalarNode)}
        for source in merged:
            if not isinstance(source, MappingNode):
                raise DocumentError("<< merges a mapping, or a list of mappings", position_of(source))
            for key, inherited in pairs(source):
                if isinstance(key, ScalarNode) and key.value not in names:
                    names.add(key.value)
                    yield key, inherited


def _json_nodes(text: str) -> Node | None:
    """Return the nodes of a text that is known to be JSON. What is nested too deeply is left empty."""
    newlines = [found.start() for found in re.finditer("\n", text)]
    marks: list[yaml.Mark] = []
    found: list[list[Node]] = [[]]  # the parts of each container that is still open; outermost, the document itself
    for token in _JSON_TOKEN.finditer(text):
        written, kind, start = token[0], token.lastgroup, token.start()
        line = bisect_right(newlines, start)
        mark = yaml.Mark("", start, line, start - (newlines[line - 1] + 1 if line else 0), None, 0)
        if kind == "open":
            marks.append(mark)
            found.append([])
        elif kind == "close":
            parts = found.pop() if len(found) <= DEEPEST else found.pop()[:0]
            if written == "]":
                found[-1].append(SequenceNode(LIST, parts, marks.pop()))
            else:
                found[-1].append(MappingNode(MAPPING, list(zip(parts[::2], parts[1::2], strict=True)), marks.pop()))
        elif kind == "text":
            found[-1].append(ScalarNode(_TAG + "str", json.loads(written), mark, style='"'))
        else:
            found[-1].append(ScalarNode(_TAG + _json_kind(written), written, mark))
    return found[0][0] if found[0] else None


def _json_kind(word: str) -> str:
    if word in ("true", "false"):
        return "bool"
    if word == "null":
        return "null"
    return "int" if word.lstrip("-").isdigit() else "float"


def _refuse_deep_nesting(text: str) -> None:
    """Raise DocumentError if the beginning of a text is nested too deeply, whatever else is wrong with it.

    Some versions of libyaml have a limit of their own, and meet it while they look ahead, before they tell of anything.
    """
    depth = 0
    with suppress(yaml.YAMLError):
        for event in yaml.parse(text, _BaseLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                mark = event.start_mark
                raise DocumentError(f"this is nested more than {DEEPEST} deep", (mark.line + 1, mark.column + 1))


def _refuse_alias_bomb(root: Node) -> None:
    """Raise DocumentError if aliases stand for too much, or for what they are inside of.

    Nothing is expanded to find out.
    """
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: Node) -> int:
        key = id(node)
        if key in open_nodes:
            raise DocumentError("an alias stands for something that it is itself a part of", position_of(node))
        if key not in sizes:
            open_nodes.add(key)
            if isinstance(node, MappingNode):
                sizes[key] = 1 + sum(size(part) for pair in node.value for part in pair)
            else:
                sizes[key] = 1 + (sum(map(size, node.value)) if isinstance(node, SequenceNode) else 0)
            open_nodes.remove(key)
        return sizes[key]

    aliased = size(root) - len(sizes)
    if aliased > MOST_ALIASED:
        message = f"aliases stand for {aliased:,} values, more than {MOST_ALIASED:,}; use repeat, or write less"
        raise DocumentError(message, position_of(root))
