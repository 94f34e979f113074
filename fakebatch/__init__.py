"""A fake of Alibaba Cloud BatchCompute's images API.

Everything public is here, and is imported when it is first used: pytest imports this package in every run of everyone
who has it installed.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .child_command import local_command
    from .errors import ApiError, FixtureError, Problem, ServerError
    from .fake import FakeBatch
    from .service.accounts import Account
    from .service.apps import App
    from .service.clusters.records import Cluster
    from .service.images import Image
    from .service.jobs.records import Job
    from .service.progress import Attempt, Result
    from .state.calls import Call
    from .testing import MakeFakeBatch

    __version__: str

__all__ = [
    "Account",
    "ApiError",
    "App",
    "Attempt",
    "Call",
    "Cluster",
    "FakeBatch",
    "FixtureError",
    "Image",
    "Job",
    "MakeFakeBatch",
    "Problem",
    "Result",
    "ServerError",
    "local_command",
]

_HOMES = {
    "Account": "service.accounts",
    "ApiError": "errors",
    "App": "service.apps",
    "Attempt": "service.progress",
    "Call": "state.calls",
    "Cluster": "service.clusters.records",
    "FakeBatch": "fake",
    "FixtureError": "errors",
    "Image": "service.images",
    "Job": "service.jobs.records",
    "MakeFakeBatch": "testing",
    "Problem": "errors",
    "Result": "service.progress",
    "ServerError": "errors",
    "local_command": "child_command",
}

if not TYPE_CHECKING:  # a type checker that saw it would accept any name

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            return version("fakebatch")
        if name not in _HOMES:
            raise AttributeError(f"module 'fakebatch' has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f"fakebatch.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the names for a person who asks for completion; a tool that walks modules would import them all."""
    import sys

    return sorted({*globals(), *(__all__ if hasattr(sys, "ps1") else ())})
