"""How tests run the command `fakebatch`, as a process of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from waiting import FOREVER

FAKEBATCH = [sys.executable, "-m", "fakebatch"]


def run(
    *arguments: str | Path, cwd: Path | None = None, stdin: str = "", environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run it to its end."""
    return subprocess.run(
        [*FAKEBATCH, *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=FOREVER,
        check=False,
    )


@contextmanager
def serving(
    *arguments: str | Path, stdin: str = "", hints: int = 3, cwd: Path | None = None
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run `fakebatch serve` on a free port; gives its URL and the process, of which so many hints have been read."""
    with subprocess.Popen(
        [*FAKEBATCH, "serve", *map(str, arguments), "--port", "0"],
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(stdin)
            process.stdin.close()
            first = process.stdout.readline()
            url = re.search(r"https?://\S+:\d+", first)
            assert url, first + rest(process.stderr)
            for _ in range(hints):
                process.stdout.readline()
            yield url[0], process
        finally:
            process.terminate()  # and not killed, so that what it ran is measured


def line(stream: IO[str] | None) -> str:
    """Return the next line of a stream of a process, without its end."""
    assert stream
    return stream.readline().rstrip("\n")


def rest(stream: IO[str] | None) -> str:
    """Return what there still is of a stream of a process that has ended, or is about to."""
    assert stream
    return stream.read()
