"""The WSGI application: from bytes to an operation and back.

Headers, request ids, the version, the signature, the script's interference and the recording of calls are here. It
knows nothing of images: an operation is a name in the routing table and a function.
"""

import sys
import time
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from http import HTTPStatus
from random import getrandbits
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

import msgspec
from werkzeug.datastructures import EnvironHeaders
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.http import http_date
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request

from ..errors import ApiError
from ..service.images import Account
from ..service.operation import FUNCTIONS, Page, Parameters
from ..service.registry import ROUTES, Route
from ..service.script import Reply, Step
from ..service.world import World, utc_now
from ..state.calls import Call
from . import signatures as signature

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

API_VERSION = "2015-11-11"
MOST_BODY_BYTES = 256 * 1024
"""The largest request body, also after inflating. [doc]"""

_HEADERS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST, GET, OPTIONS"),
    ("Access-Control-Allow-Headers", "X-Requested-With, X-Sequence, _aop_secret, _aop_signature"),
    ("Access-Control-Max-Age", "172800"),
    ("Server", "AliyunBatchCompute"),
)
"""What every response has, beside its own. [doc]"""

_RULES = Map([Rule(route.path, methods=[route.method], endpoint=route) for route in ROUTES], merge_slashes=False).bind(
    ""
)
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_encode = msgspec.json.Encoder().encode


def error_body(error: ApiError) -> bytes:
    """Return the body with which the service refuses. [doc]"""
    return _encode({"Code": error.code, "Message": error.message})


def response_headers(request_id: str, body: bytes | None) -> list[tuple[str, str]]:
    """Return the headers with which the service answers. A body of None is none at all, as in a 204."""
    headers = [("Date", _date(int(time.time()))), *_HEADERS, ("x-acs-request-id", request_id)]
    if body is not None:
        headers.insert(1, ("Content-Length", str(len(body))))
    if body:
        headers.insert(1, ("Content-Type", "application/json; charset=utf-8"))
    return headers


@lru_cache(maxsize=1)
def _date(moment: int) -> str:
    return http_date(moment)


def new_request_id() -> str:
    """Return a request id: an upper-case UUID [doc], of the fourth version [choice]."""
    digits = f"{getrandbits(128):032X}"  # unique is all that it has to be; the uuid module would take its time
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-A{digits[17:20]}-{digits[20:]}"


