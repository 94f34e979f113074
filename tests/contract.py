"""The contract of the service as data (`reference.yaml`), and the words in which it is written.

Knows nothing of the fake, nor of how the contract is tested.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

_PATH = Path(__file__).parent / "reference.yaml"
REFERENCE: Mapping[str, Any] = yaml.load(_PATH.read_text(encoding="utf-8"), yaml.CSafeLoader)
COMMON: Mapping[str, Any] = REFERENCE["common"]
OPERATIONS: Mapping[str, Any] = REFERENCE["operations"]
BODIES: Mapping[str, Any] = REFERENCE["bodies"]
ANSWERS: Mapping[str, Any] = REFERENCE["answers"]

OPERATION_OF_BODY: Mapping[str, str] = {
    body: name for name, operation in OPERATIONS.items() for body in operation.get("body", ())
}
"""The operation that takes a body, by the body's name."""

# What each kind of node of the reference may say. A word that is not here is one that the suite would pass over.

_REMARKS = {"mark", "note", "text", "when"}
_ANSWER = {"status", "code", "code_pattern", "message", "or_success", "unspecified", "as", *_REMARKS}
_LIMITS: Mapping[str, set[str]] = {
    "missing": set(),
    "type": set(),
    "empty": set(),
    "null": set(),
    "zero": set(),
    "mismatch": set(),
    "length": {"in"},
    "range": {"in"},
    "size": {"in"},
    "enum": {"in", "empty"},
    "charset": {"only", "not_first", "first_unspecified", "colon", "unknown_status"},
    "format": {"good", "bad"},
    "keys": {"length", "charset", "empty", "unknown"},
    "by_type": {"String", "Number"},
    "same_as_path": {"bad"},
    "decimals": {"at_most"},
    "together": {"with"},
}
"""The rules by their names, each with the words for what it allows."""
_FIELD = {
    *{"type", "required", "default", "of", "valid", "given", "given_absent", "echo"},
    *{"rules", "fields", "values"},
    *_REMARKS,
}
_FIELD_TYPES = {"string", "integer", "number", "boolean", "object", "map", "list", "any"}
_BODY = {"null", "example", "fields", "order", "empty_object", "graphs", "app_rules"}
_OPERATION = {
    *{"method", "path", "query", "body", "success", "answer", "states", "paging", "errors", "effect", "missing_app"},
    *_REMARKS,
}
_QUERY = {"type", "required", "default", "values", "otherwise", "missing", "rules", "status", "answer", *_REMARKS}
_QUERY_TYPES = {"string", "integer", "boolean", "flag"}
_SHAPE = {"type", "fields", "of", "in", "pattern", "only", "never", "may_be_absent", "or_empty", "non_empty"}
_SHAPE_TYPES = {"string", "integer", "number", "boolean", "object", "map", "list", "any", "time"}
_MEANINGS = {"absent", "value", "valid", "accepted", "ignored", "the empty value", "the first counts"}
_MEANINGS |= {"compared without case"}
"""What `as` may say."""
_COMMON: Mapping[str, set[str]] = {
    "version": {"header", "value", "absent", "other"},
    "no_such_path": _ANSWER,
    "no_such_method": _ANSWER,
    "options": {"status", "body", "mark"},
    "body": {"not_json", "not_object", "at_most_bytes", "unknown_fields", "empty_values"},
    "query": {"bare_key", "given_twice", "unknown", "broken_percent_encoding", "integer", "booleans"},
    "paging": {"marker", "marker_of_nothing", "size_0"},
    "idempotent_token": {"same_parameters", "other_operation", "empty"},
    "json": _REMARKS,
    "time": {"pattern", "unknown", "mark"},
}
_TOP = {"format", "service", "api_version", "marks", "common", "operations", "bodies", "answers"}


def unknown_words(reference: Mapping[str, Any] = REFERENCE) -> list[str]:
    """Return what a reference says in words that nobody here understands, and where."""
    return sorted({*_unknown("", reference, _TOP), *_in_common(reference["common"]), *_in_parts(reference)})


def _in_parts(reference: Mapping[str, Any]) -> Iterator[str]:
    for name, operation in reference["operations"].items():
        yield from _in_operation(name, operation)
    for name, body in reference["bodies"].items():
        yield from _in_body(name, body)
    for name, shape in reference["answers"].items():
        yield from _in_shape(name, shape)


def _unknown(where: str, node: Mapping[str, Any], words: set[str]) -> Iterator[str]:
    yield from (f"{where}.{word}" for word in node.keys() - words)
    if node.get("as", "value") not in _MEANINGS:
        yield f"{where}.as: {node['as']}"


