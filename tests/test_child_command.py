"""`local_command`: an instance's command line, run as a child process."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from asking import Asking, job, task

from fakebatch import Attempt, FakeBatch, Result, local_command


@pytest.fixture
def fake() -> FakeBatch:
    return FakeBatch()


def ended(fake: FakeBatch, folder: Path, **described: Any) -> Any:
    """Return a job of one task, run to its end."""
    fake.progress(job="*", waiting=0, running=0).run(local_command(folder))
    ask = Asking(fake)
    job_id = ask.create_job(job({"count": task(**described)}))
    ask.get(f"/jobs/{job_id}")
    return fake.jobs[job_id]


def test_it_runs_in_a_folder_of_its_own_with_the_variables_of_the_service_and_of_the_task(
    fake: FakeBatch, tmp_path: Path
) -> None:
    names = "JOB_ID TASK_ID INSTANCE_ID"
    line = f"for name in {names}; do printenv BATCH_COMPUTE_DAG_$name; done; printenv MORE; pwd; echo oh >&2; touch out"
    done = ended(fake, tmp_path, CommandLine=line, EnvVars={"MORE": "5"}, InstanceCount=2)
    assert done.state == "Finished"
    for number in range(2):
        own = tmp_path / done.id / "count" / str(number)
        written = (tmp_path / f"stdout.{done.id}.count.{number}").read_text().splitlines()
        assert written == [done.id, "count", str(number), "5", str(own)]
        assert (tmp_path / f"stderr.{done.id}.count.{number}").read_text() == "oh\n"
        assert (own / "out").exists()


@pytest.mark.parametrize(
    ("line", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("exit 3; echo never", 3)]
)
def test_its_exit_code_is_the_instance_s(fake: FakeBatch, tmp_path: Path, line: str, code: int) -> None:
    done = ended(fake, tmp_path, CommandLine=line)
    assert done.tasks["count"].instances[0].result.exit_code == code
    assert done.state == ("Failed" if code else "Finished")


def test_after_its_timeout_it_is_killed_with_all_that_it_has_started(fake: FakeBatch, tmp_path: Path) -> None:
    done = ended(fake, tmp_path, CommandLine="echo $$; sleep 600 & echo $!; wait", Timeout=1)
    failed = done.tasks["count"].instances[0].result
    message = "the instance ran longer than its Timeout of 1 s"
    assert failed == Result(0, "InstanceTimeout", message, message)
    for pid in (tmp_path / f"stdout.{done.id}.count.0").read_text().split():
        state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False).stdout
        assert state.strip()[:1] in ("", "Z")


def test_an_interrupt_kills_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = subprocess.Popen.wait
    children = []

    def interrupted(child: Any, timeout: float | None = None) -> int:
        if timeout is None:
            return wait(child)
        children.append(child)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    attempt = Attempt("job-a", "nightly", "count", 0, 1, "sleep 600", {}, 3600, "oss://b/stdout.x", "stderr.x")
    with pytest.raises(KeyboardInterrupt):
        local_command(tmp_path)(attempt)
    assert [child.returncode for child in children] == [-9]


def test_the_folder_is_the_one_of_when_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = local_command("here")
    monkeypatch.chdir("/")
    attempt = Attempt("job-a", "nightly", "count", 0, 1, "pwd", dict(os.environ), 3600, "stdout.x", "stderr.x")
    assert run(attempt) == Result()
    assert (tmp_path / "here" / "stdout.x").read_text() == f"{tmp_path}/here/job-a/count/0\n"
