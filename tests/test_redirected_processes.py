"""Redirects of other processes: forked ones, those of multiprocessing, of pytest-forked, and of any Python."""

import os
import signal
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import FOREVER

from fakebatch import FakeBatch

NAME = "batchcompute.cn-qingdao.aliyuncs.com"

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no os.fork on this system")


@pytest.fixture
def fake() -> Iterator[FakeBatch]:
    with FakeBatch() as started:
        yield started


def ask(scheme: str) -> int:
    with urllib.request.urlopen(f"{scheme}://{NAME}/images", timeout=FOREVER) as response:
        return int(response.status)


@needs_fork
@pytest.mark.parametrize("schemes", [["http", "https"], ["https"]])
@pytest.mark.parametrize("tls", [False, True])
def test_a_forked_child_of_a_test_reaches_the_fake_of_its_parent(tls: bool, schemes: list[str]) -> None:
    with FakeBatch(tls=tls) as fake, fake.redirect():
        if sys.platform != "win32":
            child = os.fork()
            if child == 0:
                signal.alarm(60)  # or the test would wait for ever for a child that hangs
                try:
                    os._exit(0 if [ask(scheme) for scheme in schemes] == [200] * len(schemes) else 1)
                finally:
                    os._exit(2)
            assert os.waitpid(child, 0)[1] == 0
        assert len(fake.calls) == len(schemes)


@needs_fork
def test_a_fork_is_no_trouble_where_there_is_no_tls() -> None:
    program = f"""
        import os, sys, urllib.request
        sys.modules["trustme"] = None
        from fakebatch import FakeBatch
        with FakeBatch() as fake:
            with fake.redirect():
                child = os.fork()
                if child == 0:
                    os._exit(urllib.request.urlopen("http://{NAME}/images").status - 200)
                print(os.waitpid(child, 0)[1], len(fake.calls))
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.stdout, result.stderr) == ("0 1\n", "")


MULTIPROCESSING = f"""
import multiprocessing, socket, sys, urllib.request
from concurrent.futures import ProcessPoolExecutor


def ask(scheme):
    return urllib.request.urlopen(f"{{scheme}}://{NAME}/images").status


def look_up():
    try:
        socket.getaddrinfo("{NAME}", 80)
    except OSError:
        sys.exit(7)


if __name__ == "__main__":
    from fakebatch import FakeBatch

    context = multiprocessing.get_context(sys.argv[1])
    with FakeBatch() as fake:
        with fake.redirect():
            with context.Pool(1) as pool:
                print(pool.map(ask, ["http", "https"]))
            with ProcessPoolExecutor(1, mp_context=context) as executor:
                print(executor.submit(ask, "https").result())
        print(len(fake.calls))
        after = context.Process(target=look_up)
        after.start()
        after.join()
        print(after.exitcode)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_the_processes_of_multiprocessing_are_redirected_however_they_are_started(tmp_path: Path, method: str) -> None:
    if method not in __import__("multiprocessing").get_all_start_methods():
        pytest.skip(f"there is no {method} on this system")
    program = tmp_path / "program.py"
    program.write_text(MULTIPROCESSING, encoding="utf-8")
    command = [sys.executable, "-W", "ignore", str(program), method]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (result.stdout.splitlines(), result.stderr) == (["[200, 200]", "200", "3", "7"], "")


def test_a_process_that_is_started_while_the_fake_is_stopped_is_told_so(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(f"""
            import multiprocessing, socket

            def connect():
                try:
                    socket.create_connection(("{NAME}", 80))
                except ConnectionRefusedError as error:
                    print(error.strerror, flush=True)

            if __name__ == "__main__":
                from fakebatch import FakeBatch

                with FakeBatch() as fake, fake.redirect():
                    fake.stop()
                    process = multiprocessing.get_context("spawn").Process(target=connect)
                    process.start()
                    process.join()
        """),
        encoding="utf-8",
    )
    result = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60, check=False)
    reason = "this fake is not started; use it in a with statement, or call start()"
    assert (result.stdout, result.stderr) == (f"the fake has no port 80: {reason}\n", "")


FORKING = """
import os
import pickle

import pytest
from _pytest.runner import runtestprotocol


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    # What pytest-forked does.
    if not item.get_closest_marker("forked") and not item.config.getoption("all_forked"):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        reports = [report._to_json() for report in runtestprotocol(item, log=False)]
        with open(writer, "wb") as out:
            pickle.dump(reports, out)
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as result:
        for report in pickle.load(result):
            item.ihook.pytest_runtest_logreport(report=pytest.TestReport._from_json(report))
    os.waitpid(child, 0)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_addoption(parser):
    parser.addoption("--all-forked", action="store_true")


def pytest_configure(config):
    config.addinivalue_line("markers", "forked: runs in a process of its own")
"""


