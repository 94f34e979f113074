"""The OpenAPI document with the control interface beside the service.

The interface has no registry: its requests stand here by hand. Knows nothing of how they are served.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from ..service.openapi import Document, openapi
from ..service.registry import RESOURCES
from ..service.schema import ENTRIES, ITEMS, FixtureFile

PREFIX = "/_fakebatch"


class Health(msgspec.Struct):
    """Whether the fake is up."""

    status: str
    version: str


class CallShown(msgspec.Struct):
    """A request that the fake has answered, and what became of it."""

    number: int
    operation: str | None
    method: str
    path: str
    query: str
    parameters: dict[str, Any]
    status: int
    code: str
    start: str


class CallsShown(msgspec.Struct):
    """Requests, the oldest first."""

    calls: list[CallShown]


class StepShown(msgspec.Struct):
    """A step of the script, and how often it was seen."""

    number: int
    step: Any
    seen: int
    used: bool


class ScriptShown(msgspec.Struct):
    """The steps of the script."""

    script: list[StepShown]


class ProgressShown(msgspec.Struct):
    """The rules of progress, in the order in which they are tried."""

    progress: list[dict[str, Any]]


class Numbered(msgspec.Struct):
    """The number of what was added."""

    number: int


class Advance(msgspec.Struct):
    """By how many seconds to move the clock on."""

    advance: float


class ProblemShown(msgspec.Struct):
    """One thing wrong with a body; `line` and `column` count from 1."""

    line: int
    column: int
    where: str
    message: str


class Refused(msgspec.Struct):
    """Why a request was refused. It has changed nothing."""

    error: str
    problems: list[ProblemShown]


class _Request(NamedTuple):
    """A request of the control interface."""

    name: str
    request: str
    """Method, path, and the names of the query's parameters."""
    about: str
    status: int = 204
    answer: Any = None
    """The type of what is answered; None: nothing is."""
    body: Any = None
    """The type of its body; None: it has none."""
    refusals: tuple[int, ...] = ()
    """The statuses with which it may be refused, beside 400 and 403."""


def _of_resource(name: str, noun: str) -> Iterator[_Request]:
    of = noun.capitalize()
    path, entry = f"/{name}", ENTRIES[name]
    yield _Request(f"list{of}s", f"GET {path}?marker&count&text", f"A page of the {name}.", 200, dict[str, Any])
    yield _Request(f"add{of}", f"POST {path}", f"Add to the {name}.", 201, dict[str, Any], entry)
    yield _Request(f"put{of}", f"PUT {path}/{{Id}}", f"Replace one of the {name}.", 204, None, entry)
    yield _Request(f"remove{of}", f"DELETE {path}/{{Id}}", f"Remove one of the {name}.", refusals=(404,))


_JOB = "/jobs/{Id}"
_REQUESTS = (
    _Request("getHealth", "GET /health", "Tell whether the fake is up.", 200, Health),
    _Request("getOpenApi", "GET /openapi.json", "Return this document.", 200, dict[str, Any]),
    _Request("reset", "POST /reset", "Return to what the fixture files say."),
    _Request(
        "listCalls", "GET /calls?after&operation&wait&count", "List what was asked.", 200, CallsShown, refusals=(408,)
    ),
    _Request("forgetCalls", "DELETE /calls", "Forget what was asked."),
    _Request("listScript", "GET /script", "List the steps of the script.", 200, ScriptShown),
    _Request("addStep", "POST /script", "Add a step, written as in a fixture file.", 201, Numbered, ITEMS["script"]),
    _Request("removeStep", "DELETE /script/{number}", "Take a step away.", refusals=(404,)),
    _Request("listProgress", "GET /progress", "List the rules of progress.", 200, ProgressShown),
    _Request(
        "addRule", "POST /progress", "Add a rule, written as in a fixture file.", 201, Numbered, ITEMS["progress"]
    ),
    _Request("removeRule", "DELETE /progress/{number}", "Take a rule away.", refusals=(404,)),
    _Request("getWorld", "GET /world?secrets", "Return the world as a fixture file.", 200, FixtureFile),
    _Request("putWorld", "PUT /world", "Put another world in its place.", 204, None, FixtureFile, (413,)),
    *(request for resource in RESOURCES for request in _of_resource(resource.name, resource.noun)),
    _Request("advanceJob", f"POST {_JOB}/advance", "Take a job over its next change.", refusals=(404, 409)),
    _Request("finishJob", f"POST {_JOB}/finish", "Let a job end well.", refusals=(404, 409)),
    _Request("failJob", f"POST {_JOB}/fail", "Let a job fail.", refusals=(404, 409)),
    _Request("stopJob", f"POST {_JOB}/stop", "Stop a job.", refusals=(404, 409)),
    _Request("getClock", "GET /clock", "Return how the clock stands.", 200, dict[str, Any]),
    _Request("moveClock", "POST /clock", "Move the clock on.", 200, dict[str, Any], Advance),
    _Request("listEvents", "GET /events", "List what would have been sent as notifications.", 200, dict[str, Any]),
)

_QUERY: Mapping[str, tuple[str, str]] = {
    "after": ("integer", "Only calls with a greater number."),
    "operation": ("string", "Only calls of this operation."),
    "wait": ("number", "Answer as soon as there are so many as `count` says; with 408 if that takes more seconds."),
    "count": ("integer", "How many calls to wait for, or how many records are on a page."),
    "marker": ("string", "Where the page begins."),
    "text": ("string", "Only records in which this text stands."),
    "secrets": ("string", "`1`: with the secrets of accounts."),
}


def control_openapi() -> Document:
    """Return the OpenAPI 3.1 document of all operations of the service, and of the control interface."""
    document = openapi()
    schemas = document["components"]["schemas"]
    document["tags"].append({"name": "control"})
    for request in _REQUESTS:
        method, _, target = request.request.partition(" ")
        path, _, query = target.partition("?")
        written = {
            "operationId": request.name,
            "tags": ["control"],
            "summary": request.about,
            "security": [{}],
            "parameters": [*_parameters(path, query.split("&") if query else ())],
            "responses": {
                str(request.status): _response(request.status, _schema(request.answer, schemas)),
                **{
                    str(status): _response(status, _schema(Refused, schemas))
                    for status in (400, 403, *request.refusals)
                },
            },
        }
        if request.body:
            schema = _schema(request.body, schemas)
            media = {"application/json": {"schema": schema}, "application/yaml": {"schema": schema}}
            written["requestBody"] = {"required": True, "content": media}
        document["paths"].setdefault(f"{PREFIX}{path}", {})[method.lower()] = written
    return document


def _schema(kind: Any, schemas: Document) -> Document:
    """Return the schema of a type, and add those to which it refers to the others; none for None."""
    if kind is None:
        return {}
    (schema,), components = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    schemas |= components
    return schema


def _parameters(path: str, query: Iterable[str]) -> Iterator[Document]:
    for name in re.findall(r"\{(\w+)\}", path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    for name in query:
        kind, about = _QUERY[name]
        yield {"name": name, "in": "query", "description": about, "schema": {"type": kind}}


def _response(status: int, schema: Document) -> Document:
    content = {"content": {"application/json": {"schema": schema}}} if schema else {}
    return {"description": HTTPStatus(status).phrase, **content}
