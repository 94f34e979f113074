"""Everything that is wrong with a document, and where: for the files that msgspec refuses with a single message.

It follows the same declaration as msgspec does, node by node, so the two agree on what is wrong. Knows nothing of what
the fields mean.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec import inspect
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .errors import nearest
from .syntax import Document, Position, pairs, position_of, repeated_keys

Keys = tuple[str | int, ...]
"""A place in the data: `("images", 3, "Platform")`."""


class Finding(NamedTuple):
    """One thing wrong."""

    keys: Keys
    position: Position
    message: str


def find(document: Document, keys: Keys) -> Position:
    """Return where a place in the data stands in the text: at its value or, if it is not there, at what it would be in.

    (0, 0) if the text has no nodes to tell.
    """
    node = document.root
    if node is None:
        return (0, 0)
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
    root = document.root
    if root is not None:
        for key, first in repeated_keys(root):
            line, column = position_of(first)
            yield Finding(
                (), position_of(key), f"the key {key.value!r} is there already, at {line}:{column}; remove one of them"
            )
        yield from _Checker(document).check(root, inspect.type_info(declaration), ())


class _Checker:
    def __init__(self, document: Document) -> None:
        self._document = document

    def check(self, node: Any, declared: Any, keys: Keys) -> Iterator[Finding]:
        if isinstance(declared, inspect.Metadata) and (declared.extra or {}).get("secret"):
            # What was written in the place of a secret may be the secret.
            for finding in self.check(node, declared.type, keys):
                yield finding._replace(message="expected a text, not empty; write it in quotes")
            return
        declared = _bare(declared)
        if isinstance(declared, inspect.AnyType):
            yield from self._check_free(node, keys)
        elif isinstance(declared, inspect.UnionType):
            options = [_bare(option) for option in declared.types]
            fitting = [option for option in options if self._fits(node, option)]
            if fitting:
                yield from self.check(node, fitting[0], keys)
            else:
                yield self._wrong_kind(node, keys, [o for o in options if not isinstance(o, inspect.CustomType)])
        elif not self._fits(node, declared):
            yield self._wrong_kind(node, keys, [declared])
        elif isinstance(declared, inspect.StructType):
            yield from self._check_struct(node, declared, keys)
        elif isinstance(declared, inspect.DictType):
            for key, value in pairs(node):
                yield from self.check(value, declared.value_type, (*keys, key.value))
        elif isinstance(declared, inspect.ListType):
            for index, item in enumerate(node.value):
                yield from self.check(item, declared.item_type, (*keys, index))
        else:
            yield from self._check_value(node, declared, keys)

    def _check_struct(self, node: MappingNode, declared: inspect.StructType, keys: Keys) -> Iterator[Finding]:
        fields = {field.encode_name: field for field in declared.fields}
        present = set()
        for key, value in pairs(node):
            name = key.value
            if not isinstance(key, ScalarNode):
                yield Finding(keys, position_of(key), "a key must be a text")
            elif name not in fields:
                allowed = nearest(name, fields) or f"; known are {', '.join(fields)}"
                yield Finding((*keys, name), position_of(key), f"unknown key {name!r}{allowed}")
            elif name not in present:
                present.add(name)
                yield from self.check(value, fields[name].type, (*keys, name))
        for name, field in fields.items():
            if field.required and name not in present:
                yield Finding(keys, position_of(node), f"{name} is missing")

    def _check_value(self, node: Node, declared: Any, keys: Keys) -> Iterator[Finding]:
        value = self._value(node)
        message = ""
        if isinstance(declared, inspect.LiteralType):
            if value not in declared.values:
                allowed = ", ".join(map(repr, declared.values))
                message = f"{value!r} is not one of {allowed}{nearest(str(value), map(str, declared.values))}"
        elif isinstance(declared, inspect.StrType):
            if declared.min_length and not value:
                message = "must not be empty"
        elif isinstance(declared, inspect.IntType | inspect.FloatType):
            low, high = declared.ge, declared.le if declared.le is not None else declared.lt
            if (low is not None and value < low) or (high is not None and not value <= high):
                message = f"{value} is out of range; it must be from {low} to {high}"
        if message:
            yield Finding(keys, position_of(node), message)

    def _check_free(self, node: Node, keys: Keys) -> Iterator[Finding]:
        try:
            self._document.value(node)
        except ValueError as error:
            yield Finding(keys, position_of(node), f"can't be read: {error}")

    def _value(self, node: Node) -> Any:
        if not isinstance(node, ScalarNode):
            return node.value
        if node.tag.endswith((":str", ":timestamp")):
            return node.value
        try:
            return self._document.value(node)
        except ValueError:
            return _Strange()

    def _fits(self, node: Node, declared: Any) -> bool:
        if isinstance(declared, inspect.StructType | inspect.DictType):
            return isinstance(node, MappingNode)
        if isinstance(declared, inspect.ListType):
            return isinstance(node, SequenceNode)
        if not isinstance(node, ScalarNode):
            return False
        value = self._value(node)
        if isinstance(declared, inspect.IntType):
            return isinstance(value, int) and not isinstance(value, bool)
        if isinstance(declared, inspect.FloatType):
            return isinstance(value, int | float) and not isinstance(value, bool)
        return isinstance(value, str) and isinstance(declared, inspect.StrType | inspect.LiteralType)

    def _wrong_kind(self, node: Node, keys: Keys, expected: list[Any]) -> Finding:
        names = " or ".join(dict.fromkeys(_kind(option) for option in expected))
        advice = ""
        if isinstance(node, MappingNode):
            seen = "a mapping"
        elif isinstance(node, SequenceNode):
            seen = "a list"
        else:
            value = self._value(node)
            texts = any(isinstance(option, inspect.StrType | inspect.LiteralType) for option in expected)
            numbers = any(isinstance(option, inspect.IntType | inspect.FloatType) for option in expected)
            if value is None:
                seen = "nothing"
                advice = '; leave the key out, or write ""' if texts else ""
            elif isinstance(value, str):
                seen = f"the text {value!r}"
                if numbers and value.strip().lstrip("-").isdigit():
                    advice = f"; write {value.strip()} without quotes"
            elif isinstance(value, _Strange):
                seen = f"{node.tag.rpartition(':')[2]} {node.value!r}"
            else:
                seen = f"the {_KINDS.get(type(value), type(value).__name__)} {node.value}"
            if texts and not isinstance(value, str | None):
                advice = f'; write "{node.value}" in quotes if that is what you mean'
        if not advice and isinstance(expected[0], inspect.ListType) and not isinstance(node, SequenceNode):
            advice = "; write a dash before each item"
        return Finding(keys, position_of(node), f"expected {names}, got {seen}{advice}")


class _Strange:
    """The value of a scalar that YAML itself can't make sense of."""


_KINDS = {bool: "boolean", int: "number", float: "number"}


def _bare(declared: Any) -> Any:
    return declared.type if isinstance(declared, inspect.Metadata) else declared


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
