"""From the rules for the fields of a body to bodies that keep and break them, each with what has to be answered."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import combinations
from typing import Any, NamedTuple

from contract import BODIES, OPERATION_OF_BODY
from expectations import NOT_FOUND, Echo, Expectation, OneOf, Refused, Succeeded, Unspecified, answered, refusal

Spec = Mapping[str, Any]

WRONG_TYPES: Mapping[str, Sequence[object]] = {
    "string": [5, 0, 1.5, True, False, ["x"], [], {"x": "y"}],
    "integer": ["x", "5", 1.5, True, False, ["x"], [], {"x": 1}],
    "number": ["x", "0.5", True, False, [1], [], {"x": 1}],
    "boolean": ["true", "x", 1, 0, 5, ["x"], [], {"x": True}],
    "object": ["x", 5, 0, 1.5, True, False, ["x"], []],
    "map": ["x", 5, 0, 1.5, True, False, ["x"], []],
    "list": ["x", 5, 0, True, False, {"x": "y"}],
    "any": [],
}
_EMPTY_OF_ANOTHER_TYPE: Mapping[str, Sequence[object]] = {
    "string": [{}],
    "integer": ["", {}],
    "number": ["", {}],
    "boolean": ["", {}],
    "object": [""],
    "map": [""],
    "list": ["", {}],
    "any": [],
}
"""Of the wrong type, but empty: no source says whether that counts as absent first."""
_EMPTY: Mapping[str, object] = {"string": "", "object": {}, "map": {}, "list": []}
_HUGE = 10**30

CHARACTERS = (*map(chr, range(ord(" "), 0x7F)), "\t", "\n", "\0", "é", "位", "😀", "٣", "\uff21")
_AT_THE_END = (" ", "\n", ".", "位")
"""Those that a careless check lets pass at the end, or nowhere else."""


class Case(NamedTuple):
    """A body, and what has to be answered. `rule` is the one that it keeps or breaks."""

    rule: str
    label: str
    body: Any
    expectation: Expectation


class Field(NamedTuple):
    """A field of a body, and where it stands. `base` is a body that is valid, with what has to stand beside it."""

    body: str
    spec: Spec
    base: Mapping[str, Any]
    path: tuple[str, ...]
    is_value: bool = False
    """It is one of the values of a map: its name is anything."""

    @property
    def name(self) -> str:
        return ".".join(self.path)

    @property
    def operation(self) -> str:
        return OPERATION_OF_BODY[self.body]

    @property
    def rules(self) -> Spec:
        rules: Spec = self.spec.get("rules", {})
        return rules

    @property
    def code_names(self) -> dict[str, str]:
        """What stands in braces in codes and messages about it."""
        return {"key": self.path[-1]}

    def holding(self, value: object) -> dict[str, Any]:
        """Return the body with a value here."""
        return with_value(self.base, self.path, value)

    def without(self) -> dict[str, Any]:
        """Return the body with nothing here."""
        return without(self.base, self.path)

    def accepted(self, value: object) -> Expectation:
        """Return what is expected where a value is right: it reads back, if the reference says so."""
        return Succeeded(self.operation, Echo(self.path, value) if self.spec.get("echo") else None)

    def absent(self) -> Expectation:
        """Return what is expected where there is nothing, or what counts as nothing."""
        default = self.spec.get("default")
        echo = Echo(self.path, default, or_absent=True) if self.spec.get("echo") and default is not None else None
        right = Succeeded(self.operation, echo)
        return answered(self.rules["missing"], right) if "missing" in self.rules else self._together() or right

    def _together(self) -> Expectation | None:
        return refusal(self.rules["together"]) if "together" in self.rules else None

    def answered(self, answer: Spec, value: object) -> Expectation:
        """Return what an answer of the reference to a value expects."""
        return answered(answer, self.accepted(value), self.absent(), **self.code_names)

    def valued(self, rule: Spec, value: object) -> Expectation:
        """Return what is expected of a value that keeps a rule, which may be to name something that is not there."""
        charset = self.rules.get("charset", {})
        return NOT_FOUND if "unknown_status" in {*rule, *charset} else self.accepted(value)


def with_value(body: Mapping[str, Any], path: Sequence[str], value: object) -> dict[str, Any]:
    """Return a copy of a body with a value at a path."""
    copy: dict[str, Any] = deepcopy(dict(body))
    inner = copy
    for name in path[:-1]:
        inner = inner.setdefault(name, {})
    inner[path[-1]] = deepcopy(value)
    return copy


def without(body: Mapping[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """Return a copy of a body with nothing at a path."""
    copy = with_value(body, path, None)
    del value_at(copy, path[:-1])[path[-1]]
    return copy


def value_at(body: Any, path: Sequence[str]) -> Any:
    """Return what is at a path of a body; None if nothing is."""
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    return body


def fields_of(body: str) -> Iterator[Field]:
    """Yield all fields of a body, those inside of others after them."""
    yield from _below(body, BODIES[body]["fields"], BODIES[body]["example"], ())


def _below(body: str, specs: Mapping[str, Spec], base: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Field]:
    for name, spec in specs.items():
        here = (*path, name)
        beside = _beside(spec, base, path)
        yield Field(body, spec, beside, here)
        if "fields" in spec:
            yield from _below(body, spec["fields"], beside, here)
        if "values" in spec:
            key, value = _entry(spec, value_at(beside, here))
            whole = with_value(beside, (*here, key), value)
            yield Field(body, spec["values"], whole, (*here, key), is_value=True)
            yield from _below(body, spec["values"].get("fields", {}), whole, (*here, key))


def _beside(spec: Spec, base: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the body with what stands beside a field while it is looked at."""
    for name, value in spec.get("given", {}).items():
        base = with_value(base, (*path, name), value)
    for name in spec.get("given_absent", ()):
        base = without(base, (*path, name))
    for name in spec.get("rules", {}).get("together", {}).get("with", ()):
        base = with_value(base, (*path, name), "x")
    return base


