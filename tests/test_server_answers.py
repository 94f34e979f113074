"""What a server offers an application: answers that are put off, trickle, are raw, or break off."""

import contextlib
import http.client
import io
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from waiting import FOREVER, wait_until

from fakebatch.wire.certificates import ca_bundle, choose_context
from fakebatch.wire.connection import LINGER_BYTES
from fakebatch.wire.server import Server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

GET = b"GET / HTTP/1.1\r\n\r\n"


def refuse(status: int) -> tuple[list[tuple[str, str]], bytes]:
    body = b"refused %d" % status
    return [("Content-Length", str(len(body)))], body


def ok(start: "StartResponse", body: bytes = b"done") -> list[bytes]:
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]


class Served:
    """An application that is served, and what was reported."""

    def __init__(self, app: "WSGIApplication", *, tls: bool = False) -> None:
        self.reported: list[BaseException] = []
        self.tls = tls
        self.server = Server(app, refuse, self.reported.append, 1000)
        self.port = self.server.listen("127.0.0.1", 0, choose_context("127.0.0.1") if tls else None)

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), FOREVER)
        if not self.tls:
            return connection
        return ssl.create_default_context(cafile=ca_bundle()).wrap_socket(connection, server_hostname="127.0.0.1")

    def ask(self, request: bytes = GET) -> bytes:
        with self.connect() as connection:
            connection.sendall(request)
            return receive(connection)


def receive(connection: socket.socket) -> bytes:
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


Serve = Callable[["WSGIApplication"], Served]


@pytest.fixture(params=["plain", "tls"])
def serve(request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]) -> Iterator[Serve]:
    with contextlib.ExitStack() as stack:

        def start(app: "WSGIApplication") -> Served:
            served = Served(app, tls=request.param == "tls")
            stack.callback(served.server.stop)
            return served

        yield start
    assert capfd.readouterr().err == ""


def test_an_answer_may_be_put_off_and_put_off_again(serve: Serve) -> None:
    threads: list[str] = []

    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        def work() -> None:
            threads.append(threading.current_thread().name)

        def finish() -> Iterable[bytes]:
            threads.append(threading.current_thread().name)
            return ok(start)

        aside, later = environ["fakebatch.aside"], environ["fakebatch.later"]
        return later(0.01, lambda: aside(work, lambda: later(0, finish)))

    served = serve(app)
    assert served.ask().endswith(b"\r\n\r\ndone")
    name = f"fakebatch:{served.port}"
    assert threads == [f"{name}:worker", name]


def test_others_are_answered_while_one_waits(serve: Serve) -> None:
    go_on = threading.Event()

    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        if environ["PATH_INFO"] == "/slow":
            return environ["fakebatch.aside"](lambda: go_on.wait(FOREVER), lambda: ok(start, b"slow"))
        if environ["PATH_INFO"] == "/later":
            return environ["fakebatch.later"](3600, lambda: ok(start))
        return ok(start)

    served = serve(app)
    with served.connect() as slow, served.connect() as later:
        later.sendall(b"GET /later HTTP/1.1\r\n\r\n")
        slow.sendall(b"GET /slow HTTP/1.1\r\n\r\n")
        assert served.ask().endswith(b"done")
        go_on.set()
        assert receive(slow).endswith(b"slow")


def test_a_client_that_half_closes_while_it_waits_gets_its_answer() -> None:
    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        return environ["fakebatch.later"](0.05, lambda: ok(start))

    served = Served(app)
    with contextlib.closing(served.connect()) as connection:
        connection.sendall(GET)
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection).endswith(b"done")
    served.server.stop()


class Waiting:
    """An application that puts its answers off, on its worker, until it may go on."""

    def __init__(self) -> None:
        self.asked = 0
        self.works, self.go_on = threading.Event(), threading.Event()
        self.finished: list[str] = []

    def __call__(self, environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        self.asked += 1

        def work() -> None:
            self.works.set()
            self.go_on.wait(FOREVER)

        def finish() -> Iterable[bytes]:
            self.finished.append(environ["PATH_INFO"])
            return ok(start)

        return environ["fakebatch.aside"](work, finish)


@pytest.mark.parametrize("lingers", [b"\0\0\0\0\0\0\0\0", b"\1\0\0\0\0\0\0\0"], ids=["in order", "by a reset"])
def test_what_was_put_off_goes_on_though_the_client_has_gone(serve: Serve, lingers: bytes) -> None:
    app = Waiting()
    served = serve(app)

    def listens() -> bool:
        return any(connection._watched for connection in list(served.server.connections))

    with served.connect() as gone:
        gone.sendall(GET)
        assert app.works.wait(FOREVER)
        wait_until(listens)
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingers)
    wait_until(lambda: not listens())  # by then the server has seen that the client has gone
    app.go_on.set()
    wait_until(lambda: not served.server.connections)
    assert app.finished == ["/"]
    assert served.reported == []


