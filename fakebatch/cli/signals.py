"""Signals that arrive over a socket, so that none is missed by who waits for them. Knows nothing of what they mean."""

import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


@contextmanager
def arriving(signals: Iterable[int]) -> Iterator[socket.socket]:
    """Give a socket over which signals arrive from now on, a byte with its number for each. Later ones do nothing.

    A main thread that was just about to wait for anything else, a lock or a child, would wait on, signal or not.
    """
    receiver, sender = socket.socketpair()
    with receiver, sender:
        sender.setblocking(False)
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        for number in signals:
            signal.signal(number, lambda *_: None)
        try:
            yield receiver
        finally:
            signal.set_wakeup_fd(-1)
