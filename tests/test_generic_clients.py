"""Jobs, clusters and apps through clients that know nothing of them, over real sockets, with signatures checked."""

from collections.abc import Callable, Iterator

import descriptions
import pytest
from generic_clients import KEY, SECRET, Ask, RefusedError, aliyun_core, tea

from fakebatch import Account, FakeBatch

each_client = pytest.mark.parametrize("client", [aliyun_core, tea])
Client = Callable[[FakeBatch, str], Ask]


@pytest.fixture
def fake() -> Iterator[FakeBatch]:
    with FakeBatch(accounts=[Account(KEY, SECRET)]) as started:
        yield started


def ids(page: dict[str, list[dict[str, str]]]) -> list[str]:
    return [item["Id"] for item in page["Items"]]


@each_client
def test_it_creates_a_job_and_watches_it_to_its_end(fake: FakeBatch, client: Client) -> None:
    ask = client(fake, SECRET)
    job_id = ask("POST", "/jobs", {}, descriptions.job())["Id"]
    states = [ask("GET", f"/jobs/{job_id}")["State"] for _ in range(3)]
    assert states == ["Waiting", "Running", "Finished"]
    assert ids(ask("GET", "/jobs", {"State": "Finished", "MaxItemCount": "10"})) == [job_id]


@each_client
def test_it_reads_the_parts_of_a_job(fake: FakeBatch, client: Client) -> None:
    ask = client(fake, SECRET)
    job_id = ask("POST", "/jobs", {}, descriptions.job(tasks={"count": descriptions.task(InstanceCount=3)}))["Id"]
    assert ask("GET", f"/jobs/{job_id}", {"description": ""})["DAG"]["Tasks"]["count"]["InstanceCount"] == 3
    assert ask("GET", f"/jobs/{job_id}/tasks/count")["InstanceMetrics"]["WaitingCount"] == 3
    page = ask("GET", f"/jobs/{job_id}/tasks/count/instances", {"Marker": "1", "MaxItemCount": "1"})
    assert ([instance["InstanceId"] for instance in page["Items"]], page["NextMarker"]) == ([1], "2")


@each_client
def test_it_stops_changes_starts_and_deletes_a_job(fake: FakeBatch, client: Client) -> None:
    ask = client(fake, SECRET)
    job_id = ask("POST", "/jobs", {}, descriptions.job())["Id"]
    ask("POST", f"/jobs/{job_id}/stop")
    ask("PUT", f"/jobs/{job_id}", {}, {"Priority": 7})
    ask("POST", f"/jobs/{job_id}/start")
    assert ask("GET", f"/jobs/{job_id}")["Priority"] == 7
    ask("POST", f"/jobs/{job_id}/stop")
    ask("DELETE", f"/jobs/{job_id}")
    assert job_id not in fake.jobs


@each_client
def test_it_sees_in_which_state_a_job_is_that_can_not_be_deleted(fake: FakeBatch, client: Client) -> None:
    ask = client(fake, SECRET)
    job_id = ask("POST", "/jobs", {}, descriptions.job())["Id"]
    with pytest.raises(RefusedError, match="current resource state is Waiting") as caught:
        ask("DELETE", f"/jobs/{job_id}")
    assert (caught.value.status, caught.value.code) == (409, "StateConflict")


@each_client
def test_it_creates_a_cluster_changes_it_and_deletes_it(fake: FakeBatch, client: Client) -> None:
    ask = client(fake, SECRET)
    cluster_id = ask("POST", "/clusters", {}, descriptions.cluster(vms=0))["Id"]
    ask("PUT", f"/clusters/{cluster_id}", {}, {"Groups": {"workers": {"DesiredVMCount": 2}}})
    assert ask("GET", f"/clusters/{cluster_id}")["Groups"]["workers"]["DesiredVMCount"] == 2
    assert ids(ask("GET", "/clusters", {"MaxItemCount": "10"})) == [cluster_id]
    ask("DELETE", f"/clusters/{cluster_id}")
    assert [ask("GET", "/clusters")["Items"] for _ in range(2)][-1] == []


@each_client
def test_it_deletes_and_recreates_instances_of_a_cluster(fake: FakeBatch, client: Client) -> None:
    ask = client(fake, SECRET)
    instances = f"/clusters/{ask('POST', '/clusters', {}, descriptions.cluster())['Id']}/groups/workers/instances"
    ask("GET", instances)
    first, second = ids(ask("GET", instances))
    ask("DELETE", f"{instances}/{first}")
    ask("POST", f"{instances}/{second}/recreate")
    assert [ask("GET", f"{instances}/{vm}")["State"] for vm in (first, second)] == ["Deleting", "Deleting"]


@each_client
def test_it_creates_an_app_and_runs_it(fake: FakeBatch, client: Client) -> None:
    ask = client(fake, SECRET)
    assert ask("POST", "/apps", {}, descriptions.app())["Name"] == "echo"
    ask("PUT", "/apps/echo", {}, descriptions.app(CommandLine="true"))
    assert [revision["Revision"] for revision in ask("GET", "/apps/echo", {"Revisions": "True"})] == [0, 1]
    assert ask("GET", "/apps/echo", {"Detail": "True", "Qualifier": "1"})["CommandLine"] == "true"
    job_id = ask("POST", "/jobs", {}, descriptions.app_job())["Id"]
    assert ask("GET", f"/jobs/{job_id}", {"description": ""})["App"]["AppName"] == "echo"


@each_client
def test_it_reads_the_quotas(fake: FakeBatch, client: Client) -> None:
    ask = client(fake, SECRET)
    assert len(ask("GET", "/quotas")) == 5
    assert ask("GET", "/available")["AvailableClusterInstanceType"][0]["CpuCore"] > 0


@each_client
def test_a_wrong_secret_is_refused_on_every_kind_of_path(fake: FakeBatch, client: Client) -> None:
    job_id = client(fake, SECRET)("POST", "/jobs", {}, descriptions.job())["Id"]
    ask = client(fake, "wrong")
    requests: list[Callable[[], object]] = [
        lambda: ask("POST", "/jobs", {}, descriptions.job()),
        lambda: ask("GET", f"/jobs/{job_id}", {"description": ""}),
        lambda: ask("GET", f"/jobs/{job_id}/tasks/count/instances", {"Marker": "0", "MaxItemCount": "10"}),
        lambda: ask("POST", f"/jobs/{job_id}/stop"),
        lambda: ask("PUT", f"/jobs/{job_id}", {}, {"Priority": 7}),
    ]
    for request in requests:
        with pytest.raises(RefusedError) as caught:
            request()
        assert (caught.value.status, caught.value.code) == (400, "SignatureDoesNotMatch")
    assert [job.state for job in fake.jobs] == ["Waiting"]
