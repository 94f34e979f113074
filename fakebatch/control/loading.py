"""Loads a world that somebody sends: in a process of its own, if it is large.

Of 100,000 images in YAML the parser makes millions of objects. To look through them, Python's garbage collector stops
all threads, for up to 2 s; in another process it stops nobody. Knows nothing of HTTP.
"""

import pickle
import subprocess
import sys
from typing import IO, Any

from ..errors import FixtureError
from ..service.baseline import load_text
from ..service.description import Baseline

LARGE = 256 * 1024
"""From how many characters on it is worth a process, which takes 0.1 s to start."""
_AT_ONCE = 1000
"""How many records come at once: while they are read, no other thread runs."""

_CHILD = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from fakebatch.control.loading import serve
serve(sys.stdin.buffer, sys.stdout.buffer)
"""


def load(name: str, text: str, *, is_json: bool) -> Baseline:
    """Load a world from a text, as `load_text` does.

    Raises FixtureError, listing everything that is wrong with it, and RuntimeError if its process has died.
    """
    if len(text) < LARGE or not sys.executable:
        return load_text(name, text, is_json=is_json)
    with subprocess.Popen([sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:  # noqa: S603 - ourselves
        assert child.stdin  # noqa: S101 - for the type checker: both were asked for
        assert child.stdout  # noqa: S101
        try:
            for part in (sys.path, (name, text, is_json)):
                pickle.dump(part, child.stdin)
            child.stdin.close()
            return _receive(child.stdout)
        except (EOFError, OSError) as error:
            child.kill()
            raise RuntimeError(f"the process that was to load the world has died: {error}") from None


def _receive(stream: IO[bytes]) -> Baseline:
    problems, baseline = pickle.load(stream)  # noqa: S301 - of our own process
    if problems:
        raise FixtureError(problems)
    records: dict[str, list[Any]] = {name: [] for name in baseline.records}
    for name, count in baseline.records.items():
        while len(records[name]) < count:
            records[name] += pickle.load(stream)  # noqa: S301
    loaded: Baseline = baseline._replace(records=records)
    return loaded


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Load what is asked for, and send it, in that other process."""
    name, text, is_json = pickle.load(requests)  # noqa: S301 - of the one that has started this one
    try:
        baseline = load_text(name, text, is_json=is_json)
    except FixtureError as error:
        pickle.dump((error.problems, None), answers)
        return
    counts: Any = {name: len(records) for name, records in baseline.records.items()}
    pickle.dump(((), baseline._replace(records=counts)), answers)
    for records in baseline.records.values():
        for start in range(0, len(records), _AT_ONCE):
            pickle.dump(records[start : start + _AT_ONCE], answers)
