"""What must not knock the server over: misbehaving clients, forks, limits of the system, guards, and time."""

import contextlib
import errno
import gc
import http.client
import itertools
import multiprocessing
import os
import random
import re
import resource
import selectors
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import freezegun
import pytest
import pytest_socket
from mutated_requests import mutated
from waiting import FOREVER, wait_until

from fakebatch import Call, FakeBatch, Image, ServerError
from fakebatch.service.description import Baseline
from fakebatch.service.world import World
from fakebatch.wire import certificates
from fakebatch.wire import server as server_module

GET = b"GET /images HTTP/1.1\r\n\r\n"
RESET = b"\1\0\0\0\0\0\0\0"
"""The value of SO_LINGER with which close() is a reset."""
RESPONSE = re.compile(
    rb"HTTP/1\.1 (100 Continue\r\n\r\nHTTP/1\.1 )?\d{3} [ -~]+\r\n([!-9;-~]+: [ -~]*\r\n)+\r\n.*", re.DOTALL
)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def fake(request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]) -> Iterator[FakeBatch]:
    with FakeBatch(Image(id="img-a"), tls=request.param) as started:
        yield started
    assert capfd.readouterr().err == ""


def connect(fake: FakeBatch) -> socket.socket:
    return socket.create_connection((fake.host, fake.port), FOREVER)


def client_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificates.ca_bundle())


def connect_as_it_speaks(fake: FakeBatch, context: ssl.SSLContext | None = None) -> socket.socket:
    connection = connect(fake)
    if not fake.url.startswith("https"):
        return connection
    return (context or client_context()).wrap_socket(connection, server_hostname=fake.host)


def answers(fake: FakeBatch) -> bool:
    """Ask for something, and tell whether the answer is right."""
    with connect_as_it_speaks(fake) as connection:
        connection.sendall(GET)
        return receive(connection).startswith(b"HTTP/1.1 200 OK\r\n")


def receive(connection: socket.socket) -> bytes:
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - and not one for each


def threads_of(fake: FakeBatch) -> int:
    return sum(thread.name.startswith(f"fakebatch:{fake.port}") for thread in threading.enumerate())


def test_connections_that_are_reset_at_once_cost_nobody_else(fake: FakeBatch) -> None:
    for sent in (b"", b"\x16", b"GET"):
        for _ in range(5):
            connection = connect(fake)
            connection.sendall(sent)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.close()
    assert answers(fake)


def test_a_thread_that_cannot_be_started_is_an_error_of_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError(f"can't start {thread.name!r}")

    before = descriptors()
    fake = FakeBatch(Image(id="img-a"))
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        with pytest.raises(ServerError, match=r"can't serve port \d+ of 127\.0\.0\.1: can't start"):
            fake.start()
    assert descriptors() == before
    with fake:
        assert answers(fake)


def test_sockets_may_be_forbidden_around_it(fake: FakeBatch) -> None:
    # By pytest-socket, which takes the place of socket.socket: where that raises, it must not be in the server.
    with contextlib.closing(connect_as_it_speaks(fake)) as connection:
        pytest_socket.disable_socket()
        try:
            with FakeBatch(Image(id="img-b")) as other:
                assert other.port != fake.port
            plain = socket.SocketType()
            plain.connect((fake.host, fake.port))
            plain.close()
            connection.sendall(GET)
            assert receive(connection).startswith(b"HTTP/1.1 200 OK")
        finally:
            pytest_socket.enable_socket()
    assert answers(fake)


def test_time_may_be_frozen_around_it() -> None:
    with freezegun.freeze_time("2020-01-01"), FakeBatch(Image(id="img-a")) as fake:
        assert answers(fake)
        # A connection on which nothing comes is dropped by the clock on the wall, not by that of the test.
        with pytest.MonkeyPatch.context() as patched, connect(fake) as connection:
            patched.setattr("fakebatch.wire.connection.IDLE_SECONDS", 0.05)
            connection.sendall(b"GET")
            assert receive(connection) == b""


forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
"""Later Pythons warn of any fork beside threads."""


def in_child(function: Callable[[], None]) -> None:
    """Run a function in a forked child that then ends as Python does. Fails if it raises."""
    child = multiprocessing.get_context("fork").Process(target=function)
    child.start()
    child.join(FOREVER)
    assert child.exitcode == 0


