"""GetQuotas and GetAvailableResource, and the section `quotas` of fixture files that they and the limits come from."""

from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from fakebatch import FakeBatch, FixtureError

EXAMPLE = {
    "AvailableClusterResourceType": ["OnDemand", "Spot", "PrePaid"],
    "AvailableClusterInstanceDataDiskType": ["cloud", "ephemeral"],
    "AvailableClusterInstanceSystemDiskType": ["cloud"],
    "AvailableClusterInstanceType": ["bcs.a2.3xlarge", "bcs.a2.large", "bcs.a2.xlarge"],
    "AvailableSpotInstanceType": ["ecs.sn1.large", "ecs.sn1.xlarge"],
}
"""What the reference prints."""
VPC = {"Classic": False, "Vpc": True}
JOB: dict[str, Any] = {
    "Name": "nightly",
    "Type": "DAG",
    "DAG": {"Tasks": {"t": {"Parameters": {"Command": {"CommandLine": "c"}}, "AutoCluster": {"InstanceType": "x"}}}},
}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fixture file in the current folder, yet to be written."""
    monkeypatch.chdir(tmp_path)
    return Path("w.yaml")


def get(fake: FakeBatch, path: str) -> Any:
    response = Client(fake).get(path)
    assert response.status_code == 200
    return response.json


def problems(path: Path) -> list[str]:
    with pytest.raises(FixtureError) as caught:
        FakeBatch(path)
    return [str(problem) for problem in caught.value.problems]


def test_quotas_are_those_of_the_reference_if_nothing_is_said(write: Path) -> None:
    assert get(FakeBatch(), "/quotas") == EXAMPLE
    for text in ("", "quotas:\n", "quotas: {}\n", "quotas: {AvailableSpotInstanceType: []}\n"):
        write.write_text(text)
        assert get(FakeBatch(write), "/quotas") == EXAMPLE


def test_available_resources_are_the_quotas_with_sizes() -> None:
    available = get(FakeBatch(), "/available")
    sizes = {
        name: [(kind["InstanceType"], kind["CpuCore"], kind["MemorySize"]) for kind in kinds]
        for name, kinds in available.items()
        if kinds and isinstance(kinds[0], dict)
    }
    assert sizes == {
        "AvailableClusterInstanceType": [("bcs.a2.3xlarge", 16, 32), ("bcs.a2.large", 4, 8), ("bcs.a2.xlarge", 8, 16)],
        "AvailableSpotInstanceType": [("ecs.sn1.large", 4, 8), ("ecs.sn1.xlarge", 4, 8)],
    }
    assert all(kind["Network"] == VPC for kind in available["AvailableClusterInstanceType"])
    assert available["AvailablePrepaidInstanceType"] == []
    assert available["AvailableResourceType"] == ["OnDemand", "Spot", "PrePaid"]
    assert available["AvailableSystemDiskType"] == ["cloud"]
    assert available["AvailableDataDiskType"] == ["cloud", "ephemeral"]


def test_what_a_fixture_file_says_of_quotas_is_answered_and_the_rest_stays(write: Path) -> None:
    write.write_text(
        """
        quotas:
          AvailableClusterResourceType: [OnDemand]
          AvailableClusterInstanceType:
            - ecs.sn2ne.xlarge
            - {InstanceType: own.large, CpuCore: 2, MemorySize: 0.5, Network: {Classic: true, Vpc: false}}
          AvailablePrepaidInstanceType: [{InstanceType: own.small}]
        """
    )
    fake = FakeBatch(write)
    assert get(fake, "/quotas") == {
        **EXAMPLE,
        "AvailableClusterResourceType": ["OnDemand"],
        "AvailableClusterInstanceType": ["ecs.sn2ne.xlarge", "own.large"],
    }
    available = get(fake, "/available")
    assert available["AvailableClusterInstanceType"] == [
        {"InstanceType": "ecs.sn2ne.xlarge", "CpuCore": 4, "MemorySize": 16, "Network": VPC},
        {"InstanceType": "own.large", "CpuCore": 2, "MemorySize": 0.5, "Network": {"Classic": True, "Vpc": False}},
    ]
    assert available["AvailablePrepaidInstanceType"] == [
        {"InstanceType": "own.small", "CpuCore": 4, "MemorySize": 8, "Network": VPC}
    ]
    assert available["AvailableResourceType"] == ["OnDemand"]


def test_quotas_of_several_files_add_up(write: Path) -> None:
    write.write_text("include: [other.yaml]\nquotas: {Jobs: 1}\n")
    Path("other.yaml").write_text("quotas: {Jobs: 5, AvailableSpotInstanceType: [own.large]}\n")
    fake = FakeBatch(write)
    assert fake.world.quotas == {"Jobs": 1, "AvailableSpotInstanceType": ["own.large"]}


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("{Jobs: -1}", "w.yaml:1:16: quotas.Jobs: it must be at least 0"),
        ("{Jobs: many}", "w.yaml:1:16: quotas.Jobs: its type must be integer"),
        ("{VMs: true}", "w.yaml:1:15: quotas.VMs: its type must be integer"),
        ("{Clusters: 1.5}", "w.yaml:1:20: quotas.Clusters: its type must be integer"),
        (
            "{AvailableClusterInstanceType: [5]}",
            "w.yaml:1:40: quotas.AvailableClusterInstanceType: each must be a name, or have InstanceType",
        ),
        (
            "{AvailableSpotInstanceType: [{CpuCore: 1}]}",
            "w.yaml:1:37: quotas.AvailableSpotInstanceType: each must be a name, or have InstanceType",
        ),
        (
            "{AvailableSpotInstanceType: [{InstanceType: a, CpuCore: x}]}",
            "w.yaml:1:37: quotas.AvailableSpotInstanceType: the CpuCore of a: its type must be integer",
        ),
        (
            "{AvailableSpotInstanceType: [{InstanceType: a, MemorySize: .nan}]}",
            "w.yaml:1:37: quotas.AvailableSpotInstanceType: the MemorySize of a: it must be finite",
        ),
        (
            "{AvailableSpotInstanceType: [b, {InstanceType: a, Network: {Vpc: 1}}]}",
            "w.yaml:1:37: quotas.AvailableSpotInstanceType: the Network of a: it must be an object such as"
            " {Classic: false, Vpc: true}",
        ),
        (
            "{AvailablePrepaidInstanceType: own.large}",
            "w.yaml:1:40: quotas.AvailablePrepaidInstanceType: its type must be list",
        ),
        (
            "{AvailableClusterResourceType: Spot}",
            "w.yaml:1:40: quotas.AvailableClusterResourceType: its type must be list",
        ),
        (
            "{AvailableClusterResourceType: [5]}",
            "w.yaml:1:40: quotas.AvailableClusterResourceType: its items must be strings",
        ),
        ("{Job: 1}", "w.yaml:1:10: quotas.Job: unknown key 'Job'; did you mean 'Jobs'?"),
        ("[]", "w.yaml:1:9: quotas: expected a mapping or nothing, got a list"),
    ],
)
def test_what_is_wrong_with_the_section_is_told_with_its_place(write: Path, section: str, problem: str) -> None:
    write.write_text(f"quotas: {section}\n")
    assert problems(write) == [problem]


def test_jobs_that_have_not_ended_are_limited(write: Path) -> None:
    write.write_text("quotas: {Jobs: 1}\njobs: [{Name: old, State: Finished}]\n")
    fake = FakeBatch(write)
    first = Client(fake).post("/jobs", json=JOB)
    assert first.status_code == 201, first.json
    refused = Client(fake).post("/jobs", json=JOB)
    assert (refused.status_code, refused.get_json()) == (
        403,
        {"Code": "QuotaExhausted", "Message": "The Jobs (1) quota is exhausted."},
    )
    fake.jobs.finish(first.get_json()["Id"])
    assert Client(fake).post("/jobs", json=JOB).status_code == 201


def test_jobs_are_not_limited_if_nothing_is_said() -> None:
    fake = FakeBatch()
    assert [Client(fake).post("/jobs", json=JOB).status_code for _ in range(20)] == [201] * 20


def test_a_limit_may_be_nothing(write: Path) -> None:
    write.write_text("quotas: {Jobs: 0}\n")
    refused = Client(FakeBatch(write)).post("/jobs", json=JOB)
    assert refused.get_json()["Message"] == "The Jobs (0) quota is exhausted."


def test_the_sdk_reads_quotas_and_available_resources() -> None:
    with FakeBatch() as fake:
        client = fake.sdk_client()
        assert client.get_quotas().AvailableClusterInstanceType == EXAMPLE["AvailableClusterInstanceType"]
        available = client.get_available_resource()
        assert available.AvailableClusterInstanceType[0].InstanceType == "bcs.a2.3xlarge"
