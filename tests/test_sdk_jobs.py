"""Every method of the official SDK, but those of images, and every answer that it can get, over real sockets."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import descriptions
import pytest
from batchcompute import ClientError
from batchcompute.core.exceptions import JsonError
from batchcompute.resources import AppDescription, ClusterDescription, JobDescription, ModifyClusterDescription

from fakebatch import Account, FakeBatch, Image
from fakebatch.errors import DOCUMENTED

Client = Any


@pytest.fixture
def fake() -> Iterator[FakeBatch]:
    with FakeBatch(Image(id="img-ubuntu", type="System"), accounts=[Account("key", "secret")]) as started:
        yield started


@pytest.fixture
def client(fake: FakeBatch) -> Client:
    return fake.sdk_client()


def refusal(call: Callable[[], object]) -> tuple[int, str]:
    """Return the status and the code with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call()
    assert caught.value.get_requestid()
    return caught.value.get_status_code(), caught.value.get_code()


# Every method


class Ids(NamedTuple):
    """What the methods are asked for: by default, what is not there."""

    cluster: str = "cls-nope"
    job: str = "job-nope"
    app: str = "nope"


NOTHING = Ids()


def asked(client: Client, ids: Ids = NOTHING) -> dict[str, tuple[str, Callable[[], object]]]:
    """Return every method: to its operation, and a call of it."""
    group, task = (ids.cluster, "workers"), (ids.job, "count")
    return {
        "create_cluster": ("CreateCluster", lambda: client.create_cluster(descriptions.cluster())),
        "modify_cluster": ("ModifyCluster", lambda: client.modify_cluster(ids.cluster, {"ImageId": "m-1"})),
        "change_cluster_desired_vm_count": (
            "ModifyCluster",
            lambda: client.change_cluster_desired_vm_count(ids.cluster, workers=3),
        ),
        "change_cluster_spot_config": (
            "ModifyCluster",
            lambda: client.change_cluster_spot_config(*group, "SpotAsPriceGo"),
        ),
        "change_cluster_user_data": ("ModifyCluster", lambda: client.change_cluster_user_data(ids.cluster, {"a": "b"})),
        "change_cluster_env_vars": ("ModifyCluster", lambda: client.change_cluster_env_vars(ids.cluster, {"a": "b"})),
        "change_cluster_input_mapping": (
            "ModifyCluster",
            lambda: client.change_cluster_input_mapping(ids.cluster, {"oss://bucket/": "/home/in"}),
        ),
        "delete_cluster": ("DeleteCluster", lambda: client.delete_cluster(ids.cluster)),
        "get_cluster": ("GetCluster", lambda: client.get_cluster(ids.cluster)),
        "list_clusters": ("ListClusters", lambda: client.list_clusters("", 10)),
        "list_cluster_instances": ("ListClusterInstances", lambda: client.list_cluster_instances(*group, "", 10)),
        "get_cluster_instance": ("GetClusterInstance", lambda: client.get_cluster_instance(*group, "i-1")),
        "delete_cluster_instance": ("DeleteClusterInstance", lambda: client.delete_cluster_instance(*group, "i-1")),
        "recreate_cluster_instance": (
            "RecreateClusterInstance",
            lambda: client.recreate_cluster_instance(*group, "i-1"),
        ),
        "create_job": ("CreateJob", lambda: client.create_job(JobDescription(descriptions.job()))),
        "create_job, App": ("CreateJob", lambda: client.create_job(descriptions.app_job(ids.app))),
        "create_job, sync": ("CreateJob", lambda: client.create_job(descriptions.app_job(ids.app), sync=True)),
        "get_job": ("GetJob", lambda: client.get_job(ids.job)),
        "get_job_description": ("GetJobDescription", lambda: client.get_job_description(ids.job)),
        "list_jobs": ("ListJobs", lambda: client.list_jobs("", 10)),
        "stop_job": ("StopJob", lambda: client.stop_job(ids.job)),
        "start_job": ("StartJob", lambda: client.start_job(ids.job)),
        "change_job_priority": ("ChangeJobPriority", lambda: client.change_job_priority(ids.job, 7)),
        "delete_job": ("DeleteJob", lambda: client.delete_job(ids.job)),
        "get_task": ("GetTask", lambda: client.get_task(*task)),
        "list_tasks": ("ListTasks", lambda: client.list_tasks(ids.job, "", 10)),
        "get_instance": ("GetInstance", lambda: client.get_instance(*task, 0)),
        "list_instances": ("ListInstances", lambda: client.list_instances(*task, 0, 10)),
        "poll": ("GetJob", lambda: client.poll(ids.job, interval=0)),
        "create_app": ("CreateApp", lambda: client.create_app(descriptions.app())),
        "modify_app": ("ModifyApp", lambda: client.modify_app(ids.app, descriptions.app(ids.app))),
        "delete_app": ("DeleteApp", lambda: client.delete_app(ids.app)),
        "get_app": ("GetApp", lambda: client.get_app(ids.app)),
        "get_app_detail": ("GetAppDetail", lambda: client.get_app_detail(ids.app)),
        "get_app_revisions": ("GetAppRevisions", lambda: client.get_app_revisions(ids.app)),
        "list_apps": ("ListApps", lambda: client.list_apps()),
        "get_quotas": ("GetQuotas", lambda: client.get_quotas()),
        "get_available_resource": ("GetAvailableResource", lambda: client.get_available_resource()),
    }