def test_what_was_put_off_is_dropped_by_a_stop(serve: Serve) -> None:
    app = Waiting()
    served = serve(app)
    with served.connect() as one, served.connect() as other:
        one.sendall(GET)
        other.sendall(GET)
        wait_until(lambda: app.asked == 2)
        assert app.works.wait(FOREVER)
        worker = next(thread for thread in threading.enumerate() if thread.name == f"fakebatch:{served.port}:worker")
        served.server.stop()
    app.go_on.set()
    worker.join(FOREVER)
    assert not worker.is_alive()
    assert app.finished == []


def test_what_was_put_off_is_dropped_by_hanging_up(serve: Serve) -> None:
    app = Waiting()
    served = serve(app)
    with served.connect() as connection:
        connection.sendall(b"GET /early HTTP/1.1\r\n\r\n")
        assert app.works.wait(FOREVER)
        served.server.hang_up()
    app.go_on.set()
    assert served.ask(b"GET /late HTTP/1.1\r\n\r\n").endswith(b"done")  # the worker keeps the order
    assert app.finished == ["/late"]


@pytest.mark.parametrize("where", ["application", "aside", "finish"])
def test_a_server_may_be_stopped_from_within(serve: Serve, where: str) -> None:
    stopped = threading.Event()

    def stop() -> None:
        served.server.stop()
        stopped.set()

    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        def finish() -> Iterable[bytes]:
            stop()
            return ok(start)

        if where == "application":
            return finish()
        if where == "aside":
            return environ["fakebatch.aside"](stop, finish)
        return environ["fakebatch.later"](0, finish)

    served = serve(app)
    with served.connect() as connection:
        connection.sendall(GET)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            assert receive(connection) == b""
    assert stopped.wait(FOREVER)
    with pytest.raises(ConnectionRefusedError):
        served.connect()


class Mistake(BaseException):
    """As pytest.fail raises."""


@pytest.mark.parametrize("kind", [ValueError, Mistake, SystemExit])
def test_what_an_application_raises_is_reported_and_answered(serve: Serve, kind: type[BaseException]) -> None:
    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        raise kind

    served = serve(app)
    for _ in range(2):
        assert served.ask().endswith(b"\r\n\r\nrefused 500")
    assert [type(error) for error in served.reported] == [kind, kind]


def test_a_refusal_that_fails_costs_its_own_connection_only(serve: Serve) -> None:
    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        return environ["fakebatch.later"](0, (lambda: 1 / 0) if environ["PATH_INFO"] == "/bad" else lambda: ok(start))

    served = serve(app)
    served.server.refuse = lambda status: [][status]
    assert served.ask(b"GET /bad HTTP/1.1\r\n\r\n") == b""
    assert served.ask().endswith(b"done")
    assert [type(error) for error in served.reported] == [ZeroDivisionError, IndexError]


def test_what_work_raises_is_reported_and_the_answer_goes_on(serve: Serve) -> None:
    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        return environ["fakebatch.aside"](lambda: [].pop(), lambda: ok(start))

    served = serve(app)
    assert served.ask().endswith(b"done")
    assert [type(error) for error in served.reported] == [IndexError]


def test_a_worker_that_cannot_be_started_is_reported_and_the_answer_goes_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        return environ["fakebatch.aside"](lambda: None, lambda: ok(start))

    def refuse_to_start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    served = serve(app)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse_to_start)
        assert served.ask().endswith(b"done")
    assert [str(error) for error in served.reported] == ["can't start new thread"]


def test_the_body_is_closed_whatever_becomes_of_it(serve: Serve) -> None:
    closed = []

    class Body(io.BytesIO):
        def close(self) -> None:
            closed.append(True)
            super().close()

    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        start("200 OK", [])
        return Body(b"a\nb\n")

    assert serve(app).ask().endswith(b"\r\n\r\na\nb\n")
    assert closed


