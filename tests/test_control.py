"""The control interface: what a test in another language, or a person, can do to a fake from outside."""

import http.client
import json
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
from asking import LAYERS, Asking, job, task
from waiting import FOREVER, wait_until
from werkzeug.test import Client, EnvironBuilder, run_wsgi_app
from werkzeug.wrappers import Response

from fakebatch import Account, App, Call, Cluster, FakeBatch, Image, Job
from fakebatch.control import api, loading
from fakebatch.control import page as page_module
from fakebatch.service.registry import RESOURCES
from fakebatch.state import calls as calls_module
from fakebatch.state.parameters import MOST_CONTROL_BYTES

NOW = datetime(2026, 1, 1)


class Reply(NamedTuple):
    status: int
    data: Any
    headers: Any


class Control:
    """Asks a fake's control interface, with no socket between."""

    def __init__(self, fake: FakeBatch) -> None:
        self.fake = fake

    def __call__(
        self, method: str, path: str, body: Any = None, /, *, base: str = "http://localhost", **headers: str
    ) -> Reply:
        sent = body if isinstance(body, str | bytes | None) else json.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        environ = EnvironBuilder(
            f"/_fakebatch{path}", base, method=method, data=sent, headers=list(named.items())
        ).get_environ()
        answer = Response(*run_wsgi_app(self.fake, environ, buffered=True))
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return Reply(answer.status_code, answer.json if is_json else answer.data, answer.headers)

    def get(self, path: str) -> Any:
        """Return what a GET answers; it must be 200."""
        reply = self("GET", path)
        assert reply.status == 200, reply
        return reply.data

    def refusal(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Return the status of a refusal, and what it says."""
        reply = self(method, path, body)
        return reply.status, reply.data["error"]


@pytest.fixture
def fake() -> FakeBatch:
    return FakeBatch(clock=lambda: NOW, control=True)


@pytest.fixture
def control(fake: FakeBatch) -> Control:
    return Control(fake)


@pytest.fixture
def served() -> Iterator[FakeBatch]:
    with FakeBatch(control=True) as fake:
        yield fake


def over_http(fake: FakeBatch, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(fake.host, fake.port, timeout=FOREVER)
    connection.request(method, path, body, headers, encode_chunked="Transfer-Encoding" in headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content


# Whether it is there


def test_in_process_it_is_there_only_if_it_was_asked_for() -> None:
    plain = FakeBatch()
    assert Client(plain).get("/_fakebatch/health").json == {
        "Code": "InvalidUrlPattern",
        "Message": "Specified url pattern contains some illegal words.",
    }
    assert len(plain.calls) == 1


def test_it_is_imported_when_it_is_used_and_not_before() -> None:
    program = """
        import sys
        from werkzeug.test import Client
        from fakebatch import FakeBatch
        client = Client(FakeBatch(control=True))
        client.get("/images")
        print(any(name.startswith("fakebatch.control") for name in sys.modules))
        client.get("/_fakebatch/health")
        print(any(name.startswith("fakebatch.control") for name in sys.modules))
    """
    lines = "\n".join(line.strip() for line in program.splitlines())
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_a_wrong_option_is_refused() -> None:
    with pytest.raises(
        TypeError, match=r"^control is True or False, not 'fakebatch'; the hosts that it answers to are"
    ):
        FakeBatch(control="fakebatch")  # type: ignore[arg-type]  # the mistake
    for wrong in ("fakebatch", ["fakebatch", ""], ["fakebatch:8888"], [5], 5):
        with pytest.raises(TypeError) as caught:
            FakeBatch(control_hosts=wrong)  # type: ignore[arg-type]  # the mistake
        assert str(caught.value) == (
            f"control_hosts is a list of host names such as ['fakebatch'], without ports, not {wrong!r}"
        )


def test_what_is_asked_of_it_is_no_call() -> None:
    calls: list[Call] = []
    fake = FakeBatch(control=True, accounts=[Account("key", "secret")], on_call=calls.append)
    fake.on("any").fail("Throttling")
    assert Control(fake)("GET", "/health").status == 200
    assert len(fake.calls) == len(calls) == 0
    assert len(fake.unused_steps) == 1


def test_it_says_that_it_is_there(served: FakeBatch) -> None:
    status, content = over_http(served, "GET", "/_fakebatch/health")
    assert status == 200
    assert json.loads(content)["status"] == "ok"
    assert json.loads(content)["version"]


def test_a_head_is_answered_as_a_get_without_its_body(served: FakeBatch) -> None:
    assert over_http(served, "HEAD", "/_fakebatch/health") == (200, b"")


def test_the_page_is_served_with_a_policy_that_lets_nothing_run_but_what_is_in_it(control: Control) -> None:
    reply = control("GET", "/")
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = reply.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert b"fakebatch" in reply.data
    assert control("GET", "").headers["Location"] == "/_fakebatch/"


def test_what_is_inline_in_the_page_is_allowed_by_its_hash(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<style>p {}</style><script>1</script>")
    with mock.patch.object(page_module, "files", lambda _: tmp_path):
        _, policy = page_module.page.__wrapped__()
    assert policy == (
        "default-src 'none'; script-src 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s='; "
        "style-src 'sha256-SNJDlN1Iy2mnt7DOjQIyDb2LQE6O5PQiSZomcdzawQ4='; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def test_no_answer_lets_another_origin_in(control: Control) -> None:
    replies = [control("GET", "/"), control("GET", "/calls"), control("OPTIONS", "/calls"), control("GET", "/nope")]
    for reply in replies:
        assert not any(name.lower().startswith("access-control") for name, _ in reply.headers)
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"


# Who may


@pytest.mark.parametrize(
    "base",
    [
        "http://127.0.0.1:8888",
        "http://192.168.1.7",
        "http://[::1]:8888",
        "http://localhost:8888",
        "http://LocalHost",
        "https://localhost",
        "http://fakebatch:8888",
        "http://FakeBatch",
    ],
)
def test_an_address_of_this_machine_and_a_name_that_was_given_may_ask(base: str) -> None:
    ask = Control(FakeBatch(control=True, control_hosts=["Fakebatch"]))
    assert ask("GET", "/clock", base=base).status == 200
    assert ask("POST", "/reset", base=base, Origin=base).status == 204


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8888",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "fakebatch.evil.example",
        "evil.example,localhost",
        "localhost@evil.example",
        "localhost:8888:evil",
        "[localhost]",
        "[127.0.0.1]",
        "::1",
        "1::",
        "2130706433",
        "",
        "[]",
        ":80",
    ],
)
def test_a_name_that_may_be_rebound_to_this_machine_may_not(host: str) -> None:
    fake = FakeBatch(control=True, control_hosts=["fakebatch"])
    fake.on("any").fail("Throttling")
    reply = Control(fake)("POST", "/reset", Host=host)
    assert reply.status == 403
    assert reply.data["error"] == (
        f"control answers to IP addresses and to localhost, not to the host {host!r}: ask 127.0.0.1 instead,"
        " or allow the name with --control-host (control_hosts in Python)"
    )
    assert len(fake.world.script) == 1


def test_a_request_without_a_host_may_not(served: FakeBatch) -> None:
    with socket.create_connection((served.host, served.port), FOREVER) as connection:
        connection.sendall(b"GET /_fakebatch/health HTTP/1.0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 403 Forbidden\r\n")


@pytest.mark.parametrize(
    ("base", "origin"),
    [
        ("http://localhost:8888", "http://evil.example"),
        ("http://localhost:8888", "http://localhost"),
        ("http://localhost:8888", "http://localhost:3000"),
        ("http://localhost:8888", "https://localhost:8888"),
        ("http://localhost:8888", "http://127.0.0.1:8888"),
        ("http://127.0.0.1", "http://127.0.0.1.evil.example"),
        ("http://localhost:8888", "null"),
        ("http://localhost:8888", ""),
        ("https://localhost", "http://localhost"),
    ],
)
def test_a_page_of_another_origin_may_not(fake: FakeBatch, base: str, origin: str) -> None:
    fake.on("any").fail("Throttling")
    reply = Control(fake)("POST", "/reset", base=base, Origin=origin)
    assert reply.status == 403
    assert reply.data["error"] == (
        f"control answers to no page but its own, not to one of {origin!r}: open {base}/_fakebatch/, or ask"
        " from outside of a browser, without the header Origin"
    )
    assert len(fake.world.script) == 1


def test_the_default_port_of_an_origin_may_be_left_out(control: Control) -> None:
    assert control("POST", "/reset", Host="localhost:80", Origin="http://localhost").status == 204
    tls = control("POST", "/reset", base="https://localhost", Host="localhost:443", Origin="https://localhost")
    assert tls.status == 204


def test_what_a_forged_header_holds_is_shown_printable_and_short(control: Control) -> None:
    error = control("GET", "/calls", Host="\x1b[31m" + "x" * 500).data["error"]
    assert "\x1b" not in error
    assert len(error) < 400


# What is wrong


def test_what_there_is_not_is_said_with_the_nearest(control: Control) -> None:
    assert control.refusal("GET", "/image") == (
        404,
        "'image' is not anything that control has; did you mean 'images'?",
    )
    assert control.refusal("GET", "/quxquux") == (
        404,
        "'quxquux' is not anything that control has; known are health, openapi.json, reset, calls, script, progress, "
        f"world, clock, events, {', '.join(resource.name for resource in RESOURCES)}.",
    )
    assert control.refusal("GET", "x")[0] == 404
    assert control.refusal("POST", "/jobs/job-1/finsh")[0] == 404
    assert control.refusal("POST", "/images//finish")[0] == 404


def test_another_method_is_refused_with_those_that_are_possible(control: Control) -> None:
    reply = control("PUT", "/calls")
    assert reply.status == 405
    assert reply.headers["Allow"] == "GET, DELETE"
    assert reply.data["error"] == "PUT is not possible at /_fakebatch/calls; possible is GET, DELETE"


def test_an_unknown_parameter_is_refused_with_the_nearest(control: Control) -> None:
    assert control.refusal("GET", "/calls?opration=ListImages") == (
        400,
        "'opration' is not a parameter of GET /_fakebatch/calls; did you mean 'operation'? "
        "Known are after, operation, wait, count, limit.",
    )
    assert control.refusal("POST", "/reset?now")[1].endswith("; known are none.")
    assert control.refusal("GET", "/calls?after=%zz")[0] == 400


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/calls?after=-1", "after is a whole number from 0 to 1000000000000000000, not '-1'"),
        ("/calls?count=many", "count is a whole number from 0 to 1000000000, not 'many'"),
        ("/calls?wait=long", "wait is a number of seconds from 0 to 3600, not 'long'"),
        ("/calls?wait=-1", "wait is a number of seconds from 0 to 3600, not '-1'"),
        ("/calls?wait=nan", "wait is a number of seconds from 0 to 3600, not 'nan'"),
        ("/images?count=0", "count is a whole number from 1 to 1000, not '0'"),
        ("/world?format=xml", "format is json or yaml, not 'xml'"),
        ("/world?secrets=yes", "secrets is 1 to have them shown, or 0, not 'yes'"),
    ],
)
def test_a_parameter_with_a_wrong_value_is_refused(control: Control, path: str, error: str) -> None:
    assert control.refusal("GET", path) == (400, error)


def test_an_unknown_operation_is_refused_with_the_nearest(control: Control) -> None:
    status, error = control.refusal("GET", "/calls?operation=ListImage")
    assert status == 400
    assert error.startswith("'ListImage' is not an operation; did you mean 'ListImages'?")


@pytest.mark.parametrize(
    ("path", "body", "problems"),
    [
        (
            "/script",
            "on: ListImages\nfail: Throttlin\ndelay: 5000\n",
            [(3, 8, "delay", "5000 is out of range; it must be from 0 to 3600")],
        ),
        (
            "/script",
            "on: ListImages\nfail: Throttlin\n",
            [(2, 7, "fail", "'Throttlin' is not a documented error code; did you mean 'Throttling'?")],
        ),
        ("/script", "", [(1, 1, "", "expected a mapping, got nothing")]),
        (
            "/script",
            "on: any\ndelay: 0\non: any",
            [(3, 1, "on", "the key 'on' is there already, at 1:1; remove one of them")],
        ),
        ("/progress", "job: a\nwaiting: soon", [(2, 10, "waiting", mock.ANY)]),
        ("/images", "{Id: a, Platform: linux}", [(1, 19, "Platform", mock.ANY)]),
        ("/images", '{"Id": "a",\n"Platform": "linux"}', [(2, 13, "Platform", mock.ANY)]),
        ("/images", b"Id: a\nName: \xff", [(2, 7, "", "this is not UTF-8; send it as UTF-8")]),
        ("/images", "Id: [", [(2, 1, "", mock.ANY)]),
        ("/clock", "advance: soon", [(1, 10, "advance", mock.ANY)]),
        ("/clock", "advance: 1\nadvance: 2", [(2, 1, "advance", mock.ANY)]),
        ("/clock", "", [(1, 1, "", "advance is missing")]),
    ],
)
def test_what_is_wrong_with_a_body_is_said_with_its_place(
    control: Control, path: str, body: Any, problems: list[Any]
) -> None:
    before = control.get("/world")
    reply = control("POST", path, body)
    assert reply.status == 400
    assert [tuple(problem.values()) for problem in reply.data["problems"]] == problems
    assert [list(problem) for problem in reply.data["problems"]] == [["line", "column", "where", "message"]] * len(
        problems
    )
    assert reply.data["error"].startswith("control")
    assert control.get("/world") == before


def test_a_body_that_says_that_it_is_json_is_read_as_json(control: Control) -> None:
    reply = control("POST", "/images", "Id: img-a", Content_Type="application/json")
    assert reply.data["problems"][0]["message"].startswith("this is not JSON")


def test_a_body_that_is_too_large_is_refused(served: FakeBatch) -> None:
    headers = {"Content-Length": str(MOST_CONTROL_BYTES + 1), "Expect": "100-continue"}
    status, content = over_http(served, "PUT", "/_fakebatch/world", b"", **headers)
    assert status == 413
    assert json.loads(content)["error"] == "a body has 67,108,864 bytes at most; use repeat, or send less"


def test_a_body_may_come_in_chunks(served: FakeBatch) -> None:
    parts = [b"images: [", b"{Id: img-a}]"]
    assert over_http(served, "PUT", "/_fakebatch/world", iter(parts), **{"Transfer-Encoding": "chunked"}) == (204, b"")
    assert [image.id for image in served.images] == ["img-a"]


def test_a_body_that_ends_early_is_refused(served: FakeBatch) -> None:
    with socket.create_connection((served.host, served.port), FOREVER) as connection:
        connection.sendall(b"PUT /_fakebatch/world HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nimages")
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(1000):
            answer += part
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"the body ended before its announced length" in answer
    assert len(served.images) == 4


def test_a_service_request_has_its_own_limit_beside_control(served: FakeBatch) -> None:
    status, content = over_http(served, "POST", "/images", b"x" * (257 * 1024))
    assert (status, json.loads(content)["Code"]) == (400, "InvalidHttpBody")


def test_a_mistake_of_our_own_is_told_to_client_and_test(fake: FakeBatch, control: Control) -> None:
    with mock.patch.object(fake.world, "reset", side_effect=ZeroDivisionError("oh")):
        assert control.refusal("POST", "/reset") == (500, "the fake itself failed: ZeroDivisionError: oh")
    with pytest.raises(ZeroDivisionError, match="oh"):
        fake.check()


def test_where_no_thread_can_be_started_that_is_said(served: FakeBatch) -> None:
    with mock.patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread")):
        status, content = over_http(served, "GET", "/_fakebatch/health")
    assert (status, json.loads(content)["error"]) == (503, "no thread could be started to answer this; try again")
    with pytest.raises(RuntimeError, match="can't start new thread"):
        served.check()


def test_what_breaks_in_a_thread_is_told_and_ends_nothing_else(served: FakeBatch) -> None:
    with mock.patch.object(api._Exchange, "_answer", side_effect=KeyboardInterrupt("oh")):
        assert over_http(served, "GET", "/_fakebatch/health")[0] == 503
    with pytest.raises(KeyboardInterrupt, match="oh"):
        served.check()
    assert over_http(served, "GET", "/_fakebatch/health")[0] == 200


# Calls


def test_a_call_is_shown_whole(fake: FakeBatch, control: Control) -> None:
    fake.on("CreateImage").delay(0)
    body = '{"Name": "mine", "Platform": "Linux", "EcsImageId": "m-1"}'
    answer = Client(fake).post(
        "/images?IdempotentToken=t", data=body, headers={"Authorization": "acs key:signature"}, base_url="http://h:80"
    )
    data = control.get("/calls")
    (shown,) = data.pop("calls")
    assert data == {"last": 1, "epoch": 1}
    assert 0 <= shown.pop("duration") < FOREVER
    assert shown.pop("start").endswith("Z")
    assert shown.pop("headers") == {
        "host": "h:80",
        "authorization": "acs key:[redacted]",
        "content-length": str(len(body)),
    }
    assert shown == {
        "number": 1,
        "operation": "CreateImage",
        "method": "POST",
        "path": "/images",
        "query": "IdempotentToken=t",
        "parameters": {"Name": "mine", "Platform": "Linux", "EcsImageId": "m-1", "IdempotentToken": "t"},
        "status": 201,
        "code": "",
        "items": None,
        "note": "",
        "step": "on CreateImage: nothing",
        "host": "h",
        "access_key_id": "key",
        "request_id": answer.headers["x-acs-request-id"],
        "body": body,
        "body_bytes": len(body),
    }


def test_a_body_that_is_no_text_is_not_shown(fake: FakeBatch, control: Control) -> None:
    Client(fake).post("/images", data=b"\xff\xfe")
    (shown,) = control.get("/calls")["calls"]
    assert (shown["body"], shown["body_bytes"]) == (None, 2)


def test_calls_are_numbered_from_the_last_reset_on(fake: FakeBatch, control: Control) -> None:
    ask = Asking(fake)
    for path in ("/images", "/jobs", "/images"):
        ask.get(path)

    def numbers(query: str) -> list[int]:
        return [call["number"] for call in control.get(f"/calls?{query}")["calls"]]

    assert numbers("") == [1, 2, 3]
    assert numbers("after=1") == [2, 3]
    assert numbers("after=3") == numbers("after=99") == []
    assert numbers("operation=ListImages") == [1, 3]
    assert numbers("after=1&operation=ListImages") == [3]
    assert numbers("limit=2") == [1, 2]
    assert control.get("/calls?limit=0") == {"calls": [], "last": 3, "epoch": 1}
    assert control("DELETE", "/calls").status == 204
    assert len(fake.calls) == 0
    ask.get("/images")
    assert numbers("") == [1]
    assert control.get("/calls?limit=0") == {"calls": [], "last": 1, "epoch": 2}


def test_numbers_go_on_where_old_calls_are_let_go(fake: FakeBatch, control: Control) -> None:
    with mock.patch.object(calls_module, "NEWEST", 2):
        for _ in range(5):
            Asking(fake).get("/images")
    assert [call["number"] for call in control.get("/calls")["calls"]] == [4, 5]
    assert [call["number"] for call in control.get("/calls?after=4")["calls"]] == [5]


def test_who_waits_for_calls_is_answered_when_they_have_come(served: FakeBatch) -> None:
    answers: list[tuple[int, bytes]] = []
    path = f"/_fakebatch/calls?operation=GetImage&wait={FOREVER}&count=2"
    waiting = threading.Thread(target=lambda: answers.append(over_http(served, "GET", path)))
    waiting.start()
    for number in range(2):
        assert not answers
        assert over_http(served, "GET", "/images")[0] == 200  # the server goes on meanwhile
        assert over_http(served, "GET", f"/images/img-{number}")[0] == 404
    waiting.join(FOREVER)
    ((status, content),) = answers
    assert status == 200
    assert [call["path"] for call in json.loads(content)["calls"]] == ["/images/img-0", "/images/img-1"]


def test_who_waits_in_vain_is_told_what_came(fake: FakeBatch, control: Control) -> None:
    Asking(fake).get("/images")
    reply = control("GET", "/calls?wait=0&count=2")
    assert reply.status == 408
    assert [call["number"] for call in reply.data["calls"]] == [1]
    assert control("GET", "/calls?wait=0&count=1").status == 200
    assert control("GET", "/calls?wait=0&count=1&after=1").status == 408


def test_a_reset_while_somebody_waits_lets_the_count_begin_anew(served: FakeBatch) -> None:
    over_http(served, "GET", "/images")
    answers: list[tuple[int, bytes]] = []
    path = f"/_fakebatch/calls?after=1&wait={FOREVER}&count=2"
    waiting = threading.Thread(target=lambda: answers.append(over_http(served, "GET", path)))
    waiting.start()
    wait_until(lambda: bool(served.calls._waiters))
    over_http(served, "GET", "/images")
    served.reset()
    over_http(served, "GET", "/images/img-a")
    assert not answers
    over_http(served, "GET", "/images/img-b")
    waiting.join(FOREVER)
    ((status, content),) = answers
    assert status == 200
    assert [call["path"] for call in json.loads(content)["calls"]] == ["/images/img-a", "/images/img-b"]


# Script and progress


def test_a_step_is_added_listed_used_and_taken_away(fake: FakeBatch, control: Control) -> None:
    assert control("POST", "/script", {"on": "ListImages", "calls": 2, "fail": "Throttling"})[:2] == (
        201,
        {"number": 1},
    )
    assert control("POST", "/script", "on: GetImage\ndelay: 0")[:2] == (201, {"number": 2})
    Asking(fake).get("/images")
    first, second = control.get("/script")["script"]
    failure = {"status": 400, "code": "Throttling", "message": "Request was denied due to request throttling."}
    assert first == {
        "number": 1,
        "step": {"on": "ListImages", "calls": 2, "fail": failure},
        "text": "control:1: on ListImages, calls 2: fail Throttling",
        "seen": 1,
        "used": False,
    }
    assert (second["step"], second["seen"]) == ({"on": "GetImage", "delay": 0}, 0)
    assert Asking(fake)("GET", "/images")[0] == 400
    assert control.get("/script")["script"][0]["used"]
    assert control("DELETE", "/script/1").status == 204
    assert [step["number"] for step in control.get("/script")["script"]] == [2]
    assert control("POST", "/script", "delay: 0").data == {"number": 3}
    assert control.refusal("DELETE", "/script/1") == (404, "there is no step with the number 1")
    assert control.refusal("DELETE", "/script/first") == (404, "there is no step with the number -1")


def test_a_reset_brings_back_the_script_and_the_progress_of_the_fixtures(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("script: [{on: ListImages, delay: 0}]\nprogress: [{job: a, waiting: 2}]")
    control = Control(FakeBatch(file, control=True))
    control("POST", "/script", "delay: 0")
    control("POST", "/progress", "job: b")
    for section in ("script", "progress"):
        assert control("DELETE", f"/{section}/1").status == 204
        assert [part["number"] for part in control.get(f"/{section}")[section]] == [2]
    assert control("POST", "/reset").status == 204
    for section in ("script", "progress"):
        assert [part["number"] for part in control.get(f"/{section}")[section]] == [1]


def test_what_no_file_can_hold_is_listed_as_text(fake: FakeBatch, control: Control) -> None:
    fake.on("ListImages").reply(body=lambda _: "")
    fake.on("GetImage").reply(body=b"\xff")
    fake.on("DeleteImage").reply(raw=b"\xff")
    fake.progress(job="a*").run(print)
    texts = ["on ListImages: reply 200", "on GetImage: reply 200", "on DeleteImage: reply raw bytes"]
    assert [step["step"] for step in control.get("/script")["script"]] == texts
    (rule,) = control.get("/progress")["progress"]
    assert rule["rule"] == rule["text"] == "job a*, waiting 1, running 1, run print"
    world = control.get("/world")
    assert "script" not in world
    assert "progress" not in world
    assert world["x-remarks"] == [
        "progress: no file can hold this: job a*, waiting 1, running 1, run print",
        *(f"script: no file can hold this: {text}" for text in texts),
    ]


def test_the_newest_rule_of_progress_counts(fake: FakeBatch, control: Control) -> None:
    control("POST", "/progress", {"job": "night*", "waiting": 2})
    assert control("POST", "/progress", "{job: nightly, waiting: 0, running: 0}").data == {"number": 2}
    assert control.get("/progress") == {
        "progress": [
            {
                "number": 2,
                "rule": {"job": "nightly", "waiting": 0, "running": 0},
                "text": "control:1: job nightly, waiting 0, running 0",
            },
            {"number": 1, "rule": {"job": "night*", "waiting": 2}, "text": mock.ANY},
        ]
    }
    ask = Asking(fake)
    assert ask.states(ask.create_job(job()), 1) == ["Finished"]
    assert control("DELETE", "/progress/2").status == 204
    assert ask.states(ask.create_job(job()), 3) == ["Waiting", "Waiting", "Running"]
    assert control.refusal("DELETE", "/progress/2") == (404, "there is no rule of progress with the number 2")


def test_a_rule_that_was_taken_away_takes_no_more(fake: FakeBatch, control: Control) -> None:
    rule = fake.progress(job="a")
    control("DELETE", "/progress/1")
    rule.fail(task="count")
    assert control.get("/progress") == {"progress": []}
    rule = fake.progress(job="a")
    control("POST", "/reset")
    control("POST", "/progress", "job: b")
    rule.fail(task="count")
    assert [rule["rule"] for rule in control.get("/progress")["progress"]] == [{"job": "b"}]


# Records


def test_records_are_listed_a_page_at_a_time() -> None:
    control = Control(
        FakeBatch(*(Image(id=f"img-{number}", name=f"n{number % 2}") for number in range(5)), control=True)
    )

    def ids(query: str) -> tuple[list[str], str]:
        page = control.get(f"/images?{query}")
        assert page["total"] == 5
        return [item["id"] for item in page["items"]], page["next"]

    assert ids("") == ([f"img-{number}" for number in range(5)], "")
    assert ids("count=2") == (["img-0", "img-1"], "img-2")
    assert ids("count=2&marker=img-2") == (["img-2", "img-3"], "img-4")
    assert ids("text=N1") == (["img-1", "img-3"], "")
    assert ids("text=N1&count=1") == (["img-1"], "img-3")
    assert ids("text=nothing") == ([], "")


def test_records_of_all_owners_are_listed_in_their_order() -> None:
    apps = [App(name="b", owner_id=1), App(name="A"), App(name="c", scope="Public"), App(name="a", owner_id=1)]
    control = Control(FakeBatch(*apps, control=True, accounts=[Account("k", "s", 1), Account("l", "s")]))
    assert [item["id"] for item in control.get("/apps")["items"]] == ["A", "1:a", "1:b", "Public:c"]
    page = control.get("/apps?count=1&marker=1:b")
    assert ([item["id"] for item in page["items"]], page["next"]) == (["1:b"], "Public:c")
    assert control.get("/apps/Public:c")["record"]["Name"] == "c"


def test_what_has_gone_by_itself_is_not_listed(fake: FakeBatch, control: Control) -> None:
    fake.progress(cluster="*", deleting="30s")
    for number in range(2):
        fake.clusters.add(Cluster(id=f"cls-{number}"))
    Asking(fake)("DELETE", "/clusters/cls-0")
    assert len(control.get("/clusters?text=deleting")["items"]) == 1
    fake.clock.advance(60)
    assert [item["id"] for item in control.get("/clusters")["items"]] == ["cls-1"]


def test_what_is_removed_while_it_is_listed_is_passed_over(fake: FakeBatch) -> None:
    def fits(_: Image) -> bool:
        if "img-centos" in fake.images:
            fake.images.remove("img-centos")
        return True

    assert [image.id for image in fake.images.browse("", 9, fits)[0]] == ["img-23jkhds", "img-ubuntu", "img-windows"]


def test_a_record_is_added_replaced_and_removed(fake: FakeBatch, control: Control) -> None:
    assert control("POST", "/images", "{Id: img-a, Name: one}")[:2] == (201, {"ids": ["img-a"]})
    assert control.refusal("POST", "/images", "Id: img-a") == (
        409,
        "there is 'img-a' in images already; PUT replaces it",
    )
    assert control("PUT", "/images/img-a", {"Name": "two"}).status == 204
    assert control.get("/images/img-a") == {
        "id": "img-a",
        "record": {
            "Id": "img-a",
            "Name": "two",
            "Description": "",
            "EcsImageId": "m-32dsf3f",
            "OwnerId": 123456,
            "Platform": "Linux",
            "Type": "Self",
            "CreationTime": "2016-07-18T11:53:19.110809Z",
        },
    }
    assert control("PUT", "/images/img-b", "{}").status == 201
    assert control("DELETE", "/images/img-a").status == 204
    assert "img-b" in fake.images
    for method in ("GET", "DELETE"):
        assert control.refusal(method, "/images/img-a") == (404, "no image 'img-a'; the nearest is 'img-b'")
    assert control.refusal("PUT", "/images/img-b", "Id: img-c") == (
        400,
        "the path is of 'img-b', and the body of 'img-c'",
    )
    assert control.refusal("PUT", "/images/img-b", "repeat: 0\nId: img-{n}")[1].endswith("and the body of nothing")


def test_an_entry_that_is_repeated_adds_all_or_none(fake: FakeBatch, control: Control) -> None:
    fake.images.add(Image(id="img-1"))
    assert control.refusal("POST", "/images", "{Id: 'img-{n}', repeat: 3}")[0] == 409
    assert "img-0" not in fake.images
    assert control("POST", "/images", "{Id: 'new-{n}', repeat: 3}").data == {"ids": ["new-0", "new-1", "new-2"]}


def test_records_without_an_id_get_one(fake: FakeBatch, control: Control) -> None:
    ask = Asking(fake)
    first = ask.create_job(job())
    (second,) = control("POST", "/jobs", "{}").data["ids"]
    more = control("POST", "/clusters", "repeat: 2").data["ids"]
    assert len({first, second, ask.create_job(job())}) == 3
    assert sorted(cluster.id for cluster in fake.clusters) == more


def test_jobs_are_moved_by_hand(fake: FakeBatch, control: Control) -> None:
    ids = [Asking(fake).create_job(LAYERS) for _ in range(4)]
    moved = control("POST", f"/jobs/{ids[0]}/advance")
    assert (moved.status, moved.data["record"]["State"]) == (200, "Running")
    assert control("POST", f"/jobs/{ids[1]}/finish").data["record"]["State"] == "Finished"
    failed = control("POST", f"/jobs/{ids[2]}/fail", {"message": "out of memory"}).data["record"]
    assert (failed["State"], failed["Message"]) == ("Failed", "out of memory")
    assert control("POST", f"/jobs/{ids[3]}/fail").data["record"]["State"] == "Failed"
    assert control("POST", f"/jobs/{ids[0]}/stop").data["record"]["State"] == "Stopped"
    assert control.refusal("POST", f"/jobs/{ids[0]}/stop") == (
        409,
        f"job {ids[0]!r} is Stopped, and goes nowhere from there",
    )
    assert control.refusal("POST", "/jobs/job-x/finish")[0] == 404
    assert control.refusal("POST", f"/jobs/{ids[0]}/fail", "[]")[1] == "control:1:1: expected a mapping, got a list"
    assert control.refusal("POST", f"/jobs/{ids[0]}/fail", "massage: x")[1] == (
        "control:1:1: massage: unknown key 'massage'; did you mean 'message'?"
    )


def test_clusters_are_moved_by_hand(fake: FakeBatch, control: Control) -> None:
    fake.clusters.add(Cluster(id="cls-a", state="Deleting"))
    assert control("POST", "/clusters/cls-a/advance")[:2] == (200, {"record": None})
    assert control.refusal("POST", "/clusters/cls-a/advance")[0] == 404


def test_the_clock_is_moved(fake: FakeBatch, control: Control) -> None:
    assert control.get("/clock") == {"now": "2026-01-01T00:00:00.000000Z", "advanced": 0.0}
    assert control("POST", "/clock", {"advance": 90})[:2] == (
        200,
        {"now": "2026-01-01T00:01:30.000000Z", "advanced": 90.0},
    )
    assert fake.clock.advanced == 90
    assert control.refusal("POST", "/clock", "advance: -1") == (
        400,
        "a clock is advanced by 0 to 3162240000 seconds, not by -1.0; it never goes back",
    )


def test_events_are_listed(fake: FakeBatch, control: Control) -> None:
    job_id = Asking(fake).create_job({**job(), "Notification": {"Topic": {"Events": ["OnJobWaiting"]}}})
    (event,) = control.get("/events")["events"]
    assert (event["Event"], event["JobId"]) == ("OnJobWaiting", job_id)


# The world


def test_a_world_is_put_in_the_place_of_another(fake: FakeBatch, control: Control) -> None:
    ask = Asking(fake)
    ask.create_job(job())
    epoch = fake.world.epoch
    text = "images: [{Id: img-a}]\nscript: [{on: GetImage, fail: Throttling}]\nexpect: {n: 1}\nquotas: {Jobs: 0}"
    assert control("PUT", "/world", text)[:2] == (204, b"")
    assert [image.id for image in fake.images] == ["img-a"]
    assert (len(fake.jobs), len(fake.calls), fake.expect) == (0, 0, {"n": 1})
    assert fake.world.epoch > epoch
    assert ask("GET", "/images/img-a")[0] == 400
    assert ask("POST", "/jobs", job())[1]["Code"] == "QuotaExhausted"
    fake.images.add(Image(id="img-b"))
    fake.reset()
    assert [image.id for image in fake.images] == ["img-a"]
    assert [step["number"] for step in control.get("/script")["script"]] == [1]


def test_a_world_with_accounts_makes_everybody_sign() -> None:
    fake = FakeBatch(control=True)
    assert (
        Control(fake)("PUT", "/world", "accounts: [{AccessKeyId: alice-key, AccessKeySecret: alice-secret}]").status
        == 204
    )
    assert Asking(fake)("GET", "/images")[0] == 400
    assert Asking(fake, "alice")("GET", "/images")[0] == 200


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("images:\n- {Id: a, Platform: linux}", "control:2:21: images[0].Platform: 'linux' is not one of"),
        ("include: [/etc/hostname]", "control:1:11: include[0]: nothing can be included here; write what is in that"),
        ("", "control:1:1: expected a mapping, got nothing; its sections are"),
        ("[", "control:2:1: this is not YAML"),
        ("images: 5\nimages: 6", "control:"),
    ],
)
def test_a_world_that_does_not_load_changes_nothing(control: Control, text: str, error: str) -> None:
    before = control.get("/world")
    status, said = control.refusal("PUT", "/world", text)
    assert status == 400
    assert said.startswith(error)
    assert control.get("/world") == before


def test_no_secret_is_shown_that_was_not_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("expect: 0")
    fake = FakeBatch(file, control=True, accounts=[Account("a-key", "a-secret", 7)])
    control = Control(fake)
    shown = control.get("/world")
    assert shown == {
        "expect": 0,
        "x-accounts": [{"AccessKeyId": "a-key", "OwnerId": 7}],
        "x-remarks": ["accounts are left out, so that no secret is shown, and nobody has to sign; ask with ?secrets=1"],
    }
    with_secrets = control.get("/world?secrets=1")
    assert with_secrets["accounts"] == [{"AccessKeyId": "a-key", "AccessKeySecret": "a-secret", "OwnerId": 7}]
    for world, accounts in ((shown, 0), (with_secrets, 1)):
        assert control("PUT", "/world", world).status == 204
        assert len(fake.world.accounts) == accounts


def test_a_job_in_the_middle_of_its_run_goes_on_from_its_state(fake: FakeBatch, control: Control) -> None:
    ask = Asking(fake)
    running = ask.create_job(LAYERS)
    ask.states(running, 3)
    stopped = ask.create_job(job())
    ask("POST", f"/jobs/{stopped}/stop")
    failed = ask.create_job(job())
    fake.jobs.fail(failed, "why")
    shown = [ask.get(f"/jobs/{job_id}?description") for job_id in (running, stopped, failed)]
    records = {item["id"]: item["record"] for item in control.get("/jobs")["items"]}
    assert records[running]["State"] == "Running"
    assert "StartTime" not in records[running] or records[running]["StartTime"]
    assert records[stopped]["StartTime"] == records[failed]["StartTime"] == ""
    assert control("PUT", "/world", control.get("/world")).status == 204
    assert {item["id"]: item["record"] for item in control.get("/jobs")["items"]} == records
    assert [ask.get(f"/jobs/{job_id}?description") for job_id in (running, stopped, failed)] == shown
    assert fake.jobs[failed].message == "why"
    assert (fake.jobs[failed].start_time, fake.jobs[failed].tasks["count"].state) == ("", "Stopped")
    assert ask.states(running, 4) == ["Running", "Running", "Running", "Finished"]


def test_a_job_of_an_app_keeps_what_the_app_had_it_run(fake: FakeBatch, control: Control) -> None:
    fake.apps.add(
        App(name="echo", command_line="echo ${x}", input_parameters={"x": {}}, config={"InstanceCount": {"Default": 3}})
    )
    ask = Asking(fake)
    job_id = ask.create_job({"Name": "a", "Type": "App", "App": {"AppName": "echo", "Inputs": {"x": "hi"}}})
    before = ask.get(f"/jobs/{job_id}/tasks/task"), ask.get(f"/jobs/{job_id}?description")
    assert control("PUT", "/world", control.get("/world")).status == 204
    assert (ask.get(f"/jobs/{job_id}/tasks/task"), ask.get(f"/jobs/{job_id}?description")) == before
    assert fake.jobs[job_id].attempt("task", 0, 1).command_line == "echo hi"


def test_what_a_client_sent_beside_a_description_is_left_out(fake: FakeBatch, control: Control) -> None:
    ask = Asking(fake)
    job_id = ask.create_job({**job({"count": task()}), "Strange": 1, "Id": "job-x", "EndTime": "soon"})
    assert control.get(f"/jobs/{job_id}")["record"].keys().isdisjoint({"Strange", "EndTime"})
    assert control("PUT", "/world", control.get("/world")).status == 204
    assert job_id in fake.jobs


def test_times_that_a_clock_has_put_in_another_order_still_load() -> None:
    fake = FakeBatch(Job(id="job-1", creation_time="2030-01-01"), clock=lambda: NOW, control=True)
    fake.jobs.finish("job-1")
    control = Control(fake)
    written = control.get("/jobs/job-1")["record"]
    assert written["CreationTime"] == written["StartTime"] == written["EndTime"] == "2030-01-01T00:00:00.000000Z"
    assert control("PUT", "/world", control.get("/world")).status == 204
    assert control.get("/jobs/job-1")["record"] == written


def test_an_id_that_looks_like_a_placeholder_is_kept(fake: FakeBatch, control: Control) -> None:
    for key in ("{n}", "img-{n:03}", "{{n}}"):
        fake.images.add(Image(id=key, description="{{x} [}"))
    before = list(fake.images)
    for form in ("json", "yaml"):
        assert control("PUT", "/world", Control(fake)("GET", f"/world?format={form}").data).status == 204
        assert list(fake.images) == before


# A world of 100,000 records


LARGE = "images:\n" + "".join(f"- {{Id: img-{number:05}, Name: a name}}\n" for number in range(10_000))
"""A world that is worth a process of its own."""


def test_a_large_world_is_loaded_while_others_are_answered(served: FakeBatch) -> None:
    assert len(LARGE) > loading.LARGE
    begin, go_on = threading.Event(), threading.Event()
    load = loading.load

    def wait_and_load(*arguments: Any, **options: Any) -> Any:
        begin.set()
        assert go_on.wait(FOREVER)
        return load(*arguments, **options)

    answers: list[Any] = []
    with mock.patch.object(loading, "load", wait_and_load):
        put = threading.Thread(target=lambda: answers.append(over_http(served, "PUT", "/_fakebatch/world", LARGE)))
        put.start()
        assert begin.wait(FOREVER)
        assert over_http(served, "GET", "/images")[0] == 200
        assert over_http(served, "GET", "/_fakebatch/health")[0] == 200
        go_on.set()
        put.join(FOREVER)
    assert answers == [(204, b"")]
    assert len(served.images) == 10_000
    assert served.images["img-09999"].name == "a name"


def test_what_is_wrong_with_a_large_world_is_said_as_well(fake: FakeBatch, control: Control) -> None:
    reply = control("PUT", "/world", LARGE + "- {Id: img-x, Platform: linux}")
    assert reply.status == 400
    (problem,) = reply.data["problems"]
    assert (problem["line"], problem["column"], problem["where"]) == (10_002, 25, "images[10000].Platform")
    assert len(fake.images) == 4


def test_a_process_that_dies_while_it_loads_is_told_of(fake: FakeBatch, control: Control) -> None:
    with mock.patch.object(loading, "_CHILD", "raise SystemExit"):
        status, error = control.refusal("PUT", "/world", LARGE)
    assert status == 500
    assert "RuntimeError: the process that was to load the world has died" in error
    assert len(fake.images) == 4
    with pytest.raises(RuntimeError):
        fake.check()


def test_where_no_python_is_known_a_large_world_is_loaded_in_this_process(fake: FakeBatch, control: Control) -> None:
    with mock.patch.object(sys, "executable", ""):
        assert control("PUT", "/world", LARGE).status == 204
    assert len(fake.images) == 10_000


@pytest.mark.parametrize("text", [LARGE, "images: [{Id: 5}]"])
def test_the_other_process_sends_what_it_has_loaded(text: str) -> None:
    asked, sent = BytesIO(pickle.dumps(("w", text, False))), BytesIO()
    loading.serve(asked, sent)
    sent.seek(0)
    problems, baseline = pickle.load(sent)
    assert (bool(problems), baseline is None) == ((False, False) if text is LARGE else (True, True))


def test_a_world_that_is_still_loading_at_a_stop_changes_nothing(served: FakeBatch) -> None:
    begin, go_on, done = threading.Event(), threading.Event(), threading.Event()
    load = loading.load

    def wait_and_load(*arguments: Any, **options: Any) -> Any:
        begin.set()
        assert go_on.wait(FOREVER)
        return load(*arguments, **options)

    def put() -> None:
        with pytest.raises((http.client.HTTPException, OSError)):
            over_http(served, "PUT", "/_fakebatch/world", "images: []")
        done.set()

    with mock.patch.object(loading, "load", wait_and_load):
        threading.Thread(target=put).start()
        assert begin.wait(FOREVER)
        (thread,) = [thread for thread in threading.enumerate() if thread.name == f"fakebatch:{served.port}:apart"]
        served.stop()
        go_on.set()
        thread.join(FOREVER)
    assert done.wait(FOREVER)
    assert len(served.images) == 4
