"""The OpenAPI document of the service: derived from the registry.

An operation's declaration gives the request, the annotation of what its function returns gives the answers, and its
docstring the description. The examples of answers are what the fake answers to the examples of requests. Knows nothing
of how requests are served.
"""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

from ..errors import DOCUMENTED
from .clusters.operations import CLUSTERS
from .described import python_name
from .description import CATALOGUE
from .operation import (
    API_VERSION,
    DEFAULT_ITEMS,
    LONGEST_TOKEN,
    MOST_ITEMS,
    TOKEN,
    Answered,
    Operation,
    Page,
    Parameters,
    Resource,
    Room,
)
from .registry import OPERATIONS, ROOMS
from .rules import Field, Integer, Text, every_field, object_schema
from .world import World

Document = dict[str, Any]

_SCHEMAS = "#/components/schemas/"
_JSON = "application/json"
_FLAG = ("", "true", "false")

QUERY: Mapping[str, Field] = {
    "Marker": Text(blank=True, about="The NextMarker of the page before; empty for the first page."),
    "MaxItemCount": Integer(least=0, most=MOST_ITEMS, default=DEFAULT_ITEMS, about="How many items are on a page."),
    "Type": Text(default="Self", about="`System` or `Self`; any other means `Self`."),
    "State": Text(about="Only what is in this state."),
    "ClusterId": Text(about="Only what is to run on this cluster."),
    "ProjectId": Text(about="Only jobs with this ProjectId."),
    "OrderBy": Text(default="Id", about="`Id`, `CreationTime`, `Name`, `State` or `Priority`."),
    "IsReverse": Text(only=("true", "false"), default="false", about="Whether the order is reversed."),
    "Scope": Text(default="Private", about="`Public` or `Private`; any other means `Private`."),
    "Qualifier": Text(about="The number of a revision; the newest if it is empty."),
    TOKEN: Text(length=(0, LONGEST_TOKEN), about="Of several requests with the same token only one has an effect."),
    "sync": Text(only=_FLAG, blank=True, about="Carry the job to its end, and answer with that. A bare key is true."),
}
"""What parameters of the query mean. Those by which an operation is chosen are described by the operation."""

_SECURITY_SCHEMES = {
    "acs": "`acs <access key Id>:<signature>`, with HMAC-SHA1; it signs the headers Date, Content-MD5 and x-acs-...",
    "ACS3-HMAC-SHA256": "`ACS3-HMAC-SHA256 Credential=<access key Id>,SignedHeaders=...,Signature=...`.",
}

# The examples of the reference. [doc]

_APP = {
    "Name": "echo",
    "InputParameters": {"text": {"Type": "String", "Default": "hello"}},
    "VM": {"ECSImageId": "m-28lyfn0tr"},
    "CommandLine": "echo ${text}",
}
_GROUP = "workers"
_TASK = "count"
BODIES: Mapping[str, Mapping[str, Any]] = {
    "CreateImage": {"Name": "my-image", "EcsImageId": "m-32dsf3f", "Platform": "Linux"},
    "CreateCluster": {
        "Name": "render",
        "ImageId": "img-ubuntu",
        "InstanceType": "ecs.sn1.large",
        "Groups": {_GROUP: {"DesiredVMCount": 2}},
    },
    "ModifyCluster": {"Groups": {_GROUP: {"DesiredVMCount": 3}}},
    "CreateApp": _APP,
    "ModifyApp": {**_APP, "CommandLine": "echo -n ${text}"},
    "CreateJob": {
        "Name": "nightly",
        "Type": "DAG",
        "Priority": 5,
        "DAG": {
            "Tasks": {
                _TASK: {
                    "InstanceCount": 1,
                    "AutoCluster": {"InstanceType": "ecs.sn1.large", "ImageId": "img-ubuntu"},
                    "Parameters": {
                        "Command": {"CommandLine": "python count.py", "PackagePath": "oss://bucket/count.tar.gz"},
                        "StdoutRedirectPath": "oss://bucket/logs/",
                        "StderrRedirectPath": "oss://bucket/logs/",
                    },
                }
            },
            "Dependencies": {},
        },
    },
    "ChangeJobPriority": {"Priority": 7},
}
"""Bodies of requests by their operations, which can be sent in this order."""

_MARKS = re.compile(r"\s*\[(?:doc|sdk|wild|choice)\]")
"""Where a fact is from: of interest to those who read the code."""
_NOW = datetime(2016, 11, 1, 15, 25, 2, 837728, UTC)
"""When the examples happen."""

_VERSION = {
    "name": "x-acs-version",
    "in": "header",
    "schema": {"const": API_VERSION},
    "description": "The version of the API.",
}
_REQUEST_ID = {"description": "Another one for every response.", "schema": {"type": "string", "format": "uuid"}}
_ERROR = {
    "type": "object",
    "description": "Why a request was refused.",
    "properties": {"Code": {"type": "string"}, "Message": {"type": "string"}},
    "required": ["Code", "Message"],
    "additionalProperties": False,
}


