"""The control interface: from a request under `/_fakebatch/` to the world and back, as JSON.

Such a request is no call: it is neither recorded nor scripted nor signed. It is answered by a thread of its own, since
it may parse a large file, wait for calls, or look at jobs whose progress calls functions of the user's. Whoever asks
the service is not held up, and neither are callbacks, which have the server's second thread. Knows nothing of any
resource.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ..errors import ApiError, FixtureError, Problem, unknown
from ..service.described import Described
from ..service.operation import Resource
from ..service.records import format_time
from ..service.registry import RESOURCES, check_operation
from ..service.script import LONGEST_DELAY
from ..service.world import World
from ..service.written import fixture_of, yaml_text
from ..state.calls import Call
from ..state.parameters import MOST_CONTROL_BYTES, parse_query
from ..wire.responses import status_line
from .access import refusal
from .page import page

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PREFIX = "/_fakebatch"
DEFAULT_RECORDS = 50
MOST_RECORDS = 1000
"""How many records are on a page, if nothing is said and at most."""
MOVES = ("advance", "finish", "fail", "stop")
"""How collections may move what is in them by hand."""

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
YAML = "application/yaml; charset=utf-8"
HEADERS = [
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
]
"""What every answer has. None allows another origin anything."""

_NAME = "control"
"""By which name a place in a body is told."""

Body = Iterable[bytes]


class Refusal(Exception):  # noqa: N818 - it is what is answered
    """What was asked can't be done, and why. `headers` go with the answer."""

    def __init__(self, status: int, message: str, *headers: tuple[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class Answer(NamedTuple):
    """What is answered. `data` of None is no body; `text` is sent in the place of data."""

    status: int
    data: object = None
    media: str = JSON
    text: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    last: Callable[[], object] | None = None
    """What is done at last, in the server's thread: after a stop, nothing is."""


class Request(NamedTuple):
    """A request. `names` are the parts of the path that are up to the client."""

    world: World
    names: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    is_json: bool

    @property
    def text(self) -> str:
        """The body as text. Raises FixtureError if it is none."""
        try:
            return self.body.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = self.body[: error.start].split(b"\n")
            problem = Problem(_NAME, len(before), len(before[-1]) + 1, "", "this is not UTF-8; send it as UTF-8")
            raise FixtureError([problem]) from None

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """Return a whole number of the query. Raises Refusal if it is none."""
        text = self.query.get(name, str(default))
        if text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most:
            return int(text)
        raise Refusal(400, f"{name} is a whole number from {least} to {most}, not {text!r}")

    def named_number(self, name: str) -> int:
        """Return a number of the path; -1, which nothing has, for what is none."""
        text = self.names[name]
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1


class Route(NamedTuple):
    """A thing that can be asked."""

    method: str
    path: str
    """After the prefix: `/script/{number}`."""
    query: tuple[str, ...]
    function: Callable[[Request], Answer]


ROUTES: list[Route] = []
"""All that can be asked, but for the page."""


def _route(request: str) -> Callable[[Callable[[Request], Answer]], Callable[[Request], Answer]]:
    """Declare a function as what answers a request: `GET /calls?after&operation`."""

    def declare(function: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
        _declare(request, function)
        return function

    return declare


def _declare(request: str, function: Callable[[Request], Answer]) -> None:
    method, _, target = request.partition(" ")
    path, _, query = target.partition("?")
    ROUTES.append(Route(method, path, tuple(filter(None, query.split("&"))), function))


# What can be asked.


@_route("GET /health")
def health(request: Request) -> Answer:  # noqa: ARG001 - as all of them
    """Tell that the fake is there."""
    return Answer(200, {"status": "ok", "version": version("fakebatch")})


@_route("GET /openapi.json")
def get_openapi(request: Request) -> Answer:  # noqa: ARG001 - as all of them
    """Return the OpenAPI document of the service and of this interface."""
    from .openapi import control_openapi

    return Answer(200, control_openapi())


@_route("POST /reset")
def reset(request: Request) -> Answer:
    """Return to the fixtures."""
    request.world.reset()
    return Answer(204)


@_route("GET /calls?after&operation&wait&count&limit")
def list_calls(request: Request) -> Answer:
    """List the calls after a number, oldest first: with `wait`, once there are `count` of them, or 408."""
    calls, operation = request.world.calls, request.query.get("operation")
    after = request.number("after", 0, 0, 10**18)
    count, limit = (request.number(name, default, 0, 10**9) for name, default in (("count", 1), ("limit", 10**9)))
    if operation is not None:
        with _refused_as(ValueError, 400):
            check_operation(operation)
    before = calls.cleared
    waits = "wait" in request.query
    if waits:
        calls.wait_until(_seconds("wait", request.query["wait"]), operation, count, after)
    with calls.lock:
        numbered = calls.after(after if calls.cleared == before else 0)
        last, epoch = calls.last, calls.cleared
    found = [(number, call) for number, call in numbered if operation in (None, call.operation)]
    data = {"calls": [call_data(number, call) for number, call in found[:limit]], "last": last, "epoch": epoch}
    return Answer(408 if waits and len(found) < count else 200, data)


@_route("DELETE /calls")
def clear_calls(request: Request) -> Answer:
    """Forget all calls."""
    with request.world.lock:
        request.world.calls.clear()
    return Answer(204)


@_route("GET /script")
def list_steps(request: Request) -> Answer:
    """List the steps of the script: each as a fixture file has it, or as text if no file could hold it."""
    with request.world.lock:
        script = [(step.number, step.step, step.seen, step.used) for step in request.world.script]
    steps = [
        {"number": number, "step": step.written() or str(step), "text": str(step), "seen": seen, "used": used}
        for number, step, seen, used in script
    ]
    return Answer(200, {"script": steps})


@_route("POST /script")
def add_step(request: Request) -> Answer:
    """Add a step to the end of the script."""
    (step,) = _entries(request, "script")
    return Answer(201, {"number": request.world.add_step(step).number})


@_route("DELETE /script/{number}")
def remove_step(request: Request) -> Answer:
    """Take a step of the script away, until the next reset."""
    with _refused_as(KeyError, 404):
        request.world.remove_step(request.named_number("number"))
    return Answer(204)


@_route("GET /progress")
def list_rules(request: Request) -> Answer:
    """List the rules of progress in the order in which they are tried: as fixture files have them, or as text."""
    rules = [
        {"number": number, "rule": rule.written() or str(rule), "text": str(rule)}
        for number, rule in request.world.numbered_rules
    ]
    return Answer(200, {"progress": rules})


@_route("POST /progress")
def add_rule(request: Request) -> Answer:
    """Add a rule of progress before all others."""
    (rule,) = _entries(request, "progress")
    return Answer(201, {"number": request.world.add_rule(rule)})


@_route("DELETE /progress/{number}")
def remove_rule(request: Request) -> Answer:
    """Take a rule of progress away, until the next reset."""
    with _refused_as(KeyError, 404):
        request.world.remove_rule(request.named_number("number"))
    return Answer(204)


@_route("GET /world?secrets&format")
def get_world(request: Request) -> Answer:
    """Return the world as a fixture file."""
    form, secrets = request.query.get("format", "json"), request.query.get("secrets", "0")
    if form not in ("json", "yaml"):
        raise Refusal(400, f"format is json or yaml, not {form!r}")
    if secrets not in ("0", "1"):
        raise Refusal(400, f"secrets is 1 to have them shown, or 0, not {secrets!r}")
    data = fixture_of(request.world, secrets=secrets == "1")
    if form == "json":
        return Answer(200, data)
    return Answer(200, media=YAML, text=yaml_text(data).encode())


@_route("PUT /world")
def put_world(request: Request) -> Answer:
    """Put another world in the place of this one: a fixture file."""
    from .loading import load

    world = request.world
    baseline = load(_NAME, request.text, is_json=request.is_json)
    collections = world.grow(baseline)
    return Answer(204, last=lambda: world.load(baseline, collections))


@_route("GET /clock")
def get_clock(request: Request) -> Answer:
    """Tell the time of the world, and by how many seconds it was advanced."""
    clock = request.world.clock
    return Answer(200, {"now": format_time(clock.now()), "advanced": clock.advanced})


class Advance(msgspec.Struct, forbid_unknown_fields=True):
    """What moves the clock."""

    advance: float
    """In seconds."""


@_route("POST /clock")
def advance_clock(request: Request) -> Answer:
    """Let the clock go on."""
    seconds = _struct(request, Advance).advance
    with _refused_as(ValueError, 400):
        request.world.clock.advance(seconds)
    return get_clock(request)


@_route("GET /events")
def list_events(request: Request) -> Answer:
    """List the notifications that the service would have sent."""
    return Answer(200, {"events": request.world.events})


class Failing(msgspec.Struct, forbid_unknown_fields=True):
    """What a job is let fail with."""

    message: str = ""


def list_records(resource: Resource[Any], request: Request) -> Answer:
    """List records as a fixture file has them, a page of them: those in which a text stands, if one is given."""
    records = request.world.collection(resource)
    count = request.number("count", DEFAULT_RECORDS, 1, MOST_RECORDS)
    wanted = request.query.get("text", "").casefold()
    items, following = records.browse(
        request.query.get("marker", ""), count, lambda record: wanted in _searched(record) if wanted else True
    )
    written = [_record_data(resource, record) for record in items]
    return Answer(200, {"items": written, "next": following, "total": len(records)})


def get_record(resource: Resource[Any], request: Request) -> Answer:
    """Return a record as a fixture file has it."""
    with _refused_as(KeyError, 404):
        return Answer(200, _record_data(resource, request.world.collection(resource)[request.names["id"]]))


def add_records(resource: Resource[Any], request: Request) -> Answer:
    """Add a record, or as many as the entry amounts to: all or none."""
    world = request.world
    records = world.collection(resource)
    entries = _entries(request, resource.name)

    def add() -> list[str]:
        made = [world.with_id(resource, record) for record in entries]
        keys = list(map(resource.key_of, made))
        for key in keys:
            if key in records:
                raise ValueError(f"there is {key!r} in {resource.name} already; PUT replaces it")
        for record in made:
            records.add(record)
        return keys

    with _refused_as(ValueError, 409):
        return Answer(201, {"ids": world.settle(add)})


def put_record(resource: Resource[Any], request: Request) -> Answer:
    """Put a record in the place of the one with its Id, or add it."""
    key = request.names["id"]
    entries = _entries(request, resource.name, {resource.key: key})
    keys = list(map(resource.key_of, entries))
    if keys != [key]:
        raise Refusal(400, f"the path is of {key!r}, and the body of {', '.join(map(repr, keys)) or 'nothing'}")
    records = request.world.collection(resource)

    def put() -> bool:
        was_there = key in records
        records.put(entries[0])
        return was_there

    return Answer(204 if request.world.settle(put) else 201)


def remove_record(resource: Resource[Any], request: Request) -> Answer:
    """Remove a record."""
    with _refused_as(KeyError, 404):
        request.world.collection(resource).remove(request.names["id"])
    return Answer(204)


def move_record(resource: Resource[Any], move: str, request: Request) -> Answer:
    """Move a record by hand, and return what has become of it; null if it is gone."""
    records, key = request.world.collection(resource), request.names["id"]
    told = {"message": _struct(request, Failing).message} if move == "fail" else {}
    with _refused_as(KeyError, 404), _refused_as(ValueError, 409):
        record = getattr(records, move)(key, **told)
    return Answer(200, {"record": record and resource.written(record)})


for _resource in RESOURCES:
    _declare(f"GET /{_resource.name}?marker&count&text", partial(list_records, _resource))
    _declare(f"POST /{_resource.name}", partial(add_records, _resource))
    _declare(f"GET /{_resource.name}/{{id}}", partial(get_record, _resource))
    _declare(f"PUT /{_resource.name}/{{id}}", partial(put_record, _resource))
    _declare(f"DELETE /{_resource.name}/{{id}}", partial(remove_record, _resource))
    for _move in MOVES:
        if hasattr(_resource.collection, _move):
            _declare(f"POST /{_resource.name}/{{id}}/{_move}", partial(move_record, _resource, _move))


def call_data(number: int, call: Call) -> dict[str, Any]:
    """Return a call as JSON has it."""
    try:
        body: str | None = call.body.decode()
    except UnicodeDecodeError:
        body = None
    names = ((name.removeprefix("HTTP_").replace("_", "-").lower(), value) for name, value in call.environ.items())
    return {
        "number": number,
        "operation": call.operation,
        "method": call.method,
        "path": call.path,
        "query": call.query,
        "parameters": dict(call.parameters),
        "status": call.status,
        "code": call.code,
        "items": call.items,
        "note": call.note,
        "step": call.step,
        "start": format_time(call.start),
        "duration": call.duration,
        "host": call.host,
        "access_key_id": call.access_key_id,
        "request_id": call.request_id,
        "headers": dict(names),
        "body": body,
        "body_bytes": len(call.body) or call.body_let_go,
    }


def _record_data(resource: Resource[Any], record: Any) -> dict[str, Any]:
    return {"id": resource.key_of(record), "record": resource.written(record)}


def _searched(record: Any) -> str:
    """Return the text in which one looks for a record: of a described one, what a table shows."""
    if isinstance(record, Described):
        parts: Iterable[object] = (record.id, record.name, record.state, record.owner_id, record.creation_time)
    else:
        parts = msgspec.structs.astuple(record)
    return "\n".join(map(str, parts)).casefold()


def _entries(request: Request, section: str, defaults: Mapping[str, Any] | None = None) -> Any:
    from ..service.baseline import load_entry

    return load_entry(section, _NAME, request.text, is_json=request.is_json, defaults=defaults)


def _struct(request: Request, declared: type[Any]) -> Any:
    from ..service.baseline import load_struct

    return load_struct(declared, _NAME, request.text, is_json=request.is_json)


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if 0 <= seconds <= LONGEST_DELAY:
        return seconds
    raise Refusal(400, f"{name} is a number of seconds from 0 to {LONGEST_DELAY:.0f}, not {text!r}")


@contextmanager
def _refused_as(kind: type[Exception], status: int) -> Iterator[None]:
    """Answer with a status what is raised of a kind."""
    try:
        yield
    except kind as error:
        raise Refusal(status, str(error.args[0])) from None


# From a request to its answer.


def answer(world: World, hosts: Collection[str], environ: "WSGIEnvironment", start_response: "StartResponse") -> Body:
    """Answer a request, as WSGI has it. `hosts` are the names that are answered to beside `localhost`."""
    exchange = _Exchange(world, environ, start_response)
    problem = refusal(environ, hosts)
    if problem:
        exchange.answer = _refused(403, problem)
        return exchange.send()
    apart = environ.get("fakebatch.apart")
    if apart is None:
        exchange.work()
        return exchange.send()
    put_off: Body = apart(exchange.work, exchange.send)
    return put_off


class _Exchange:
    """One request on its way to its answer."""

    def __init__(self, world: World, environ: "WSGIEnvironment", start_response: "StartResponse") -> None:
        self._world, self._environ, self._start_response = world, environ, start_response
        self.answer = _refused(503, "no thread could be started to answer this; try again")

    def work(self) -> None:
        """Find the answer."""
        try:
            self.answer = self._answer()
        except Refusal as error:
            self.answer = _refused(error.status, str(error))._replace(headers=error.headers)
        except FixtureError as error:
            problems = [
                {"line": problem.line, "column": problem.column, "where": problem.where, "message": problem.message}
                for problem in error.problems
            ]
            self.answer = Answer(400, {"error": str(error), "problems": problems})
        except ApiError as error:
            self.answer = _refused(400, error.message)
        except Exception as error:  # our own mistake, of which the test is told as well
            self._world.tell(error)
            self.answer = _refused(500, f"the fake itself failed: {type(error).__name__}: {error}")

    def send(self) -> Body:
        """Begin the response and return its body."""
        found = self.answer
        if found.last:
            found.last()
        body = found.text
        if body is None:
            body = b"" if found.data is None else msgspec.json.encode(found.data)
        headers = [*HEADERS, *found.headers]
        if found.status != 204:
            headers += [("Content-Length", str(len(body)))]
        if body:
            headers += [("Content-Type", found.media)]
        self._start_response(status_line(found.status), headers)
        return [body]

    def _answer(self) -> Answer:
        environ = self._environ
        method = environ["REQUEST_METHOD"].replace("HEAD", "GET")
        # WSGI has the bytes of the path as Latin-1.
        path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace").removeprefix(PREFIX)
        if path in ("", "/") and method == "GET":
            if not path:
                return Answer(308, headers=(("Location", f"{PREFIX}/"),))
            content, policy = page()
            return Answer(200, media=HTML, text=content, headers=(("Content-Security-Policy", policy),))
        route, names = _match(method, path)
        query = parse_query(environ.get("QUERY_STRING", ""))
        for name in query:
            if name not in route.query:
                what = f"a parameter of {route.method} {PREFIX}{route.path}"
                raise Refusal(400, unknown(name, what, route.query or ["none"]))
        is_json = "json" in environ.get("CONTENT_TYPE", "").lower()
        return route.function(Request(self._world, names, query, self._body(), is_json))

    def _body(self) -> bytes:
        environ = self._environ
        announced = environ.get("CONTENT_LENGTH", "")
        length = int(announced) if announced.isascii() and announced.isdigit() and len(announced) < 20 else 0
        if environ.get("fakebatch.incomplete"):
            raise Refusal(400, "the body ended before its announced length, or is badly framed")
        chunked = environ.get("wsgi.input_terminated")
        data: bytes = environ["wsgi.input"].read(MOST_CONTROL_BYTES + 1 if chunked else length)
        if max(length, len(data)) > MOST_CONTROL_BYTES:
            raise Refusal(413, f"a body has {MOST_CONTROL_BYTES:,} bytes at most; use repeat, or send less")
        return data


def _refused(status: int, message: str) -> Answer:
    return Answer(status, {"error": message})


def _match(method: str, path: str) -> tuple[Route, Mapping[str, str]]:
    """Return what is asked, and the names in the path. Raises Refusal if there is nothing of the kind."""
    parts = path.split("/")
    found = [(route, names) for route in ROUTES if (names := _names(route.path.split("/"), parts)) is not None]
    for route, names in found:
        if route.method == method:
            return route, names
    if found:
        methods = ", ".join(dict.fromkeys(route.method for route, _ in found))
        raise Refusal(405, f"{method} is not possible at {PREFIX}{path}; possible is {methods}", ("Allow", methods))
    known = dict.fromkeys(route.path.split("/")[1] for route in ROUTES)
    raise Refusal(404, unknown(path.lstrip("/"), "anything that control has", known))


def _names(wanted: list[str], parts: list[str]) -> dict[str, str] | None:
    """Return the parts of a path that stand for the names in a pattern; None if it does not fit."""
    if len(wanted) != len(parts):
        return None
    names = {}
    for pattern, part in zip(wanted, parts, strict=True):
        if pattern.startswith("{") and part:
            names[pattern[1:-1]] = part
        elif pattern != part:
            return None
    return names
