"""runjob, other people's runner of jobs: its commands `runbatch` and `qcs`, unmodified, as child processes."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import commands
import pytest
from commands import Completed
from descriptions import job
from waiting import wait_until

from fakebatch import FakeBatch

KEYS = ("--access-key-id", "key", "--access-key-secret", "secret")
REGION = "batchcompute.cn-beijing.aliyuncs.com"
SETTINGS = """
[Cluster]
ImageId = img-ubuntu
[Task]
timeout = 60
stdoutlog = oss://bucket/stdout
stderrlog = oss://bucket/stderr
[OSS]
ossSrc = oss://bucket/
mountPath = /mnt/oss/
"""


@pytest.fixture
def fake() -> Iterator[FakeBatch]:
    with FakeBatch() as started:
        # It asks once a second.
        started.progress(job="*", waiting=0, running=0)
        yield started


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "settings.ini").write_text(SETTINGS)
    return tmp_path


def runbatch_command(home: Path, *lines: str, options: tuple[str, ...] = ()) -> tuple[str, ...]:
    (home / "lines.sh").write_text("\n".join(lines))
    mapping = ("--out-maping", "/mnt/oss/results")
    return ("runbatch", "-j", "lines.sh", "-M", "batchcompute", "--config", "settings.ini", *mapping, *KEYS, *options)


def runbatch(fake: FakeBatch, home: Path, *lines: str, options: tuple[str, ...] = ()) -> Completed:
    return commands.run(fake, home, *runbatch_command(home, *lines, options=options))


def qcs(fake: FakeBatch, home: Path, *options: str) -> str:
    result = commands.run(fake, home, "qcs", "--config", "settings.ini", *KEYS, *options)
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_runbatch_makes_a_job_of_every_line(fake: FakeBatch, home: Path) -> None:
    result = runbatch(fake, home, "echo one", "echo two // -c 2 -m 4")
    assert result.returncode == 0, result.stdout
    assert "All jobs (total: 2, submited: 2, success: 2, fail: 0, wait: 0)" in result.stdout
    assert [(job.name, job.state) for job in fake.jobs] == [
        ("tester_lines-sh_00001", "Finished"),
        ("tester_lines-sh_00002", "Finished"),
    ]
    assert {call.host for call in fake.calls} == {REGION}


def test_runbatch_sends_the_command_line_its_mounts_and_a_type_with_enough_memory(fake: FakeBatch, home: Path) -> None:
    assert runbatch(fake, home, "echo one").returncode == 0
    sent = fake.calls.of("CreateJob")[0].parameters["DAG"]["Tasks"]["tester_lines-sh_00001"]
    assert sent["Parameters"]["Command"]["CommandLine"] == 'sh -c "echo one"'
    assert sent["OutputMapping"] == {"/mnt/oss/results/": "oss://bucket/results/"}
    quotas = fake.sdk_client().get_quotas().AvailableClusterInstanceType
    assert sent["AutoCluster"]["InstanceType"] in [*quotas, "ecs.c5.large"]


def test_runbatch_waits_for_the_lines_before_a_wait(fake: FakeBatch, home: Path) -> None:
    assert runbatch(fake, home, "echo one", "wait", "echo two").returncode == 0
    asked = [call.operation for call in fake.calls if call.operation in ("CreateJob", "GetJob")]
    assert asked == ["CreateJob", "GetJob", "CreateJob", "GetJob"]


def test_runbatch_sees_a_job_wait_and_run(fake: FakeBatch, home: Path) -> None:
    fake.progress(job="*", waiting=1, running=1)
    result = runbatch(fake, home, "echo one")
    seen = [line.split(" status ")[1] for line in result.stdout.splitlines() if " status " in line]
    assert seen == ["submit", "run", "success"]
    assert len(fake.calls.of("GetJob")) == 3


def test_runbatch_tries_a_failed_job_again_and_gives_up(fake: FakeBatch, home: Path) -> None:
    fake.progress(job="*_00002", waiting=0, running=0).fail(message="out of memory")
    result = runbatch(fake, home, "echo one", "echo two", options=("-r", "1"))
    assert result.returncode == 10
    assert "success: 1, fail: 1" in result.stdout
    assert [job.state for job in fake.jobs if job.name.endswith("_00002")] == ["Failed", "Failed"]


def test_runbatch_takes_one_throttled_question_for_a_failed_job(fake: FakeBatch, home: Path) -> None:
    fake.on("GetJob", calls=1).fail("Throttling.User")
    assert runbatch(fake, home, "echo one").returncode == 10
    assert [job.state for job in fake.jobs] == ["Waiting"]


def test_runbatch_stops_and_deletes_its_jobs_when_it_is_interrupted(fake: FakeBatch, home: Path) -> None:
    fake.progress(job="*", waiting=0, running="forever")
    process = commands.start(fake, home, *runbatch_command(home, "sleep 1000"))
    wait_until(lambda: bool(fake.calls.of("GetJob")) or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    result = commands.finish(process)
    assert "Delete job tester_lines-sh_00001 done" in result.stdout
    assert [call.operation for call in fake.calls][-2:] == ["StopJob", "DeleteJob"]
    assert len(fake.jobs) == 0


def test_qcs_lists_the_jobs_of_the_user(fake: FakeBatch, home: Path) -> None:
    client = fake.sdk_client()
    mine = client.create_job(job("tester_mine")).Id
    client.create_job(job("somebody-else_s"))
    printed = qcs(fake, home, "-a")
    assert mine in printed
    assert "Finished" in printed
    assert "somebody-else_s" not in printed


def test_qcs_prints_the_description_of_a_job(fake: FakeBatch, home: Path) -> None:
    job_id = fake.sdk_client().create_job(job("tester_mine")).Id
    description = json.loads(qcs(fake, home, "-j", job_id))
    assert (description["Id"], description["Name"], list(description["DAG"]["Tasks"])) == (
        job_id,
        "tester_mine",
        ["count"],
    )


def test_qcs_deletes_jobs_and_stops_those_that_have_not_ended(fake: FakeBatch, home: Path) -> None:
    fake.progress(job="*_running", waiting=0, running="forever")
    client = fake.sdk_client()
    ended, running = (client.create_job(job(f"tester_{name}")).Id for name in ("ended", "running"))
    printed = qcs(fake, home, "-d", ended, running, "job-nope")
    assert "Delete job tester_ended done" in printed
    assert "Delete job tester_running done" in printed
    assert "Invalid JobId job-nope" in printed
    assert len(fake.calls.of("StopJob")) == 1
    assert len(fake.jobs) == 0


def test_qcs_leaves_the_jobs_of_others_alone(fake: FakeBatch, home: Path) -> None:
    job_id = fake.sdk_client().create_job(job("somebody-else_s")).Id
    assert "you have no assess with job somebody-else_s" in qcs(fake, home, "-d", job_id)
    assert job_id in fake.jobs