@forks
def test_a_forked_child_may_stop_reset_and_start_anew(fake: FakeBatch) -> None:
    def stop() -> None:
        fake.reset()
        fake.stop()
        with fake:
            assert answers(fake)

    def start_anew() -> None:
        port = fake.port
        assert fake.start().port != port
        assert answers(fake)
        fake.stop()

    def ask_the_parent() -> None:
        assert answers(fake)
        fake.images.remove("img-a")

    with connect_as_it_speaks(fake) as connection:
        connection.sendall(b"GET /images HTTP/1.1\r\n")
        for child in (stop, start_anew, ask_the_parent):
            in_child(child)
            assert answers(fake)
        connection.sendall(b"\r\n")
        assert receive(connection).startswith(b"HTTP/1.1 200 OK")
    assert "img-a" in fake.images


def run(program: str, *arguments: str) -> str:
    """Run a program in a process of its own, which may print nothing on stderr, and return what it prints."""
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=FOREVER, check=False)
    assert result.stderr == ""
    return result.stdout


def test_a_forked_child_may_use_what_the_parent_was_just_making() -> None:
    class Slow:
        def __deepcopy__(self, _: object) -> str:
            begun.set()
            go_on.wait(FOREVER)
            return "made"

    begun, go_on = threading.Event(), threading.Event()
    world = World(Baseline(expect=Slow()))
    making = threading.Thread(target=lambda: world.expect)
    making.start()
    assert begun.wait(FOREVER)
    context = multiprocessing.get_context("fork")
    other = World(Baseline(expect="made"))
    child = context.Process(target=lambda: sys.exit(other.expect != "made"), daemon=True)
    child.start()
    child.join(FOREVER)
    hangs = child.is_alive()
    child.kill()
    go_on.set()
    making.join(FOREVER)
    assert not hangs
    assert world.expect == "made"


def test_an_ordinary_exit_of_a_forked_child_leaves_the_parent_its_server_and_its_certificates() -> None:
    program = """
        import os, sys, ssl, urllib.request, warnings
        from fakebatch import FakeBatch
        warnings.simplefilter("ignore")  # later Pythons warn of any fork beside threads
        with FakeBatch(tls=True) as fake:
            path = fake.ca_bundle
            for _ in range(3):
                child = os.fork()
                if not child:
                    sys.exit()  # unwinds the with
                os.waitpid(child, 0)
            context = ssl.create_default_context(cafile=path)
            selector, turns = fake._server.selector, []
            select = selector.select
            selector.select = lambda timeout: turns.append(timeout) or select(timeout)
            for _ in range(50):
                urllib.request.urlopen(fake.url + "/images", context=context).read()
            assert len(turns) <= 50 * 8, f"it spins: {len(turns)} turns"  # a request takes four
        assert os.path.exists(path)
        print("done")
    """
    assert run(program) == "done\n"


@forks
def test_a_connection_of_the_parent_ends_though_a_forked_child_lives(fake: FakeBatch) -> None:
    with connect_as_it_speaks(fake) as connection:
        connection.sendall(b"GET /images HTTP/1.1\r\n")
        assert answers(fake)  # so that the one before was accepted
        context = multiprocessing.get_context("fork")
        end = context.Event()
        child = context.Process(target=end.wait, args=(FOREVER,))
        child.start()
        connection.sendall(b"\r\n")
        assert receive(connection).startswith(b"HTTP/1.1 200 OK")
        end.set()
        child.join(FOREVER)


