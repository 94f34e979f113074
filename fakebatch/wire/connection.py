"""One connection: its bytes, plain or in TLS, to the one request on it and its answer. Knows nothing of BatchCompute.

What the bytes mean is `http`'s to know, and when there are any is the server's. What is here is what comes next: to
wait for the client, to run the application, to send, to listen to a client that still sends, to close.
"""

import contextlib
import itertools
import struct
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ, EVENT_WRITE
from socket import SHUT_WR, SO_LINGER, SOL_SOCKET, SocketType
from ssl import MemoryBIO, SSLContext, SSLError, SSLObject, SSLWantReadError
from typing import TYPE_CHECKING

from .http import CONTINUE, RequestReader, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from .server import Server

IDLE_SECONDS = 30.0
"""How long a connection may stay silent before it is dropped."""
LINGER_SECONDS = 1.0
LINGER_BYTES = 16 * 1024 * 1024
"""How long, and for how much more, a client is listened to that may still be sending when its answer is sent: closing
at once would make its system throw the answer away."""

_READ_BYTES = 64 * 1024
_SMALL_BYTES = 16 * 1024
"""How large an answer may be that a client's system takes at once, so that nothing sent later can make it be lost."""
_TRICKLE_PIECES = 20

if sys.platform == "win32":
    from time import monotonic as now
else:
    # Libraries which move the time do not replace this clock, as they do with time.monotonic. In seconds.
    now = partial(time.clock_gettime, time.CLOCK_MONOTONIC)

Finish = Callable[[], "Iterable[bytes] | Later | Aside | Raw"]
"""The application, or what it goes on with."""


class Later:
    """`environ["fakebatch.later"]`: `finish` is run as the application, so many seconds from now."""

    def __init__(self, seconds: float, finish: Finish) -> None:
        self.seconds: float = seconds
        self.finish: Finish = finish


class Aside:
    """`environ["fakebatch.aside"]`: `finish` is run as the application, after `work` was run by the worker."""

    def __init__(self, work: Callable[[], object], finish: Finish) -> None:
        self.work: Callable[[], object] = work
        self.finish: Finish = finish


class Apart(Aside):
    """`environ["fakebatch.apart"]`: as `Aside`, and `work` may take very long: a thread of its own runs it."""


class Raw:
    """`environ["fakebatch.raw"]`: these bytes are sent as they are, and the connection ends."""

    def __init__(self, data: bytes) -> None:
        self.data = data


class Tls:
    """The TLS of a connection, in memory: encrypted bytes to plain ones and back."""

    def __init__(self, choose: Callable[[bytes], SSLContext]) -> None:
        self._choose = choose
        self._hello = b""
        self._incoming, self._outgoing = MemoryBIO(), MemoryBIO()
        self._object: SSLObject | None = None
        self._is_open = False
        self.ended: bool = False
        """Whether the client has said that it sends no more."""

    def decrypt(self, data: bytes) -> bytes:
        """Return what plain bytes have been received now; there may be something to `take` then.

        Raises SSLError for what is no TLS.
        """
        if self._object is None:
            self._hello += data
            is_record = self._hello[:1] == b"\x16"
            if data and is_record and len(self._hello) < 5 + int.from_bytes(self._hello[3:5]):
                return b""  # its first message has not been received to its end
            context = self._choose(self._hello)
            self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
            data, self._hello = self._hello, b""
        self._incoming.write(data)
        plain: list[bytes] = []
        with contextlib.suppress(SSLWantReadError):
            if not self._is_open:
                self._object.do_handshake()
                self._is_open = True
            while part := self._object.read(_READ_BYTES):
                plain.append(part)
            self.ended = True
        return b"".join(plain)

    def encrypt(self, data: bytes, *, last: bool) -> bytes:
        """Return what is to be sent for these bytes, with the end of TLS after the last ones."""
        if self._object is not None and self._is_open:
            if data:
                self._object.write(data)
            if last:
                with contextlib.suppress(SSLError):  # it would wait for the client to agree
                    self._object.unwrap()
        return self.take()

    def take(self) -> bytes:
        """Return what TLS itself has to send."""
        return self._outgoing.read()


