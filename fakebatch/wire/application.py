"""The WSGI application: from a request to an operation of the service and back.

The version, the signature, the script and the recording of calls are here. It knows nothing of any resource: an
operation is an entry of the registry.

An answer that has to wait is put off: the server offers `environ["fakebatch.later"](seconds, finish)` and
`environ["fakebatch.aside"](work, finish)`, and goes on with others until `finish` is due. (Control has a third one,
`environ["fakebatch.apart"]`, whose work holds up no other.) Under any other WSGI server the thread of the request
waits, or does the work.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..errors import ApiError
from ..service.accounts import Account
from ..service.operation import API_VERSION, Answered, Operation, Page, Parameters
from ..service.progress import PendingError
from ..service.registry import match
from ..service.script import NO_BODY, Failure, Step, encode_body
from ..service.world import Change, StaleError, World
from ..state.calls import Call, host_name
from ..state.clock import utc_now
from ..state.parameters import METHODS_WITH_A_BODY, MOST_BODY_BYTES, parse_body, parse_query, too_large
from . import signatures
from .responses import encode, error_body, new_request_id, response_headers, status_line

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CONTROL = "/_fakebatch"
"""How paths begin that are for the fake itself, and not for the service."""

_PIECES = 20
"""In how many pieces a body trickles, where the server does not spread it."""

Body = Iterable[bytes]


class App:
    """Serves a world. `on_call` is called with each `Call` once it is recorded, before the response is sent.

    `control` answers what is for the fake itself: no call, neither recorded nor scripted nor signed.
    """

    def __init__(
        self,
        world: World,
        on_call: Callable[[Call], object] | None = None,
        control: "WSGIApplication | None" = None,
    ) -> None:
        self.world = world
        self._on_call = on_call
        self._control = control

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Body:
        """Answer one request, as WSGI has it. A scripted drop of the connection is raised as a ConnectionError."""
        if self._control and environ.get("PATH_INFO", "").startswith(CONTROL):
            return self._control(environ, start_response)
        return _Exchange(self.world, self._on_call, environ, start_response).begin()


class _Exchange:
    """One request on its way to its response: begin, consult the script, carry out, conclude, send.

    Each may put off the next."""

    def __init__(
        self,
        world: World,
        on_call: Callable[[Call], object] | None,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
    ) -> None:
        self.start = utc_now()
        self.timer = perf_counter()
        # The world and its epoch as they are now: a test that begins meanwhile does not see this call.
        self.world = world
        self.epoch = world.epoch
        self.on_call = on_call
        self.environ = environ
        self.start_response = start_response
        self.method: str = environ["REQUEST_METHOD"]
        # WSGI has the bytes of the path and of the query as Latin-1.
        self.path: str = environ.get("PATH_INFO", "").encode("latin-1").decode(errors="replace")
        self.query: str = environ.get("QUERY_STRING", "")
        self.request_id = new_request_id()
        self.operation: Operation | None = None
        self.parameters = Parameters({}, {}, {})
        self.data = b""
        self.body_problem: Failure | None = None
        """What is wrong with the body. No exception: that would hold all this, and be held by it."""
        self.was_put_off = False
        self.steps: list[Step] = []
        self.changes: list[Change] = []
        """What the steps have yet to change."""
        self.outcome: Step | None = None
        """The step that answers in the place of the service, or cuts its answer short."""

        self.status = 0
        self.body: bytes | None = None
        self.reply_headers: list[tuple[str, str]] | None = None
        self.code = ""
        self.items: int | None = None
        self.note = ""
        self.caller: Account | None = None

    def begin(self) -> Body:
        """Read the request."""
        try:
            query = parse_query(self.query)
            self.parameters = Parameters({}, query, {})
            body = self._read_body()
            if self.method == "OPTIONS":
                self.status, self.body = 200, b""
                return self.conclude()
            self.operation, path = match(self.method, self.path, query)
            self.parameters = Parameters(path, query, body)
        except ApiError as error:
            self._refuse(error)
            return self.conclude()
        return self.consult_script()

    def consult_script(self) -> Body:
        """Find what the script has for the request, and wait for so long as it says."""
        assert self.operation  # noqa: S101 - begin() found it
        self.epoch = self.world.epoch
        self.steps, self.changes, self.outcome = [], [], None  # of a script that a reset has dropped
        if self.world.script:
            account = signatures.access_key_id(self.environ.get("HTTP_AUTHORIZATION", ""))
            host = host_name(self.environ.get("HTTP_HOST", ""))
            self.steps = self.world.apply_script(self.operation.name, self.parameters, account, host)
            self.outcome = next((step for step in self.steps if step.outcome), None)
            self.changes = self.world.changes(self.steps, self.operation, self.parameters)
            delay = sum(step.delay for step in self.steps)
            if delay:
                return self._later(delay, self.carry_out)
        return self.carry_out()

    def carry_out(self) -> Body:
        """Do what the script wants to happen, and the operation if it is to be carried out."""
        return self._do(self._carry_out)

    def _do(self, do: Callable[[], Callable[[], Body]]) -> Body:
        """Do a part of the work, and go on with what it returns."""
        go_on = self.conclude
        try:
            go_on = do()
        except StaleError:
            # What began a moment before the reset, and did not wait, may as well have begun after it.
            go_on = self._leave if self.was_put_off else self.consult_script
        except ApiError as error:
            self._refuse(error)
        except Exception as error:  # whatever our own mistake was, the client gets an answer
            self.world.tell(error)
            self._refuse(ApiError("InternalError"))
        return go_on()

    def _carry_out(self) -> Callable[[], Body]:
        step = self.outcome
        if self.steps:
            try:
                self.world.change(self.changes, self.epoch)
            except PendingError as error:
                return self._work(error, self._carry_out)
        if step is None or step.drop == "during":
            self._admit()
            return self._perform()
        if step.reply:
            return lambda: self._reply(step)
        if step.failure:
            self._refuse(ApiError.undocumented(*step.failure))
        return self.conclude

    def _admit(self) -> None:
        """Raise ApiError for a request that is not to be carried out."""
        if self.environ.get("HTTP_X_ACS_VERSION", API_VERSION).strip() != API_VERSION:
            raise ApiError("InvalidVersion.NotFound")
        self.caller = self._caller() if self.world.accounts else None
        if self.body_problem and self.operation and self.operation.body:  # another one takes none, and looks at none
            raise ApiError.undocumented(*self.body_problem)

    def _perform(self) -> Callable[[], Body]:
        """Carry out the operation: again, after functions were called on which its result depends."""
        assert self.operation  # noqa: S101 - begin() found it
        try:
            result, self.note = self.world.perform(self.operation, self.caller, self.parameters, self.epoch)
        except PendingError as error:
            return self._work(error, self._perform)
        self.status = self.operation.status
        if isinstance(result, Answered):
            self.status, result = result
        self.body = None if result is None else encode(result)
        if isinstance(result, Page):
            self.items = len(result.items)
        return self.conclude

    def _work(self, pending: PendingError, again: Callable[[], Callable[[], Body]]) -> Callable[[], Body]:
        """Call the functions that are to be called before a part of the work, and then do that again."""
        work = partial(self.world.work, pending, self.epoch)
        return lambda: self._aside(work, lambda: self._do(again))

    def _refuse(self, error: ApiError) -> None:
        self.status, self.code = error.status, error.code
        self.body = error_body(error)

    def _reply(self, step: Step) -> Body:
        """Answer with what the script has in the place of the service's answer."""
        reply = step.reply
        assert reply  # noqa: S101 - it is this step's outcome
        self.status, self.reply_headers, self.body = reply.status, list(reply.headers), reply.body
        function = reply.function
        if function is None:
            return self.conclude()

        def work() -> None:
            try:
                self.body, own = encode_body(function(self._call()), reply.headers)
                self.reply_headers = [*reply.headers, *own]
            except BaseException as error:  # the test's, which is told of it: also what pytest.fail raises
                self.world.tell(error)
                self.reply_headers = None
                self._refuse(ApiError("InternalError"))

        return self._aside(work, self.conclude)

    def conclude(self) -> Body:
        """Record the call, and tell who wants to know of it."""
        call = self._call()
        try:
            self.world.record(call, self.epoch)
        except StaleError:
            return self._leave() if self.was_put_off else self.send()
        on_call = self.on_call
        if on_call is None:
            return self.send()

        def work() -> None:
            try:
                on_call(call)
            except BaseException as error:  # who watches a request can't lose its answer
                self.world.tell(error)

        return self._aside(work, self.send)

    def send(self) -> Body:
        """Begin the response and return its body.

        A scripted drop is an exception, as it would be if the client had gone: ConnectionResetError before the
        response, ConnectionAbortedError silently or in the middle of its body. What becomes of the connection is the
        server's to know.
        """
        if not self.steps:
            self.start_response(status_line(self.status), self._headers())
            return [self.body or b""]
        step = self.outcome
        if step and step.drop == "before":
            raise ConnectionResetError("the script drops the connection before the response")
        if step and step.drop == "silently":
            raise ConnectionAbortedError("the script drops the connection silently")
        seconds = sum(step.trickle for step in self.steps)
        trickle = self.environ.get("fakebatch.trickle")
        if seconds and trickle:
            trickle(seconds)  # whatever is sent of the body
        if step and step.reply and step.reply.raw is not None:
            return self._raw(step.reply.raw)
        self.start_response(status_line(self.status), self._headers())
        body = self.body or b""
        if step and step.drop:
            return _half(body)
        return _in_pieces(body, seconds) if seconds and trickle is None else [body]

    def _headers(self) -> list[tuple[str, str]]:
        headers = self.reply_headers
        if headers is None:
            return response_headers(self.request_id, self.world.now(), self.body)
        if self.status in NO_BODY:  # there is no body to frame
            return headers
        framed = any(name.lower() in ("content-length", "transfer-encoding") for name, _ in headers)
        return headers if framed else [*headers, ("Content-Length", str(len(self.body or b"")))]

    def _raw(self, data: bytes) -> Body:
        raw = self.environ.get("fakebatch.raw")
        if raw is None:
            raise ConnectionAbortedError("this server can't send raw bytes in the place of a response")
        result: Body = raw(data)
        return result

    def _later(self, seconds: float, finish: Callable[[], Body]) -> Body:
        self.was_put_off = True
        later = self.environ.get("fakebatch.later")
        if later is None:
            sleep(seconds)
            return finish()
        result: Body = later(seconds, finish)
        return result

    def _aside(self, work: Callable[[], object], finish: Callable[[], Body]) -> Body:
        self.was_put_off = True
        aside = self.environ.get("fakebatch.aside")
        if aside is None:
            work()
            return finish()
        result: Body = aside(work, finish)
        return result

    def _leave(self) -> Body:
        """End a request that a reset has overtaken: no trace of it may be left."""
        raise ConnectionAbortedError("the fake was reset before the answer")

    def _read_body(self) -> Mapping[str, Any]:
        """Read the body and return the parameters in it. What is wrong with it matters once it is to be carried out."""
        try:
            self.data = self._body()
            if self.method in METHODS_WITH_A_BODY:
                return parse_body(self.data, self.environ.get("HTTP_X_ACS_COMPRESS_TYPE", ""))
        except ApiError as error:
            self.body_problem = Failure(error.status, error.code, error.message)
        return {}

    def _body(self) -> bytes:
        """Return the body as sent. It is `InvalidHttpBody` if it is too large, incomplete or badly framed. [choice]"""
        environ = self.environ
        announced = environ.get("CONTENT_LENGTH", "")
        if announced and not (announced.isascii() and announced.isdigit()):
            raise ApiError("InvalidHttpBody", Message="The header Content-Length must be a number.")
        if environ.get("fakebatch.incomplete"):
            raise _incomplete()
        length = (len(announced) > len(str(MOST_BODY_BYTES)) and MOST_BODY_BYTES + 1) or int(announced or 0)
        if length > MOST_BODY_BYTES:
            raise too_large()
        if environ.get("wsgi.input_terminated"):
            data: bytes = environ["wsgi.input"].read(MOST_BODY_BYTES + 1)
        else:
            data = environ["wsgi.input"].read(length) if length else b""
            if len(data) < length:
                raise _incomplete()
        if len(data) > MOST_BODY_BYTES:
            raise too_large()
        return data

    def _caller(self) -> Account:
        now = self.world.now()
        account, nonce = signatures.authenticate(self.world.accounts, now, self._signed_request())
        if nonce is not None:
            self.world.use_nonce((account.access_key_id, nonce), now, signatures.NONCE_WINDOW, self.epoch)
        return account

    def _signed_request(self) -> signatures.Request:
        """Return the request as it was on the wire; not every WSGI server tells how the path was."""
        path = self.environ.get("REQUEST_URI", "").partition("?")[0]
        if not path.startswith("/"):
            path = quote(self.path, safe="/~!$&'()*+,;=:@")
        return signatures.Request(self.method, path, self.query, _headers(self.environ), self.data)

    def _call(self) -> Call:
        """Return the record of this exchange."""
        return Call(
            operation=self.operation and self.operation.name,
            method=self.method,
            path=self.path,
            query=signatures.redact_query(self.query),
            path_parameters=tuple(self.parameters.path.items()),
            head=signatures.redact_headers(self.environ),
            body=self.data,
            body_let_go=0,
            status=0 if self.outcome and self.outcome.drop in ("before", "silently") else self.status,
            code=self.code,
            items=self.items,
            note=self.note,
            request_id=self.request_id,
            access_key_id=signatures.access_key_id(self.environ.get("HTTP_AUTHORIZATION", "")),
            step=" | ".join(map(str, self.steps)) if self.steps else "",
            start=self.start,
            duration=perf_counter() - self.timer,
        )


def _headers(environ: "WSGIEnvironment") -> dict[str, str]:
    """Return the headers of a WSGI environment by their own names, in lower case."""
    names = (name for name in environ if name.startswith(("HTTP_", "CONTENT_")))
    return {name.removeprefix("HTTP_").replace("_", "-").lower(): environ[name] for name in names}


def _incomplete() -> ApiError:
    return ApiError("InvalidHttpBody", Message="It ended before its announced length.")


def _half(body: bytes) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    raise ConnectionAbortedError("the script drops the connection during the response")


def _in_pieces(body: bytes, seconds: float) -> Iterator[bytes]:
    size = -(-len(body) // _PIECES) or 1
    for start in range(0, len(body), size):
        sleep(seconds / _PIECES)
        yield body[start : start + size]
