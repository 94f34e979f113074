"""Commands of other packages as child processes, redirected to a fake, each with a home folder of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

from fakebatch import FakeBatch

_COLOURS = re.compile(r"\x1b\[[\d;]*m")

Completed = subprocess.CompletedProcess[str]


def start(fake: FakeBatch, home: Path, *command: str) -> "subprocess.Popen[str]":
    """Start a command of an installed package, unmodified, in the folder `home`."""
    environment = {
        **os.environ,
        **fake.environment(),
        "HOME": str(home),
        "LOGNAME": "tester",  # who Python says is logged in
        "PYTHONWARNINGS": "ignore",  # the commands are not ours to mend
        "XDG_CONFIG_HOME": str(home),
    }
    environment.pop("COVERAGE_PROCESS_CONFIG", None)  # nothing that is measured runs there
    return subprocess.Popen(
        [Path(sys.executable).with_name(command[0]), *command[1:]],
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def finish(process: "subprocess.Popen[str]") -> Completed:
    """Return how it ended, and what it printed, without colours."""
    try:
        printed, _ = process.communicate(timeout=60)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, _COLOURS.sub("", printed))


def run(fake: FakeBatch, home: Path, *command: str) -> Completed:
    """Run a command to its end."""
    return finish(start(fake, home, *command))
