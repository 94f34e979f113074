"""Certificates for the fake: made once per process, and only when somebody needs them. Knows nothing of sockets.

Needs trustme, which comes with the extra `fakebatch[tls]`.
"""

import atexit
import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ServerError
from ..redirect.hosts import EXTRA_IS_MISSING, SERVICE_NAME, SSLContext

if TYPE_CHECKING:
    import trustme

LOCAL_NAMES = ("127.0.0.1", "::1", "localhost")


@cache
def _authority() -> "trustme.CA":
    try:
        import trustme
    except ModuleNotFoundError:
        raise ServerError(EXTRA_IS_MISSING) from None
    return trustme.CA(organization_name="fakebatch")


@cache
def ca_bundle() -> str:
    """Return the path of a PEM file with the certificate that vouches for all others.

    It is there until the process ends. Raises ServerError, saying what to install, where the extra is missing.
    """
    authority = _authority()
    folder = tempfile.TemporaryDirectory(prefix="fakebatch-")
    atexit.register(folder.cleanup)  # left to itself, it would go with a warning
    path = Path(folder.name) / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@cache
def _context(*names: str) -> ssl.SSLContext:
    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # trustme's own `configure_cert` refuses the standard library's context where another class stands in its place.
    with _authority().issue_cert(*names).private_key_and_cert_chain_pem.tempfile() as chain:
        context.load_cert_chain(chain)
    return context


@cache
def server_context() -> ssl.SSLContext:
    """Return a server's context: for the local names, and for every name of the service that a client asks for.

    Raises ServerError, saying what to install, where the extra is missing.
    """
    context = _context(*LOCAL_NAMES)

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name and SERVICE_NAME.fullmatch(name):
            connection.context = _context(name.lower())

    context.sni_callback = choose
    return context
