"""From the query and the body of a request to its parameters. Knows nothing of operations."""

import re
import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from ..errors import ApiError

MOST_BODY_BYTES = 256 * 1024
"""The largest request body, also after inflating. [doc]"""
MOST_CONTROL_BYTES = 64 * 1024 * 1024
"""The largest body of a request for the fake itself: a world. [choice]"""

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

METHODS_WITH_A_BODY = ("POST", "PUT")
"""Whatever a client sends with another method is ignored. [choice]"""


def parse_query(query: str) -> dict[str, str]:
    """Return the parameters of a query. A bare key is an empty value [sdk]; of two the first counts [choice].

    Raises ApiError for a percent sign that is not followed by two hexadecimal digits. [choice]
    """
    if "%" in query and _BROKEN_ESCAPE.search(query):
        raise ApiError("InvalidQueryString", Message="It must be percent-encoded.")
    parameters: dict[str, str] = {}
    for pair in query.encode("latin-1").decode(errors="replace").split("&") if query else ():
        name, _, value = pair.partition("=")
        if pair:
            parameters.setdefault(unquote_plus(name), unquote_plus(value))
    return parameters


def parse_body(data: bytes, compression: str) -> Mapping[str, Any]:
    """Return the parameters of a body. `compression` is the header `x-acs-compress-type`.

    Raises ApiError if it is not what it should be.
    """
    if compression.strip().lower() == "deflate":
        data = _inflate(data)
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise ApiError("InvalidJsonFormat") from None
    if not isinstance(body, dict):
        raise ApiError("InvalidHttpBody", Message="Its type must be object.")
    return body


def too_large() -> ApiError:
    """Return the refusal of a body that is too large."""
    return ApiError("InvalidHttpBody", Message=f"Its length must be in [0, {MOST_BODY_BYTES}].")


def _inflate(data: bytes) -> bytes:
    """Return a deflated body inflated, with zlib's framing or without: both go by that name. [choice]"""
    for window_bits in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        inflater = zlib.decompressobj(window_bits)
        try:
            inflated = inflater.decompress(data, MOST_BODY_BYTES + 1)
        except zlib.error:
            continue
        if len(inflated) > MOST_BODY_BYTES:
            raise too_large()
        if inflater.eof:
            return inflated
    raise ApiError("InvalidHttpBody", Message="It must be compressed with deflate.")