class Connection:
    """A connection, and the one request that is answered on it."""

    def __init__(self, server: "Server", sock: SocketType, environ: "WSGIEnvironment", tls: Tls | None) -> None:
        self._server, self._socket, self._environ, self._tls = server, sock, environ, tls
        self._reader = RequestReader(server.most_body_bytes, server.larger)
        self._response: Response | None = None
        self._is_closed = False
        self._client_ended = False
        self._let_go = 0  # bytes that came after the request
        self._trickle_seconds = 0.0
        self._unsent: bytes | memoryview = b""
        self._is_last = False  # whether nothing comes after what is unsent
        self._is_lingering = False
        self._is_large = False  # whether the answer may still be on its way after the system has taken it
        self._watched = 0
        server.connections.add(self)

    def ready(self, events: int) -> None:
        """Read and write what can be."""
        self._guarded(self._read_and_write, events)

    def _guarded(self, step: Callable[..., object], *arguments: object) -> None:
        """Take a step, if the connection is still open. Whatever is wrong with it ends it and nothing else."""
        if self._is_closed:
            return
        try:
            step(*arguments)
        except OSError:
            self.close()  # the client has gone
        except Exception as error:  # ours, but no reason to drop all others
            self._server.report(error)
            self.close()

    def _read_and_write(self, events: int) -> None:
        if events & EVENT_READ:
            self._receive()
        if events & EVENT_WRITE and not self._is_closed:
            self._flush()

    def close(self) -> None:
        """Close it, in order, or by a reset if there is something that was not read."""
        self._is_closed = True
        server = self._server
        server.connections.discard(self)
        server.idle.pop(self, None)
        server.lingering.pop(self, None)
        if self._watched and not server.is_closed:
            server.selector.unregister(self._socket.fileno())
        self._watched = 0
        self._socket.close()

    def trickle(self, seconds: float) -> None:
        """`environ["fakebatch.trickle"]`: have the body sent in pieces, spread over so long."""
        self._trickle_seconds = seconds

    def _watch(self, events: int) -> None:
        if events == self._watched:
            return
        selector, descriptor = self._server.selector, self._socket.fileno()
        if not self._watched:
            selector.register(descriptor, events, self)
        elif events:
            selector.modify(descriptor, events, self)
        else:
            selector.unregister(descriptor)
        self._watched = events

    def _wait(self) -> None:
        """Wait for the client, so long as it may be silent."""
        among, seconds = self._server.idle, IDLE_SECONDS
        if self._is_lingering:
            among, seconds = self._server.lingering, LINGER_SECONDS
        among.pop(self, None)
        among[self] = now() + seconds
        reading = 0 if self._client_ended else EVENT_READ
        self._watch(reading | (EVENT_WRITE if self._unsent else 0))

    def _be_patient(self) -> None:
        """Wait for the application, however long that takes."""
        self._server.idle.pop(self, None)
        self._watch(0 if self._client_ended else EVENT_READ)

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            self._wait()
            return
        except ConnectionError:
            if not self._reader.ended:
                raise
            data = b""  # what was asked for is carried out, however the client went
        if not data:
            self._client_ended = True
        if self._reader.ended or self._is_last:
            self._let_go_of(data)
            return
        if self._tls is not None:
            try:
                data = self._tls.decrypt(data)
            except SSLError:
                self._send(b"", last=True)  # only what TLS says of it
                return
            self._write(self._tls.take())
            if not data and not self._tls.ended and not self._client_ended:
                self._wait()
                return
        if not self._reader.feed(data):
            if self._reader.awaits_continue:
                self._reader.awaits_continue = False
                self._send(CONTINUE, last=False)
            if self._client_ended or (self._tls is not None and self._tls.ended):
                self._reader.feed(b"")
            else:
                self._wait()
                return
        self._answer()

    def _let_go_of(self, data: bytes) -> None:
        """Take what comes after the request: as long as the client sends, it does not read its answer."""
        self._let_go += len(data)
        if self._let_go > LINGER_BYTES or (self._is_lingering and self._client_ended):
            self.close()
        elif self._unsent or self._is_lingering:
            self._wait()
        elif self._client_ended:
            self._watch(self._watched & ~EVENT_READ)

    def _answer(self) -> None:
        reader, server = self._reader, self._server
        if reader.silent:
            self.close()
            return
        self._response = Response(has_body=not reader.is_head)
        if reader.refused:
            self._send_response(*self._refusal(reader.refused))
            return
        self._environ.update(reader.environ)
        self._environ["fakebatch.trickle"] = self.trickle
        self._run(partial(server.app, self._environ, self._response.start))

    def _run(self, application: Finish) -> None:
        """Run the application, or what it goes on with, and send what it answers."""
        response = self._response
        assert response is not None  # noqa: S101 - for the type checker: it is made before the application is run
        try:
            content = application()
            if isinstance(content, Later | Aside | Raw):
                self._put_off(content)
                return
            response.take(content)
            parts = response.whole()
        except ConnectionResetError:
            self._socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            self.close()
            return
        except ConnectionAbortedError:
            parts = response.cut()
        except BaseException as error:
            self._server.report(error)
            parts = self._refusal(500)
        if not self._is_closed:
            self._send_response(*parts)

    def _put_off(self, answer: Later | Aside | Raw) -> None:
        if self._is_closed:
            return
        if isinstance(answer, Raw):
            self._send_response(b"", answer.data)
            return
        self._be_patient()
        if isinstance(answer, Later):
            self._server.run_at(answer.seconds, partial(self._guarded, self._run, answer.finish))
        else:
            run = self._server.run_apart if isinstance(answer, Apart) else self._server.run_aside
            run(answer.work, partial(self._guarded, self._run, answer.finish))

    def _refusal(self, status: int) -> tuple[bytes, bytes]:
        response = Response(has_body=not self._reader.is_head)
        headers, body = self._server.refuse(status)
        response.start(f"{status} {HTTPStatus(status).phrase}", headers)
        response.take([body])
        return response.whole()

    def _send_response(self, head: bytes, body: bytes) -> None:
        self._is_large = len(head) + len(body) > _SMALL_BYTES
        if not self._trickle_seconds or not body:
            self._send(head + body, last=True)
            return
        self._be_patient()
        pieces = min(len(body), _TRICKLE_PIECES)
        ends = [len(body) * number // pieces for number in range(pieces + 1)]
        self._send(head, last=False)
        for number, (begin, end) in enumerate(itertools.pairwise(ends), 1):
            send = partial(self._guarded, self._send, body[begin:end], number == pieces)
            self._server.run_at(self._trickle_seconds * number / pieces, send)

    def _send(self, data: bytes, last: bool) -> None:
        """Send bytes, as far as they go at once; the rest is sent when the client has read some."""
        self._is_last = last
        self._write(data if self._tls is None else self._tls.encrypt(data, last=last))
        if last and not self._unsent and not self._is_closed:
            self._end()

    def _write(self, data: bytes) -> None:
        if self._unsent:
            self._unsent = bytes(self._unsent) + data
        elif data:
            sent = 0
            with contextlib.suppress(BlockingIOError):
                sent = self._socket.send(data)
            if sent < len(data):
                self._unsent = memoryview(data)[sent:]
                self._wait()

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._unsent = memoryview(self._unsent)[self._socket.send(self._unsent) :]
        if self._unsent:
            self._wait()
            return
        self._unsent = b""
        # If these were not the last bytes, the rest of the answer is still to come, or of the request.
        (self._end if self._is_last else self._be_patient if self._reader.ended else self._wait)()

    def _end(self) -> None:
        """End the connection after its answer: at once if the client has sent all that it will, or after that."""
        if self._client_ended or (self._reader.whole and not self._let_go and not self._is_large):
            self.close()
            return
        self._is_lingering = True
        self._server.idle.pop(self, None)
        self._socket.shutdown(SHUT_WR)
        self._wait()