METHODS = list(asked(None))
NEEDS_NOTHING = {
    "create_cluster",
    "create_job",
    "create_app",
    "list_clusters",
    "list_jobs",
    "list_apps",
    "get_quotas",
    "get_available_resource",
    "delete_app",  # of an app that is not there: nothing is what it wants
}
each_method = pytest.mark.parametrize("method", METHODS)


@each_method
def test_each_documented_error_reaches_the_caller(fake: FakeBatch, client: Client, method: str) -> None:
    operation, call = asked(client)[method]
    for number, (code, (status, message)) in enumerate(DOCUMENTED.items(), start=1):
        fake.on(operation, calls=number).fail(code, status=status, message=message)
    for code, (status, _) in DOCUMENTED.items():
        assert refusal(call) == (status, code)


@each_method
def test_a_page_of_a_gateway_is_the_sdk_s_json_error(fake: FakeBatch, client: Client, method: str) -> None:
    operation, call = asked(client)[method]
    fake.on(operation).reply(502, {"Content-Type": "text/html", "x-acs-request-id": "1"}, "<h1>Bad Gateway</h1>")
    assert refusal(call) == (502, "Json Error, a HTML returned from upstream server.")


@each_method
def test_a_success_that_is_no_json_is_no_success(fake: FakeBatch, client: Client, method: str) -> None:
    operation, call = asked(client)[method]
    fake.on(operation).reply(200, {"Content-Type": "text/html"}, "<h1>Welcome</h1>")
    with pytest.raises(JsonError):
        call()


@each_method
def test_a_broken_connection_is_a_connection_error(fake: FakeBatch, client: Client, method: str) -> None:
    operation, call = asked(client)[method]
    fake.on(operation).drop()
    with pytest.raises(ConnectionResetError):
        call()


@pytest.mark.parametrize("method", [method for method in METHODS if method not in NEEDS_NOTHING])
def test_what_is_not_there_is_not_found(client: Client, method: str) -> None:
    _, call = asked(client)[method]
    assert refusal(call) == (404, "InvalidResource.NotFound")


@each_method
def test_a_wrong_secret_is_refused(fake: FakeBatch, method: str) -> None:
    _, call = asked(fake.sdk_client("key", "wrong"))[method]
    assert refusal(call) == (400, "SignatureDoesNotMatch")


LISTS: dict[str, Callable[[Client, Ids], Callable[[int], object]]] = {
    "list_clusters": lambda client, _: lambda size: client.list_clusters("", size),
    "list_cluster_instances": lambda client, ids: (
        lambda size: client.list_cluster_instances(ids.cluster, "workers", "", size)
    ),
    "list_jobs": lambda client, _: lambda size: client.list_jobs("", size),
    "list_tasks": lambda client, ids: lambda size: client.list_tasks(ids.job, "", size),
    "list_instances": lambda client, ids: lambda size: client.list_instances(ids.job, "count", 0, size),
    "list_apps": lambda client, _: lambda size: client.list_apps("Private", "", size),
}


@pytest.mark.parametrize("method", LISTS)
def test_a_list_has_at_most_100_items(client: Client, method: str) -> None:
    ask = LISTS[method](client, Ids(create_cluster(client), create_job(client)))
    ask(100)
    assert refusal(lambda: ask(101)) == (400, "InvalidMaxItemCount")
    assert refusal(lambda: ask(-1)) == (400, "InvalidMaxItemCount")


# Clusters


def create_cluster(client: Client, **fields: Any) -> str:
    return str(client.create_cluster(descriptions.cluster(**fields)).Id)


def instances(client: Client, cluster_id: str) -> list[Any]:
    """Return what a poll shows."""
    return list(client.list_cluster_instances(cluster_id, "workers", "", 100).Items)


@pytest.mark.parametrize("form", [dict, json.dumps, ClusterDescription])
def test_a_cluster_is_created_from_a_dict_a_text_or_a_description(
    fake: FakeBatch, client: Client, form: Callable[[dict[str, Any]], Any]
) -> None:
    created = client.create_cluster(form(descriptions.cluster()))
    assert created.StatusCode == 201
    assert created.Id.startswith("cls-")
    assert created.Id in fake.clusters


def test_a_cluster_reads_back_as_it_was_created(client: Client) -> None:
    cluster_id = create_cluster(
        client,
        Description="nightly",
        UserData={"a": "b"},
        EnvVars={"c": "d"},
        Configs={"Mounts": {"Entries": [{"Source": "oss://bucket/", "Destination": "/in", "WriteSupport": True}]}},
        Notification={"Topic": {"Name": "topic", "Endpoint": "http://1.mns.x/", "Events": ["OnClusterDeleted"]}},
    )
    cluster = client.get_cluster(cluster_id)
    assert (cluster.Id, cluster.Name, cluster.Description) == (cluster_id, "my-cluster", "nightly")
    assert (cluster.ImageId, cluster.InstanceType) == ("img-ubuntu", "ecs.sn1.large")
    assert (cluster.UserData, cluster.EnvVars) == ({"a": "b"}, {"c": "d"})
    assert cluster.Configs.Mounts.Entries[0]["Source"] == "oss://bucket/"
    assert cluster.Notification.Topic.Events == ["OnClusterDeleted"]
    assert cluster.get_group("workers").ResourceType == "OnDemand"
    assert cluster.State == "Active"
    assert isinstance(cluster.OwnerId, int)
    assert isinstance(cluster.CreationTime, datetime)
    assert cluster.OperationLogs


