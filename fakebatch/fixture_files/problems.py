"""Everything that is wrong with a document, and where: for the files that msgspec refuses with a single message.

It follows the same declaration as msgspec does, node by node, so the two agree on what is wrong. Knows nothing of what
the fields mean.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec import inspect
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import nearest
from .yaml_text import (
    LIST,
    MAPPING,
    MERGE,
    TIMESTAMP,
    Document,
    DocumentError,
    Position,
    pairs,
    position_of,
    quoted,
    short_tag,
    shortened,
)

Keys = tuple[str | int, ...]
"""A place in the data: `("images", 3, "Platform")`."""

_Text = inspect.StrType | inspect.LiteralType
_Number = inspect.IntType | inspect.FloatType


class Finding(NamedTuple):
    """One thing wrong."""

    keys: Keys
    position: Position
    message: str


def find(document: Document, keys: Keys) -> Position:
    """Return where a place in the data stands in the text.

    At its value or, if that is not there, at what it would be in.
    """
    node = document.root
    for key in keys:
        if isinstance(node, SequenceNode) and isinstance(key, int):
            node = node.value[key]
        elif isinstance(node, MappingNode):
            within = node
            node = next((value for name, value in pairs(within) if name.value == key), None)
            if node is None:
                return position_of(within)
    return position_of(node)


def check(document: Document, declaration: type) -> Iterator[Finding]:
    """Yield everything in a document that is not as declared, in the order of the text."""
    if document.root is not None:
        yield from _Checker(document).check(document.root, inspect.type_info(declaration), ())


class _Checker:
    def __init__(self, document: Document) -> None:
        self._document = document

    def check(self, node: Any, declared: Any, keys: Keys) -> Iterator[Finding]:
        secret = isinstance(declared, inspect.Metadata) and (declared.extra or {}).get("secret")
        declared = _bare(declared)
        if isinstance(declared, inspect.AnyType):
            yield from self._check_free(node, keys)
            return
        options = list(map(_bare, declared.types)) if isinstance(declared, inspect.UnionType) else [declared]
        options = [option for option in options if not isinstance(option, inspect.CustomType)]  # UNSET
        fitting, message, position = None, "", position_of(node)
        try:
            fitting = next((option for option in options if self._fits(node, option)), None)
            if fitting is None:
                message = self._wrong_kind(node, options)
        except DocumentError as error:
            message, position = error.message, error.position
        if message:
            # What was written in the place of a secret may be the secret.
            shown = f"expected {_kinds(options)}; write it in quotes" if secret else message
            yield Finding(keys, position, shown)
        elif isinstance(fitting, inspect.StructType):
            yield from self._check_struct(node, fitting, keys)
        elif isinstance(fitting, inspect.DictType):
            yield from self._check_keys(node, keys)
            for key, value in pairs(node):
                if isinstance(key, ScalarNode):
                    yield from self.check(value, fitting.value_type, (*keys, key.value))
        elif isinstance(fitting, inspect.ListType):
            for index, item in enumerate(node.value):
                yield from self.check(item, fitting.item_type, (*keys, index))
        elif wrong := self._wrong_value(node, fitting):
            yield Finding(keys, position, wrong)

    def _check_keys(self, node: MappingNode, keys: Keys) -> Iterator[Finding]:
        first: dict[str, Node] = {}
        for key, _ in node.value:
            if not isinstance(key, ScalarNode):
                yield Finding(keys, position_of(key), "a key must be a text")
            elif key.tag != MERGE and key is not first.setdefault(key.value, key):
                yield _repeated((*keys, key.value), key, first[key.value])

    def _check_struct(self, node: MappingNode, declared: inspect.StructType, keys: Keys) -> Iterator[Finding]:
        fields = {field.encode_name: field for field in declared.fields}
        yield from self._check_keys(node, keys)
        present = set()
        for key, value in pairs(node):
            name = key.value
            if not isinstance(key, ScalarNode) or name in present:
                continue
            present.add(name)
            if name in fields:
                yield from self.check(value, fields[name].type, (*keys, name))
            else:
                allowed = nearest(name, fields) or f"; known are {', '.join(fields)}"
                yield Finding((*keys, name), position_of(key), f"unknown key {quoted(name)}{allowed}")
        for name, field in fields.items():
            if field.required and name not in present:
                yield Finding(keys, position_of(node), f"{name} is missing")

    def _check_free(self, node: Node, keys: Keys) -> Iterator[Finding]:
        """Check data of no declared type. What can't be read is said of the innermost part that can't be."""
        try:
            self._document.value(node)
        except DocumentError as error:
            inner: list[Finding] = []
            if isinstance(node, MappingNode):
                for key, value in node.value:
                    inner += self._check_free(value, (*keys, key.value) if isinstance(key, ScalarNode) else keys)
            elif isinstance(node, SequenceNode):
                for index, item in enumerate(node.value):
                    inner += self._check_free(item, (*keys, index))
            yield from inner or [Finding(keys, error.position, error.message)]
        else:
            for key, first in self._document.repeated_keys(node):
                yield _repeated(keys, key, first)

    def _fits(self, node: Node, declared: Any) -> bool:
        if isinstance(declared, inspect.StructType | inspect.DictType):
            return isinstance(node, MappingNode) and node.tag == MAPPING
        if isinstance(declared, inspect.ListType):
            return isinstance(node, SequenceNode) and node.tag == LIST
        if not isinstance(node, ScalarNode):
            return False
        value = self._value(node)
        if isinstance(declared, _Number):
            whole = isinstance(declared, inspect.IntType)
            return isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        return isinstance(value, str)

    def _value(self, node: ScalarNode) -> Any:
        return node.value if node.tag == TIMESTAMP else self._document.value(node)

    def _wrong_value(self, node: ScalarNode, declared: Any) -> str:
        """Return what is wrong with a value of the right kind, or nothing."""
        value = self._value(node)
        if isinstance(declared, inspect.LiteralType) and value not in declared.values:
            allowed = ", ".join(map(repr, declared.values))
            return f"{quoted(value)} is not one of {allowed}{nearest(value, map(str, declared.values))}"
        if isinstance(declared, inspect.StrType) and declared.min_length and not value:
            return "must not be empty"
        if isinstance(declared, _Number) and declared.ge is not None and declared.le is not None:
            low, high = (
                f"{bound:g}" if isinstance(bound, float) else str(bound) for bound in (declared.ge, declared.le)
            )
            if not declared.ge <= value <= declared.le:
                return f"{shortened(node.value)} is out of range; it must be from {low} to {high}"
        return ""

    def _wrong_kind(self, node: Node, options: list[Any]) -> str:
        """Return what was expected, what is there, and what to write instead."""
        advice = ""
        if isinstance(node, ScalarNode):
            value = self._value(node)
            texts = any(isinstance(option, _Text) for option in options)
            if value is None:
                seen = "nothing"
                advice = '; leave the key out, or write ""' if texts else ""
            elif isinstance(value, str):
                seen = f"the text {quoted(value)}"
                if isinstance(options[0], _Number) and value.strip().removeprefix("-").isdecimal():
                    advice = f"; write {value.strip()} without quotes"
            else:
                kind = {bool: "boolean", int: "number", float: "number"}.get(type(value), short_tag(node))
                seen = f"the {kind} {shortened(node.value)}"
                if texts:
                    advice = f'; write "{shortened(node.value)}" in quotes if that is what you mean'
        else:
            kind = "mapping" if isinstance(node, MappingNode) else "list"
            seen = f"a {kind}"
            if node.tag not in (MAPPING, LIST):
                seen += f" with the tag {short_tag(node)}"
        if isinstance(options[0], inspect.ListType) and not isinstance(node, SequenceNode):
            advice = "; write a dash before each item"
        return f"expected {_kinds(options)}, got {seen}{advice}"


def _repeated(keys: Keys, key: Node, first: Node) -> Finding:
    line, column = position_of(first)
    message = f"the key {quoted(key.value)} is there already, at {line}:{column}; remove one of them"
    return Finding(keys, position_of(key), message)


def _bare(declared: Any) -> Any:
    return declared.type if isinstance(declared, inspect.Metadata) else declared


def _kinds(options: list[Any]) -> str:
    return " or ".join(dict.fromkeys(map(_kind, options)))


def _kind(declared: Any) -> str:
    if isinstance(declared, inspect.StructType | inspect.DictType):
        return "a mapping"
    if isinstance(declared, inspect.ListType):
        return "a list"
    if isinstance(declared, inspect.IntType):
        return "a whole number"
    if isinstance(declared, inspect.FloatType):
        return "a number"
    return "a text"
