"""HTTP/1.0 and 1.1 as functions: bytes to a request, a response to bytes. Knows no socket, no clock, no BatchCompute.

llhttp reads the requests. What is our own is where it stops: limits, versions, a second request after the first, and
what to make of a body that is badly framed.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote_to_bytes, urlsplit

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MOST_TARGET_BYTES = 64 * 1024
MOST_HEADERS = 100
MOST_HEADER_BYTES = 64 * 1024
"""The limits of a head: its target, its headers in number, and all of them together in bytes."""
MOST_IDLE_BYTES = 64 * 1024
"""How much may come of a chunked body, extensions and trailers, without a byte of its content."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_FRAMING = re.compile(rb"^(content|transfer)-(length|encoding)(?=[ \t]*:)", re.IGNORECASE | re.MULTILINE)
_HIDDEN = b"!"
"""Stands in the names of the headers that frame a body, where llhttp is to read over them."""


class _StopParsing(Exception):  # noqa: N818 - no error: it ends the parser, which has no other way to be stopped
    """Raised in a callback of the parser once nothing more is wanted of it."""


@lru_cache(maxsize=256)
def _environ_name(header: bytes) -> str:
    """Return a header's name in a WSGI environment; "" for one with an underscore, which would pass for another."""
    if b"_" in header:
        return ""
    name = header.decode("latin-1").upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"


