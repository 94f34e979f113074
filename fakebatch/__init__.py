"""A fake of Alibaba Cloud BatchCompute.

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
    from .service.clusters.live import Clusters
    from .service.clusters.records import Cluster, ClusterInstance, Group
    from .service.images import Image
    from .service.jobs.live import Jobs
    from .service.jobs.records import Instance, Job, Task
    from .service.progress import Attempt, Result, RuleBuilder
    from .service.script import Failure, Reply, Step, StepBuilder
    from .state.calls import Call, Calls
    from .state.clock import WorldClock
    from .state.collection import Collection
    from .testing import MakeFakeBatch

    __version__: str

__all__ = [
    "Account",
    "ApiError",
    "App",
    "Attempt",
    "Call",
    "Calls",
    "Cluster",
    "ClusterInstance",
    "Clusters",
    "Collection",
    "Failure",
    "FakeBatch",
    "FixtureError",
    "Group",
    "Image",
    "Instance",
    "Job",
    "Jobs",
    "MakeFakeBatch",
    "Problem",
    "Reply",
    "Result",
    "RuleBuilder",
    "ServerError",
    "Step",
    "StepBuilder",
    "Task",
    "WorldClock",
    "local_command",
]

_HOMES = {
    "Account": "service.accounts",
    "ApiError": "errors",
    "App": "service.apps",
    "Attempt": "service.progress",
    "Call": "state.calls",
    "Calls": "state.calls",
    "Cluster": "service.clusters.records",
    "ClusterInstance": "service.clusters.records",
    "Clusters": "service.clusters.live",
    "Collection": "state.collection",
    "Failure": "service.script",
    "FakeBatch": "fake",
    "FixtureError": "errors",
    "Group": "service.clusters.records",
    "Image": "service.images",
    "Instance": "service.jobs.records",
    "Job": "service.jobs.records",
    "Jobs": "service.jobs.live",
    "MakeFakeBatch": "testing",
    "Problem": "errors",
    "Reply": "service.script",
    "Result": "service.progress",
    "RuleBuilder": "service.progress",
    "ServerError": "errors",
    "Step": "service.script",
    "StepBuilder": "service.script",
    "Task": "service.jobs.records",
    "WorldClock": "state.clock",
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
