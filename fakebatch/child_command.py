"""What an instance does, really: its command line, as a child process of the one that has the fake.

From Python only: no fixture file and no request can make a fake run anything. Knows nothing of jobs beyond an attempt.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from .service.progress import Attempt, Result, RunFunction, exited, timed_out

_WORKER = "127.0.0.1"


def local_command(folder: str | os.PathLike[str]) -> RunFunction:
    """Return a function for `fake.progress(...).run(...)` that runs each instance's `CommandLine` in a shell.

    It runs in a folder of its own, `{folder}/{JobId}/{TaskName}/{InstanceId}`, with this process's environment, the
    variables that the service sets [doc], and those of the task's description. What it writes is in `folder`, in files
    with the names of the instance's log paths: `stdout.{JobId}.{TaskName}.{InstanceId}` and `stderr...`. Its exit code
    is the instance's (128 and the number of the signal if one ended it, as shells have it), and after `Timeout` seconds
    it is killed, with all that it has started, and has failed.
    """
    base = Path(folder).absolute()

    def run(attempt: Attempt) -> Result:
        own = base / attempt.job_id / attempt.task / str(attempt.instance)
        own.mkdir(parents=True, exist_ok=True)
        with (
            (base / attempt.stdout_path.rpartition("/")[2]).open("wb") as output,
            (base / attempt.stderr_path.rpartition("/")[2]).open("wb") as errors,
        ):
            child = subprocess.Popen(  # noqa: S602 - to run it is what the test asks for
                attempt.command_line,
                shell=True,
                cwd=own,
                env={**os.environ, **_variables(attempt), **attempt.env_vars},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
            try:
                code = child.wait(timeout=attempt.timeout)
            except subprocess.TimeoutExpired:
                _kill(child)
                return timed_out(attempt.timeout)
            except BaseException:
                _kill(child)
                raise
        return exited(code if code >= 0 else 128 - code)

    return run


def _variables(attempt: Attempt) -> dict[str, str]:
    """Return what the service sets in a program's environment. [doc]"""
    return {
        "BATCH_COMPUTE_DAG_JOB_ID": attempt.job_id,
        "BATCH_COMPUTE_DAG_TASK_ID": attempt.task,
        "BATCH_COMPUTE_DAG_INSTANCE_ID": str(attempt.instance),
        "BATCH_COMPUTE_OSS_HOST": "oss-cn-qingdao-internal.aliyuncs.com",
        "BATCH_COMPUTE_REGION": "cn-qingdao",
        "BATCH_COMPUTE_CLUSTER_ID": attempt.cluster_id,
        "BATCH_COMPUTE_WORKER_ID": _WORKER,
    }


def _kill(child: "subprocess.Popen[bytes]") -> None:
    if sys.platform == "win32":
        child.kill()
    else:
        os.killpg(child.pid, signal.SIGKILL)  # its session is its own
    child.wait()
