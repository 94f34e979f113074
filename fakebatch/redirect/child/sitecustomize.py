"""Redirects a child process of a test to the test's fake.

Python imports it at its start where this folder is on PYTHONPATH. It stands in front of any other `sitecustomize`, so
it runs that as well. See `FakeBatch.environment`.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

_HERE = Path(__file__).parent


def _run(spec: ModuleSpec | None) -> None:
    if spec and spec.loader:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        getattr(module, "redirect_from_environment", lambda: None)()


# From its file: the child may run in an environment in which fakebatch is not installed.
_run(importlib.util.spec_from_file_location("fakebatch_redirect", _HERE.parent / "hosts.py"))
_run(PathFinder.find_spec("sitecustomize", [entry for entry in sys.path if Path(entry).resolve() != _HERE.resolve()]))