def test_without_file_descriptors_it_pauses_and_recovers(fake: FakeBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answers(fake)
    server = fake._server
    assert server
    wait_until(lambda: not server.connections)
    select = server.selector.select
    has_found: list[bool] = []
    """Of each turn of the loop, whether there was something to do."""

    def watched(timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        found = select(timeout)
        has_found.append(bool(found))
        return found

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    waiting = [socket.socket() for _ in range(3)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() - 1, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            for _ in range(100):
                waiting.append(socket.socket())  # noqa: PERF401 - until it fails
        monkeypatch.setattr(server.selector, "select", watched)
        for connection in waiting[:3]:
            connection.settimeout(FOREVER)
            connection.connect((fake.host, fake.port))
            connection.sendall(b"GET")
        wait_until(lambda: has_found.count(False) >= 3)
        assert (True, True) not in itertools.pairwise(has_found), "it tries again without a pause"
        fake.show(fake.world)  # accepts who waits: it can't, and pauses already
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for connection in waiting:
            connection.close()
    assert answers(fake)


def test_a_listener_that_something_else_closed_is_told_at_the_next_use() -> None:
    fake = FakeBatch(Image(id="img-a")).start()
    server = fake._server
    assert server is not None
    os.close(server._listeners[0]._socket.fileno())
    with pytest.raises(ServerError, match="something else has closed the socket that it listened on"):
        _ = fake.url
    with fake:
        assert answers(fake)


def test_why_a_server_has_ended_is_told_whoever_notices_first() -> None:
    fake = FakeBatch(Image(id="img-a")).start()
    server = fake._server
    assert server is not None

    began = threading.Event()

    def notice_second() -> None:
        began.set()
        wait_until(lambda: server.is_stopping)
        raise OSError(errno.EBADF, "Bad file descriptor")

    server.run_soon(notice_second)
    assert began.wait(FOREVER)
    os.close(server._listeners[0]._socket.fileno())
    with pytest.raises(ServerError, match="something else has closed the socket that it listened on"):
        _ = fake.url


def test_a_listener_that_something_else_closes_while_it_is_used_is_told() -> None:
    fake = FakeBatch(Image(id="img-a")).start()
    server = fake._server
    assert server is not None
    descriptor = server._listeners[0]._socket.fileno()

    def use() -> None:
        os.close(descriptor)
        raise OSError(errno.EBADF, "Bad file descriptor")

    server.run_soon(use)
    wait_until(lambda: server.is_closed)
    with pytest.raises(ServerError, match="something else has closed the socket that it listened on"):
        _ = fake.url


def test_who_is_told_that_a_server_has_ended_may_start_anew_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeBatch(Image(id="img-a")).start()
    server = fake._server
    assert server is not None
    is_waited_for = threading.Event()
    close, stop = server._close, server.stop

    def close_late() -> None:
        is_waited_for.wait(FOREVER)
        close()

    def wait_for_the_end() -> None:
        is_waited_for.set()
        stop()

    monkeypatch.setattr(server, "_close", close_late)
    monkeypatch.setattr(server, "stop", wait_for_the_end)
    server.run_soon(lambda: 1 / 0)
    wait_until(lambda: bool(server.ended))
    with pytest.raises(ServerError, match=r"^this fake has ended: division by zero; call start\(\) to serve again$"):
        _ = fake.url
    assert server.is_closed
    is_waited_for.set()


def test_a_change_of_worlds_does_not_wait_for_a_server_whose_listener_something_else_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_module, "_STOP_SECONDS", 10 * FOREVER)
    fake = FakeBatch(Image(id="img-a")).start()
    assert fake._server is not None
    os.close(fake._server._listeners[0]._socket.fileno())
    change = threading.Thread(target=fake.show, args=(fake.world,), daemon=True)
    change.start()
    change.join(FOREVER)
    assert not change.is_alive()
    with pytest.raises(ServerError, match=r"^this fake has ended: "):
        fake.stop()


def test_who_waits_for_connections_to_be_dropped_is_let_go_when_the_server_ends_before_it_comes_to_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_module, "_STOP_SECONDS", 10 * FOREVER)
    with FakeBatch(Image(id="img-a")) as fake:
        server = fake._server
        assert server is not None
        run_soon = server.run_soon

        def run_too_late(function: Callable[[], object]) -> None:
            server.stop()
            run_soon(function)

        monkeypatch.setattr(server, "run_soon", run_too_late)
        waits = threading.Thread(target=server.hang_up, daemon=True)
        waits.start()
        waits.join(FOREVER)
        assert not waits.is_alive()


def test_256_clients_that_connect_at_once_are_all_accepted() -> None:
    with FakeBatch(Image(id="img-a")) as fake:
        go_on = threading.Event()
        connections = [socket.socket() for _ in range(256)]
        # The thread of the server is kept busy, so that all of them wait in the system's queue.
        assert fake._server is not None
        fake._server.run_soon(lambda: go_on.wait(FOREVER))
        for connection in connections:
            connection.setblocking(False)
            connection.connect_ex((fake.host, fake.port))
        for connection in connections:
            connection.settimeout(0.5)  # the system would try again only after a second
            connection.sendall(GET)
        go_on.set()
        for connection in connections:
            connection.settimeout(FOREVER)
            assert receive(connection).startswith(b"HTTP/1.1 200 OK")
            connection.close()


def test_300_slow_connections_need_no_threads_and_are_dropped_by_a_stop(fake: FakeBatch) -> None:
    context = client_context()
    slow = [connect_as_it_speaks(fake, context) for _ in range(300)]
    for connection in slow:
        connection.sendall(b"GET /images HTTP/1.1\r\n")
    assert answers(fake)
    assert threads_of(fake) <= 3
    fake.stop()
    for connection in slow:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            assert connection.recv(1) == b""
        connection.close()
    fake.start()
    assert answers(fake)


def test_a_get_with_a_large_chunked_body_gets_its_answer(fake: FakeBatch) -> None:
    with connect_as_it_speaks(fake) as connection:
        connection.sendall(b"GET /images HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n400000\r\n" + b"x" * 0x400000)
        connection.sendall(b"\r\n0\r\n\r\n")
        assert RESPONSE.fullmatch(receive(connection))


def test_an_outage_is_a_stop_and_a_start_on_the_same_ports() -> None:
    name = "batchcompute.cn-qingdao.aliyuncs.com"

    def ask(kind: type[http.client.HTTPConnection]) -> int:
        connection = kind(name, timeout=FOREVER)
        try:
            connection.request("GET", "/images")
            return connection.getresponse().status
        finally:
            connection.close()

    with FakeBatch(Image(id="img-a")) as fake, fake.redirect():
        both = (http.client.HTTPConnection, http.client.HTTPSConnection)
        port = fake.port
        for _ in range(2):
            assert [ask(kind) for kind in both] == [200, 200]
            tls_port = fake._ports[True]
            fake.stop()
            for kind in both:
                with pytest.raises(ConnectionRefusedError):
                    ask(kind)
            fake.start()
            assert (fake.port, fake._ports[True]) == (port, tls_port)
            socket.create_connection(("127.0.0.1", tls_port), FOREVER).close()  # nobody has asked for it yet


@pytest.mark.parametrize(
    "name",
    [
        b"x.example",
        b"batchcompute.\xff\xfe.aliyuncs.com",
        b"batchcompute.%b.aliyuncs.com" % (b"a" * 90),
        b"..",
        b"\xff\0",
    ],
)
def test_whatever_name_is_asked_for_gets_a_certificate_and_nothing_is_printed(
    name: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    placeholder = b"".join(b"." if number % 50 == 49 else b"n" for number in range(len(name)))
    with FakeBatch(Image(id="img-a"), tls=True) as fake, connect(fake) as connection:
        context = client_context()
        context.check_hostname = False
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname=placeholder.decode())
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = outgoing.read()
        assert placeholder in hello
        connection.sendall(hello.replace(placeholder, name))
        assert connection.recv(1) in (b"\x16", b"\x15")  # a handshake, or OpenSSL's own word on such a name
        assert answers(fake)
    assert capfd.readouterr().err == ""


def test_the_number_of_certificates_is_bounded() -> None:
    with FakeBatch(Image(id="img-a"), tls=True) as fake:
        for number in range(certificates.MOST_CONTEXTS + 10):
            name = f"batchcompute.region-{number}.aliyuncs.com"
            with client_context().wrap_socket(connect(fake), server_hostname=name) as connection:
                assert ("DNS", name) in connection.getpeercert()["subjectAltName"]  # type: ignore[index]
        assert certificates._context.cache_info().currsize == certificates.MOST_CONTEXTS


@pytest.mark.parametrize(("host", "asked"), [("127.0.0.2", "127.0.0.2"), ("[::1]", "::1"), ("0.0.0.0", "0.0.0.0")])
def test_the_certificate_is_good_for_the_url(host: str, asked: str) -> None:
    with FakeBatch(Image(id="img-a"), tls=True, host=host) as fake:
        assert fake.host == asked
        connection = http.client.HTTPSConnection(asked, fake.port, context=client_context(), timeout=FOREVER)
        connection.request("GET", "/images")
        assert connection.getresponse().status == 200
        connection.close()


def test_a_fake_that_lives_until_the_end_of_the_process_says_nothing_then() -> None:
    program = """
        from fakebatch import FakeBatch
        from fakebatch.wire.server import Server
        fake = FakeBatch().start()
        stopped = FakeBatch().start()
        stopped.stop()
        forever = [fake, stopped, Server]
        forever.append(forever)
        print("done")
    """
    assert run(program) == "done\n"


def test_fakes_that_start_at_once_have_one_authority() -> None:
    program = """
        import ssl, threading, urllib.request
        from fakebatch import FakeBatch
        fakes = [FakeBatch(tls=True) for _ in range(4)]
        threads = [threading.Thread(target=fake.start) for fake in fakes]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        context = ssl.create_default_context(cafile=fakes[0].ca_bundle)
        for fake in fakes: urllib.request.urlopen(fake.url + "/images", context=context).read()
        print(len({fake.ca_bundle for fake in fakes}))
    """
    assert run(program) == "1\n"


def test_truststore_may_be_injected_before_or_after() -> None:
    program = """
        import ssl, sys, truststore
        original = ssl.SSLContext
        if sys.argv[1] == "before": truststore.inject_into_ssl()
        from fakebatch import FakeBatch
        import fakebatch.wire.certificates
        truststore.inject_into_ssl()
        with FakeBatch(tls=True) as fake:
            truststore.extract_from_ssl()
            import urllib.request
            context = ssl.create_default_context(cafile=fake.ca_bundle)
            print(urllib.request.urlopen(fake.url + "/images", context=context).status)
    """
    for when in ("before", "after"):
        assert run(program, when) == "200\n"


@pytest.mark.parametrize("host", ["no.such.host", "a\0b"])
def test_a_host_that_does_not_exist_is_an_error_that_says_so(host: str) -> None:
    with pytest.raises(ServerError) as caught:
        FakeBatch(Image(id="img-a"), host=host).start()
    assert str(caught.value) == f"can't listen on port 0 of {host}: there is no such host"


@pytest.mark.parametrize("host", ["x y", "", "a\0b", "-x", "a" * 64])
def test_a_host_that_cannot_be_certified_is_an_error_that_says_so(host: str) -> None:
    with pytest.raises(ServerError) as caught:
        FakeBatch(Image(id="img-a"), host=host, tls=True).start()
    assert str(caught.value) == (
        f"there can be no certificate for the host {host!r}; "
        "write a name or an address such as 127.0.0.1, or 0.0.0.0 for all addresses"
    )


def exchange(fake: FakeBatch, raw: bytes, context: ssl.SSLContext | None) -> bytes:
    """Send all of it, half-close, and return what comes."""
    with connect_as_it_speaks(fake, context) as connection:
        connection.sendall(raw)
        if not isinstance(connection, ssl.SSLSocket):
            connection.shutdown(socket.SHUT_WR)
            return receive(connection)
        with contextlib.suppress(TimeoutError):
            # Its end is not told to the other side: what is no request to its end gets no answer.
            connection.settimeout(0.001)
            return receive(connection)
    return b""


@pytest.mark.parametrize(("tls", "number"), [(False, 2000), (True, 500)])
def test_mutated_requests_get_answers_and_leave_nothing_behind(
    tls: bool, number: int, capfd: pytest.CaptureFixture[str]
) -> None:
    source = random.Random(13)
    with FakeBatch(Image(id="img-a"), tls=tls) as fake:
        assert answers(fake)
        context = client_context() if tls else None
        gc.collect()  # what earlier tests have left
        before = descriptors(), threads_of(fake)
        for _ in range(10):
            for _ in range(number // 10):
                raw = mutated(source)
                answer = exchange(fake, raw, context)
                assert RESPONSE.fullmatch(answer) or (answer == b"" and (tls or not raw)), raw
                if tls and source.random() < 0.2:
                    with connect(fake) as noise, contextlib.suppress(OSError):
                        noise.sendall(raw)
                        noise.shutdown(socket.SHUT_WR)
                        receive(noise)
            assert answers(fake)
        assert fake._server is not None
        wait_until(lambda: not fake._server.connections)  # type: ignore[union-attr]
        wait_until(lambda: (descriptors(), threads_of(fake)) == before)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("tls", "cycles"), [(False, 200), (True, 50)])
def test_starting_and_stopping_leaves_nothing_behind(tls: bool, cycles: int) -> None:
    fake = FakeBatch(Image(id="img-a"), tls=tls)

    def cycle() -> None:
        with fake:
            assert answers(fake)
        fake.reset()

    def left() -> tuple[int, int, int, int]:
        gc.collect()
        # Ours alone: what measures the coverage keeps something of each thread.
        count = sum(str(type(each).__module__).startswith("fakebatch.") for each in gc.get_objects())
        threads = sum(thread.name.startswith("fakebatch:") for thread in threading.enumerate())
        return descriptors(), threads, certificates._context.cache_info().currsize, count

    cycle()
    before = left()
    for _ in range(cycles):
        cycle()
    assert left() == before


def test_many_threads_may_start_and_stop_it(fake: FakeBatch) -> None:
    def outage(_: int) -> None:
        fake.stop()
        fake.start()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(outage, range(20)))
    assert answers(fake)


