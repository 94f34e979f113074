"""How jobs go on by themselves: by polls, by the clock, by hand; and what may become of them."""

import contextlib
import functools
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from asking import LAYERS, Asking, counts, job, task

from fakebatch import Attempt, Cluster, FakeBatch, FixtureError, Image, Job, Result
from fakebatch.service.progress import PendingError

TWO = job({"count": task(InstanceCount=2, MaxRetryCount=1), "merge": task()}, {"count": ["merge"]})


@pytest.fixture
def fake() -> FakeBatch:
    return FakeBatch()


@pytest.fixture
def ask(fake: FakeBatch) -> Asking:
    return Asking(fake)


def world(tmp_path: Path, text: str) -> FakeBatch:
    file = tmp_path / "w.yaml"
    file.write_text(text)
    return FakeBatch(file)


@pytest.mark.parametrize(
    ("waiting", "running", "states"),
    [
        (0, 0, ["Finished"]),
        (0, 1, ["Running", "Finished"]),
        (1, 0, ["Waiting", "Finished"]),
        (2, 3, ["Waiting", "Waiting", "Running", "Running", "Running", "Finished"]),
        ("forever", 1, ["Waiting"] * 5),
        (1, "forever", ["Waiting", "Running", "Running", "Running"]),
    ],
)
def test_a_phase_lasts_so_many_polls(fake: FakeBatch, ask: Asking, waiting: Any, running: Any, states: Any) -> None:
    fake.progress(job="night*", waiting=waiting, running=running)
    assert ask.states(ask.create_job(job()), len(states)) == states


def test_what_is_no_poll_shows_what_the_last_poll_has_shown(ask: Asking) -> None:
    job_id = ask.create_job(LAYERS)
    for expected in ("Waiting", "Running", "Running"):
        ask.get(f"/jobs/{job_id}")
        for _ in range(3):
            assert ask.get(f"/jobs/{job_id}/tasks/split/instances/0")["State"] != ""
            assert ask.get(f"/jobs?Marker={job_id}")["Items"][0]["State"] == expected
            assert ask.fake.jobs[job_id].state == expected


def test_a_list_with_an_empty_marker_is_a_poll_of_every_job(ask: Asking) -> None:
    first, second = ask.create_job(job()), ask.create_job(job())
    states = [[shown["State"] for shown in ask.get("/jobs?MaxItemCount=1")["Items"]] for _ in range(2)]
    assert states == [["Waiting"], ["Running"]]
    third = ask.create_job(job())
    assert ask.get(f"/jobs?State=Finished&Marker={first}")["Items"] == []
    assert [shown["Id"] for shown in ask.get("/jobs?State=Finished")["Items"]] == [first, second]
    assert ask.get(f"/jobs?Marker={third}")["Items"][0]["State"] == "Waiting"
    assert ask.fake.calls.of("ListJobs")[0].note == ""
    ask.get(f"/jobs/{second}")
    assert ask.fake.calls[-1].note == "Finished (poll 4)"


def test_a_poll_that_is_not_carried_out_does_not_count(fake: FakeBatch, ask: Asking) -> None:
    fake.on("GetJob", calls=2).fail("Throttling")
    fake.on("GetJob", calls=3).reply(502, body="<html>Bad gateway</html>")
    job_id = ask.create_job(job())
    assert ask.states(job_id, 1) == ["Waiting"]
    assert ask.code("GET", f"/jobs/{job_id}") == (400, "Throttling")
    assert ask.fake is fake
    ask._client.get(f"/jobs/{job_id}")
    assert ask.states(job_id, 2) == ["Running", "Finished"]


