"""Leads the service's host names to a fake, in this process: name lookups, connections, and trust in certificates.

Imports the standard library only, and is run from its file in child processes as well (see `child/sitecustomize.py`).
It knows addresses and names, and nothing of what is served there.

A name of the service resolves to an address that is no machine's, and a connection to that address goes to the fake's
port. Both are needed: some clients take only the address out of a lookup and put their own port behind it.

Written for every Python from 3.8 on, which is what child processes may be.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

SERVICE_NAME = re.compile(r"batchcompute(-vpc)?\.[a-z0-9-]+\.aliyuncs\.com\.?", re.IGNORECASE)
"""The names of the service in all regions, public and inside of a VPC. [sdk]"""

PLAIN_PORT, TLS_PORT = 80, 443

EXTRA_IS_MISSING = "TLS needs an extra; install it with: pip install 'fakebatch[tls]'"

_ADDRESSES = {socket.AF_INET: "127.97.108.105", socket.AF_INET6: "::1:6c:6979"}
"""What the names resolve to inside of a redirect: addresses of no machine; connections to them are led elsewhere."""


SSLContext: type[ssl.SSLContext] = next(
    kind for kind in reversed(ssl.SSLContext.__mro__) if kind.__name__ == "SSLContext"
)
"""The standard library's own, also where somebody has put a subclass in its place, as `truststore` does: that one keeps
a context of this class inside, with which it connects."""


class Target(NamedTuple):
    """Where a redirect leads. Ports are asked for at each connection: a fake that was restarted may have others."""

    host: str
    port: Callable[[], int]
    """Returns the port that speaks no TLS. Raises an exception that says why if there is none."""
    tls_port: Callable[[], int]
    """The same with TLS, started when first needed."""
    ca_bundle: Callable[[], str]
    """Returns the path of the certificates that vouch for that port."""


def is_service(host: object) -> bool:
    """Tell whether a host, as text or bytes, is one of the service's names."""
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii", "replace")
    return isinstance(host, str) and SERVICE_NAME.fullmatch(host) is not None


class Redirect:
    """Leads the service's names to a target while its `with` statement runs, in all threads of this process.

    It may be entered again inside of itself. Raises RuntimeError where a redirect to another target is running: names
    are the process's, so there can be one at a time.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
        self._context: ssl.SSLContext | None = None

    def __enter__(self) -> Self:
        global _active, _depth
        with _lock:
            if _active is None:
                _active = self
                _undo.extend(_patch(self, *patch) for patch in _patches())
            elif _active.target != self.target:
                raise RuntimeError(f"the service's names lead to {_active}; leave that redirect first")
            _depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _active, _depth
        with _lock:
            _depth -= 1
            if _depth == 0:
                _active = None
                while _undo:
                    _undo.pop()()

    def __str__(self) -> str:
        try:
            return f"another fake, at {self.target.host}:{self.target.port()}"
        except Exception as error:
            return f"another fake, of which there is to say: {error}"

    def address_of(self, port: object) -> tuple[str, int]:
        """Return where a connection to a port of the service goes. Raises ConnectionRefusedError if it goes nowhere."""
        if port not in (PLAIN_PORT, TLS_PORT):
            reason = f"the fake has no port {port}; the service is redirected on ports {PLAIN_PORT} and {TLS_PORT} only"
            raise ConnectionRefusedError(errno.ECONNREFUSED, reason)
        try:
            return self.target.host, self.target.port() if port == PLAIN_PORT else self.target.tls_port()
        except Exception as error:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"the fake has no port {port}: {error}") from None

    def context(self) -> ssl.SSLContext:
        """Return the context of a client that trusts the fake's certificates and no others."""
        with _lock:
            if self._context is None:
                context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificates and names
                context.load_verify_locations(self.target.ca_bundle())
                self._context = context
        return self._context


_lock = threading.RLock()


def _renew_lock() -> None:
    """Let a forked child have a lock of its own: who held this one may not be there."""
    global _lock
    _lock = threading.RLock()


getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_renew_lock)  # Windows has no forks

_active: Redirect | None = None
_depth = 0
_undo: list[Callable[[], None]] = []


def _patch(redirect: Redirect, owner: Any, name: str, replacement: Callable[..., Any]) -> Callable[[], None]:
    """Put a function in the place of another, and return what takes it out again.

    If somebody puts one of theirs in front of it meanwhile, it stays behind that, and does what was there before.
    """
    own = name in vars(owner)  # or it is inherited, and restored by deleting ours
    original = getattr(owner, name)

    def replaced(*arguments: Any, **options: Any) -> Any:
        if _active is not redirect:
            return original(*arguments, **options)
        return replacement(redirect, original, *arguments, **options)

    def undo() -> None:
        if vars(owner).get(name) is not replaced:
            return
        if own:
            setattr(owner, name, original)
        else:
            delattr(owner, name)

    setattr(owner, name, replaced)
    return undo


