"""What the service's responses look like: their headers, and the form of their errors. Knows nothing of requests."""

from collections.abc import Callable
from datetime import datetime
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from random import Random

import msgspec

from ..errors import ApiError
from ..forks import always_in_child
from ..state.clock import utc_now

HEADERS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST, GET, OPTIONS"),
    ("Access-Control-Allow-Headers", "X-Requested-With, X-Sequence, _aop_secret, _aop_signature"),
    ("Access-Control-Max-Age", "172800"),
    ("Server", "AliyunBatchCompute"),
)
"""What every response has, beside its own. [doc]"""

_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

_random = Random()  # noqa: S311 - unique is all that a request id has to be
"""Our own: a test that has seeded the process's sees the sequence that it expects."""
always_in_child(_random.seed)

encode: Callable[[object], bytes] = msgspec.json.Encoder().encode
"""Return a result as the service's JSON: compact, with Unicode as UTF-8."""


def status_line(status: int) -> str:
    """Return a status as WSGI has it: with its phrase."""
    return _STATUS_LINES.get(status, f"{status} Unknown")


def error_body(error: ApiError) -> bytes:
    """Return the body with which the service refuses. [doc]"""
    return encode({"Code": error.code, "Message": error.message})


def response_headers(request_id: str, moment: datetime, body: bytes | None) -> list[tuple[str, str]]:
    """Return the headers with which the service answers. A body of None is none at all, as in a 204."""
    headers = [("Date", _date(int(moment.timestamp()))), *HEADERS, ("x-acs-request-id", request_id)]
    if body is not None:
        headers.insert(1, ("Content-Length", str(len(body))))
    if body:
        headers.insert(1, ("Content-Type", "application/json; charset=utf-8"))
    return headers


@lru_cache(maxsize=1)
def _date(moment: int) -> str:
    return formatdate(moment, usegmt=True)


def new_request_id() -> str:
    """Return a request id: an upper-case UUID [doc], of the fourth version [choice]."""
    digits = f"{_random.getrandbits(128):032X}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-A{digits[17:20]}-{digits[20:]}"


def refuse(status: int) -> tuple[list[tuple[str, str]], bytes]:
    """Return headers and body for what is no HTTP request, in the form of the service. [choice]"""
    body = error_body(ApiError("InternalError" if status >= 500 and status != 505 else "InvalidUrlPattern"))
    return response_headers(new_request_id(), utc_now(), body), body