def test_a_token_makes_one_cluster_of_two_requests(fake: FakeBatch, client: Client) -> None:
    first = client.create_cluster(descriptions.cluster(), "token_1")
    assert client.create_cluster(descriptions.cluster(), "token_1").Id == first.Id
    assert len(fake.clusters) == 1
    mismatch = (400, "IdempotentTokenMismatch")
    assert refusal(lambda: client.create_cluster(descriptions.cluster("another"), "token_1")) == mismatch


def test_clusters_are_listed_in_pages(client: Client) -> None:
    created = sorted(create_cluster(client) for _ in range(3))
    page = client.list_clusters("", 2)
    assert ([cluster.Id for cluster in page.Items], page.NextMarker) == (created[:2], created[2])
    page = client.list_clusters(page.NextMarker, 2)
    assert ([cluster.Id for cluster in page.Items], page.NextMarker) == (created[2:], "")


def test_easy_list_finds_clusters_by_name_and_state(client: Client) -> None:
    mine = create_cluster(client, name="mine")
    create_cluster(client, name="another")
    assert mine in client.easy_list("clusters")
    assert [cluster.Id for cluster in client.easy_list("clusters", Name="mine", State="Active")] == [mine]


def test_a_cluster_s_instances_start_and_run(client: Client) -> None:
    cluster_id = create_cluster(client)
    assert [instance.State for instance in instances(client, cluster_id)] == ["Starting", "Starting"]
    assert [instance.State for instance in instances(client, cluster_id)] == ["Running", "Running"]
    cluster = client.get_cluster(cluster_id)
    assert cluster.get_group("workers").ActualVMCount == 2
    assert (cluster.Metrics.StartingCount, cluster.Metrics.RunningCount) == (0, 2)
    assert (cluster.Metrics.StoppingCount, cluster.Metrics.StoppedCount) == (0, 0)


def test_an_instance_of_a_cluster_has_an_address_and_a_name_of_its_own(client: Client) -> None:
    cluster_id = create_cluster(client)
    one, two = instances(client, cluster_id)
    for attribute in ("Id", "IpAddress", "HostName"):
        values = {getattr(instance, attribute) for instance in (one, two)}
        assert len(values) == 2
        assert "" not in values
    again = client.get_cluster_instance(cluster_id, "workers", one.Id)
    assert (again.Id, again.CreationTime, again.Hint) == (one.Id, one.CreationTime, "")
    assert (again.ErrorCode, again.ErrorMessage) == (0, "")
    assert isinstance(again.CreationTime, datetime)


def test_a_cluster_s_instances_are_listed_in_pages(client: Client) -> None:
    cluster_id = create_cluster(client, vms=3)
    ids = [instance.Id for instance in instances(client, cluster_id)]
    page = client.list_cluster_instances(cluster_id, "workers", "", 2)
    assert ([instance.Id for instance in page.Items], page.NextMarker) == (ids[:2], ids[2])


def test_a_desired_count_reads_back_at_once(client: Client) -> None:
    cluster_id = create_cluster(client, vms=1)
    instances(client, cluster_id)
    client.change_cluster_desired_vm_count(cluster_id, workers=3)
    assert client.get_cluster(cluster_id).get_group("workers").DesiredVMCount == 3
    instances(client, cluster_id)
    assert [instance.State for instance in instances(client, cluster_id)] == ["Running"] * 3


def test_a_spot_config_is_changed(client: Client) -> None:
    group = {"DesiredVMCount": 1, "ResourceType": "Spot", "SpotStrategy": "SpotAsPriceGo"}
    cluster_id = create_cluster(client, Groups={"workers": group})
    client.change_cluster_spot_config(cluster_id, "workers", "SpotWithPriceLimit", 0.9)
    changed = client.get_cluster(cluster_id).get_group("workers")
    assert (changed.SpotStrategy, changed.SpotPriceLimit, changed.DesiredVMCount) == ("SpotWithPriceLimit", 0.9, 1)


def test_user_data_and_env_vars_are_replaced(client: Client) -> None:
    cluster_id = create_cluster(client, UserData={"old": "1"}, EnvVars={"old": "1"})
    client.change_cluster_user_data(cluster_id, {"new": "2"})
    client.change_cluster_env_vars(cluster_id, {"NEW": "2"})
    cluster = client.get_cluster(cluster_id)
    assert (cluster.UserData, cluster.EnvVars) == ({"new": "2"}, {"NEW": "2"})


def test_an_input_mapping_is_accepted(client: Client) -> None:
    assert client.change_cluster_input_mapping(create_cluster(client), {"oss://b/": "/in"}).StatusCode == 200


