"""The record of calls: what a test can ask about what the code under test did."""

import copy
import logging
import multiprocessing
import pickle
import random
import threading
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn
from unittest import mock

import msgspec
import pytest
from waiting import FOREVER, wait_until
from werkzeug.test import Client

from fakebatch import Call, FakeBatch
from fakebatch.state import calls as calls_module
from fakebatch.state.calls import Calls


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
    Client(fake).get("/nothing")
    assert [(call.operation, call.status, call.code) for call in fake.calls] == [
        ("GetImage", 404, "InvalidResource.NotFound"),
        (None, 400, "InvalidUrlPattern"),
    ]


def test_the_parameters_of_a_body_are_there_as_well() -> None:
    fake = FakeBatch()
    Client(fake).post("/images?IdempotentToken=t", json={"Name": "mine"})
    assert fake.calls[0].parameters == {"IdempotentToken": "t", "Name": "mine"}
    assert fake.calls[0].body == b'{"Name": "mine"}'


def test_who_waits_for_calls_gets_them_when_they_have_come() -> None:
    fake = FakeBatch()
    found: list[list[Call]] = []
    Client(fake).get("/images/img-a")
    waiting = threading.Thread(target=lambda: found.append(fake.calls.wait("GetImage", count=3, timeout=FOREVER)))
    waiting.start()
    for path in ("/images", "/images/img-b", "/images", "/images/img-c"):
        assert not found
        Client(fake).get(path)
    waiting.join(FOREVER)
    assert [call.path for call in found[0]] == ["/images/img-a", "/images/img-b", "/images/img-c"]
    assert not fake.calls._waiters


def test_calls_that_are_there_already_are_not_waited_for() -> None:
    fake = FakeBatch()
    assert fake.calls.wait("GetImage", count=0, timeout=0) == []
    Client(fake).get("/images")
    Client(fake).get("/images")
    assert len(fake.calls.wait("ListImages")) == 2


def test_a_reset_lets_those_who_wait_for_calls_count_anew() -> None:
    fake = FakeBatch()
    Client(fake).get("/images/img-a")
    found: list[list[Call]] = []
    waiting = threading.Thread(target=lambda: found.append(fake.calls.wait("GetImage", count=2, timeout=FOREVER)))
    waiting.start()
    wait_until(lambda: bool(fake.calls._waiters))
    fake.reset()
    Client(fake).get("/images/img-b")
    assert not found
    Client(fake).get("/images/img-c")
    waiting.join(FOREVER)
    assert [call.path for call in found[0]] == ["/images/img-b", "/images/img-c"]


def test_who_waits_for_calls_in_vain_is_told_what_came_instead() -> None:
    fake = FakeBatch()
    with pytest.raises(AssertionError) as caught:
        fake.calls.wait("DeleteJob", timeout=0)
    assert str(caught.value) == "waited 0 s for 1 call of DeleteJob: none came; there was no call at all"
    Client(fake).get("/images/img-a")
    with pytest.raises(AssertionError) as caught:
        fake.calls.wait("GetImage", count=2, timeout=0.01)
    assert str(caught.value) == (f"waited 0.01 s for 2 calls of GetImage: 1 came; all that came:\n  {fake.calls[0]}")
    for _ in range(11):
        Client(fake).get("/images")
    with pytest.raises(AssertionError) as caught:
        fake.calls.wait("DeleteJob", timeout=0)
    lines = str(caught.value).splitlines()
    assert lines[0] == "waited 0 s for 1 call of DeleteJob: none came; all that came, the newest 10 of 12:"
    assert lines[1:] == [f"  {call}" for call in fake.calls[-10:]]


