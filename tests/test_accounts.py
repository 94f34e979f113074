"""Accounts and signatures: who sees what, and every way in which a request can be signed wrongly."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import pytest
from checkout import FIXTURES
from hypothesis import given
from hypothesis import strategies as st
from signing import sign
from werkzeug.test import Client, EnvironBuilder, TestResponse

from fakebatch import Account, FakeBatch, Image
from fakebatch.wire import signatures

NOW = datetime(2018, 11, 6, 8, 30, 40, tzinfo=UTC)
KEY, SECRET = "the-key", "the-secret-of-it"
MISMATCH = "Specified signature is not matched with our calculation. server string to sign is:"


@pytest.fixture
def fake() -> FakeBatch:
    return FakeBatch(accounts=[Account(KEY, SECRET)], clock=lambda: NOW)


def acs(
    target: str = "/images", secret: str = SECRET, nonce: str = "n-1", now: datetime = NOW, **changed: str | None
) -> dict[str, str]:
    """Return the headers of a GET under the `acs` scheme; what is changed is changed after signing (None: left out)."""
    headers: dict[str, str | None] = {
        "Accept": "application/json",
        "Date": format_datetime(now, usegmt=True),
        "x-acs-signature-nonce": nonce,
        "x-acs-version": "2015-11-11",
    }
    named = f"x-acs-signature-nonce:{nonce}\nx-acs-version:2015-11-11"
    text = f"GET\n{headers['Accept']}\n\n\n{headers['Date']}\n{named}\n{target}"
    signature = base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()
    headers["Authorization"] = f"acs {KEY}:{signature}"
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    return {name: value for name, value in headers.items() if value is not None}


def acs3(
    target: str = "/images",
    secret: str = SECRET,
    method: str = "GET",
    body: bytes = b"",
    unsigned: str = "",
    also: Mapping[str, str] = MappingProxyType({}),
    **changed: str | None,
) -> dict[str, str]:
    """Return the headers of a request under the ACS3 scheme, with one that is `unsigned` and `also` others.

    What is changed is so after signing (None: left out).
    """
    path, query = urlsplit(target)[2:4]
    body_hash = hashlib.sha256(body).hexdigest()
    signed = {
        "host": "localhost",
        "x-acs-content-sha256": body_hash,
        "x-acs-date": NOW.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": "n-1",
        **also,
    }
    names = ";".join(name for name in signed if name != unsigned)
    lines = "".join(f"{name}:{value}\n" for name, value in signed.items() if name != unsigned)
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{body_hash}"
    text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    authorization = f"ACS3-HMAC-SHA256 Credential={KEY},SignedHeaders={names},Signature={signature}"
    headers: dict[str, str | None] = {**signed, "Authorization": authorization}
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    return {name: value for name, value in headers.items() if value is not None}


def get(fake: FakeBatch, headers: dict[str, str], target: str = "/images", **options: Any) -> TestResponse:
    return Client(fake).open(target, headers=headers, **options)


def code(response: TestResponse) -> tuple[int, str]:
    return response.status_code, (response.json or {}).get("Code", "")


OK = (200, "")
NO_KEY = (400, "MissingAccessKeyId")
UNKNOWN = (404, "InvalidAccessKeyId.NotFound")
EXPIRED = (400, "InvalidTimeStamp.Expired")
WRONG = (400, "SignatureDoesNotMatch")
AGAIN = (400, "SignatureNonceUsed")


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        (acs(), OK),
        (acs3(), OK),
        ({}, NO_KEY),
        (acs(Authorization=None), NO_KEY),
        (acs(Authorization=""), NO_KEY),
        (acs(Authorization="acs"), NO_KEY),
        (acs(Authorization=f"acs {KEY}"), NO_KEY),
        (acs(Authorization=f"Basic {KEY}:x"), NO_KEY),
        (acs3(Authorization=f"ACS3-HMAC-SHA256 Credential={KEY}"), NO_KEY),
        (acs(Authorization="acs other:x"), UNKNOWN),
        (acs3(Authorization="ACS3-HMAC-SHA256 Credential=other,SignedHeaders=host,Signature=x"), UNKNOWN),
        (acs(Date=None), EXPIRED),
        (acs(Date="yesterday"), EXPIRED),
        (acs(Date=""), EXPIRED),
        (acs3(x_acs_date=None), EXPIRED),
        (acs3(x_acs_date="yesterday"), EXPIRED),
        (acs(secret="wrong"), WRONG),
        (acs3(secret="wrong"), WRONG),
        (acs(Authorization=f"acs {KEY}:镜".encode().decode("latin-1")), WRONG),
        (acs(Accept="text/html"), WRONG),
        (acs(Accept=None), WRONG),
        (acs(Content_MD5="x"), WRONG),
        (acs(Date=format_datetime(NOW + timedelta(seconds=1), usegmt=True)), WRONG),
        (acs(x_acs_signature_nonce="n-2"), WRONG),
        (acs(x_acs_more="x"), WRONG),
        (acs("/images?Type=System"), WRONG),
        (acs3("/images?Type=System"), WRONG),
        (acs3("/images/img-centos"), WRONG),
        (acs3(method="DELETE"), WRONG),
        (acs3(body=b"x"), WRONG),
        (acs3(host="elsewhere"), WRONG),
        (acs3(x_acs_content_sha256=None), WRONG),
        (acs3(x_acs_content_sha256="x"), WRONG),
        (acs3(x_acs_signature_nonce="n-2"), WRONG),
        # Dates with which one can't reckon, and those of year 1 and 9999 in far zones.
        *((acs(Date=f"Tue, 06 Nov 2018 08:30:40 {zone}"), EXPIRED) for zone in ("+9999", "-9999", "+" + "9" * 14)),
        (acs(Date=f"Tue, 06 Nov {'9' * 20} 08:30:40 GMT"), EXPIRED),
        (acs(Date="Fri, 31 Dec 9999 23:59:59 -2359"), EXPIRED),
        (acs(x_acs_date=f"Tue, 06 Nov 2018 08:30:40 +{'9' * 14}"), EXPIRED),
        (acs3(x_acs_date="0001-01-01T00:00:00+23:59"), EXPIRED),
        (acs3(x_acs_date="9999-12-31T23:59:59-23:59"), EXPIRED),
        # Dates of other zones, and those without one, which are UTC. A changed date of an acs signature is never right.
        (acs(Date="Tue, 06 Nov 2018 16:30:40 +0800"), WRONG),
        (acs(Date="Tue, 06 Nov 2018 08:30:40 +0800"), EXPIRED),
        (acs(Date="Tue, 06 Nov 2018 08:30:40 -0000"), WRONG),
        (acs(Date="Tue, 06 Nov 2018 16:30:40 -0000"), EXPIRED),
        (acs3(also={"x-acs-date": "2018-11-06T16:30:40+08:00"}), OK),
        (acs3(also={"x-acs-date": "2018-11-06T08:30:40+08:00"}), EXPIRED),
        (acs3(also={"x-acs-date": "2018-11-06T08:30:40"}), OK),
        (acs3(also={"x-acs-date": "2018-11-06T16:30:40"}), EXPIRED),
        # With ACS3 x-acs-date is the date, whatever else is sent; a Date is not signed.
        (acs3(Date="Tue, 06 Nov 2018 11:30:40 GMT"), OK),
        (acs3(x_acs_date="2018-11-06T11:30:40Z", Date=format_datetime(NOW, usegmt=True)), EXPIRED),
        (acs3(x_acs_date=None, Date=format_datetime(NOW, usegmt=True)), EXPIRED),
        # Where it is sent it is the date with acs as well, and signed.
        (acs(x_acs_date="Tue, 06 Nov 2018 11:30:40 GMT"), EXPIRED),
        (acs(x_acs_date=format_datetime(NOW, usegmt=True)), WRONG),
        # What ACS3 leaves unsigned.
        (acs3(x_acs_more="x"), WRONG),
        (acs3(X_Acs_Version="2015-11-11"), WRONG),
        (acs3(Content_Type="application/json"), WRONG),
        (acs3(unsigned="host"), WRONG),
        (acs3(unsigned="x-acs-date"), WRONG),
        (acs3(unsigned="x-acs-signature-nonce"), WRONG),
        (acs3(unsigned="x-acs-content-sha256"), WRONG),
        (acs3(also={"content-type": "application/json", "x-acs-more": "", "accept": "x"}), OK),
        # Blanks around a value are no part of it.
        (acs(Accept=" application/json\t"), OK),
        (acs(x_acs_version="2015-11-11 "), OK),
        (acs3(x_acs_signature_nonce="n-1 "), OK),
        (acs3(x_acs_date=f"{NOW:%Y-%m-%dT%H:%M:%SZ} "), OK),
        (acs(Authorization=acs()["Authorization"] + " "), OK),
    ],
)
def test_a_request_is_accepted_or_refused_with_the_code_of_the_reference(
    fake: FakeBatch, headers: dict[str, str], outcome: tuple[int, str]
) -> None:
    assert code(get(fake, headers)) == outcome


@pytest.mark.parametrize("scheme", [acs, acs3])
@pytest.mark.parametrize(("minutes", "outcome"), [(0, OK), (15, OK), (-15, OK), (15.02, EXPIRED), (-15.02, EXPIRED)])
def test_the_date_may_differ_by_15_minutes(scheme: Any, minutes: float, outcome: tuple[int, str]) -> None:
    fake = FakeBatch(accounts=[Account(KEY, SECRET)], clock=lambda: NOW + timedelta(minutes=minutes))
    assert code(get(fake, scheme())) == outcome


@pytest.mark.parametrize("scheme", [acs, acs3])
def test_a_nonce_is_good_for_one_request(fake: FakeBatch, scheme: Any) -> None:
    assert code(get(fake, scheme())) == OK
    assert code(get(fake, scheme())) == AGAIN
    fake.reset()
    assert code(get(fake, scheme())) == OK


def test_a_wrong_signature_does_not_use_up_a_nonce(fake: FakeBatch) -> None:
    assert code(get(fake, acs(secret="wrong"))) == WRONG
    assert code(get(fake, acs())) == OK


def test_two_accounts_may_use_the_same_nonce() -> None:
    fake = FakeBatch(FIXTURES / "accounts.yaml")
    for key in ("alice", "bob"):
        headers = sign(f"{key}-key", f"{key}-secret", "GET", "/images", nonce="the-same")
        assert code(get(fake, headers)) == OK


@pytest.mark.parametrize(("minutes", "outcome"), [(0, AGAIN), (30, AGAIN), (30.1, OK)])
def test_a_nonce_is_forgotten_once_its_request_has_expired_on_every_clock(
    minutes: float, outcome: tuple[int, str]
) -> None:
    now = NOW
    fake = FakeBatch(accounts=[Account(KEY, SECRET)], clock=lambda: now)

    assert code(get(fake, acs(nonce="n-1", now=now))) == OK
    now += timedelta(minutes=minutes)
    assert code(get(fake, acs(nonce="n-2", now=now))) == OK
    assert code(get(fake, acs(nonce="n-1", now=now))) == outcome
    assert len(fake.world.nonces) == 2


@pytest.mark.parametrize(
    "target",
    [
        "/images?Marker&MaxItemCount=7&Type",
        "/images?MaxItemCount=7&Marker=&Type=",
        "/images?Type=System&Marker=a%20b%2Bc%26d%3De%2F%E9%95%9C",
    ],
)
def test_the_query_is_signed_as_sent(fake: FakeBatch, target: str) -> None:
    assert code(get(fake, acs(target), target)) == OK


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        ("/images?Type=&Marker=a+b", "/images?Marker=a%20b&Type"),  # the SDK: sorted, encoded, a bare key if empty
        ("/images?Type=&Marker=+", "/images?Marker=%20&Type"),  # the SDK: a blank is no empty value
        ("/images?Type=&Marker=a+b%26", "/images?Marker=a b&&Type="),  # aliyun-python-sdk-core: sorted, not encoded
        (
            "/images?Type=&Marker=a%20b%26",
            "/images?Marker=a b&&Type",
        ),  # npm's aliyun-sdk: the same, a bare key if empty
    ],
)
def test_the_query_may_be_signed_sorted(fake: FakeBatch, sent: str, signed: str) -> None:
    assert code(get(fake, acs(signed), sent)) == OK


def test_the_mismatch_carries_the_string_to_sign(fake: FakeBatch) -> None:
    response = get(fake, acs("/images?Type", secret="wrong"), "/images?Type")
    assert response.json == {
        "Code": "SignatureDoesNotMatch",
        "Message": MISMATCH + "GET\napplication/json\n\n\nTue, 06 Nov 2018 08:30:40 GMT\n"
        "x-acs-signature-nonce:n-1\nx-acs-version:2015-11-11\n/images?Type",
    }


@pytest.mark.parametrize("claimed", ["0" * 64, "f" * 64, ""])
def test_the_mismatch_of_a_body_s_hash_says_so(fake: FakeBatch, claimed: str) -> None:
    response = get(fake, acs3(also={"x-acs-content-sha256": claimed}))
    assert response.json is not None
    assert response.json["Message"] == MISMATCH + "the body's SHA-256 is not the one of the header x-acs-content-sha256"


@pytest.mark.parametrize(
    ("digest", "outcome"),
    [
        (base64.b64encode(hashlib.md5(b"{}").digest()).decode(), (200, "")),
        (base64.b64encode(hashlib.md5(b"").digest()).decode(), WRONG),
        (hashlib.md5(b"{}").hexdigest(), WRONG),
        ("z" * 24, WRONG),
        ("", OK),
    ],
)
def test_a_signed_md5_must_be_that_of_the_body(fake: FakeBatch, digest: str, outcome: tuple[int, str]) -> None:
    date = format_datetime(NOW, usegmt=True)
    text = f"GET\n\n{digest}\n\n{date}\n/images"
    signature = base64.b64encode(hmac.digest(SECRET.encode(), text.encode(), hashlib.sha1)).decode()
    headers = {"Date": date, "Content-MD5": digest, "Authorization": f"acs {KEY}:{signature}"}
    response = get(fake, headers, data=b"{}")
    assert code(response) == outcome
    if outcome == WRONG:
        assert response.get_json()["Message"] == MISMATCH + "the body's MD5 is not the one of the header Content-MD5"


def test_an_md5_is_checked_where_md5_is_disabled_for_security(fake: FakeBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    def md5(data: bytes, *, usedforsecurity: bool = True) -> Any:
        if usedforsecurity:
            raise ValueError("disabled for FIPS")
        return hashlib.md5(data, usedforsecurity=False)

    monkeypatch.setattr("fakebatch.wire.signatures.md5", md5)
    assert code(get(fake, acs(Content_MD5="x"))) == WRONG


def test_the_mismatch_of_headers_that_are_not_signed_names_them(fake: FakeBatch) -> None:
    response = get(fake, acs3(unsigned="host", X_Acs_More="x"))
    assert response.get_json()["Message"] == MISMATCH + "these headers must be signed as well: host, x-acs-more"


def test_a_signature_known_from_elsewhere() -> None:
    fake = FakeBatch(accounts=[Account("id", "secret")], clock=lambda: NOW)
    # printf 'GET\n\n\n\nTue, 06 Nov 2018 08:30:40 GMT\n/images' | openssl dgst -sha1 -hmac secret -binary | base64
    headers = {"Date": "Tue, 06 Nov 2018 08:30:40 GMT", "Authorization": "acs id:/wI1+ECVjQ0wh5WucFC+2QjRH5s="}
    assert code(get(fake, headers)) == OK


def test_a_signature_is_checked_before_the_request_is_looked_at(fake: FakeBatch) -> None:
    assert code(get(fake, {}, "/images?MaxItemCount=x")) == NO_KEY
    assert code(get(fake, {}, "/images/img-nope")) == NO_KEY
    assert code(get(fake, {}, "/images", method="POST", data=b"{")) == NO_KEY
    assert code(get(fake, {}, "/images", method="OPTIONS")) == OK


@pytest.mark.parametrize(
    ("key", "own", "other"), [("alice", "img-23jkhds", "img-bob-0"), ("bob", "img-bob-0", "img-23jkhds")]
)
def test_a_caller_sees_system_images_and_its_own(key: str, own: str, other: str) -> None:
    fake = FakeBatch(FIXTURES / "accounts.yaml")

    def ask(target: str, method: str = "GET") -> TestResponse:
        return get(fake, sign(f"{key}-key", f"{key}-secret", method, target), target, method=method)

    listed = [item["Id"] for item in ask("/images?MaxItemCount=100").get_json()["Items"]]
    assert own in listed
    assert other not in listed
    assert len(ask("/images?Type=System").get_json()["Items"]) == 3
    assert code(ask(f"/images/{own}")) == OK
    assert code(ask("/images/img-centos")) == OK
    assert code(ask(f"/images/{other}")) == (404, "InvalidResource.NotFound")
    assert code(ask(f"/images/{other}", "DELETE")) == (404, "InvalidResource.NotFound")
    assert code(ask("/images/img-centos", "DELETE")) == (403, "Forbidden")
    assert code(ask(f"/images/{own}", "DELETE")) == (204, "")


def test_a_new_image_belongs_to_the_caller() -> None:
    fake = FakeBatch(FIXTURES / "accounts.yaml")
    body = {"EcsImageId": "m-1", "Platform": "Linux"}
    headers = sign("bob-key", "bob-secret", "POST", "/images", body)
    created = Client(fake).post("/images", json=body, headers=headers).get_json()["Id"]
    assert fake.images[created].owner_id == 654321


def test_an_idempotent_token_is_its_accounts_own() -> None:
    fake = FakeBatch(FIXTURES / "accounts.yaml")
    ids = set()
    for key in ("alice", "bob"):
        body = {"EcsImageId": f"m-{key}", "Platform": "Linux"}
        target = "/images?IdempotentToken=t"
        headers = sign(f"{key}-key", f"{key}-secret", "POST", target, body)
        ids.add(Client(fake).post(target, json=body, headers=headers).get_json()["Id"])
    assert len(ids) == 2


def test_two_accounts_of_an_owner_see_the_same() -> None:
    fake = FakeBatch(Image(id="img-a", owner_id=7), accounts=[Account("a", "1", 7), Account("b", "2", 7)])
    for key, secret in (("a", "1"), ("b", "2")):
        listed = get(fake, sign(key, secret, "GET", "/images")).get_json()["Items"]
        assert [item["Id"] for item in listed] == ["img-a"]


def test_without_accounts_every_self_image_is_seen_and_nothing_need_be_signed() -> None:
    fake = FakeBatch(Image(id="img-a", owner_id=7), Image(id="img-b", owner_id=8))
    assert [item["Id"] for item in get(fake, {}).get_json()["Items"]] == ["img-a", "img-b"]


def test_a_scripted_error_comes_before_the_signature(fake: FakeBatch) -> None:
    fake.on("ListImages").fail("Throttling")
    assert code(get(fake, {})) == (400, "Throttling")


def test_secrets_and_signatures_are_nowhere_to_be_read(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeBatch(accounts=[Account(KEY, SECRET)], clock=lambda: NOW, on_call=print)
    told = [
        json.dumps(get(fake, headers).json) for headers in (acs(), acs(secret="wrong"), acs3(), acs3(secret="wrong"))
    ]
    signatures = [acs()["Authorization"].rpartition(":")[2], acs3()["Authorization"].rpartition("=")[2]]
    everything = [*told, repr(fake), repr(fake.calls), *map(repr, fake.calls), *map(repr, fake.world.accounts.values())]
    everything += [*capfd.readouterr(), caplog.text, str([list(call.headers) for call in fake.calls])]
    for text in everything:
        assert SECRET not in text
        assert not [signature for signature in signatures if signature in text]
    assert {call.access_key_id for call in fake.calls} == {KEY}


SECRET_HEADERS = {
    "Authorization": "Basic hush",
    "Proxy-Authorization": "Bearer hush",
    "Cookie": "session=hush",
    "X-Acs-Security-Token": "hush",
    "x-acs-accesskey-secret": "hush",
    "X-Auth-Token": "hush",
    "X-Api-Key": "hush",
    "X-Token": "hush",
}


@pytest.mark.parametrize("name", SECRET_HEADERS)
def test_a_secret_in_a_header_is_redacted(name: str) -> None:
    fake = FakeBatch()
    headers = {name: SECRET_HEADERS[name], "X-Acs-Signature-Method": "HMAC-SHA1"}
    assert code(Client(fake, use_cookies=False).get("/images", headers=headers)) == OK
    scheme, blank, _ = SECRET_HEADERS[name].rpartition(" ")
    assert fake.calls[0].headers[name] == f"{scheme}{blank}[redacted]"
    assert fake.calls[0].headers["X-Acs-Signature-Method"] == "HMAC-SHA1"


@pytest.mark.parametrize("value", ["hush", "hush hush", f"acs {KEY} hush", f"acs {KEY}:hush more", "acs3-hmac-x hush"])
def test_an_authorization_of_any_form_is_redacted(value: str) -> None:
    fake = FakeBatch()
    get(fake, {"Authorization": value})
    assert "hush" not in fake.calls[0].headers["Authorization"]


@pytest.mark.parametrize(
    "name",
    ["Signature", "AccessKeySecret", "SecurityToken", "_aop_signature", "_aop_secret", "%53ignature", "access_token"],
)
def test_a_secret_in_the_query_is_redacted(name: str) -> None:
    fake = FakeBatch()
    shown = "IdempotentToken=t&AccessKeyId=k&SignatureNonce=n&Marker"
    get(fake, {}, f"/images?{name}=hush&{shown}&Signature=")
    call = fake.calls[0]
    assert call.query == f"{name}=[redacted]&{shown}&Signature="
    assert "hush" not in f"{call} {call.parameters}"
    assert call.parameters["IdempotentToken"] == "t"


def test_of_an_environment_the_headers_are_recorded_and_nothing_else() -> None:
    headers = {"HTTP_HOST": "x", "CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "0"}
    others = ["A", "CONTENT", "CONTENTS", "GATEWAY_INTERFACE", "HTTP", "HTTPS", "PATH", "REQUEST_METHOD", "a"]
    shown = signatures.redact_headers(dict.fromkeys(others, "other") | headers)
    assert shown.split("\n") == [f"{name}:{value}" for name, value in headers.items()]


def test_the_number_of_names_that_are_remembered_is_bounded() -> None:
    for number in range(1100):
        # Another length for each, as only their letters tell them apart.
        assert signatures.redact_query(f"x-{number}=shown") == f"x-{number}=shown"
    assert signatures._is_secret.cache_info().currsize == 1024


_text = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)


@given(
    st.one_of(
        _text,
        _text.map(lambda text: f"acs {text}"),
        st.tuples(_text, _text).map(lambda pair: f"acs {KEY}:{pair[0]}{pair[1]}"),
        st.tuples(_text, _text).map(
            lambda pair: f"ACS3-HMAC-SHA256 Credential={KEY},SignedHeaders={pair[0]},Signature={pair[1]}"
        ),
    ),
    _text,
    _text,
    _text,
)
def test_no_header_of_a_signature_gets_a_500(authorization: str, date: str, newer_date: str, nonce: str) -> None:
    fake = FakeBatch(accounts=[Account(KEY, SECRET)], clock=lambda: NOW)
    for headers in (
        {"Date": date},
        {"Date": format_datetime(NOW, usegmt=True)},
        {"x-acs-date": newer_date, "x-acs-content-sha256": date},
        {"x-acs-date": "2018-11-06T08:30:40Z", "x-acs-content-sha256": hashlib.sha256(b"").hexdigest()},
    ):
        asked = headers | {"Authorization": authorization, "x-acs-signature-nonce": nonce}
        assert 400 <= get(fake, asked).status_code < 500


def test_a_server_that_does_not_tell_the_path_as_sent_is_no_hindrance() -> None:
    fake = FakeBatch(Image(id="a b"), accounts=[Account("key", "secret")])
    headers = sign("key", "secret", "GET", "/images/a%20b")
    environ = EnvironBuilder("/images/a%20b", headers=list(headers.items())).get_environ()
    del environ["REQUEST_URI"], environ["RAW_URI"]
    answers: list[str] = []
    list(fake(environ, lambda status, *_: answers.append(status)))  # type: ignore[arg-type]  # nobody writes
    assert answers == ["200 OK"]