def _getaddrinfo(redirect: Redirect, original: Callable[..., Any], host: Any, *arguments: Any, **options: Any) -> Any:
    return original(_ADDRESSES[redirect.family] if is_service(host) else host, *arguments, **options)


def _gethostbyname(redirect: Redirect, original: Callable[..., Any], host: Any) -> Any:
    return _ADDRESSES[redirect.family] if is_service(host) else original(host)


def _gethostbyname_ex(redirect: Redirect, original: Callable[..., Any], host: Any) -> Any:
    return (host, [], [_ADDRESSES[redirect.family]]) if is_service(host) else original(host)


def _led(redirect: Redirect, address: Any) -> Any:
    """Return the address to which a connection goes."""
    if isinstance(address, tuple) and (address[0] == _ADDRESSES[redirect.family] or is_service(address[0])):
        return redirect.address_of(address[1])
    return address


def _connect(redirect: Redirect, original: Callable[..., Any], sock: socket.socket, address: Any) -> Any:
    return original(sock, _led(redirect, address))


def _connect_ex(redirect: Redirect, original: Callable[..., Any], sock: socket.socket, address: Any) -> Any:
    try:
        return original(sock, _led(redirect, address))
    except ConnectionRefusedError as error:
        return error.errno


def _trusting(redirect: Redirect, context: ssl.SSLContext, server_hostname: Any) -> ssl.SSLContext:
    """Return the context with which a client is to meet a server. A client's own is never changed.

    One that does not verify goes on not to; one that does verifies as strictly, against the fake's certificates.
    """
    return redirect.context() if is_service(server_hostname) and context.verify_mode != ssl.CERT_NONE else context


def _wrap_socket(
    redirect: Redirect,
    original: Callable[..., Any],
    context: ssl.SSLContext,
    sock: Any,
    server_side: bool = False,
    do_handshake_on_connect: bool = True,
    suppress_ragged_eofs: bool = True,
    server_hostname: Any = None,
    session: Any = None,
) -> Any:
    trusting = _trusting(redirect, context, server_hostname)
    options = (server_side, do_handshake_on_connect, suppress_ragged_eofs, server_hostname, session)
    # What was original to a client's own class of contexts may not know what to do with ours.
    return original(context, sock, *options) if trusting is context else trusting.wrap_socket(sock, *options)


def _wrap_bio(
    redirect: Redirect,
    original: Callable[..., Any],
    context: ssl.SSLContext,
    incoming: Any,
    outgoing: Any,
    server_side: bool = False,
    server_hostname: Any = None,
    session: Any = None,
) -> Any:
    trusting = _trusting(redirect, context, server_hostname)
    options = (server_side, server_hostname, session)
    if trusting is context:
        return original(context, incoming, outgoing, *options)
    return trusting.wrap_bio(incoming, outgoing, *options)


def _patches() -> list[tuple[Any, str, Callable[..., Any]]]:
    """Return what is replaced, and by what."""
    patches: list[tuple[Any, str, Callable[..., Any]]] = [
        (socket, "getaddrinfo", _getaddrinfo),
        (socket, "gethostbyname", _gethostbyname),
        (socket, "gethostbyname_ex", _gethostbyname_ex),
        (socket.socket, "connect", _connect),
        (socket.socket, "connect_ex", _connect_ex),
    ]
    for kind in {SSLContext, ssl.SSLContext}:
        patches += [(kind, "wrap_socket", _wrap_socket), (kind, "wrap_bio", _wrap_bio)]
    return patches


ENVIRONMENT_VARIABLE = "FAKEBATCH_REDIRECT"
"""Tells a child process where to lead the names: host, port, TLS port, path of certificates, with tabs between."""


def redirect_from_environment() -> None:
    """Redirect this process until its end, if it was started with the variable.

    Where there is no TLS port, it is empty there.
    """
    described = os.environ.get(ENVIRONMENT_VARIABLE)
    if not described:
        return
    host, port, tls_port, ca_bundle = described.split("\t")

    def known_tls_port() -> int:
        if not tls_port:
            raise RuntimeError(EXTRA_IS_MISSING)
        return int(tls_port)

    Redirect(Target(host, lambda: int(port), known_tls_port, lambda: ca_bundle)).__enter__()