@pytest.mark.parametrize(
    ("wait", "error"),
    [
        (lambda calls: calls.wait("DeleteJobs"), "'DeleteJobs' is not an operation; did you mean 'DeleteJob'?"),
        (lambda calls: calls.wait("DeleteJob", count="2"), "count is how many calls to wait for, not '2'"),
        (lambda calls: calls.wait("DeleteJob", count=-1), "count is how many calls to wait for, not -1"),
        (lambda calls: calls.wait("DeleteJob", count=True), "count is how many calls to wait for, not True"),
        (lambda calls: calls.wait("DeleteJob", timeout=None), "timeout is a number of seconds, not None"),
        (lambda calls: calls.wait("DeleteJob", timeout=-1), "timeout is a number of seconds, not -1"),
        (lambda calls: calls.wait("DeleteJob", timeout=1e300), "timeout is a number of seconds, not 1e+300"),
    ],
)
def test_to_wait_for_what_is_none_is_refused(wait: Callable[[Calls], object], error: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        wait(FakeBatch().calls)
    assert str(caught.value).startswith(error)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # later Pythons warn of any fork beside threads
def test_a_forked_child_waits_for_its_own_calls() -> None:
    fake = FakeBatch()
    threading.Thread(target=lambda: fake.calls.wait_until(FOREVER, None, 2), daemon=True).start()
    wait_until(lambda: bool(fake.calls._waiters))

    def child() -> None:
        assert not fake.calls._waiters
        threading.Thread(target=lambda: Client(fake).get("/images/img-a")).start()
        assert len(fake.calls.wait("GetImage", timeout=FOREVER)) == 1

    with fake.world.lock:  # in the parent it stays held while the child begins
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
    process.join(FOREVER)
    assert process.exitcode == 0
    Client(fake).get("/images")
    Client(fake).get("/images")
    assert len(fake.calls) == 2


def test_calls_are_like_a_list() -> None:
    fake = FakeBatch()
    for target in ("/images", "/images/img-centos", "/images?Type=System"):
        Client(fake).get(target)
    assert len(fake.calls) == 3
    assert fake.calls[-1].parameters == {"Type": "System"}
    assert [call.operation for call in fake.calls[1:]] == ["GetImage", "ListImages"]
    assert [call.path for call in fake.calls.of("ListImages")] == ["/images", "/images"]
    assert fake.calls[0] in fake.calls


def test_asking_for_a_call_that_is_not_there_says_how_many_there_are() -> None:
    fake = FakeBatch()
    for count in ("no calls yet", "only 1 call so far", "only 2 calls so far"):
        for index in (2, -3):
            with pytest.raises(IndexError) as caught:
                fake.calls[index]
            assert str(caught.value) == f"there is no call with the index {index}: {count}"
        Client(fake).get("/images")


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
    for target in ("/images?Type=System&Marker", "/images/a%20b", "/nothing"):
        Client(fake).get(target)
    Client(fake).delete("/images/img-23jkhds")
    lines = [str(call)[len("12:00:00Z ") :].rpartition(" (")[0] for call in fake.calls]
    assert lines[0] == "GET /images?Type=System&Marker -> 200 3 items"
    assert "GET /images/a b -> 400 Throttling.User (" in str(fake.calls[1])
    assert str(fake.calls[1]).endswith(" ms)  [on GetImage: fail Throttling.User]")
    assert lines[2:] == ["GET /nothing -> 400 InvalidUrlPattern", "DELETE /images/img-23jkhds -> 204"]
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


def test_a_call_can_be_copied_pickled_and_encoded() -> None:
    fake = FakeBatch()
    Client(fake).post("/images?IdempotentToken=t", json={"Name": "mine"})
    (call,) = fake.calls
    assert copy.deepcopy(call) == pickle.loads(pickle.dumps(call)) == call
    assert hash(call) == hash(copy.copy(call))
    assert msgspec.json.decode(msgspec.json.encode(call), type=Call) == call


def test_the_parameters_of_the_path_go_by_their_full_names_and_before_all_others() -> None:
    fake = FakeBatch()
    Client(fake).get("/images/img-a?ImageId=img-b&Type=Self")
    assert fake.calls[0].parameters == {"ImageId": "img-a", "Type": "Self"}


def test_a_parameter_of_the_query_wins_over_that_of_the_body() -> None:
    fake = FakeBatch()
    Client(fake).post("/images?IdempotentToken=query", json={"IdempotentToken": "body"})
    assert fake.calls[0].parameters["IdempotentToken"] == "query"


def test_a_body_that_was_refused_has_no_parameters() -> None:
    fake = FakeBatch()
    Client(fake).post("/images", data=b"{")
    assert fake.calls[0].parameters == {}


def test_a_deflated_body_has_parameters() -> None:
    fake = FakeBatch()
    data = zlib.compress(b'{"Name": "small"}')
    Client(fake).post("/images", data=data, headers={"x-acs-compress-type": "deflate"})
    assert fake.calls[0].parameters == {"Name": "small"}


def test_older_bodies_are_let_go_before_the_calls_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "MOST_BYTES", 3000)
    fake = FakeBatch()
    body = b"x" * 1000
    for _ in range(5):
        Client(fake).post("/images", data=body)
    assert [(len(call.body), call.body_let_go) for call in fake.calls] == [(0, 1000)] * 3 + [(1000, 0)] * 2
    fake.reset()
    Client(fake).post("/images", data=body)
    assert [len(call.body) for call in fake.calls] == [1000]


def test_calls_that_are_too_large_without_their_bodies_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "MOST_BYTES", 3500)
    fake = FakeBatch()
    for number in range(6):
        Client(fake).get(f"/images/{number}?{'x' * 900}", data=b"y" * 500)
    assert [call.path for call in fake.calls] == ["/images/3", "/images/4", "/images/5"]
    assert [len(call.body) for call in fake.calls] == [0, 0, 500]