def openapi() -> Document:
    """Return the OpenAPI 3.1 document of all operations."""
    writer = _Writer()
    paths: dict[str, dict[str, Any]] = {}
    for room in ROOMS:
        same: dict[tuple[str, str], list[Operation]] = {}
        for operation in sorted(room.operations, key=attrgetter("chosen_by")):
            same.setdefault((operation.path, operation.method.lower()), []).append(operation)
        for (path, method), operations in same.items():
            paths.setdefault(path, {})[method] = writer.operation(room, operations)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "BatchCompute",
            "version": API_VERSION,
            "description": "What the service did, as fakebatch does it. Without accounts requests need no signature.",
        },
        "servers": [{"url": "/"}],
        "security": [{}, *({name: []} for name in _SECURITY_SCHEMES)],
        "tags": [{"name": room.name} for room in ROOMS],
        "paths": paths,
        "components": {
            "schemas": writer.schemas,
            "parameters": {"Version": _VERSION},
            "headers": {"RequestId": _REQUEST_ID},
            "examples": {
                code: {"value": {"Code": code, "Message": message}} for code, (_, message) in DOCUMENTED.items()
            },
            "securitySchemes": {
                name: {"type": "apiKey", "in": "header", "name": "Authorization", "description": text}
                for name, text in _SECURITY_SCHEMES.items()
            },
        },
    }


class Example(NamedTuple):
    """An example of an operation."""

    path: Mapping[str, str]
    """The parameters in its path."""
    answer: object
    """None for an operation that answers none."""


def _examples() -> dict[str, Example]:
    """Return an example of each operation: what it answers after everything was created that can be."""
    world = World(CATALOGUE, lambda: _NOW)

    def answer(name: str, path: Mapping[str, str]) -> Any:
        operation = OPERATIONS[name]
        result, _ = world.perform(operation, None, Parameters(path, {}, BODIES.get(name, {})), world.epoch)
        return msgspec.to_builtins(result)

    created = {name: answer(name, {}) for name in BODIES if "{" not in OPERATIONS[name].path}
    vm = world.collection(CLUSTERS)[created["CreateCluster"]["Id"]].groups[_GROUP].instances[0]
    names = {
        "images": {"ImageId": created["CreateImage"]["Id"]},
        "clusters": {"ClusterId": created["CreateCluster"]["Id"], "GroupName": _GROUP, "InstanceId": vm.id},
        "jobs": {"JobId": created["CreateJob"]["Id"], "TaskName": _TASK, "InstanceId": "0"},
        "apps": {"AppName": created["CreateApp"]["Name"]},
    }
    examples = {}
    for room in ROOMS:
        for operation in room.operations:
            path = {name: names[room.name][name] for name in operation.path_parameters}
            silent = all(kind is None for _, kind in answers(operation))
            shown = None if silent else created.get(operation.name) or answer(operation.name, path)
            examples[operation.name] = Example(path, shown)
    return examples


def answers(operation: Operation) -> Iterator[tuple[int, Any]]:
    """Yield the statuses with which an operation succeeds, and the types of what it answers then; None for no body."""
    said = get_type_hints(operation.function, include_extras=True)["return"]
    for kind in get_args(said) if get_origin(said) in (Union, UnionType) else (said,):
        if get_origin(kind) is Answered:
            status, result = get_args(kind)
            yield get_args(status)[0], result
        else:
            yield operation.status, None if kind is NoneType else kind