def _entry(spec: Spec, example: Mapping[str, Any] | None) -> tuple[str, Any]:
    """Return an entry of a map: of the example, or of what is valid."""
    filled = next(entries for entries in (example, *spec.get("valid", ())) if entries)
    key: str = next(iter(filled))
    return key, filled[key]


def cases_of(field: Field) -> Iterator[Case]:
    """Yield the bodies that keep or break the rules of a field, one of them at a time."""
    yield from _absent_and_empty(field)
    yield from _of_a_wrong_type(field)
    for value in field.spec.get("valid", ()):
        yield Case("valid", repr(value), field.holding(value), field.accepted(value))
    if field.spec["type"] == "boolean":
        for value in (True, False):
            yield Case("type", f"{value}", field.holding(value), field.accepted(value))
    for rule, interpret in _INTERPRETERS.items():
        if rule in field.rules:
            for label, body, expectation in interpret(field, field.rules[rule]):
                yield Case(rule, label, body, expectation)
    yield from _without_what_is_given(field)


def _absent_and_empty(field: Field) -> Iterator[Case]:
    rules, kind = field.rules, field.spec["type"]
    if not field.is_value:
        yield Case("missing", "absent", field.without(), field.absent())
    null: Expectation = Unspecified() if BODIES[field.body]["null"] == "unspecified" else field.absent()
    if "null" in rules:
        null = field.answered(rules["null"], None)
    yield Case("null", "null", field.holding(None), null)
    if kind in _EMPTY:
        empty = _EMPTY[kind]
        expectation = field.answered(rules["empty"], empty) if "empty" in rules else field.absent()
        yield Case("empty", "empty", field.holding(empty), expectation)
    if kind in ("integer", "number"):
        yield Case("zero", "0", field.holding(0), _zero(field))


def _zero(field: Field) -> Expectation:
    rules = field.rules
    if "zero" in rules:
        return field.answered(rules["zero"], 0)
    if "range" in rules:
        lowest = rules["range"]["in"][0]
        return field.accepted(0) if lowest <= 0 else field.answered(rules["range"], 0)
    return field.absent()


