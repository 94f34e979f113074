"""The rules for the fields of a request's body, as data, and the refusals of those who break them. [doc]

One table of a resource serves three ends: it refuses (`check`), it fills in what was left out (`filled`), and it gives
the JSON Schema of the same fields: in fixture files, in requests, and in answers. Knows nothing of any resource.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from ..errors import ApiError

NAME_CHARACTERS = re.compile(r"[a-zA-Z_-][a-zA-Z0-9_-]*", re.ASCII)
"""What names consist of. [doc]"""
_NAME_RULE = "It must only contain characters within [a-zA-Z0-9_-], and must not start with [0-9]."

Use = Literal["file", "request", "answer"]
"""What a schema is of: an entry of a fixture file, where much may be left out; a request, of which the service demands
more; or an answer, in which defaults are filled in."""

Path = tuple[str, ...]
"""Where a field stands in a body: the names of the fields around it, and its own."""


class BrokenRuleError(ApiError):
    """A field of a body is not as it must be. `path` is where it stands."""

    path: Path = ()


def _refusal(kind: str, parameter: str, sentence: str, path: Path) -> BrokenRuleError:
    error = BrokenRuleError.undocumented(400, f"{kind}{parameter}", sentence)
    error.path = path
    return error


def missing(path: Path, parameter: str = "") -> BrokenRuleError:
    """Return the refusal of a body without a field that is mandatory. It is named by its own name, or as given."""
    name = parameter or path[-1]
    return _refusal("Missing", name, f"{name} is mandatory for this action.", path)


def invalid(path: Path, problem: str, parameter: str = "") -> BrokenRuleError:
    """Return the refusal of a field. It is named by its own name, or as given."""
    name = parameter or path[-1]
    return _refusal("Invalid", name, f"Specified parameter {name} is not valid. {problem}", path)


def cyclic(path: Path) -> BrokenRuleError:
    """Return the refusal of dependencies that lead back to where they began. [doc]"""
    error = BrokenRuleError("BadDAG")
    error.path = path
    return error


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field of any type.

    What is null counts as absent, and so does what is empty where a field does not say that this is a value. [choice]
    """

    mandatory: bool = False
    default: Any = None
    """What an absent field reads back as; None: it stays absent."""
    blank: bool = False
    """The empty text, or the empty object, is a value."""
    dotted: bool = False
    """Refusals name it by its whole path, `Configs.Networks.VPC.CidrBlock`; otherwise by its own name."""
    about: str = ""
    """What it means, for those who write it."""

    empty: ClassVar[Any] = None
    type: ClassVar[str] = ""
    """Its JSON type."""

    def is_absent(self, value: object) -> bool:
        """Tell whether a value counts as absent."""
        # Compared by type as well: False is no empty text, and a list no empty object.
        return value is None or (not self.blank and type(value) is type(self.empty) and value == self.empty)

    def check(self, value: Any, path: Path, parameter: str = "") -> None:
        """Raise `BrokenRuleError` for a value that breaks the rule; of several things that are wrong, the first."""
        name = parameter or (".".join(path) if self.dotted else path[-1])
        if self.is_absent(value):
            if self.mandatory:
                raise missing(path, name)
            return
        if problem := self.problem(value):
            raise invalid(path, problem, name)
        self.check_inside(value, path, name)

    def problem(self, value: Any) -> str:  # noqa: ARG002 - any value will do
        """Return what is wrong with a value that is there, as the service says it; nothing if it is right."""
        return ""

    def check_inside(self, value: Any, path: Path, parameter: str) -> None:
        """Raise `BrokenRuleError` for what is wrong inside of a value."""

    def filled(self, value: Any) -> Any:
        """Return a value with the defaults of what is absent inside of it."""
        return value

    def schema(self, use: Use = "file") -> dict[str, Any]:
        """Return its JSON Schema."""
        schema: dict[str, Any] = {"type": self.type} if self.type else {}
        if self.about:
            schema["description"] = self.about
        if self.default is not None and use != "answer":
            schema["default"] = self.default
        return schema

    def fields_inside(self, path: Path) -> Iterator[tuple[str, "Field"]]:  # noqa: ARG002 - it has none
        """Yield the fields inside of it, at any depth, by the names that refusals give them. It stands at a path."""
        yield from ()


