"""What a job's description may hold, and what is wrong with one. [doc]

Knows nothing of what becomes of a job.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..described import SPOT, check_spot
from ..rules import Field, Flag, Integer, Map, Object, Path, Rules, Text, check, cyclic, invalid, missing

MOST_INSTANCES = 65536
"""Of a task. [choice]"""
DEFAULT_TIMEOUT = 3600
"""In seconds: how long an instance may run. [sdk]"""
APP_TASK = "task"
"""The name of the only task of an App job. [choice]"""

_ECHOED = Field()

_COMMAND = Object(
    mandatory=True,
    about="What each instance runs.",
    fields={
        "CommandLine": Text(mandatory=True, blank=True, length=(0, 1024), about="The command line."),
        "PackagePath": Field(about="Where the program is."),
        "EnvVars": Field(about="Environment variables of the program."),
        "Docker": Field(),
    },
)

_PARAMETERS = Object(
    mandatory=True,
    fields={
        "Command": _COMMAND,
        "InputMappingConfig": Field(default={"Locale": "GBK", "Lock": False}),
        # Mandatory in the reference; a program that sent neither exists. [wild]
        "StdoutRedirectPath": Text(default="", about="Where the service would put what instances write."),
        "StderrRedirectPath": Text(default="", about="Where the service would put what instances write as errors."),
    },
)

_AUTO_CLUSTER = Object(
    about="The cluster that is made for the task, where ClusterId is empty.",
    fields={"InstanceType": Text(), **SPOT},
    also=check_spot,
)


def _check_cluster(task: Mapping[str, Any], path: Path) -> None:
    """Raise `BrokenRuleError` for a task that says nowhere where to run. [choice]"""
    if not task.get("ClusterId") and not task.get("AutoCluster"):
        raise missing((*path, "ClusterId"))


NUMBERS = {
    "InstanceCount": Integer(least=1, most=MOST_INSTANCES, default=1, about="How many instances it has."),
    "MaxRetryCount": Integer(least=0, default=0, about="How often an instance that fails is tried again."),
    "Timeout": Integer(least=1, default=DEFAULT_TIMEOUT, about="How many seconds an instance may run."),
}
"""The numbers of a task. [choice] of limits; of App jobs, they are settings."""

_TASK = Object(
    mandatory=True,
    blank=True,
    fields={
        "Parameters": _PARAMETERS,
        "InputMapping": Field(default={}),
        "OutputMapping": Field(default={}),
        "LogMapping": Field(default={}),
        "WriteSupport": Field(default=True),
        **NUMBERS,
        "ClusterId": Text(length=(1, 64), characters="a-zA-Z0-9_-", about="The cluster to run on."),
        "AutoCluster": _AUTO_CLUSTER,
        "Mounts": _ECHOED,
    },
    also=_check_cluster,
)

_DAG = Object(
    mandatory=True,
    about="Tasks, and which of them come after which.",
    fields={
        "Tasks": Map(mandatory=True, key=Text(length=(1, 64), name=True), values=_TASK, about="The tasks by name."),
        "Dependencies": Map(default={}, about="The names of tasks, and of those that come after each."),
    },
)

_APP = Object(
    mandatory=True,
    about="The app to run, and with what.",
    fields={
        "AppName": Text(mandatory=True, length=(1, 1024), characters="a-zA-Z0-9_:-"),
        "Inputs": Map(size=(0, 50), default={}),
        "Outputs": Map(size=(0, 50), default={}),
        "Logging": Map(default={}),
        "Config": Map(default={}),
    },
)

_COMMON: Rules = {
    "Priority": Integer(least=0, most=1000, default=0, about="The larger goes first."),
    "Type": Text(mandatory=True, only=("DAG", "App"), about="Whether it is described by DAG or by App."),
    "JobFailOnInstanceFail": Flag(default=True, about="The job fails as soon as an instance has failed for good."),
    "AutoRelease": Flag(default=False, about="The job is deleted after it was seen to be Finished."),
    "Notification": Object(default={}, about="Which events are told of."),
}

DAG_JOB: Rules = {
    "Name": Text(mandatory=True, blank=True, length=(1, 64), name=True, about="The display name; not unique."),
    "Description": Text(default="", blank=True, length=(0, 1024), about="Any text."),
    **_COMMON,
    "DAG": _DAG,
}
"""The fields of a job that is described by tasks. [doc]"""

APP_JOB: Rules = {
    "Name": Text(mandatory=True, blank=True, length=(1, 100), characters="a-zA-Z0-9_-", about="The display name."),
    "Description": Text(default="", blank=True, length=(0, 1000), about="Any text."),
    **_COMMON,
    "App": _APP,
}
"""The fields of a job that runs an app. [doc]"""

JOB: Rules = {**DAG_JOB, "App": _APP}
"""The fields of both."""

PRIORITY: Rules = {"Priority": Integer(mandatory=True, least=0, most=1000)}
"""What ChangeJobPriority takes. [doc]"""


def rules_of(description: Mapping[str, Any]) -> Rules:
    """Return the rules for a job of its type."""
    return APP_JOB if description.get("Type") == "App" else DAG_JOB


def check_description(description: Mapping[str, Any]) -> None:
    """Raise ApiError for a description that is refused whatever there is in the world."""
    check(description, rules_of(description))
    if description["Type"] == "DAG":
        order(description["DAG"]["Tasks"], description["DAG"].get("Dependencies") or {})


def order(tasks: Mapping[str, Any], dependencies: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the tasks, each after its predecessors, with the names of these.

    In `Dependencies`, a key comes first and the names of its list after it [doc]. Raises ApiError for a name that is no
    task's [choice], and for a cycle [doc].
    """
    before: dict[str, list[str]] = {name: [] for name in tasks}
    path = ("DAG", "Dependencies")
    for first, following in dependencies.items():
        if first not in before:
            raise invalid((*path, first), f"There is no task {first}.", "Dependencies")
        for name in _names(following, (*path, first)):
            if name not in before:
                raise invalid((*path, first), f"There is no task {name}.", "Dependencies")
            if first not in before[name]:
                before[name].append(first)
    sorted_names: dict[str, tuple[str, ...]] = {}
    after: dict[str, list[str]] = {name: [] for name in tasks}
    waits = {name: len(predecessors) for name, predecessors in before.items()}
    for name, predecessors in before.items():
        for predecessor in predecessors:
            after[predecessor].append(name)
    ready = [name for name, count in waits.items() if not count]
    for name in ready:  # grows meanwhile
        sorted_names[name] = tuple(before[name])
        for follower in after[name]:
            waits[follower] -= 1
            if not waits[follower]:
                ready.append(follower)
    if len(sorted_names) < len(before):
        raise cyclic(path)
    return sorted_names


def _names(following: Any, path: Path) -> Sequence[str]:
    if following is None:
        return ()
    if not isinstance(following, list) or not all(isinstance(name, str) for name in following):
        raise invalid(path, "Its type must be list.", "Dependencies")
    return following
