"""The command `fakebatch`, as a process of its own."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from batchcompute import Client
from batchcompute.utils import constants
from checkout import FIXTURES, ROOT
from command_line import FAKEBATCH, rest, run, serving
from waiting import FOREVER

import fakebatch
from fakebatch.cli import main as main_module
from fakebatch.cli import worlds


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
        lines = [process.stdout.readline().rstrip("\n") for _ in range(4)]
        process.terminate()
    port = lines[0].rpartition(":")[2].split()[0]
    assert lines == [
        f"Serving 4 images at http://127.0.0.1:{port} (end with Ctrl-C)",
        f'SDK:  Client.register_region("x", "127.0.0.1", {port}); Client("127.0.0.1", "id", "secret")',
        f"curl: curl 'http://127.0.0.1:{port}/images?Type=System&MaxItemCount=2'",
        f"page: http://127.0.0.1:{port}/_fakebatch/",
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
        r"\d\d:\d\d:\d\dZ GET /images\?Type=System&MaxItemCount=2 -> 200 2 items \(\d+\.\d ms\)", lines[0]
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\dZ GET /images/nope -> 404 InvalidResource\.NotFound \(\d+\.\d ms\)", lines[1])


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


def test_check_says_what_a_file_holds(tmp_path: Path) -> None:
    (tmp_path / "world.yaml").write_text("""
images: [{Id: img-a}]
clusters: [{}, {}]
jobs: [{}]
apps: [{Name: echo}]
accounts: [{AccessKeyId: a, AccessKeySecret: b}]
progress: [{job: a, waiting: 2}, {job: b, running: 1}]
script: [{on: ListImages, fail: InternalError}]
""")
    assert run("check", "world.yaml", cwd=tmp_path).stdout == (
        "world.yaml: fine, 1 image, 2 clusters, 1 job, 1 app, 1 account, 2 progress rules, 1 step\n"
    )


def test_check_takes_folders_and_stdin(tmp_path: Path) -> None:
    for name in ("a.yaml", "deep/b.yml", "deep/c.JSON", "deep/notes.txt", ".hidden/d.yaml", "other/.e.yaml"):
        path = tmp_path / "worlds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"images": [{"Id": "img-a"}]}')
    (tmp_path / "empty").mkdir()
    result = run("check", "worlds", "-", "empty", cwd=tmp_path, stdin="images: []")
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        "worlds/a.yaml: fine, 1 image",
        "worlds/deep/b.yml: fine, 1 image",
        "worlds/deep/c.JSON: fine, 1 image",
        "-: fine, 0 images",
    ]
    assert result.stderr == "empty: there is no file in it whose name ends in .yaml, .yml, .json\n"


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
        (["serve", "--ca", "ca.pem"], "--ca is for --tls; add that"),
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
    for command in COMMANDS:
        assert re.search(rf"\n    {command}\s", ours)


COMMANDS = ("serve", "run", "check", "scenarios", "import", "schema")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_has_an_example(command: str) -> None:
    result = run(command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(rf"\nexample: fakebatch {command}\s", result.stdout)


def test_the_help_documents_the_exit_codes() -> None:
    told = run("--help").stdout.partition("exit codes:\n")[2]
    assert [text.split()[0] for text in told.splitlines()[:5]] == ["0", "1", "2", "3", "128+n"]
    assert "fakebatch run" in str(main_module.__doc__)


def test_the_version_is_printed_and_is_an_attribute() -> None:
    result = run("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"fakebatch {fakebatch.__version__}\n", "")
    assert fakebatch.__version__ == version("fakebatch")


def test_the_version_costs_nothing_until_it_is_asked_for() -> None:
    program = "import sys, fakebatch; print('importlib.metadata' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:] += [{str(ROOT)!r}]; {program}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed == "False\n"


def test_a_reader_who_has_seen_enough_is_no_reason_for_a_traceback() -> None:
    command = [*FAKEBATCH, "schema"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.close()
        assert process.wait(FOREVER) == 1
        assert rest(process.stderr) == ""


def test_a_command_whose_output_was_closed_before_ends_well() -> None:
    command = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *FAKEBATCH, "check", str(FIXTURES / "paging.yaml")]
    result = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=FOREVER, check=False)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Keep what Ctrl-C does in this process."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("own", [signal.SIG_IGN, lambda *_: None])
def test_who_calls_it_keeps_a_handler_of_its_own(own: Any, capsys: pytest.CaptureFixture[str]) -> None:
    signal.signal(signal.SIGINT, own)
    assert main_module.main(["scenarios"]) == 0
    assert signal.getsignal(signal.SIGINT) is own
    assert "fakebatch:throttled" in capsys.readouterr().out


@pytest.mark.usefixtures("ctrl_c")
def test_a_mistake_of_its_own_is_a_line_and_exit_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(worlds, "describe", lambda *_: 1 // 0)
    assert main_module.main(["check", str(FIXTURES / "paging.yaml")]) == 3
    assert re.fullmatch(
        r"fakebatch: this is a mistake of fakebatch's own: ZeroDivisionError: .* \(test_command_line\.py:\d+\)\n",
        capsys.readouterr().err,
    )


def test_it_may_be_called_in_a_thread_and_leaves_its_signals_alone(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=main_module.main, args=(["schema"],))
    thread.start()
    thread.join()
    assert json.loads(capsys.readouterr().out)
    assert signal.getsignal(signal.SIGINT) is before


def test_scenarios_are_listed_served_and_checked_by_their_names() -> None:
    listed = run("scenarios")
    assert (listed.returncode, listed.stderr) == (0, "")
    lines = listed.stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "fakebatch:jobs (all of these)",
        "fakebatch:paging (all of these)",
    ]
    assert (
        "  fakebatch:throttled                   The account has used up its requests per second:"
        " the gateway refuses twice, then lets it pass."
    ) in lines
    names = [line.split()[0] for line in lines if line.startswith(" ")]
    assert len(names) == 20
    checked = run("check", *names)
    assert (checked.returncode, checked.stderr) == (0, "")
    with serving("fakebatch:throttled") as (url, _), urllib.request.urlopen(f"{url}/images") as response:
        assert len(json.load(response)["Items"]) == 50


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fakebatch:throtled", "there is no such scenario; did you mean 'fakebatch:throttled'?"),
        ("fakebatch:xyz", "there is no such scenario; `fakebatch scenarios` lists them"),
        (
            "fakebatch:paging",
            "this is a set of scenarios, and a world is made of one; name one of fakebatch:connection-reset, ",
        ),
    ],
)
def test_a_scenario_that_is_none_is_refused(name: str, message: str) -> None:
    checked = run("check", name)
    assert (checked.returncode, checked.stdout) == (1, "")
    assert checked.stderr.startswith(f"{name}: {message}")
