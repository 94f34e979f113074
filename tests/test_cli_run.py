"""`fakebatch run`: a command, and a fake around it as long as it runs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from checkout import FIXTURES
from command_line import FAKEBATCH, line, rest, run, serving
from waiting import FOREVER

PYTHON = sys.executable
BCS = Path(sys.executable).with_name("bcs")


def python(program: str) -> list[str]:
    return [PYTHON, "-W", "error", "-c", program]


def test_the_command_ends_it_with_its_exit_code() -> None:
    result = run("run", "--", *python("print('hello'); raise SystemExit(42)"))
    assert (result.returncode, result.stdout, result.stderr) == (42, "hello\n", "")


def test_the_command_and_its_children_find_the_fake_by_name_and_by_address(tmp_path: Path) -> None:
    program = """
import json, os, ssl, subprocess, sys, urllib.request as r
images = lambda url, **options: len(json.load(r.urlopen(url + '/images?MaxItemCount=100', **options))['Items'])
print(images(os.environ['FAKEBATCH_URL']), images('http://batchcompute.cn-beijing.aliyuncs.com'))
print(images('https://batchcompute.cn-beijing.aliyuncs.com'), os.path.isfile(os.environ['FAKEBATCH_CA_BUNDLE']))
"""
    (tmp_path / "program.py").write_text(program)
    command = ["/bin/sh", "-c", f"{PYTHON} program.py"]
    result = run("run", FIXTURES / "paging.yaml", "--log", tmp_path / "log", "--", *command, cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "100 100\n100 True\n", "")
    assert (tmp_path / "log").read_text().count("GET /images?MaxItemCount=100 -> 200 100 items") == 3


def test_the_command_may_control_the_fake() -> None:
    program = (
        "import os, urllib.request as r; print(r.urlopen(os.environ['FAKEBATCH_URL'] + '/_fakebatch/health').status)"
    )
    assert run("run", "--", *python(program)).stdout == "200\n"


def test_with_tls_its_url_is_https() -> None:
    program = """
import os, ssl, urllib.request as r
context = ssl.create_default_context(cafile=os.environ['FAKEBATCH_CA_BUNDLE'])
print(os.environ['FAKEBATCH_URL'][:8], r.urlopen(os.environ['FAKEBATCH_URL'] + '/images', context=context).status)
"""
    assert run("run", "--tls", "--", *python(program)).stdout == "https:// 200\n"


def test_without_the_extra_there_is_no_ca_bundle(tmp_path: Path) -> None:
    (tmp_path / "trustme.py").write_text("raise ModuleNotFoundError")
    environment = {"PYTHONPATH": str(tmp_path), "FAKEBATCH_CA_BUNDLE": "an old one"}
    result = run("run", "--", *python("import os; print('FAKEBATCH_CA_BUNDLE' in os.environ)"), environment=environment)
    assert (result.stdout, result.stderr) == ("False\n", "")


def test_fixtures_may_come_on_stdin() -> None:
    program = (
        "import json, os, urllib.request as r; print(json.load(r.urlopen(os.environ['FAKEBATCH_URL'] + '/images')))"
    )
    result = run("run", "-", "--", *python(program), stdin="images: [{Id: img-of-stdin}]")
    assert "img-of-stdin" in result.stdout


# What can't be run


def test_a_command_that_is_not_there_is_127() -> None:
    result = run("run", "--", "no-such-command", "--help")
    assert (result.returncode, result.stdout) == (127, "")
    assert result.stderr == "fakebatch: there is no command 'no-such-command'; is it installed, and on PATH?\n"


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        ("#!/bin/sh\n", 0o644, "Permission denied"),
        ("#!/no/such/interpreter\n", 0o755, "No such file or directory"),
        ("no program", 0o755, "Exec format error"),
    ],
)
def test_a_command_that_can_t_be_run_is_126(content: str, mode: int, reason: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(content)
    script.chmod(mode)
    result = run("run", "--", script)
    assert (result.returncode, result.stdout) == (126, "")
    assert result.stderr == f"fakebatch: can't run '{script}': {reason}\n"


@pytest.mark.parametrize("arguments", [["run"], ["run", "--"], ["run", "world.yaml"]])
def test_no_command_is_an_error_that_shows_how_to_write_one(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert "which command? write it after --, as in: fakebatch run world.yaml -- pytest" in result.stderr


def test_a_bad_file_is_an_error_and_the_command_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("imges: []")
    result = run("run", "bad.yaml", "--", "echo", "run", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("bad.yaml:1:1: imges: unknown key 'imges'; did you mean 'images'?")


# Signals


@contextmanager
def running(program: str) -> "Iterator[subprocess.Popen[str]]":
    """Run a program, without a terminal; gives the process of fakebatch once the program has printed `ready`."""
    with subprocess.Popen(
        [*FAKEBATCH, "run", "--", *python(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert line(process.stdout) == "ready"
        yield process


def test_a_command_that_a_signal_ends_is_128_and_its_number() -> None:
    result = run("run", "--", *python("import os; os.kill(os.getpid(), 9)"))
    assert result.returncode == 137


@pytest.mark.parametrize("name", ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_signals_are_passed_on(name: str) -> None:
    number = signal.Signals[name]
    program = f"""
