"""The command `fakebatch`, as a process of its own."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from batchcompute import Client
from batchcompute.utils import constants
from checkout import FIXTURES

FOREVER = 30.0
"""Seconds until a test that hangs fails."""


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fakebatch", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=FOREVER, check=False)


@contextmanager
def serving(*arguments: str | Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run `fakebatch serve` on a free port; gives its URL and the process, whose hint lines have been read."""
    command = [sys.executable, "-m", "fakebatch", "serve", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            first = process.stdout.readline()
            url = re.search(r"http://127\.0\.0\.1:\d+", first)
            assert url, first
            for _ in range(2):
                process.stdout.readline()
            yield url[0], process
        finally:
            process.terminate()  # and not killed, so that what it ran is measured


def test_what_a_terminal_lacks_a_character_for_is_printed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    (tmp_path / "位.yaml").write_text("")
    checked = run("check", "位.yaml", cwd=tmp_path)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "\\u4f4d.yaml: fine, 0 images\n", "")


def test_serve_refuses_an_empty_host() -> None:
    served = run("serve", "--host", "", "--port", "0")
    assert served.returncode == 1
    assert served.stderr == "can't listen on port 0 of '': there is no such host; write 0.0.0.0 for all addresses\n"


def test_serve_prints_the_url_and_how_to_use_it() -> None:
    command = [sys.executable, "-m", "fakebatch", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = [process.stdout.readline().rstrip("\n") for _ in range(3)]
        process.terminate()
    port = lines[0].rpartition(":")[2].split()[0]
    assert lines == [
        f"Serving 4 images at http://127.0.0.1:{port} (end with Ctrl-C)",
        f'SDK:  Client.register_region("x", "127.0.0.1", {port}); Client("127.0.0.1", "id", "secret")',
        f"curl: curl 'http://127.0.0.1:{port}/images?Type=System&MaxItemCount=2'",
    ]


def test_the_sdk_lists_120_images_in_pages_of_7_in_order_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(FIXTURES / "paging.yaml") as (url, _):
        host, port = url.removeprefix("http://").split(":")
        monkeypatch.setitem(constants.ENDPOINT_INFO, "x", host)  # restored behind this test
        monkeypatch.setattr(constants, "SERVICE_PORT", constants.SERVICE_PORT)
        Client.register_region("x", host, int(port))
        client = Client(host, "id", "secret")
        ids: list[str] = []
        sizes: list[int] = []
        marker = ""
        while True:
            page = client.list_images(marker, 7)
            ids += [image.Id for image in page.Items]
            sizes.append(len(page.Items))
            marker = page.NextMarker
            if not marker:
                break
    assert ids == [f"img-{number:04}" for number in range(120)]
    assert sizes == [7] * 17 + [1]


def test_each_request_is_a_readable_line() -> None:
    with serving() as (url, process):
        urllib.request.urlopen(f"{url}/images?Type=System&MaxItemCount=2").close()
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{url}/images/nope")
        caught.value.close()
        assert process.stdout
        lines = [process.stdout.readline().rstrip("\n") for _ in range(2)]
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d GET /images\?Type=System&MaxItemCount=2 -> 200 2 items \(\d+\.\d ms\)", lines[0]
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\d GET /images/nope -> 404 InvalidResource\.NotFound \(\d+\.\d ms\)", lines[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_exit_code_0_whatever_clients_do(number: signal.Signals) -> None:
    with serving() as (url, process):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), FOREVER) as idle:
            idle.sendall(b"GET /images")
            process.send_signal(number)
            assert process.wait(FOREVER) == 0
        assert process.stderr
        assert process.stderr.read() == ""


def test_a_port_in_use_is_an_error_that_names_it_and_exit_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", "--port", str(port))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"can't listen on port {port} of 127.0.0.1: "
        "it is in use; stop what uses it, or choose another port (0 picks a free one)\n"
    )


def test_serve_refuses_a_bad_file_with_its_located_errors(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("images: [{Id: a, Platfrm: Linux}]")
    result = run("serve", "bad.yaml", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "bad.yaml:1:18: images[0].Platfrm: unknown key 'Platfrm'; did you mean 'Platform'?\n"


def test_check_says_that_good_files_are_fine() -> None:
    result = run("check", "documented.yaml", "paging.yaml", cwd=FIXTURES)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "documented.yaml: fine, 4 images\npaging.yaml: fine, 120 images\n"


def test_check_lists_everything_that_is_wrong_with_every_file(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("images:\n  - {Id: 5}\n  - {Id: a, Type: system}\n")
    (tmp_path / "two.yaml").write_text("images: {}\n")
    (tmp_path / "good.yaml").write_text("images: [{Id: a}]")
    result = run("check", "one.yaml", "good.yaml", "two.yaml", "three.yaml", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout == "good.yaml: fine, 1 image\n"
    assert [line.split(": ")[0] for line in result.stderr.splitlines()] == [
        "one.yaml:2:10",
        "one.yaml:3:19",
        "two.yaml:1:9",
        "three.yaml",
    ]


def test_schema_prints_the_json_schema_of_fixture_files() -> None:
    result = run("schema")
    schema = json.loads(result.stdout)
    assert result.returncode == 0
    assert set(schema["$defs"]["FixtureFile"]["properties"]) == {
        *("include", "images", "clusters", "jobs", "apps", "accounts", "progress", "script", "quotas", "expect")
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: command"),
        (["sreve"], "invalid choice: 'sreve'"),
        (["check"], "the following arguments are required: FIXTURE"),
        (["serve", "--port", "http"], "argument --port: invalid int value: 'http'"),
    ],
)
def test_wrong_arguments_are_exit_code_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert message in result.stderr


def test_the_console_script_is_the_same() -> None:
    script = Path(sys.executable).with_name("fakebatch")
    ours = subprocess.run([script, "--help"], capture_output=True, text=True, timeout=FOREVER, check=True).stdout
    assert ours == run("--help").stdout
    for command in ("serve", "check", "schema"):
        assert command in ours
