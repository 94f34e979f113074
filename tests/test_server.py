"""The server, over real sockets: how it starts and stops, and what it makes of clients that misbehave."""

import http.client
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from effort import EFFORT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from waiting import FOREVER, wait_until

from fakebatch import FakeBatch, ServerError
from fakebatch.wire import connection as connection_module


@pytest.fixture
def fake() -> Iterator[FakeBatch]:
    with FakeBatch() as started:
        yield started


def talk(fake: FakeBatch, *parts: bytes, half_close: bool = False) -> bytes:
    """Send raw bytes and return everything that comes back."""
    with socket.create_connection((fake.host, fake.port), FOREVER) as connection:
        for part in parts:
            connection.sendall(part)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while data := connection.recv(65536):
            received += data
    return received


def status_of(response: bytes) -> int:
    return int(response.split(b" ", 2)[1])


def connection_is_open(connection: socket.socket) -> bool:
    """Wait for the other side to end a connection."""
    connection.settimeout(FOREVER)
    try:
        return connection.recv(1) != b""
    except ConnectionError:
        return False


def test_the_response_is_http_1_1_and_ends_the_connection(fake: FakeBatch) -> None:
    head, _, body = talk(fake, b"GET /images HTTP/1.1\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert [line for line in lines if line.lower().startswith("connection")] == ["Connection: close"]
    assert [line for line in lines if line.lower().startswith("server")] == ["Server: AliyunBatchCompute"]
    assert len([line for line in lines if line.lower().startswith("date")]) == 1
    assert f"Content-Length: {len(body)}" in lines


def test_an_error_has_the_status_line_of_the_reference(fake: FakeBatch) -> None:
    assert talk(fake, b"GET /nothing HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_it_listens_on_a_free_port_of_127_0_0_1() -> None:
    with FakeBatch() as one, FakeBatch() as two:
        assert one.host == two.host == "127.0.0.1"
        assert one.port != two.port
        assert one.url == f"http://127.0.0.1:{one.port}"


def test_it_can_listen_on_ipv6() -> None:
    with FakeBatch(host="::1") as fake:
        assert fake.url == f"http://[::1]:{fake.port}"
        connection = http.client.HTTPConnection("::1", fake.port, timeout=FOREVER)
        connection.request("GET", "/images")
        assert connection.getresponse().status == 200
        connection.close()


def test_a_port_in_use_is_an_error_that_names_it(fake: FakeBatch) -> None:
    with pytest.raises(ServerError) as caught:
        FakeBatch(port=fake.port).start()
    assert str(caught.value) == (
        f"can't listen on port {fake.port} of 127.0.0.1: "
        "it is in use; stop what uses it, or choose another port (0 picks a free one)"
    )


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("127.0.0.1", 65536, "can't listen on port 65536 of 127.0.0.1: a port is a number from 0 to 65535"),
        ("127.0.0.1", -1, "can't listen on port -1 of 127.0.0.1: a port is a number from 0 to 65535"),
        ("192.0.2.1", 0, "can't listen on port 0 of 192.0.2.1: Cannot assign requested address"),
    ],
)
def test_an_address_that_does_not_work_is_an_error_that_names_it(host: str, port: int, message: str) -> None:
    with pytest.raises(ServerError) as caught:
        FakeBatch(host=host, port=port).start()
    assert str(caught.value) == message


def test_what_needs_a_running_server_says_so() -> None:
    fake = FakeBatch()
    for attribute in ("url", "host", "port"):
        with pytest.raises(ServerError) as caught:
            getattr(fake, attribute)
        assert str(caught.value) == "this fake is not started; use it in a with statement, or call start()"


def test_it_can_be_started_again_and_starting_twice_is_starting_once() -> None:
    fake = FakeBatch().start()
    assert fake.start().port == fake.port
    fake.stop()
    fake.stop()
    with fake:
        assert status_of(talk(fake, b"GET /images HTTP/1.1\r\n\r\n")) == 200


def test_after_stop_nothing_listens_and_the_port_is_free() -> None:
    fake = FakeBatch().start()
    port = fake.port
    fake.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), FOREVER)
    with FakeBatch(port=port) as again:
        assert again.port == port


