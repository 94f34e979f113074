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
_HERE = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120 - Python 2.7 has no pathlib


def _end(reason):  # type: (str) -> None
    sys.stderr.write("fakebatch: this process can't be redirected to the fake, so it ends: %s\n" % reason)  # noqa: UP031
    sys.stderr.flush()
    os._exit(1)  # an exception would only be printed, and the process go on


def _redirect(target):  # type: (str) -> None
    from importlib.util import module_from_spec, spec_from_file_location

    # From its file: the child may run in an environment in which fakebatch is not installed.
    hosts = os.path.join(os.path.dirname(_HERE), "hosts.py")  # noqa: PTH118, PTH120
    spec = spec_from_file_location("fakebatch_redirect", hosts)  # type: Any
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.redirect_until_the_end(target)


def _run_the_next():  # type: () -> None
    """Run the `sitecustomize` that would be imported without this one, in its place, if there is one."""
    paths = [path for path in sys.path if os.path.realpath(path) != _HERE]
    if sys.version_info < (3, 4):  # noqa: UP036 - the project's floor is not a child's
        import imp  # later Pythons have none

        try:
            found = imp.find_module("sitecustomize", paths)
        except ImportError:
            return
        imp.load_module("sitecustomize", *found)
        return
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("sitecustomize", paths)  # type: Any
    if spec and spec.loader and hasattr(spec.loader, "exec_module"):
        module = sys.modules["sitecustomize"] = module_from_spec(spec)
        spec.loader.exec_module(module)


if os.environ.get("FAKEBATCH_REDIRECT"):
    if sys.version_info < _FLOOR:
        _end("it is Python %d.%d, and needs to be 3.8 or later" % sys.version_info[:2])  # noqa: UP031
    try:
        _redirect(os.environ["FAKEBATCH_REDIRECT"])
    except Exception as _error:
        _end("%s: %s" % (type(_error).__name__, _error))  # noqa: UP031
_run_the_next()