@pytest.mark.parametrize("size", [1, 3, 100_000])
def test_a_body_may_trickle(serve: Serve, size: int) -> None:
    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        environ["fakebatch.trickle"](0.05)
        return ok(start, b"x" * size)

    served = serve(app)
    with served.connect() as connection:
        connection.sendall(GET)
        connection.recv(1)
        pieces = []
        while data := connection.recv(1_000_000):
            pieces.append(data)
    assert len(b"".join(pieces).partition(b"\r\n\r\n")[2]) == size
    assert len(pieces) > 1


def test_bytes_may_be_sent_as_they_are(serve: Serve) -> None:
    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        return environ["fakebatch.raw"](b"no HTTP at all\0")

    assert serve(app).ask() == b"no HTTP at all\0"


def test_a_dropped_connection_is_reset() -> None:
    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        raise ConnectionResetError

    served = Served(app)
    with pytest.raises(ConnectionResetError):
        served.ask()
    served.server.stop()
    assert served.reported == []


def test_a_connection_may_end_without_a_byte(serve: Serve) -> None:
    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        raise ConnectionAbortedError

    assert serve(app).ask() == b""


@pytest.mark.parametrize(("status", "method"), [("200 OK", "GET"), ("200 OK", "HEAD"), ("204 No Content", "GET")])
@pytest.mark.parametrize("parts", [[], [b""], [b"abc"]])
def test_an_answer_that_breaks_off_is_seen_by_the_client(
    serve: Serve, status: str, method: str, parts: list[bytes]
) -> None:
    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Iterator[bytes]:
        start(status, [] if status.startswith("204") else [("Content-Length", "6")])
        yield from parts
        raise ConnectionAbortedError

    answer = serve(app).ask(method.encode() + b" / HTTP/1.1\r\n\r\n")
    head, end, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1")
    assert not end or (method == "GET" and body == b"abc")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("chunked", [True, False])
def test_who_still_sends_while_the_answer_leaves_gets_it_whole(serve: Serve, method: str, chunked: bool) -> None:
    answer = b"x" * 3_000_000
    served = serve(lambda environ, start: ok(start, answer))
    with served.connect() as connection:
        framing = "Transfer-Encoding: chunked\r\n\r\n400000\r\n" if chunked else "Content-Length: 4194304\r\n\r\n"
        connection.sendall(f"{method} / HTTP/1.1\r\n{framing}".encode() + b"y" * 4_194_304)
        if chunked:
            connection.sendall(b"\r\n0\r\n\r\n")
        assert receive(connection).endswith(b"\r\n\r\n" + answer)


def test_who_sends_another_request_while_the_answer_is_on_its_way_gets_it_whole() -> None:
    answer = b"x" * 300_000
    served = Served(lambda environ, start: ok(start, answer))
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(FOREVER)
        connection.connect(("127.0.0.1", served.port))
        connection.sendall(GET)
        first = connection.recv(1)
        # The system has all of the answer, so that the connection lingers or is closed.
        wait_until(lambda: bool(served.server.lingering) or not served.server.connections)
        connection.sendall(GET)
        assert (first + receive(connection)).endswith(b"\r\n\r\n" + answer)
    served.server.stop()