import signal, time
got = []
signal.signal({int(number)}, lambda *_: got.append(1))
print('ready', flush=True)
while not got:
    time.sleep(0.01)
print('got it', flush=True)
raise SystemExit(7)
"""
    with running(program) as process:
        process.send_signal(number)
        assert process.wait(FOREVER) == 7
        assert (rest(process.stdout), rest(process.stderr)) == ("got it\n", "")


def test_a_command_that_dies_of_a_signal_that_was_passed_on_is_128_and_its_number() -> None:
    with running("import time; print('ready', flush=True); time.sleep(1000)") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(FOREVER) == 143


def test_a_signal_that_came_before_the_command_had_begun_is_passed_on(tmp_path: Path) -> None:
    # The signal is sent while the process is started, of which there is no hold from outside.
    (tmp_path / "sitecustomize.py").write_text("""
import os, signal, subprocess
start = subprocess.Popen.__init__
def init(self, *arguments, **options):
    start(self, *arguments, **options)
    if os.environ.pop('EARLY', None):
        os.kill(os.getpid(), signal.SIGTERM)
subprocess.Popen.__init__ = init
""")
    environment = {"PYTHONPATH": str(tmp_path), "EARLY": "1"}
    result = run("run", "--", *python("import time; time.sleep(1000)"), environment=environment)
    assert result.returncode == 143


@contextmanager
def ended(process: "subprocess.Popen[bytes]") -> "Iterator[subprocess.Popen[bytes]]":
    """Kill a process at the end, whatever has failed, or its end would be waited for."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_none_of_many_signals_is_missed() -> None:
    program = """
import os, signal
signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b'.'))
os.write(1, b'.')
while True:
    signal.pause()
"""
    with ended(subprocess.Popen([*FAKEBATCH, "run", "--", *python(program)], stdout=subprocess.PIPE)) as process:
        assert process.stdout
        for _ in range(300):
            assert os.read(process.stdout.fileno(), 1) == b"."
            process.send_signal(signal.SIGUSR1)
        process.terminate()
        assert process.wait(FOREVER) == 128 + signal.SIGTERM


def test_the_ctrl_c_of_a_terminal_reaches_the_command_once() -> None:
    program = """
import signal, time
seen = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: seen.append(number))
def wait_for(number):
    while number not in seen:
        time.sleep(0.01)
print('ready', flush=True)
wait_for(signal.SIGINT)
print('interrupted', flush=True)
wait_for(signal.SIGTERM)
print(seen.count(signal.SIGINT), 'times', flush=True)
raise SystemExit(5)
"""
    terminal = "import os, pty, sys; raise SystemExit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    ours = [*FAKEBATCH, "run", "--", *python(program)]
    command = [*python(terminal), "/bin/sh", "-c", 'echo $$; exec "$@"', "sh", *ours]
    with ended(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)) as process:
        assert process.stdin
        assert process.stdout
        number = int(process.stdout.readline())
        assert process.stdout.readline() == b"ready\r\n"
        process.stdin.write(b"\x03")
        process.stdin.flush()
        assert process.stdout.readline() == b"^Cinterrupted\r\n"
        os.kill(number, signal.SIGTERM)
        assert process.stdout.read() == b"1 times\r\n"
        assert process.wait(FOREVER) == 5


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every fakebatch that is started have made a mistake."""
    (tmp_path / "sitecustomize.py").write_text("""
