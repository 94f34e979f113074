"""From the text of a fixture file to plain data, and to the nodes that know where everything stands.

YAML's surprises end here: keys are taken as written (`on` is a key, not true), timestamps are text, an alias bomb is
refused before it expands. Knows nothing of what the data means.
"""

import json
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .model import format_time

Position = tuple[int, int]
"""Line and column, from 1; (0, 0) if there is none."""

DEEPEST = 100
"""How deeply a document may be nested; the C library beneath would crash at some depth. [choice]"""
MOST_ALIASED = 1_000_000
"""How many values the aliases of a document may stand for. [choice]"""

_TAG = "tag:yaml.org,2002:"
MERGE, TIMESTAMP = _TAG + "merge", _TAG + "timestamp"
_TEXTS = (_TAG + "str", TIMESTAMP)

_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class DocumentError(Exception):
    """A text that is not YAML, or not JSON."""

    def __init__(self, message: str, position: Position) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


class _Loader(_BaseLoader):  # type: ignore[misc]
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


class Document:
    """A parsed text: its plain `data` (None if the text is empty), and its nodes.

    `flaw`: what is wrong that the data does not show, such as a duplicate key; empty if nothing is.
    """

    def __init__(self, name: str, text: str, *, is_json: bool) -> None:
        """Parse a text. Raises DocumentError."""
        self.name = name
        self.flaw = ""
        self.data: Any = None
        self._loader = _Loader(text)
        self._root: Node | None = None
        self._composed = False
        if is_json:
            self._parse_json(text)
        else:
            self._parse_yaml(text)

    def _parse_json(self, text: str) -> None:
        def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            unique = dict(pairs)
            if len(unique) < len(pairs):
                self.flaw = "a key is there twice"
            return unique

        try:
            self.data = json.loads(text, object_pairs_hook=mapping) if text.strip() else None
        except json.JSONDecodeError as error:
            raise DocumentError(f"this is not JSON: {error.msg}", (error.lineno, error.colno)) from None
        except RecursionError:
            raise DocumentError("this is nested too deeply", (1, 1)) from None

    def _parse_yaml(self, text: str) -> None:
        try:
            root = self._compose()
            if root is not None:
                if "*" in text:
                    _refuse_alias_bomb(root)
                self.data = self._plain(root)
        except yaml.reader.ReaderError as error:
            before = text[: error.position]
            position = (before.count("\n") + 1, len(before) - before.rfind("\n"))
            raise DocumentError(f"this is not YAML: {error.reason}", position) from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            message = " ".join(part for part in (error.context, error.problem) if part)
            raise DocumentError(
                f"this is not YAML: {message}", (mark.line + 1, mark.column + 1) if mark else (1, 1)
            ) from None

    def _compose(self) -> Node | None:
        self._composed = True
        self._root = self._loader.get_single_node()
        return self._root

    @property
    def root(self) -> Node | None:
        """The root node. JSON is composed, as the YAML that it is but for rare texts, only once somebody asks where a
        thing is.
        """
        if not self._composed:
            try:
                self._compose()
            except (yaml.YAMLError, DocumentError):
                self._root = None
        return self._root

    def at(self, keys: tuple[str | int, ...]) -> Any:
        """Return the data at a place."""
        data = self.data
        for key in keys:
            data = data[key]
        return data

    def value(self, node: Node) -> Any:
        """Return a node's value as YAML means it. Raises ValueError if it has none."""
        try:
            return self._loader.construct_object(node, deep=True)
        except Exception as error:  # PyYAML lets out whatever its constructors stumble over, such as an IndexError
            reason = getattr(error, "problem", None) or "it does not fit its tag"
            raise ValueError(reason) from None

    def _plain(self, node: Node) -> Any:
        tag = node.tag
        if tag in _TEXTS:
            return node.value
        if isinstance(node, MappingNode):
            return self._mapping(node)
        if isinstance(node, SequenceNode):
            return [self._plain(item) for item in node.value]
        return self._scalar(node)

    def _scalar(self, node: Node) -> Any:
        try:
            return self.value(node)
        except ValueError as error:
            self.flaw = str(error)
            return None

    def _timestamp(self, node: Node) -> str:
        """Return a timestamp as the service writes it, or one that names no moment as it stands there."""
        try:
            moment: date = self.value(node)
            return format_time(moment if isinstance(moment, datetime) else datetime.combine(moment, time()))
        except ValueError:
            return str(node.value)

    def _mapping(self, node: MappingNode) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key, value in pairs(node):
            name = key.value
            if not isinstance(key, ScalarNode) or name in mapping:
                self.flaw = "a key is there twice, or is no text"
            elif value.tag == TIMESTAMP and name == "CreationTime":
                mapping[name] = self._timestamp(value)
            elif name == "expect" and node is self._root:
                mapping[name] = self._scalar(value)
                if any(repeated_keys(value)):
                    self.flaw = "a key is there twice"
            else:
                mapping[name] = self._plain(value)
        return mapping


def position_of(node: Node | None) -> Position:
    """Return where a node begins."""
    return (node.start_mark.line + 1, node.start_mark.column + 1) if node else (1, 1)


def pairs(node: MappingNode) -> Iterator[tuple[Node, Node]]:
    """Yield the keys and values of a mapping; behind its own, those that `<<` merges into it and it does not have
    itself.
    """
    merged = []
    for key, value in node.value:
        if key.tag == MERGE:
            merged.append(value)
        else:
            yield key, value
    if merged:
        names = {key.value for key, _ in node.value if isinstance(key, ScalarNode)}
        for value in merged:
            for source in value.value if isinstance(value, SequenceNode) else [value]:
                for key, inherited in pairs(source) if isinstance(source, MappingNode) else ():
                    if key.value not in names:
                        names.add(key.value)
                        yield key, inherited


def repeated_keys(node: Node) -> Iterator[tuple[Node, Node]]:
    """Yield each key, anywhere below a node, that its mapping has already, with the first one. PyYAML would keep the
    last.
    """
    if isinstance(node, MappingNode):
        first: dict[Any, Node] = {}
        for key, value in node.value:
            if isinstance(key, ScalarNode) and key is not first.setdefault(key.value, key) and key.tag != MERGE:
                yield key, first[key.value]
            yield from repeated_keys(value)
    elif isinstance(node, SequenceNode):
        for item in node.value:
            yield from repeated_keys(item)


def _refuse_alias_bomb(root: Node) -> None:
    """Raise DocumentError if aliases stand for too much, or for what they are inside of. Nothing is expanded to find
    out.
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