def test_a_client_that_sends_without_end_is_dropped() -> None:
    served = Served(lambda environ, start: ok(start))
    with contextlib.closing(served.connect()) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n")
        with pytest.raises(ConnectionError):
            for _ in range(2 * LINGER_BYTES // 65536 + 100):
                connection.sendall(b"x" * 65536)
    served.server.stop()


def test_a_refused_head_has_no_body(serve: Serve) -> None:
    assert serve(lambda environ, start: ok(start)).ask(b"HEAD / HTTP/2.0\r\n\r\n").endswith(b"\r\n\r\n")


def test_an_environment_names_the_server_and_the_client(serve: Serve) -> None:
    seen: dict[str, Any] = {}

    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        seen.update(environ)
        return ok(start)

    served = serve(app)
    served.ask()
    assert seen["wsgi.url_scheme"] == ("https" if served.tls else "http")
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == ("127.0.0.1", str(served.port))
    assert seen["REMOTE_ADDR"] == "127.0.0.1"


def test_http_client_reads_what_is_sent() -> None:
    served = Served(lambda environ, start: ok(start, environ["wsgi.input"].read()))
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=FOREVER)
    connection.request("POST", "/", iter([b"a", b"b"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert connection.getresponse().read() == b"ab"
    connection.close()
    served.server.stop()


@pytest.mark.parametrize("trickles", [False, True])
def test_a_large_answer_reaches_a_client_that_reads_late(serve: Serve, trickles: bool) -> None:
    body = bytes(range(256)) * 40_000  # more than the buffers of the system take

    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        if trickles:
            environ["fakebatch.trickle"](0.02)
        return ok(start, body)

    served = serve(app)
    with served.connect() as connection:
        connection.sendall(GET)
        assert served.ask(b"HEAD / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 OK")  # others are answered meanwhile
        assert receive(connection).partition(b"\r\n\r\n")[2] == body
    assert served.reported == []


def test_a_client_that_never_reads_does_not_keep_its_answer_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakebatch.wire.connection.IDLE_SECONDS", 0.05)
    served = Served(lambda _, start: ok(start, b"x" * 10_000_000))
    with served.connect() as connection:
        connection.sendall(GET)
        wait_until(lambda: bool(served.server.connections))
        wait_until(lambda: not served.server.connections)
        with contextlib.suppress(ConnectionResetError):
            assert len(receive(connection)) < 10_000_000
    served.server.stop()


def test_a_client_of_tls_may_say_that_it_sends_no_more_and_get_its_answer() -> None:
    served = Served(lambda environ, start: ok(start, str(environ.get("fakebatch.incomplete")).encode()), tls=True)
    context = ssl.create_default_context(cafile=ca_bundle())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", served.port), FOREVER) as connection:

        def exchange(step: Callable[[], Any]) -> Any:
            while True:
                try:
                    result = step()
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    incoming.write(connection.recv(65536))
                else:
                    connection.sendall(outgoing.read())
                    return result

        exchange(tls.do_handshake)
        tls.write(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab")
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()  # says that no more comes, and waits for the other side to agree
        connection.sendall(outgoing.read())
        incoming.write(receive(connection))
        with contextlib.suppress(ssl.SSLError):
            assert tls.read(65536).endswith(b"True")
    served.server.stop()


def test_an_answer_in_two_parts_reaches_a_client_that_reads_late(serve: Serve) -> None:
    """The interim response is still unsent when the final one comes, if neither fits."""

    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        return environ["fakebatch.raw"](b"x" * 8_000_000)

    served = serve(app)
    with served.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"ab")
        assert receive(connection) == b"x" * 8_000_000


def test_what_was_put_off_for_a_client_that_has_gone_is_let_go(serve: Serve) -> None:
    finished: list[str] = []

    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        def finish() -> list[bytes]:
            finished.append(environ["PATH_INFO"])
            return ok(start)

        return environ["fakebatch.later"](0.02 if environ["PATH_INFO"] == "/gone" else 0.05, finish)

    served = serve(app)
    gone = served.connect()
    gone.sendall(b"GET /gone HTTP/1.1\r\n\r\n")
    wait_until(lambda: bool(served.server.connections))
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.close()
    assert served.ask().endswith(b"done")
    assert finished[-1] == "/"
    assert served.reported == []


def test_what_comes_after_a_request_that_waits_is_let_go(serve: Serve) -> None:
    served = serve(lambda environ, start: environ["fakebatch.later"](0.05, lambda: ok(start)))
    with served.connect() as connection:
        connection.sendall(GET)
        wait_until(lambda: bool(served.server.connections))
        connection.sendall(b"more")
        assert receive(connection).endswith(b"done")


@pytest.mark.parametrize("put_off", ["later", "aside"])
def test_an_application_may_stop_its_server_and_put_its_answer_off(serve: Serve, put_off: str) -> None:
    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Any:
        served.server.stop()
        first = 0.0 if put_off == "later" else list
        return environ[f"fakebatch.{put_off}"](first, lambda: ok(start))

    served = serve(app)
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        assert served.ask() == b""
    assert served.reported == []


def test_a_stop_does_not_wait_for_an_application_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakebatch.wire.server._STOP_SECONDS", 0.01)
    arrived, go_on = threading.Event(), threading.Event()

    def app(_: "WSGIEnvironment", start: "StartResponse") -> list[bytes]:
        arrived.set()
        assert go_on.wait(FOREVER)
        return ok(start)

    served = Served(app)
    with served.connect() as connection:
        connection.sendall(GET)
        assert arrived.wait(FOREVER)
        served.server.stop()
        with pytest.raises(ConnectionRefusedError):
            served.connect()
        go_on.set()
        with contextlib.suppress(ConnectionError):
            receive(connection)
