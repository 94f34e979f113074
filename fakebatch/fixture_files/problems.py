"""What is wrong with data -> file:line:column, and what to write instead. Knows nothing of what the fields mean.

msgspec says of a wrong document one thing. Here jsonschema finds everything, by the JSON Schema of the same
declaration, and each finding is said in words for whoever wrote the file.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec

from ..errors import FieldError, Problem, nearest
from .yaml_text import NAME, Document, Keys, Position, quoted, shortened

_MSGSPEC = re.compile(r"(?P<message>.*?)(?: - at (?:`key` in )?`\$(?P<path>.*)`)?", re.DOTALL)
_KINDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}

_FEW = 3
"""So many examples are enough to say what may be written."""

Schema = Mapping[str, Any]


class Place(NamedTuple):
    """A place in the data of a file."""

    document: Document
    keys: Keys = ()

    def inside(self, *keys: Any) -> "Place":
        """Return a place inside of this one."""
        return self._replace(keys=(*self.keys, *keys))

    @property
    def data(self) -> Any:
        """What stands here."""
        data = self.document.data
        for key in self.keys:
            data = data[key]
        return data

    @property
    def where(self) -> str:
        """The place as a person would write it: `images[3].Platform`."""
        return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.keys).lstrip(".")

    def __str__(self) -> str:
        line, column = self.document.find(self.keys)
        return f"{self.document.name}:{line}:{column}"

    def problem(self, message: str) -> Problem:
        """Return a problem that stands here."""
        return Problem(self.document.name, *self.document.find(self.keys), self.where, message)


class Finding(NamedTuple):
    """One thing wrong, in the place of a `secret` or not."""

    place: Place
    position: Position
    message: str
    secret: bool = False

    @classmethod
    def of(cls, problem: Problem, place: Place) -> "Finding":
        """Return a problem as a finding."""
        return cls(place._replace(keys=()), (problem.line, problem.column), problem.message)

    @property
    def problem(self) -> Problem:
        """The finding as a problem."""
        return Problem(self.place.document.name, *self.position, self.place.where, self.message)


def all_problems(document: Document, findings: Iterable[Finding]) -> list[Problem]:
    """Return everything that is wrong with a document: its own flaws, and what was found by its schema.

    Of two about one value that of the text is said, but for a secret: what stands in its place is not shown.
    """
    found = list(dict.fromkeys(findings))
    secrets = [finding.place.keys for finding in found if finding.secret]
    flaws = [
        Finding(Place(document, flaw.keys), flaw.position, flaw.message)
        for flaw in (document.flaws() if document.flawed else ())
        if not any(flaw.keys[: len(keys)] == keys for keys in secrets)
    ]
    flawed = {flaw.position for flaw in flaws}
    rest = [finding for finding in found if finding.position not in flawed]
    return [finding.problem for finding in sorted([*flaws, *rest], key=lambda finding: finding.position)]


def refused(place: Place, error: msgspec.ValidationError | FieldError) -> Problem:
    """Return what msgspec says, or a record of its field, with its place."""
    if isinstance(error, FieldError):
        return place.inside(*error.path).problem(str(error))
    found = _MSGSPEC.fullmatch(str(error))
    for name, index in re.findall(r"\.([^.\[]+)|\[(\d+)\]", found["path"] or "") if found else ():
        place = place.inside(int(index) if index else name)
    if isinstance(error.__cause__, FieldError):
        return refused(place, error.__cause__)
    return place.problem(found["message"] if found else str(error))


def check(place: Place, data: Any, declared: Any) -> Iterator[Finding]:
    """Yield everything in data that is not as declared."""
    validator = _validator(declared)
    for error in validator.iter_errors(data):
        yield from _Explaining(place, validator.schema).explain(error)


@cache
def _validator(declared: Any) -> Any:
    from jsonschema import Draft202012Validator, ValidationError, validators

    def in_range(validator: Any, bound: float, instance: Any, schema: Schema) -> Iterator[ValidationError]:
        low, high = schema.get("minimum", instance), schema.get("maximum", instance)
        # What is of another kind is told of already. Not a number is in no range.
        if validator.is_type(instance, schema.get("type", "number")) and not low <= instance <= high:
            yield ValidationError(f"out of range of {bound}")

    def with_text_keys(_: Any, instance: Any) -> bool:
        return isinstance(instance, dict) and all(isinstance(key, str) for key in instance)

    def whole(_: Any, instance: Any) -> bool:
        return isinstance(instance, int) and not isinstance(instance, bool)  # for JSON Schema, 5.0 is one as well

    checker = Draft202012Validator.TYPE_CHECKER.redefine_many({"object": with_text_keys, "integer": whole})
    extend: Any = validators.extend
    kind = extend(Draft202012Validator, {"minimum": in_range, "maximum": in_range}, type_checker=checker)
    return kind(msgspec.json.schema(declared))


class _Explaining:
    """The words for what jsonschema found."""

    def __init__(self, place: Place, declared: Schema) -> None:
        self._place = place
        self._definitions: Schema = declared.get("$defs", {})
        fields = self._resolved(declared).get("properties", {}).values()
        self._beside_secret = any(field.get("writeOnly") for field in fields)
        """Whether one of the fields is a secret. It may stand in another's place by mistake: only a text is shown."""

    def explain(self, error: Any) -> Iterator[Finding]:
        place = self._place.inside(*error.absolute_path)
        schema = error.schema
        if error.validator == "anyOf":
            yield from self._explain_options(error, place)
        elif error.validator == "additionalProperties":
            yield from self._unknown_keys(place, error.instance, schema)
        elif error.validator == "items":
            return  # of what is too much in a list of a fixed length, its length tells
        elif error.validator == "type" or (error.validator == "enum" and not isinstance(error.instance, str)):
            yield from self._wrong_kind(place, error.instance, schema, [schema])
        else:
            message = self._wrong_value(place, error, schema)
            yield Finding(place, place.document.find(place.keys), message, schema.get("writeOnly", False))

    def _explain_options(self, error: Any, place: Place) -> Iterator[Finding]:
        options = [self._resolved(option) for option in error.schema["anyOf"]]
        by_option: dict[int, list[Any]] = {}
        for inner in error.context:
            by_option.setdefault(inner.relative_schema_path[0], []).append(inner)
        for errors in by_option.values():
            if not any(inner.validator == "type" and not inner.relative_path for inner in errors):
                for inner in errors:
                    yield from self.explain(inner)
                return
        yield from self._wrong_kind(place, error.instance, error.schema, options)

    def _resolved(self, schema: Schema) -> Schema:
        return self._definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema

    def _holds_secret(self, schema: Schema) -> bool:
        """Tell whether a secret is somewhere inside of what a schema describes."""
        inner = [*schema.get("properties", {}).values(), schema.get("items")]
        parts = [self._resolved(part) for part in inner if isinstance(part, dict)]
        return any(part.get("writeOnly") or ("properties" in part and self._holds_secret(part)) for part in parts)

    def _unknown_keys(self, place: Place, data: Mapping[str, Any], schema: Schema) -> Iterator[Finding]:
        fields = schema["properties"]
        secret = self._holds_secret(schema)
        for name in data:
            if name in fields:
                continue
            near = nearest(name, fields)
            # What is no name may be the text of a file that is none of ours, or a secret with a colon missing.
            shown = NAME.fullmatch(name) and (near or not secret)
            inside = place.inside(name) if shown else place
            message = f"unknown key {quoted(name)}" if shown else "unknown key"
            message += (near if shown else "") or f"; known are {', '.join(fields)}"
            yield Finding(inside, place.document.find((*place.keys, name), key=True), message)

    def _wrong_value(self, place: Place, error: Any, schema: Schema) -> str:
        value = error.instance
        if error.validator == "required":
            return next(f"{name} is missing" for name in error.validator_value if error.message.startswith(repr(name)))
        if error.validator == "enum":
            return f"{quoted(value)} is not one of {_listed(schema)}{nearest(value, map(str, schema['enum']))}"
        if error.validator == "minLength" and not value:
            return "must not be empty"
        if error.validator in ("minimum", "maximum"):
            low, high = (f"{b:g}" if isinstance(b, float) else b for b in map(schema.get, ("minimum", "maximum")))
            written = "this" if self._beside_secret else shortened(place.document.written(place.keys))
            allowed = f"at least {low}" if high is None else f"from {low} to {high}"
            return f"{written} is out of range; it must be {allowed}"
        counted = error.validator in ("minItems", "maxItems")
        shown = "this can't stand here" if schema.get("writeOnly") else shortened(error.message)
        return f"expected {error.validator_value} items, got {len(value)}{_like(schema)}" if counted else shown

    def _wrong_kind(self, place: Place, value: Any, schema: Schema, options: Sequence[Schema]) -> Iterator[Finding]:
        """Say what was expected, what is there, and what to write instead."""
        position = place.document.find(place.keys)
        types = ["string" if "enum" in option else option["type"] for option in options]
        if isinstance(value, dict) and "object" in types:
            for key in value:
                if not isinstance(key, str):
                    at = place.document.find((*place.keys, key), key=True)
                    yield Finding(place, at, "a key must be a text")
            return
        if "number" in types:
            types = [kind for kind in types if kind != "integer"]
        types = sorted(types, key=lambda kind: kind == "null")  # "or nothing" comes last, in whatever order they stand
        expected = f"expected {' or '.join(dict.fromkeys(_KINDS[kind] for kind in types))}"
        if schema.get("writeOnly"):
            yield Finding(place, position, f"{expected}; write it in quotes", secret=True)
            return
        if self._beside_secret and place.keys != self._place.keys and "string" not in types:
            yield Finding(place, position, f"{expected}; what is here is not shown, as it may be a secret", secret=True)
            return
        written = place.document.written(place.keys)
        secret = bool(place.keys) and any(map(self._holds_secret, [schema, *options]))
        if not place.keys:
            expected += f", got {_kind(value)}{_sections(value, schema)}"
        elif secret:
            expected += f", got {_kind(value)}"
        else:
            expected += f", got {_seen(value, written)}{_advice(value, written, schema, types)}"
        yield Finding(place, position, expected, secret)