@pytest.mark.parametrize("path", ["/images/" + "x" * 900 + "\N{PILE OF POO}", "/images"])
def test_all_that_grows_with_a_call_is_bounded(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(calls_module, "MOST_BYTES", 20_000)
    fake = FakeBatch()
    fake.on("ListImages").remove(*["x" * 100] * 70)
    for _ in range(6):
        Client(fake).get(path)
    assert len(fake.calls) == 2


def test_on_call_that_raises_does_not_lose_the_answer_and_the_test_is_told() -> None:
    def complain(_: Call) -> None:
        raise RuntimeError("no room left in the log")

    fake = FakeBatch(on_call=complain)
    assert Client(fake).get("/images").status_code == 200
    assert len(fake.calls) == 1
    with pytest.raises(RuntimeError, match="no room left in the log"):
        fake.check()


def test_leaving_the_with_statement_tells_what_went_wrong_unless_it_is_left_by_an_error() -> None:
    def complain(call: Call) -> None:
        raise RuntimeError(call.path)

    with pytest.raises(ExceptionGroup) as caught, FakeBatch(on_call=complain) as fake:
        Client(fake).get("/images")
        Client(fake).get("/images/a")
    assert list(map(str, caught.value.exceptions)) == ["/images", "/images/a"]
    with pytest.raises(KeyError), FakeBatch(on_call=complain) as fake:
        Client(fake).get("/images")
        raise KeyError


def test_a_clock_that_raises_is_replaced_by_the_machine_s_and_the_test_is_told() -> None:
    fake = FakeBatch(clock=lambda: 1 / 0)  # type: ignore[arg-type, return-value]  # the mistake that is tested
    assert Client(fake).post("/images", json={"EcsImageId": "m", "Platform": "Linux"}).status_code == 201
    with pytest.raises(ExceptionGroup) as caught:
        fake.check()
    assert {type(error) for error in caught.value.exceptions} == {ZeroDivisionError}


def test_a_callback_may_fail_the_test_and_the_client_is_answered() -> None:
    def unwanted(*_: object) -> NoReturn:
        pytest.fail("not wanted")  # raises what is no Exception

    fake = FakeBatch(clock=unwanted, on_call=unwanted)
    fake.on("ListImages").reply(body=unwanted)
    assert [Client(fake).get(path).status_code for path in ("/images/img-ubuntu", "/images")] == [200, 500]
    assert [call.status for call in fake.calls] == [200, 500]
    with pytest.raises(BaseExceptionGroup) as caught:
        fake.check()
    assert {type(error) for error in caught.value.exceptions} == {pytest.fail.Exception}


def test_request_ids_draw_on_nothing_that_a_test_has_seeded() -> None:
    client = Client(FakeBatch())
    random.seed(5)
    expected = [random.random() for _ in range(3)]
    random.seed(5)
    seen = []
    for _ in range(3):
        client.get("/images")
        seen.append(random.random())
    assert seen == expected


def test_a_patched_clock_of_the_standard_library_is_not_used_up() -> None:
    client = Client(FakeBatch())
    with mock.patch("time.time", side_effect=[1.0]), mock.patch("time.monotonic", side_effect=[1.0]):
        assert [client.get("/images").status_code for _ in range(3)] == [200] * 3
        assert (time.time(), time.monotonic()) == (1.0, 1.0)


def test_the_date_of_a_response_is_that_of_the_fake_s_clock() -> None:
    fake = FakeBatch(clock=lambda: datetime(2018, 11, 6, 8, 30, 40))
    assert Client(fake).get("/images").headers["Date"] == "Tue, 06 Nov 2018 08:30:40 GMT"


def test_calls_without_bodies_cost_what_else_they_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "MOST_BYTES", 600)
    fake = FakeBatch()
    for number in range(10):
        Client(fake).get(f"/images/{number}?{'x' * 200}")
    assert [call.path for call in fake.calls] == ["/images/8", "/images/9"]


def test_empty_parts_of_a_query_are_passed_over() -> None:
    fake = FakeBatch()
    Client(fake).get("/images?&Type=System&&=x&")
    assert fake.calls[0].parameters == {"Type": "System", "": "x"}


def test_calls_are_compared_as_a_list() -> None:
    fake = FakeBatch()
    assert fake.calls == []
    assert fake.calls != "no calls"
    Client(fake).get("/images")
    assert fake.calls != []
    assert fake.calls == list(fake.calls)
    assert (*fake.calls,) == fake.calls
    with pytest.raises(TypeError, match="unhashable"):
        hash(fake.calls)