@pytest.mark.parametrize("form", [dict, json.dumps, ModifyClusterDescription])
def test_a_cluster_is_modified_by_a_dict_a_text_or_a_description(
    client: Client, form: Callable[[dict[str, Any]], Any]
) -> None:
    cluster_id = create_cluster(client)
    client.modify_cluster(cluster_id, form({"ImageId": "m-2", "Groups": {"workers": {"DesiredVMCount": 0}}}))
    cluster = client.get_cluster(cluster_id)
    assert (cluster.ImageId, cluster.get_group("workers").DesiredVMCount) == ("m-2", 0)


def test_a_deleted_instance_is_not_replaced(client: Client) -> None:
    cluster_id = create_cluster(client)
    gone, stays = (instance.Id for instance in instances(client, cluster_id))
    assert client.delete_cluster_instance(cluster_id, "workers", gone).StatusCode == 202
    assert client.get_cluster_instance(cluster_id, "workers", gone).State == "Deleting"
    assert refusal(lambda: client.delete_cluster_instance(cluster_id, "workers", gone)) == (409, "StateConflict")
    for _ in range(3):
        cluster = client.get_cluster(cluster_id)
    assert cluster.get_group("workers").DesiredVMCount == 1
    assert [instance.Id for instance in instances(client, cluster_id)] == [stays]


def test_a_recreated_instance_is_replaced(client: Client) -> None:
    cluster_id = create_cluster(client, vms=1)
    [old] = (instance.Id for instance in instances(client, cluster_id))
    assert client.recreate_cluster_instance(cluster_id, "workers", old).StatusCode == 201
    assert refusal(lambda: client.recreate_cluster_instance(cluster_id, "workers", old)) == (409, "StateConflict")
    for _ in range(3):
        client.get_cluster(cluster_id)
    [new] = instances(client, cluster_id)
    assert (new.State, new.Id == old) == ("Running", False)
    assert client.get_cluster(cluster_id).get_group("workers").DesiredVMCount == 1


def test_a_deleted_cluster_reads_deleting_and_is_gone(fake: FakeBatch, client: Client) -> None:
    cluster_id = create_cluster(client)
    instances(client, cluster_id)
    assert client.delete_cluster(cluster_id).StatusCode == 204
    assert refusal(lambda: client.delete_cluster(cluster_id)) == (409, "StateConflict")
    changes = asked(client, Ids(cluster=cluster_id))
    assert refusal(changes["change_cluster_desired_vm_count"][1]) == (409, "StateConflict")
    assert client.get_cluster(cluster_id).State == "Deleting"
    assert refusal(lambda: client.get_cluster(cluster_id)) == (404, "InvalidResource.NotFound")
    assert cluster_id not in fake.clusters


def test_a_group_or_an_instance_that_is_not_there_is_not_found(client: Client) -> None:
    cluster_id = create_cluster(client)
    instances(client, cluster_id)
    requests: list[Callable[[], object]] = [
        lambda: client.list_cluster_instances(cluster_id, "nope", "", 10),
        lambda: client.get_cluster_instance(cluster_id, "workers", "i-nope"),
        lambda: client.delete_cluster_instance(cluster_id, "workers", "i-nope"),
        lambda: client.recreate_cluster_instance(cluster_id, "workers", "i-nope"),
    ]
    for request in requests:
        assert refusal(request) == (404, "InvalidResource.NotFound")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"Name": "9lives"}, "InvalidName"),
        ({"Groups": {"workers": {"DesiredVMCount": -1}}}, "InvalidDesiredVMCount"),
        ({"ImageId": "img-nope"}, "InvalidImageId"),
    ],
)
def test_a_cluster_that_is_described_wrongly_is_refused(client: Client, fields: dict[str, Any], code: str) -> None:
    assert refusal(lambda: client.create_cluster({**descriptions.cluster(), **fields})) == (400, code)


# Jobs


def create_job(client: Client, **fields: Any) -> str:
    return str(client.create_job(JobDescription(descriptions.job(**fields))).Id)


def states(client: Client, job_id: str, polls: int) -> list[str]:
    return [client.get_job(job_id).State for _ in range(polls)]


@pytest.mark.parametrize("form", [dict, json.dumps, JobDescription])
def test_a_job_is_created_from_a_dict_a_text_or_a_description(
    fake: FakeBatch, client: Client, form: Callable[[dict[str, Any]], Any]
) -> None:
    created = client.create_job(form(descriptions.job()))
    assert created.StatusCode == 201
    assert created.Id.startswith("job-")
    assert fake.jobs[created.Id].name == "my-job"


def test_a_token_makes_one_job_of_two_requests(fake: FakeBatch, client: Client) -> None:
    first = client.create_job(descriptions.job(), "token_1")
    assert client.create_job(descriptions.job(), "token_1").Id == first.Id
    assert len(fake.jobs) == 1
    mismatch = (400, "IdempotentTokenMismatch")
    assert refusal(lambda: client.create_job(descriptions.job("another"), "token_1")) == mismatch


