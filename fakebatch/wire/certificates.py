"""Certificates for the fake: made once per process, and only when somebody needs them. Knows nothing of sockets.

Needs trustme, which comes with the extra `fakebatch[tls]`.
"""

import atexit
import contextlib
import os
import re
import shutil
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ServerError
from ..forks import always_in_child
from ..redirect.hosts import SERVICE_NAME, TRUSTME_IS_MISSING, SSLContext

if TYPE_CHECKING:
    import trustme

LOCAL_NAMES = ("127.0.0.1", "::1", "localhost")
MOST_CONTEXTS = 64
"""How many certificates are kept. There are some thirty regions."""

_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - nothing listens here
_NAME_IN_HELLO = re.compile(rb"\0(?P<length>[^\0])(?P<name>batchcompute[a-z0-9.-]+)", re.IGNORECASE)

_lock = threading.RLock()
"""Held while something is made that there must be one of. The child of a fork makes its own lock."""


def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()


always_in_child(_renew_lock)


@cache
def _authority() -> "trustme.CA":
    try:
        import trustme
    except ModuleNotFoundError:
        raise ServerError(TRUSTME_IS_MISSING) from None
    return trustme.CA(organization_name="fakebatch")


@cache
def _ca_file() -> str:
    folder = tempfile.mkdtemp(prefix="fakebatch-")
    path = Path(folder) / "ca.pem"
    path.write_bytes(_authority().cert_pem.bytes())
    maker = os.getpid()

    def remove() -> None:
        if os.getpid() == maker:  # or a forked child would take it from its parent
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return str(path)


def ca_bundle() -> str:
    """Return the path of a PEM file with the certificate that vouches for all others.

    It is there until the process ends. Raises ServerError, saying what to install, where the extra is missing.
    """
    with _lock:
        _authority()
        return _ca_file()


@lru_cache(maxsize=MOST_CONTEXTS)
def _context(names: tuple[str, ...]) -> ssl.SSLContext:
    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # trustme's own `configure_cert` refuses the standard library's class where another one stands in its place.
    with _authority().issue_cert(*names).private_key_and_cert_chain_pem.tempfile() as path:
        context.load_cert_chain(path)
    return context


def context_for(names: tuple[str, ...]) -> ssl.SSLContext:
    """Return a server's context with a certificate for these names. Raises ServerError where the extra is missing."""
    with _lock:
        return _context(names)


def names_of(host: str) -> tuple[str, ...]:
    """Return the names and addresses by which clients on this machine may reach what listens on `host`."""
    own = (socket.gethostname(),) if host in _ANY_ADDRESS else ()
    return tuple(dict.fromkeys((*LOCAL_NAMES, host, *filter(_may_be_certified, own))))


def _may_be_certified(name: str) -> bool:
    return re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?", name, re.IGNORECASE) is not None


def choose_context(host: str) -> Callable[[bytes], ssl.SSLContext]:
    """Return what chooses the context for a client, by the first bytes that it sends (TLS: ClientHello).

    It is that of the service's name that the client asks for, or else that of what listens on `host`. The name is
    searched for in the bytes: a callback of the ssl module would print on names that it cannot decode.

    Raises ServerError, saying what to do, where the extra is missing, and for what is no name of a host.
    """
    try:
        default = context_for(names_of(host))
    except ValueError:
        advice = "write a name or an address such as 127.0.0.1, or 0.0.0.0 for all addresses"
        raise ServerError(f"there can be no certificate for the host {host!r}; {advice}") from None

    def choose(hello: bytes) -> ssl.SSLContext:
        found = _NAME_IN_HELLO.search(hello)
        if found:
            name = found["name"][: found["length"][0]].decode("ascii").lower()
            if len(name) == found["length"][0] and SERVICE_NAME.fullmatch(name):
                with contextlib.suppress(ValueError):  # a part of it is too long, or ends with a hyphen
                    return context_for((name,))
        return default

    return choose
