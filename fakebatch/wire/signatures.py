"""Who signed a request: Alibaba Cloud's signature schemes, checked against accounts; and what of it is not to be shown.

Knows nothing of operations, of worlds, and nothing of WSGI but its names of headers: it takes a request as it was on
the wire. Secrets stay inside. A scheme is one entry in `SCHEMES`.
"""

import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import md5, sha1, sha256
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import parse_qsl, quote, unquote, unquote_plus

from ..errors import ApiError

CLOCK_WINDOW = timedelta(minutes=15)
"""How far the date of a request may lie from the server's clock. [doc]"""

NONCE_WINDOW = 2 * CLOCK_WINDOW
"""How long a nonce is to be remembered: then its request lies out of the window on both sides, and can't come again."""

REDACTED = "[redacted]"


class Keys(Protocol):
    """What an account is here: the two halves of an access key."""

    @property
    def access_key_id(self) -> str:
        """The public half."""

    @property
    def access_key_secret(self) -> str:
        """The half that signs."""


AccountType = TypeVar("AccountType", bound=Keys)


class Request(NamedTuple):
    """A request as it was on the wire: `path` and `query` are percent-encoded, `headers` are by names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """Return a header's value without the blanks around it, which are no part of it; "" if it is not there."""
        return self.headers.get(name.lower(), "").strip(" \t")


class Scheme(NamedTuple):
    """A way of signing."""

    authorization: re.Pattern[str]
    """The header `Authorization`, with the groups `key`, `signature`, and whatever else `strings` needs."""
    date: Callable[[Request], datetime]
    """Returns when it was signed. Raises ValueError or OverflowError if it does not say so."""
    strings: Callable[[Request, re.Match[str]], Iterator[str]]
    """Yields the strings that a client may have signed, first the one that an error is to show.

    Raises ApiError for what no signature makes good.
    """
    sign: Callable[[str, str], bytes]
    """From secret and string to signature."""


def authenticate(
    accounts: Mapping[str, AccountType], now: datetime, request: Request
) -> tuple[AccountType, str | None]:
    """Return the account that signed a request, and the nonce that is now to be used up for it, if it has one.

    The accounts are by access key Id. A request without a nonce is accepted [choice]: npm's `aliyun-sdk` sends
    none [sdk].

    Raises ApiError: `MissingAccessKeyId` (no Authorization header, or one of no known scheme),
    `InvalidAccessKeyId.NotFound`, `InvalidTimeStamp.Expired` (also for a date that is missing or not one),
    `SignatureDoesNotMatch`.
    """
    claim = _claim(request.header("Authorization"))
    if claim is None:
        raise ApiError("MissingAccessKeyId")
    scheme, found = claim
    account = accounts.get(found["key"])
    if account is None:
        raise ApiError("InvalidAccessKeyId.NotFound")
    try:
        expired = abs(_aware(now) - _aware(scheme.date(request))) > CLOCK_WINDOW
    except (ValueError, OverflowError):
        expired = True
    if expired:
        raise ApiError("InvalidTimeStamp.Expired")
    signature = found["signature"].encode()
    shown = ""
    for text in scheme.strings(request, found):
        shown = shown or text
        if hmac.compare_digest(scheme.sign(account.access_key_secret, text), signature):
            return account, request.headers.get("x-acs-signature-nonce")
    raise _mismatch(shown)


def access_key_id(authorization: str) -> str:
    """Return the access key Id that an Authorization header claims; "" if there is none."""
    claim = _claim(authorization.strip(" \t"))
    return claim[1]["key"] if claim else ""


def _claim(authorization: str) -> tuple[Scheme, re.Match[str]] | None:
    """Return the scheme of an Authorization header, and what it says; None if it is of no known one."""
    for scheme in SCHEMES:
        if found := scheme.authorization.fullmatch(authorization):
            return scheme, found
    return None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _mismatch(string_to_sign: str) -> ApiError:
    return ApiError("SignatureDoesNotMatch", StringToSign=string_to_sign)


def _own_headers(request: Request) -> list[tuple[str, str]]:
    """Return the headers that are the service's own, by name in lower case."""
    return sorted((name, request.header(name)) for name in request.headers if name.startswith("x-acs-"))


# acs: HMAC-SHA1 over a few headers [doc]


def _acs_date(request: Request) -> datetime:
    """Return the date of `x-acs-date`, which npm's `aliyun-sdk` sends in the place of `Date` [sdk], else of `Date`.

    Where both are sent the first counts: it is signed in every form. [choice]
    """
    return parsedate_to_datetime(request.header("x-acs-date") or request.header("Date"))


def _acs_strings(request: Request, _: re.Match[str]) -> Iterator[str]:
    digest = request.header("Content-MD5")
    if digest and digest != b64encode(md5(request.body, usedforsecurity=False).digest()).decode():
        # The same code as for a wrong signature. [choice]
        raise _mismatch("the body's MD5 is not the one of the header Content-MD5")
    head = [request.method, *(request.header(name) for name in ("Accept", "Content-MD5", "Content-Type"))]
    own = [f"{name}:{value}" for name, value in _own_headers(request)]
    # `Date` [doc]; npm's aliyun-sdk has x-acs-date in its place, and among the headers as well [sdk].
    for date in dict.fromkeys((request.header("Date"), request.header("x-acs-date") or request.header("Date"))):
        for resource in _ACS_RESOURCES:
            yield "\n".join([*head, date, *own, resource(request)])