def _kind(value: Any) -> str:
    kinds = {dict: "a mapping", list: "a list", str: "a text", bool: "a boolean", type(None): "nothing"}
    return kinds.get(type(value), "a number")


def _sections(value: Any, schema: Schema) -> str:
    """Return what to do with a document that has no sections. What it is in the place of them is not shown."""
    sections = schema.get("properties", {})
    if isinstance(value, list):
        names = [name for name, section in sections.items() if section.get("type") == "array"]
        return f"; write the name of a section before it: {', '.join(names)}" if names else ""
    return f"; its sections are {', '.join(sections)}" if sections else ""


def _seen(value: Any, written: str) -> str:
    if value is None or isinstance(value, dict | list):
        return _kind(value)
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    return f"the {'boolean' if isinstance(value, bool) else 'number'} {shortened(written)}"


def _advice(value: Any, written: str, schema: Schema, types: Sequence[str]) -> str:
    if isinstance(value, dict) and "string" in types:
        (key, inner), *more = value.items() or [("", 0)]
        if inner is None and not more and str(key).partition(":")[0] == "n":
            return f'; YAML takes braces for a mapping: write "{{{key}}}" in quotes'
    if value is None and "string" in types:
        # What must not be empty may have to be there as well.
        like = _like(schema).removeprefix("; ") or 'write ""'
        return "; write one" if "minLength" in schema else f"; leave the key out, or {like}"
    if isinstance(value, str) and types[0] in ("integer", "number") and value.strip().removeprefix("-").isdecimal():
        return f"; write {value.strip()} without quotes"
    if like := _like(schema):
        return like
    if types[0] == "array" and not isinstance(value, list):
        return "; write a dash before each item"
    if isinstance(value, int | float) and "string" in types:
        return f'; write "{shortened(written)}" in quotes if that is what you mean'
    return ""


def _like(schema: Schema) -> str:
    """Return what may be written, where the schema tells."""
    if "examples" in schema:
        return "; write it like " + ", or like ".join(map(str, schema["examples"][:_FEW]))
    return f"; write one of {_listed(schema)}" if "enum" in schema else ""


def _listed(schema: Schema) -> str:
    return ", ".join(map(repr, schema["enum"]))
