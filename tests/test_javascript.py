"""Jobs and clusters through npm's `aliyun-sdk`, signatures checked: it signs the decoded path, and its own date."""

from collections.abc import Callable, Iterator
from typing import Any

import descriptions
import pytest
from generic_clients import KEY, SECRET, Operate, RefusedError, aliyun_sdk

from fakebatch import Account, FakeBatch


@pytest.fixture
def fake() -> Iterator[FakeBatch]:
    with FakeBatch(accounts=[Account(KEY, SECRET)]) as started:
        yield started


@pytest.fixture
def operate(fake: FakeBatch) -> Operate:
    return aliyun_sdk(fake)


def create_cluster(operate: Operate, **fields: Any) -> str:
    return str(operate("createCluster", **descriptions.cluster(**fields))["Id"])


def create_job(operate: Operate, **fields: Any) -> str:
    return str(operate("createJob", **descriptions.job(**fields))["Id"])


def test_it_creates_a_job_and_watches_it_to_its_end(operate: Operate) -> None:
    job_id = create_job(operate)
    states = [operate("getJob", JobId=job_id)["State"] for _ in range(3)]
    assert states == ["Waiting", "Running", "Finished"]


def test_it_reads_the_owner_of_a_job(operate: Operate) -> None:
    assert isinstance(operate("getJob", JobId=create_job(operate))["OwnerId"], int)


def test_it_lists_jobs_in_pages_and_by_state(operate: Operate) -> None:
    created = [create_job(operate) for _ in range(3)]
    operate("stopJob", JobId=created[1])
    page = operate("listJobs", Marker="", MaxItemCount=2, State="")
    assert ([job["Id"] for job in page["Items"]], page["NextMarker"]) == (created[:2], created[2])
    page = operate("listJobs", Marker="", MaxItemCount=2, State="Stopped")
    assert ([job["Id"] for job in page["Items"]], page["NextMarker"]) == (created[1:2], "")


def test_it_reads_the_parts_of_a_job(operate: Operate) -> None:
    job_id = create_job(operate, tasks={"count": descriptions.task(InstanceCount=2)})
    assert operate("getJobDescription", JobId=job_id)["DAG"]["Tasks"]["count"]["InstanceCount"] == 2
    tasks = operate("listTasks", JobId=job_id, Marker="", MaxItemCount=10)["Items"]
    assert tasks == [operate("getTask", JobId=job_id, TaskName="count")]
    asked = {"JobId": job_id, "TaskName": "count"}
    instances = operate("listInstances", **asked, Marker="", MaxItemCount=10)["Items"]
    assert instances == [operate("getInstance", **asked, InstanceId=number) for number in ("0", "1")]


def test_it_stops_changes_starts_and_deletes_a_job(fake: FakeBatch, operate: Operate) -> None:
    job_id = create_job(operate)
    operate("stopJob", JobId=job_id)
    operate("changeJobPriority", JobId=job_id, Priority=7)
    operate("startJob", JobId=job_id)
    assert operate("getJob", JobId=job_id)["Priority"] == 7
    operate("stopJob", JobId=job_id)
    operate("deleteJob", JobId=job_id)
    assert job_id not in fake.jobs


def test_it_creates_lists_changes_and_deletes_a_cluster(operate: Operate) -> None:
    cluster_id = create_cluster(operate, vms=0)
    operate("changeClusterDesiredVMCount", ClusterId=cluster_id, Groups={"workers": {"DesiredVMCount": 2}})
    assert operate("getCluster", ClusterId=cluster_id)["Groups"]["workers"]["DesiredVMCount"] == 2
    listed = operate("listClusters", Marker="", MaxItemCount=10)["Items"]
    assert [cluster["Id"] for cluster in listed] == [cluster_id]
    operate("deleteCluster", ClusterId=cluster_id)
    pages = [operate("listClusters", Marker="", MaxItemCount=10)["Items"] for _ in range(2)]
    assert pages[-1] == []


def test_it_deletes_and_recreates_instances_of_a_cluster(operate: Operate) -> None:
    group = {"ClusterId": create_cluster(operate), "GroupName": "workers"}
    operate("listClusterInstances", **group, Marker="", MaxItemCount=10)
    first, second = (
        instance["Id"] for instance in operate("listClusterInstances", **group, Marker="", MaxItemCount=10)["Items"]
    )
    operate("deleteClusterInstance", **group, InstanceId=first)
    operate("recreateClusterInstance", **group, InstanceId=second)
    states = [operate("getClusterInstance", **group, InstanceId=vm)["State"] for vm in (first, second)]
    assert states == ["Deleting", "Deleting"]


def test_it_reads_the_quotas(operate: Operate) -> None:
    assert len(operate("getQuotas")) == 5
    assert operate("getAvailable")["AvailableClusterInstanceType"][0]["CpuCore"] > 0


def test_a_task_name_of_any_characters_is_signed_decoded(operate: Operate) -> None:
    with pytest.raises(RefusedError) as caught:
        operate("getTask", JobId=create_job(operate), TaskName="数 a+b&c=d%20~*")
    assert (caught.value.status, caught.value.code) == (404, "InvalidResource.NotFound")


def test_it_sees_what_it_did_wrong(operate: Operate) -> None:
    job_id = create_job(operate)
    mistakes: list[tuple[Callable[[], object], int, str]] = [
        (lambda: operate("getJob", JobId="job-nope"), 404, "InvalidResource.NotFound"),
        (lambda: operate("getCluster", ClusterId="cls-nope"), 404, "InvalidResource.NotFound"),
        (lambda: operate("deleteJob", JobId=job_id), 409, "StateConflict"),
        (lambda: operate("startJob", JobId=job_id), 409, "StateConflict"),
        (lambda: operate("listJobs", Marker="", MaxItemCount=101, State=""), 400, "InvalidMaxItemCount"),
    ]
    for wrong, status, code in mistakes:
        with pytest.raises(RefusedError) as caught:
            wrong()
        assert (caught.value.status, caught.value.code) == (status, code)


def test_a_wrong_secret_is_refused_on_every_kind_of_path(fake: FakeBatch, operate: Operate) -> None:
    job_id = create_job(operate)
    wrong = aliyun_sdk(fake, "wrong")
    requests: list[Callable[[], object]] = [
        lambda: create_job(wrong),
        lambda: wrong("getJobDescription", JobId=job_id),
        lambda: wrong("listInstances", JobId=job_id, TaskName="count", Marker="0", MaxItemCount=10),
        lambda: wrong("stopJob", JobId=job_id),
        lambda: wrong("changeJobPriority", JobId=job_id, Priority=7),
    ]
    for request in requests:
        with pytest.raises(RefusedError) as caught:
            request()
        assert (caught.value.status, caught.value.code) == (400, "SignatureDoesNotMatch")
    assert [job.state for job in fake.jobs] == ["Waiting"]
