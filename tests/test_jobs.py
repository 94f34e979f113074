"""The resource jobs: what its operations answer, and refuse."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from asking import LAYERS, Asking, counts, job, task

from fakebatch import Account, App, Cluster, FakeBatch, Job


@pytest.fixture
def fake() -> FakeBatch:
    return FakeBatch()


@pytest.fixture
def ask(fake: FakeBatch) -> Asking:
    return Asking(fake)


def test_a_new_job_and_all_that_is_in_it_waits(ask: Asking) -> None:
    job_id = ask.create_job(job({"count": task(InstanceCount=3)}, Priority=7))
    shown = ask.get(f"/jobs/{job_id}")
    created = shown.pop("CreationTime")
    none = {"RunningCount": 0, "FinishedCount": 0, "FailedCount": 0, "StoppedCount": 0}
    assert shown == {
        "Id": job_id,
        "Name": "nightly",
        "OwnerId": 123456,
        "State": "Waiting",
        "Message": "",
        "StartTime": "",
        "EndTime": "",
        "Priority": 7,
        "TaskMetrics": {"WaitingCount": 1, **none},
        "InstanceMetrics": {"WaitingCount": 3, **none},
    }
    assert len(created) == len("2016-11-01T15:25:02.837728Z")
    assert ask.get(f"/jobs/{job_id}/tasks/count") == {
        "TaskName": "count",
        "State": "Waiting",
        "StartTime": "",
        "EndTime": "",
        "InstanceMetrics": {"WaitingCount": 3, **none},
    }
    assert ask.get(f"/jobs/{job_id}/tasks/count/instances/2") == {
        "InstanceId": 2,
        "State": "Waiting",
        "StartTime": "",
        "EndTime": "",
        "RetryCount": 0,
        "Progress": 0,
        "StdoutRedirectPath": f"oss://b/logs/stdout.{job_id}.count.2",
        "StderrRedirectPath": f"oss://b/logs/stderr.{job_id}.count.2",
        "Result": {"ExitCode": 0, "ErrorCode": "", "ErrorMessage": "", "Detail": ""},
    }


def test_it_runs_layer_by_layer_and_then_is_finished(ask: Asking) -> None:
    job_id = ask.create_job(LAYERS)
    seen = [ask.get(f"/jobs/{job_id}") for _ in range(6)]
    assert [(shown["State"], counts(shown["TaskMetrics"])) for shown in seen] == [
        ("Waiting", "Waiting 3"),
        ("Running", "Waiting 2, Running 1"),
        ("Running", "Waiting 1, Running 1, Finished 1"),
        ("Running", "Running 1, Finished 2"),
        ("Finished", "Finished 3"),
        ("Finished", "Finished 3"),
    ]
    assert [counts(shown["InstanceMetrics"]) for shown in seen[2:4]] == [
        "Waiting 1, Running 3, Finished 1",
        "Running 1, Finished 4",
    ]
    tasks = ask.get(f"/jobs/{job_id}/tasks")["Items"]
    assert [shown["TaskName"] for shown in tasks] == ["count", "merge", "split"]
    times = {shown["TaskName"]: (shown["StartTime"], shown["EndTime"]) for shown in tasks}
    assert times["split"][1] == times["count"][0]
    assert times["count"][1] == times["merge"][0]
    assert (seen[-1]["StartTime"], seen[-1]["EndTime"]) == (times["split"][0], times["merge"][1])


def test_ids_ascend_with_creation_and_are_those_of_the_last_time_after_a_reset(fake: FakeBatch, ask: Asking) -> None:
    ids = [ask.create_job(job()) for _ in range(3)]
    assert ids == sorted(ids)
    assert ids[0] == "job-00000000581842180000081500000001"
    fake.reset()
    assert [ask.create_job(job()) for _ in range(3)] == ids


def test_the_description_is_answered_with_its_defaults_and_without_nulls(ask: Asking) -> None:
    sent = job(Unknown={"a": None, "b": [1, None]}, Notification=None)
    job_id = ask.create_job(sent)
    shown = ask.get(f"/jobs/{job_id}?description")
    assert shown["Id"] == job_id
    assert shown["Unknown"] == {"b": [1]}
    assert (shown["Notification"], shown["Priority"], shown["AutoRelease"], shown["Description"]) == ({}, 0, False, "")
    assert shown["JobFailOnInstanceFail"] is True
    described = shown["DAG"]["Tasks"]["count"]
    assert (described["InstanceCount"], described["MaxRetryCount"], described["Timeout"]) == (1, 0, 3600)
    assert described["AutoCluster"]["ResourceType"] == "OnDemand"


@pytest.mark.parametrize("value", ["description=", "description=true", "description"])
def test_the_bare_key_asks_for_the_description(ask: Asking, value: str) -> None:
    job_id = ask.create_job(job())
    assert "DAG" in ask.get(f"/jobs/{job_id}?{value}")
    assert "DAG" not in ask.get(f"/jobs/{job_id}?description=False")


def test_a_description_that_was_answered_makes_another_job(ask: Asking) -> None:
    first = ask.get(f"/jobs/{ask.create_job(job())}?description")
    again = ask.create_job(first)
    assert ask.get(f"/jobs/{again}?description") == {**first, "Id": again}


def test_an_unfiltered_list_pages_by_id(ask: Asking) -> None:
    ids = [ask.create_job(job()) for _ in range(5)]
    page = ask.get("/jobs?Marker&MaxItemCount=2")
    assert [shown["Id"] for shown in page["Items"]] == ids[:2]
    assert page["NextMarker"] == ids[2]
    page = ask.get(f"/jobs?Marker={ids[4]}&MaxItemCount=2")
    assert ([shown["Id"] for shown in page["Items"]], page["NextMarker"]) == (ids[4:], "")


def test_the_filters_and_orders_of_the_sdks(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(job="*", waiting="forever")
    cluster = task(ClusterId="")
    ids = [ask.create_job(job(Name=name, Priority=priority)) for name, priority in (("b", 3), ("a", 9), ("c", 5))]
    fake.jobs.add(Job(id="job-x", name="other", dag={"Tasks": {"t": {**cluster, "ClusterId": "cls-a"}}}))
    fake.jobs.stop(ids[0])

    def listed(query: str) -> list[str]:
        return [shown["Name"] for shown in ask.get(f"/jobs?{query}")["Items"]]

    assert listed("State=Stopped") == ["b"]
    assert listed("State=stopped") == []
    assert listed("ClusterId=cls-a") == ["other"]
    assert listed("ProjectId=p") == []
    assert listed("OrderBy=Name") == ["a", "b", "c", "other"]
    assert listed("OrderBy=Name&IsReverse=true") == ["other", "c", "b", "a"]
    assert listed("OrderBy=Priority") == ["other", "b", "c", "a"]
    assert listed("OrderBy=State&MaxItemCount=1") == ["b"]
    assert listed("OrderBy=CreationTime")[0] == "other"
    assert listed("OrderBy=Id&IsReverse=True") == ["other", "c", "a", "b"]
    assert listed("OrderBy=Colour") == ["b", "a", "c", "other"]
    page = ask.get("/jobs?State=Waiting&MaxItemCount=2")
    assert (len(page["Items"]), page["NextMarker"]) == (2, "job-x")
    assert listed("State=Waiting&MaxItemCount=2&Marker=job-x") == ["other"]
    assert listed(f"OrderBy=Name&Marker={ids[2]}") == ["c", "other"]
    assert listed("OrderBy=Name&Marker=nothing") == []


def test_tasks_and_instances_page_by_name_and_number(ask: Asking) -> None:
    job_id = ask.create_job(job({name: task(InstanceCount=4) for name in ("b", "a", "c")}))
    tasks = ask.get(f"/jobs/{job_id}/tasks?MaxItemCount=2")
    assert ([shown["TaskName"] for shown in tasks["Items"]], tasks["NextMarker"]) == (["a", "b"], "c")
    assert [shown["TaskName"] for shown in ask.get(f"/jobs/{job_id}/tasks?Marker=bb")["Items"]] == ["c"]
    instances = f"/jobs/{job_id}/tasks/a/instances"
    for marker in ("", "0"):
        page = ask.get(f"{instances}?Marker={marker}&MaxItemCount=3")
        assert ([shown["InstanceId"] for shown in page["Items"]], page["NextMarker"]) == ([0, 1, 2], "3")
    assert [shown["InstanceId"] for shown in ask.get(f"{instances}?Marker=3")["Items"]] == [3]
    assert ask.get(f"{instances}?Marker=9") == {"NextMarker": "", "Items": []}
    assert ask.get(f"{instances}?Marker=x") == {"NextMarker": "", "Items": []}
    assert ask.get(f"{instances}?Marker=99999999999999999999") == {"NextMarker": "", "Items": []}
    assert len(ask.get(f"{instances}?State=Waiting")["Items"]) == 4
    assert ask.get(f"{instances}?State=Running")["Items"] == []
    assert ask.get(f"{instances}?MaxItemCount=0") == {"NextMarker": "0", "Items": []}
    assert len(ask.get(f"/jobs/{job_id}/tasks?State=Waiting")["Items"]) == 3
    assert ask.get(f"/jobs/{job_id}/tasks?ClusterId=cls-a")["Items"] == []


@pytest.mark.parametrize(
    "path",
    [
        "/jobs/job-none",
        "/jobs/job-none?description",
        "/jobs/job-none/tasks",
        "/jobs/{}/tasks/none",
        "/jobs/{}/tasks/none/instances",
        "/jobs/{}/tasks/count/instances/1",
        "/jobs/{}/tasks/count/instances/x",
        "/jobs/{}/tasks/count/instances/-1",
    ],
)
def test_what_is_not_there_is_not_found(ask: Asking, path: str) -> None:
    job_id = ask.create_job(job())
    assert ask.code("GET", path.format(job_id)) == (404, "InvalidResource.NotFound")


def test_a_job_is_stopped_started_and_deleted_at_once(ask: Asking) -> None:
    job_id = ask.create_job(job())
    assert ask("POST", f"/jobs/{job_id}/stop") == (201, None)
    shown = ask.get(f"/jobs/{job_id}")
    assert (shown["State"], shown["StartTime"], counts(shown["InstanceMetrics"])) == ("Stopped", "", "Stopped 1")
    assert shown["EndTime"] >= shown["CreationTime"]
    assert ask("POST", f"/jobs/{job_id}/start") == (201, None)
    assert ask.states(job_id, 3) == ["Waiting", "Running", "Finished"]
    assert ask("DELETE", f"/jobs/{job_id}") == (204, None)
    assert ask.code("GET", f"/jobs/{job_id}") == (404, "InvalidResource.NotFound")


def test_what_is_finished_is_not_run_again(fake: FakeBatch, ask: Asking) -> None:
    rule = fake.progress(job="*", waiting=0).fail(task="count", instance=1, exit_code=3)
    job_id = ask.create_job(LAYERS)
    assert ask.states(job_id, 3) == ["Running", "Running", "Failed"]
    split = ask.get(f"/jobs/{job_id}/tasks/split")
    assert counts(ask.get(f"/jobs/{job_id}/tasks/count")["InstanceMetrics"]) == "Finished 2, Failed 1"
    fake.progress(job="*", waiting=0)
    ask.post(f"/jobs/{job_id}/start")
    shown = ask.get(f"/jobs/{job_id}")
    assert (shown["State"], shown["Message"], counts(shown["InstanceMetrics"])) == (
        "Running",
        "",
        "Waiting 1, Running 1, Finished 3",
    )
    assert ask.get(f"/jobs/{job_id}/tasks/split") == split
    assert ask.states(job_id, 2) == ["Running", "Finished"]
    assert "count" in str(rule)


def test_each_operation_is_refused_in_the_states_in_which_it_makes_no_sense(fake: FakeBatch, ask: Asking) -> None:
    allowed = {
        ("POST", "/stop"): {"Waiting", "Running"},
        ("POST", "/start"): {"Stopped", "Failed"},
        ("DELETE", ""): {"Stopped", "Finished", "Failed"},
        ("PUT", ""): {"Stopped", "Failed"},
    }
    for (method, path), states in allowed.items():
        for state in ("Waiting", "Running", "Finished", "Failed", "Stopped"):
            fake.jobs.put(Job(id="job-x", state=state))
            status, answer = ask(method, f"/jobs/job-x{path}", {"Priority": 3} if method == "PUT" else None)
            if state in states:
                assert status < 300
            else:
                message = f"User operation is invalid. The current resource state is {state}."
                assert (status, answer) == (409, {"Code": "StateConflict", "Message": message})


def test_the_priority_of_a_job_that_was_stopped_is_changed(ask: Asking) -> None:
    job_id = ask.create_job(job())
    ask.post(f"/jobs/{job_id}/stop")
    assert ask("PUT", f"/jobs/{job_id}", {"Priority": 9}) == (200, None)
    assert ask.get(f"/jobs/{job_id}")["Priority"] == 9
    assert ask.get(f"/jobs/{job_id}?description")["Priority"] == 9
    assert ask.code("PUT", f"/jobs/{job_id}", {}) == (400, "MissingPriority")
    assert ask.code("PUT", f"/jobs/{job_id}", {"Priority": "5"}) == (400, "InvalidPriority")
    assert ask.code("PUT", "/jobs/job-none", {}) == (404, "InvalidResource.NotFound")


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({}, "MissingName", "Name is mandatory for this action."),
        (job(Name=""), "InvalidName", "Specified parameter Name is not valid. Its length must be in [1, 64]."),
        (
            job(Name="1a"),
            "InvalidName",
            "Specified parameter Name is not valid. It must only contain characters within [a-zA-Z0-9_-],"
            " and must not start with [0-9].",
        ),
        (job(Priority=1001), "InvalidPriority", "Specified parameter Priority is not valid. It must be in [0, 1000]."),
        (job(Priority=True), "InvalidPriority", "Specified parameter Priority is not valid. Its type must be integer."),
        (job(Type="X"), "InvalidType", "Specified parameter Type is not valid. It must be in [DAG, App]."),
        (
            job(AutoRelease=0),
            "InvalidAutoRelease",
            "Specified parameter AutoRelease is not valid. Its type must be boolean.",
        ),
        ({"Name": "n", "Type": "DAG"}, "MissingDAG", "DAG is mandatory for this action."),
        (
            {"Name": "n", "Type": "DAG", "DAG": []},
            "InvalidDAG",
            "Specified parameter DAG is not valid. Its type must be object.",
        ),
        ({"Name": "n", "Type": "DAG", "DAG": {"Tasks": {}}}, "MissingTasks", "Tasks is mandatory for this action."),
        (
            job({"1a": task()}),
            "InvalidTasks.1a",
            "Specified parameter Tasks.1a is not valid. It must only contain characters within [a-zA-Z0-9_-],"
            " and must not start with [0-9].",
        ),
        (job({"a": {}}), "MissingParameters", "Parameters is mandatory for this action."),
        (
            job({"a": task(CommandLine="x" * 1025)}),
            "InvalidCommandLine",
            "Specified parameter CommandLine is not valid. Its length must be in [0, 1024].",
        ),
        (
            job({"a": task(MaxRetryCount=-1)}),
            "InvalidMaxRetryCount",
            "Specified parameter MaxRetryCount is not valid. It must be at least 0.",
        ),
        (job({"a": {**task(), "AutoCluster": {}}}), "MissingClusterId", "ClusterId is mandatory for this action."),
        (
            job({"a": task(ClusterId="a b")}),
            "InvalidClusterId",
            "Specified parameter ClusterId is not valid. It must only contain characters within [a-zA-Z0-9_-].",
        ),
        (
            job({"a": {**task(), "AutoCluster": {"SpotStrategy": "SpotWithPriceLimit", "SpotPriceLimit": 0.1234}}}),
            "InvalidSpotPriceLimit",
            "Specified parameter SpotPriceLimit is not valid. It must have at most 3 decimals.",
        ),
        (
            job({"a": {**task(), "AutoCluster": {"SpotStrategy": "SpotWithPriceLimit", "SpotPriceLimit": True}}}),
            "InvalidSpotPriceLimit",
            "Specified parameter SpotPriceLimit is not valid. Its type must be number.",
        ),
        (
            job({"a": {**task(), "AutoCluster": {"ImageId": "img-none"}}}),
            "InvalidImageId",
            "Specified parameter ImageId is not valid. There is no such image.",
        ),
        (job({"a": task()}, {"a": ["a"]}), "BadDAG", "It is a cyclic dag."),
        (job({"a": task(), "b": task()}, {"a": ["b"], "b": ["a"]}), "BadDAG", "It is a cyclic dag."),
        (
            job({"a": task()}, {"a": ["z"]}),
            "InvalidDependencies",
            "Specified parameter Dependencies is not valid. There is no task z.",
        ),
        (
            job({"a": task()}, {"z": []}),
            "InvalidDependencies",
            "Specified parameter Dependencies is not valid. There is no task z.",
        ),
        (
            job({"a": task()}, {"a": "z"}),  # type: ignore[dict-item]
            "InvalidDependencies",
            "Specified parameter Dependencies is not valid. Its type must be list.",
        ),
    ],
)
def test_a_description_that_breaks_a_rule_is_refused(ask: Asking, body: Any, code: str, message: str) -> None:
    assert ask("POST", "/jobs", body) == (400, {"Code": code, "Message": message})
    assert len(ask.fake.jobs) == 0


@pytest.mark.parametrize(
    "dependencies", [{}, {"a": ["b"]}, {"a": ["b"], "b": ["c"]}, {"a": ["b", "c"], "b": ["c"]}, {"a": []}, {"a": None}]
)
def test_a_graph_without_a_cycle_is_taken(ask: Asking, dependencies: Any) -> None:
    job_id = ask.create_job(job({name: task() for name in "abc"}, dependencies))
    for _ in range(6):
        shown = ask.get(f"/jobs/{job_id}")
    assert shown["State"] == "Finished"


def test_the_image_of_a_task_is_one_that_the_caller_sees(ask: Asking) -> None:
    for image in ("img-ubuntu", "img-ubuntu-vpc", "m-28", "ubuntu", ""):
        ask.create_job(job({"a": {**task(), "AutoCluster": {"InstanceType": "x", "ImageId": image}}}))


def test_the_same_token_and_description_give_the_first_id_again(ask: Asking) -> None:
    first = ask.post("/jobs?IdempotentToken=8c3e", job())
    assert ask.post("/jobs?IdempotentToken=8c3e", job()) == first
    assert ask.code("POST", "/jobs?IdempotentToken=8c3e", job(Name="other")) == (400, "IdempotentTokenMismatch")
    assert len(ask.fake.jobs) == 1


def test_an_operation_without_a_body_looks_at_none(ask: Asking) -> None:
    job_id = ask.create_job(job())
    assert ask("POST", f"/jobs/{job_id}/stop", [1]) == (201, None)


def test_broken_percent_encoding_is_an_invalid_query_string(ask: Asking) -> None:
    status, answer = ask("GET", "/jobs?Marker=%zz")
    assert (status, answer["Code"]) == (403, "InvalidQueryString")
    assert dict(ask.fake.calls[-1].parameters) == {}


def test_with_accounts_each_caller_has_its_own_jobs() -> None:
    accounts = [Account("ann-key", "ann-secret", 1), Account("bob-key", "bob-secret", 2)]
    fake = FakeBatch(accounts=accounts)
    ann, bob = Asking(fake, "ann"), Asking(fake, "bob")
    job_id = ann.create_job(job())
    assert ann.get(f"/jobs/{job_id}")["OwnerId"] == 1
    assert bob.code("GET", f"/jobs/{job_id}") == (404, "InvalidResource.NotFound")
    assert bob.code("POST", f"/jobs/{job_id}/stop") == (404, "InvalidResource.NotFound")
    bob.get("/jobs")  # is no poll of what is not bob's
    assert ann.states(job_id, 1) == ["Running"]
    assert (len(ann.get("/jobs")["Items"]), bob.get("/jobs")["Items"]) == (1, [])


def test_a_quota_of_jobs_counts_those_that_have_not_ended(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("quotas: {Jobs: 2}")
    ask = Asking(FakeBatch(tmp_path / "w.yaml"))
    job_id = ask.create_job(job())
    ask.create_job(job())
    message = "The Jobs (2) quota is exhausted."
    assert ask("POST", "/jobs", job()) == (403, {"Code": "QuotaExhausted", "Message": message})
    ask.post(f"/jobs/{job_id}/stop")
    ask.create_job(job())


def test_every_operation_is_recorded_with_its_parameters(fake: FakeBatch, ask: Asking) -> None:
    job_id = ask.create_job(job())
    ask.get(f"/jobs/{job_id}")
    ask.get(f"/jobs/{job_id}/tasks/count/instances/0")
    created, got, instance = fake.calls
    assert (created.operation, created.parameters["Name"]) == ("CreateJob", "nightly")
    assert got.note == "Waiting (poll 1)"
    assert f"GET /jobs/{job_id} -> 200 Waiting (poll 1) (" in str(got)
    assert dict(instance.parameters) == {"JobId": job_id, "TaskName": "count", "InstanceId": "0"}
    fake.on("GetInstance", where={"TaskName": "count"}).fail("Throttling")
    fake.on("CreateJob", where={"Name": "nightly"}).fail("InternalError")
    assert ask.code("GET", f"/jobs/{job_id}/tasks/count/instances/0") == (400, "Throttling")
    assert ask.code("POST", "/jobs", job()) == (500, "InternalError")
    ask.create_job(job(Name="other"))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Job({"Name": object()}), TypeError, "a description holds what JSON can express: Encoding objects of type object is unsupported"),
        (lambda: Job(5), TypeError, "a description is a mapping, or an object of the official SDK, not 5"),
        (lambda: Job(name="a b"), ValueError, "Name: it must only contain characters within [a-zA-Z0-9_-], and must not start with [0-9]"),
        (lambda: Job(app={"Inputs": {}}), ValueError, "App: AppName is missing"),
        (lambda: Job(type="App"), ValueError, "App: App is missing"),
        (lambda: Job(dag=[]), ValueError, "DAG: its type must be object"),  # type: ignore[arg-type]
        (lambda: Job(dag={"Tasks": []}), ValueError, "DAG.Tasks: its type must be object"),
        (lambda: Job(dag={"Tasks": {"a": 5}}), ValueError, "DAG.Tasks.a: its type must be object"),
        (lambda: Job(dag={"Tasks": {"a": {"Parameters": 5}}}), ValueError, "DAG.Tasks.a.Parameters: its type must be object"),
        (lambda: Job(dag={"Tasks": {"a": {"Parameters": {"Command": 5}}}}), ValueError, "DAG.Tasks.a.Parameters.Command: its type must be object"),
        (lambda: Job(state="Finished", start_time="2020-01-02", end_time="2020-01-01"), ValueError, "EndTime: the times of a job must ascend"),
        (lambda: Job(state="Running", start_time="2001-01-01"), ValueError, "StartTime: the times of a job must ascend"),
        (lambda: Job(end_time="2020-01-01"), ValueError, "EndTime: a job that is Waiting has none; leave it out, or give another State"),
        (lambda: Job(state="Running", end_time="2020-01-01"), ValueError, "EndTime: a job that is Running has none; leave it out, or give another State"),
        (lambda: Job(start_time="2020-01-01"), ValueError, "StartTime: a job that is Waiting has none; leave it out, or give another State"),
        (lambda: Job(creation_time="soon"), ValueError, "CreationTime: it must be a time such as 2016-10-31T06:55:33.921878Z"),
        (lambda: Job(id="a/b"), ValueError, "Id: it must not hold a slash, or it can't be asked for"),
        (lambda: Job(nam="a"), TypeError, "Job has no field 'nam'; did you mean 'name'?"),  # type: ignore[call-arg]
        (lambda: Job(JobFailOnInstanceFail=True), TypeError, "Job has no field 'JobFailOnInstanceFail'; did you mean 'job_fail_on_instance_fail'?"),  # type: ignore[call-arg]
    ],
)  # fmt: skip
def test_a_job_that_can_not_be_is_refused(make: Any, error: Any, message: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == message


def test_a_job_is_made_of_a_description_and_of_fields() -> None:
    made = Job({"Name": "a", "Priority": 3}, id="job-a", priority=5, notification=None)
    assert (made.name, made.priority, made.state) == ("a", 5, "Waiting")

    class Described:
        def dump(self) -> str:
            return '{"Name": "sdk", "Type": "DAG", "DAG": {"Tasks": {"t": {}}}}'

    class Other:
        def dump(self) -> str:
            return "[]"

    assert list(Job(Described()).tasks) == ["t"]
    with pytest.raises(TypeError, match=r"^a description is a mapping, or an object of the official SDK, not "):
        Job(Other())


def test_tasks_and_instances_say_what_they_are(fake: FakeBatch, ask: Asking) -> None:
    job_id = ask.create_job(job({"count": task(InstanceCount=3)}))
    found = fake.jobs[job_id].tasks["count"]
    assert repr(found) == "<task count: Waiting>"
    assert repr(found.instances[-1]) == "<instance 2 of task count: Waiting>"
    assert [one.id for one in found.instances[1:]] == [1, 2]
    with pytest.raises(IndexError, match=r"^task count has the instances 0 to 2, and no 3$"):
        found.instances[3]


def test_a_slip_in_the_name_of_a_task_or_of_a_group_is_told_with_the_nearest(fake: FakeBatch, ask: Asking) -> None:
    shown = fake.jobs[ask.create_job(LAYERS)]
    with pytest.raises(
        KeyError, match=r"'cuont' is not a task; did you mean 'count'[?] Known are count, merge, split[.]"
    ):
        shown.tasks["cuont"]
    assert (shown.tasks.get("cuont"), "cuont" in shown.tasks) == (None, False)
    with pytest.raises(KeyError, match=r"'workers' is not a group; known are group1[.]"):
        Cluster(name="render").groups["workers"]


def test_an_id_that_is_there_is_not_made_again(fake: FakeBatch, ask: Asking) -> None:
    fake.jobs.add(Job(id="job-00000000581842180000081500000001"))
    fake.jobs.add(Job())
    assert [one.id[-1] for one in fake.jobs] == ["1", "2"]
    assert ask.create_job(job()).endswith("3")
    made = FakeBatch(Job(id="job-00000000581842180000081500000001"), Job())
    assert [one.id[-1] for one in made.jobs] == ["1", "2"]


def test_a_job_can_be_copied_and_pickled(fake: FakeBatch, ask: Asking) -> None:
    job_id = ask.create_job(LAYERS)
    ask.get(f"/jobs/{job_id}")
    found = fake.jobs[job_id]
    assert copy.deepcopy(found) == pickle.loads(pickle.dumps(found)) == found


def test_what_is_null_in_a_fixture_is_not_said() -> None:
    made = Job({"Description": None}, dag={"Tasks": {"a": None}, "Dependencies": {"a": None}})
    assert made.description_data()["DAG"]["Dependencies"] == {}
    assert list(made.tasks) == ["a"]


def test_two_edges_from_one_task_to_another_are_one(ask: Asking) -> None:
    job_id = ask.create_job(job({"a": task(), "b": task()}, {"a": ["b", "b"]}))
    assert ask.states(job_id, 4) == ["Waiting", "Running", "Running", "Finished"]


@pytest.mark.parametrize("count", [10**20, 65537, 0, -1, "3", 2.0, True, None])
def test_a_setting_of_an_app_that_no_task_could_have_counts_as_absent(count: Any) -> None:
    app = App(name="echo", config={"InstanceCount": {"Default": count, "Overwritable": True}})
    ask = Asking(FakeBatch(app))
    for config in ({}, {"InstanceCount": count}):
        job_id = ask.create_job({"Name": "job", "Type": "App", "App": {"AppName": "echo", "Config": config}})
        items = ask.get(f"/jobs/{job_id}/tasks/task/instances")["Items"]
        assert [item["InstanceId"] for item in items] == [0]