class Text(Field, frozen=True, kw_only=True):
    """A field that is a text."""

    length: tuple[int, int] | None = None
    """In characters, both ends inclusive."""
    name: bool = False
    """It consists of the characters of names, and does not start with a digit."""
    characters: str = ""
    """What it consists of, as the inside of brackets in a regular expression; anything if that is empty."""
    only: Sequence[str] = ()
    """The values that it may have; all if there are none here."""
    form: Callable[[str], str] | None = None
    """Returns what is wrong with a text, or nothing."""

    empty: ClassVar[Any] = ""
    type: ClassVar[str] = "string"

    def problem(self, value: Any) -> str:
        """Return what is wrong with a value."""
        if not isinstance(value, str):
            return "Its type must be string."
        if self.length and not self.length[0] <= len(value) <= self.length[1]:
            return f"Its length must be in [{self.length[0]}, {self.length[1]}]."
        if self.name and not NAME_CHARACTERS.fullmatch(value):
            return _NAME_RULE
        if self.characters and not re.fullmatch(f"[{self.characters}]*", value, re.ASCII):
            return f"It must only contain characters within [{self.characters}]."
        if self.only and value not in self.only:
            return f"It must be in [{', '.join(self.only)}]."
        return self.form(value) if self.form else ""

    def schema(self, use: Use = "file") -> dict[str, Any]:
        """Return its JSON Schema."""
        schema = super().schema(use)
        may_be_empty = not self.blank and not self.mandatory
        if self.only:
            # The empty text counts as absent, and reads back as it was sent.
            # In files only where it is the default: editors offer what is here.
            offered = may_be_empty and (use != "file" or self.default == "")
            schema["enum"] = [*self.only, ""] if offered else list(self.only)
        if use == "answer":
            return schema
        if self.length:
            schema |= {"minLength": self.length[0] if self.blank else 0, "maxLength": self.length[1]}
        if use == "request":
            if self.mandatory and not self.blank:
                schema["minLength"] = self.length[0] if self.length else 1
            characters = NAME_CHARACTERS.pattern if self.name else self.characters and f"[{self.characters}]*"
            if characters:
                schema["pattern"] = f"^({characters})?$" if may_be_empty else f"^{characters}$"
        return schema


class Flag(Field, frozen=True, kw_only=True):
    """A field that is true or false."""

    type: ClassVar[str] = "boolean"

    def problem(self, value: Any) -> str:
        """Return what is wrong with a value."""
        return "" if isinstance(value, bool) else "Its type must be boolean."


class Integer(Field, frozen=True, kw_only=True):
    """A field that is a whole number."""

    least: int | None = None
    most: int | None = None

    type: ClassVar[str] = "integer"

    def problem(self, value: Any) -> str:
        """Return what is wrong with a value."""
        if isinstance(value, bool) or not isinstance(value, int):
            return "Its type must be integer."
        if (self.least is not None and value < self.least) or (self.most is not None and value > self.most):
            limits = f"at least {self.least}" if self.most is None else f"in [{self.least}, {self.most}]"
            return f"It must be {limits}."
        return ""

    def schema(self, use: Use = "file") -> dict[str, Any]:
        """Return its JSON Schema."""
        limits = {"minimum": self.least, "maximum": self.most}
        return super().schema(use) | {name: limit for name, limit in limits.items() if limit is not None}


class Object(Field, frozen=True, kw_only=True):
    """A field that is an object, some of whose fields have rules; others may have any name and value."""

    fields: Mapping[str, Field] = {}
    also: Callable[[Mapping[str, Any], Path], None] | None = None
    """Raises `BrokenRuleError` for fields that do not go together."""

    empty: ClassVar[Any] = {}
    type: ClassVar[str] = "object"

    def problem(self, value: Any) -> str:
        """Return what is wrong with a value."""
        return "" if isinstance(value, dict) else "Its type must be object."

    def check_inside(self, value: Any, path: Path, parameter: str) -> None:  # noqa: ARG002 - fields have names
        """Raise `BrokenRuleError` for what is wrong inside of a value."""
        check(value, self.fields, path)
        if self.also:
            self.also(value, path)

    def filled(self, value: Any) -> Any:
        """Return a value with the defaults of what is absent inside of it."""
        return filled(value, self.fields)

    def schema(self, use: Use = "file") -> dict[str, Any]:
        """Return its JSON Schema."""
        inside = object_schema(self.fields, use)
        if use == "answer" and not self.mandatory:  # what counts as absent is not filled in
            inside.pop("required", None)
        return super().schema(use) | inside

    def fields_inside(self, path: Path) -> Iterator[tuple[str, Field]]:
        """Yield the fields inside of it, at any depth, by the names that refusals give them."""
        yield from every_field(self.fields, path)


