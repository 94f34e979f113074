"""How tests wait for what happens in other threads and on sockets."""

import time
from collections.abc import Callable

FOREVER = 20.0
"""Seconds until a test that hangs fails."""


def wait_until(condition: Callable[[], bool]) -> None:
    """Return once a condition holds. Fails if it does not hold after `FOREVER`."""
    deadline = time.monotonic() + FOREVER
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