def _in_common(common: Mapping[str, Any]) -> Iterator[str]:
    # The names of headers are no words of the reference: whatever is there is compared with what is answered.
    yield from _unknown("common", common, {*_COMMON, "response_headers"})
    for name, words in _COMMON.items():
        yield from _unknown(f"common.{name}", common[name], words)
    for name in ("version", "body", "query", "paging", "idempotent_token"):
        for part, node in common[name].items():
            if isinstance(node, dict):
                yield from _unknown(f"common.{name}.{part}", node, {*_ANSWER, "pattern", "value", "otherwise"})


def _in_operation(name: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown(name, operation, _OPERATION)
    yield from _unknown(f"{name}.success", operation["success"], {"status", "mark"})
    for error in operation["errors"]:
        yield from _unknown(f"{name}.errors", error, _ANSWER)
    for part, words in (
        ("states", {"allowed", "then", "else", "mark"}),
        ("paging", {"key", "order", "sizes", "mark"}),
        ("effect", _REMARKS),
        ("missing_app", {"status", "mark"}),
    ):
        yield from _unknown(f"{name}.{part}", operation.get(part, {}), words)
    for parameter, spec in operation.get("query", {}).items():
        where = f"{name}.query.{parameter}"
        yield from _unknown(where, spec, _QUERY)
        yield from _in_rules(where, spec.get("rules", {}))
        if spec["type"] not in _QUERY_TYPES:
            yield f"{where}.type: {spec['type']}"


def _in_body(name: str, body: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown(name, body, _BODY)
    yield from _unknown(f"{name}.empty_object", body.get("empty_object", {}), _ANSWER)
    graphs = body.get("graphs", {})
    yield from _unknown(f"{name}.graphs", graphs, {"tasks", "good", "cyclic", "unknown", *_REMARKS})
    for part in ("cyclic", "unknown"):
        yield from _unknown(f"{name}.graphs.{part}", graphs.get(part, {}), {"of", *_ANSWER})
    app_rules = body.get("app_rules", {})
    known = {"unknown_app", "missing_input", "unknown_input", "config_not_overwritable", "config_not_listed"}
    yield from _unknown(f"{name}.app_rules", app_rules, known)
    for rule, answer in app_rules.items():
        yield from _unknown(f"{name}.app_rules.{rule}", answer, _ANSWER)
    for field, spec in body["fields"].items():
        yield from _in_field(f"{name}.{field}", spec)


def _in_field(where: str, spec: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown(where, spec, _FIELD)
    yield from _in_rules(where, spec.get("rules", {}))
    if spec["type"] not in _FIELD_TYPES:
        yield f"{where}.type: {spec['type']}"
    if spec.get("of", "string") != "string":
        yield f"{where}.of: {spec['of']}"
    if spec.get("required") and "missing" not in spec["rules"]:
        yield f"{where}: required, and nothing says what it is to be missing"
    if "values" in spec:
        yield from _in_field(f"{where}.*", spec["values"])
    for name, inner in spec.get("fields", {}).items():
        yield from _in_field(f"{where}.{name}", inner)


def _in_rules(where: str, rules: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown(where, rules, set(_LIMITS))
    for name, rule in rules.items():
        yield from _unknown(f"{where}.{name}", rule, _LIMITS.get(name, set()) | _ANSWER)
        says = rule.keys() & {"status", "as", "unspecified"} or (name == "charset" and rule.get("only") == "any")
        if not says and not (name == "keys" and "unknown" in rule):
            yield f"{where}.{name}: nothing says what is answered"
        if rule.get("empty", "unset") not in ("unset", "unspecified"):
            yield f"{where}.{name}.empty: {rule['empty']}"
    keys = rules.get("keys", {})
    yield from _unknown(f"{where}.keys.unknown", keys.get("unknown", {}), _ANSWER)
    yield from _unknown(f"{where}.keys.charset", keys.get("charset", {}), {"only", "not_first"})


def _in_shape(where: str, shape: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown(where, shape, _SHAPE)
    if shape["type"] not in _SHAPE_TYPES:
        yield f"{where}.type: {shape['type']}"
    of = shape.get("of", {})
    if isinstance(of, str):
        if of not in ANSWERS:
            yield f"{where}.of: {of}"
    elif of:
        yield from _in_shape(f"{where}[]", of)
    for name, inner in shape.get("fields", {}).items():
        yield from _in_shape(f"{where}.{name}", inner)