class App:
    """Serves a world. `on_call` is called with each `Call` once it is recorded, before the response is sent.

    `sleep` is how a scripted delay passes; it takes seconds.
    """

    def __init__(
        self,
        world: World,
        on_call: Callable[[Call], None] | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.world = world
        self._on_call = on_call
        self._sleep = sleep

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request, as WSGI has it. A scripted drop of the connection is raised as a ConnectionError."""
        exchange = _Exchange(self.world, environ)
        exchange.answer(self._sleep)
        call = exchange.record()
        if self._on_call:
            self._on_call(call)
        return exchange.send(start_response)


class _Exchange:
    """One request on its way to its response."""

    def __init__(self, world: World, environ: "WSGIEnvironment") -> None:
        self.start = utc_now()
        self.timer = time.perf_counter()
        # The world and its epoch as they are now: a test that began meanwhile does not see this call.
        self.world = world
        self.epoch = world.epoch
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        # WSGI has the bytes of the path and of the query as Latin-1.
        self.path: str = environ.get("PATH_INFO", "").encode("latin-1").decode(errors="replace")
        self.query: str = environ.get("QUERY_STRING", "")
        self.request_id = new_request_id()
        self.route: Route | None = None
        self.data = b""
        self.parameters: dict[str, Any] = {}
        self.steps: list[Step] = []

        self.status = 0
        self.body: bytes | None = None
        self.code = ""
        self.items: int | None = None
        self.reply: Reply | None = None
        self.dropped: str | None = None

    def answer(self, sleep: Callable[[float], object]) -> None:
        """Find the status and the body of the response, after whatever the script wants to happen first."""
        try:
            self._perform(sleep)
        except ApiError as error:
            self._refuse(error)
        except Exception:  # whatever our own mistake was, the client gets an answer
            traceback.print_exc(file=sys.stderr)
            self._refuse(ApiError("InternalError"))

    def _refuse(self, error: ApiError) -> None:
        self.status, self.code = error.status, error.code
        self.body = error_body(error)

    def _perform(self, sleep: Callable[[float], object]) -> None:
        world = self.world
        self.parameters = query = _parse_query(self.query)
        body, body_problem = self._body()
        if self.method == "OPTIONS":
            self.status, self.body = 200, b""
            return
        self.route, image_id = _match(self.method, self.path)
        self.parameters = {**query, **body} if body else query

        self.steps = world.interfere(self.route.operation, self.parameters) if world.script else []
        if self.steps and self._interrupted(sleep):
            return

        self._check_version()
        caller = self._caller() if world.accounts else None
        if body_problem:
            raise body_problem
        result = FUNCTIONS[self.route.operation](world, caller, Parameters(image_id, query, body))
        self.status = self.route.status
        self.body = None if result is None else _encode(result)
        if isinstance(result, Page):
            self.items = len(result.items)

    def _interrupted(self, sleep: Callable[[float], object]) -> bool:
        """Do what the steps say, and tell whether that is all: then the operation is not carried out."""
        for step in self.steps:
            if step.seconds:
                sleep(step.seconds)
        outcome = next((step for step in self.steps if step.outcome), None)
        if outcome and outcome.error:
            raise outcome.error
        if outcome and outcome.replied:
            self.reply = outcome.replied
            self.status, self.body = outcome.replied.status, outcome.replied.body
            return True
        self.dropped = outcome.dropped if outcome else None
        return self.dropped == "before"

    def _check_version(self) -> None:
        if self.environ.get("HTTP_X_ACS_VERSION", API_VERSION).strip() != API_VERSION:
            raise ApiError("InvalidVersion.NotFound")

    def _read_body(self) -> bytes:
        """Return the body as sent. It is `InvalidHttpBody` if it is too large, incomplete or badly framed. [choice]"""
        length = self.environ.get("CONTENT_LENGTH", "")
        if length in ("", "0") and not self.environ.get("wsgi.input_terminated"):
            return b""
        if length and not (length.isascii() and length.isdigit()):
            raise ApiError("InvalidHttpBody", Message="The header Content-Length must be a number.")
        request = Request(self.environ)
        request.max_content_length = MOST_BODY_BYTES
        try:
            return request.get_data()
        except RequestEntityTooLarge:
            raise _too_large() from None
        except (HTTPException, OSError):
            raise ApiError("InvalidHttpBody", Message="It ended before its announced length.") from None

    def _body(self) -> tuple[Mapping[str, Any], ApiError | None]:
        """Return the parameters in the body, and what is wrong with it: that matters once it is to be carried out."""
        try:
            self.data = self._read_body()
            # Only a POST has parameters there; whatever a client sends with another method is ignored. [choice]
            return (self._parse_body() if self.method == "POST" else {}), None
        except ApiError as error:
            return {}, error

    def _parse_body(self) -> Mapping[str, Any]:
        data = self.data
        if self.environ.get("HTTP_X_ACS_COMPRESS_TYPE", "").strip().lower() == "deflate":
            data = _inflate(data)
        try:
            body = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise ApiError("InvalidJsonFormat") from None
        if not isinstance(body, dict):
            raise ApiError("InvalidHttpBody", Message="Its type must be object.")
        return body

    def _caller(self) -> Account:
        now = self.world.clock()
        account, nonce = signature.authenticate(self.world.accounts, now, self._signed_request())
        if nonce is not None:
            with self.world.lock:
                if not self.world.nonces.use((account.access_key_id, nonce), now, signature.NONCE_WINDOW):
                    raise ApiError("SignatureNonceUsed")
        return account

    def _signed_request(self) -> signature.Request:
        """Return the request as it was on the wire; not every WSGI server tells how the path was."""
        path = self.environ.get("REQUEST_URI", "").partition("?")[0]
        if not path.startswith("/"):
            path = quote(self.path, safe="/~!$&'()*+,;=:@")
        return signature.Request(self.method, path, self.query, EnvironHeaders(self.environ), self.data)

    def record(self) -> Call:
        """Return the record of this exchange, and leave it in the world."""
        environ = signature.redact_headers(self.environ)
        key_id = signature.access_key_id(self.environ.get("HTTP_AUTHORIZATION", ""))
        call = Call(
            operation=self.route and self.route.operation,
            method=self.method,
            path=self.path,
            query=signature.redact_query(self.query),
            parameters=MappingProxyType(dict(signature.redact_parameters(self.parameters))),
            environ=environ,
            body=self.data,
            status=0 if self.dropped == "before" else self.status,
            code=self.code,
            items=self.items,
            request_id=self.request_id,
            access_key_id=key_id,
            step=" | ".join(map(str, self.steps)) if self.steps else "",
            start=self.start,
            duration=time.perf_counter() - self.timer,
        )
        self.world.record(call, self.epoch)
        return call

    def send(self, start_response: "StartResponse") -> Iterable[bytes]:
        """Begin the response and return its body.

        A scripted drop is an exception, as it would be if the client had gone: ConnectionResetError before the
        response, ConnectionAbortedError in the middle of its body. What becomes of the connection is the server's to
        know.
        """
        if self.dropped == "before":
            raise ConnectionResetError("the script drops the connection before the response")
        if self.reply:
            headers = [*self.reply.headers]
            if "content-length" not in (name.lower() for name, _ in headers):
                headers.append(("Content-Length", str(len(self.reply.body))))
        else:
            headers = response_headers(self.request_id, self.body)
        start_response(_STATUS_LINES.get(self.status, f"{self.status} Unknown"), headers)
        body = self.body or b""
        return _half(body) if self.dropped else [body]


def _half(body: bytes) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    raise ConnectionAbortedError("the script drops the connection during the response")


@lru_cache(maxsize=1024)  # most requests are for a path that was asked for before
def _match(method: str, path: str) -> tuple[Route, str]:
    """Return the route of a request, and the Id in its path. Raises ApiError if there is none."""
    try:
        route, arguments = _RULES.match(path, method)
    except MethodNotAllowed:
        raise ApiError("MethodNotAllowed") from None
    except HTTPException:
        raise ApiError("InvalidUrlPattern") from None
    # werkzeug lets HEAD pass for GET; the service has no such method. [choice]
    if method != route.method:
        raise ApiError("MethodNotAllowed")
    return route, arguments.get("id", "")


def _parse_query(query: str) -> dict[str, str]:
    """Return the parameters of a query. A bare key is an empty value [sdk]; of two the first counts [choice]."""
    pairs = parse_qsl(query.encode("latin-1").decode(errors="replace"), keep_blank_values=True)
    return dict(reversed(pairs))


def _too_large() -> ApiError:
    return ApiError("InvalidHttpBody", Message=f"Its length must be in [0, {MOST_BODY_BYTES}].")


def _inflate(data: bytes) -> bytes:
    """Return a deflated body inflated, with the limit on the inflated size.

    With zlib's framing or without: both go by that name. [choice]
    """
    for window_bits in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        inflater = zlib.decompressobj(window_bits)
        try:
            inflated = inflater.decompress(data, MOST_BODY_BYTES + 1)
        except zlib.error:
            continue
        if len(inflated) > MOST_BODY_BYTES:
            raise _too_large()
        if inflater.eof:
            return inflated
    raise ApiError("InvalidHttpBody", Message="It must be compressed with deflate.")
