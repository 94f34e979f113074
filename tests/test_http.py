"""Reading requests and writing responses, as functions: no sockets here."""

import random
import re

import pytest
from mutated_requests import mutated

from fakebatch.wire.http import CONTINUE, RequestReader, Response

LIMIT = 1000


def read(raw: bytes, *, end: bool = True, limit: int = LIMIT) -> RequestReader:
    reader = RequestReader(limit)
    if raw:
        reader.feed(raw)
    if end:
        reader.feed(b"")
    return reader


def outcome(reader: RequestReader) -> object:
    """What a server makes of it."""
    if reader.refused or reader.silent:
        return reader.refused, reader.silent
    return {**reader.environ, "wsgi.input": reader.environ["wsgi.input"].getvalue()}


def test_a_request_is_a_wsgi_environment() -> None:
    reader = read(b"GET /images/a%20b?x=%20 HTTP/1.1\r\nHost: h\r\nX-A: 1 \r\nX-A: 2\r\nx_b: 3\r\n\r\n", end=False)
    assert reader.ended
    assert reader.whole
    assert outcome(reader) == {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/images/a%20b?x=%20",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/images/a b",
        "QUERY_STRING": "x=%20",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "h",
        "HTTP_X_A": "1,2",
        "wsgi.input": b"",
    }


@pytest.mark.parametrize("rest", [b"GET / HTTP/1.1\r\n\r\n", b"noise"])
@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"])
def test_what_comes_after_the_request_is_noticed_and_let_go(rest: bytes, close: bytes) -> None:
    reader = read(b"GET /first HTTP/1.1\r\n" + close + b"\r\n" + rest, end=False)
    assert reader.environ["PATH_INFO"] == "/first"
    assert not reader.refused
    assert not reader.whole


@pytest.mark.parametrize("upgrade", [b"h2c", b"TLS/1.2"])
@pytest.mark.parametrize(
    "framing", [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
)
def test_an_upgrade_that_is_asked_for_is_passed_over(upgrade: bytes, framing: bytes) -> None:
    raw = b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n" + framing
    for split in range(1, len(raw) + 1):
        reader = RequestReader(LIMIT)
        assert reader.feed(raw[:split]) == (split == len(raw))
        assert split == len(raw) or reader.feed(raw[split:])
        assert reader.whole
        assert reader.environ["wsgi.input"].read() == b"hello"


def test_trailers_are_no_headers() -> None:
    reader = read(
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n0\r\nX-Late: 1\r\n\r\n", end=False
    )
    assert reader.whole
    assert "HTTP_X_LATE" not in reader.environ
    assert reader.environ["wsgi.input_terminated"]


@pytest.mark.parametrize(
    "raw",
    [
        b"POST / HTTP/1.1\r\nX: y\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\nX: y\r\n\r\nab",
        b"POST / HTTP/1.1\r\nContent-Length: 2\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nX: y\r\nTransfer-Encoding: gzip\r\n\r\nab",
        b"POST / HTTP/1.1\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nX: y\r\nContent-Length: 5\r\n\r\nab",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_a_badly_framed_body_leaves_the_request_readable(raw: bytes, size: int) -> None:
    reader = RequestReader(LIMIT)
    for at in range(0, len(raw), size):
        reader.feed(raw[at : at + size])
    reader.feed(b"")
    assert not reader.refused
    assert reader.environ["HTTP_X"] == "y"
    assert reader.environ["fakebatch.incomplete"] is True


@pytest.mark.parametrize("framing", [b"Content-Length: 5000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n1388\r\n"])
def test_of_too_large_a_body_the_limit_and_a_byte_are_kept(framing: bytes) -> None:
    reader = read(b"POST / HTTP/1.1\r\n" + framing + b"x" * 4000, end=False)
    assert reader.ended
    assert not reader.whole
    assert len(reader.environ["wsgi.input"].read()) == LIMIT + 1
    assert "fakebatch.incomplete" not in reader.environ


def test_a_client_is_told_to_go_on_unless_its_body_is_too_large_or_there() -> None:
    head = b"POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: %d\r\n\r\n"
    assert read(head % 5, end=False).awaits_continue
    assert not read(head % 5 + b"a", end=False).awaits_continue
    too_large = read(head % 5000, end=False)
    assert too_large.ended
    assert not too_large.awaits_continue
    assert not read((head % 5).replace(b"1.1", b"1.0"), end=False).awaits_continue
    assert CONTINUE.endswith(b"\r\n\r\n")


def test_what_never_gets_to_its_end_is_limited() -> None:
    for beginning, status in (
        (b"GET /", 414),
        (b"GET / HTTP/1.1\r\nX: ", 431),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\nX: ", 431),
    ):
        reader = read(beginning, end=False)
        assert any(reader.feed(b"x" * 1000) for _ in range(1000))
        assert reader.refused == status
    for chunks in (b"1;" + b"x" * 1000, b"0\r\nX: " + b"x" * 1000):
        reader = read(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, end=False)
        assert any(reader.feed(b"x" * 1000) for _ in range(1000))
        assert reader.environ["fakebatch.incomplete"] is True


def test_20000_mutated_requests_are_requests_or_refused() -> None:
    source = random.Random(11)
    statuses = set()
    for _ in range(20_000):
        raw = mutated(source)
        reader = read(raw)
        assert reader.ended, raw
        statuses.add(reader.refused)
        if not (reader.refused or reader.silent):
            assert {"REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "wsgi.input"} <= reader.environ.keys(), raw
            assert len(reader.environ["wsgi.input"].getvalue()) <= LIMIT + 1
    assert {0, 400, 431, 505} <= statuses


def test_a_request_is_the_same_however_it_is_split() -> None:
    source = random.Random(12)
    for _ in range(2_000):
        raw = mutated(source)
        split = RequestReader(LIMIT)
        at = 0
        while at < len(raw):
            size = source.randint(1, 40)
            split.feed(raw[at : at + size])
            at += size
        split.feed(b"")
        assert outcome(split) == outcome(read(raw)), raw


def test_a_response_is_bytes() -> None:
    response = Response(has_body=True)
    write = response.start("200 OK", [("A", "b")])
    write(b"1")
    response.take([b"2", b"3"])
    assert response.whole() == (b"HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n", b"123")


def test_a_response_to_head_has_no_body() -> None:
    response = Response(has_body=False)
    response.start("200 OK", [])
    response.take([b"body"])
    assert response.whole()[1] == b""


def test_a_cut_response_ends_before_its_end() -> None:
    response = Response(has_body=True)
    assert response.cut() == (b"", b"")
    response.start("204 No Content", [])
    head, body = response.cut()
    assert head
    assert not body
    assert not re.search(b"\r\n\r\n", head)
    response.take([b"half"])
    assert response.cut() == (response.whole()[0], b"half")


def test_an_application_that_does_not_begin_its_response_is_told() -> None:
    with pytest.raises(RuntimeError, match="start_response"):
        Response(has_body=True).whole()


def test_a_mistake_of_our_own_is_no_mistake_of_the_client_s() -> None:
    class Mistaken(RequestReader):
        def on_url(self, part: bytes) -> None:
            raise ZeroDivisionError(part)

    with pytest.raises(ZeroDivisionError):
        Mistaken(1000).feed(b"GET / HTTP/1.1\r\n\r\n")


def test_a_name_and_a_password_in_the_target_are_no_part_of_the_host() -> None:
    assert read(b"GET http://me:secret@host:80/images HTTP/1.1\r\n\r\n").environ["HTTP_HOST"] == "host:80"