def test_a_new_job_waits_with_all_its_tasks_and_instances(client: Client) -> None:
    job_id = create_job(client, tasks={"count": descriptions.task(InstanceCount=3)})
    task = client.get_task(job_id, "count")
    assert (task.TaskName, task.State, task.InstanceMetrics.WaitingCount) == ("count", "Waiting", 3)
    found = client.list_instances(job_id, "count", 0, 10).Items
    assert [(instance.InstanceId, instance.State) for instance in found] == [(n, "Waiting") for n in range(3)]
    job = client.get_job(job_id)
    assert (job.State, job.Message, job.Priority) == ("Waiting", "", 5)
    assert (job.TaskMetrics.WaitingCount, job.InstanceMetrics.WaitingCount) == (1, 3)
    assert (job.StartTime, job.EndTime) == (None, None)
    assert isinstance(job.CreationTime, datetime)


def test_a_job_waits_runs_and_finishes(client: Client) -> None:
    job_id = create_job(client)
    assert states(client, job_id, 4) == ["Waiting", "Running", "Finished", "Finished"]
    job = client.get_job(job_id)
    assert job.CreationTime <= job.StartTime <= job.EndTime
    assert (job.TaskMetrics.FinishedCount, job.InstanceMetrics.FinishedCount) == (1, 1)
    instance = client.get_instance(job_id, "count", 0)
    assert (instance.State, instance.RetryCount, instance.Result.ExitCode) == ("Finished", 0, 0)
    assert instance.StdoutRedirectPath == f"oss://bucket/logs/stdout.{job_id}.count.0"
    assert instance.StderrRedirectPath == f"oss://bucket/logs/stderr.{job_id}.count.0"


def test_a_task_waits_for_those_before_it(client: Client) -> None:
    tasks = {name: descriptions.task() for name in ("split", "count", "merge")}
    job_id = create_job(client, tasks=tasks, dependencies={"split": ["count"], "count": ["merge"]})

    def shown() -> list[str]:
        client.get_job(job_id)
        return [client.get_task(job_id, name).State for name in tasks]

    assert [shown() for _ in range(5)] == [
        ["Waiting", "Waiting", "Waiting"],
        ["Running", "Waiting", "Waiting"],
        ["Finished", "Running", "Waiting"],
        ["Finished", "Finished", "Running"],
        ["Finished", "Finished", "Finished"],
    ]


def test_a_job_s_description_reads_back(client: Client) -> None:
    job_id = create_job(client, tasks={"count": descriptions.task("wc -l", InstanceCount=2)}, AutoRelease=True)
    description = client.get_job_description(job_id)
    assert (description.Name, description.Type, description.Priority) == ("my-job", "DAG", 5)
    assert (description.JobFailOnInstanceFail, description.AutoRelease) == (True, True)
    assert description.Description == "Batchcompute Python SDK"
    task = description.DAG.get_task("count")
    assert (task.InstanceCount, task.Timeout, task.MaxRetryCount) == (2, 3600, 0)
    assert task.Parameters.Command.CommandLine == "wc -l"
    assert task.AutoCluster.ImageId == "img-ubuntu"
    assert description.Notification.Topic.Events in (None, [])


def test_jobs_are_listed_in_pages_in_the_order_of_their_creation(client: Client) -> None:
    created = [create_job(client) for _ in range(3)]
    page = client.list_jobs("", 2)
    assert ([job.Id for job in page.Items], page.NextMarker) == (created[:2], created[2])
    page = client.list_jobs(page.NextMarker, 2)
    assert ([job.Id for job in page.Items], page.NextMarker) == (created[2:], "")


def test_jobs_are_listed_by_state_and_in_the_order_asked_for(client: Client) -> None:
    one, two, three = (create_job(client, name=name) for name in ("b", "a", "c"))
    client.stop_job(two)
    assert [job.Id for job in client.list_jobs("", 10, "Stopped").Items] == [two]
    by_name = client.list_jobs("", 10, OrderBy="Name", IsReverse="true").Items
    assert [job.Id for job in by_name] == [three, one, two]


def test_easy_list_finds_jobs_by_name_and_states(client: Client) -> None:
    ids = [create_job(client, name=f"job-{number}") for number in range(3)]
    client.stop_job(ids[2])
    assert ids[0] in client.easy_list("jobs")
    assert [job.Id for job in client.easy_list("jobs", State=["Stopped", "Failed"])] == [ids[2]]
    assert [job.Id for job in client.easy_list("jobs", Name=lambda name: name.endswith("1"))] == [ids[1]]


def test_easy_list_takes_more_than_one_page(fake: FakeBatch, client: Client) -> None:
    job_id = create_job(client, tasks={"count": descriptions.task(InstanceCount=101)})
    listed = client.easy_list("instances", job_id, "count")
    assert [instance.InstanceId for instance in listed] == list(range(101))
    assert [call.parameters["Marker"] for call in fake.calls.of("ListInstances")] == ["0", "100"]


def test_tasks_are_listed_in_pages_and_by_state(client: Client) -> None:
    tasks = {name: descriptions.task() for name in ("a", "b", "c")}
    job_id = create_job(client, tasks=tasks, dependencies={"a": ["b"]})
    page = client.list_tasks(job_id, "", 2)
    assert ([task.TaskName for task in page.Items], page.NextMarker) == (["a", "b"], "c")
    states(client, job_id, 2)
    assert [task.TaskName for task in client.list_tasks(job_id, "", 10, "Running").Items] == ["a", "c"]
    assert [task.TaskName for task in client.easy_list("tasks", job_id, State="Waiting")] == ["b"]