class _Writer:
    """Writes operations, and collects the schemas to which they refer."""

    def __init__(self) -> None:
        self._examples = _examples()
        self.schemas: Document = {"Error": _ERROR}
        self._answers = {
            (operation.name, status): self._answer(kind)
            for operation in OPERATIONS.values()
            for status, kind in answers(operation)
            if kind
        }
        for operation in OPERATIONS.values():
            if operation.bodies:
                forms = [object_schema(rules, "request") for rules in operation.bodies]
                self.schemas[f"{operation.name}Request"] = _any_of(forms)

    def _answer(self, kind: Any) -> Document:
        """Return the schema of what an operation answers."""
        if get_origin(kind) is Page:
            item = self._answer(get_args(kind)[0])
            page = _shown(msgspec.json.schema(Page)["$defs"]["Page"])
            page["properties"]["Items"]["items"] = item
            name = f"{item['$ref'].rpartition('/')[2]}Page"
            return self._named(name, page | {"title": name})
        (schema,), components = msgspec.json.schema_components([kind], ref_template=f"{_SCHEMAS}{{name}}")
        self.schemas |= {name: _shown(component) for name, component in components.items()}
        return self._named(schema["title"], schema) if "title" in schema else schema

    def _named(self, name: str, schema: Document) -> Document:
        self.schemas[name] = schema
        return {"$ref": f"{_SCHEMAS}{name}"}

    def operation(self, room: Room, operations: Sequence[Operation]) -> Document:
        """Return the description of operations with the same method and path: the others are chosen by the query."""
        first, *chosen = operations
        text = _text(first)
        others = [f"With `{other.chosen_by}`, it is {other.name}. {_text(other)}" for other in chosen]
        written: Document = {
            "operationId": first.name,
            "tags": [room.name],
            "summary": _first_sentence(text),
            "description": "\n\n".join([text, *others]),
            "parameters": [*self._parameters(room, operations), {"$ref": "#/components/parameters/Version"}],
        }
        if first.bodies:
            schema = {"$ref": f"{_SCHEMAS}{first.name}Request"}
            written["requestBody"] = {
                "required": True,
                "content": _content(schema, {first.name: {"value": BODIES[first.name]}}),
            }
        written["responses"] = {**self._successes(operations), **_refusals(operations)}
        return written

    def _parameters(self, room: Room, operations: Sequence[Operation]) -> Iterator[Document]:
        for name, value in self._examples[operations[0].name].path.items():
            *noun, key = python_name(name).split("_")
            yield {
                "name": name,
                "in": "path",
                "required": True,
                "description": f"The {'Id' if key == 'id' else key} of the {' '.join(noun)}.",
                "schema": {"type": "string", "minLength": 1},
                "example": value,
            }
        flags = {
            operation.chosen_by: Text(only=_FLAG, blank=True, about=f"Unless it is false, asks for {operation.name}.")
            for operation in operations
            if operation.chosen_by
        }
        for name in dict.fromkeys(name for operation in operations for name in operation.query):
            schema = (flags.get(name) or QUERY[name]).schema("request")
            if name == "MaxItemCount" and isinstance(room, Resource):
                schema["minimum"] = room.least_items
            yield {"name": name, "in": "query", "description": schema.pop("description"), "schema": schema}

    def _successes(self, operations: Sequence[Operation]) -> Document:
        found: dict[int, list[Operation]] = {}
        for operation in operations:
            for status, _ in answers(operation):
                found.setdefault(status, []).append(operation)
        responses = {}
        for status, succeeding in found.items():
            keys = [(operation.name, status) for operation in succeeding]
            schemas = [self._answers[key] for key in keys if key in self._answers]
            shown = {
                operation.name: {"value": self._examples[operation.name].answer}
                for operation in succeeding
                if operation.status == status
            }
            content = {"content": _content(_any_of(schemas), shown)} if schemas else {}
            responses[str(status)] = _response(status) | content
        return responses


def _shown(schema: Document) -> Document:
    """Return the schema of a record as it is for an answer, in which what has a default is there as well."""
    properties = schema["properties"]
    required = [name for name, inner in properties.items() if name in schema["required"] or "default" in inner]
    shown = {
        name: {key: value for key, value in inner.items() if key != "default"} for name, inner in properties.items()
    }
    return schema | {
        "description": _first_sentence(_MARKS.sub("", schema["description"])),
        "properties": shown,
        "required": required,
        "additionalProperties": False,
    }


def _first_sentence(text: str) -> str:
    """Return what a docstring says in short: the rest is for those who write Python."""
    return text.partition(".")[0]


def _text(operation: Operation) -> str:
    return _MARKS.sub("", inspect.getdoc(operation.function) or "")


def _any_of(schemas: list[Document]) -> Document:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _content(schema: Document, examples: Document) -> Document:
    content = {"schema": schema, "examples": examples} if examples else {"schema": schema}
    return {_JSON: content}


def _response(status: int) -> Document:
    return {
        "description": HTTPStatus(status).phrase,
        "headers": {"x-acs-request-id": {"$ref": "#/components/headers/RequestId"}},
    }


def _refusals(operations: Sequence[Operation]) -> Document:
    codes: dict[int, list[str]] = {}
    for code, (status, _) in DOCUMENTED.items():
        if any(_may_answer(operation, code) for operation in operations):
            codes.setdefault(status, []).append(code)
    schema = {"$ref": f"{_SCHEMAS}Error"}
    return {
        str(status): _response(status)
        | {"content": _content(schema, {code: {"$ref": f"#/components/examples/{code}"} for code in codes[status]})}
        for status in sorted(codes)
    }


def _own_codes(operation: Operation) -> set[str]:
    """Return the codes that name a parameter of an operation."""
    names = {TOKEN, "MaxItemCount"}.intersection(operation.query)
    codes = {f"Invalid{name}" for name in names}
    for rules in operation.bodies:
        for name, _ in every_field(rules):
            codes |= {f"Invalid{name}", f"Missing{name}"}
    return codes


_OF_PARAMETERS = set[str]().union(*map(_own_codes, OPERATIONS.values()))


def _may_answer(operation: Operation, code: str) -> bool:
    """Tell whether a code can be an operation's answer."""
    if code in _OF_PARAMETERS:
        return code in _own_codes(operation)
    conditions = {
        "InvalidJsonFormat": bool(operation.bodies),
        "InvalidHttpBody": bool(operation.bodies),
        "IdempotentTokenMismatch": TOKEN in operation.query,
        "InvalidResource.AlreadyExisting": TOKEN in operation.query,
        "BadDAG": "DAG" in operation.body,
        "StateConflict": operation.method != "GET",
        "QuotaExhausted": bool(operation.bodies),
    }
    return conditions.get(code, True)
