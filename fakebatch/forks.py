"""What a forked child makes anew: locks that another thread may have held, and what belongs to its parent alone.

Knows nothing of what that is. Imports the standard library only.
"""

import os
from collections.abc import Callable
from weakref import WeakMethod

_methods: set[WeakMethod[Callable[[], None]]] = set()


def in_child(method: Callable[[], None]) -> None:
    """Have a bound method called in each forked child of this process, as long as its object lives."""
    _methods.add(WeakMethod(method, _methods.discard))


def _run_in_child() -> None:
    for reference in list(_methods):
        method = reference()
        if method:
            method()


os.register_at_fork(after_in_child=_run_in_child)