class Map(Field, frozen=True, kw_only=True):
    """A field that is an object whose keys are up to whoever writes it."""

    key: Text | None = None
    """The rule for each key."""
    values: Field | None = None
    """The rule for each value."""
    size: tuple[int, int] | None = None
    """How many keys it may have, both ends inclusive."""

    empty: ClassVar[Any] = {}
    type: ClassVar[str] = "object"

    def problem(self, value: Any) -> str:
        """Return what is wrong with a value."""
        if not isinstance(value, dict):
            return "Its type must be object."
        if self.size and not self.size[0] <= len(value) <= self.size[1]:
            return f"Its size must be in [{self.size[0]}, {self.size[1]}]."
        return ""

    def check_inside(self, value: Any, path: Path, parameter: str) -> None:
        """Raise `BrokenRuleError` for what is wrong inside of a value."""
        for key, inner in value.items():
            name = f"{parameter}.{key}"
            if self.key and (problem := self.key.problem(key)):
                raise invalid((*path, key), problem, name)
            if self.values:
                self.values.check(inner, (*path, key), name)

    def filled(self, value: Any) -> Any:
        """Return a value with the defaults of what is absent inside of it."""
        values = self.values
        return {key: values.filled(inner) for key, inner in value.items()} if values else value

    def schema(self, use: Use = "file") -> dict[str, Any]:
        """Return its JSON Schema."""
        schema = super().schema(use)
        if self.values:
            schema["additionalProperties"] = self.values.schema(use)
        if use == "request":
            least, most = self.size or (0, None)
            if self.mandatory and not self.blank:
                schema["minProperties"] = max(1, least)
            if most is not None:
                schema["maxProperties"] = most
            if self.key:
                schema["propertyNames"] = self.key.schema(use)
        return schema

    def fields_inside(self, path: Path) -> Iterator[tuple[str, Field]]:
        """Yield the fields inside of it, at any depth, by the names that refusals give them."""
        if self.values:
            yield from self.values.fields_inside(path)


class Number(Field, frozen=True, kw_only=True):
    """A field that is a number, with or without a fraction."""

    type: ClassVar[str] = "number"

    def problem(self, value: Any) -> str:
        """Return what is wrong with a value."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(value, float) and not math.isfinite(value):
            return "It must be finite."  # JSON has no other; YAML has
        return "" if number else "Its type must be number."


class List(Field, frozen=True, kw_only=True):
    """A field that is a list of texts."""

    type: ClassVar[str] = "array"

    def problem(self, value: Any) -> str:
        """Return what is wrong with a value."""
        if not isinstance(value, list):
            return "Its type must be list."
        return "" if all(isinstance(item, str) for item in value) else "Its items must be strings."

    def schema(self, use: Use = "file") -> dict[str, Any]:
        """Return its JSON Schema."""
        return super().schema(use) | {"items": {"type": "string"}}


Rules = Mapping[str, Field]
"""The fields of a body by their names, in the order in which they are checked."""


def check(body: Mapping[str, Any], rules: Rules, path: Path = ()) -> None:
    """Raise `BrokenRuleError` for the first field that breaks its rule. Fields without a rule are ignored."""
    for name, field in rules.items():
        field.check(body.get(name), (*path, name))


def object_schema(rules: Rules, use: Use) -> dict[str, Any]:
    """Return the JSON Schema of an object with these fields."""
    schema: dict[str, Any] = {"type": "object", "properties": {name: rule.schema(use) for name, rule in rules.items()}}
    if use == "file":
        return schema
    filled_in = use == "answer"
    required = [name for name, rule in rules.items() if rule.mandatory or (filled_in and rule.default is not None)]
    return schema | {"required": required} if required else schema


def filled(body: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """Return a body that was found right with the defaults of what is absent."""
    complete = dict(body)
    for name, field in rules.items():
        value = body.get(name)
        if not field.is_absent(value):
            complete[name] = field.filled(value)
        elif field.default is not None:
            complete[name] = field.default
    return complete


def without_nulls(value: Any) -> Any:
    """Return JSON data without what is null, at any depth: the service answers none. [choice]"""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [without_nulls(inner) for inner in value if inner is not None]
    return value


def every_field(rules: Rules, path: Path = ()) -> Iterator[tuple[str, Field]]:
    """Yield all fields, at any depth, by the names that refusals give them."""
    for name, field in rules.items():
        yield ".".join((*path, name)) if field.dotted else name, field
        yield from field.fields_inside((*path, name))
