"""What all responses have in common: headers, request ids, and the errors that any operation may answer with."""

import re
from typing import Any

import pytest
from contract import REFERENCE
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client

from fakebatch import ApiError, FakeBatch
from fakebatch.errors import DOCUMENTED
from fakebatch.service.registry import OPERATIONS

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET, OPTIONS",
    "Access-Control-Allow-Headers": "X-Requested-With, X-Sequence, _aop_secret, _aop_signature",
    "Access-Control-Max-Age": "172800",
}
UUID = re.compile(r"[0-9A-F]{8}-([0-9A-F]{4}-){3}[0-9A-F]{12}")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/images", 200), ("GET", "/images/nope", 404), ("GET", "/nothing", 400)]
)
def test_every_response_has_the_headers_of_the_reference(client: Client, method: str, path: str, status: int) -> None:
    response = client.open(path, method=method)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["Content-Length"] == str(len(response.data))
    assert response.headers["Server"] == "AliyunBatchCompute"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", response.headers["Date"])
    assert CORS.items() <= dict(response.headers).items()


def test_every_response_has_its_own_request_id(client: Client) -> None:
    seen = {client.get(path).headers["x-acs-request-id"] for path in ("/images", "/images", "/nope", "/nope")}
    assert len(seen) == 4
    assert all(UUID.fullmatch(request_id) for request_id in seen)


@pytest.mark.parametrize("path", ["/images", "/images/img-centos", "/anything"])
def test_options_answers_with_the_cors_headers_and_no_body(client: Client, path: str) -> None:
    response = client.options(path)
    assert (response.status_code, response.data, response.headers["Content-Length"]) == (200, b"", "0")
    assert CORS.items() <= dict(response.headers).items()


@pytest.mark.parametrize("path", ["/", "", "/image", "/Images", "/images/", "/images/a/b", "/nothing", "/images/a%2Fb"])
def test_no_such_path(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 400
    assert response.json == {
        "Code": "InvalidUrlPattern",
        "Message": "Specified url pattern contains some illegal words.",
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/images"),
        ("DELETE", "/images"),
        ("POST", "/images/img-centos"),
        ("PATCH", "/images"),
        ("BREW", "/images"),
    ],
)
def test_no_such_method(client: Client, method: str, path: str) -> None:
    response = client.open(path, method=method)
    assert response.status_code == 400
    assert response.json == {
        "Code": "MethodNotAllowed",
        "Message": "The request http method is not supported for this resource.",
    }


def test_head_is_no_method_of_the_service(client: Client) -> None:
    assert client.head("/images").status_code == 400


@pytest.mark.parametrize("headers", [{}, {"x-acs-version": "2015-11-11"}])
def test_the_version_may_be_left_out(client: Client, headers: dict[str, str]) -> None:
    assert client.get("/images", headers=headers).status_code == 200


@pytest.mark.parametrize("version", ["2015-11-12", "", "latest"])
def test_another_version_is_refused(client: Client, version: str) -> None:
    response = client.get("/images", headers={"x-acs-version": version})
    assert response.status_code == 403
    assert response.json == {"Code": "InvalidVersion.NotFound", "Message": "Specified version is not found."}


@pytest.mark.parametrize(
    ("code", "arguments", "status", "message"),
    [
        ("InvalidUrlPattern", {}, 400, "Specified url pattern contains some illegal words."),
        ("MethodNotAllowed", {}, 400, "The request http method is not supported for this resource."),
        ("InvalidVersion.NotFound", {}, 403, "Specified version is not found."),
        ("InvalidResource.AlreadyExisting", {}, 403, "Specified resource already exists."),
        ("QuotaExhausted", {"QuotaName": "Image", "Value": 100}, 403, "The Image (100) quota is exhausted."),
        ("Forbidden", {}, 403, "User not authorized to operate on the specified resource."),
        ("InvalidResource.NotFound", {}, 404, "Specified resource is not found."),
        (
            "StateConflict",
            {"State": "Deleting"},
            409,
            "User operation is invalid. The current resource state is Deleting.",
        ),
        ("InternalError", {}, 500, "The request processing has been failed due to some unknown error."),
        ("InvalidName", {}, 400, "Specified parameter Name is not valid. "),
        ("MissingPlatform", {}, 400, "Platform is mandatory for this action."),
    ],
)
def test_an_error_has_the_status_and_the_message_of_the_reference(
    code: str, arguments: dict[str, Any], status: int, message: str
) -> None:
    error = ApiError(code, **arguments)
    assert (error.status, error.code, error.message) == (status, code, message)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ServiceUnavailable", 503),
        ("Throttling", 400),
        ("Throttling.User", 400),
        ("InvalidAccessKeyId.NotFound", 404),
        ("SignatureDoesNotMatch", 400),
        ("SignatureNonceUsed", 400),
        ("InvalidTimeStamp.Expired", 400),
        ("MissingAccessKeyId", 400),
    ],
)
def test_the_gateway_s_errors_have_their_status(code: str, status: int) -> None:
    assert ApiError(code).status == status


def test_an_undocumented_code_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match=r"^'Throtling' is not a documented error code; did you mean 'Throttling'\?$"):
        ApiError("Throtling")


def test_arguments_that_a_message_lacks_or_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^StateConflict needs the argument 'State'"):
        ApiError("StateConflict")
    with pytest.raises(ValueError, match=r"^StateConflict has no argument 'Stat'; it takes State$"):
        ApiError("StateConflict", Stat="x")
    with pytest.raises(TypeError, match="an error code is a text such as 'Throttling', not 5"):
        ApiError(5)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ValueError, match=r"^Forbidden has no argument 'State'; it takes none$"):
        ApiError("Forbidden", State="x")


def test_no_documented_message_is_empty() -> None:
    assert all(message for _, message in DOCUMENTED.values())


def test_the_operations_are_those_of_the_reference() -> None:
    declared = {name: (one.method, one.path, one.status) for name, one in OPERATIONS.items()}
    stated = REFERENCE["operations"]
    assert declared == {name: (one["method"], one["path"], one["success"]["status"]) for name, one in stated.items()}
    assert OPERATIONS["CreateImage"].parameters == ("IdempotentToken", "Name", "Description", "EcsImageId", "Platform")


def test_our_own_mistake_is_an_internal_error_and_not_silence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeBatch()
    monkeypatch.setattr(fake.images, "page", None)
    response = Client(fake).get("/images")
    assert response.status_code == 500
    assert response.json is not None
    assert response.json["Code"] == "InternalError"
    assert fake.calls[0].code == "InternalError"
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        fake.check()
    fake.check()  # it is told once
    assert capsys.readouterr().err == ""


_header_text = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30)


@given(
    st.sampled_from(["GET", "POST", "DELETE", "PUT", "OPTIONS", "HEAD", "get"]),
    st.binary(max_size=20),
    st.binary(max_size=60),
    st.dictionaries(st.sampled_from(["x-acs-version", "x-acs-compress-type", "Authorization", "Date"]), _header_text),
    st.binary(max_size=200),
)
def test_whatever_is_sent_gets_an_answer_that_is_not_a_500(
    method: str, path: bytes, query: bytes, headers: dict[str, str], body: bytes
) -> None:
    client = Client(FakeBatch())
    for target in (b"/images/" + path, b"/images"):
        raw = {"PATH_INFO": target.decode("latin-1"), "QUERY_STRING": query.decode("latin-1")}
        response = client.open("/", method=method, headers=headers, data=body, environ_overrides=raw)
        assert 200 <= response.status_code < 500