def test_a_phase_may_last_by_the_clock(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(job="*", waiting="30s", running="1m")
    job_id = ask.create_job(LAYERS)
    assert ask.states(job_id, 3) == ["Waiting"] * 3
    fake.clock.advance(30)
    shown = ask.get(f"/jobs/{job_id}")
    assert (shown["State"], counts(shown["TaskMetrics"])) == ("Running", "Waiting 2, Running 1")
    fake.clock.advance(60.5)
    assert counts(ask.get(f"/jobs/{job_id}")["TaskMetrics"]) == "Waiting 1, Running 1, Finished 1"
    fake.clock.advance(3600)
    assert fake.jobs[job_id].state == "Finished"
    tasks = fake.jobs[job_id].tasks
    assert tasks["split"].end_time == tasks["count"].start_time
    assert fake.clock.advanced == 3690.5
    fake.reset()
    assert fake.clock.advanced == 0.0


def test_polls_and_the_clock_may_be_mixed(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(job="*", waiting=1, running="10s")
    job_id = ask.create_job(job())
    assert ask.states(job_id, 3) == ["Waiting", "Running", "Running"]
    fake.clock.advance(10)
    assert ask.states(job_id, 1) == ["Finished"]
    fake.progress(job="*", waiting="10s", running=1)
    job_id = ask.create_job(job())
    assert ask.states(job_id, 1) == ["Waiting"]
    fake.clock.advance(10)
    assert ask.states(job_id, 3) == ["Running", "Finished", "Finished"]


def test_the_clock_dates_what_is_new(fake: FakeBatch, ask: Asking) -> None:
    before = ask.get(f"/jobs/{ask.create_job(job())}")["CreationTime"]
    fake.clock.advance(86400)
    after = ask.get(f"/jobs/{ask.create_job(job())}")["CreationTime"]
    assert before[:10] < after[:10]
    assert fake.clock.now().isoformat()[:10] == after[:10]


@pytest.mark.parametrize(
    ("seconds", "error", "message"),
    [
        (-1, ValueError, "a clock is advanced by 0 to 3162240000 seconds, not by -1; it never goes back"),
        (float("nan"), ValueError, "a clock is advanced by 0 to 3162240000 seconds, not by nan; it never goes back"),
        ("90", TypeError, "a clock is advanced by a number of seconds, not by '90'"),
    ],
)
def test_a_clock_is_advanced_by_a_number_of_seconds(fake: FakeBatch, seconds: Any, error: Any, message: str) -> None:
    with pytest.raises(error) as caught:
        fake.clock.advance(seconds)
    assert str(caught.value) == message


def test_a_clock_is_not_advanced_beyond_the_last_year_there_is(ask: Asking, fake: FakeBatch) -> None:
    century = 100 * 366 * 86400
    message = "a clock is not advanced beyond the year 9999, as by 3162240000 seconds; reset it first"
    with pytest.raises(ValueError, match=message):
        for _ in range(100):
            fake.clock.advance(century)
    assert ask.states(ask.create_job(job()), 3) == ["Waiting", "Running", "Finished"]


@pytest.mark.parametrize("frozen", [datetime(1970, 1, 1), datetime(1969, 7, 20), datetime.min])
def test_time_passes_and_is_known_with_a_clock_frozen_before_the_first_second(frozen: datetime) -> None:
    fake = FakeBatch(clock=lambda: frozen)
    fake.progress(job="*", waiting=1, running="10s")
    ask = Asking(fake)
    job_id = ask.create_job(job())
    assert ask.states(job_id, 3) == ["Waiting", "Running", "Running"]
    fake.clock.advance(10)
    ended = ask.get(f"/jobs/{job_id}")
    assert (ended["CreationTime"], ended["StartTime"]) == ("1970-01-01T00:00:00.000001Z",) * 2
    assert (ended["State"], ended["EndTime"]) == ("Finished", "1970-01-01T00:00:10.000001Z")


def test_a_job_is_moved_by_hand(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(job="*", waiting="forever", running="forever")
    job_id = ask.create_job(LAYERS)
    moved = [fake.jobs.advance(job_id) for _ in range(4)]
    assert [(shown.state, counts(vars_of(shown))) for shown in moved] == [
        ("Running", "Waiting 2, Running 1"),
        ("Running", "Waiting 1, Running 1, Finished 1"),
        ("Running", "Running 1, Finished 2"),
        ("Finished", "Finished 3"),
    ]
    with pytest.raises(ValueError, match=f"^job '{job_id}' is Finished, and goes nowhere from there$"):
        fake.jobs.advance(job_id)
    ids = [ask.create_job(LAYERS) for _ in range(3)]
    fake.jobs.advance(ids[1])
    assert fake.jobs.finish(ids[0]).state == "Finished"
    failed = fake.jobs.fail(ids[1], message="no disk")
    assert (failed.state, failed.message, counts(vars_of(failed))) == ("Failed", "no disk", "Failed 1, Stopped 2")
    assert failed.tasks["split"].instances[0].result.detail == "no disk"
    assert fake.jobs.stop(ids[2]).state == "Stopped"
    with pytest.raises(KeyError, match="no job 'job-none'"):
        fake.jobs.finish("job-none")
    with pytest.raises(TypeError, match=r"^message is a text, not 5$"):
        fake.jobs.fail(ids[0], 5)  # type: ignore[arg-type]


def vars_of(shown: Job) -> dict[str, int]:
    metrics = shown.answer().task_metrics
    return {name: getattr(metrics, name) for name in metrics.__struct_fields__}


def test_an_instance_that_fails_is_tried_again_as_often_as_it_may(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(job="*").fail(task="count", instance=1, attempts=1, exit_code=137, message="out of memory")
    job_id = ask.create_job(TWO)
    assert ask.states(job_id, 3) == ["Waiting", "Running", "Running"]
    instances = fake.jobs[job_id].tasks["count"].instances
    assert [(one.state, one.retry_count) for one in instances] == [("Finished", 0), ("Running", 1)]
    assert ask.states(job_id, 2) == ["Running", "Finished"]
    assert fake.jobs[job_id].tasks["count"].instances[1].retry_count == 1


def test_one_that_fails_for_good_fails_its_task_and_the_job(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(job="*").fail(task="count", instance=1, exit_code=137, message="out of memory")
    job_id = ask.create_job(TWO)
    assert ask.states(job_id, 4) == ["Waiting", "Running", "Running", "Failed"]
    failed = fake.jobs[job_id]
    assert failed.message == "out of memory"
    assert {name: one.state for name, one in failed.tasks.items()} == {"count": "Failed", "merge": "Stopped"}
    one = failed.tasks["count"].instances[1]
    assert one.result == Result(137, "ProgramExitNonZero", "out of memory", "out of memory")
    assert (one.state, one.retry_count) == ("Failed", 1)
    assert failed.tasks["count"].instances[0].result.exit_code == 0


def test_without_an_instance_all_of_the_task_fail(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(job="*").fail(task="count")
    job_id = ask.create_job(TWO)
    assert ask.states(job_id, 4)[-1] == "Failed"
    assert fake.jobs[job_id].message == "exit code 1"
    assert counts(ask.get(f"/jobs/{job_id}")["InstanceMetrics"]) == "Failed 2, Stopped 1"


@pytest.mark.parametrize("length", [0, "0s"])
def test_attempts_that_take_no_time_are_over_at_once(fake: FakeBatch, ask: Asking, length: Any) -> None:
    fake.progress(job="a", waiting=0, running=length).fail(task="count", instance=0)
    fake.progress(job="b", waiting=0, running=length).fail(task="count", attempts=3)
    often = {"count": task(InstanceCount=2, MaxRetryCount=2**40)}
    failed = ask.create_job(job(often, Name="a"))
    assert ask.states(failed, 1) == ["Failed"]
    assert [one.retry_count for one in fake.jobs[failed].tasks["count"].instances] == [2**40, 0]
    finished = ask.create_job(job(often, Name="b"))
    assert ask.states(finished, 1) == ["Finished"]
    assert [one.retry_count for one in fake.jobs[finished].tasks["count"].instances] == [3, 3]


def test_the_rest_goes_on_if_the_description_says_so(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(job="*").fail(task="b")
    tasks = {"a": task(), "b": task(), "c": task(), "d": task()}
    job_id = ask.create_job(job(tasks, {"a": ["c"], "b": ["d"]}, JobFailOnInstanceFail=False))
    assert ask.states(job_id, 4) == ["Waiting", "Running", "Running", "Finished"]
    states = {name: one.state for name, one in fake.jobs[job_id].tasks.items()}
    assert states == {"a": "Finished", "b": "Failed", "c": "Finished", "d": "Stopped"}


def test_without_a_task_the_job_itself_fails_out_of_waiting(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(job="*", waiting=2).fail(message="cluster(...) error: InvalidArgument")
    job_id = ask.create_job(job())
    assert ask.states(job_id, 3) == ["Waiting", "Waiting", "Failed"]
    shown = ask.get(f"/jobs/{job_id}")
    assert (shown["Message"], shown["StartTime"]) == ("cluster(...) error: InvalidArgument", "")
    assert counts(shown["TaskMetrics"]) == "Stopped 1"


def test_a_job_may_be_stopped_by_somebody_else(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(job="*", end="Stopped")
    job_id = ask.create_job(LAYERS)
    assert ask.states(job_id, 5)[3:] == ["Running", "Stopped"]
    assert counts(ask.get(f"/jobs/{job_id}")["TaskMetrics"]) == "Finished 2, Stopped 1"


def test_an_instance_that_runs_longer_than_its_timeout_fails(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(job="*", waiting=0, running="forever")
    job_id = ask.create_job(job({"count": task(Timeout=60, MaxRetryCount=1)}))
    assert ask.states(job_id, 1) == ["Running"]
    fake.clock.advance(61)
    assert ask.states(job_id, 1) == ["Running"]
    assert fake.jobs[job_id].tasks["count"].instances[0].retry_count == 1
    fake.clock.advance(61)
    assert ask.states(job_id, 1) == ["Failed"]
    failed = fake.jobs[job_id]
    assert failed.message == "the instance ran longer than its Timeout of 60 s"
    assert failed.tasks["count"].instances[0].result.error_code == "InstanceTimeout"


def test_a_job_that_wants_it_is_released_after_it_was_seen_to_be_finished(fake: FakeBatch, ask: Asking) -> None:
    job_id = ask.create_job(job(AutoRelease=True))
    other = ask.create_job(job())
    assert ask.states(job_id, 3) == ["Waiting", "Running", "Finished"]
    assert ask.get(f"/jobs/{job_id}/tasks/count")["State"] == "Finished"
    assert len(fake.jobs) == 2
    assert ask.code("GET", f"/jobs/{job_id}") == (404, "InvalidResource.NotFound")
    assert (job_id in fake.jobs, len(fake.jobs)) == (False, 1)
    released = ask.create_job(job(AutoRelease=True))
    for _ in range(3):
        assert [shown["Id"] for shown in ask.get("/jobs")["Items"]] == [other, released]
    page = ask.get("/jobs?MaxItemCount=1")  # the next one is gone by then
    assert ([shown["Id"] for shown in page["Items"]], page["NextMarker"]) == ([other], "")
    assert len(fake.jobs) == 1
    with pytest.raises(KeyError, match="no job"):
        fake.jobs[released]


def test_a_job_that_waits_to_be_released_is_no_longer_there_for_python(fake: FakeBatch, ask: Asking) -> None:
    job_id = ask.create_job(job(AutoRelease=True))
    for _ in range(4):
        ask.get("/jobs?Marker=&MaxItemCount=0")
    assert job_id not in fake.jobs
    assert (len(fake.jobs), list(fake.jobs)) == (0, [])


def test_the_newest_rule_that_matches_counts_and_then_the_first_of_the_files(tmp_path: Path) -> None:
    fake = world(
        tmp_path,
        "progress:\n- {job: night*, waiting: forever}\n- {job: '*', waiting: 0, running: 0}\n- {cluster: '*', starting: 30s}",
    )
    ask = Asking(fake)
    assert ask.states(ask.create_job(job()), 2) == ["Waiting", "Waiting"]
    assert ask.states(ask.create_job(job(Name="day")), 1) == ["Finished"]
    fake.progress(job="night*", waiting=0)
    fake.progress(cluster="*", starting=2)
    newest = fake.progress(job="nightly", waiting=0, running=0)
    assert ask.states(ask.create_job(job()), 1) == ["Finished"]
    assert str(newest) == "job nightly, waiting 0, running 0"
    assert repr(newest) == str(newest)
    fake.reset()
    assert ask.states(ask.create_job(job()), 2) == ["Waiting", "Waiting"]
    assert [str(rule).partition(": ")[2] for rule in fake.world.rules] == [
        "job night*, waiting forever, running 1",
        "job *, waiting 0, running 0",
        "cluster *, starting 30s, deleting 1",
    ]


def test_what_a_file_says_of_progress_is_done(tmp_path: Path) -> None:
    fake = world(
        tmp_path,
        """
        progress:
          - job: nightly
            waiting: 1
            running: 2
            fail:
              - {task: count, instance: 1, attempts: 1, exit_code: 137, message: out of memory}
              - {task: merge}
          - {job: early, fail: {message: no VMs}}
          - {job: killed, end: Stopped}
        """,
    )
    ask = Asking(fake)
    job_id = ask.create_job(TWO)
    assert ask.states(job_id, 10)[-1] == "Failed"
    assert fake.jobs[job_id].tasks["merge"].state == "Failed"
    assert ask.states(ask.create_job(job(Name="early")), 2) == ["Waiting", "Failed"]
    assert ask.states(ask.create_job(job(Name="killed")), 3) == ["Waiting", "Running", "Stopped"]
    assert "end Stopped" in str(fake.world.rules[2])


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            "{job: a, waiting: 3x}",
            "w.yaml:1:30: progress[0].waiting: a phase lasts so many polls (2), so long by the fake's clock"
            " (30s, 2m, 1h) or forever, not '3x'",
        ),
        (
            "{waiting: 3}",
            "w.yaml:1:12: progress[0]: a rule of progress is for a job or a cluster: give one of the two, a name with * and ?",
        ),
        (
            "{job: a, end: Failed}",
            "w.yaml:1:12: progress[0]: a job ends Finished or Stopped, not 'Failed'; for Failed use fail",
        ),
        (
            "{job: a, waiting: 1.5}",
            "w.yaml:1:30: progress[0].waiting: expected a whole number or a text, got the number 1.5;"
            " write it like 2, or like 30s, or like forever",
        ),
        (
            "{job: a, waiting: true}",
            "w.yaml:1:30: progress[0].waiting: expected a whole number or a text, got the boolean true;"
            " write it like 2, or like 30s, or like forever",
        ),
        ("{job: a, starting: 3}", "w.yaml:1:12: progress[0]: starting is nothing that a job does"),
        ("{cluster: a, waiting: 3}", "w.yaml:1:12: progress[0]: waiting is nothing that a cluster does"),
        ("{cluster: a, end: Stopped}", "w.yaml:1:12: progress[0]: end is nothing that a cluster has"),
        (
            "{cluster: a, fail: {task: b}}",
            "w.yaml:1:31: progress[0].fail: fail is for jobs, and this rule is for clusters",
        ),
        (
            "{job: a, fail: [{instance: 1}]}",
            "w.yaml:1:28: progress[0].fail[0]: which task? add task; without one the job itself fails, with a message and nothing else",
        ),
        (
            "{job: a, run: x}",
            "w.yaml:1:21: progress[0].run: unknown key 'run'; known are job, cluster, waiting, running, starting, deleting, end, fail",
        ),
    ],
)
def test_a_mistake_in_progress_is_said_with_its_place(tmp_path: Path, written: str, message: str) -> None:
    with pytest.raises(FixtureError) as caught:
        world(tmp_path, f"progress: [{written}]")
    assert str(caught.value).removeprefix(f"{tmp_path}/") == message


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda fake: fake.progress(job=5), TypeError, "job is a name such as 'nightly-*', not 5"),
        (lambda fake: fake.progress(job="a").run(5), TypeError, "run takes a function of an Attempt, not 5"),
        (
            lambda fake: fake.progress(job="a").run(lambda: 0),
            TypeError,
            "run takes a function that is called with an Attempt, and nothing else: too many positional arguments",
        ),
        (
            lambda fake: fake.progress(cluster="a").run(print),
            TypeError,
            "run is for jobs, and this rule is for clusters",
        ),
        (
            lambda fake: fake.progress(job="a").fail(task="b", instance="1"),
            TypeError,
            "instance is a whole number, not '1'",
        ),
        (
            lambda fake: fake.progress(job="a").fail(task="b", attempts=0),
            ValueError,
            "attempts is a number from 1 on, not 0",
        ),
        (lambda fake: fake.progress(job="a").fail(task=5), TypeError, "task is a text, not 5"),
        (
            lambda fake: fake.progress(job="a", waiting=True),
            ValueError,
            "a phase lasts so many polls (2), so long by the fake's clock (30s, 2m, 1h) or forever, not True",
        ),
    ],
)
def test_a_mistake_in_a_rule_is_refused_where_it_is_made(fake: FakeBatch, make: Any, error: Any, message: str) -> None:
    with pytest.raises(error) as caught:
        make(fake)
    assert str(caught.value) == message


def test_a_job_of_a_file_goes_on_from_the_state_that_it_is_given(tmp_path: Path) -> None:
    fake = world(
        tmp_path,
        """
        jobs:
          - {Id: job-new, Name: a}
          - Id: job-running
            State: Running
            StartTime: 2020-01-02
            CreationTime: 2020-01-01
            DAG: {Tasks: {a: , b: {InstanceCount: 2}}, Dependencies: {a: [b]}}
          - {Id: job-failed, State: Failed, Message: no disk}
          - {Id: job-done, State: Finished, StartTime: 2020-01-02, EndTime: 2020-01-03, CreationTime: 2020-01-01}
          - {Id: job-stopped, State: Stopped, AutoRelease: true}
          - {Name: "n-{n}", repeat: 2}
        """,
    )
    ask = Asking(fake)
    assert ask.states("job-new", 3) == ["Waiting", "Running", "Finished"]
    running = ask.get("/jobs/job-running/tasks/a")
    assert (running["State"], running["StartTime"]) == ("Running", "2020-01-02T00:00:00.000000Z")
    assert counts(ask.get("/jobs/job-running")["InstanceMetrics"]) == "Waiting 2, Running 1"
    assert ask.states("job-running", 2) == ["Running", "Finished"]
    assert ask.get("/jobs/job-failed")["Message"] == "no disk"
    assert fake.jobs["job-failed"].tasks["task"].instances[0].result.detail == "no disk"
    assert ask.states("job-done", 2) == ["Finished"] * 2
    assert fake.jobs["job-done"].tasks["task"].end_time == "2020-01-03T00:00:00.000000Z"
    assert ask.states("job-stopped", 2) == ["Stopped"] * 2
    ask.post("/jobs/job-failed/start")
    assert ask.states("job-failed", 1) == ["Waiting"]
    assert [one.name for one in fake.jobs if one.name.startswith("n-")] == ["n-0", "n-1"]
    assert ask.create_job(job()) > max(one.id for one in fake.jobs if one.name == "n-1")
    fake.reset()
    assert fake.jobs["job-running"].state == "Running"
    assert fake.jobs["job-done"].description == ""
    assert repr(fake.jobs["job-done"]) == "Job(id='job-done', name='job', state='Finished')"


def test_time_passes_for_a_job_of_a_file_from_the_beginning_of_the_world(tmp_path: Path) -> None:
    fake = world(
        tmp_path,
        "{jobs: [{Id: job-a}, {Id: job-b, State: Running}], progress: [{job: '*', waiting: 30s, running: 30s}]}",
    )
    fake.clock.advance(31)
    ask = Asking(fake)
    assert (ask.states("job-a", 1), ask.states("job-b", 1)) == (["Running"], ["Finished"])
    fake.jobs.add(Job(id="job-c"))
    assert ask.states("job-c", 1) == ["Waiting"]


def test_a_rule_that_comes_later_holds_for_a_job_of_a_file_that_nobody_has_polled(tmp_path: Path) -> None:
    fake = world(tmp_path, "jobs: [{Id: job-a}]")
    assert fake.jobs["job-a"].state == "Waiting"
    fake.progress(job="*", waiting=0, running=0)
    assert Asking(fake).states("job-a", 1) == ["Finished"]


def test_a_step_lets_the_job_be_in_another_state(fake: FakeBatch, ask: Asking) -> None:
    fake.on("StopJob").becomes("Finished")
    job_id = ask.create_job(job())
    assert ask.code("POST", f"/jobs/{job_id}/stop") == (409, "StateConflict")
    assert fake.jobs[job_id].state == "Finished"
    assert fake.calls[-1].step == "on StopJob: becomes Finished"
    assert ask.code("POST", "/jobs/job-none/stop") == (404, "InvalidResource.NotFound")
    for state in ("Failed", "Stopped", "Waiting", "Running", "Waiting", "Finished", "Running", "Running", "Failed"):
        fake.reset()
        job_id = ask.create_job(job())
        fake.on("GetTask", calls=1).becomes("Finished")
        fake.on("GetTask", calls=2).becomes(state)
        ask.get(f"/jobs/{job_id}/tasks/count")
        ask.get(f"/jobs/{job_id}/tasks/count")
        assert fake.jobs[job_id].state == state


def test_a_step_lets_a_job_run_that_would_fail_itself(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(job="*", waiting=0).fail(message="no capacity")
    fake.on("GetJob", calls=1).becomes("Running")
    assert ask.states(ask.create_job(job()), 2) == ["Running", "Finished"]
    assert ask.states(ask.create_job(job()), 1) == ["Failed"]


def test_a_state_that_is_none_is_refused(fake: FakeBatch) -> None:
    with pytest.raises(ValueError, match=r"^'Finishd' is not a state; did you mean 'Finished'[?] Known are Waiting, "):
        fake.on("GetJob").becomes("Finishd")
    with pytest.raises(ValueError, match=r"^ListImages names nothing that could be in another state$"):
        fake.on("ListImages").becomes("Finished")
    fake.world.take_failures()


def test_a_step_for_any_operation_moves_only_what_can_be_in_the_state(fake: FakeBatch, ask: Asking) -> None:
    fake.on("any").becomes("Finished")
    fake.clusters.add(Cluster(id="cls-a"))
    assert ask.get("/clusters/cls-a")["State"] == "Active"
    assert ask.get(f"/jobs/{ask.create_job(job())}")["State"] == "Finished"


def test_a_step_may_add_a_job(fake: FakeBatch, ask: Asking) -> None:
    fake.on("ListJobs", calls=2).add(Job(id="job-a"), Image(id="img-a"))
    assert ask.get("/jobs")["Items"] == []
    assert [shown["Id"] for shown in ask.get("/jobs")["Items"]] == ["job-a"]
    assert fake.calls[-1].step == "on ListJobs, calls 2: add job-a, img-a"


# What an instance does.

NO_RESULT = "the function of an instance returns an exit code, a Result or None, not '0'"


def test_a_function_is_what_an_instance_does(fake: FakeBatch, ask: Asking) -> None:
    seen: list[Attempt] = []

    def work(attempt: Attempt) -> int:
        seen.append(attempt)
        return 3 if (attempt.instance, attempt.attempt) == (1, 1) else 0

    fake.progress(job="*").run(work)
    job_id = ask.create_job(job({"count": task(InstanceCount=2, MaxRetryCount=1, EnvVars={"A": 1})}))
    assert ask.states(job_id, 2) == ["Waiting", "Running"]
    assert seen == []
    assert ask.states(job_id, 2) == ["Running", "Finished"]
    assert [(one.task, one.instance, one.attempt) for one in seen] == [
        ("count", 0, 1),
        ("count", 1, 1),
        ("count", 1, 2),
    ]
    assert (seen[0].job_id, seen[0].job_name, seen[0].command_line, seen[0].env_vars) == (
        job_id,
        "nightly",
        "echo hi",
        {"A": "1"},
    )
    assert (seen[0].timeout, seen[0].stdout_path) == (3600, f"oss://b/logs/stdout.{job_id}.count.0")
    assert seen[0].cluster_id == f"{job_id}_count_0"


@pytest.mark.parametrize(
    ("answer", "result", "told"),
    [
        (None, Result(), None),
        (Result(7, "Code", "message", "detail"), Result(7, "Code", "message", "detail"), None),
        (7, Result(7, "ProgramExitNonZero", "exit code 7", "exit code 7"), None),
        (OSError("no disk"), Result(1, "OSError", "no disk", "no disk"), None),
        (OSError(), Result(1, "OSError", "", "OSError"), None),
        (AssertionError("1 == 2"), Result(1, "AssertionError", "1 == 2", "1 == 2"), AssertionError),
        (KeyboardInterrupt(), Result(1, "KeyboardInterrupt", "", "KeyboardInterrupt"), KeyboardInterrupt),
        ("0", Result(1, "TypeError", NO_RESULT, NO_RESULT), TypeError),
    ],
)
def test_a_function_may_end_so(fake: FakeBatch, ask: Asking, answer: Any, result: Result, told: Any) -> None:
    def work(attempt: Attempt) -> Any:
        assert attempt.attempt == 1
        if isinstance(answer, BaseException):
            raise answer
        return answer

    fake.progress(job="*", waiting=0).run(work)
    job_id = ask.create_job(job())
    assert ask.states(job_id, 2)[-1] == ("Failed" if result.detail else "Finished")
    assert fake.jobs[job_id].tasks["count"].instances[0].result == result
    if told is None:
        fake.check()
    else:
        with pytest.raises(told):
            fake.check()


def test_a_function_may_be_wrapped_by_one_that_gives_it_more(fake: FakeBatch, ask: Asking) -> None:
    def work(attempt: Attempt, code: int) -> int:
        return code + attempt.instance

    @functools.wraps(work)
    def wrapped(attempt: Attempt) -> int:
        return work(attempt, 7)

    fake.progress(job="*", waiting=0, running=0).run(wrapped)
    job_id = ask.create_job(job())
    assert ask.states(job_id, 1) == ["Failed"]
    assert fake.jobs[job_id].tasks["count"].instances[0].result.exit_code == 7


def test_a_function_is_called_once_and_not_while_the_world_is_locked(fake: FakeBatch, ask: Asking) -> None:
    calls = []

    def work(attempt: Attempt) -> None:
        calls.append(attempt.task)
        assert Asking(fake).get("/images?MaxItemCount=0")["Items"] == []  # another request is answered meanwhile

    fake.progress(job="*", waiting=0, running=0).run(work)
    job_id = ask.create_job(LAYERS)
    assert ask.get("/jobs")["Items"][0]["State"] == "Finished"
    assert fake.jobs[job_id].state == "Finished"
    assert calls == ["split", "count", "count", "count", "merge"]
    ask.create_job(LAYERS)
    ask.get("/jobs?MaxItemCount=0")
    assert [one.state for one in fake.jobs] == ["Finished", "Finished"]  # python looks, and the functions are called
    assert len(calls) == 10


def test_a_function_runs_beside_the_server(fake: FakeBatch) -> None:
    import json
    from urllib.request import Request, urlopen

    asked, go_on = threading.Event(), threading.Event()

    def work(_: Attempt) -> int:
        asked.set()
        assert go_on.wait(30)
        return 0

    with fake:
        fake.progress(job="*", waiting=0, running=0).run(work)
        created = urlopen(Request(f"{fake.url}/jobs", json.dumps(job()).encode()))
        job_id = json.load(created)["Id"]
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(json.load(urlopen(f"{fake.url}/jobs/{job_id}"))))
        thread.start()
        assert asked.wait(30)
        urlopen(f"{fake.url}/images").close()  # answered meanwhile
        go_on.set()
        thread.join(30)
        assert answers[0]["State"] == "Finished"


@pytest.mark.parametrize(
    "look",
    [
        lambda fake, job_id: fake.jobs[job_id],
        lambda fake, job_id: fake.jobs.remove(job_id),
        lambda fake, job_id: fake.jobs.discard(job_id),
        lambda fake, job_id: fake.jobs.add(Job(id=job_id)),
        lambda fake, job_id: fake.jobs.stop(job_id),
        lambda fake, job_id: Asking(fake)("DELETE", f"/jobs/{job_id}"),
        lambda fake, _: Asking(fake)("POST", "/jobs?sync", job(AutoRelease=True)),
        lambda fake, job_id: Asking(fake)("DELETE", f"/_fakebatch/jobs/{job_id}"),
        lambda fake, job_id: Asking(fake)("PUT", f"/_fakebatch/jobs/{job_id}", {}),
        lambda fake, job_id: Asking(fake)("POST", "/_fakebatch/jobs", {"Id": job_id}),
        lambda fake, job_id: (fake.on("GetJob").becomes("Stopped"), Asking(fake)("GET", f"/jobs/{job_id}")),
        lambda fake, job_id: (fake.on().remove(job_id, resource="jobs"), Asking(fake)("GET", "/jobs")),
    ],
)
def test_whoever_looks_or_changes_lets_others_in_while_a_function_runs(look: Any) -> None:
    fake = FakeBatch(control=True)
    free = []

    def work(_: Attempt) -> None:
        def other() -> None:
            if locked := fake.world.lock.acquire(blocking=False):
                fake.world.lock.release()
            free.append(locked)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    fake.progress(job="*", waiting="1s", running="1s").run(work)
    job_id = Asking(fake).create_job(job(AutoRelease=True))
    fake.clock.advance(2)
    with contextlib.suppress(ValueError):  # what has ended is not moved, and what is there not added
        look(fake, job_id)
    assert free[:1] == [True]
    assert all(free)
    fake.check()


def test_changes_of_steps_before_a_function_is_called_are_made_once(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(job="*", waiting="1s", running="1s").run(lambda _: 7)
    job_id = ask.create_job(job())
    fake.clock.advance(2)
    fake.on("GetJob").add(Job(name="other"))
    fake.on("GetJob").becomes("Running")
    assert ask.get(f"/jobs/{job_id}")["State"] == "Running"
    assert [one.name for one in fake.jobs] == ["nightly", "other"]


def test_a_reset_while_a_function_runs_leaves_no_trace(fake: FakeBatch, ask: Asking) -> None:
    def work(_: Attempt) -> None:
        fake.reset()

    fake.progress(job="*", waiting=0, running=0).run(work)
    job_id = ask.create_job(job())
    with pytest.raises(ConnectionAbortedError):
        ask("GET", f"/jobs/{job_id}")
    assert (len(fake.jobs), len(fake.calls)) == (0, 0)


def test_an_operation_on_what_is_gone_when_its_function_has_returned_is_refused(fake: FakeBatch, ask: Asking) -> None:
    def work(attempt: Attempt) -> None:
        fake.world.collections["jobs"].discard("job-other")
        assert attempt.task == "count"

    fake.progress(job="*", waiting=0, running=0).run(work)
    job_id = ask.create_job(job(AutoRelease=True))
    ask.get(f"/jobs/{job_id}")
    assert ask.code("GET", f"/jobs/{job_id}") == (404, "InvalidResource.NotFound")


def test_an_event_of_a_synchronous_job_with_a_function_is_told_once(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(job="*").run(lambda _: 0)
    topic = {"Topic": {"Events": ["OnJobWaiting", "OnJobFinished"]}}
    ask.post("/jobs?sync", job(Notification=topic), status=200)
    assert [event["Event"] for event in fake.events] == ["OnJobWaiting", "OnJobFinished"]


def test_events_are_kept_where_the_description_asks_for_them(fake: FakeBatch, ask: Asking) -> None:
    events = ["OnJobWaiting", "OnJobRunning", "OnJobStopped", "OnTaskRunning", "OnInstanceFinished", "OnPriorityChange"]
    topic = {"Topic": {"Name": "t", "Endpoint": "e", "Events": events}}
    job_id = ask.create_job(job({"count": task(InstanceCount=2)}, Notification=topic))
    ask.create_job(job())
    ask.get("/jobs")
    ask.get("/jobs?MaxItemCount=0")
    assert [(event["Event"], event["State"]) for event in fake.events] == [
        ("OnJobWaiting", "Waiting"),
        ("OnJobRunning", "Running"),
        ("OnTaskRunning", "Running"),
    ]
    assert {name: value for name, value in fake.events[2].items() if name != "Time"} == {
        "Category": "Job",
        "JobId": job_id,
        "JobName": "nightly",
        "TaskName": "count",
        "Event": "OnTaskRunning",
        "State": "Running",
    }
    ask.get(f"/jobs/{job_id}")
    assert [(event["Event"], event["InstanceId"]) for event in fake.events[3:]] == [
        ("OnInstanceFinished", 0),
        ("OnInstanceFinished", 1),
    ]
    stopped = ask.create_job(job(Notification=topic))
    ask.post(f"/jobs/{stopped}/stop")
    ask("PUT", f"/jobs/{stopped}", {"Priority": 4})
    ask.post(f"/jobs/{stopped}/start")
    assert [event["Event"] for event in fake.events[5:]] == [
        "OnJobWaiting",
        "OnJobStopped",
        "OnPriorityChange",
        "OnJobWaiting",
    ]
    fake.events.clear()
    assert len(fake.events) == 9
    fake.reset()
    assert fake.events == []


def test_a_function_runs_for_those_only_that_are_not_finished(fake: FakeBatch, ask: Asking) -> None:
    seen: list[tuple[int, int]] = []

    def work(attempt: Attempt) -> int:
        seen.append((attempt.instance, attempt.attempt))
        return 1 if attempt.instance == 1 and len(seen) == 2 else 0

    fake.progress(job="*", waiting=0, running=0).run(work)
    job_id = ask.create_job(job({"count": task(InstanceCount=3)}))
    assert ask.states(job_id, 1) == ["Failed"]
    ask.post(f"/jobs/{job_id}/start")
    assert ask.states(job_id, 1) == ["Finished"]
    assert seen == [(0, 1), (1, 1), (2, 1), (1, 1)]


def test_an_instance_with_a_function_may_exceed_its_timeout_too(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(job="*", waiting=0, running="forever").run(lambda _: 0)
    job_id = ask.create_job(job({"count": task(Timeout=60)}))
    assert ask.states(job_id, 1) == ["Running"]
    fake.clock.advance(61)
    assert ask.states(job_id, 1) == ["Failed"]


def test_an_instance_that_is_not_there_does_not_fail(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(job="*", waiting=0, running=0).fail(task="count", instance=7)
    assert ask.states(ask.create_job(job()), 1) == ["Finished"]


def test_a_rule_is_no_longer_changed_after_a_reset(fake: FakeBatch, ask: Asking) -> None:
    rule = fake.progress(job="*", waiting=0)
    fake.reset()
    rule.fail(task="count")
    assert ask.states(ask.create_job(job()), 3) == ["Waiting", "Running", "Finished"]


def test_two_who_look_at_once_have_a_function_called_once(fake: FakeBatch, ask: Asking) -> None:
    calls = []

    def work(attempt: Attempt) -> None:
        calls.append(attempt.instance)
        if len(calls) == 1:  # somebody else looks at the same job meanwhile, and is not kept waiting
            fake.world.work(PendingError(work, {}), fake.world.epoch)

    fake.progress(job="*", waiting=0, running=0).run(work)
    job_id = ask.create_job(job())
    assert ask.states(job_id, 1) == ["Finished"]
    key = (job_id, 1, "count", 0, 1)
    fake.world.work(PendingError(work, {key: fake.jobs[job_id].attempt("count", 0, 1)}), fake.world.epoch)
    fake.world.work(PendingError(work, {}), fake.world.epoch - 1)
    assert calls == [0]
