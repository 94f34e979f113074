"""Who signed a request: both of Alibaba Cloud's signature schemes, checked against the world's accounts.

Knows nothing of operations, and nothing of WSGI: it takes a request as it was on the wire. Secrets stay inside.
"""

import hmac
import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import sha1, sha256
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from werkzeug.datastructures import Headers

from ..errors import ApiError
from ..service.accounts import Account
from ..service.world import World

CLOCK_WINDOW = timedelta(minutes=15)
"""How far the date of a request may lie from the server's clock. [doc]"""

_ACS = re.compile(r"acs (?P<key>[^:\s]+):(?P<signature>\S+)")
_ACS3 = re.compile(
    r"ACS3-HMAC-SHA256 Credential=(?P<key>[^,\s]+),\s*"
    r"SignedHeaders=(?P<headers>[^,\s]*),\s*Signature=(?P<signature>\S+)"
)


class Request(NamedTuple):
    """A request as it was on the wire: `path` and `query` are percent-encoded, `headers` are looked up in any case."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes


def redact(authorization: str) -> tuple[str, str]:
    """Return the access key Id that an Authorization header claims, and the header without its secrets.

    The Id is empty if there is none.
    """
    found = _ACS.fullmatch(authorization) or _ACS3.fullmatch(authorization)
    if found:
        return found["key"], f"{authorization[: found.start('signature')]}[redacted]"
    scheme, _, rest = authorization.partition(" ")
    return "", f"{scheme} [redacted]" if rest else "[redacted]"


def authenticate(world: World, request: Request) -> Account:
    """Return the account that signed a request, and mark its nonce as used.

    Raises ApiError: `MissingAccessKeyId` (no Authorization header, or none of the two schemes),
    `InvalidAccessKeyId.NotFound`, `InvalidTimeStamp.Expired` (also for a date that is missing or not one),
    `SignatureDoesNotMatch`, `SignatureNonceUsed`. A request without a nonce is accepted. [choice]
    """
    authorization = request.headers.get("Authorization", "")
    if found := _ACS.fullmatch(authorization):
        candidates = _acs_strings(request)
    elif found := _ACS3.fullmatch(authorization):
        candidates = _acs3_strings(request, found["headers"])
    else:
        raise ApiError("MissingAccessKeyId")
    account = world.accounts.get(found["key"])
    if account is None:
        raise ApiError("InvalidAccessKeyId.NotFound")
    now = world.now()
    date = _date(request.headers)
    if date is None or abs(now - date) > CLOCK_WINDOW:
        raise ApiError("InvalidTimeStamp.Expired")
    sign = _sign_acs if found.re is _ACS else _sign_acs3
    expected = ""
    for string_to_sign in candidates:
        expected = expected or string_to_sign
        if hmac.compare_digest(sign(account.access_key_secret, string_to_sign), found["signature"].encode()):
            break
    else:
        raise ApiError("SignatureDoesNotMatch", StringToSign=expected)
    _use_nonce(world, account, request.headers.get("x-acs-signature-nonce"), now)
    return account


def _date(headers: Headers) -> datetime | None:
    """Return the date that a request gives, as `Date` or as the newer clients' `x-acs-date`. [sdk]"""
    try:
        if "Date" in headers:
            date = parsedate_to_datetime(headers["Date"])
        else:
            date = datetime.fromisoformat(headers.get("x-acs-date", ""))
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _use_nonce(world: World, account: Account, nonce: str | None, now: datetime) -> None:
    if nonce is None:
        return
    with world.lock:
        # The oldest come first. The request of one that lies out of the window on both sides has expired, so that it
        # can't come again.
        while world.nonces and now - world.nonces[oldest := next(iter(world.nonces))] > 2 * CLOCK_WINDOW:
            del world.nonces[oldest]
        key = (account.access_key_id, nonce)
        if key in world.nonces:
            raise ApiError("SignatureNonceUsed")
        world.nonces[key] = now


def _sign_acs(secret: str, string_to_sign: str) -> bytes:
    return b64encode(hmac.digest(secret.encode(), string_to_sign.encode(), sha1))


def _sign_acs3(secret: str, string_to_sign: str) -> bytes:
    return hmac.new(secret.encode(), string_to_sign.encode(), sha256).hexdigest().encode()


def _acs_strings(request: Request) -> Iterator[str]:
    """Yield the strings that a client may have signed under the `acs` scheme, the one of the reference first."""
    headers = request.headers
    head = "\n".join(
        [request.method, *(headers.get(name, "") for name in ("Accept", "Content-MD5", "Content-Type", "Date"))]
    )
    own = sorted((name.lower(), value) for name, value in headers.items() if name.lower().startswith("x-acs-"))
    for resource in _acs_resources(request):
        yield "\n".join([head, *(f"{name}:{value}" for name, value in own), resource])


def _acs_resources(request: Request) -> Iterator[str]:
    pairs = sorted(parse_qsl(request.query, keep_blank_values=True))
    # As sent. [doc]
    yield f"{request.path}?{request.query}" if request.query else request.path
    # Sorted, encoded with nothing safe, a bare key for an empty value: the SDK. [sdk]
    encoded = "&".join(
        f"{quote(name, '')}={quote(value, '')}" if value.strip() else quote(name, "") for name, value in pairs
    )
    yield f"{request.path}?{encoded}" if encoded else request.path
    # Sorted, not encoded at all: aliyun-python-sdk-core. [sdk]
    plain = "&".join(f"{name}={value}" for name, value in pairs)
    path = unquote(request.path)
    yield f"{path}?{plain}" if plain else path


def _acs3_strings(request: Request, signed_headers: str) -> Iterator[str]:
    """Yield the strings that a client may have signed under the ACS3 scheme. [sdk]

    Raises ApiError for a body other than the one whose hash was signed.
    """
    body_hash = sha256(request.body).hexdigest()
    if request.headers.get("x-acs-content-sha256", "") != body_hash:
        reason = "the body's SHA-256 is not the one of the header x-acs-content-sha256"
        raise ApiError("SignatureDoesNotMatch", StringToSign=reason)
    names = signed_headers.split(";")
    headers = "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in names)
    pairs = sorted(parse_qsl(request.query, keep_blank_values=True))
    query = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)
    for path in (request.path, unquote(request.path)):
        canonical = "\n".join([request.method, path, query, headers, signed_headers, body_hash])
        yield f"ACS3-HMAC-SHA256\n{sha256(canonical.encode()).hexdigest()}"
