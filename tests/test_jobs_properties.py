"""What holds always of jobs, whatever their graphs, their progress, and what is done to them."""

import json
from datetime import datetime
from typing import Any

from asking import Asking, task
from hypothesis import given
from hypothesis import strategies as st

from fakebatch import FakeBatch

NAMES = "abcdef"


@st.composite
def descriptions(draw: st.DrawFn) -> dict[str, Any]:
    names = NAMES[: draw(st.integers(1, 6))]
    numbers = st.integers(1, 4)
    tasks = {
        name: task(
            InstanceCount=draw(numbers), MaxRetryCount=draw(st.integers(0, 2)), Timeout=draw(st.sampled_from([5, 60]))
        )
        for name in names
    }
    # An edge leads to a later name only, so there is no cycle.
    dependencies = {
        name: draw(st.lists(st.sampled_from(names[index + 1 :]), max_size=2, unique=True))
        for index, name in enumerate(names[:-1])
    }
    return {
        "Name": draw(st.sampled_from(["one", "two"])),
        "Type": "DAG",
        "JobFailOnInstanceFail": draw(st.booleans()),
        "AutoRelease": draw(st.booleans()),
        "DAG": {"Tasks": tasks, "Dependencies": dependencies},
        "Notification": {"Topic": {"Events": ["OnJobRunning", "OnTaskFailed", "OnInstanceFinished"]}},
    }


LENGTHS = st.one_of(st.integers(0, 2), st.sampled_from(["0s", "3s", "20s", "forever"]))
FAILS = st.fixed_dictionaries(
    {"task": st.sampled_from("aaabbc")},
    optional={"instance": st.integers(0, 4), "attempts": st.integers(1, 3), "exit_code": st.integers(1, 255)},
)
RULES = st.fixed_dictionaries(
    {
        "job": st.sampled_from(["one", "*", "*"]),
        "waiting": LENGTHS,
        "running": LENGTHS,
        "end": st.sampled_from(["Finished", "Stopped"]),
    }
)
DOINGS = st.one_of(
    st.tuples(st.just("create"), descriptions()),
    st.tuples(st.just("rule"), RULES, st.lists(FAILS, max_size=2)),
    st.tuples(st.sampled_from(["get", "stop", "start", "delete", "advance", "finish", "fail"]), st.integers(0, 3)),
    st.tuples(st.just("list")),
    st.tuples(st.just("clock"), st.sampled_from([1, 5, 30, 100])),
)


class Checked:
    """A fake whose jobs are looked at from all sides after each thing that is done to it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1)
        self.fake = FakeBatch(clock=lambda: self.now)
        self.ask = Asking(self.fake)
        self.ids: list[str] = []
        self.seen: dict[str, str] = {}
        self.log: list[Any] = []

    def do(self, what: str, *details: Any) -> None:
        if what == "create":
            self.ids.append(self.ask.create_job(details[0]))
        elif what == "rule":
            rule = self.fake.progress(**details[0])
            for fail in details[1]:
                rule.fail(**fail)
        elif what == "clock":
            self.fake.clock.advance(details[0])
        elif what == "list":
            self.log.append(self.ask.get("/jobs"))
        elif self.ids:
            self._do_to(what, self.ids[details[0] % len(self.ids)])
        self.check()

    def _do_to(self, what: str, job_id: str) -> None:
        requests = {
            "get": ("GET", ""),
            "stop": ("POST", "/stop"),
            "start": ("POST", "/start"),
            "delete": ("DELETE", ""),
        }
        if what in requests:
            method, path = requests[what]
            status, answer = self.ask(method, f"/jobs/{job_id}{path}")
            if what == "start" and status == 201:
                self.seen.pop(job_id)
            self.log.append((status, answer))
        elif job_id in self.fake.jobs and self.fake.jobs[job_id].state in ("Waiting", "Running"):
            getattr(self.fake.jobs, what)(job_id)

    def check(self) -> None:
        for job_id in self.ids:
            if job_id in self.fake.jobs:
                self.check_job(job_id)
        self.log.append(json.dumps(self.fake.events))

    def check_job(self, job_id: str) -> None:
        # A page that begins with it, and is no poll.
        shown = self.ask.get(f"/jobs?Marker={job_id}&MaxItemCount=1")["Items"][0]
        tasks = self.ask.get(f"/jobs/{job_id}/tasks")["Items"]
        by_state = dict.fromkeys(shown["TaskMetrics"], 0)
        of_all = dict.fromkeys(shown["InstanceMetrics"], 0)
        for one in tasks:
            by_state[f"{one['State']}Count"] += 1
            instances = self.ask.get(f"/jobs/{job_id}/tasks/{one['TaskName']}/instances")["Items"]
            metrics = dict.fromkeys(one["InstanceMetrics"], 0)
            for instance in instances:
                metrics[f"{instance['State']}Count"] += 1
                ascend(instance["StartTime"], instance["EndTime"])
                fits(instance)
            assert metrics == one["InstanceMetrics"]
            of_all = {name: count + metrics[name] for name, count in of_all.items()}
            ascend(one["StartTime"], one["EndTime"])
            fits(one)
        assert by_state == shown["TaskMetrics"]
        assert of_all == shown["InstanceMetrics"]
        ascend(shown["CreationTime"], shown["StartTime"], shown["EndTime"])
        fits(shown)
        self.check_order(job_id, {one["TaskName"]: one["State"] for one in tasks})
        self.check_direction(job_id, shown["State"])
        self.log.append((shown, tasks))

    def check_order(self, job_id: str, states: dict[str, str]) -> None:
        dependencies = self.ask.get(f"/jobs/{job_id}?description")["DAG"]["Dependencies"]
        for first, following in dependencies.items():
            for name in following:
                assert states[name] in ("Waiting", "Stopped") or states[first] == "Finished"

    def check_direction(self, job_id: str, state: str) -> None:
        """A state never goes back but by a start."""
        order = {"Waiting": 0, "Running": 1, "Finished": 2, "Failed": 2, "Stopped": 2}
        before = self.seen.setdefault(job_id, state)
        assert order[before] < order[state] or before == state
        self.seen[job_id] = state


def fits(shown: dict[str, Any]) -> None:
    """What has not begun has no start, and only what has ended has an end."""
    assert shown["State"] != "Waiting" or shown["StartTime"] == ""
    assert (shown["EndTime"] != "") == (shown["State"] in ("Finished", "Failed", "Stopped"))


def ascend(*times: str) -> None:
    known = [time for time in times if time]
    assert known == sorted(known)


BEGINNINGS = st.tuples(
    st.tuples(st.just("rule"), RULES, st.lists(FAILS, min_size=1, max_size=3)),
    st.tuples(st.just("create"), descriptions()),
)


@given(BEGINNINGS, st.lists(DOINGS, min_size=5, max_size=25))
def test_whatever_is_done_to_jobs_their_counters_add_up_and_the_same_gives_the_same(
    beginning: tuple[Any, ...], doings: list[Any]
) -> None:
    logs = []
    for _ in range(2):
        checked = Checked()
        for doing in [*beginning, *doings]:
            checked.do(*doing)
        logs.append(checked.log)
    assert logs[0] == logs[1]