class RequestReader:
    """Reads one request, and leaves it in `environ`, a WSGI environment without what only a server knows.

    `most_body_bytes` and one byte more are kept of a body; of one for a path that begins as the first of `larger`, so
    many as the second. A body that ended early or was badly framed has `environ["fakebatch.incomplete"]`; too large a
    one has not.
    """

    def __init__(self, most_body_bytes: int, larger: tuple[str, int] | None = None) -> None:
        self.environ: WSGIEnvironment = {}
        self.ended: bool = False
        """Whether nothing more is needed: there is a request, or a refusal, or the client left without a word."""
        self.refused: int = 0
        """The status with which to refuse what is no HTTP; 0 if it is."""
        self.silent: bool = False
        """Whether the client ended without having sent a byte."""
        self.awaits_continue: bool = False
        """Whether the client waits for `CONTINUE` before it sends its body."""
        self.whole: bool = False
        """Whether the request was read to its end, and nothing came after it."""
        self._most_body_bytes = most_body_bytes
        self._larger = larger
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._head = bytearray()
        self._head_is_read = False
        self._framing_is_hidden = False
        self._target = b""
        self._headers = self._header_bytes = 0
        self._upgrades = False
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._idle_bytes = 0
        self._incomplete = False

    @property
    def is_head(self) -> bool:
        """Whether the method is HEAD, also of a request that is refused: its response has no body."""
        return self._head.startswith(b"HEAD ")

    def feed(self, data: bytes) -> bool:
        """Take what was received; b"" if the client has ended its side. Return whether it has ended."""
        if self.ended:
            self.whole = self.whole and not data
        elif not data:
            self._end_early()
        elif self._head_is_read:
            self._feed_body(data)
        else:
            self._feed_head(data)
        if self.ended:
            self._parser = None  # they hold each other
        return self.ended

    def _end_early(self) -> None:
        if self._head_is_read:
            self._incomplete = True
            self._finish()
        elif self._head:
            self._end(400)
        else:
            self.silent = True
            self._end(0)

    def _feed_head(self, data: bytes) -> None:
        self._head += data
        if self._head[0] in b"\r\n":  # llhttp would wait for what comes after it
            self._end(400)
        elif self._framing_is_hidden:
            self._reread()
        else:
            self._parse(data)
        if not self.ended and not self._head_is_read and len(self._head) > MOST_TARGET_BYTES + MOST_HEADER_BYTES:
            self._end(431)

    def _feed_body(self, data: bytes) -> None:
        before = self._body_bytes
        self._parse(data)
        self._idle_bytes = self._idle_bytes + len(data) if self._body_bytes == before else 0
        if not self.ended and self._idle_bytes > MOST_IDLE_BYTES:
            self._incomplete = True
            self._finish()

    def _parse(self, data: bytes) -> None:
        parser = self._parser
        assert parser is not None  # noqa: S101 - for the type checker: it is there until the end
        try:
            parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            if self.ended:  # it has no body
                self.whole = not rest
            else:
                self._ignore_upgrade(rest)
        except HttpParserError as error:
            if self.ended:  # stopped by us, or something came after the request
                self.whole = False
                return
            if isinstance(error, HttpParserCallbackError) and error.__context__:
                raise error.__context__ from None  # a mistake of our own in a callback
            self._fail()

    def _fail(self) -> None:
        """Make of what llhttp does not read a request without its body, or a refusal."""
        if self._head_is_read:
            self._incomplete = True
            self._finish()
        elif not self._framing_is_hidden and _FRAMING.search(self._head):
            self._framing_is_hidden = True
            self._reread()
        else:
            self._end(400)

    def _reread(self) -> None:
        """Read the head again without the headers that frame the body: one of them may be all that is wrong.

        What the application is told, and the client by it, is then what is wrong with the body.
        """
        end = self._head.find(b"\r\n\r\n") + 4
        if end < 4:
            return  # it has not been received to its end
        self.environ, self._target, self._headers, self._header_bytes = {}, b"", 0, 0
        self._parser = HttpRequestParser(self)
        self._parse(_FRAMING.sub(rb"\1" + _HIDDEN + rb"\2", bytes(self._head[:end])))

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Go on after a head that asks for another protocol, at which llhttp stops: another parser reads the body."""
        self._upgrades = False
        framing = "".join(
            f"{name}: {self.environ[key]}\r\n"
            for name, key in (("Content-Length", "CONTENT_LENGTH"), ("Transfer-Encoding", "HTTP_TRANSFER_ENCODING"))
            if key in self.environ
        )
        self._parser = HttpRequestParser(_BodyOnly(self))
        self._parse(b"POST / HTTP/1.1\r\n" + framing.encode("latin-1") + b"\r\n" + rest)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Begin the request, or stop at another one after it."""
        if self.ended:
            self.whole = False
            raise _StopParsing

    def on_url(self, part: bytes) -> None:
        """Take a part of the target."""
        self._target += part
        if len(self._target) > MOST_TARGET_BYTES:
            self._refuse(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. One that is there several times is one, with commas."""
        if self._head_is_read:
            return  # a trailer
        self._headers += 1
        self._header_bytes += len(name) + len(value) + 4
        if self._headers > MOST_HEADERS or self._header_bytes > MOST_HEADER_BYTES:
            self._refuse(431)
        if self._framing_is_hidden:
            name = name.replace(_HIDDEN, b"-")
        key = _environ_name(name)
        if key:
            text = value.decode("latin-1").rstrip(" \t")
            self.environ[key] = f"{self.environ[key]},{text}" if key in self.environ else text

    def on_headers_complete(self) -> None:
        """Take the head as a whole."""
        parser, environ = self._parser, self.environ
        assert parser is not None  # noqa: S101 - as above
        version = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self._refuse(505)
        target = self._target.decode("latin-1")
        path, _, query = target.partition("?")
        if not target.startswith("/"):
            try:
                parts = urlsplit(target)
            except ValueError:
                self._refuse(400)
            path, query = parts.path, parts.query
            if parts.netloc:
                environ["HTTP_HOST"] = parts.netloc.rpartition("@")[2]
        if "%" in path:
            path = unquote_to_bytes(path.encode("latin-1")).decode("latin-1")
        environ["REQUEST_METHOD"] = parser.get_method().decode("latin-1")
        environ["REQUEST_URI"] = target
        environ["SCRIPT_NAME"] = ""
        environ["PATH_INFO"] = path
        environ["QUERY_STRING"] = query
        environ["SERVER_PROTOCOL"] = f"HTTP/{version}"
        self._head_is_read = True
        if self._framing_is_hidden:
            self._incomplete = True
            self._finish()
            raise _StopParsing
        length, chunked = environ.get("CONTENT_LENGTH", "0"), "HTTP_TRANSFER_ENCODING" in environ
        if length != "0" or chunked:
            if self._larger and path.startswith(self._larger[0]):
                self._most_body_bytes = self._larger[1]
            self._upgrades = parser.should_upgrade()
            if environ.get("HTTP_EXPECT", "").lower() == "100-continue" and version == "1.1":
                if int(length) > self._most_body_bytes:
                    self._finish()
                    raise _StopParsing
                self.awaits_continue = True

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        if not self._body:
            self.awaits_continue = False
        self._body.append(data)
        self._body_bytes += len(data)
        if self._body_bytes > self._most_body_bytes:
            self._finish()
            raise _StopParsing

    def on_message_complete(self) -> None:
        """Take the request as a whole. Where it asks for another protocol, its body is still to come."""
        if not self._upgrades:
            self.whole = True
            self._finish()

    def _refuse(self, status: int) -> NoReturn:
        self._end(status)
        raise _StopParsing

    def _finish(self) -> None:
        """Make the environment complete: there is a request."""
        environ = self.environ
        body = b"".join(self._body)[: self._most_body_bytes + 1]
        environ["wsgi.input"] = BytesIO(body)
        if "HTTP_TRANSFER_ENCODING" in environ:
            environ["wsgi.input_terminated"] = True
        length = environ.get("CONTENT_LENGTH", "")
        too_large = self._body_bytes > self._most_body_bytes or (
            length.isdecimal() and int(length[:20]) > self._most_body_bytes
        )
        if self._incomplete and not too_large:
            environ["fakebatch.incomplete"] = True
        self._end(0)

    def _end(self, refused: int) -> None:
        self.ended = True
        self.awaits_continue = False
        self.refused = refused


class _BodyOnly:
    """Leads to a reader what a parser finds of a body."""

    def __init__(self, reader: RequestReader) -> None:
        self.on_body = reader.on_body
        self.on_message_begin = reader.on_message_begin
        self.on_message_complete = reader.on_message_complete


class Response:
    """Collects what a WSGI application answers, and makes bytes of it: a head, and a body that may be sent later."""

    def __init__(self, *, has_body: bool) -> None:
        self._has_body = has_body
        self._head = b""
        self._body: list[bytes] = []

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:  # noqa: ARG002 - WSGI's
        """Take status and headers: WSGI's `start_response`."""
        lines = [f"HTTP/1.1 {status}", *[f"{name}: {value}" for name, value in headers], "Connection: close", "\r\n"]
        self._head = "\r\n".join(lines).encode("latin-1")
        return self._body.append

    def take(self, content: Iterable[bytes]) -> None:
        """Take the body, and close it as WSGI has it. What was handed over before an exception is kept."""
        try:
            for part in content:
                self._body.append(part)
        finally:
            close = getattr(content, "close", None)
            if close:
                close()

    def whole(self) -> tuple[bytes, bytes]:
        """Return head and body. Raises RuntimeError if the application has not begun its response."""
        if not self._head:
            raise RuntimeError("the application returned without a call of start_response")
        return self._head, b"".join(self._body) if self._has_body else b""

    def cut(self) -> tuple[bytes, bytes]:
        """Return head and body of a response that breaks off: after what there is of the body, or within the head."""
        body = b"".join(self._body) if self._has_body else b""
        return (self._head, body) if body else (self._head[: len(self._head) // 2], b"")
