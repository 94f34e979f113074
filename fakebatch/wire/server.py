"""Sockets and threads: serves a WSGI application on a local port. The only module that knows either.

The request handler is werkzeug's. What is our own is how connections reach it, and how a response leaves:

- Threads are reused, and take connections by themselves: all that are idle wait in `accept`. To start a thread for each
  connection, as werkzeug does, or to hand connections from one thread to others costs more than to answer them.
- A response is sent at once, in one piece. What a client might still send is waited for only when its answer is out.
- Nobody waits for a client: threads are daemons, and `stop()` closes what they hold.
"""

import contextlib
import errno
import os
import socket
import ssl
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from http.client import HTTPMessage
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from werkzeug.serving import WSGIRequestHandler

from ..errors import ApiError, ServerError
from .responses import error_body, refuse

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

IDLE_SECONDS = 30.0
"""How long a connection may stay silent before it is dropped."""
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 16 * 1024 * 1024
"""How long, and for how much more, a client is listened to that may still be sending when its answer is out: closing at
once would make its system throw the answer away."""
_MOST_IDLE_THREADS = 16


class Server:
    """Serves `app` on `host` and `port` (0: a free one), with TLS if there is an `ssl_context`, until `stop()`.

    Raises ServerError if it can't listen there.
    """

    # What werkzeug's handler asks of its server.
    multithread = True
    multiprocess = False

    def __init__(
        self, app: "WSGIApplication", host: str = "127.0.0.1", port: int = 0, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self.app = app
        self.ssl_context = ssl_context
        self._listener = _listen(host, port)
        self.server_address = self._listener.getsockname()
        self.host = host
        self.port: int = self.server_address[1]
        self._stopping = False
        self._lock = threading.Lock()
        self._idle = 0
        self._open: set[socket.socket] = set()
        self._start_thread()

    def stop(self) -> None:
        """Stop listening and drop all connections. Returns at once, whatever clients do; the port is free then."""
        with self._lock:
            self._stopping = True
            connections = list(self._open)
        # Wakes the threads in accept: on Linux the first of the two does, elsewhere the second.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _start_thread(self) -> None:
        with self._lock:
            self._idle += 1
        threading.Thread(target=self._work, name=f"fakebatch:{self.port}", daemon=True).start()

    def _work(self) -> None:
        """Accept and answer, again and again. There is always another thread in accept while this one answers."""
        while True:
            accepted = self._accept()
            if accepted is None:
                return
            connection, address = accepted
            with self._lock:
                if self._stopping:  # stop() knows nothing of this connection
                    connection.close()
                    return
                self._idle -= 1
                alone = self._idle == 0
                self._open.add(connection)
            if alone:
                self._start_thread()
            self._answer(connection, address)
            with self._lock:
                self._open.discard(connection)
                surplus = self._stopping or self._idle >= _MOST_IDLE_THREADS
                self._idle += not surplus
            connection.close()
            if surplus:
                return

    def _accept(self) -> tuple[socket.socket, Any] | None:
        """Wait for a connection. Returns None when the server stops."""
        while not self._stopping:
            try:
                connection, address = self._listener.accept()
            except OSError:
                continue  # the client has gone already, or file descriptors are short: that passes; or the server stops
            connection.settimeout(IDLE_SECONDS)
            if self.ssl_context:
                connection = self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            return connection, address
        return None

    def _answer(self, connection: socket.socket, address: Any) -> None:
        """Answer one request. Whatever is wrong with a connection ends it and nothing else."""
        try:
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            _Handler(connection, address, self)  # type: ignore[arg-type]  # all of a server that it asks for is here
        except OSError:
            pass  # the client has gone, or does not speak TLS
        except Exception:
            if not self._stopping:  # a connection that stop() closed may fail anyhow
                traceback.print_exc()


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ServerError(f"can't listen on port {port} of {host}: a port is a number from 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = "it is in use; stop what uses it, or choose another port (0 picks a free one)"
        elif error.errno == errno.EACCES:
            reason = "it needs privileges; choose a port above 1023 (0 picks a free one)"
        else:
            reason = os.strerror(error.errno) if error.errno else str(error)
        raise ServerError(f"can't listen on port {port} of {host}: {reason}") from None


@lru_cache(maxsize=256)
def _environ_name(header: str) -> str:
    """Return a header's name in a WSGI environment; "" for one with an underscore, which would pass for another."""
    name = header.upper().replace("-", "_")
    if "_" in header:
        return ""
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"


class _Headers(HTTPMessage):
    """The headers of a request.

    The standard library parses them as those of a mail: it would ask three times whether there are attachments.
    """

    def get_content_type(self) -> str:
        """Say that there is nothing but a text: what a body is does not matter to the parser of the headers."""
        return "text/plain"

    def get_content_maintype(self) -> str:
        """Say the same."""
        return "text"


class _Handler(WSGIRequestHandler):
    """Answers the one request of a connection."""

    protocol_version = "HTTP/1.1"
    MessageClass = _Headers
    refused = False
    head = b""
    """The head of the response, until it is sent."""

    def parse_request(self) -> bool:
        """Parse the request line and the headers. A request without even a method gets an answer as well."""
        if super().parse_request():
            return True
        if not self.refused:
            self.send_error(400)
        return False

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name for it
        """Say nothing: what a test wants to know is in `fake.calls`."""

    def make_environ(self) -> "WSGIEnvironment":
        """Return the WSGI environment, in half the time that werkzeug takes for it; what is rare is left to it."""
        if not self.path.startswith("/") or self.path.startswith("//") or "Transfer-Encoding" in self.headers:
            return super().make_environ()
        path, _, query = self.path.partition("?")
        environ: WSGIEnvironment = {
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http" if self.server.ssl_context is None else "https",
            "wsgi.input": self.rfile,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "SERVER_NAME": self.server.server_address[0],
            "SERVER_PORT": str(self.server.server_address[1]),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "REQUEST_METHOD": self.command,
            "REQUEST_URI": self.path,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path.encode("latin-1")).decode("latin-1"),
            "QUERY_STRING": query,
        }
        for name, value in self.headers.items():
            key = _environ_name(name)
            if key:
                environ[key] = f"{environ[key]},{value}" if key in environ else value
        return environ

    def run_wsgi(self) -> None:
        """Run the application, as in werkzeug, but with the response in one piece, and resets where asked for."""
        self.close_connection = True
        try:
            self.environ = self.make_environ()
        except ValueError:  # a target that is no URL
            self.send_error(400)
            return
        try:
            for chunk in self.server.app(self.environ, self._start_response):
                self._send(chunk if self.command != "HEAD" else b"")
        except ConnectionResetError:
            # On purpose: without lingering, the client gets a reset in the place of an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise
        if self.head:
            self._send(b"")
        if self.command != "GET" or self.environ.get("CONTENT_LENGTH", "0") != "0":
            self._listen_on()

    def _start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: Any = None,  # noqa: ARG002 - part of the signature that WSGI prescribes
    ) -> Callable[[bytes], object]:
        head = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "Connection: close", "\r\n"]
        self.head = "\r\n".join(head).encode("latin-1")
        return self._send

    def _send(self, content: bytes) -> None:
        """Send a piece of the body, with the head before the first: what leaves at once wakes a client only once."""
        self.wfile.write(self.head + content)
        self.head = b""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002 - http.server's
        """Refuse what is not HTTP: the status is http.server's, the form the service's. [choice]"""
        self.refused = self.close_connection = True
        refusal = ApiError("InvalidUrlPattern")
        body = error_body(refusal)
        self._start_response(f"{int(code)} {HTTPStatus(code).phrase}", refuse(code)[0])
        self._send(body)
        self._listen_on()

    def _listen_on(self) -> None:
        """End our side and take what the client is still sending, or the answer would be lost with it."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_LINGER_SECONDS)
            taken = 0
            while taken < _LINGER_BYTES and (data := self.connection.recv(65536)):
                taken += len(data)
