"""Moves bytes between sockets and a WSGI application, in one thread, and keeps the time. Knows nothing of BatchCompute.

What becomes of the bytes of a connection is `connection`'s to know. What is here is who is waited for, and by whom:

- Nobody waits for a client: a connection whose bytes are not there yet is left to the selector, and a request is most
  often there when its connection is.
- An application that is to answer later gives a function with which to go on. What may take long runs in one second
  thread, the worker; what may take very long, in a thread of its own.
- `stop()` closes everything at once. A forked child closes its copies, and leaves the parent's selector alone.
"""

import contextlib
import errno
import itertools
import sys
import threading
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from queue import SimpleQueue
from selectors import EVENT_READ, DefaultSelector
from socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    SO_ACCEPTCONN,
    SOCK_STREAM,
    SOL_SOCKET,
    SocketType,
    gaierror,
)
from ssl import SSLContext
from typing import TYPE_CHECKING

from ..errors import ServerError
from ..forks import in_child
from .connection import Apart, Aside, Connection, Later, Raw, Tls, now

if sys.platform == "win32":
    # There, SO_REUSEADDR would let a second server listen on the port of the first.
    from socket import SO_EXCLUSIVEADDRUSE as _REUSE
    from socket import socketpair
else:  # below socket.socketpair: that makes sockets of the class that a test's guard may have replaced
    from _socket import socketpair
    from socket import SO_REUSEADDR as _REUSE

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

PAUSE_SECONDS = 0.05
"""How long nothing is accepted after that failed, as when all file descriptors are in use."""

_BACKLOG = 4096
_AT_ONCE = 32
"""How many connections are accepted before others get their turn."""
_STOP_SECONDS = 5.0
"""How long `stop()` waits for the application, should it be in the middle of a request."""
_LONGEST_WAIT = 3600.0
"""How long a selector is asked to wait: not all of them take any number."""
_CLOSED = "something else has closed the socket that it listened on"
_CLOSED_ERRORS = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)
_PASSING_ERRORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Refuse = Callable[[int], tuple[list[tuple[str, str]], bytes]]


