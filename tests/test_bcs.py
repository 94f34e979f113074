"""The official command `bcs`, unmodified, in a child process that is redirected: over HTTPS, and once over HTTP."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import commands
import descriptions
import pytest

from fakebatch import Account, FakeBatch

REGION = "cn-shanghai"
SETTINGS = f"""
[common]
region = {REGION}
accesskeyid = key
accesskeysecret = secret
osspath = oss://bucket/bcscli/
defaultimage = img-ubuntu
defaulttype = ecs.sn1.large
god = yes
"""


@pytest.fixture
def fake() -> Iterator[FakeBatch]:
    with FakeBatch(accounts=[Account("key", "secret")]) as started:
        yield started


class Bcs:
    """The command, with a home folder of its own. Called with its arguments, it returns what it printed."""

    def __init__(self, fake: FakeBatch, home: Path) -> None:
        self.fake, self.home = fake, home

    def __call__(self, *arguments: str) -> str:
        printed = self.run(*arguments)
        assert "ERROR" not in printed, printed
        return printed

    def refused(self, *arguments: str) -> str:
        """Return the error that it printed."""
        printed = self.run(*arguments)
        assert "ERROR" in printed, printed
        return printed

    def run(self, *arguments: str) -> str:
        result = commands.run(self.fake, self.home, "bcs", *arguments)
        assert "Traceback" not in result.stdout, result.stdout
        assert result.returncode == 0, result.stdout
        return result.stdout

    def operations(self) -> list[str | None]:
        """Return what it has asked for so far."""
        return [call.operation for call in self.fake.calls]


@pytest.fixture
def bcs(fake: FakeBatch, tmp_path: Path) -> Bcs:
    """A command that is logged in."""
    (tmp_path / ".batchcompute").mkdir()
    (tmp_path / ".batchcompute" / "cliconfig").write_text(SETTINGS)
    return Bcs(fake, tmp_path)


def created(printed: str) -> str:
    """Return the Id of what was created."""
    found = re.search(r"created: (\S+)", printed)
    assert found, printed
    return found[1]


def rows(printed: str) -> list[list[str]]:
    """Return the cells of the tables that were printed."""
    cells = ([cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if "|" in line)
    return [row for row in cells if row]


def job(fake: FakeBatch, **fields: Any) -> str:
    return str(fake.sdk_client().create_job(descriptions.job(**fields)).Id)


def cluster(fake: FakeBatch, **fields: Any) -> str:
    return str(fake.sdk_client().create_cluster(descriptions.cluster(**fields)).Id)


def vms(fake: FakeBatch, cluster_id: str) -> list[str]:
    page = fake.sdk_client().list_cluster_instances(cluster_id, "workers", "", 100)
    return [instance.Id for instance in page.Items]


# Settings


def test_login_tries_the_key_and_keeps_it(fake: FakeBatch, tmp_path: Path) -> None:
    bcs = Bcs(fake, tmp_path)
    assert "login success" in bcs("login", REGION, "key", "secret")
    assert bcs.operations() == ["ListJobs", "GetAvailableResource"]
    assert {call.host for call in fake.calls} == {f"batchcompute.{REGION}.aliyuncs.com"}
    assert "Total: 0" in bcs("j")


def test_login_with_a_wrong_secret_is_refused(fake: FakeBatch, tmp_path: Path) -> None:
    bcs = Bcs(fake, tmp_path)
    assert "SignatureDoesNotMatch" in bcs.refused("login", REGION, "key", "wrong")
    assert "login first" in bcs.refused("j")


def test_login_tells_the_command_of_the_sizes_of_types(fake: FakeBatch, tmp_path: Path) -> None:
    bcs = Bcs(fake, tmp_path)
    bcs("login", REGION, "key", "secret")
    printed = bcs("t")
    client = fake.sdk_client()
    sizes = {one.InstanceType: one for one in client.get_available_resource().AvailableClusterInstanceType}
    known = [name for name in client.get_quotas().AvailableClusterInstanceType if name in sizes]
    assert known
    for name in known:
        assert [name, str(sizes[name].CpuCore), str(int(sizes[name].MemorySize))] in rows(printed)


def test_with_ssl_off_it_asks_over_http(bcs: Bcs) -> None:
    (bcs.home / ".batchcompute" / "cliconfig").write_text(f"{SETTINGS}ssl = off\n")
    job_id = created(bcs("cj", json.dumps(descriptions.job())))
    assert job_id in bcs("j")
    assert "done" in bcs("dj", job_id, "-y")
    assert {"CreateJob", "ListJobs", "StopJob", "DeleteJob"} <= set(bcs.operations())


def test_r_and_d_print_the_kinds_of_resources_and_disks(fake: FakeBatch, bcs: Bcs) -> None:
    quotas = fake.sdk_client().get_quotas()
    resources, disks = bcs("r"), bcs("d")
    assert all(name in resources for name in quotas.AvailableClusterResourceType)
    assert all(name in disks for name in quotas.AvailableClusterInstanceSystemDiskType)
    assert all(name in disks for name in quotas.AvailableClusterInstanceDataDiskType)


def test_a_command_names_itself_and_its_version(fake: FakeBatch, bcs: Bcs) -> None:
    bcs("r")
    [call] = fake.calls
    assert call.headers["x-client-name"] == "batchcompute-cli"
    assert call.host == f"batchcompute.{REGION}.aliyuncs.com"


# Clusters


def test_cc_creates_a_cluster(fake: FakeBatch, bcs: Bcs) -> None:
    cluster_id = created(bcs("cc", "my-cluster", "-n", "3", "-u", "a:b", "-e", "c:d"))
    assert fake.clusters[cluster_id].name == "my-cluster"
    read = fake.sdk_client().get_cluster(cluster_id)
    assert read.get_group("group").DesiredVMCount == 3
    assert (read.UserData, read.EnvVars) == ({"a": "b"}, {"c": "d"})


def test_c_lists_clusters(fake: FakeBatch, bcs: Bcs) -> None:
    ids = [cluster(fake, name=f"cluster-{number}") for number in range(2)]
    printed = bcs("c")
    assert "Total: 2" in printed
    assert all(cluster_id in printed for cluster_id in ids)


def test_c_lists_more_clusters_than_a_page_has(fake: FakeBatch, bcs: Bcs) -> None:
    for _ in range(101):
        cluster(fake, vms=0)
    assert "Total: 101" in bcs("c")
    assert len(fake.calls.of("ListClusters")) == 2


def test_c_shows_a_cluster_and_its_log(fake: FakeBatch, bcs: Bcs) -> None:
    cluster_id = cluster(fake)
    printed = bcs("c", cluster_id, "-l")
    assert f"Id: {cluster_id}" in printed
    assert "State: Active" in printed
    assert "workers" in printed
    assert "Creating cluster successfully" in printed


def test_c_shows_the_instances_of_a_group(fake: FakeBatch, bcs: Bcs) -> None:
    cluster_id = cluster(fake)
    vms(fake, cluster_id)
    printed = bcs("c", cluster_id, "workers")
    assert all(vm in printed for vm in vms(fake, cluster_id))
    assert "Running" in printed


def test_uc_changes_the_number_of_instances(fake: FakeBatch, bcs: Bcs) -> None:
    cluster_id = created(bcs("cc", "my-cluster"))
    assert "done" in bcs("uc", cluster_id, "-n", "3", "-y")
    assert fake.sdk_client().get_cluster(cluster_id).get_group("group").DesiredVMCount == 3


def test_dci_and_rci_delete_and_recreate_an_instance(fake: FakeBatch, bcs: Bcs) -> None:
    cluster_id = cluster(fake)
    vms(fake, cluster_id)
    first, second = vms(fake, cluster_id)
    assert "done" in bcs("dci", cluster_id, "workers", first, "-y")
    assert "StateConflict" in bcs.refused("dci", cluster_id, "workers", first, "-y")
    assert "done" in bcs("rci", cluster_id, "workers", second, "-y")
    assert fake.sdk_client().get_cluster(cluster_id).get_group("workers").DesiredVMCount == 1


def test_dc_deletes_clusters(fake: FakeBatch, bcs: Bcs) -> None:
    ids = [cluster(fake, vms=0) for _ in range(2)]
    assert bcs("dc", ",".join(ids), "-y").count("done") == 2
    assert len(fake.clusters) == 0


# Jobs


def test_sub_submits_a_job_on_a_cluster_of_its_own(fake: FakeBatch, bcs: Bcs) -> None:
    job_id = created(bcs("sub", "echo hello", "my-job", "-n", "3"))
    assert fake.jobs[job_id].name == "my-job"
    description = fake.sdk_client().get_job_description(job_id)
    task = description.DAG.get_task("task")
    assert (task.InstanceCount, task.Timeout, task.Parameters.Command.CommandLine) == (3, 86400, "echo hello")
    assert task.AutoCluster.ImageId == "img-ubuntu"
    assert (description.Description, description.Priority) == ("BatchCompute cli job", 1)


def test_sub_submits_a_job_on_a_cluster(fake: FakeBatch, bcs: Bcs) -> None:
    cluster_id = cluster(fake)
    job_id = created(bcs("sub", "echo hello", "-c", cluster_id))
    assert fake.sdk_client().get_job_description(job_id).DAG.get_task("task").ClusterId == cluster_id
    assert cluster_id in bcs("j", job_id)


def test_cj_creates_a_job_from_json(fake: FakeBatch, bcs: Bcs) -> None:
    (bcs.home / "job.json").write_text(json.dumps(descriptions.job("from-a-file")))
    ids = [created(bcs("cj", json.dumps(descriptions.job()))), created(bcs("cj", "-f", str(bcs.home / "job.json")))]
    assert [fake.jobs[job_id].name for job_id in ids] == ["my-job", "from-a-file"]


def test_j_lists_jobs(fake: FakeBatch, bcs: Bcs) -> None:
    ids = [job(fake, name=f"job-{number}") for number in range(3)]
    fake.sdk_client().stop_job(ids[1])
    printed = bcs("j")
    assert "Total: 3" in printed
    assert all(job_id in printed for job_id in ids)
    stopped = bcs("j", "-s", "Stopped")
    assert [job_id for job_id in ids if job_id in stopped] == [ids[1]]


def test_j_lists_more_jobs_than_a_page_has(fake: FakeBatch, bcs: Bcs) -> None:
    for _ in range(101):
        job(fake)
    assert "Total: 101" in bcs("j", "-a")
    assert [call.parameters["Marker"] == "" for call in fake.calls.of("ListJobs")] == [True, False]


def test_j_shows_a_job_its_tasks_and_their_instances(fake: FakeBatch, bcs: Bcs) -> None:
    tasks = {name: descriptions.task(f"do {name}", InstanceCount=2) for name in ("split", "count", "merge")}
    job_id = job(fake, tasks=tasks, dependencies={"split": ["count"], "count": ["merge"]})
    printed = bcs("j", job_id)
    assert f"Id: {job_id}" in printed
    assert "State: Waiting" in printed
    assert all(name in printed for name in tasks)
    printed = bcs("j", job_id, "count")
    assert "CommandLine: do count" in printed
    assert [row[:2] for row in rows(printed) if row[0] in ("0", "1")] == [["0", "Waiting"], ["1", "Waiting"]]
    assert f"stdout.{job_id}.count.1" in bcs("j", job_id, "count", "1", "--show_json")


def test_j_prints_the_description_of_a_job(fake: FakeBatch, bcs: Bcs) -> None:
    job_id = job(fake, tasks={"count": descriptions.task("do count")})
    printed = bcs("j", job_id, "-d")
    assert '"CommandLine": "do count"' in printed
    assert fake.calls[-1].operation == "GetJobDescription"


def test_j_tells_why_a_job_failed(fake: FakeBatch, bcs: Bcs) -> None:
    job_id = job(fake)
    fake.jobs.fail(job_id, message="no capacity")
    printed = bcs("j", job_id)
    assert "State: Failed" in printed
    assert "no capacity" in printed


def test_sj_uj_and_rj_stop_change_and_restart_a_job(fake: FakeBatch, bcs: Bcs) -> None:
    job_id = job(fake)
    assert "StateConflict" in bcs.refused("uj", job_id, "-p", "7", "-y")
    assert "done" in bcs("sj", job_id, "-y")
    assert "done" in bcs("uj", job_id, "-p", "7", "-y")
    assert "done" in bcs("rj", job_id, "-y")
    assert fake.sdk_client().get_job(job_id).Priority == 7
    assert fake.jobs[job_id].state in ("Waiting", "Running")


def test_dj_stops_what_has_not_ended_and_deletes(fake: FakeBatch, bcs: Bcs) -> None:
    waiting, ended = job(fake), job(fake)
    fake.jobs.finish(ended)
    assert bcs("dj", f"{waiting},{ended}", "-y").count("done") == 2
    assert len(fake.jobs) == 0
    assert [call.code for call in fake.calls.of("StopJob")] == ["", "StateConflict"]


def test_check_prints_the_tree_of_a_job(fake: FakeBatch, bcs: Bcs) -> None:
    tasks = {"split": descriptions.task(), "count": descriptions.task(InstanceCount=2)}
    job_id = job(fake, tasks=tasks, dependencies={"split": ["count"]})
    printed = bcs("check", job_id)
    assert "JobName: my-job (Waiting)" in printed
    assert "TaskName: count (Waiting)" in printed
    assert "InstanceId: 1 (Waiting)" in printed


def test_check_prints_the_result_of_an_instance_that_failed(fake: FakeBatch, bcs: Bcs) -> None:
    fake.progress(job="*", waiting=0, running=0).fail(task="count", instance=0, exit_code=137, message="out of memory")
    printed = bcs("check", job(fake))
    assert "InstanceId: 0 (Failed)" in printed
    assert "out of memory" in printed


def test_qstat_numbers_jobs_by_their_ids(fake: FakeBatch, bcs: Bcs) -> None:
    job_id = job(fake, name="qsub-tester-align")
    number = int(job_id.removeprefix("job-"), 16)
    printed = bcs("qstat")
    assert f"{number}.console" in printed
    assert "align" in printed


# Apps


def test_ca_creates_an_app(fake: FakeBatch, bcs: Bcs) -> None:
    assert created(bcs("ca", "echo", "echo ${text}", "-i", "m-1", "--inputs", "text", "-e", "a:b")) == "echo"
    detail = fake.sdk_client().get_app_detail("echo")
    assert (detail.CommandLine, detail.VM.ECSImageId, detail.EnvVars) == ("echo ${text}", "m-1", {"a": "b"})


def test_a_lists_apps_and_shows_one_and_its_revisions(fake: FakeBatch, bcs: Bcs) -> None:
    fake.sdk_client().create_app(descriptions.app())
    assert "Total: 1" in bcs("a")
    printed = bcs("a", "echo")
    assert "Scope: Private" in printed
    assert "text" in printed
    assert "CommandLine: echo ${text} > ${file}" in bcs("a", "echo", "0")
    scopes = [call.parameters["Scope"] for call in fake.calls.of("ListApps")]
    assert scopes == ["Public", "Private"]


def test_ua_changes_an_app_in_a_new_revision(fake: FakeBatch, bcs: Bcs) -> None:
    client = fake.sdk_client()
    client.create_app(descriptions.app())
    assert "done" in bcs("ua", "echo", "cat", "-y")
    assert "done" in bcs("ua", "echo", "--description", "says it", "-y")
    detail = client.get_app_detail("echo", "2")
    assert (detail.CommandLine, detail.Description) == ("cat", "says it")
    assert detail.get_input_parameter("text").Type == "String"


def test_da_deletes_a_revision_or_an_app(fake: FakeBatch, bcs: Bcs) -> None:
    client = fake.sdk_client()
    client.create_app(descriptions.app())
    client.modify_app("echo", descriptions.app(CommandLine="cat"))
    assert "done" in bcs("da", "echo", "0", "-y")
    assert [revision.Revision for revision in client.get_app_revisions("echo").Items] == [1]
    assert "done" in bcs("da", "echo", "-y")
    assert len(fake.apps) == 0


def test_asub_submits_a_job_of_an_app(fake: FakeBatch, bcs: Bcs) -> None:
    fake.sdk_client().create_app(descriptions.app())
    job_id = created(bcs("asub", "echo", "my-job", "--input_text", "hello", "--output_file", "oss://bucket/out"))
    description = fake.sdk_client().get_job_description(job_id)
    assert (description.Name, description.App.AppName) == ("my-job", "echo")
    assert (description.App.get_input("text"), description.App.get_output("file")) == ("hello", "oss://bucket/out")


def test_asub_of_an_app_that_is_not_there_says_so(bcs: Bcs) -> None:
    assert "NotFound App named nope" in bcs.refused("asub", "nope")
    assert [call.parameters["Scope"] for call in bcs.fake.calls.of("GetApp")] == ["Private", "Public"]


def test_j_shows_a_job_of_an_app(fake: FakeBatch, bcs: Bcs) -> None:
    client = fake.sdk_client()
    client.create_app(descriptions.app())
    job_id = client.create_job(descriptions.app_job()).Id
    assert "Type: App" in bcs("j", job_id)
    printed = bcs("j", job_id, "task")
    assert "AppName: echo" in printed
    assert "text: hello" in printed