def test_tasks_and_jobs_are_listed_by_their_cluster(client: Client) -> None:
    cluster_id = create_cluster(client)
    mine = descriptions.task(ClusterId=cluster_id, AutoCluster={})
    job_id = create_job(client, tasks={"mine": mine, "other": descriptions.task()})
    create_job(client)
    assert [job.Id for job in client.list_jobs("", 10, cluster_id=cluster_id).Items] == [job_id]
    assert [task.TaskName for task in client.list_tasks(job_id, "", 10, cluster_id=cluster_id).Items] == ["mine"]


@pytest.mark.parametrize("start", ["", 0])
def test_instances_are_listed_from_0_or_from_the_beginning(client: Client, start: str | int) -> None:
    job_id = create_job(client, tasks={"count": descriptions.task(InstanceCount=3)})
    page = client.list_instances(job_id, "count", start, 2)
    assert ([instance.InstanceId for instance in page.Items], page.NextMarker) == ([0, 1], "2")
    page = client.list_instances(job_id, "count", page.NextMarker, 2)
    assert ([instance.InstanceId for instance in page.Items], page.NextMarker) == ([2], "")


def test_a_stopped_job_can_be_started_again(client: Client) -> None:
    job_id = create_job(client)
    assert client.stop_job(job_id).StatusCode == 201
    assert states(client, job_id, 2) == ["Stopped", "Stopped"]
    assert client.get_task(job_id, "count").State == "Stopped"
    assert client.get_job(job_id).EndTime
    client.change_job_priority(job_id, 98)
    assert client.start_job(job_id).StatusCode == 201
    assert states(client, job_id, 3) == ["Waiting", "Running", "Finished"]
    assert client.get_job(job_id).Priority == client.get_job_description(job_id).Priority == 98


def test_a_deleted_job_is_not_found(fake: FakeBatch, client: Client) -> None:
    job_id = create_job(client)
    client.stop_job(job_id)
    assert client.delete_job(job_id).StatusCode == 204
    assert refusal(lambda: client.get_job(job_id)) == (404, "InvalidResource.NotFound")
    assert job_id not in fake.jobs


@pytest.mark.parametrize(
    ("polls", "refused"),
    [
        (1, ["start_job", "change_job_priority", "delete_job"]),
        (2, ["start_job", "change_job_priority", "delete_job"]),
        (3, ["stop_job", "start_job", "change_job_priority"]),
    ],
)
def test_what_a_job_s_state_does_not_allow_is_a_conflict(client: Client, polls: int, refused: list[str]) -> None:
    job_id = create_job(client)
    states(client, job_id, polls)
    calls = asked(client, Ids(job=job_id))
    assert [refusal(calls[method][1]) for method in refused] == [(409, "StateConflict")] * len(refused)


def test_a_task_or_an_instance_that_is_not_there_is_not_found(client: Client) -> None:
    job_id = create_job(client)
    requests: list[Callable[[], object]] = [
        lambda: client.get_task(job_id, "nope"),
        lambda: client.list_instances(job_id, "nope", 0, 10),
        lambda: client.get_instance(job_id, "nope", 0),
        lambda: client.get_instance(job_id, "count", 1),
    ]
    for request in requests:
        assert refusal(request) == (404, "InvalidResource.NotFound")


def test_a_failed_job_tells_why(fake: FakeBatch, client: Client) -> None:
    fake.progress(job="my-*").fail(task="count", instance=1, exit_code=137, message="out of memory")
    job_id = create_job(client, tasks={"count": descriptions.task(InstanceCount=3, MaxRetryCount=0)})
    assert states(client, job_id, 3) == ["Waiting", "Running", "Failed"]
    job = client.get_job(job_id)
    assert job.Message
    assert (job.TaskMetrics.FailedCount, job.InstanceMetrics.FailedCount) == (1, 1)
    instance = client.get_instance(job_id, "count", 1)
    assert (instance.State, instance.Result.ExitCode) == ("Failed", 137)
    assert "out of memory" in (instance.Result.ErrorMessage, instance.Result.Detail)
    assert [one.InstanceId for one in client.easy_list("instances", job_id, "count", State="Failed")] == [1]


def test_a_failed_instance_is_retried_in_its_place(fake: FakeBatch, client: Client) -> None:
    fake.progress(job="my-*").fail(task="count", instance=0, attempts=1)
    job_id = create_job(client, tasks={"count": descriptions.task(MaxRetryCount=1)})
    assert client.poll(job_id, interval=0) == []
    assert client.get_instance(job_id, "count", 0).RetryCount == 1


def test_instances_that_finished_do_not_run_again(fake: FakeBatch, client: Client) -> None:
    fake.progress(job="my-*").fail(task="count", instance=1)
    job_id = create_job(client, tasks={"count": descriptions.task(InstanceCount=2)})
    assert client.poll(job_id, interval=0) == [f"Job {job_id} failed."]
    ended = client.get_instance(job_id, "count", 0).EndTime
    fake.progress(job="my-*")
    client.start_job(job_id)
    assert client.poll(job_id, interval=0) == []
    assert client.get_instance(job_id, "count", 0).EndTime == ended