@needs_fork
@pytest.mark.parametrize("options", [("--all-forked",), ("--all-forked", "-p", "xdist", "-n", "1"), ()])
def test_tests_run_each_in_a_fork_of_its_own(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    pytester.makeconftest(FORKING)
    pytester.makepyfile(
        f"""
        import urllib.request

        import pytest

        def ask(url):
            with urllib.request.urlopen(url + "/images") as response:
                return response.status

        def test_before_any_fork(fakebatch):
            assert ask(fakebatch.url) == 200
            assert len(fakebatch.calls) == 1

        @pytest.mark.forked
        @pytest.mark.parametrize("number", range(2))
        def test_of_a_fork(fakebatch, number):
            assert ask(fakebatch.url) == 200
            assert len(fakebatch.calls) == 1

        @pytest.mark.forked
        @pytest.mark.parametrize("scheme", ["http", "https"])
        def test_redirected(fakebatch_redirect, scheme):
            assert ask(scheme + "://{NAME}") == 200
            assert len(fakebatch_redirect.calls) == 1

        def test_after_the_forks(fakebatch):
            assert ask(fakebatch.url) == 200
            assert len(fakebatch.calls) == 1

        @pytest.mark.forked
        def test_that_fails(fakebatch):
            ask(fakebatch.url)
            assert False
        """
    )
    result = pytester.runpytest_subprocess(*options)
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(["*fakebatch calls*", "*GET /images*200*"])


# Children of any Python


INTERPRETERS = sorted(Path.home().glob(".pyenv/versions/*/bin/python")) or [Path(sys.executable)]
each_interpreter = pytest.mark.parametrize("python", INTERPRETERS, ids=lambda path: path.parts[-3])


def version_of(python: Path) -> tuple[int, ...]:
    command = [str(python), "-c", "import sys; print('%d %d' % sys.version_info[:2])"]
    return tuple(map(int, subprocess.check_output(command, env={}, text=True).split()))


@pytest.fixture
def sitecustomize(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A child's own, in the first folder of its path that is not ours."""
    path = tmp_path / "sitecustomize.py"
    path.write_text("print('mine')\nvalue = 5\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("FAKEBATCH_REDIRECT", raising=False)
    return path


@each_interpreter
@pytest.mark.usefixtures("sitecustomize")
def test_a_child_of_any_python_is_redirected_or_ends_and_says_why(fake: FakeBatch, python: Path) -> None:
    program = f"""
        import os, subprocess, sys
        from http.client import HTTPConnection, HTTPSConnection

        def ask(connect):
            connection = connect("{NAME}")
            connection.request("GET", "/images")
            print(connection.getresponse().status)
            connection.close()

        ask(HTTPConnection)
        ask(HTTPSConnection)

        import multiprocessing
        process = multiprocessing.get_context("fork").Process(target=ask, args=[HTTPSConnection])
        process.start()
        process.join()
        import asyncio.proactor_events
    """
    command = [str(python), "-B", "-W", "ignore", "-c", textwrap.dedent(program)]
    result = subprocess.run(
        command, env={**os.environ, **fake.environment()}, capture_output=True, text=True, timeout=60, check=False
    )
    version = version_of(python)
    if version >= (3, 8):
        assert (result.stdout.split(), result.stderr) == (["mine", "200", "200", "200"], "")
        assert len(fake.calls) == 3
    else:
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr == (
            "fakebatch: this process can't be redirected to the fake, so it ends: "
            f"it is Python {version[0]}.{version[1]}, and needs to be 3.8 or later\n"
        )


@each_interpreter
def test_a_child_s_own_sitecustomize_is_what_is_imported_by_its_name(
    fake: FakeBatch, sitecustomize: Path, python: Path
) -> None:
    ours = fake.environment()
    if version_of(python) < (3, 8):
        ours.pop("FAKEBATCH_REDIRECT")  # it would end
    program = "import os, sitecustomize; print(os.path.realpath(sitecustomize.__file__)); print(sitecustomize.value)"
    command = [str(python), "-B", "-c", program]
    result = subprocess.run(command, env={**os.environ, **ours}, capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == (f"mine\n{os.path.realpath(sitecustomize)}\n5\n", "")


@each_interpreter
@pytest.mark.parametrize("environment", ["with the variable", "without it"])
def test_a_child_without_a_sitecustomize_of_its_own_starts_without_a_word(
    fake: FakeBatch, python: Path, environment: str
) -> None:
    ours = fake.environment()
    if version_of(python) < (3, 8) or environment == "without it":
        ours.pop("FAKEBATCH_REDIRECT")
    command = [str(python), "-B", "-c", "print('started')"]
    result = subprocess.run(command, env={**os.environ, **ours}, capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("started\n", "")


@each_interpreter
def test_an_error_in_a_child_s_own_sitecustomize_is_told_as_python_does(
    fake: FakeBatch, sitecustomize: Path, python: Path
) -> None:
    sitecustomize.write_text("1 / 0\n", encoding="utf-8")
    ours = fake.environment()
    if version_of(python) < (3, 8):
        ours.pop("FAKEBATCH_REDIRECT")
    command = [str(python), "-B", "-c", "print('started')"]
    result = subprocess.run(command, env={**os.environ, **ours}, capture_output=True, text=True, check=False)
    told = "ZeroDivisionError" if version_of(python) >= (3, 0) else "'import sitecustomize' failed"
    assert told in result.stderr
    assert result.stdout == "started\n"
