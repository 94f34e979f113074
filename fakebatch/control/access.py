"""Who may use the control interface: nobody whom a page in a developer's browser could make ask. Knows nothing else."""

import re
from collections.abc import Collection
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ..errors import printable

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_HOST = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<name>[^:]*))(?::\d*)?", re.ASCII)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_LONGEST_SHOWN = 80


def refusal(environ: "WSGIEnvironment", hosts: Collection[str]) -> str:
    """Return why a request is refused, and what to do about it; nothing if it is not.

    A name that somebody rebinds to this machine stands in `Host`, and another page's address in `Origin`: browsers send
    both, and no page can change them.
    """
    host = environ.get("HTTP_HOST", "")
    if not _is_known(host, hosts):
        return (
            f"control answers to IP addresses and to localhost, not to the host {_shown(host)}: ask 127.0.0.1 instead,"
            " or allow the name with --control-host (control_hosts in Python)"
        )
    scheme = environ["wsgi.url_scheme"]
    origin = environ.get("HTTP_ORIGIN")
    own = f"{scheme}://{host.lower().removesuffix(_DEFAULT_PORTS[scheme])}"
    if origin is not None and origin.lower() != own:
        return (
            f"control answers to no page but its own, not to one of {_shown(origin)}: open {own}/_fakebatch/, or ask"
            " from outside of a browser, without the header Origin"
        )
    return ""


def _is_known(host: str, hosts: Collection[str]) -> bool:
    found = _HOST.fullmatch(host)
    if not found:
        return False
    name = (found["v6"] or found["name"] or "").lower()
    if not found["v6"] and (name == "localhost" or name in hosts):
        return True
    try:
        return ip_address(name).version == (6 if found["v6"] else 4)
    except ValueError:
        return False


def _shown(text: str) -> str:
    return repr(printable(text[:_LONGEST_SHOWN]))
