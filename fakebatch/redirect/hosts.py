"""Leads the service's host names to a fake, in this process: name lookups, connections, and trust in certificates.

Imports the standard library only, and is run from its file in child processes as well (see `child/sitecustomize.py`).
It knows addresses and names, and nothing of what is served there.

A name of the service resolves to an address that is no machine's, and a connection to that address goes to the fake's
port. Both are needed: some clients take only the address out of a lookup and put their own port behind it. What has
ways of its own past the `socket` module (uvloop, c-ares, asyncio on Windows) is led in the same two places, from when
it is imported on; what can't be led is refused, since it would go on to the real service.

Processes that `multiprocessing` starts are redirected as well, whichever way it starts them.

Written for every Python from 3.8 on, which is what child processes may be.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import ssl
import sys
import threading
from itertools import dropwhile, islice
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType, TracebackType
    from typing import Self

    Patch = tuple[Any, str, Callable[..., Any]]  # what is replaced: the owner, the name, and what stands there then

SERVICE_NAME = re.compile(r"batchcompute(-vpc)?\.[a-z0-9-]+\.aliyuncs\.com\.?", re.IGNORECASE)
"""The names of the service in all regions, public and inside of a VPC. [sdk]"""

PLAIN_PORT, TLS_PORT = 80, 443

TRUSTME_IS_MISSING = "TLS needs the package trustme; install it with: pip install trustme"

_ADDRESSES = {socket.AF_INET: "127.97.108.105", socket.AF_INET6: "::1:6c:6979"}
"""What the names resolve to inside of a redirect: addresses of no machine; connections to them are led elsewhere."""

_IN_QUERY = re.compile(rb"[\x0c\x10]batchcompute(-vpc)?[\x01-\x3f][a-z0-9-]+\x08aliyuncs\x03com\0", re.IGNORECASE)
"""A name of the service as DNS queries have it: each part behind its length."""

_PAST_PROXIES = ".aliyuncs.com"
"""What `no_proxy` has inside of a redirect. It knows no narrower pattern for the names of all regions. [choice]"""

_ADVICE = (
    "give the code under test the fake's own url, or map the name to 127.0.0.1 in the hosts file"
    " and run: fakebatch serve --port 80"
)


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
    are the process's, so there can be one at a time; and where gevent has replaced the process's sockets.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
        self._context: ssl.SSLContext | None = None

    def __enter__(self) -> Self:
        global _active, _depth
        with _lock:
            if _active is None:
                _refuse_gevent()
                _active = self
                _undo.append(_go_past_proxies())
                _undo.extend(_patch(self, *patch) for patch in _patches())
                for name in _LATE:
                    self.patch_module(name, sys.modules.get(name))
                sys.meta_path.insert(0, _Imports)
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
                with contextlib.suppress(ValueError):  # it is somebody else's list as well
                    sys.meta_path.remove(_Imports)
                while _undo:
                    _undo.pop()()

    def patch_module(self, module_name: str, module: ModuleType | None) -> None:
        """Put replacements into one of the modules of `_LATE`, if there is one, until the redirect ends."""
        for kind, name, replacement in _LATE[module_name]:
            owner = getattr(module, kind, None) if kind else module
            if hasattr(owner, name):
                _undo.append(_patch(self, owner, name, replacement))

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


def _open_ports() -> None:
    """Have the fake listen on both ports: a forked child can't open one for it."""
    if _active is not None:
        for port in (_active.target.port, _active.target.tls_port):
            with contextlib.suppress(Exception):  # who needs the port is told why there is none
                port()


if sys.platform != "win32":
    os.register_at_fork(before=_open_ports, after_in_child=_renew_lock)

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

    # A class may have the system's own function, which takes no `self`.
    is_static = isinstance(owner, type) and isinstance(original, BuiltinFunctionType)
    ours = staticmethod(replaced) if is_static else replaced

    def undo() -> None:
        if vars(owner).get(name) is not ours:
            return
        if own:
            setattr(owner, name, original)
        else:
            delattr(owner, name)

    setattr(owner, name, ours)
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


def _sendto(redirect: Redirect, original: Callable[..., Any], sock: socket.socket, data: Any, *rest: Any) -> Any:  # noqa: ARG001
    if _IN_QUERY.search(data):
        raise RuntimeError(f"a resolver that asks name servers itself can't be redirected to the fake; {_ADVICE}")
    return original(sock, data, *rest)