def _of_a_wrong_type(field: Field) -> Iterator[Case]:
    if "type" not in field.rules:
        return
    kind = field.spec["type"]
    rule = field.rules["type"]
    for value in WRONG_TYPES[kind]:
        yield Case("type", repr(value), field.holding(value), field.answered(rule, value))
    for value in _EMPTY_OF_ANOTHER_TYPE[kind]:
        either = OneOf((field.answered(rule, value), field.absent()))
        yield Case("type", f"{value!r}, which is empty", field.holding(value), either)
    if kind == "integer":
        yield Case("type", "1.0", field.holding(1.0), Unspecified())
        highest = field.rules.get("range", {}).get("in", [0, None])[1]
        huge = Unspecified() if highest is None else field.answered(field.rules["range"], _HUGE)
        yield Case("type", "a huge number", field.holding(_HUGE), huge)


# What the rules say, each a function of a field and of the rule: it yields a label, a body and what has to be answered.

_Interpreted = Iterator[tuple[str, Any, Expectation]]


def _length(field: Field, rule: Spec) -> _Interpreted:
    low, high = rule["in"]
    for length in sorted({max(low, 1), low + 1, high // 2, high - 1, high}):
        text = "a" * length
        yield f"{length} long", field.holding(text), field.valued(rule, text)
    for length in (high + 1, high + 2, high * 2, high + 10_000):
        text = "a" * length
        yield f"{length} long", field.holding(text), field.answered(rule, text)


def _range(field: Field, rule: Spec) -> _Interpreted:
    low, high = rule["in"]
    good = {low, low + 1, low + 100} | ({high - 1, high} if high is not None else {2**31 - 1})
    bad = {low - 1, low - 2, -1, -(2**31), -_HUGE} | ({high + 1, high * 2, 2**31, 2**63} if high is not None else set())
    for number in sorted(good - {0}):
        yield str(number), field.holding(number), field.accepted(number)
    for number in sorted(bad - {0}):
        yield str(number), field.holding(number), field.answered(rule, number)


def _charset(field: Field, rule: Spec) -> _Interpreted:
    for text, right in texts_of_characters(rule):
        expectation = {
            True: field.valued(rule, text),
            False: field.answered(rule, text),
            None: Unspecified(),
        }[right]
        yield repr(text), field.holding(text), expectation


def texts_of_characters(rule: Spec) -> Iterator[tuple[str, bool | None]]:
    """Yield texts with every character at every place, and whether a charset allows them; None: unspecified."""
    for character in CHARACTERS:
        inside = _allows(rule, character)
        yield f"a{character}a", inside
        if character == "a":
            continue
        at_first = inside
        if "first_unspecified" in rule and re.fullmatch(rule["first_unspecified"], character, re.ASCII):
            at_first = None
        if "not_first" in rule and re.fullmatch(rule["not_first"], character, re.ASCII):
            at_first = False
        yield f"{character}a", at_first
        if inside or character in _AT_THE_END:
            yield f"a{character}", inside


def _allows(rule: Spec, character: str) -> bool | None:
    if character == ":" and rule.get("colon") == "unspecified":
        return None
    return rule["only"] == "any" or re.fullmatch(rule["only"], character, re.ASCII) is not None


def _enum(field: Field, rule: Spec) -> _Interpreted:
    good = rule["in"]
    for value in good:
        yield value, field.holding(value), field.accepted(value)
    bad = {change for value in good for change in (value.lower(), value.upper(), f"{value} ", f" {value}", value[:-1])}
    for value in sorted({*bad, "x", " "} - {*good}):
        yield repr(value), field.holding(value), field.answered(rule, value)


def _format(field: Field, rule: Spec) -> _Interpreted:
    for value in rule["good"]:
        yield value, field.holding(value), field.accepted(value)
    for value in rule["bad"]:
        yield value, field.holding(value), field.answered(rule, value)


def _by_type(field: Field, rule: Spec) -> _Interpreted:
    kind = (*field.path[:-1], "Type")
    for name in ("String", "Number"):
        typed = field._replace(base=with_value(field.base, kind, name))
        yield from (
            *((f"{name} {value!r}", typed.holding(value), field.accepted(value)) for value in rule[name]["good"]),
            *((f"{name} {value!r}", typed.holding(value), field.answered(rule, value)) for value in rule[name]["bad"]),
        )
    untyped = field._replace(base=without(field.base, kind))  # a String then
    for value in rule["String"]["good"]:
        yield f"no type {value!r}", untyped.holding(value), field.accepted(value)
    for value in rule["String"]["bad"]:
        yield f"no type {value!r}", untyped.holding(value), field.answered(rule, value)


def _decimals(field: Field, rule: Spec) -> _Interpreted:
    most = rule["at_most"]
    for number in (1, 12, *(round(0.987654321, places) for places in range(1, most + 1)), 10**-most, 1000.5):
        yield str(number), field.holding(number), field.accepted(number)
    for number in (*(round(0.987654321, places) for places in range(most + 1, most + 4)), 10 ** -(most + 1)):
        yield str(number), field.holding(number), field.answered(rule, number)


def _together(field: Field, rule: Spec) -> _Interpreted:
    siblings, parent, name = rule["with"], field.path[:-1], field.path[-1]
    yield "all of them", field.base, Succeeded(field.operation)
    for count in range(1, len(siblings)):
        for missing in combinations([sibling for sibling in siblings if sibling != name], count):
            body = field.base
            for sibling in missing:
                body = without(body, (*parent, sibling))
            refusals = tuple(refusal(_sibling(field, sibling)["rules"]["together"]) for sibling in missing)
            yield f"without {', '.join(missing)}", body, OneOf(refusals)


def _sibling(field: Field, name: str) -> Spec:
    """Return what the reference says of a field that stands beside another, in no map."""
    specs: Any = BODIES[field.body]
    for parent in field.path[:-1]:
        specs = specs["fields"][parent]
    spec: Spec = specs["fields"][name]
    return spec


def _same_as_path(field: Field, rule: Spec) -> _Interpreted:
    own = BODIES[field.body]["example"][field.path[-1]]
    yield own, field.holding(own), field.accepted(own)
    for value in rule["bad"]:
        yield value, field.holding(value), field.answered(rule, value)


def _size(field: Field, rule: Spec) -> _Interpreted:
    if "unspecified" in rule:
        sizes: Sequence[int] = (1, 11, 51, 100)
        low, high = 0, 0
    else:
        low, high = rule["in"]
        sizes = (max(low, 1), 2, high - 1, high, high + 1, high + 50)
    _, entry = _entry(field.spec, value_at(field.base, field.path))
    for size in sizes:
        entries = {f"k{number}": entry for number in range(size)}
        right = field.accepted(entries) if low <= size <= high else field.answered(rule, entries)
        yield f"{size} entries", field.holding(entries), right


def _keys(field: Field, rule: Spec) -> _Interpreted:
    _, entry = _entry(field.spec, value_at(field.base, field.path))

    def case(key: str, right: bool | None) -> tuple[str, Any, Expectation]:
        refused = answered(rule, field.accepted({}), key=key) if "status" in rule else Unspecified()
        label = f"a key of {len(key)}" if len(key) > 10 else f"the key {key!r}"
        body = field.holding({key: entry})
        good = Succeeded(field.operation)
        return label, body, {True: good, False: refused, None: Unspecified()}[right]

    if "length" in rule:
        low, high = rule["length"]
        for length in sorted({max(low, 1), low + 1, high // 2, high - 1, high, high + 1, high + 2, high * 2}):
            yield case("a" * length, low <= length <= high)
        yield case("", None if rule.get("empty") == "unspecified" else low == 0)
    for text, right in texts_of_characters(rule["charset"]) if "charset" in rule else ():
        yield case(text, right)
    if "unknown" in rule:
        for key in ("unknown", "G", "g ", "位"):
            refused = answered(rule["unknown"], field.accepted({}), key=key)
            yield f"only the key {key!r}", field.holding({key: entry}), refused
            known = value_at(field.base, field.path)
            yield f"the key {key!r} among others", field.holding({**known, key: entry}), refused


_INTERPRETERS: Mapping[str, Callable[[Field, Spec], _Interpreted]] = {
    "length": _length,
    "range": _range,
    "charset": _charset,
    "enum": _enum,
    "format": _format,
    "by_type": _by_type,
    "decimals": _decimals,
    "together": _together,
    "same_as_path": _same_as_path,
    "size": _size,
    "keys": _keys,
}


def _without_what_is_given(field: Field) -> Iterator[Case]:
    """Yield what breaks a rule while what it goes with is not there: no source says what that means."""
    given = field.spec.get("given", {})
    for name in given:
        alone = without(field.base, (*field.path[:-1], name))
        for value in (*WRONG_TYPES[field.spec["type"]], "y", 0.12345):
            body = with_value(alone, field.path, value)
            yield Case("given", f"{value!r} without {name}", body, Unspecified())


def minimal(body: str) -> dict[str, Any]:
    """Return the example of a body with only those fields that have to be there."""
    smallest: dict[str, Any] = deepcopy(BODIES[body]["example"])
    for field in fields_of(body):
        there = value_at(smallest, field.path[:-1])
        if not field.is_value and isinstance(there, dict) and field.path[-1] in there and "missing" not in field.rules:
            smallest = without(smallest, field.path)
    return smallest


def whole_body_cases(body: str) -> Iterator[Case]:
    """Yield what the reference says of a body as a whole."""
    reference = BODIES[body]
    operation = OPERATION_OF_BODY[body]
    right = Succeeded(operation)
    yield Case("example", "the example", reference["example"], right)
    yield Case("example", "only what has to be there", minimal(body), right)
    yield Case("missing", "nothing at all", {}, _of_nothing(body))
    if "empty_object" in reference:
        for field in fields_of(body):
            if len(field.path) == 1 and "valid" in field.spec:
                value = field.spec["valid"][0]
                yield Case("empty_object", f"only {field.name}", {field.name: value}, field.accepted(value))
    yield from _graph_cases(body)
    yield from _two_mistakes(body)


def _of_nothing(body: str) -> Expectation:
    reference = BODIES[body]
    if "empty_object" in reference:
        return refusal(reference["empty_object"])
    if "order" in reference:
        return refusal(next(spec for spec in reference["fields"].values() if spec.get("required"))["rules"]["missing"])
    return Refused(400, pattern="Missing.*")


def _graph_cases(body: str) -> Iterator[Case]:
    graphs = BODIES[body].get("graphs")
    if not graphs:
        return
    operation = OPERATION_OF_BODY[body]
    example = BODIES[body]["example"]
    task = next(iter(example["DAG"]["Tasks"].values()))
    tasks = with_value(example, ("DAG", "Tasks"), dict.fromkeys(graphs["tasks"], task))
    where = ("DAG", "Dependencies")
    for graph in graphs["good"]:
        yield Case("graphs", repr(graph), with_value(tasks, where, graph), Succeeded(operation))
    for kind in ("cyclic", "unknown"):
        for graph in graphs[kind]["of"]:
            yield Case("graphs", f"{kind} {graph!r}", with_value(tasks, where, graph), refusal(graphs[kind]))


def _two_mistakes(body: str) -> Iterator[Case]:
    """Yield bodies of which two fields have a wrong type: the first as listed is told of, if there is an order."""
    reference = BODIES[body]
    wrong = [
        (field, WRONG_TYPES[field.spec["type"]][0], refusal(field.rules["type"]))
        for field in fields_of(body)
        if len(field.path) == 1 and "code" in field.rules["type"]
    ]
    for (one, value, first), (other, other_value, second) in combinations(wrong, 2):
        mistaken = with_value(one.holding(value), other.path, other_value)
        expectation: Expectation = first if "order" in reference else OneOf((first, second))
        yield Case("order", f"{one.name} and {other.name}", mistaken, expectation)
