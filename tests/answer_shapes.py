"""Whether an answer has the shape that the reference gives it: its fields, their types, and what they may hold."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from contract import ANSWERS, COMMON

_TIME = re.compile(COMMON["time"]["pattern"], re.ASCII)
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "time": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "map": (dict,),
    "list": (list,),
    "any": (object,),
}


def misshapen(answer: str, value: Any) -> list[str]:
    """Return what is wrong with the shape of a value that should be one of the reference's `answers`."""
    return [*_problems(ANSWERS[answer], value, answer)]


def nulls(value: Any, where: str = "") -> Iterator[str]:
    """Return where a value holds null, which the service never answers."""
    if value is None:
        yield f"{where} is null"
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from nulls(inner, f"{where}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from nulls(inner, f"{where}[]")


def _problems(shape: Mapping[str, Any], value: Any, where: str) -> Iterator[str]:
    kind = shape["type"]
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind not in ("boolean", "any")):
        yield f"{where} is no {kind}: {value!r}"
    elif isinstance(value, dict):
        yield from _in_object(shape, value, where)
    elif isinstance(value, list):
        for item in value:
            yield from _problems(_of(shape), item, f"{where}[]")
    elif isinstance(value, str):
        yield from _in_text(shape, value, where)


def _of(shape: Mapping[str, Any]) -> Mapping[str, Any]:
    of = shape.get("of", {"type": "any"})
    named: Mapping[str, Any] = ANSWERS[of] if isinstance(of, str) else of
    return named


def _in_object(shape: Mapping[str, Any], value: Mapping[str, Any], where: str) -> Iterator[str]:
    fields = shape.get("fields", {})
    for name, inner in fields.items():
        if name in value:
            yield from _problems(inner, value[name], f"{where}.{name}")
        elif not inner.get("may_be_absent"):
            yield f"{where}.{name} is absent"
    if shape["type"] == "map":
        for name, item in value.items():
            yield from _problems(_of(shape), item, f"{where}[{name}]")
    if shape.get("only"):
        yield from (f"{where}.{name} does not belong there" for name in value.keys() - fields.keys())
    if shape.get("non_empty"):
        yield from (f"{where}.{name} is empty" for name in fields if not value.get(name))
    yield from (f"{where}.{name} is never there" for name in shape.get("never", ()) if name in value)


def _in_text(shape: Mapping[str, Any], value: str, where: str) -> Iterator[str]:
    if shape["type"] == "time" and not _TIME.fullmatch(value) and not (shape.get("or_empty") and not value):
        yield f"{where} is no time: {value!r}"
    if "in" in shape and value not in shape["in"]:
        yield f"{where} is none of {', '.join(shape['in'])}: {value!r}"
    if "pattern" in shape and not re.fullmatch(shape["pattern"], value, re.DOTALL):
        yield f"{where} is not like {shape['pattern']}: {value!r}"
