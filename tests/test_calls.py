"""The record of calls: what a test can ask about what the code under test did."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from werkzeug.test import Client

from fakebatch import Call, FakeBatch
from fakebatch.state import calls as calls_module


def test_a_call_tells_what_was_asked_and_answered() -> None:
    fake = FakeBatch()
    before = datetime.now(UTC)
    response = Client(fake).get(
        "/images?Marker=&Type=System&MaxItemCount=2",
        headers={"Host": "batchcompute.cn-qingdao.aliyuncs.com:80", "X-Thing": "a"},
        data=b"ignored",
    )
    (call,) = fake.calls
    assert (call.operation, call.method, call.path) == ("ListImages", "GET", "/images")
    assert call.query == "Marker=&Type=System&MaxItemCount=2"
    assert call.parameters == {"Marker": "", "Type": "System", "MaxItemCount": "2"}
    assert call.headers["x-thing"] == call.headers["X-Thing"] == "a"
    assert call.body == b"ignored"
    assert call.host == "batchcompute.cn-qingdao.aliyuncs.com"
    assert (call.status, call.code, call.items) == (200, "", 2)
    assert call.request_id == response.headers["x-acs-request-id"]
    assert (call.access_key_id, call.step) == ("", "")
    assert before <= call.start <= datetime.now(UTC)
    assert 0 < call.duration < 20


def test_a_refused_call_has_its_code() -> None:
    fake = FakeBatch()
    Client(fake).get("/images/img-nope")
    Client(fake).get("/jobs")
    assert [(call.operation, call.status, call.code) for call in fake.calls] == [
        ("GetImage", 404, "InvalidResource.NotFound"),
        (None, 400, "InvalidUrlPattern"),
    ]


def test_the_parameters_of_a_body_are_there_as_well() -> None:
    fake = FakeBatch()
    Client(fake).post("/images?IdempotentToken=t", json={"Name": "mine"})
    assert fake.calls[0].parameters == {"IdempotentToken": "t", "Name": "mine"}
    assert fake.calls[0].body == b'{"Name": "mine"}'


def test_calls_are_like_a_list() -> None:
    fake = FakeBatch()
    for target in ("/images", "/images/img-centos", "/images?Type=System"):
        Client(fake).get(target)
    assert len(fake.calls) == 3
    assert fake.calls[-1].parameters == {"Type": "System"}
    assert [call.operation for call in fake.calls[1:]] == ["GetImage", "ListImages"]
    assert [call.path for call in fake.calls.of("ListImages")] == ["/images", "/images"]
    assert fake.calls[0] in fake.calls


def test_asking_for_an_operation_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^'ListImage' is not an operation; did you mean 'ListImages'\?"):
        FakeBatch().calls.of("ListImage")


def test_a_call_can_not_be_changed() -> None:
    fake = FakeBatch()
    Client(fake).get("/images?Type=Self")
    call = fake.calls[0]
    with pytest.raises(AttributeError):
        call.status = 500  # type: ignore[misc]  # the mistake that is tested
    with pytest.raises(TypeError):
        call.parameters["Type"] = "System"  # type: ignore[index]  # likewise
    with pytest.raises(TypeError):
        call.headers["Host"] = "x"


def test_only_the_newest_calls_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert calls_module.NEWEST == 10_000
    monkeypatch.setattr(calls_module, "NEWEST", 3)
    fake = FakeBatch()
    for number in range(5):
        Client(fake).get(f"/images/{number}")
    assert [call.path for call in fake.calls] == ["/images/2", "/images/3", "/images/4"]


def test_a_call_is_there_before_its_response_reaches_the_client() -> None:
    fake = FakeBatch()
    seen: list[int] = []
    fake(Client(fake).get("/images").request.environ, lambda *_: seen.append(len(fake.calls)))  # type: ignore[arg-type]  # nobody writes
    assert seen == [2]


def test_a_call_reads_as_one_line() -> None:
    fake = FakeBatch()
    fake.on("GetImage").fail("Throttling.User")
    for target in ("/images?Type=System&Marker", "/images/a%20b", "/jobs"):
        Client(fake).get(target)
    Client(fake).delete("/images/img-23jkhds")
    lines = [str(call)[len("12:00:00 ") :].rpartition(" (")[0] for call in fake.calls]
    assert lines[0] == "GET /images?Type=System&Marker -> 200 3 items"
    assert "GET /images/a b -> 400 Throttling.User (" in str(fake.calls[1])
    assert str(fake.calls[1]).endswith(" ms)  [on GetImage: fail Throttling.User]")
    assert lines[2:] == ["GET /jobs -> 400 InvalidUrlPattern", "DELETE /images/img-23jkhds -> 204"]
    assert repr(fake.calls) == "\n".join(map(str, fake.calls))
    assert repr(FakeBatch().calls) == "<no calls>"


def test_control_characters_do_not_reach_the_terminal() -> None:
    fake = FakeBatch()
    Client(fake).get("/images/a%0Ab%1B[31m")
    assert str(fake.calls[0]).isprintable()


def test_signatures_and_tokens_are_redacted() -> None:
    fake = FakeBatch()
    Client(fake).get("/images", headers={"Authorization": "acs my-id:c2lnbmF0dXJl", "x-acs-security-token": "tok"})
    call = fake.calls[0]
    assert call.access_key_id == "my-id"
    assert call.headers["Authorization"] == "acs my-id:[redacted]"
    assert call.headers["x-acs-security-token"] == "[redacted]"
    assert "c2lnbmF0dXJl" not in repr(call)


@pytest.mark.parametrize(("count", "outcome"), [(0, "200 0 items"), (1, "200 1 item"), (2, "200 2 items")])
def test_the_line_of_a_listing_counts_its_items(count: int, outcome: str) -> None:
    fake = FakeBatch()
    Client(fake).get(f"/images?Type=System&MaxItemCount={count}")
    assert f" -> {outcome} (" in str(fake.calls[0])


def test_on_call_is_told_of_each_call() -> None:
    seen: list[Call] = []
    fake = FakeBatch(on_call=seen.append)
    Client(fake).get("/images")
    assert seen == list(fake.calls)


def test_nothing_is_written_to_the_log_or_the_terminal(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    with FakeBatch() as fake:
        Client(fake).get("/images")
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())
