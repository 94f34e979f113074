"""The log of the command line: whoever reads it, or does not, no answer waits for it, and what is lost is counted."""

import os
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from command_line import FAKEBATCH, line, rest, serving
from waiting import FOREVER, wait_until

from fakebatch.cli import log as log_module
from fakebatch.cli.log import Log

Pipe = tuple[TextIO, TextIO]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """The two ends of a pipe."""
    read, write = os.pipe()
    with os.fdopen(read, encoding="utf-8") as reader, os.fdopen(write, "w", encoding="utf-8") as writer:
        yield reader, writer


def fill(writer: TextIO) -> int:
    """Write into a pipe until it is full, and return how many bytes that were."""
    os.set_blocking(writer.fileno(), False)
    number = 0
    try:
        while True:
            number += os.write(writer.fileno(), b"\n")
    except BlockingIOError:
        os.set_blocking(writer.fileno(), True)
        return number


def drain(reader: TextIO, number: int) -> None:
    while number:
        number -= len(os.read(reader.fileno(), number))


def test_lines_are_written_in_their_order(pipe: Pipe) -> None:
    reader, writer = pipe
    log = Log(writer)
    for number in range(100):
        log.say(number)
    assert log.close() == ""
    assert [reader.readline() for _ in range(100)] == [f"{number}\n" for number in range(100)]


def test_what_an_encoding_lacks_is_escaped(pipe: Pipe) -> None:
    reader, writer = pipe
    with os.fdopen(os.dup(writer.fileno()), "w", encoding="ascii") as narrow:
        log = Log(narrow)
        log.say("64位")
        assert log.close() == ""
    assert reader.readline() == "64\\u4f4d\n"


def test_lines_that_nobody_reads_are_dropped_and_counted_in_their_place(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "MOST_WAITING", 5)
    reader, writer = pipe
    filled = fill(writer)
    log = Log(writer)
    log.say("first")
    wait_until(log._queue.empty)  # the thread has taken it, and waits for the pipe
    for number in range(8):
        log.say(number)
    drain(reader, filled)
    wait_until(log._queue.empty)
    log.say("last")
    assert log.close() == "3 lines of the log could not be written: nobody reads it"
    expected = ["first", "0", "1", "2", "3", "4", "[3 lines dropped here: nobody read the log]", "last"]
    assert [line(reader) for _ in expected] == expected


def test_the_end_does_not_wait_for_who_does_not_read(pipe: Pipe) -> None:
    reader, writer = pipe
    filled = fill(writer)
    log = Log(writer)
    for number in range(3):
        log.say(number)
    assert log.close() == "3 lines of the log could not be written: nobody reads it"
    drain(reader, filled)  # or its thread would be left behind
    assert [line(reader) for _ in range(3)] == ["0", "1", "2"]


def test_the_end_does_not_wait_for_room_either(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "MOST_WAITING", 1)
    reader, writer = pipe
    filled = fill(writer)
    log = Log(writer)
    log.say("first")
    wait_until(log._queue.empty)
    log.say("second")
    log.say("third")
    assert log.close() == "3 lines of the log could not be written: nobody reads it"
    drain(reader, filled)
    assert [line(reader) for _ in range(2)] == ["first", "second"]


def test_a_pipe_that_does_not_block_is_waited_for(pipe: Pipe) -> None:
    reader, writer = pipe
    filled = fill(writer)
    os.set_blocking(writer.fileno(), False)
    log = Log(writer)
    log.say("late")
    wait_until(log._queue.empty)
    drain(reader, filled)
    assert line(reader) == "late"
    assert log.close() == ""


def test_a_reader_who_has_gone_is_the_reason_that_is_told(pipe: Pipe) -> None:
    reader, writer = pipe
    reader.close()
    log = Log(writer)
    log.say("a")
    assert log.close() == "1 line of the log could not be written: Broken pipe"


def ask(url: str, times: int = 1) -> None:
    for _ in range(times):
        urllib.request.urlopen(f"{url}/images?Type=System", timeout=FOREVER).close()


def ended(process: "subprocess.Popen[str]") -> str:
    """End a server, and return what it says on standard error."""
    process.send_signal(signal.SIGINT)
    assert process.wait(FOREVER) == 0
    return rest(process.stderr)


def test_a_log_that_nobody_reads_stops_no_request() -> None:
    with serving() as (url, process):
        ask(url, 2000)  # a pipe has room for less
        said = ended(process)
    assert said.startswith("fakebatch: ")
    assert said.endswith(" lines of the log could not be written: nobody reads it\n")


def test_a_log_whose_reader_has_gone_stops_no_request() -> None:
    with serving() as (url, process):
        assert process.stdout
        process.stdout.close()
        ask(url, 3)
        assert ended(process) == "fakebatch: 3 lines of the log could not be written: Broken pipe\n"


def test_a_log_in_a_narrow_encoding_loses_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    with serving() as (url, process):
        ask(url)
        assert "GET /images" in line(process.stdout)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{url}/images/%E4%BD%8D", timeout=FOREVER)
        caught.value.close()
        assert "GET /images/\\u4f4d -> 404" in line(process.stdout)
        assert ended(process) == ""


def test_standard_streams_that_were_closed_before_stop_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [*FAKEBATCH, "serve", "--port", "0", "--log", str(log)]
    with subprocess.Popen(["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]) as process:
        wait_until(log.exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(FOREVER) in (0, -signal.SIGTERM)  # it may have come before it served


def test_a_log_in_a_file_has_the_requests_and_standard_output_does_not(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("of yesterday\n")
    with serving("--log", tmp_path / "log") as (url, process):
        ask(url)
        assert ended(process) == ""
        assert rest(process.stdout) == ""
    yesterday, today = (tmp_path / "log").read_text().splitlines()
    assert yesterday == "of yesterday"
    assert today[8:].startswith("Z GET /images?Type=System -> 200 3 items")


def test_a_log_that_can_t_be_written_is_refused(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*FAKEBATCH, "serve", "--port", "0", "--log", str(tmp_path / "no" / "log")], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.wait(FOREVER) == 1
        assert rest(process.stderr) == f"fakebatch: {tmp_path}/no/log: No such file or directory\n"


def test_many_threads_may_log(pipe: Pipe) -> None:
    reader, writer = pipe
    log = Log(writer)
    threads = [threading.Thread(target=log.say, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.close() == ""
    assert sorted(int(line(reader)) for _ in threads) == list(range(20))
