"""The OpenAPI document with the control interface beside the service.

Requests are those of the table of routes. What they answer, and what their bodies are, stands here by hand. Knows
nothing of how requests are served.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from ..service.openapi import Document, openapi
from ..service.schema import ENTRIES, ITEMS, FixtureFile
from . import api
from .api import PREFIX, ROUTES, Route

_JSON = "application/json"
_YAML = "application/yaml"

Anything = dict[str, Any]


class Health(msgspec.Struct):
    """Whether the fake is there."""

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
    items: int | None
    note: str
    step: str
    start: str
    duration: float
    host: str
    access_key_id: str
    request_id: str
    headers: dict[str, str]
    body: str | None
    body_bytes: int


class CallsShown(msgspec.Struct):
    """Requests, the oldest first."""

    calls: list[CallShown]
    last: int
    epoch: int


class StepShown(msgspec.Struct):
    """A step of the script, and how often it was seen."""

    number: int
    step: dict[str, Any] | str
    text: str
    seen: int
    used: bool


class ScriptShown(msgspec.Struct):
    """The steps of the script."""

    script: list[StepShown]


class RuleShown(msgspec.Struct):
    """A rule of progress."""

    number: int
    rule: dict[str, Any] | str
    text: str


class ProgressShown(msgspec.Struct):
    """The rules of progress, in the order in which they are tried."""

    progress: list[RuleShown]


class Numbered(msgspec.Struct):
    """The number of what was added."""

    number: int


class ClockShown(msgspec.Struct):
    """The time of the world, and by how many seconds it was advanced."""

    now: str
    advanced: float


class EventsShown(msgspec.Struct):
    """Notifications that the service would have sent."""

    events: list[dict[str, Any]]


class RecordShown(msgspec.Struct):
    """A record, as a fixture file has it, and its key."""

    id: str
    record: dict[str, Any]


class RecordsShown(msgspec.Struct):
    """A page of records. What comes after it begins with the marker `next`."""

    items: list[RecordShown]
    next: str
    total: int


class AddedRecords(msgspec.Struct):
    """The keys of what was added."""

    ids: list[str]


class MovedRecord(msgspec.Struct):
    """What has become of a record; null if it is gone."""

    record: dict[str, Any] | None


class ProblemShown(msgspec.Struct):
    """One thing wrong with a body. Lines and columns count from 1."""

    line: int
    column: int
    where: str
    message: str


class Refused(msgspec.Struct):
    """Why a request was refused. It has changed nothing."""

    error: str
    problems: list[ProblemShown] | UnsetType = UNSET


class _Says(NamedTuple):
    """What a request answers, by status, and the type of its body; None: there is none."""

    answers: Mapping[int, Any]
    body: Any = None


_SAYS: Mapping[Callable[..., Any], _Says] = {
    api.health: _Says({200: Health}),
    api.get_openapi: _Says({200: Anything}),
    api.reset: _Says({204: None}),
    api.list_calls: _Says({200: CallsShown, 408: CallsShown}),
    api.clear_calls: _Says({204: None}),
    api.list_steps: _Says({200: ScriptShown}),
    api.add_step: _Says({201: Numbered}, ITEMS["script"]),
    api.remove_step: _Says({204: None}),
    api.list_rules: _Says({200: ProgressShown}),
    api.add_rule: _Says({201: Numbered}, ITEMS["progress"]),
    api.remove_rule: _Says({204: None}),
    api.get_world: _Says({200: FixtureFile}),
    api.put_world: _Says({204: None}, FixtureFile),
    api.get_clock: _Says({200: ClockShown}),
    api.advance_clock: _Says({200: ClockShown}, api.Advance),
    api.list_events: _Says({200: EventsShown}),
    api.list_records: _Says({200: RecordsShown}),
    api.get_record: _Says({200: RecordShown}),
    api.remove_record: _Says({204: None}),
}

_QUERY: Mapping[str, tuple[str, str]] = {
    "after": ("integer", "Only calls with a greater number."),
    "operation": ("string", "Only calls of this operation."),
    "wait": ("number", "Answer as soon as there are so many as `count` says; with 408 if that takes more seconds."),
    "count": ("integer", "How many calls to wait for, or how many records are on a page."),
    "limit": ("integer", "How many calls are answered at most."),
    "marker": ("string", "Where the page begins."),
    "text": ("string", "Only records in which this text stands."),
    "secrets": ("string", "`1`: with the secrets of accounts."),
    "format": ("string", "`json` or `yaml`."),
}


def control_openapi() -> Document:
    """Return the OpenAPI 3.1 document of all operations of the service, and of the control interface."""
    document = openapi()
    schemas = document["components"]["schemas"]
    document["tags"].append({"name": "control"})
    for route in ROUTES:
        methods = document["paths"].setdefault(f"{PREFIX}{route.path}", {})
        methods[route.method.lower()] = _written(route, schemas)
    return document


def _written(route: Route, schemas: Document) -> Document:
    function, about = _function(route)
    name, says = _named(function, about), _says(function, about)
    refusals = dict.fromkeys(_refusals(route, says), Refused)
    answers = {str(status): kind for status, kind in {**refusals, **says.answers}.items()}
    written: Document = {
        "operationId": name,
        "tags": ["control"],
        "summary": (inspect.getdoc(function) or "").partition(".")[0],
        "security": [{}],
        "parameters": list(_parameters(route)),
        "responses": {status: _response(int(status), kind, schemas) for status, kind in sorted(answers.items())},
    }
    if says.body:
        content = {media: {"schema": _schema(says.body, schemas)} for media in (_JSON, _YAML)}
        written["requestBody"] = {"required": says.body is not api.Failing, "content": content}
    if "format" in route.query:
        content = written["responses"]["200"]["content"]
        content[_YAML] = content[_JSON]
    return written


def _function(route: Route) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return the function behind a route, and what it is about: a resource, and how one of it is moved."""
    if isinstance(route.function, partial):
        return route.function.func, route.function.args
    return route.function, ()


def _named(function: Callable[..., Any], about: tuple[Any, ...]) -> str:
    words = function.__name__.split("_")
    if about:
        resource, *moves = about
        words = [*(moves or words[:1]), resource.name if words[1] == "records" else resource.noun]
    first, *others = words
    return first + "".join(word.capitalize() for word in others)


def _says(function: Callable[..., Any], about: tuple[Any, ...]) -> _Says:
    if function is api.add_records:
        return _Says({201: AddedRecords}, ENTRIES[about[0].name])
    if function is api.put_record:
        return _Says({201: None, 204: None}, ENTRIES[about[0].name])
    if function is api.move_record:
        return _Says({200: MovedRecord}, api.Failing if about[1] == "fail" else None)
    return _SAYS[function]


def _refusals(route: Route, says: _Says) -> Iterator[int]:
    """Yield the statuses with which a request may be refused."""
    yield from (400, 403, 500, 503)
    if "{" in route.path:
        yield 404
    if route.method == "POST":
        yield 409
    if says.body:
        yield 413


def _schema(kind: Any, schemas: Document) -> Document:
    """Return the schema of a type, and add those to which it refers to the others."""
    (schema,), components = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    schemas |= components
    return schema


def _parameters(route: Route) -> Iterator[Document]:
    for name in re.findall(r"\{(\w+)\}", route.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    for name in route.query:
        kind, about = _QUERY[name]
        yield {"name": name, "in": "query", "description": about, "schema": {"type": kind}}


def _response(status: int, kind: Any, schemas: Document) -> Document:
    content = {"content": {_JSON: {"schema": _schema(kind, schemas)}}} if kind else {}
    return {"description": HTTPStatus(status).phrase, **content}