class Failing:
    """A socket that listens, and whose `accept` fails with these errors first."""

    def __init__(self, real: Any, *errors: int) -> None:
        self._real = real
        self._errors = list(errors)

    def _accept(self) -> Any:
        if self._errors:
            number = self._errors.pop(0)
            raise OSError(number, os.strerror(number))
        return self._real._accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def failing(fake: FakeBatch, *errors: int) -> Failing:
    assert fake._server
    (listener,) = fake._server._listeners
    broken = Failing(listener._socket, *errors)
    listener._socket = broken  # type: ignore[assignment]  # it has what is used
    return broken


def test_a_client_that_has_gone_before_it_was_accepted_costs_nobody_else(fake: FakeBatch) -> None:
    failing(fake, errno.ECONNABORTED)
    assert answers(fake)


@pytest.mark.parametrize("hangs_up", [False, True])
def test_a_shortage_passes_and_then_it_accepts_again(
    fake: FakeBatch, monkeypatch: pytest.MonkeyPatch, hangs_up: bool
) -> None:
    monkeypatch.setattr("fakebatch.wire.server.PAUSE_SECONDS", 0.02)
    failing(fake, errno.EMFILE, errno.ENFILE)
    if hangs_up:
        fake.show(fake.world)
        fake.show(fake.world)
    assert answers(fake)


