"""Scripts: when a step acts, what it does, and how it is refused; in Python and in YAML, which are the same thing."""

import contextlib
import gc
import http.client
import json
import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from waiting import FOREVER, wait_until
from werkzeug.test import Client, EnvironBuilder

from fakebatch import ApiError, Call, FakeBatch, FixtureError, Image, StepBuilder
from fakebatch.service.registry import OPERATIONS

OPERATIONS_LISTED = ", ".join(OPERATIONS)


def codes(fake: FakeBatch, *targets: str, method: str = "GET") -> list[str]:
    """Return the error codes (empty: none) of requests."""
    client = Client(fake)
    return [(client.open(target, method=method).json or {}).get("Code", "") for target in targets]


def listed(fake: FakeBatch, query: str = "") -> list[str]:
    return [item["Id"] for item in Client(fake).get(f"/images?{query}").get_json()["Items"]]


def from_yaml(tmp_path: Path, script: str) -> FakeBatch:
    path = tmp_path / "world.yaml"
    path.write_text(f"images: [{{Id: img-a}}, {{Id: img-b}}]\nscript:\n{script}")
    return FakeBatch(path)


@pytest.fixture
def fake() -> FakeBatch:
    return FakeBatch(Image(id="img-a"), Image(id="img-b"))


@pytest.mark.parametrize(
    ("calls", "failing"),
    [
        (2, [2]),
        ("2", [2]),
        ("2-4", [2, 3, 4]),
        ("3-", [3, 4, 5, 6]),
        ([1, "3-4", 6], [1, 3, 4, 6]),
        (None, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_a_step_acts_at_the_calls_it_names(fake: FakeBatch, calls: Any, failing: list[int]) -> None:
    fake.on("ListImages", calls=calls).fail("Throttling")
    seen = codes(fake, *["/images"] * 6)
    assert [number for number, code in enumerate(seen, 1) if code] == failing


def test_calls_are_counted_per_step_over_those_that_match(fake: FakeBatch) -> None:
    fake.on("GetImage", calls=1).fail("Forbidden")
    fake.on("ListImages", calls=2, where={"Type": "System"}).fail("Throttling")
    fake.on("any", calls=4).fail("InternalError")
    seen = codes(fake, "/images", "/images?Type=System", "/images/img-a", "/images?Type=System", "/images")
    assert seen == ["", "", "Forbidden", "Throttling", ""]


def test_any_operation_can_be_meant(fake: FakeBatch) -> None:
    fake.on().fail("ServiceUnavailable")
    assert codes(fake, "/images", "/images/img-a") == ["ServiceUnavailable"] * 2
    assert codes(fake, "/images/img-a", method="DELETE") == ["ServiceUnavailable"]
    assert codes(fake, "/nothing") == ["InvalidUrlPattern"]


@pytest.mark.parametrize("query", ["Marker&Type", "Marker=&Type=", ""])
def test_an_absent_parameter_counts_as_empty(fake: FakeBatch, query: str) -> None:
    fake.on("ListImages", where={"Marker": ""}).fail("Throttling")
    assert codes(fake, f"/images?{query}", "/images?Marker=img-b") == ["Throttling", ""]


def test_values_are_compared_as_text(fake: FakeBatch) -> None:
    fake.on("ListImages", where={"MaxItemCount": 7}).fail("Throttling")
    assert codes(fake, "/images?MaxItemCount=7", "/images?MaxItemCount=8") == ["Throttling", ""]


def test_parameters_of_the_body_can_be_asked_for(fake: FakeBatch) -> None:
    fake.on("CreateImage", where={"Name": "bad"}).fail("QuotaExhausted", QuotaName="Image", Value=5)
    bodies = [{"Name": name, "EcsImageId": "m", "Platform": "Linux"} for name in ("good", "bad")]
    answers = [Client(fake).post("/images", json=body).get_json() for body in bodies]
    assert answers[1] == {"Code": "QuotaExhausted", "Message": "The Image (5) quota is exhausted."}
    assert "Id" in answers[0]


def test_a_documented_code_brings_its_status_and_message(fake: FakeBatch) -> None:
    fake.on("DeleteImage").fail("StateConflict", State="Deleting")
    response = Client(fake).delete("/images/img-a")
    assert response.status_code == 409
    assert response.get_json()["Message"] == "User operation is invalid. The current resource state is Deleting."
    assert "img-a" in fake.images


def test_an_error_may_be_ones_own(fake: FakeBatch) -> None:
    fake.on("ListImages").fail("Teapot", status=418, message="Short and stout.")
    response = Client(fake).get("/images")
    assert response.status == "418 I'm a Teapot"
    assert response.json == {"Code": "Teapot", "Message": "Short and stout."}


def test_the_catalogue_changes_before_the_call_is_answered(fake: FakeBatch) -> None:
    fake.on("ListImages", calls=2).remove("img-b").add(Image(id="img-c"), Image(id="img-a", name="replaced"))
    assert listed(fake) == ["img-a", "img-b"]
    assert listed(fake) == ["img-a", "img-c"]
    assert fake.images["img-a"].name == "replaced"


def test_removing_what_is_not_there_is_passed_over(fake: FakeBatch) -> None:
    fake.on("ListImages").remove("img-nope")
    assert listed(fake) == ["img-a", "img-b"]


def test_a_change_can_come_with_an_error(fake: FakeBatch) -> None:
    fake.on("ListImages", calls=1).remove("img-b").fail("InternalError")
    assert codes(fake, "/images") == ["InternalError"]
    assert listed(fake) == ["img-a"]


def test_of_several_steps_that_act_all_change_and_the_first_answers(fake: FakeBatch) -> None:
    fake.on("ListImages").remove("img-a")
    fake.on("ListImages").fail("Throttling")
    fake.on("ListImages").fail("InternalError").remove("img-b")
    assert codes(fake, "/images") == ["Throttling"]
    assert len(fake.images) == 0


def test_reset_rewinds_the_steps_of_files_and_forgets_those_of_python(tmp_path: Path) -> None:
    fake = from_yaml(tmp_path, "  - {on: ListImages, calls: 1, fail: Throttling, remove: [img-b]}")
    fake.on("ListImages", calls=2).fail("InternalError")
    assert codes(fake, "/images", "/images", "/images") == ["Throttling", "InternalError", ""]
    fake.reset()
    assert "img-b" in fake.images
    assert codes(fake, "/images", "/images", "/images") == ["Throttling", "", ""]


def test_steps_that_never_acted_are_named(tmp_path: Path) -> None:
    fake = from_yaml(
        tmp_path,
        "  - {on: ListImages, calls: 1, fail: Throttling}\n  - {on: GetImage, calls: 2-, where: {ImageId: b}, delay: 1}",
    )
    fake.on("DeleteImage").drop()
    codes(fake, "/images", "/images")  # the second one is none of the first step's
    assert [str(step) for step in fake.unused_steps] == [
        f"{tmp_path}/world.yaml:4: on GetImage, calls 2-, where ImageId=b: delay 1 s",
        "on DeleteImage: drop before the response",
    ]
    fake.reset()
    assert len(fake.unused_steps) == 2


@pytest.mark.parametrize(
    ("make", "near"),
    [
        (lambda fake: fake.on("GetImage"), "GetImage was never called"),
        (lambda fake: fake.on(account="an-id"), 'the fake was called 3 times, never by an-id (seen: "", "", "")'),
        (
            lambda fake: fake.on("ListImages", where={"Type": "System"}),
            'ListImages was called 3 times, never with Type=System (seen: Self, Self, "")',
        ),
        (
            lambda fake: fake.on("ListImages", host="*.aliyuncs.com"),
            "ListImages was called 3 times, never for *.aliyuncs.com (seen: localhost, localhost, localhost)",
        ),
        (
            lambda fake: fake.on("ListImages", where={"Type": "Self", "Marker": "b"}, host="LOCALHOST"),
            "ListImages was called 3 times, never with Type=Self and with Marker=b and for LOCALHOST at once",
        ),
        (
            lambda fake: fake.on("ListImages", calls=4),
            "ListImages was called 3 times, the step waits for call 4",
        ),
        (
            lambda fake: fake.on("ListImages", calls="3-", where={"Type": "Self"}),
            "ListImages was called twice with Type=Self, the step waits for calls 3-",
        ),
        (
            lambda fake: fake.on("any", calls=[5, "7-9"], where={"Marker": "b"}),
            "the fake was called once with Marker=b, the step waits for calls 5, 7-9",
        ),
    ],
)
def test_a_step_that_never_acted_says_how_near_it_came(
    fake: FakeBatch, make: Callable[[FakeBatch], StepBuilder], near: str
) -> None:
    step = make(fake).delay(0)
    codes(fake, "/images?Type=Self", "/images?Type=Self&Marker=c", "/images?Type=&Marker=b")
    Client(fake).get("/nowhere")
    (unused,) = fake.unused_steps
    assert unused.near == near
    assert repr(unused) == f"{step} ({near})"
    assert (str(unused), step.step.near) == (str(step), "")


def test_how_near_a_step_came_is_told_of_what_was_seen_last_and_since_a_reset(fake: FakeBatch) -> None:
    codes(fake, *(f"/images?Marker={number}" for number in range(7)))
    fake.on("ListImages", where={"Marker": "x"}).delay(0)
    fake.on("ListImages").delay(0)
    assert [step.near for step in fake.unused_steps] == [
        "ListImages was called 7 times, never with Marker=x (seen: ..., 2, 3, 4, 5, 6)",
        "ListImages was called 7 times, before the step was made",
    ]
    assert [step.near for step in fake.never_used_steps] == [step.near for step in fake.unused_steps]
    fake.reset()
    codes(fake, "/images")
    assert [step.near for step in fake.never_used_steps] == [
        'ListImages was called once since the last reset, never with Marker=x (seen: "")',
        "ListImages was called once since the last reset, before the step was made",
    ]


def test_a_step_can_be_removed(fake: FakeBatch) -> None:
    step = fake.on("ListImages").fail("Throttling")
    other = fake.on("ListImages").fail("InternalError")
    assert codes(fake, "/images") == ["Throttling"]
    assert step.remove() is step
    assert codes(fake, "/images") == ["InternalError"]
    attempts: list[Callable[[], object]] = [step.remove, lambda: step.delay(1), step.__enter__]
    for again in attempts:
        with pytest.raises(ValueError, match=r"^on ListImages: fail Throttling: this step was removed already; make "):
            again()
    fake.on("GetImage").delay(0).remove()
    assert fake.never_used_steps == []
    fake.reset()
    other.remove()  # the reset has removed it before
    assert codes(fake, "/images") == [""]


def test_a_step_that_is_in_no_script_can_not_be_removed(fake: FakeBatch) -> None:
    for wrong in (fake.on("ListImages").remove, fake.on("ListImages").__enter__):
        with pytest.raises(ValueError, match=r"^on ListImages: this step has no effect yet; give it fail, reply, "):
            wrong()


def test_a_step_may_hold_for_a_block(fake: FakeBatch) -> None:
    with fake.on("ListImages").fail("Throttling") as step:
        assert codes(fake, "/images") == ["Throttling"]
        step.delay(0)
    assert codes(fake, "/images") == [""]
    with fake.on("GetImage").delay(0):
        pass
    with fake.on("DeleteImage").delay(0) as step:
        step.remove()
    with pytest.raises(ZeroDivisionError), fake.on("ListImages").fail("Throttling"):
        raise ZeroDivisionError
    assert codes(fake, "/images") == [""]
    assert fake.unused_steps == []
    # A block in which its step never acted is what a strict test is to be told of.
    assert [step.operation for step in fake.never_used_steps] == ["GetImage", "ListImages"]


@pytest.mark.parametrize(
    ("define", "message"),
    [
        (
            lambda fake: fake.on("ListImage"),
            "'ListImage' is not an operation; did you mean 'ListImages'?",
        ),
        (
            lambda fake: fake.on().fail("Throtling"),
            "'Throtling' is not a documented error code; did you mean 'Throttling'?",
        ),
        (
            lambda fake: fake.on().fail("StateConflict"),
            "StateConflict needs the argument 'State': its message is "
            "'User operation is invalid. The current resource state is {State}.'",
        ),
        (
            lambda fake: fake.on().fail("Mine", status=418),
            "an error of one's own needs status, code and message, and nothing else",
        ),
        (
            lambda fake: fake.on().fail("Mine", status=99, message="x"),
            "an HTTP status is a number from 200 to 599, not 99",
        ),
        *(
            (
                lambda fake, calls=calls: fake.on(calls=calls),
                f"{calls!r} does not name calls; write 2, '2-4', '3-' or a list of these (the first call is 1)",
            )
            for calls in (0, -1, "0", "4-2", "-3", "2 - 4", "x", "", True, 1.5)
        ),
        (lambda fake: fake.on(calls=[]), "an empty list names no call; leave `calls` out to act at every call"),
        *(
            (
                lambda fake, seconds=seconds: fake.on().delay(seconds),
                f"a delay is a number of seconds from 0 to 3600, not {seconds!r}",
            )
            for seconds in (-1, 3601, float("nan"), "1", True)
        ),
        (
            lambda fake: fake.on().drop("after"),
            "a connection is dropped 'before' or 'during' the response, or 'silently', not 'after'",
        ),
        *(
            (
                lambda fake, status=status: fake.on().reply(status=status),
                f"an HTTP status is a number from 200 to 599, not {status!r}",
            )
            for status in (199, 600, 200.0, "200", True)
        ),
        (lambda fake: fake.on().reply(headers={"A b": "c"}), "A b: 'c' is not an HTTP header"),
        (lambda fake: fake.on().reply(headers={"A": "c\r\nd: e"}), r"A: 'c\r\nd: e' is not an HTTP header"),
        (lambda fake: fake.on().reply(headers={"A": "\u0100"}), "A: '\u0100' is not an HTTP header"),
        (
            lambda fake: fake.on().fail("Throttling").drop(),
            "a step has one outcome: fail, drop or reply; make a second step for another",
        ),
    ],
)
def test_a_mistake_in_a_step_is_refused_where_it_is_made(
    fake: FakeBatch, define: Callable[[FakeBatch], object], message: str
) -> None:
    with pytest.raises(ValueError) as caught:
        define(fake)
    assert str(caught.value) == message


def test_a_mistake_in_a_file_is_refused_at_its_line(tmp_path: Path) -> None:
    steps = [
        "{on: ListImages, fail: Throttling}",
        "on: ListImages\n    fail: Throtling",
        "{on: any, calls: 0, delay: 1}",
    ]
    with pytest.raises(FixtureError) as caught:
        from_yaml(tmp_path, "".join(f"  - {step}\n" for step in steps))
    assert str(caught.value).splitlines() == [
        f"{tmp_path}/world.yaml:5:11: script[1].fail: 'Throtling' is not a documented error code; "
        "did you mean 'Throttling'?",
        f"{tmp_path}/world.yaml:6:22: script[2].calls: 0 does not name calls; "
        "write 2, '2-4', '3-' or a list of these (the first call is 1)",
    ]


YAML_AND_PYTHON: list[tuple[str, Callable[[FakeBatch], object]]] = [
    ("{on: ListImages, calls: 2, fail: Throttling}", lambda fake: fake.on("ListImages", calls=2).fail("Throttling")),
    ("{calls: 2-4, delay: 0.01}", lambda fake: fake.on(calls="2-4").delay(0.01)),
    ("{on: any, calls: [1, 3-], drop: during}", lambda fake: fake.on("any", calls=[1, "3-"]).drop("during")),
    ("{on: GetImage, drop: before}", lambda fake: fake.on("GetImage").drop("before")),
    (
        "{on: ListImages, fail: {code: StateConflict, State: Deleting}}",
        lambda fake: fake.on("ListImages").fail("StateConflict", State="Deleting"),
    ),
    (
        "{on: ListImages, fail: {status: 418, code: Teapot, message: Short and stout.}}",
        lambda fake: fake.on("ListImages").fail("Teapot", status=418, message="Short and stout."),
    ),
    (
        "{on: ListImages, where: {Type: System, MaxItemCount: 5}, remove: [img-a], add: [{Id: 'img-{n}', repeat: 2}]}",
        lambda fake: (
            fake.on("ListImages", where={"Type": "System", "MaxItemCount": 5})
            .remove("img-a")
            .add(Image(id="img-0"), Image(id="img-1"))
        ),
    ),
    (
        "{on: ListImages, reply: {status: 502, headers: {Content-Type: text/html}, body: <h1>502</h1>}}",
        lambda fake: fake.on("ListImages").reply(502, {"Content-Type": "text/html"}, "<h1>502</h1>"),
    ),
]


@pytest.mark.parametrize(("text", "define"), YAML_AND_PYTHON, ids=[text for text, _ in YAML_AND_PYTHON])
def test_yaml_and_python_are_the_same_thing(
    tmp_path: Path, fake: FakeBatch, text: str, define: Callable[[FakeBatch], object]
) -> None:
    (written,) = from_yaml(tmp_path, f"  - {text}").unused_steps
    define(fake)
    (told,) = fake.unused_steps
    # What a file says as a list is one in the text of the trigger, and is compared by what it means.
    written, told = (msgspec.structs.replace(step, origin="", trigger="") for step in (written, told))
    assert msgspec.structs.asdict(written) == msgspec.structs.asdict(told)


@pytest.fixture
def served(fake: FakeBatch) -> Iterator[FakeBatch]:
    with fake:
        yield fake


def get(fake: FakeBatch, target: str = "/images") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(fake.host, fake.port, timeout=FOREVER)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_a_connection_dropped_before_the_response_is_reset(served: FakeBatch) -> None:
    served.on("ListImages", calls=1).drop("before")
    with pytest.raises(ConnectionResetError) as caught:
        get(served)
    assert caught.type is ConnectionResetError  # and not RemoteDisconnected, as http.client has an orderly end
    assert get(served)[0] == 200
    assert [call.status for call in served.calls] == [0, 200]


def test_a_connection_dropped_during_the_response_leaves_half_a_body(served: FakeBatch) -> None:
    served.on("ListImages", calls=1).drop("during")
    with pytest.raises(http.client.IncompleteRead) as caught:
        get(served)
    whole = get(served)[1]
    assert caught.value.partial == whole[: len(whole) // 2]
    assert caught.value.expected == len(whole) - len(whole) // 2


def test_what_is_dropped_during_the_response_was_carried_out_and_before_it_was_not(served: FakeBatch) -> None:
    served.on("DeleteImage", calls=1).drop("before")
    served.on("DeleteImage", calls=2).drop("during")
    connection = http.client.HTTPConnection(served.host, served.port, timeout=FOREVER)
    connection.request("DELETE", "/images/img-a")
    with pytest.raises(ConnectionResetError):
        connection.getresponse()
    connection.close()
    assert "img-a" in served.images
    connection.request("DELETE", "/images/img-a")
    assert connection.getresponse().status == 204
    connection.close()
    assert "img-a" not in served.images


def test_a_raw_reply_is_sent_as_it_is(served: FakeBatch) -> None:
    served.on("ListImages", calls=1).reply(502, {"Content-Type": "text/html", "X-Cache": "MISS"}, "<h1>坏</h1>")
    with socket.create_connection((served.host, served.port), FOREVER) as connection:
        connection.sendall(b"GET /images HTTP/1.1\r\n\r\n")
        received = b""
        while data := connection.recv(65536):
            received += data
    assert received == (
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nX-Cache: MISS\r\nContent-Length: 12\r\n"
        b"Connection: close\r\n\r\n<h1>\xe5\x9d\x8f</h1>"
    )


def test_a_raw_reply_may_lie_about_its_length(served: FakeBatch) -> None:
    served.on("ListImages", calls=1).reply(200, {"Content-Length": "100"}, b"{")
    with pytest.raises(http.client.IncompleteRead):
        get(served)


def test_a_raw_reply_may_be_broken_json(served: FakeBatch) -> None:
    served.on("ListImages", calls=1).reply(body='{"Items": [')
    status, body = get(served)
    assert status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


def test_a_delay_lets_fifty_other_requests_through(served: FakeBatch) -> None:
    served.on("ListImages", calls=1).delay(1)
    with ThreadPoolExecutor(1) as pool:
        delayed = pool.submit(get, served)
        wait_until(lambda: not served.unused_steps)
        others = [get(served)[0] for _ in range(50)]
        assert not delayed.done()
        assert others == [200] * 50
        assert delayed.result(FOREVER)[0] == 200
    assert len(served.calls) == 51
    assert max(call.duration for call in served.calls) >= 1.0


def test_stop_does_not_wait_for_a_delay(fake: FakeBatch) -> None:
    fake.on("ListImages").delay(3600)
    fake.start()
    with ThreadPoolExecutor(1) as pool:
        delayed = pool.submit(get, fake)
        wait_until(lambda: not fake.unused_steps)
        fake.stop()
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            delayed.result(FOREVER)


def test_a_call_that_began_before_a_reset_leaves_no_record_behind(fake: FakeBatch) -> None:
    fake.on("DeleteImage").delay(1).remove("img-b")
    put_off: list[Callable[[], Iterable[bytes]]] = []
    environ = EnvironBuilder("/images/img-a", method="DELETE").get_environ()
    environ["fakebatch.later"] = lambda _, finish: put_off.append(finish) or []  # type: ignore[func-returns-value]  # it is what append returns
    assert fake(environ, lambda *_: None) == []  # type: ignore[arg-type]  # nobody writes
    fake.reset()
    with pytest.raises(ConnectionAbortedError, match=r"^the fake was reset before the answer$"):
        put_off[0]()
    assert listed(fake) == ["img-a", "img-b"]
    assert [call.operation for call in fake.calls] == ["ListImages"]


# A step as specification, apart from what becomes of it


def test_a_step_is_registered_with_its_first_effect(fake: FakeBatch) -> None:
    step = fake.on("ListImages", calls=1)
    assert codes(fake, "/images") == [""]
    step.fail("Throttling")
    assert codes(fake, "/images", "/images") == ["Throttling", ""]


def test_a_first_effect_that_is_refused_leaves_nothing_behind(fake: FakeBatch) -> None:
    with pytest.raises(ValueError, match="'Throtling' is not a documented error code"):
        fake.on("ListImages").fail("Throtling")
    assert fake.unused_steps == []
    fake.check()


def test_a_later_effect_that_is_refused_leaves_the_earlier_ones(fake: FakeBatch) -> None:
    with pytest.raises(ValueError, match="'Throtling' is not a documented error code"):
        fake.on("ListImages").delay(0.001).fail("Throtling")
    assert [str(step) for step in fake.unused_steps] == ["on ListImages: delay 0.001 s"]


def test_a_step_without_an_effect_is_a_mistake_of_which_the_test_is_told(fake: FakeBatch) -> None:
    fake.on("ListImages", calls=2)
    with pytest.raises(ValueError) as caught:
        fake.check()
    assert str(caught.value) == (
        "on ListImages, calls 2: this step never got an effect; give it fail, reply, drop, delay, trickle, add, remove or becomes"
    )
    fake.check()  # it is told once


def test_what_a_step_failed_with_is_not_kept(fake: FakeBatch) -> None:
    fake.on("ListImages").fail("Throttling")
    codes(fake, *["/images"] * 3)
    gc.collect()
    assert not [error for error in gc.get_objects() if isinstance(error, ApiError)]


def test_a_step_that_a_reset_drops_before_it_acts_does_not_act(fake: FakeBatch, monkeypatch: Any) -> None:
    found = fake.world.apply_script

    def apply(*request: Any) -> Any:
        steps = found(*request)
        fake.reset()  # another thread's
        return steps

    monkeypatch.setattr(fake.world, "apply_script", apply)
    fake.on("ListImages").remove("img-a").fail("Throttling")
    assert codes(fake, "/images") == [""]
    assert fake.calls[-1].step == ""
    assert listed(fake) == ["img-a", "img-b"]


def test_steps_that_never_acted_are_those_of_no_epoch(fake: FakeBatch) -> None:
    fake.on("ListImages").delay(0)
    fake.on("GetImage").delay(0)
    codes(fake, "/images")
    fake.reset()
    fake.on("DeleteImage").drop()
    assert [step.operation for step in fake.never_used_steps] == ["GetImage", "DeleteImage"]
    assert [step.operation for step in fake.unused_steps] == ["DeleteImage"]


# Triggers


def test_parameters_of_the_path_can_be_asked_for_by_their_full_names(fake: FakeBatch) -> None:
    fake.on("GetImage", where={"ImageId": "img-a"}).fail("Forbidden")
    assert codes(fake, "/images/img-a", "/images/img-b") == ["Forbidden", ""]


def test_the_query_wins_over_the_body(fake: FakeBatch) -> None:
    fake.on("CreateImage", where={"IdempotentToken": "query"}).fail("Throttling")
    body = {"EcsImageId": "m", "Platform": "Linux", "IdempotentToken": "query"}
    for query, code in (("", "Throttling"), ("?IdempotentToken=other", None), ("?IdempotentToken=query", "Throttling")):
        assert Client(fake).post(f"/images{query}", json=body).get_json().get("Code") == code


def test_a_step_can_ask_who_signed(fake: FakeBatch) -> None:
    fake.on("ListImages", account="alice").fail("Throttling.User")
    status = [
        Client(fake).get("/images", headers={"Authorization": f"acs {key}:c2ln"}).status_code
        for key in ("alice", "bob")
    ]
    assert status == [400, 200]


def test_a_step_can_ask_for_which_host_a_request_came(fake: FakeBatch) -> None:
    fake.on("ListImages", host="*.cn-QINGDAO.aliyuncs.com").fail("ServiceUnavailable")
    hosts = ("batchcompute.cn-qingdao.aliyuncs.com:80", "batchcompute.cn-beijing.aliyuncs.com", "")
    assert [Client(fake).get("/images", headers={"Host": host}).status_code for host in hosts] == [503, 200, 200]
    assert str(fake.unused_steps) == "[]"


@pytest.mark.parametrize(
    ("define", "kind", "message"),
    [
        (
            lambda fake: fake.on("ListImages", where={"type": "System"}),
            ValueError,
            "ListImages has no parameter 'type'; did you mean 'Type'?",
        ),
        (
            lambda fake: fake.on("GetImage", where={"Colour": "red"}),
            ValueError,
            "GetImage has no parameter 'Colour'; known are ImageId",
        ),
        (
            lambda fake: fake.on(where={"ImageID": "img-a"}),
            ValueError,
            "no operation has a parameter 'ImageID'; did you mean 'ImageId'?",
        ),
        (
            lambda fake: fake.on("ANY".lower(), where={"ImageID": "img-a"}),
            ValueError,
            "no operation has a parameter 'ImageID'; did you mean 'ImageId'?",
        ),
        (
            lambda fake: fake.on("ListImages", where=["Type"]),
            TypeError,
            'where is a mapping such as {"Type": "System"}, not [\'Type\']',
        ),
        (
            lambda fake: fake.on("ListImages", where={"Type": ["System"]}),
            TypeError,
            "the value of Type in where is a text or a number, not ['System']",
        ),
        (
            lambda fake: fake.on("List"),
            ValueError,
            f"'List' is not an operation; known are {OPERATIONS_LISTED}, any.",
        ),
        (
            lambda fake: fake.on(5),
            ValueError,
            f"5 is not an operation; known are {OPERATIONS_LISTED}, any.",
        ),
        (lambda fake: fake.on(account=5), TypeError, "account is a text, not 5"),
        (lambda fake: fake.on(host=""), TypeError, "host is a text, not ''"),
        (
            lambda fake: fake.on().fail(500),
            TypeError,
            "an error code is a text such as 'Throttling', not 500; for a bare HTTP status write reply(500)",
        ),
        (lambda fake: fake.on().fail(None), TypeError, "an error code is a text such as 'Throttling', not None"),
        (
            lambda fake: fake.on().fail("Mine", status=500, message=5),
            TypeError,
            "the message of an error is a text, not 5",
        ),
        (
            lambda fake: fake.on().fail("Mine", status=500, message="\ud800"),
            ValueError,
            "the message of an error can't be sent, for it holds half a character: '\\ud800'",
        ),
        (
            lambda fake: fake.on().fail("Mine\ud800", status=500, message="x"),
            ValueError,
            "the code of an error can't be sent, for it holds half a character: 'Mine\\ud800'",
        ),
        (
            lambda fake: fake.on().fail("StateConflict", State="\ud800"),
            ValueError,
            "the message of an error can't be sent, for it holds half a character: "
            "'User operation is invalid. The current resource state is \\ud800.'",
        ),
        *(
            (
                lambda fake, status=status: fake.on().fail("Mine", status=status, message="x"),
                ValueError,
                f"a response with the status {status} has no body for code and message; write a reply",
            )
            for status in (204, 304)
        ),
        (
            lambda fake: fake.on().fail("Throttling", self=1),
            ValueError,
            "Throttling has no argument 'self'; it takes none",
        ),
        (
            lambda fake: fake.on().reply(body="\ud800"),
            TypeError,
            "the body of a reply is text, bytes, JSON or a function of the call, not '\\ud800': "
            "'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed",
        ),
        (
            lambda fake: fake.on().drop(True),
            ValueError,
            "a connection is dropped 'before' or 'during' the response, or 'silently', not True",
        ),
        (lambda fake: fake.on().add("img-a"), TypeError, "expected Image or Cluster or Job or App, got 'img-a'"),
        (lambda fake: fake.on().remove(5), TypeError, "an Id is a text, not 5"),
        (
            lambda fake: fake.on().remove("a", resource="image"),
            ValueError,
            "'image' is not a resource; did you mean 'images'? Known are images, clusters, jobs, apps.",
        ),
        (
            lambda fake: fake.on().remove("a", resource="pods"),
            ValueError,
            "'pods' is not a resource; known are images, clusters, jobs, apps.",
        ),
        (lambda fake: fake.on().delay(-1), ValueError, "a delay is a number of seconds from 0 to 3600, not -1"),
        (lambda fake: fake.on().trickle(-1), ValueError, "a trickle is a number of seconds from 0 to 3600, not -1"),
        (
            lambda fake: fake.on().reply(headers=5),
            TypeError,
            "headers are a mapping, or a list of pairs of a name and a value, not 5",
        ),
        (
            lambda fake: fake.on().reply(headers={"A": None}),
            TypeError,
            "A: the value of a header is a text or a number, not None",
        ),
        (lambda fake: fake.on().reply(headers={"A": "\x00"}), ValueError, "A: '\\x00' is not an HTTP header"),
        (
            lambda fake: fake.on().reply(204, body="x"),
            ValueError,
            "a response with the status 204 has no body; leave it out, or send it with raw",
        ),
        (
            lambda fake: fake.on().reply(body={1, 2}),
            TypeError,
            "the body of a reply is text, bytes, JSON or a function of the call, not {1, 2}: Object of type set is not JSON serializable",
        ),
        (lambda fake: fake.on().reply(raw="text"), TypeError, "raw is bytes, not 'text'"),
        *(
            (
                lambda fake, other=other: fake.on().reply(**other, raw=b""),
                ValueError,
                "raw is all that is sent; leave status, headers and body out",
            )
            for other in ({"status": 500}, {"status": 100}, {"headers": {"A": "b"}}, {"body": "x"})
        ),
    ],
)
def test_values_of_the_wrong_kind_are_refused_where_they_come_in(
    fake: FakeBatch, define: Callable[[FakeBatch], object], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        define(fake)
    assert str(caught.value) == message
    fake.check()
    assert fake.unused_steps == []


# Replies


def test_a_reply_may_be_json(fake: FakeBatch) -> None:
    fake.on("ListImages").reply(202, {"X-Count": 2}, {"Items": ["镜", None]})
    response = Client(fake).get("/images")
    assert (response.status_code, response.data) == (202, '{"Items":["镜",null]}'.encode())
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["X-Count"] == "2"


@pytest.mark.parametrize("headers", [{"Accept-Ranges": "none"}, {"X-Cache": "HIT"}, {}])
def test_a_reply_that_is_json_says_so_whatever_else_it_says(fake: FakeBatch, headers: dict[str, str]) -> None:
    fake.on("ListImages").reply(headers=headers, body=[])
    assert Client(fake).get("/images").headers["Content-Type"] == "application/json; charset=utf-8"


def test_a_reply_that_is_json_may_have_a_type_of_its_own(fake: FakeBatch) -> None:
    fake.on("ListImages").reply(headers={"content-type": "text/json"}, body=[])
    assert Client(fake).get("/images").headers.getlist("Content-Type") == ["text/json"]


def test_what_json_has_no_number_for_is_no_body(fake: FakeBatch) -> None:
    with pytest.raises(TypeError, match=r"^the body of a reply is text, bytes, JSON or a .*, not nan: Out of range"):
        fake.on().reply(body=float("nan"))


def test_a_reply_may_have_any_status_there_is_and_any_character_a_header_has(fake: FakeBatch) -> None:
    fake.on("ListImages").reply(599, {"X-Latin-1": "\xff"})
    response = Client(fake).get("/images")
    assert (response.status_code, response.headers["X-Latin-1"]) == (599, "\xff")


def test_a_step_can_not_be_changed(fake: FakeBatch) -> None:
    fake.on("ListImages").delay(0)
    (step,) = fake.unused_steps
    with pytest.raises(AttributeError):
        step.delay = 5.0  # type: ignore[misc]  # the mistake that is tested


def test_a_reply_may_be_a_function_of_the_call(fake: FakeBatch) -> None:
    fake.on("GetImage").reply(body=lambda call: {"You asked for": call.parameters["ImageId"]})
    assert Client(fake).get("/images/img-x").json == {"You asked for": "img-x"}
    fake.check()


def test_a_reply_s_function_that_raises_is_an_internal_error_and_the_test_is_told(fake: FakeBatch) -> None:
    fake.on("GetImage").reply(body=lambda _: 1 / 0)
    assert codes(fake, "/images/img-x") == ["InternalError"]
    with pytest.raises(ZeroDivisionError):
        fake.check()


def test_a_header_may_be_there_twice(fake: FakeBatch) -> None:
    fake.on("ListImages").reply(headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    assert Client(fake).get("/images").headers.getlist("Set-Cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("framing", ["Transfer-Encoding", "transfer-encoding", "content-length"])
def test_nothing_is_added_beside_a_framing_of_ones_own(fake: FakeBatch, framing: str) -> None:
    fake.on("ListImages").reply(headers={framing: "1"}, body="x")
    sent: list[tuple[str, str]] = []
    fake(EnvironBuilder("/images").get_environ(), lambda _, headers, *__: sent.extend(headers) or (lambda _: None))  # type: ignore[func-returns-value]  # it is what list.extend returns
    assert sent == [(framing, "1")]


def test_of_one_step_removals_come_before_additions(fake: FakeBatch) -> None:
    fake.on("ListImages", calls=1).add(Image(id="img-a", name="new")).remove("img-a")
    assert listed(fake) == ["img-a", "img-b"]
    assert fake.images["img-a"].name == "new"


def test_a_trickling_body_is_whole_in_the_end(fake: FakeBatch) -> None:
    whole = Client(fake).get("/images").data
    fake.on("ListImages").trickle(0.01)
    assert Client(fake).get("/images").data == whole


# Faults on the wire


def raw_answer(fake: FakeBatch, request: bytes = b"GET /images HTTP/1.1\r\n\r\n") -> bytes:
    with socket.create_connection((fake.host, fake.port), FOREVER) as connection:
        connection.sendall(request)
        received = b""
        while data := connection.recv(65536):
            received += data
    return received


def test_raw_bytes_are_sent_in_the_place_of_a_response(served: FakeBatch) -> None:
    served.on("ListImages").reply(raw=b"\x00 no HTTP")
    assert raw_answer(served) == b"\x00 no HTTP"
    assert str(served.unused_steps or served.calls[0].step) == "on ListImages: reply raw bytes"


def test_raw_bytes_need_a_server_of_ours(fake: FakeBatch) -> None:
    fake.on("ListImages").reply(raw=b"x")
    with pytest.raises(ConnectionAbortedError, match=r"^this server can't send raw bytes in the place of a response$"):
        Client(fake).get("/images")


def test_a_silent_drop_is_an_orderly_end_without_a_byte(served: FakeBatch) -> None:
    served.on("DeleteImage").drop("silently")
    assert raw_answer(served, b"DELETE /images/img-a HTTP/1.1\r\n\r\n") == b""
    assert "img-a" in served.images
    assert "connection dropped" in str(served.calls[0])
    assert str(served.calls[0]).endswith("[on DeleteImage: drop silently]")


def test_a_body_trickles_over_a_socket(served: FakeBatch) -> None:
    whole = raw_answer(served).partition(b"\r\n\r\n")[2]
    served.on("ListImages").trickle(0.02)
    assert raw_answer(served).partition(b"\r\n\r\n")[2] == whole
    assert str(served.calls[1]).endswith("[on ListImages: trickle 0.02 s]")


def test_a_bodiless_answer_that_is_dropped_is_seen_by_the_client(served: FakeBatch) -> None:
    served.on("DeleteImage").drop("during")
    answer = raw_answer(served, b"DELETE /images/img-a HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 204")
    assert not answer.endswith(b"\r\n\r\n")
    assert "img-a" not in served.images


def test_a_reset_while_the_function_of_a_reply_runs_leaves_no_trace(served: FakeBatch) -> None:
    def reply(_: Call) -> str:
        served.reset()
        return "late"

    served.on("ListImages").reply(body=reply)
    assert raw_answer(served) == b""
    assert len(served.calls) == 0


def test_a_step_in_the_making_reads_as_what_it_is(fake: FakeBatch) -> None:
    assert repr(fake.on("ListImages").delay(1)) == "on ListImages: delay 1 s"
    assert repr(fake.world.script) == "[on ListImages: delay 1 s]"


def test_not_every_failure_of_a_callback_is_kept(fake: FakeBatch) -> None:
    fake.on("ListImages").reply(body=lambda _: 1 / 0)
    codes(fake, *["/images"] * 150)
    with pytest.raises(ExceptionGroup) as caught:
        fake.check()
    assert len(caught.value.exceptions) == 100


@pytest.mark.parametrize(("drop", "status"), [("before", 0), ("silently", 0), ("during", 200)])
def test_the_call_of_a_dropped_connection_has_the_status_that_was_on_its_way(
    served: FakeBatch, drop: Any, status: int
) -> None:
    served.on("ListImages").drop(drop)
    with contextlib.suppress(ConnectionResetError):
        raw_answer(served)
    assert [call.status for call in served.calls] == [status]


def test_a_delay_is_one_after_a_restart_as_well(served: FakeBatch) -> None:
    served.on("ListImages", calls=2).delay(0.2)
    assert get(served)[0] == 200
    served.stop()
    served.start()
    assert get(served)[0] == 200
    assert served.calls[1].duration >= 0.2


def test_a_reply_without_a_body_announces_none(served: FakeBatch) -> None:
    served.on("ListImages").reply(204, {"X-Cache": "HIT"})
    assert raw_answer(served) == b"HTTP/1.1 204 No Content\r\nX-Cache: HIT\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("effect", ["raw", "during"])
def test_what_trickles_may_be_raw_or_break_off(served: FakeBatch, effect: str) -> None:
    step = served.on("ListImages").trickle(0.3)
    if effect == "raw":
        step.reply(raw=b"x" * 100)
    else:
        step.drop("during")
    with socket.create_connection((served.host, served.port), FOREVER) as connection:
        connection.sendall(b"GET /images HTTP/1.1\r\n\r\n")
        pieces = []
        while data := connection.recv(65536):
            pieces.append(data)
    assert len(pieces) > 2
