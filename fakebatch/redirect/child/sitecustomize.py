"""Redirects a child process of a test to the test's fake.

Python imports it at its start where this folder is on PYTHONPATH. It stands in front of any other `sitecustomize`, so
it runs that as well. See `FakeBatch.environment`. What can't be redirected ends: it must not reach the real service.

Every Python since 2.7 can read it, so that an old one can say why it ends.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401 - in comments, which old Pythons can read

_FLOOR = (3, 8)


def _end(reason):  # type: (str) -> None
    sys.stderr.write("fakebatch: this process can't be redirected to the fake, so it ends: %s\n" % reason)  # noqa: UP031
    sys.stderr.flush()
    os._exit(1)  # an exception would only be printed, and the process go on


def _run(spec):  # type: (Any) -> None
    if spec and spec.loader:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        getattr(module, "redirect_from_environment", lambda: None)()


if sys.version_info >= _FLOOR:
    import importlib.util
    from importlib.machinery import PathFinder
    from pathlib import Path

    _here = Path(__file__).resolve().parent
    # From its file: the child may run in an environment in which fakebatch is not installed.
    try:
        _run(importlib.util.spec_from_file_location("fakebatch_redirect", str(_here.parent / "hosts.py")))
    except Exception as _error:
        _end("%s: %s" % (type(_error).__name__, _error))  # noqa: UP031
    _run(PathFinder.find_spec("sitecustomize", [entry for entry in sys.path if Path(entry).resolve() != _here]))
elif os.environ.get("FAKEBATCH_REDIRECT"):
    _end("it is Python %d.%d, and needs to be 3.8 or later" % sys.version_info[:2])  # noqa: UP031