def test_a_listener_that_fails_for_good_ends_it_and_the_next_use_says_so() -> None:
    fake = FakeBatch().start()
    url = fake.url
    failing(fake, errno.EINVAL)
    with pytest.raises(OSError), urllib.request.urlopen(f"{url}/images", timeout=FOREVER):
        pass
    server = fake._server
    assert server
    wait_until(lambda: server.is_closed)
    fake.show(fake.world)  # there is nobody to hang up on
    with pytest.raises(ServerError, match="something else has closed the socket that it listened on"):
        fake.url  # noqa: B018 - it raises
    with fake.start():
        assert answers(fake)


def test_a_listener_that_was_closed_during_a_pause_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakebatch.wire.server.PAUSE_SECONDS", 0.5)
    fake = FakeBatch().start()
    server = fake._server
    assert server
    (listener,) = server._listeners
    real = failing(fake, errno.EMFILE)._real
    with socket.create_connection(("127.0.0.1", fake.port), FOREVER):
        wait_until(lambda: not listener._accepts)
        os.close(real.fileno())
        wait_until(lambda: server.is_closed)
    with pytest.raises(ServerError, match="something else has closed the socket that it listened on"):
        fake.start()


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EACCES, "it needs privileges; choose a port above 1023 (0 picks a free one)"),
        (errno.EMFILE, "Too many open files"),
    ],
)
def test_why_it_cannot_listen_is_said(monkeypatch: pytest.MonkeyPatch, number: int, reason: str) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fakebatch.wire.server.SocketType", refuse)
    with pytest.raises(ServerError) as caught:
        FakeBatch().start()
    assert str(caught.value) == f"can't listen on port 0 of 127.0.0.1: {reason}"


@forks
def test_a_forked_child_that_needs_a_port_more_is_told_to_start(fake: FakeBatch) -> None:
    def ask_for_both() -> None:
        with pytest.raises(ServerError) as caught:
            fake._plain_port() + fake._tls_port()
        assert str(caught.value) == (
            "this fake runs in the process that this one was forked from; call start() to serve here"
        )

    in_child(ask_for_both)
    assert answers(fake)


def test_a_callback_that_would_end_the_process_ends_nothing() -> None:
    def leave(_: Call) -> None:
        sys.exit(3)

    with FakeBatch(on_call=leave) as fake:
        assert answers(fake)
        with pytest.raises(SystemExit):
            fake.check()


def test_what_fails_beyond_an_operation_is_told_as_well() -> None:
    with FakeBatch(clock=lambda: datetime.max) as fake:
        with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(f"{fake.url}/images"):
            pass
        with caught.value as error:
            assert error.code == 500
        with pytest.raises((OverflowError, ValueError)):
            fake.check()
