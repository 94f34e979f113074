"""What the tests of clients ask the service for, as plain data: whatever a client is, it writes JSON of this."""

from typing import Any

LOGS = "oss://bucket/logs/"


def cluster(name: str = "my-cluster", vms: int = 2, **fields: Any) -> dict[str, Any]:
    """Return the description of a cluster with one group, `workers`."""
    groups = {"workers": {"DesiredVMCount": vms}}
    return {"Name": name, "ImageId": "img-ubuntu", "InstanceType": "ecs.sn1.large", "Groups": groups, **fields}


def task(command_line: str = "true", **fields: Any) -> dict[str, Any]:
    """Return the description of a task, which runs on a cluster of its own."""
    return {
        "Parameters": {
            "Command": {"CommandLine": command_line, "PackagePath": "oss://bucket/worker.tar.gz"},
            "StdoutRedirectPath": LOGS,
            "StderrRedirectPath": LOGS,
        },
        "InstanceCount": 1,
        "Timeout": 3600,
        "AutoCluster": {"ImageId": "img-ubuntu", "InstanceType": "ecs.sn1.large"},
        **fields,
    }


def job(
    name: str = "my-job",
    tasks: dict[str, dict[str, Any]] | None = None,
    dependencies: dict[str, list[str]] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Return the description of a job: of one task, `count`, unless told otherwise."""
    return {
        "Name": name,
        "Type": "DAG",
        "Priority": 5,
        "JobFailOnInstanceFail": True,
        "DAG": {"Tasks": tasks or {"count": task()}, "Dependencies": dependencies or {}},
        **fields,
    }


def app(name: str = "echo", **fields: Any) -> dict[str, Any]:
    """Return the description of an app with one input, which must be given, and one output."""
    return {
        "Name": name,
        "CommandLine": "echo ${text} > ${file}",
        "VM": {"ECSImageId": "m-1"},
        "InputParameters": {"text": {"Type": "String"}},
        "OutputParameters": {"file": {"Type": "String", "LocalPath": "/home/out"}},
        **fields,
    }


def app_job(app_name: str = "echo", name: str = "my-app-job", **fields: Any) -> dict[str, Any]:
    """Return the description of a job that runs that app."""
    used = {"AppName": app_name, "Inputs": {"text": "hello"}, "Outputs": {"file": "oss://bucket/out"}}
    return {"Name": name, "Type": "App", "App": used, **fields}
