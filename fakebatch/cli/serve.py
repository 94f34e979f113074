"""`fakebatch serve`: a standalone server in the foreground, with a line for each request.

Knows nothing of what a request is.
"""

import argparse
import json
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from ..fake import FakeBatch
from ..service.accounts import Account
from ..service.registry import summary
from ..service.world import World
from ..wire.application import CONTROL
from .log import Log
from .reload import Reload
from .signals import arriving
from .worlds import describe, mistakes, read_stdin


def serve_fixtures(options: argparse.Namespace) -> int:
    """Serve until interrupted. Returns the exit code; raises FixtureError, ServerError and OSError."""
    given = read_stdin(options.fixtures)
    reload = Reload(options.fixtures, given)
    world = World(describe(options.fixtures, given))
    with ExitStack() as stack:
        errors = stack.enter_context(_log_to(sys.stderr))
        output = stack.enter_context(_log_to(sys.stdout, errors))
        calls = stack.enter_context(log_file(options.log, errors)) if options.log else output
        fake = FakeBatch(
            host=options.host,
            port=options.port,
            tls=options.tls,
            on_call=calls.say if options.log or not options.quiet else None,
            control=options.control,
            control_hosts=[*options.control_hosts, *_own_name(options.host)],
        )
        fake.show(world)
        signals = stack.enter_context(arriving((signal.SIGINT, signal.SIGTERM)))
        fake.start()
        stack.callback(fake.stop)
        if options.ca:
            shutil.copyfile(fake.ca_bundle, options.ca)
        if options.reload:
            reload.follow(fake, output.say, errors.say)
            reload.start()
        first, *more = _hints(fake, options.ca, options.control)
        output.say(first)
        for hint in () if options.quiet else more:
            output.say(hint)
        signals.recv(1)
        fake.stop()
        wrong = mistakes(fake.world)
        for mistake in wrong:
            errors.say(mistake)
    return int(bool(wrong))


@contextmanager
def _log_to(stream: TextIO | None, errors: Log | None = None) -> Iterator[Log]:
    """Give a log to a stream, or to nowhere if that was closed. At its end, `errors` is told of what was lost."""
    with ExitStack() as stack:
        log = Log(stream or stack.enter_context(Path("/dev/null").open("w")))
        yield log
        lost = log.close()
        if lost and errors:
            errors.say(f"fakebatch: {lost}")


@contextmanager
def log_file(path: str, errors: Log | None = None) -> Iterator[Log]:
    """Give a log at the end of a file. Raises OSError if it can't be written."""
    with Path(path).open("a", encoding="utf-8") as file, _log_to(file, errors) as log:
        yield log


def _own_name(host: str) -> Iterator[str]:
    """Yield the name that it listens on, if that is a name: the address that is printed must be answered."""
    if host and ":" not in host:
        yield host


def _hints(fake: FakeBatch, ca: str | None, has_control: bool) -> Iterator[str]:
    """Yield what a person wants to know first: where it is, and how to use it."""
    yield f"Serving {summary(fake.world.collections)} at {fake.url} (end with Ctrl-C)"
    accounts: Sequence[Account] = list(fake.world.accounts.values())
    account = accounts[0] if accounts else Account("id", "secret")
    host, secret = json.dumps(fake.host), json.dumps(account.access_key_secret, ensure_ascii=False)
    key = json.dumps(account.access_key_id, ensure_ascii=False)
    curl = "curl"
    if fake.url.startswith("https"):
        trusted = ca or fake.ca_bundle
        curl = f"curl --cacert {shlex.quote(trusted)}"
        yield (
            f'SDK:  os.environ["SSL_CERT_FILE"] = {json.dumps(trusted)}; '
            f"constants.SECURITY_SERVICE_PORT = {fake.port}; "
            f'Client.register_region("x", {host}); Client({host}, {key}, {secret}, security_conn=True)'
        )
    else:
        yield f'SDK:  Client.register_region("x", {host}, {fake.port}); Client({host}, {key}, {secret})'
    if not accounts:  # or it would have to be signed
        yield f"curl: {curl} '{fake.url}/images?Type=System&MaxItemCount=2'"
    if has_control:
        yield f"page: {fake.url}{CONTROL}/"