@pytest.mark.parametrize("sent", [b"", b"GET /images HT", b"POST /images HTTP/1.1\r\nContent-Length: 100\r\n\r\n{"])
def test_stop_ends_connections_that_clients_hold_open(sent: bytes) -> None:
    fake = FakeBatch().start()
    with socket.create_connection((fake.host, fake.port), FOREVER) as connection:
        connection.sendall(sent)
        # The one behind it is answered, so the one before has been accepted.
        talk(fake, b"GET /images HTTP/1.1\r\n\r\n")
        fake.stop()
        assert not connection_is_open(connection)


def threads_of(fake: FakeBatch) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"fakebatch:{fake.port}"]


def test_stop_leaves_no_thread_behind_not_even_one_that_delays_its_answer() -> None:
    fake = FakeBatch().start()
    fake.on("GetImage").delay(3600)
    talk(fake, b"GET /images HTTP/1.1\r\n\r\n")
    with socket.create_connection((fake.host, fake.port), FOREVER) as connection:
        connection.sendall(b"GET /images/img-a HTTP/1.1\r\n\r\n")
        wait_until(lambda: not fake.unused_steps)
        threads = threads_of(fake)
        assert threads
        fake.stop()
        for thread in threads:
            thread.join(FOREVER)
            assert not thread.is_alive()


def test_a_header_with_an_underscore_does_not_pass_for_one_with_a_hyphen(fake: FakeBatch) -> None:
    assert status_of(talk(fake, b"GET /images HTTP/1.1\r\nx_acs_version: 1\r\n\r\n")) == 200
    assert status_of(talk(fake, b"GET /images HTTP/1.1\r\nx-acs-version: 1\r\n\r\n")) == 403