from fakebatch.service.world import World
World.take_failures = lambda _: [RuntimeError('planted')]
""")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


PLANTED = "fakebatch: this is a mistake of fakebatch's own: RuntimeError: planted"


@pytest.mark.usefixtures("planted")
def test_a_mistake_of_its_own_is_told_beside_the_command_s_exit_code() -> None:
    result = run("run", "--", *python("raise SystemExit(7)"))
    assert (result.returncode, result.stderr) == (7, f"{PLANTED}\n")


@pytest.mark.usefixtures("planted")
def test_a_mistake_of_its_own_is_told_when_serving_ends() -> None:
    with serving() as (_, process):
        process.send_signal(signal.SIGINT)
        assert process.wait(FOREVER) == 1
        assert rest(process.stderr) == f"{PLANTED}\n"


# bcs


def listing(home: Path, *command: str | Path, fixtures: tuple[Path, ...] = (), **environment: str) -> str:
    path = os.pathsep.join((str(BCS.parent), os.environ["PATH"]))
    result = run("run", *fixtures, "--", *command, environment={"HOME": str(home), "PATH": path, **environment})
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """The home folder of who never logged in. At the end it is as it was."""
    folder = tmp_path / "home"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []


JOBS = "jobs: [{Id: job-1, Name: nightly, State: Finished}]"


def test_bcs_works_for_who_never_logged_in(home: Path, tmp_path: Path) -> None:
    world = tmp_path / "world.yaml"
    world.write_text(JOBS)
    assert "nightly" in listing(home, "bcs", "j", fixtures=(world,))
    assert "img-ubuntu" in listing(home, "batchcompute", "i")


def test_bcs_may_be_called_by_its_path_and_from_scripts(home: Path, tmp_path: Path) -> None:
    assert "img-ubuntu" in listing(home, BCS, "i")
    script = tmp_path / "script.sh"
    script.write_text('#!/bin/sh\necho "at home in $HOME"\nbcs i\n')
    script.chmod(0o755)
    printed = listing(home, script)
    assert f"at home in {home}\n" in printed
    assert "img-ubuntu" in printed


def test_bcs_signs_as_the_first_account(home: Path, tmp_path: Path) -> None:
    world = tmp_path / "world.yaml"
    accounts = [
        {"AccessKeyId": "a-key", "AccessKeySecret": "50%-secret", "OwnerId": 1001},
        {"AccessKeyId": "b-key", "AccessKeySecret": "b-secret", "OwnerId": 1002},
    ]
    images = [{"Id": "img-a", "OwnerId": 1001}, {"Id": "img-b", "OwnerId": 1002}]
    world.write_text(json.dumps({"accounts": accounts, "images": images}))
    printed = listing(home, "bcs", "i", fixtures=(world,))
    assert "img-a" in printed
    assert "img-b" not in printed


def test_the_settings_of_who_has_logged_in_are_neither_read_nor_changed(tmp_path: Path) -> None:
    settings = tmp_path / ".batchcompute" / "cliconfig"
    settings.parent.mkdir()
    settings.write_text("[common]\nregion = \n")
    assert "img-ubuntu" in listing(tmp_path, "bcs", "i")
    assert settings.read_text() == "[common]\nregion = \n"
    assert list(settings.parent.iterdir()) == [settings]


def test_a_bcs_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    result = run("run", "--", tmp_path / "bcs", "j", environment={"PATH": ""})
    assert result.returncode == 127
    result = run("run", "--", "bcs", environment={"PATH": str(tmp_path)})
    assert result.returncode == 127