def _lookup(redirect: Redirect, original: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Have a lookup of any form answered for an address: that is what every resolver gives back as it is."""
    address = _ADDRESSES[redirect.family]
    led = [address if is_service(argument) else argument for argument in arguments]
    return original(*led, **{name: address if is_service(value) else value for name, value in options.items()})


def _refused(by: str) -> Callable[..., Any]:
    """Return what stands for a lookup whose answer can't be led to the fake."""

    def refuse(redirect: Redirect, original: Callable[..., Any], *arguments: Any, **options: Any) -> Any:  # noqa: ARG001
        if any(map(is_service, (*arguments, *options.values()))):
            raise RuntimeError(f"{by} can't be redirected to the fake; {_ADVICE}")
        return original(*arguments, **options)

    return refuse


def _refuse_gevent() -> None:
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("socket"):
        raise RuntimeError(f"gevent has replaced the sockets of this process, so it can't be redirected; {_ADVICE}")


def _sock_connect(redirect: Redirect, original: Callable[..., Any], loop: Any, sock: Any, address: Any) -> Any:
    return original(loop, sock, _led(redirect, address))


async def _create_connection(
    redirect: Redirect,
    original: Callable[..., Any],
    loop: Any,
    protocol_factory: Any,
    host: Any = None,
    port: Any = None,
    **options: Any,
) -> Any:
    """Connect as event loops do that look names up and connect in one."""
    if options.get("ssl") and options.get("server_hostname") is None and is_service(host):
        options["server_hostname"] = host
    if host is not None:
        host, port = _led(redirect, (host, port))
    return await original(loop, protocol_factory, host, port, **options)


class _InChild:
    """Redirects the process in which it is unpickled."""

    def __init__(self, described: str) -> None:
        self._described = described

    def __reduce__(self) -> tuple[Any, ...]:
        # From its file, and without this class: what it is sent with comes before the paths of what may be imported.
        program = (
            "from importlib.util import module_from_spec, spec_from_file_location\n"
            f"spec = spec_from_file_location('fakebatch_redirect', {__file__!r})\n"
            "module = module_from_spec(spec)\n"
            "spec.loader.exec_module(module)\n"
            f"module.redirect_until_the_end({self._described!r})\n"
        )
        return exec, (program, {})


def _preparation_data(redirect: Redirect, original: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Send the redirect along with what multiprocessing sends to a process that it starts and does not fork."""
    return {**original(*arguments, **options), "fakebatch": _InChild(described(redirect.target))}


_REFUSE_GEVENT = _refused("a lookup by gevent")
_REFUSE_QUERY = _refused("a query of name servers by c-ares")
_RESOLVER: list[tuple[str, str, Callable[..., Any]]] = [
    ("Resolver", name, _REFUSE_GEVENT) for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex")
]
_LATE: dict[str, list[tuple[str, str, Callable[..., Any]]]] = {
    "asyncio.proactor_events": [("BaseProactorEventLoop", "sock_connect", _sock_connect)],
    "gevent.resolver.ares": _RESOLVER,
    "gevent.resolver.blocking": _RESOLVER,
    "gevent.resolver.dnspython": _RESOLVER,
    "gevent.resolver.thread": _RESOLVER,
    "multiprocessing.spawn": [("", "get_preparation_data", _preparation_data)],
    "pycares": [  # all of aiodns goes through it
        ("Channel", "getaddrinfo", _lookup),
        ("Channel", "gethostbyname", _lookup),
        ("Channel", "query", _REFUSE_QUERY),
        ("Channel", "search", _REFUSE_QUERY),
    ],
    "uvloop": [("Loop", "getaddrinfo", _lookup), ("Loop", "create_connection", _create_connection)],
}
"""What is replaced in modules that may not be imported yet, or never: the class if it is a method, the name, and by
what. Some of it is not in every version."""


class _Imports:
    """Finds modules as others do, and has those of `_LATE` patched as soon as they are there."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of a module that is patched; None for all others."""
        if name not in _LATE:
            return None
        later = islice(dropwhile(lambda finder: finder is not cls, sys.meta_path[:]), 1, None)
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in later)), None)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Patching(spec.loader)  # type: ignore[assignment]  # it need not be one of theirs
        return spec


class _Patching:
    """Loads a module as its loader does, and patches it."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__loader__ = module.__spec__.loader = self._loader  # this one leaves no trace
        self._loader.exec_module(module)
        with _lock:
            if _active is not None:
                _active.patch_module(module.__name__, module)


def _go_past_proxies() -> Callable[[], None]:
    """Have clients that obey the environment ask the service themselves, and return what takes that back."""
    before = os.environ.get("no_proxy")
    past = before or os.environ.get("NO_PROXY", "")
    if past.strip() == "*":
        return lambda: None
    ours = ",".join(filter(None, [past, _PAST_PROXIES]))
    os.environ["no_proxy"] = ours

    def undo() -> None:
        if os.environ.get("no_proxy") != ours:
            return
        del os.environ["no_proxy"]
        if before is not None:
            os.environ["no_proxy"] = before

    return undo


def _patches() -> list[Patch]:
    """Return what is replaced, and by what."""
    patches: list[Patch] = [
        (socket, "getaddrinfo", _getaddrinfo),
        (socket, "gethostbyname", _gethostbyname),
        (socket, "gethostbyname_ex", _gethostbyname_ex),
        (socket.socket, "connect", _connect),
        (socket.socket, "connect_ex", _connect_ex),
        (socket.socket, "sendto", _sendto),
    ]
    for kind in {SSLContext, ssl.SSLContext}:
        patches += [(kind, "wrap_socket", _wrap_socket), (kind, "wrap_bio", _wrap_bio)]
    return patches


ENVIRONMENT_VARIABLE = "FAKEBATCH_REDIRECT"
"""Tells a child process where to lead the names: a target as `described` has it."""


def described(target: Target) -> str:
    """Return a target for another process: host, port, TLS port, path of certificates, with tabs between.

    Where there is no port, the reason why stands there. It holds while the fake runs.
    """

    def text_of(known: Callable[[], object]) -> str:
        try:
            return str(known())
        except Exception as error:
            return " ".join(str(error).split())

    known = (target.port, target.tls_port, target.ca_bundle)
    return "\t".join((target.host, *map(text_of, known)))


def redirect_until_the_end(target: str) -> None:
    """Redirect this process until its end. Raises ValueError for what is not as `described` has it."""
    host, port, tls_port, ca_bundle = target.split("\t")

    def known(text: str) -> int:
        if not text.isdigit():
            raise RuntimeError(text)
        return int(text)

    Redirect(Target(host, lambda: known(port), lambda: known(tls_port), lambda: ca_bundle)).__enter__()
