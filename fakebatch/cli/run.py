"""`fakebatch run`: a command with a fake around it, as long as it runs.

Knows nothing of what the command does, but for `bcs`, the service's own: that looks for its settings in the home
folder, and asks nothing without having been logged in. [sdk]
"""

import argparse
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from ..errors import ServerError
from ..fake import FakeBatch
from ..service.accounts import Account
from ..service.world import World
from .serve import log_file
from .signals import arriving
from .worlds import describe, mistakes, read_stdin

BCS = ("bcs", "batchcompute")
"""The names of the service's own command. [sdk]"""
NOT_FOUND = 127
NOT_EXECUTABLE = 126
"""The exit codes of a command that can't be run, as shells have them."""

_PASSED_ON = ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
_FROM_TERMINALS = ("SIGINT", "SIGQUIT")
"""What a terminal sends to all who are in its foreground: to the command as well."""


def run_command(options: argparse.Namespace) -> int:
    """Serve while a command runs, and return its exit code. Raises FixtureError, ServerError and OSError."""
    world = World(describe(options.fixtures, read_stdin(options.fixtures)))
    with ExitStack() as stack:
        log = stack.enter_context(log_file(options.log)) if options.log else None
        fake = FakeBatch(
            port=options.port,
            tls=options.tls,
            on_call=log.say if log else None,
            control=options.control,
            control_hosts=options.control_hosts,
        )
        fake.show(world)
        fake.start()
        stack.callback(fake.stop)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fakebatch-")))
        environment = {**os.environ, **fake.environment(), "FAKEBATCH_URL": fake.url}
        try:
            environment["FAKEBATCH_CA_BUNDLE"] = fake.ca_bundle
        except ServerError:  # without the extra there is none
            environment.pop("FAKEBATCH_CA_BUNDLE", None)
        account = next(iter(fake.world.accounts.values()), Account("id", "secret"))
        code = _run(*_with_bcs(options.command_line, environment, folder, account))
        for mistake in mistakes(fake.world):
            print(mistake, file=sys.stderr)
    return code


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command, pass signals on to it, and return its exit code: 128 and the number of a signal that ended it."""
    ended, end = socket.socketpair()
    passed_on = (getattr(signal, name) for name in _PASSED_ON if hasattr(signal, name))  # not every system has all
    with arriving(passed_on) as signals, ended, end:
        try:
            child = subprocess.Popen(command, env=environment)  # noqa: S603 - to run it is what it is for
        except OSError as error:
            return _explain(command[0], error, environment)
        wait = threading.Thread(target=lambda: (child.wait(), end.send(b".")), daemon=True)
        wait.start()
        while ended not in select.select((signals, ended), (), ())[0]:
            for number in signals.recv(64):
                _pass_on(number, child)
        wait.join()
    code = child.returncode
    return code if code >= 0 else 128 - code


def _explain(command: str, error: OSError, environment: Mapping[str, str]) -> int:
    """Say why a command can't be run, and return the exit code."""
    if isinstance(error, FileNotFoundError) and not shutil.which(command, path=environment.get("PATH")):
        print(f"fakebatch: there is no command {command!r}; is it installed, and on PATH?", file=sys.stderr)
        return NOT_FOUND
    print(f"fakebatch: can't run {command!r}: {error.strerror}", file=sys.stderr)
    return NOT_EXECUTABLE


def _pass_on(number: int, child: "subprocess.Popen[bytes]") -> None:
    if not (signal.Signals(number).name in _FROM_TERMINALS and _is_in_foreground()):
        child.send_signal(number)


def _is_in_foreground() -> bool:
    """Tell whether this process, and so the command, is what a terminal sends its signals to."""
    try:
        with Path("/dev/tty").open("rb", buffering=0) as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:  # there is no terminal
        return False


def _with_bcs(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, account: Account
) -> tuple[list[str], dict[str, str]]:
    """Return a command and its environment, in which `bcs` is logged in to the fake.

    Where it is called by name, from scripts as well, it is one that has a home folder of its own; nothing else does,
    and the user's own settings are neither read nor changed.
    """
    first, *arguments = command
    path = environment.get("PATH", os.defpath)
    found = {name: place for name in BCS if (place := shutil.which(name, path=path))}
    own = folder / "bin"
    own.mkdir()
    if os.sep in first and Path(first).name in BCS and (place := shutil.which(first)):
        found[Path(first).name] = str(Path(place).absolute())
        first = str(own / Path(first).name)
    home = folder / "home"
    settings = home / ".batchcompute" / "cliconfig"
    settings.parent.mkdir(parents=True)
    # Without TLS: the extra for it may be missing. A percent sign is configparser's own.
    lines = [
        "[common]",
        "region = cn-qingdao",
        f"accesskeyid = {account.access_key_id}",
        f"accesskeysecret = {account.access_key_secret}",
        "ssl = off",
    ]
    settings.write_text("\n".join(lines).replace("%", "%%") + "\n", encoding="utf-8")
    # What pip has installed for the user is found in the home folder, unless it is said.
    python = 'PYTHONUSERBASE="${PYTHONUSERBASE:-$HOME/.local}"'
    for name, place in found.items():
        wrapper = own / name
        wrapper.write_text(f'#!/bin/sh\n{python} HOME={shlex.quote(str(home))} exec {shlex.quote(place)} "$@"\n')
        wrapper.chmod(0o755)
    return [first, *arguments], {**environment, "PATH": os.pathsep.join((str(own), path))}
