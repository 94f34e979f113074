"""What a forked child makes anew: locks that another thread may have held, and what belongs to its parent alone.

Knows nothing of what that is. Imports the standard library only.
"""

import os
import sys
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

_functions: WeakKeyDictionary[Any, Callable[[Any], object]] = WeakKeyDictionary()


def always_in_child(function: Callable[[], object]) -> None:
    """Have `function()` called in each forked child of this process, where processes can be forked."""
    if sys.platform != "win32":
        os.register_at_fork(after_in_child=function)


def in_child(owner: object, function: Callable[[Any], object]) -> None:
    """Have `function(owner)` called in each forked child of this process, as long as the owner lives."""
    _functions[owner] = function


def _run_in_child() -> None:
    for owner, function in list(_functions.items()):
        function(owner)


always_in_child(_run_in_child)
