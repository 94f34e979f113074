"""How tests ask a fake for more than images, with no socket between, and descriptions of jobs to ask with."""

from typing import Any

from signing import sign
from werkzeug.test import Client

from fakebatch import FakeBatch


class Asking:
    """A client of a fake: a call returns the status and the JSON that is answered (None: no body).

    With an account, `name`, it signs with `{name}-key` and `{name}-secret`.
    """

    def __init__(self, fake: FakeBatch, account: str = "") -> None:
        self.fake = fake
        self._account = account
        self._client = Client(fake)

    def __call__(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        headers = {}
        if self._account:
            headers = sign(f"{self._account}-key", f"{self._account}-secret", method, path, body)
        sent: dict[str, Any] = {} if body is None else {"json": body}
        answer = self._client.open(path, method=method, headers=headers, **sent)
        return answer.status_code, answer.json if answer.data else None

    def get(self, path: str) -> Any:
        """Return what a GET answers; it must be 200."""
        status, answer = self("GET", path)
        assert status == 200, answer
        return answer

    def post(self, path: str, body: object = None, *, status: int = 201) -> Any:
        """Return what a POST answers."""
        answered, answer = self("POST", path, body)
        assert answered == status, answer
        return answer

    def create_job(self, description: object) -> str:
        """Create a job and return its Id."""
        job_id = self.post("/jobs", description)["Id"]
        assert isinstance(job_id, str)
        return job_id

    def states(self, job_id: str, polls: int) -> list[str]:
        """Return the states that so many polls of a job show."""
        return [self.get(f"/jobs/{job_id}")["State"] for _ in range(polls)]

    def code(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """Return the status and the code of a refusal."""
        status, answer = self(method, path, body)
        return status, answer["Code"]


def task(**fields: Any) -> dict[str, Any]:
    """Return the description of a task."""
    command = {"CommandLine": fields.pop("CommandLine", "echo hi"), "EnvVars": fields.pop("EnvVars", {})}
    parameters = {"Command": command, "StdoutRedirectPath": "oss://b/logs/", "StderrRedirectPath": "oss://b/logs/"}
    return {"Parameters": parameters, "AutoCluster": {"InstanceType": "ecs.sn1.large"}, "ClusterId": "", **fields}


def job(tasks: dict[str, Any] | None = None, dependencies: dict[str, list[str]] | None = None, **fields: Any) -> Any:
    """Return the description of a job: by default, of one task `count` with one instance."""
    dag = {"Tasks": tasks or {"count": task()}, "Dependencies": dependencies or {}}
    return {"Name": "nightly", "Type": "DAG", "DAG": dag, **fields}


LAYERS = job(
    {"split": task(), "count": task(InstanceCount=3), "merge": task()}, {"split": ["count"], "count": ["merge"]}
)
"""The reference's example: three tasks, each after the other."""


def counts(metrics: dict[str, int]) -> str:
    """Return five counts as `Waiting 1, Running 2`, without those that are zero."""
    return ", ".join(f"{name.removesuffix('Count')} {count}" for name, count in metrics.items() if count)
