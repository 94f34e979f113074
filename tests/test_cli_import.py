"""`fakebatch import`: from answers that were kept to a fixture file."""

import base64
import gzip
import json
import subprocess
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import vcr
import yaml
from browser import launching
from command_line import run
from responses import _recorder

from fakebatch import App, Cluster, FakeBatch, Image, Job

WORLD = (
    Image(id="img-a", name="A 64位", description="0o17"),
    Image(id="img-b", type="System"),
    Image(id="my-own", name="1e3"),
    Job(id="job-1", name="nightly", state="Failed", message="out of memory", priority=7),
    Job(id="job-2", dag={"Tasks": {"count": {"InstanceCount": 3}}}, state="Finished"),
    Cluster(id="cls-1", name="render", groups={"workers": {"DesiredVMCount": 2}}),
    App(name="echo", command_line="echo ${in}", input_parameters={"in": {"Type": "String", "Default": "x"}}),
    App(name="everybody-s", scope="Public"),
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
"""The time of both worlds: what happens by itself is told with its time."""

PATHS = (
    "/images?MaxItemCount=1",
    "/images?Marker=img-b&MaxItemCount=50",
    "/images/img-a",
    "/images?Type=System",
    "/jobs",
    "/jobs/job-2?description",
    "/jobs/job-1",
    "/clusters",
    "/clusters/cls-1",
    "/apps?Scope=Private",
    "/apps?Scope=Public",
    "/apps/echo?Detail",
)
"""What a client asks that wants to see everything."""


@pytest.fixture
def fake() -> Iterator[FakeBatch]:
    with FakeBatch(*WORLD, clock=lambda: NOW) as fake:
        yield fake


def imported(*files: Path | str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return run("import", *files, stdin=stdin)


def load_again(printed: str, folder: Path) -> FakeBatch:
    path = folder / "imported.yaml"
    path.write_text(printed, encoding="utf-8")
    return FakeBatch(path, clock=lambda: NOW)


def answers(fake: FakeBatch) -> list[Any]:
    shown = []
    for path in PATHS:
        with urllib.request.urlopen(fake.url + path) as response:
            shown.append(json.load(response))
    return shown


def assert_the_same(printed: str, fake: FakeBatch, folder: Path) -> None:
    """Fail unless a client sees in an imported world what it saw in the one that was recorded."""
    fake.reset()
    with load_again(printed, folder) as again:
        assert answers(again) == answers(fake)


def test_what_is_imported_from_a_cassette_of_vcrpy_reads_the_same(fake: FakeBatch, tmp_path: Path) -> None:
    for serializer in ("yaml", "json"):
        cassette = tmp_path / f"cassette.{serializer}"
        with vcr.use_cassette(str(cassette), serializer=serializer):
            answers(fake)
        fake.reset()
        result = imported(cassette)
        assert (result.returncode, result.stderr) == (0, "")
        assert_the_same(result.stdout, fake, tmp_path)


def test_what_is_imported_from_recordings_of_responses_reads_the_same(fake: FakeBatch, tmp_path: Path) -> None:
    recording = tmp_path / "recording.yaml"

    @_recorder.record(file_path=recording)  # type: ignore[untyped-decorator, unused-ignore]
    def ask() -> None:
        for path in PATHS:
            requests.get(fake.url + path, timeout=30)

    ask()
    result = imported(recording)
    assert (result.returncode, result.stderr) == (0, "")
    assert_the_same(result.stdout, fake, tmp_path)


def har(fake: FakeBatch, *paths: str) -> dict[str, Any]:
    """Return what Chromium's developer tools save of requests: what they save besides is no matter."""
    entries: list[dict[str, Any]] = []
    for path in paths:
        with urllib.request.urlopen(fake.url + path) as response:
            text = response.read().decode()
        content: dict[str, Any] = {"size": len(text), "mimeType": "application/json", "text": text}
        if len(entries) % 2:
            content |= {"text": base64.b64encode(text.encode()).decode(), "encoding": "base64"}
        request = {"method": "GET", "url": fake.url + path, "httpVersion": "HTTP/1.1", "headers": [], "queryString": []}
        answer = {"status": 200, "statusText": "OK", "headers": [], "content": content, "redirectURL": ""}
        entries.append({"_resourceType": "fetch", "request": request, "response": answer, "cache": {}, "time": 1.5})
    return {"log": {"version": "1.2", "creator": {"name": "WebInspector", "version": "537.36"}, "entries": entries}}


def test_what_is_imported_from_a_har_reads_the_same(fake: FakeBatch, tmp_path: Path) -> None:
    path = tmp_path / "session.har"
    path.write_text(json.dumps(har(fake, *PATHS)))
    result = imported(path)
    assert (result.returncode, result.stderr) == (0, "")
    assert_the_same(result.stdout, fake, tmp_path)


@pytest.mark.browser
def test_what_is_imported_from_a_har_of_chromium_reads_the_same(fake: FakeBatch, tmp_path: Path) -> None:
    path = tmp_path / "session.har"
    with launching() as launch, launch() as browser, browser.new_context(record_har_path=path) as context:
        for asked in PATHS:  # each in a page of its own: a page that goes on may lose the body that it showed
            context.new_page().goto(fake.url + asked)
    result = imported(path)
    assert result.returncode == 0
    assert_the_same(result.stdout, fake, tmp_path)


def test_what_is_imported_from_saved_answers_reads_the_same(fake: FakeBatch, tmp_path: Path) -> None:
    files = []
    for number, answer in enumerate(answers(fake)):
        if PATHS[number] != "/apps?Scope=Public":  # an answer alone does not say whose it is
            files.append(tmp_path / f"{number}.json")
            files[-1].write_text(json.dumps(answer))
    fake.apps.remove("Public:everybody-s")
    result = imported(*files)
    assert (result.returncode, result.stderr) == (0, "")
    with load_again(result.stdout, tmp_path) as again:
        ours = answers(again)
    fake.reset()
    fake.apps.remove("Public:everybody-s")
    assert ours == answers(fake)


# What several answers say of one thing


def sections(stdin: Any) -> Any:
    result = imported("-", stdin=stdin if isinstance(stdin, str) else json.dumps(stdin))
    assert (result.returncode, result.stderr) == (0, "")
    return yaml.safe_load(result.stdout)


def test_a_thing_that_several_answers_show_is_there_once_as_the_last_one_shows_it() -> None:
    early = {"Id": "job-1", "Name": "a", "State": "Failed", "Message": "no", "EndTime": "2016-11-01T15:30:00.000000Z"}
    late = {"Id": "job-1", "Name": "a", "State": "Waiting", "Message": "", "EndTime": ""}
    described = {"Id": "job-1", "Name": "a", "Priority": 3}
    assert sections([early, described, late]) == {
        "jobs": [{"Id": "job-1", "State": "Waiting", "Message": "", "Name": "a", "Priority": 3}]
    }


def test_apps_of_one_name_that_two_own_are_two() -> None:
    apps = [
        {"Name": "a", "CommandLine": "true", "OwnerId": 1},
        {"Name": "a", "Description": "x", "OwnerId": 2},
        {"Name": "a", "OwnerId": 1, "Description": "y"},
    ]
    assert sections(apps)["apps"] == [
        {"OwnerId": 1, "Name": "a", "Description": "y", "CommandLine": "true"},
        {"OwnerId": 2, "Name": "a", "Description": "x"},
    ]


# Other forms


def cassette(body: Any, headers: Any) -> dict[str, Any]:
    request = {"method": "GET", "uri": "http://batchcompute.cn-qingdao.aliyuncs.com/images"}
    return {
        "interactions": [{"request": request, "response": {"status": {"code": 200}, "headers": headers, "body": body}}]
    }


PAGE = json.dumps({"Items": [{"Id": "img-a"}], "NextMarker": ""}).encode()


@pytest.mark.parametrize(
    ("encoding", "encode"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes), ("gzip", bytes)]
)
def test_a_body_that_was_compressed_is_read(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    kept = {"base64_string": base64.b64encode(encode(PAGE)).decode()}
    found = sections(cassette(kept, {"Server": ["x"], "Content-Encoding": [encoding]}))
    assert [image["Id"] for image in found["images"]] == ["img-a"]


@pytest.mark.parametrize("encoding", ["br", "gzip"])
def test_a_body_that_can_t_be_read_is_told(encoding: str) -> None:
    kept = {"base64_string": base64.b64encode(b"\x1f\x8b no").decode()}
    result = imported("-", stdin=json.dumps(cassette(kept, {"content-encoding": encoding})))
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"-: interactions[0]: its answer is not in the form {encoding}, or nobody here can read that",
        "fakebatch: there is no record in what was given",
    ]


def test_a_cassette_that_python_2_wrote_is_read() -> None:
    text = f"""
interactions:
- request: {{method: GET, uri: !!python/unicode 'http://x/images', headers: !!python/object/apply:x.y [{{a: b}}]}}
  response:
    body: {{string: !!python/unicode '{PAGE.decode()}'}}
    headers: !!python/dict {{}}
    status: {{code: 200, message: OK}}
"""
    assert [image["Id"] for image in sections(text)["images"]] == ["img-a"]


# What does not fit


def test_what_does_not_fit_is_told_with_its_place_and_the_rest_is_imported(tmp_path: Path) -> None:
    def exchange(method: str, path: str, status: int = 200, text: str = "{}") -> dict[str, Any]:
        request = {"method": method, "url": f"http://x{path}"}
        return {"request": request, "response": {"status": status, "content": {"text": text}}}

    page = '{"Items": [{"Id": "img-a", "Size": 3, "Platform": "Linux"}, {"Name": "b"}, 3]}'
    entries = [
        exchange("GET", "/style.css"),
        exchange("DELETE", "/images/img-a", 204),
        exchange("GET", "/quotas"),
        exchange("GET", "/images/img-a", 404),
        exchange("GET", "/images/img-a", 200, "<html>"),
        exchange("GET", "/images", 200, page),
        exchange("GET", "/images/img-c", 200, '{"Id": "img-c", "Platform": "linux"}'),
        exchange("GET", "/jobs/job-1", 200, '{"Id": "job-1", "DAG": {"Tasks": {"a": {"Timeout": "long"}}}}'),
        {"request": {}},
    ]
    path = tmp_path / "session.har"
    path.write_text(json.dumps({"log": {"entries": entries}}))
    result = run("import", "session.har", cwd=tmp_path)
    assert result.returncode == 0
    assert [image["Id"] for image in yaml.safe_load(result.stdout)["images"]] == ["img-a"]
    assert result.stderr.splitlines() == [
        "session.har: log.entries[0]: GET http://x/style.css: this is no operation of the service; it is left out",
        "session.har: log.entries[1]: DELETE http://x/images/img-a: DeleteImage shows no records; it is left out",
        "session.har: log.entries[2]: GET http://x/quotas: GetQuotas shows no records; it is left out",
        "session.har: log.entries[3]: GET http://x/images/img-a: it was answered with 404; it is left out",
        "session.har: log.entries[4]: GET http://x/images/img-a: its answer is not JSON: "
        "Expecting value: line 1 column 1 (char 0)",
        "session.har: log.entries[5]: GET http://x/images: Items[0].Size: no such field is known; it is left out",
        "session.har: log.entries[5]: GET http://x/images: Items[1]: this is no image: it has no Id",
        "session.har: log.entries[5]: GET http://x/images: Items[2]: this is no image: it has no Id",
        "session.har: log.entries[6]: GET http://x/images/img-c: Invalid enum value 'linux' - at `$.Platform`",
        "session.har: log.entries[7]: GET http://x/jobs/job-1: DAG.Tasks.a.Timeout: its type must be integer",
        "session.har: log.entries[8]: this is no request with its answer; it is left out",
    ]


@pytest.mark.parametrize(
    "text", ["just a text", "", '{"Quotas": 3}', '{"TaskName": "a"}', '{"log": 3}', '{"Items": []}']
)
def test_a_file_without_a_record_is_told(text: str) -> None:
    result = imported("-", stdin=text)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.endswith("fakebatch: there is no record in what was given\n")


def test_files_that_can_t_be_read_are_told_and_the_others_are_imported(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "broken.yaml").write_text("interactions: [")
    (tmp_path / "good.json").write_text('{"Id": "img-a", "Size": 3}')
    result = run("import", "no.json", "binary", "broken.yaml", "good.json", cwd=tmp_path)
    assert result.returncode == 1
    assert "img-a" in result.stdout
    assert result.stderr.splitlines() == [
        "no.json: it can't be read: No such file or directory",
        "binary: it is not UTF-8",
        "broken.yaml: it is neither JSON nor YAML: while parsing a flow node",
        "good.json: Size: no such field is known; it is left out",
    ]
