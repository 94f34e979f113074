"""`fakebatch serve`: a standalone server in the foreground, with a line for each request."""

import argparse
import signal
import socket
from contextlib import suppress

from ..fake import FakeBatch
from ..service.registry import summary
from ..state.calls import Call


def serve_fixtures(options: argparse.Namespace) -> int:
    """Serve until interrupted. Returns the exit code; raises FixtureError and ServerError."""
    with (
        _signals() as signals,
        FakeBatch(*options.fixtures, host=options.host, port=options.port, on_call=_log) as fake,
    ):
        print(f"Serving {summary(fake.world.collections)} at {fake.url} (end with Ctrl-C)")
        print(f'SDK:  Client.register_region("x", "{fake.host}", {fake.port}); Client("{fake.host}", "id", "secret")')
        print(f"curl: curl '{fake.url}/images?Type=System&MaxItemCount=2'", flush=True)
        signals.recv(1)
    return 0


def _signals() -> socket.socket:
    """Return a socket over which SIGINT and SIGTERM arrive from now on.

    A main thread that was just about to wait for anything else would wait on, signal or not.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    signal.set_wakeup_fd(sender.detach())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    return receiver


def _log(call: Call) -> None:
    # A terminal that has gone, or that lacks a character, is no reason to stop.
    with suppress(OSError, ValueError):
        print(call, flush=True)