def test_a_job_that_is_to_be_released_is_gone_once_it_was_seen_finished(fake: FakeBatch, client: Client) -> None:
    job_id = create_job(client, AutoRelease=True)
    assert states(client, job_id, 3) == ["Waiting", "Running", "Finished"]
    assert refusal(lambda: client.get_job(job_id)) == (404, "InvalidResource.NotFound")
    assert job_id not in fake.jobs


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": "9lives"}, "InvalidName"),
        ({"Priority": 1001}, "InvalidPriority"),
        ({"Description": "d" * 1025}, "InvalidDescription"),
        ({"dependencies": {"count": ["count"]}}, "BadDAG"),
        ({"dependencies": {"count": ["nope"]}}, "InvalidDependencies"),
        ({"tasks": {"count": descriptions.task("x" * 1025)}}, "InvalidCommandLine"),
        ({"tasks": {"count": descriptions.task(ClusterId="cls nope", AutoCluster={})}}, "InvalidClusterId"),
    ],
)
def test_a_job_that_is_described_wrongly_is_refused(client: Client, fields: dict[str, Any], code: str) -> None:
    assert refusal(lambda: create_job(client, **fields)) == (400, code)


# poll


def test_poll_returns_no_errors_of_jobs_that_finish(fake: FakeBatch, client: Client) -> None:
    ids = [create_job(client) for _ in range(2)]
    assert client.poll(ids, interval=0) == []
    # Three rounds, and each job once more at the end.
    assert len(fake.calls.of("GetJob")) == 8


def test_poll_tells_which_jobs_failed_and_which_were_stopped(fake: FakeBatch, client: Client) -> None:
    fake.progress(job="bad", waiting=0, running=0).fail(message="no capacity")
    bad, stopped = create_job(client, name="bad"), create_job(client)
    client.stop_job(stopped)
    assert client.poll([bad, stopped], interval=0) == [f"Job {bad} failed.", f"Job {stopped} stopped."]


def test_poll_stops_the_other_jobs_once_one_has_failed(fake: FakeBatch, client: Client) -> None:
    fake.progress(job="bad", waiting=0, running=0).fail(message="no capacity")
    fake.progress(job="long", running="forever")
    bad, long = create_job(client, name="bad"), create_job(client, name="long")
    assert client.poll([bad, long], interval=0) == [f"Job {bad} failed."]
    assert fake.jobs[long].state == "Stopped"


def test_poll_stops_what_has_not_ended_in_time(fake: FakeBatch, client: Client) -> None:
    fake.progress(job="*", running="forever")
    job_id = create_job(client)
    assert client.poll(job_id, timeout=0, interval=0) == ["Timeout(0)."]
    assert fake.jobs[job_id].state == "Stopped"


def test_poll_does_not_find_a_job_that_was_released_before_its_last_look(client: Client) -> None:
    job_id = create_job(client, AutoRelease=True)
    assert refusal(lambda: client.poll(job_id, interval=0)) == (404, "InvalidResource.NotFound")


def test_poll_ends_at_a_job_that_was_moved_by_hand(fake: FakeBatch, client: Client) -> None:
    fake.progress(job="*", waiting="forever")
    finished, failed = create_job(client), create_job(client)
    fake.jobs.finish(finished)
    fake.jobs.fail(failed, message="by hand")
    assert client.poll([finished, failed], interval=0) == [f"Job {failed} failed."]
    assert client.get_job(failed).Message == "by hand"


def test_poll_gives_up_at_the_first_error(fake: FakeBatch, client: Client) -> None:
    job_id = create_job(client)
    fake.on("GetJob", calls=2).fail("Throttling.User")
    assert refusal(lambda: client.poll(job_id, interval=0)) == (400, "Throttling.User")
    assert fake.jobs[job_id].state == "Waiting"


def test_poll_of_what_is_no_id_asks_nothing(fake: FakeBatch, client: Client) -> None:
    assert client.poll(7) == ["Invalid job ids: 7."]
    assert len(fake.calls) == 0


# Apps


@pytest.mark.parametrize("form", [dict, json.dumps, AppDescription])
def test_an_app_is_created_from_a_dict_a_text_or_a_description(
    fake: FakeBatch, client: Client, form: Callable[[dict[str, Any]], Any]
) -> None:
    created = client.create_app(form(descriptions.app()))
    assert (created.StatusCode, created.Id, created.Name) == (201, "echo", "echo")
    assert "echo" in fake.apps


def test_an_app_reads_back(client: Client) -> None:
    client.create_app(descriptions.app(Description="says it", EnvVars={"a": "b"}))
    app = client.get_app("echo")
    assert (app.Name, app.Description) == ("echo", "says it")
    assert app.get_input_parameter("text").Type == "String"
    assert isinstance(app.CreationTime, datetime)
    detail = client.get_app_detail("echo")
    assert (detail.Name, detail.CommandLine, detail.VM.ECSImageId) == ("echo", "echo ${text} > ${file}", "m-1")
    assert (detail.EnvVars, detail.Daemonize) == ({"a": "b"}, False)
    assert detail.get_outpu_parameter("file").LocalPath == "/home/out"