def _target(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


def _pairs(request: Request) -> list[tuple[str, str]]:
    return sorted(parse_qsl(request.query, keep_blank_values=True))


def _as_sent(request: Request) -> str:
    return _target(request.path, request.query)


def _encoded(request: Request) -> str:
    pairs = ((quote(name, ""), quote(value, "")) for name, value in _pairs(request))
    return _target(request.path, "&".join(f"{name}={value}" if value else name for name, value in pairs))


def _decoded(request: Request) -> str:
    return _target(unquote(request.path), "&".join(f"{name}={value}" for name, value in _pairs(request)))


def _decoded_bare(request: Request) -> str:
    pairs = _pairs(request)
    return _target(unquote(request.path), "&".join(f"{name}={value}" if value else name for name, value in pairs))


_ACS_RESOURCES = (
    _as_sent,  # [doc]
    _encoded,  # the SDK: sorted, encoded with nothing safe, a bare key for an empty value [sdk]
    _decoded,  # aliyun-python-sdk-core: sorted, not encoded at all [sdk]
    _decoded_bare,  # npm's aliyun-sdk: the same, with a bare key for an empty value [sdk]
)


def _sign_acs(secret: str, string_to_sign: str) -> bytes:
    return b64encode(hmac.digest(secret.encode(), string_to_sign.encode(), sha1))


# ACS3: HMAC-SHA256 over the headers that the client names [sdk]


def _acs3_date(request: Request) -> datetime:
    """Return the date of `x-acs-date`: whatever `Date` says is not signed."""
    return datetime.fromisoformat(request.header("x-acs-date"))


def _acs3_strings(request: Request, found: re.Match[str]) -> Iterator[str]:
    names = found["headers"].split(";")
    needed = {"host", *(name for name, _ in _own_headers(request))}
    if request.header("Content-Type"):
        needed.add("content-type")
    if missing := needed - {name.lower() for name in names}:
        raise _mismatch(f"these headers must be signed as well: {', '.join(sorted(missing))}")
    body_hash = sha256(request.body).hexdigest()
    if request.header("x-acs-content-sha256") != body_hash:
        raise _mismatch("the body's SHA-256 is not the one of the header x-acs-content-sha256")
    headers = "".join(f"{name}:{request.header(name)}\n" for name in names)
    query = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in _pairs(request))
    for path in (request.path, unquote(request.path)):
        canonical = "\n".join([request.method, path, query, headers, found["headers"], body_hash])
        yield f"ACS3-HMAC-SHA256\n{sha256(canonical.encode()).hexdigest()}"


def _sign_acs3(secret: str, string_to_sign: str) -> bytes:
    return hmac.digest(secret.encode(), string_to_sign.encode(), sha256).hex().encode()


SCHEMES = (
    Scheme(re.compile(r"acs (?P<key>[^:\s]+):(?P<signature>\S+)"), _acs_date, _acs_strings, _sign_acs),
    Scheme(
        re.compile(
            r"ACS3-HMAC-SHA256 Credential=(?P<key>[^,\s]+),\s*"
            r"SignedHeaders=(?P<headers>[^,\s]*),\s*Signature=(?P<signature>\S+)"
        ),
        _acs3_date,
        _acs3_strings,
        _sign_acs3,
    ),
)
"""Every way in which a request may be signed."""


# What is not to be shown

_SECRET_NAME = re.compile(
    r"secret|passw|pwd$|cookie|credential|authorization|signature$|apikey$|privatekey|"
    r"(^|httpx?|security|access|session|auth|refresh|bearer)token$"
)
"""Names of headers and parameters, in lower case and letters only, whose values are secrets.

`IdempotentToken`, `AccessKeyId` and the like are none.
"""
_SHOWN_SCHEME = re.compile(r"(acs3?(-[a-z0-9-]+)?|basic|bearer|digest|negotiate) +", re.IGNORECASE)


@lru_cache(maxsize=1024)  # the same few names come in every request
def _is_secret(name: str) -> bool:
    letters = re.sub("[^a-z]", "", unquote_plus(name).lower())
    return _SECRET_NAME.search(letters) is not None


def redact_headers(environ: Mapping[str, Any]) -> str:
    """Return the headers of a WSGI environment without what is secret: a line each, WSGI's name, a colon, the value."""
    return "\n".join(
        [
            f"{name}:{_redact_header(name, value) if _is_secret(name) else value}"
            for name, value in environ.items()
            if name[:5] == "HTTP_" or name[:8] == "CONTENT_"
        ]
    )


def _redact_header(name: str, value: str) -> str:
    """Return what may be seen of a header: of `Authorization`, all but the signature."""
    if name.endswith("AUTHORIZATION"):
        if claim := _claim(value.strip(" \t")):
            found = claim[1]
            return found.string[: found.start("signature")] + REDACTED
        if scheme := _SHOWN_SCHEME.match(value):
            return scheme[0] + REDACTED
    return value and REDACTED


def redact_query(query: str) -> str:
    """Return a query string as sent, but for the values of secret parameters."""
    if "=" not in query:
        return query
    pairs = [pair.partition("=") for pair in query.split("&")]
    return "&".join(
        f"{name}={REDACTED}" if value and _is_secret(name) else name + sign + value for name, sign, value in pairs
    )