def test_interpreter_exit_does_not_wait_for_a_client() -> None:
    program = """
        import socket
        from fakebatch import FakeBatch
        fake = FakeBatch().start()
        connection = socket.create_connection((fake.host, fake.port))
        connection.sendall(b"POST /images HTTP/1.1\\r\\nContent-Length: 9\\r\\n\\r\\n")
        second = socket.create_connection((fake.host, fake.port))
        second.sendall(b"GET /images HTTP/1.1\\r\\n\\r\\n")
        assert second.recv(8) == b"HTTP/1.1"
        print("done", flush=True)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=FOREVER, check=False
    )
    assert (result.stdout, result.returncode) == ("done\n", 0), result.stderr


def test_an_idle_connection_is_dropped_without_a_word(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert connection_module.IDLE_SECONDS == 30.0
    monkeypatch.setattr(connection_module, "IDLE_SECONDS", 0.05)
    with FakeBatch() as fake, socket.create_connection((fake.host, fake.port), FOREVER) as connection:
        connection.sendall(b"GET /images HTTP/1.1\r\n")
        assert not connection_is_open(connection)
    assert caplog.messages == []


def test_a_slow_client_does_not_hold_up_others(fake: FakeBatch) -> None:
    slow = [socket.create_connection((fake.host, fake.port), FOREVER) for _ in range(40)]
    for connection in slow:
        connection.sendall(b"GET /images HTTP/1.1\r\n")
    assert status_of(talk(fake, b"GET /images HTTP/1.1\r\n\r\n")) == 200
    for connection in slow:
        connection.sendall(b"\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
        connection.close()


def test_requests_are_answered_at_once(fake: FakeBatch) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: status_of(talk(fake, b"GET /images HTTP/1.1\r\n\r\n")), range(200)))
    assert answers == [200] * 200
    assert len(fake.calls) == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET /images HTTP/2.0\r\n\r\n", 505),
        (b"GET /images HTTP/x\r\n\r\n", 400),
        (b"GET /images SMTP/1.1\r\n\r\n", 400),
        (b"one two three four\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /images HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET /images HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", 431),
    ],
)
def test_what_is_not_http_is_refused_in_the_service_s_form(fake: FakeBatch, sent: bytes, status: int) -> None:
    response = talk(fake, sent)
    head, _, body = response.partition(b"\r\n\r\n")
    assert status_of(response) == status
    assert b"x-acs-request-id: " in head
    assert body == b'{"Code":"InvalidUrlPattern","Message":"Specified url pattern contains some illegal words."}'


@pytest.mark.parametrize(
    ("head", "body", "message"),
    [
        (b"Content-Length: x", b"", "The header Content-Length must be a number."),
        (b"Content-Length: -1", b"", "The header Content-Length must be a number."),
        (b"Content-Length: 5", b"{}", "It ended before its announced length."),
        (b"Transfer-Encoding: chunked", b"zz\r\n{}\r\n", "It ended before its announced length."),
        (b"Content-Length: 99999999", b"", "Its length must be in [0, 262144]."),
    ],
)
def test_a_badly_framed_body_is_refused(fake: FakeBatch, head: bytes, body: bytes, message: str) -> None:
    response = talk(fake, b"POST /images HTTP/1.1\r\n" + head + b"\r\n\r\n" + body, half_close=True)
    assert status_of(response) == 400
    assert f'"Specified parameter HttpBody is not valid. {message}"'.encode() in response


def test_a_chunked_body_is_read(fake: FakeBatch) -> None:
    parts = [b'{"EcsImageId": "m-1", ', b'"Platform": "Linux"}', b""]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    response = talk(fake, b"POST /images HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert status_of(response) == 201


def test_without_a_content_length_there_is_no_body(fake: FakeBatch) -> None:
    assert b"InvalidJsonFormat" in talk(fake, b"POST /images HTTP/1.1\r\n\r\n")


def test_a_client_that_sends_too_much_still_gets_the_answer(fake: FakeBatch) -> None:
    body = b" " * 5_000_000
    response = talk(fake, b"POST /images HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body), body)
    assert b"Its length must be in [0, 262144]." in response


def test_a_client_that_asks_whether_to_go_on_is_told_so(fake: FakeBatch) -> None:
    body = b'{"EcsImageId": "m-1", "Platform": "Linux"}'
    head = b"POST /images HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection((fake.host, fake.port), FOREVER) as connection:
        connection.sendall(head)
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(12) == b"HTTP/1.1 201"


def test_a_response_to_head_has_no_body(fake: FakeBatch) -> None:
    assert talk(fake, b"HEAD /images HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")


def test_a_client_that_goes_away_leaves_no_traceback(fake: FakeBatch, capfd: pytest.CaptureFixture[str]) -> None:
    for sent in (b"", b"GET", b"GET /images HTTP/1.1\r\n\r\n", b"POST /images HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"):
        connection = socket.create_connection((fake.host, fake.port), FOREVER)
        connection.sendall(sent)
        connection.close()
    talk(fake, b"GET /images HTTP/1.1\r\n\r\n")
    fake.stop()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("lingers", [b"\0\0\0\0\0\0\0\0", b"\1\0\0\0\0\0\0\0"], ids=["in order", "by a reset"])
def test_what_a_client_asked_for_is_done_and_recorded_though_it_goes_away_during_a_delay(
    fake: FakeBatch, lingers: bytes
) -> None:
    fake.on("DeleteImage").delay(0.1)
    with socket.create_connection((fake.host, fake.port), FOREVER) as connection:
        connection.sendall(b"DELETE /images/img-23jkhds HTTP/1.1\r\n\r\n")
        wait_until(lambda: not fake.unused_steps)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingers)
    wait_until(lambda: bool(fake.calls))
    assert fake.calls[0].status == 204
    assert "img-23jkhds" not in fake.images


@settings(max_examples=60 * EFFORT, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([b"", b"GET ", b"GET /images", b"GET /images HTTP/1.1\r\n", b"X: "]), st.binary(max_size=300))
def test_whatever_is_sent_gets_an_answer(fake: FakeBatch, beginning: bytes, rest: bytes) -> None:
    response = talk(fake, beginning + rest + b"\r\n\r\n", half_close=True)
    assert response.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4", b"HTTP/1.1 505"))