def test_every_change_of_an_app_is_a_revision(client: Client) -> None:
    client.create_app(descriptions.app(CommandLine="one"))
    assert client.modify_app("echo", descriptions.app(CommandLine="two")).StatusCode == 200
    revisions = client.get_app_revisions("echo")
    assert [revision.Revision for revision in revisions.Items] == [0, 1]
    assert all(isinstance(revision.UpdateTime, datetime) for revision in revisions)
    lines = {qualifier: client.get_app_detail("echo", qualifier).CommandLine for qualifier in ("", "0", "1")}
    assert lines == {"": "two", "0": "one", "1": "two"}
    assert refusal(lambda: client.get_app_detail("echo", "2")) == (404, "InvalidResource.NotFound")


def test_a_second_app_of_a_name_is_refused(client: Client) -> None:
    client.create_app(descriptions.app())
    assert refusal(lambda: client.create_app(descriptions.app())) == (403, "InvalidResource.AlreadyExisting")


def test_a_token_makes_one_app_of_two_requests(fake: FakeBatch, client: Client) -> None:
    for _ in range(2):
        assert client.create_app(descriptions.app(), "token_1").Id == "echo"
    assert len(fake.apps) == 1


def test_apps_are_listed_by_name_without_regard_to_case(client: Client) -> None:
    for name in ("test_1", "echo", "Test", "JavaSdkApp"):
        client.create_app(descriptions.app(name))
    page = client.list_apps(max_item_count=3)
    assert ([app.Name for app in page.Items], page.NextMarker) == (["echo", "JavaSdkApp", "Test"], "test_1")
    page = client.list_apps(marker=page.NextMarker)
    assert ([app.Name for app in page.Items], page.NextMarker) == (["test_1"], "")


def test_one_s_own_app_is_not_public(client: Client) -> None:
    client.create_app(descriptions.app())
    assert client.list_apps(scope="Public").Items == []
    assert refusal(lambda: client.get_app("echo", "Public")) == (404, "InvalidResource.NotFound")


def test_a_revision_or_a_whole_app_is_deleted(fake: FakeBatch, client: Client) -> None:
    client.create_app(descriptions.app())
    client.modify_app("echo", descriptions.app(CommandLine="two"))
    assert client.delete_app("echo", "0").StatusCode == 204
    assert [revision.Revision for revision in client.get_app_revisions("echo").Items] == [1]
    client.delete_app("echo")
    assert "echo" not in fake.apps


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"Name": "a b"}, "InvalidName"), ({"Description": "d" * 1001}, "InvalidDescription")],
)
def test_an_app_that_is_described_wrongly_is_refused(client: Client, fields: dict[str, Any], code: str) -> None:
    assert refusal(lambda: client.create_app({**descriptions.app(), **fields})) == (400, code)


def test_an_app_is_run_by_a_job(client: Client) -> None:
    client.create_app(descriptions.app())
    job_id = client.create_job(descriptions.app_job()).Id
    description = client.get_job_description(job_id)
    assert (description.Type, description.App.AppName) == ("App", "echo")
    assert (description.App.get_input("text"), description.App.get_output("file")) == ("hello", "oss://bucket/out")
    assert client.poll(job_id, interval=0) == []
    [task] = client.list_tasks(job_id, "", 10).Items
    [instance] = client.list_instances(job_id, task.TaskName, 0, 10).Items
    assert (task.TaskName, instance.get_output("file")) == ("task", "oss://bucket/out")
    assert (instance.Error.Code or "", instance.Error.Message or "") == ("", "")


def test_a_job_that_lacks_what_an_app_needs_is_refused(client: Client) -> None:
    client.create_app(descriptions.app())
    job = descriptions.app_job()
    job["App"]["Inputs"] = {}
    assert refusal(lambda: client.create_job(job)) == (400, "MissingInputs.text")


def test_a_synchronous_job_answers_its_outputs(fake: FakeBatch, client: Client) -> None:
    client.create_app(descriptions.app())
    answer = client.create_job(descriptions.app_job(), sync=True)
    assert answer.get_output("file") == "oss://bucket/out"
    assert answer.StartTime <= answer.EndTime
    assert [job.state for job in fake.jobs] == ["Finished"]


# Quotas


def test_the_quotas_have_five_lists(client: Client) -> None:
    quotas = client.get_quotas()
    assert "OnDemand" in quotas.AvailableClusterResourceType
    assert all(
        [
            quotas.AvailableClusterInstanceType,
            quotas.AvailableClusterInstanceSystemDiskType,
            quotas.AvailableClusterInstanceDataDiskType,
            quotas.AvailableSpotInstanceType,
        ]
    )


def test_the_available_resource_tells_the_size_of_each_type(client: Client) -> None:
    resource = client.get_available_resource()
    for described in (*resource.AvailableClusterInstanceType, *resource.AvailableSpotInstanceType):
        assert described.InstanceType
        assert (described.CpuCore > 0, described.MemorySize > 0) == (True, True)
        assert isinstance(described.Network.Vpc, bool)
    assert resource.AvailableResourceType
    assert resource.AvailableSystemDiskType
    assert resource.AvailableDataDiskType


def test_the_types_of_the_quotas_are_among_those_that_are_described(client: Client) -> None:
    described = {one.InstanceType for one in client.get_available_resource().AvailableClusterInstanceType}
    assert described & set(client.get_quotas().AvailableClusterInstanceType)