class Server:
    """Serves `app` on the addresses that `listen` adds, until `stop()`.

    `refuse` returns headers and body of the answer with a status to what is no HTTP, and (500) to what the application
    failed at. `report` is told of what the application, or work put aside, raised. Of a body, `most_body_bytes` and one
    more are kept; for paths that begin as the first of `larger`, so many as the second.
    """

    def __init__(
        self,
        app: "WSGIApplication",
        refuse: Refuse,
        report: Callable[[BaseException], object],
        most_body_bytes: int,
        larger: tuple[str, int] | None = None,
    ) -> None:
        self.app: WSGIApplication = app
        self.refuse: Refuse = refuse
        self.most_body_bytes: int = most_body_bytes
        self.larger: tuple[str, int] | None = larger
        self.ended: str = ""
        """Why it ended without a stop(), if it did."""
        self.is_inherited: bool = False
        """Whether it runs in the process of which this one is a fork."""
        self.connections: set[Connection] = set()
        self.idle: dict[Connection, float] = {}
        self.lingering: dict[Connection, float] = {}
        """The connections that wait for their clients, and until when; those that wait the longest come first."""
        self._report = report
        self._listeners: list[_Listener] = []
        self._hanging_up: list[threading.Event] = []
        """Those who wait for connections to be dropped: what ends the loop ends that as well."""
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._handed_over: deque[Callable[[], object]] = deque()
        self._work: SimpleQueue[Callable[[], object] | None] | None = None
        self._thread: threading.Thread | None = None
        self.is_stopping: bool = False
        self.is_closed: bool = False
        """Whether it is to end, and whether it has: the second at the end of what it does when the first was said."""
        self._lock = threading.RLock()  # held while the pair is used or closed: its number might be another file's
        self.selector: DefaultSelector = DefaultSelector()
        self._awake, self._wake = socketpair()
        for end in (self._awake, self._wake):
            end.setblocking(False)
        self.selector.register(self._awake.fileno(), EVENT_READ, self)
        in_child(self, Server._leave_to_parent)

    def listen(self, host: str, port: int = 0, choose: Callable[[bytes], SSLContext] | None = None) -> int:
        """Listen on one more address, with TLS if `choose` returns a context for what a client sends first.

        Returns the port: `port` 0 picks a free one. Raises ServerError if it can't listen there, and as `check` does.
        """
        self.check()
        if self.is_inherited:
            raise ServerError("this fake runs in the process that this one was forked from; call start() to serve here")
        listener = _Listener(self, _listening_socket(host, port), choose)
        self._listeners.append(listener)
        self.run_soon(listener.resume)
        if self._thread is None:
            name = f"fakebatch:{listener.port}"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:
                self._thread = None
                self.stop()
                raise ServerError(f"can't serve port {listener.port} of {host}: {error}") from None
        return listener.port

    def check(self) -> None:
        """Raise ServerError if it ended by itself, or if something else has closed what it listens on."""
        is_whole = self._is_whole()
        if not is_whole and not self.is_stopping and not self.ended:  # in this order: a stop closes them as well
            self.ended = _CLOSED
        if self.ended:
            self.stop()  # it may be about to close what was opened anew under its listener's number and address
            raise ServerError(f"this fake has ended: {self.ended}; call start() to serve again")

    def _is_whole(self) -> bool:
        return all(listener.is_open() for listener in self._listeners)

    def stop(self) -> None:
        """Drop all connections, and what was put off. Returns at once, whatever clients do; the ports are free then."""
        self.is_stopping = True
        if threading.current_thread() is self._thread or self._thread is None:
            self._close()
            return
        self._notify()
        self._thread.join(_STOP_SECONDS)
        if not self.is_inherited:
            for listener in self._listeners:
                listener.close()

    def hang_up(self) -> None:
        """Drop all connections, those that wait to be accepted as well, and go on listening.

        What has been asked by then is answered before. Returns when it is done.
        """
        done = threading.Event()

        def drop() -> None:
            for listener in self._listeners:
                listener.accept(_BACKLOG)
            for connection in list(self.connections):
                connection.close()
            done.set()

        with self._lock:
            if self.is_closed:
                return
            self._hanging_up.append(done)
        self.run_soon(drop)
        done.wait(_STOP_SECONDS)
        self._hanging_up.remove(done)

    def run_soon(self, function: Callable[[], object]) -> None:
        """Have a function run in the server's thread; from any thread. After a stop, nothing happens."""
        self._handed_over.append(function)
        self._notify()

    def run_at(self, seconds: float, function: Callable[[], object]) -> None:
        """Have a function run in the server's thread, so many seconds from now."""
        heappush(self._timers, (now() + seconds, next(self._numbers), function))

    def run_aside(self, work: Callable[[], object], then: Callable[[], object]) -> None:
        """Have the worker run `work`, and the server's thread `then`."""

        def run() -> None:
            if self.is_stopping:
                return
            try:
                work()
            except BaseException as error:
                self.report(error)
            self.run_soon(then)

        if self._work is None:
            self._work = SimpleQueue()
            thread = threading.Thread(
                target=_work_through, args=(self._work,), name=f"{threading.current_thread().name}:worker", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:
                self._work = None
                self.report(error)
                self.run_soon(then)
                return
        self._work.put(run)

    def run_apart(self, work: Callable[[], object], then: Callable[[], object]) -> None:
        """Have a thread of its own run `work`, and the server's thread `then`: the worker is for what is short."""

        def run() -> None:
            try:
                work()
            except BaseException as error:
                self.report(error)
            self.run_soon(then)

        try:
            threading.Thread(target=run, name=f"{threading.current_thread().name}:apart", daemon=True).start()
        except RuntimeError as error:
            self.report(error)
            self.run_soon(then)

    def report(self, error: BaseException) -> None:
        """Pass on what was raised. That can't fail: there would be nobody left to tell."""
        with contextlib.suppress(Exception):
            self._report(error)

    def ready(self, events: int) -> None:  # noqa: ARG002 - of the pair; called as those of listeners and connections
        """Take note of having been woken."""
        with contextlib.suppress(BlockingIOError):
            self._awake.recv(4096)

    def _notify(self) -> None:
        with self._lock, contextlib.suppress(BlockingIOError):  # a full pair wakes as well
            if not self.is_closed:
                self._wake.send(b"\0")

    def _run(self) -> None:
        try:
            while not self.is_stopping:
                for key, events in self.selector.select(self._until_due()):
                    key.data.ready(events)
                    if self.is_stopping:
                        return
                self._run_due()
        except BaseException as error:
            if not self.is_stopping:  # who stopped it, because of the same perhaps, has said why
                self.ended = str(error) if self._is_whole() else _CLOSED
        finally:
            self.is_stopping = True
            self._close()

    def _until_due(self) -> float | None:
        due = [next(iter(waiting.values())) for waiting in (self.idle, self.lingering) if waiting]
        if self._timers:
            due.append(self._timers[0][0])
        return max(0.0, min(min(due) - now(), _LONGEST_WAIT)) if due else None

    def _run_due(self) -> None:
        while self._handed_over and not self.is_stopping:
            self._handed_over.popleft()()
        if self._timers or self.idle or self.lingering:
            moment = now()
            for waiting in (self.idle, self.lingering):
                while waiting and next(iter(waiting.values())) <= moment:
                    next(iter(waiting)).close()
            while self._timers and self._timers[0][0] <= moment and not self.is_stopping:
                heappop(self._timers)[2]()

    def _close(self) -> None:
        with self._lock:
            if self.is_closed:
                return
            self.is_closed = True
            for done in self._hanging_up:
                done.set()
            self.selector.close()
            self._awake.close()
            self._wake.close()
        for listener in self._listeners:
            listener.close()
        for connection in list(self.connections):
            connection.close()
        self._listeners = []  # they hold the server, as it holds them
        self._timers.clear()
        self._handed_over.clear()
        if self._work is not None:
            self._work.put(None)

    def _leave_to_parent(self) -> None:
        """Close the copies that a forked child has, without harm to the parent: it shares connections and selector."""
        self._lock = threading.RLock()
        self.is_inherited = self.is_stopping = True
        self._work = None
        self._close()


def _work_through(work: "SimpleQueue[Callable[[], object] | None]") -> None:
    """Run what comes, one after the other, until None comes."""
    while function := work.get():
        function()


class _Listener:
    """A socket that listens."""

    def __init__(self, server: Server, sock: SocketType, choose: Callable[[bytes], SSLContext] | None) -> None:
        self._server, self._socket, self._choose = server, sock, choose
        self._kind = (sock.family, sock.type, sock.proto)
        self._address = sock.getsockname()
        self.port: int = self._address[1]
        self._environ: WSGIEnvironment = {
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https" if choose else "http",
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "SERVER_NAME": self._address[0],
            "SERVER_PORT": str(self.port),
            "fakebatch.later": Later,
            "fakebatch.aside": Aside,
            "fakebatch.apart": Apart,
            "fakebatch.raw": Raw,
        }
        self._is_closed = self._accepts = False

    def resume(self) -> None:
        """Accept connections from now on."""
        if not self.is_open():  # the selector would watch whatever has its number now
            raise ServerError(_CLOSED)
        self._server.selector.register(self._socket.fileno(), EVENT_READ, self)
        self._accepts = True

    def _pause(self) -> None:
        if self._accepts:
            self._accepts = False
            self._server.selector.unregister(self._socket.fileno())
            self._server.run_at(PAUSE_SECONDS, self.resume)

    def is_open(self) -> bool:
        """Tell whether its file descriptor is still its own: somebody else may have closed it, or opened it anew."""
        try:
            return bool(self._socket.getsockopt(SOL_SOCKET, SO_ACCEPTCONN)) and (
                self._socket.getsockname() == self._address
            )
        except OSError:
            return False

    def close(self) -> None:
        """Stop listening."""
        if self._is_closed:
            return
        self._is_closed = True
        if self.is_open():
            self._socket.close()
        else:
            self._socket.detach()

    def ready(self, events: int) -> None:  # noqa: ARG002 - it can only be that somebody connects
        """Accept who has connected."""
        self.accept(_AT_ONCE)

    def accept(self, most: int) -> None:
        """Accept so many connections, if there are, and read at once: most often the request is there."""
        server = self._server
        for _ in range(most):
            try:
                # Below socket.accept: that makes a socket of the class that a test's guard may have replaced.
                descriptor, client = self._socket._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _CLOSED_ERRORS:
                    raise ServerError(_CLOSED) from None
                if error.errno in _PASSING_ERRORS:
                    self._pause()
                    return
                continue  # the client has gone already
            sock = SocketType(*self._kind, descriptor)
            sock.setblocking(False)
            environ = {**self._environ, "wsgi.errors": sys.stderr, "REMOTE_ADDR": client[0]}
            connection = Connection(server, sock, environ, Tls(self._choose) if self._choose else None)
            connection.ready(EVENT_READ)
            if server.is_stopping:
                return


def _listening_socket(host: str, port: int) -> SocketType:
    """Return a socket that listens. Raises ServerError, saying what to do, if it can't."""
    where = f"can't listen on port {port} of {host or repr(host)}"
    if not host:  # for the system it means all addresses, and nobody could ask for it by that
        raise ServerError(f"{where}: there is no such host; write 0.0.0.0 for all addresses")
    if not 0 <= port <= 65535:
        raise ServerError(f"{where}: a port is a number from 0 to 65535")
    family = AF_INET6 if ":" in host else AF_INET
    # Not socket.socket: a test's guard may have replaced that, and fakebatch may be imported after it has.
    sock: SocketType | None = None
    try:
        sock = SocketType(family, SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(SOL_SOCKET, _REUSE, 1)
        if family == AF_INET6:
            sock.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except (OSError, ValueError, TypeError) as error:  # the last two for what can't be a host's name
        if sock is not None:
            sock.close()
        raise ServerError(f"{where}: {_reason(error)}") from None
    return sock


def _reason(error: Exception) -> str:
    if isinstance(error, gaierror) or not isinstance(error, OSError):
        return "there is no such host"
    if error.errno == errno.EADDRINUSE:
        return "it is in use; stop what uses it, or choose another port (0 picks a free one)"
    if sys.platform == "win32":
        if error.errno == errno.EACCES:  # with SO_EXCLUSIVEADDRUSE that is what a port in use is answered with
            return "it is in use, or reserved; choose another port (0 picks a free one)"
    if error.errno == errno.EACCES:
        return "it needs privileges; choose a port above 1023 (0 picks a free one)"
    return error.strerror or str(error)
