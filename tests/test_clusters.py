"""The resource clusters: what its operations answer and refuse, and how VMs start, run and go."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asking import Asking, job, task
from hypothesis import given
from hypothesis import strategies as st

from fakebatch import Account, ApiError, Cluster, FakeBatch, Image
from fakebatch.wire.responses import encode

TIME = "2016-11-01T15:25:02.837728Z"
MOMENT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def fake() -> FakeBatch:
    return FakeBatch()


@pytest.fixture
def ask(fake: FakeBatch) -> Asking:
    return Asking(fake)


def described(count: int = 2, **fields: Any) -> dict[str, Any]:
    """Return the description of a cluster with one group `g`."""
    groups = {"g": {"DesiredVMCount": count}}
    return {"Name": "render", "ImageId": "img-ubuntu", "InstanceType": "ecs.sn1.large", "Groups": groups, **fields}


def create(ask: Asking, count: int = 2, **fields: Any) -> str:
    """Create a cluster, and return its path."""
    return f"/clusters/{ask.post('/clusters', described(count, **fields))['Id']}"


def vms(ask: Asking, path: str, group: str = "g") -> list[dict[str, Any]]:
    """Poll a cluster by listing the VMs of a group."""
    items: list[dict[str, Any]] = ask.get(f"{path}/groups/{group}/instances?MaxItemCount=100")["Items"]
    return items


def shown(cluster: Any) -> str:
    """Return how many VMs there are as `Running 1, Starting 2 of 3`."""
    metrics = {name.removesuffix("Count"): count for name, count in cluster["Metrics"].items() if count}
    wanted = sum(group["DesiredVMCount"] for group in cluster["Groups"].values())
    return ", ".join(f"{name} {count}" for name, count in metrics.items()) + f" of {wanted}"


# What is answered


def test_a_new_cluster_is_active_and_its_vms_start_and_then_run(ask: Asking) -> None:
    path = create(ask, 2, Groups={"g": {"DesiredVMCount": 2, "HostnamePrefix": "web"}, "h": {"DesiredVMCount": 0}})
    cluster = ask.get(path)
    created = cluster.pop("CreationTime")
    assert len(created) == len(TIME)
    first, second = (instance["Id"] for instance in vms(ask, path))
    rest = {"InstanceType": "", "ResourceType": "OnDemand", "SpotStrategy": "", "SpotPriceLimit": 0.0}
    assert cluster == {
        "Id": path.removeprefix("/clusters/"),
        "Name": "render",
        "OwnerId": 123456,
        "State": "Active",
        "Description": "",
        "ImageId": "img-ubuntu",
        "InstanceType": "ecs.sn1.large",
        "Groups": {
            "g": {"DesiredVMCount": 2, "ActualVMCount": 2, "HostnamePrefix": "web", **rest},
            "h": {"DesiredVMCount": 0, "ActualVMCount": 0, "HostnamePrefix": "", **rest},
        },
        "Configs": {},
        "UserData": {},
        "EnvVars": {},
        "Bootstrap": "",
        "Notification": {},
        "Metrics": {"RunningCount": 0, "StartingCount": 2, "StoppingCount": 0, "StoppedCount": 0},
        "OperationLogs": [
            f"[{created}][g]Creating instance group successfully",
            f"[{created}][h]Creating instance group successfully",
            f"[{created}]Creating cluster successfully",
            f"[{created}][g][{first}]Instance created",
            f"[{created}][g][{second}]Instance created",
        ],
    }
    running = ask.get(path)
    assert shown(running) == "Running 2 of 2"
    assert [line.partition("Z]")[2] for line in running["OperationLogs"][5:]] == [
        f"[g][{first}]Instance is active",
        f"[g][{second}]Instance is active",
    ]


def test_a_vm_has_names_of_its_own(ask: Asking) -> None:
    path = create(ask, 3, Groups={"g": {"DesiredVMCount": 3}, "h": {"DesiredVMCount": 2, "HostnamePrefix": "hq-bcs"}})
    other = create(ask, 4)
    seen = [*vms(ask, path), *vms(ask, path, "h"), *vms(ask, other)]
    for field in ("Id", "IpAddress", "HostName"):
        assert len({instance[field] for instance in seen}) == 9
    assert seen[0]["Id"].startswith("i-")
    assert seen[0]["HostName"] == f"iZ{seen[0]['Id'].removeprefix('i-')}Z"
    assert [instance["HostName"] for instance in seen[3:5]] == ["hq-bcs4", "hq-bcs5"]
    assert all(set(instance["IpAddress"].split(".")[1:]) <= set(map(str, range(256))) for instance in seen)
    assert ask.get(f"{path}/groups/h/instances/{seen[3]['Id']}") == {
        "Id": seen[3]["Id"],
        "State": "Running",
        "IpAddress": seen[3]["IpAddress"],
        "HostName": "hq-bcs4",
        "Hint": "",
        "ErrorCode": 0,
        "ErrorMessage": "",
        "CreationTime": seen[3]["CreationTime"],
    }


def test_ids_ascend_with_creation_and_are_those_of_the_last_time_after_a_reset(fake: FakeBatch, ask: Asking) -> None:
    def ids() -> list[str]:
        paths = [create(ask) for _ in range(12)]
        return [*paths, *(instance["Id"] for instance in vms(ask, paths[5]))]

    first = ids()
    assert first == [*sorted(first[:12]), *sorted(first[12:])]
    assert len(first[0]) == len("/clusters/cls-6kir9pdp3lg6220g418002")
    fake.reset()
    assert ids() == first


def test_what_a_client_sends_beside_is_kept_and_null_is_left_out(ask: Asking) -> None:
    cluster = ask.get(
        create(
            ask,
            ScheduleType="Poll",
            Later={"a": [1, None]},
            UserData=None,
            Id="mine",
            State="Deleted",
            Configs={"Disks": {"SystemDisk": {"Type": "", "Size": 40}}, "Mounts": None},
        )
    )
    assert (cluster["ScheduleType"], cluster["Later"], cluster["UserData"]) == ("Poll", {"a": [1]}, {})
    assert (cluster["Configs"], cluster["State"]) == ({"Disks": {"SystemDisk": {"Type": "", "Size": 40}}}, "Active")
    assert cluster["Id"].startswith("cls-")


def test_clusters_are_listed_by_id_a_page_at_a_time(ask: Asking) -> None:
    ids = [create(ask).removeprefix("/clusters/") for _ in range(5)]
    first = ask.get("/clusters?MaxItemCount=3")
    assert ([item["Id"] for item in first["Items"]], first["NextMarker"]) == (ids[:3], ids[3])
    second = ask.get(f"/clusters?MaxItemCount=3&Marker={ids[3]}")
    assert ([item["Id"] for item in second["Items"]], second["NextMarker"]) == (ids[3:], "")
    assert set(first["Items"][0]) == set(ask.get(f"/clusters/{ids[0]}"))


def test_vms_are_listed_by_id_a_page_at_a_time(ask: Asking) -> None:
    path = create(ask, 5)
    gone = vms(ask, path)[1]["Id"]
    vms(ask, path)
    ask("POST", f"{path}/groups/g/instances/{gone}/recreate")
    seen: list[tuple[str, str]] = []
    marker = ""
    while marker or not seen:
        page = ask.get(f"{path}/groups/g/instances?MaxItemCount=2&Marker={marker}")
        seen += [(instance["Id"], instance["State"]) for instance in page["Items"]]
        marker = page["NextMarker"]
    assert [state for _, state in seen] == ["Running", "Deleting", "Running", "Running", "Running", "Starting"]
    assert [instance_id for instance_id, _ in seen] == sorted(instance_id for instance_id, _ in seen)
    assert ask.get(f"{path}/groups/g/instances?MaxItemCount=0&Marker=i-~") == {"NextMarker": "", "Items": []}


# Polls, time, and by hand


def test_a_list_with_an_empty_marker_is_a_poll_and_a_later_page_is_none(ask: Asking) -> None:
    path = create(ask, 3)
    cluster_id = path.removeprefix("/clusters/")
    for _ in range(3):
        assert shown(ask.get(f"/clusters?Marker={cluster_id}")["Items"][0]) == "Starting 3 of 3"
    assert shown(ask.get("/clusters")["Items"][0]) == "Starting 3 of 3"
    marker = ask.get(f"/clusters/{cluster_id}/groups/g/instances?MaxItemCount=1")["NextMarker"]
    first = vms(ask, path)
    assert {instance["State"] for instance in first} == {"Running"}
    other = create(ask, 1)
    assert vms(ask, other)[0]["State"] == "Starting"
    instance = f"{other}/groups/g/instances/{vms(ask, create(ask, 1))[0]['Id']}"
    assert ask.code("GET", instance)[0] == 404
    assert ask.get(f"{path}/groups/g/instances?Marker={marker}")["Items"] == first[1:]


def test_what_is_refused_is_no_poll(ask: Asking) -> None:
    path = create(ask, 1)
    for refused in (
        f"{path}/groups/g/instances?MaxItemCount=x",
        f"{path}/groups/x/instances",
        "/clusters?MaxItemCount=x",
    ):
        assert ask.code("GET", refused)[0] in (400, 404)
    assert shown(ask.get(path)) == "Starting 1 of 1"


@pytest.mark.parametrize(
    ("starting", "seen"),
    [
        (0, "Running Running"),
        ("0s", "Running Running"),
        (1, "Starting Running"),
        (2, "Starting Starting Running"),
        ("forever", "Starting Starting Starting"),
    ],
)
def test_vms_start_for_as_long_as_the_rule_says(fake: FakeBatch, ask: Asking, starting: Any, seen: str) -> None:
    fake.progress(cluster="ren*", starting=starting)
    path = create(ask, 1)
    assert [vms(ask, path)[0]["State"] for _ in seen.split()] == seen.split()


def test_vms_start_by_the_clock(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(cluster="*", starting="30s")
    path = create(ask, 1)
    for _ in range(5):
        assert shown(ask.get(path)) == "Starting 1 of 1"
    instance = f"{path}/groups/g/instances/{vms(ask, path)[0]['Id']}"
    fake.clock.advance(29)
    assert ask.get(instance)["State"] == "Starting"
    fake.clock.advance(1)
    assert ask.get(instance)["State"] == "Running"


def test_a_test_takes_vms_over_their_changes_by_hand(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(cluster="*", starting="forever", deleting="forever")
    path = create(ask, 2)
    cluster_id = path.removeprefix("/clusters/")
    started = fake.clusters.advance(cluster_id)
    assert started
    assert started.metrics.RunningCount == 2
    with pytest.raises(ValueError, match=f"^no VM of cluster '{cluster_id}' is on its way"):
        fake.clusters.advance(cluster_id)
    with pytest.raises(KeyError, match="no cluster 'cls-x'"):
        fake.clusters.advance("cls-x")
    assert ask("DELETE", path) == (204, None)
    assert ask.get(path)["State"] == "Deleting"
    assert fake.clusters.advance(cluster_id) is None
    assert cluster_id not in fake.clusters
    assert len(fake.clusters) == 0


def test_many_vms_that_fare_alike_are_kept_as_one(fake: FakeBatch, ask: Asking) -> None:
    path = create(ask, Groups={f"g{number}": {"DesiredVMCount": 65536} for number in range(64)})
    assert shown(ask.get(path)) == f"Starting {64 * 65536} of {64 * 65536}"
    cluster = ask.get(path)
    assert shown(cluster) == f"Running {64 * 65536} of {64 * 65536}"
    assert len(cluster["OperationLogs"]) == 1000
    assert len(vms(ask, path, "g63")) == 100
    kept = fake.clusters[path.removeprefix("/clusters/")].fleet.groups
    assert {len(batches) for batches in kept.values()} == {1}


# Changes of a cluster


def test_more_vms_start_and_the_newest_go(ask: Asking) -> None:
    path = create(ask, 2)
    ask.get(path)
    old = [instance["Id"] for instance in vms(ask, path)]
    assert ask("PUT", path, {"Groups": {"g": {"DesiredVMCount": 4}}}) == (200, None)
    assert shown(ask.get(path)) == "Running 2, Starting 2 of 4"
    assert ask("PUT", path, {"Groups": {"g": {"DesiredVMCount": 1}}}) == (200, None)
    seen = {instance["Id"]: instance["State"] for instance in vms(ask, path)}
    assert [seen[instance] for instance in old] == ["Running", "Deleting"]
    assert list(seen.values()) == ["Running", "Deleting", "Deleting", "Deleting"]
    cluster = ask.get(path)
    assert (shown(cluster), cluster["Groups"]["g"]["ActualVMCount"]) == ("Running 1 of 1", 1)
    assert ask("PUT", path, {"Groups": {"g": {"DesiredVMCount": 0}}}) == (200, None)
    assert shown(ask.get(path)) == "Stopping 1 of 0"


def test_a_change_leaves_what_it_does_not_name(ask: Asking) -> None:
    mounts = {"Entries": [{"Source": "oss://b/", "Destination": "/x"}]}
    path = create(ask, Configs={"Networks": {"VPC": {"CidrBlock": "10.0.0.0/16"}}}, UserData={"a": "1", "b": "2"})
    change = {
        "Name": "other",
        "Groups": {"g": {"SpotStrategy": "SpotWithPriceLimit", "SpotPriceLimit": 0.9, "InstanceType": "", "Mode": "x"}},
        "ImageId": "m-1",
        "UserData": {"c": "3"},
        "EnvVars": {},
        "Configs": {"Networks": {}, "Mounts": mounts},
        "InputMapping": {"oss://b/": "/x"},
    }
    assert ask("PUT", path, change) == (200, None)
    cluster = ask.get(path)
    assert (cluster["Name"], cluster["ImageId"], cluster["UserData"]) == ("render", "m-1", {"c": "3"})
    assert cluster["Configs"] == {"Networks": {"VPC": {"CidrBlock": "10.0.0.0/16"}}, "Mounts": mounts}
    assert cluster["InputMapping"] == {"oss://b/": "/x"}
    group = cluster["Groups"]["g"]
    assert (group["SpotStrategy"], group["SpotPriceLimit"], group["DesiredVMCount"]) == ("SpotWithPriceLimit", 0.9, 2)
    assert "Mode" not in group
    assert ask("PUT", path, {"Groups": {"g": {"InstanceType": "bcs.a2.large"}}, "UserData": {}}) == (200, None)
    cluster = ask.get(path)
    assert (cluster["Groups"]["g"]["InstanceType"], cluster["UserData"]) == ("bcs.a2.large", {})


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({}, "MissingGroups", "Groups is mandatory for this action."),
        ({"Groups": {}, "Unknown": 1}, "MissingGroups", "Groups is mandatory for this action."),
        ({"Groups": []}, "InvalidGroups", "Specified parameter Groups is not valid. Its type must be object."),
        (
            {"Groups": {"x": {}}},
            "InvalidGroups.x",
            "Specified parameter Groups.x is not valid. There is no such group.",
        ),
        ({"Groups": {"g": None}}, "MissingGroups.g", "Groups.g is mandatory for this action."),
        (
            {"Groups": {"g": {"DesiredVMCount": -1}}},
            "InvalidDesiredVMCount",
            "Specified parameter DesiredVMCount is not valid. It must be in [0, 65536].",
        ),
        (
            {"ImageId": "img-none"},
            "InvalidImageId",
            "Specified parameter ImageId is not valid. There is no such image.",
        ),
        (
            {"Groups": {"g": {"SpotPriceLimit": 0.1234}}},
            "InvalidSpotPriceLimit",
            "Specified parameter SpotPriceLimit is not valid. It must have at most 3 decimals.",
        ),
    ],
)
def test_a_change_that_breaks_a_rule_changes_nothing(ask: Asking, change: Any, code: str, message: str) -> None:
    path = create(ask, Groups={"g": {"DesiredVMCount": 1, "SpotStrategy": "SpotWithPriceLimit"}})
    before = ask.get(path) | {"Metrics": {}, "OperationLogs": []}
    assert ask("PUT", path, change) == (400, {"Code": code, "Message": message})
    assert ask.get(path) | {"Metrics": {}, "OperationLogs": []} == before


# VMs that are deleted, and made anew


def test_a_vm_that_is_deleted_is_not_replaced(ask: Asking) -> None:
    path = create(ask, 3)
    ask.get(path)
    gone = vms(ask, path)[1]["Id"]
    instance = f"{path}/groups/g/instances/{gone}"
    assert ask("DELETE", instance) == (202, None)
    assert ask.get(instance)["State"] == "Deleting"
    conflict = "User operation is invalid. The current resource state is Deleting."
    assert ask("DELETE", instance) == (409, {"Code": "StateConflict", "Message": conflict})
    assert shown(ask.get(path)) == "Running 2, Stopping 1 of 2"
    assert shown(ask.get(path)) == "Running 2 of 2"
    assert ask.code("DELETE", instance) == (404, "InvalidResource.NotFound")


def test_another_vm_comes_in_the_place_of_one_that_is_recreated(ask: Asking) -> None:
    path = create(ask, 2)
    ask.get(path)
    old, kept = (instance["Id"] for instance in vms(ask, path))
    instance = f"{path}/groups/g/instances/{old}"
    assert ask("POST", f"{instance}/recreate") == (201, None)
    assert ask.code("POST", f"{instance}/recreate") == (409, "StateConflict")
    assert ask.code("DELETE", instance) == (409, "StateConflict")
    states = {seen["Id"]: seen["State"] for seen in vms(ask, path)}
    new = max(states)
    assert states == {old: "Deleting", kept: "Running", new: "Starting"}
    states = {seen["Id"]: seen["State"] for seen in vms(ask, path)}
    assert states == {kept: "Running", new: "Running"}
    assert ask.code("POST", f"{instance}/recreate") == (404, "InvalidResource.NotFound")


def test_a_vm_goes_at_once_or_lingers_as_the_rule_says(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(cluster="at-once", deleting=0)
    fake.progress(cluster="timed", deleting="30s")
    for name, seen in (("at-once", []), ("timed", ["Deleting"])):
        path = create(ask, 1, Name=name)
        assert ask("DELETE", f"{path}/groups/g/instances/{vms(ask, path)[0]['Id']}")[0] == 202
        assert [instance["State"] for _ in range(3) for instance in vms(ask, path)] == seen * 3
    fake.clock.advance(30)
    assert vms(ask, path) == []
    assert shown(ask.get(path)) == " of 0"


# Clusters that are deleted


def test_a_deleted_cluster_is_deleting_until_its_vms_are_gone(ask: Asking) -> None:
    path = create(ask, 2)
    instance = f"{path}/groups/g/instances/{vms(ask, path)[0]['Id']}"
    assert ask("DELETE", path) == (204, None)
    assert ask.get(instance)["State"] == "Deleting"
    for method, target, body in (
        ("DELETE", path, None),
        ("PUT", path, {"ImageId": "m-1"}),
        ("DELETE", instance, None),
        ("POST", f"{instance}/recreate", None),
    ):
        assert ask.code(method, target, body) == (409, "StateConflict")
    cluster = ask.get("/clusters")["Items"][0]
    assert (cluster["State"], shown(cluster)) == ("Deleting", "Stopping 2 of 2")
    assert cluster["Groups"]["g"]["ActualVMCount"] == 0
    assert ask.code("GET", path) == (404, "InvalidResource.NotFound")
    assert ask.get("/clusters")["Items"] == []
    assert ask.code("DELETE", path) == (404, "InvalidResource.NotFound")


def test_a_deleted_cluster_is_gone_at_once_if_no_vm_was_seen(ask: Asking) -> None:
    unseen, none_wanted = create(ask, 2), create(ask, 0)
    ask.get(none_wanted)
    for path in (unseen, none_wanted):
        assert ask("DELETE", path)[0] == 204
        assert ask.code("GET", path)[0] == 404


@pytest.mark.parametrize(
    ("deleting", "polls"), [(0, 0), ("0s", 0), (1, 1), (3, 3), ("forever", 9), ("30s", 9), ("1m", 9)]
)
def test_a_deleted_cluster_lingers_as_long_as_the_rule_says(
    fake: FakeBatch, ask: Asking, deleting: Any, polls: int
) -> None:
    fake.progress(cluster="*", deleting=deleting)
    path = create(ask, 1)
    ask.get(path)
    ask("DELETE", path)
    seen = [status for status, _ in (ask("GET", path) for _ in range(9))]
    assert seen == [200] * polls + [404] * (9 - polls)
    fake.clock.advance(30)
    assert ask("GET", path)[0] == (200 if deleting in ("forever", "1m") else 404)


def test_a_rule_by_time_keeps_a_cluster_of_which_nothing_was_seen(fake: FakeBatch, ask: Asking) -> None:
    fake.progress(cluster="*", deleting="forever")
    path = create(ask, 1)
    ask("DELETE", path)
    assert ask.get(path)["State"] == "Deleting"


def test_a_long_walk_of_polls_meets_a_cluster_that_nobody_looked_at(fake: FakeBatch, ask: Asking) -> None:
    paths = [create(ask, 1) for _ in range(3)]
    for _ in range(3):
        ask.get("/clusters?MaxItemCount=1")
    ask("DELETE", paths[2])
    for _ in range(5):
        ask.get("/clusters?MaxItemCount=1")
    assert shown(ask.get(paths[1])) == "Running 1 of 1"
    assert [call.note for call in fake.calls.of("GetCluster")] == ["Active (poll 9)"]
    assert ask.code("GET", paths[2])[0] == 404


# What is refused


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"Name": None}, "MissingName", "Name is mandatory for this action."),
        ({"Name": "9x"}, "InvalidName", None),
        ({"ImageId": ""}, "MissingImageId", "ImageId is mandatory for this action."),
        (
            {"ImageId": "img-none"},
            "InvalidImageId",
            "Specified parameter ImageId is not valid. There is no such image.",
        ),
        ({"InstanceType": ""}, "MissingInstanceType", "InstanceType is mandatory for this action."),
        ({"Groups": None}, "MissingGroups", "Groups is mandatory for this action."),
        (
            {"Groups": {str(number): {"DesiredVMCount": 0} for number in range(65)}},
            "InvalidGroups",
            "Specified parameter Groups is not valid. Its size must be in [1, 64].",
        ),
        (
            {"Groups": {"g": 5}},
            "InvalidGroups.g",
            "Specified parameter Groups.g is not valid. Its type must be object.",
        ),
        ({"Groups": {"g": {}}}, "MissingDesiredVMCount", "DesiredVMCount is mandatory for this action."),
        ({"Groups": {"g": {"DesiredVMCount": 65537}}}, "InvalidDesiredVMCount", None),
        ({"Groups": {"g": {"DesiredVMCount": 1, "ResourceType": "PrePaid"}}}, "InvalidResourceType", None),
        ({"UserData": {"a": 5}}, "InvalidUserData.a", None),
        (
            {"Configs": {"Networks": {"VPC": {"OppositeRegionId": "cn-x", "OppositeRouterId": "r"}}}},
            "MissingConfigs.Networks.VPC.OppositeAccessPointId",
            "Configs.Networks.VPC.OppositeAccessPointId is mandatory for this action.",
        ),
        (
            {"Configs": {"Networks": {"VPC": {"CidrBlock": "10.0.0.0/25"}}}},
            "InvalidConfigs.Networks.VPC.CidrBlock",
            "Specified parameter Configs.Networks.VPC.CidrBlock is not valid. It must be in 10.0.0.0/8 or 172.16.0.0/12"
            " with a prefix of 12 to 24, or in 192.168.0.0/16 with 16 to 24.",
        ),
        *(
            ({"Configs": {"Networks": {"VPC": {"CidrBlock": block}}}}, "InvalidConfigs.Networks.VPC.CidrBlock", None)
            for block in ("x", "11.0.0.0/16", "172.15.0.0/16", "192.169.0.0/16", "10.256.0.0/16")
        ),
    ],
)
def test_a_description_that_breaks_a_rule_is_refused(ask: Asking, fields: Any, code: str, message: str | None) -> None:
    status, answer = ask("POST", "/clusters", described(**fields))
    assert (status, answer["Code"]) == (400, code)
    assert message in (None, answer["Message"])
    assert ask.get("/clusters")["Items"] == []


def test_descriptions_that_programs_have_sent_are_taken(ask: Asking) -> None:
    vpc = {
        "CidrBlock": "172.31.255.0/24",
        "OppositeRegionId": "r",
        "OppositeRouterId": "r",
        "OppositeAccessPointId": "a",
    }
    create(ask, Configs={"Networks": {"VPC": vpc, "Classic": {"AllowIpAddress": ["1.2.3.4"]}}})
    create(ask, Groups={"g": {"DesiredVMCount": 0, "InstanceType": "a"}}, InstanceType="", ImageId="ubuntu")
    create(ask, Groups={"g": {"DesiredVMCount": 1, "SpotPriceLimit": 0.12345}}, ImageId="img-ubuntu-vpc")


@pytest.mark.parametrize(
    "path",
    [
        "/clusters/cls-x",
        "/clusters/cls-x/groups/g/instances",
        "/clusters/cls-a/groups/x/instances",
        "/clusters/cls-a/groups/x/instances/i-1",
        "/clusters/cls-a/groups/g/instances/i-1",
        "/clusters/cls-a/groups/g/instances/x",
        "/clusters/cls-a/groups/g/instances/i-000000000001",
    ],
)
def test_what_is_not_there_is_not_found(path: str) -> None:
    ask = Asking(FakeBatch(Cluster(id="cls-a", groups={"g": {}})))
    assert ask.code("GET", path) == (404, "InvalidResource.NotFound")


def test_the_same_token_and_description_give_the_first_id_again(ask: Asking) -> None:
    first = ask.post("/clusters?IdempotentToken=t", described())
    assert ask.post("/clusters", described(IdempotentToken="t")) == first
    assert ask.code("POST", "/clusters?IdempotentToken=t", described(3)) == (400, "IdempotentTokenMismatch")
    assert len(ask.get("/clusters")["Items"]) == 1


def test_quotas_of_clusters_and_vms(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("quotas: {Clusters: 2, VMs: 5}")
    ask = Asking(FakeBatch(tmp_path / "w.yaml", Image(id="img-ubuntu", type="System")))
    path = create(ask, 3)
    vms_exhausted = (403, {"Code": "QuotaExhausted", "Message": "The VMs (5) quota is exhausted."})
    assert ask("POST", "/clusters", described(3)) == vms_exhausted
    create(ask, 2)
    clusters_exhausted = (403, {"Code": "QuotaExhausted", "Message": "The Clusters (2) quota is exhausted."})
    assert ask("POST", "/clusters", described(0)) == clusters_exhausted
    assert ask("PUT", path, {"Groups": {"g": {"DesiredVMCount": 4}}}) == vms_exhausted
    assert ask.get(path)["Groups"]["g"]["DesiredVMCount"] == 3
    assert ask("PUT", path, {"Groups": {"g": {"DesiredVMCount": 2}}}) == (200, None)
    ask.get(path)
    ask("DELETE", path)
    assert ask("POST", "/clusters", described(3)) == clusters_exhausted
    assert [ask("GET", path)[0] for _ in range(2)] == [200, 404]
    create(ask, 3)


def test_with_accounts_each_caller_has_its_own_clusters() -> None:
    accounts = [Account("a-key", "a-secret", owner_id=1), Account("b-key", "b-secret", owner_id=2)]
    fake = FakeBatch(Cluster(id="cls-a", owner_id=1), accounts=accounts)
    mine, others = Asking(fake, "a"), Asking(fake, "b")
    assert mine.get("/clusters/cls-a")["OwnerId"] == 1
    assert others.code("GET", "/clusters/cls-a") == (404, "InvalidResource.NotFound")
    assert others.get("/clusters")["Items"] == []


def test_a_job_runs_on_a_cluster_that_is_there_and_stays(fake: FakeBatch, ask: Asking) -> None:
    path = create(ask, 1)
    on_it = job({"count": task(ClusterId=path.removeprefix("/clusters/"))})
    ask.create_job(on_it)
    ask.get(path)
    ask("DELETE", path)
    assert ask.code("POST", "/jobs", on_it) == (409, "StateConflict")
    assert ask.code("POST", "/jobs", job({"count": task(ClusterId="cls-x")})) == (404, "InvalidResource.NotFound")
    assert len(fake.jobs) == 1


# Notifications, notes and scripts


def test_what_a_description_asks_for_is_told(fake: FakeBatch, ask: Asking) -> None:
    events = ["OnClusterDeleted", "OnInstanceCreated", "OnInstanceActive"]
    path = create(ask, 1, Notification={"Topic": {"Name": "t", "Endpoint": "e", "Events": events}})
    create(ask, 1, Notification={"Topic": {"Events": ["OnInstanceCreated"]}}, Name="other")
    create(ask, 1, Name="silent")
    ask.get("/clusters")
    instance = vms(ask, path)[0]["Id"]
    ask("DELETE", path)
    ask.get(path)
    told = [{name: value for name, value in event.items() if name != "Time"} for event in fake.events]
    about = {"Category": "Cluster", "ClusterId": path.removeprefix("/clusters/"), "ClusterName": "render"}
    vm = {**about, "Group": "g", "InstanceId": instance}
    assert [event for event in told if event["ClusterName"] == "render"] == [
        {**vm, "Event": "OnInstanceCreated", "State": "Starting"},
        {**vm, "Event": "OnInstanceActive", "State": "Running"},
    ]
    assert ask("GET", path)[0] == 404
    assert {**about, "Event": "OnClusterDeleted", "State": "Deleted"}.items() <= fake.events[-1].items()
    assert [event["Event"] for event in told if event["ClusterName"] != "render"] == ["OnInstanceCreated"]


@pytest.mark.parametrize("notification", [{}, {"Topic": 5}, {"Topic": {}}, {"Topic": {"Events": 5}}])
def test_a_notification_of_another_form_is_kept_and_tells_nothing(
    fake: FakeBatch, ask: Asking, notification: Any
) -> None:
    assert ask.get(create(ask, Notification=notification))["Notification"] == notification
    assert fake.events == []


def test_a_cluster_that_is_gone_at_once_is_told_of(fake: FakeBatch, ask: Asking) -> None:
    path = create(ask, 1, Notification={"Topic": {"Events": ["OnClusterDeleted"]}})
    ask("DELETE", path)
    assert [event["Event"] for event in fake.events] == ["OnClusterDeleted"]


@pytest.mark.parametrize("deleting", [0, 1, "30s"])
def test_the_end_of_a_cluster_is_told_once(deleting: Any) -> None:
    fake = FakeBatch(Cluster(state="Deleting", notification={"Topic": {"Events": ["OnClusterDeleted"]}}))
    ask = Asking(fake)
    fake.progress(cluster="*", deleting=deleting)
    for _ in range(3):
        ask.get("/clusters?MaxItemCount=0")
    fake.clock.advance(40)
    for _ in range(3):
        ask.get("/clusters?MaxItemCount=0")
    assert [event["Event"] for event in fake.events] == ["OnClusterDeleted"]
    assert ask.get("/clusters")["Items"] == []


def test_every_operation_is_recorded_with_its_parameters(fake: FakeBatch, ask: Asking) -> None:
    path = create(ask, 1)
    ask.get(path)
    ask.get(f"{path}/groups/g/instances/{vms(ask, path)[0]['Id']}")
    created, got, listed, instance = fake.calls
    assert (created.operation, created.parameters["Name"], got.note) == ("CreateCluster", "render", "Active (poll 1)")
    assert (listed.items, instance.note, instance.parameters["GroupName"]) == (1, "Running", "g")
    fake.on("ModifyCluster", where={"ClusterId": path.removeprefix("/clusters/")}).fail("Throttling")
    assert ask.code("PUT", path, {"ImageId": "m-1"}) == (400, "Throttling")


def test_a_script_can_have_a_cluster_in_another_state(fake: FakeBatch, ask: Asking) -> None:
    path = create(ask, 2)
    fake.on("GetCluster", calls="1-2").becomes("Deleting")
    cluster = ask.get(path)
    assert (cluster["State"], shown(cluster)) == ("Deleting", "Stopping 2 of 2")
    assert ask("GET", path)[0] == 404
    path = create(ask, 2)
    fake.on("GetClusterInstance").becomes("Active")
    instance = vms(ask, path)[0]["Id"]
    ask("DELETE", path)
    assert ask.get(f"{path}/groups/g/instances/{instance}")["State"] == "Deleting"
    cluster = ask.get(path)
    assert (cluster["State"], shown(cluster)) == ("Active", "Starting 2, Stopping 2 of 2")
    assert shown(ask.get(path)) == "Running 2 of 2"
    with pytest.raises(ValueError, match=r"^'Gone' is not a state; known are Active, Deleting[.]?$"):
        fake.on("GetCluster").becomes("Gone")
    fake.world.take_failures()


# Clusters of fixtures


def test_a_cluster_of_a_fixture_file_need_not_say_much(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(
        "clusters:\n"
        "- {Name: render}\n"
        "- {Id: cls-b, State: Deleting, CreationTime: 2020-01-02,\n"
        "   Groups: {g: , h: {DesiredVMCount: 3, InstanceType: b}}}\n"
        "- {Id: cls-c, Groups: {g: {DesiredVMCount: 0, InstanceType: b}}, ImageId: m-1, Description: idle}\n"
    )
    fake = FakeBatch(tmp_path / "w.yaml")
    minimal, deleting, idle = sorted(fake.clusters, key=lambda cluster: cluster.id)
    assert (minimal.id, minimal.name, minimal.creation_time) == ("cls-6kir9pdp3lg62000000001", "render", TIME)
    assert repr(minimal.groups) == "{'group1': <group group1: 1 of 1 VMs>}"
    assert minimal.description_data()["InstanceType"] == "ecs.sn1.large"
    assert minimal.metrics.StartingCount == 1
    assert (deleting.state, deleting.metrics.StoppingCount, deleting.creation_time[:10]) == (
        "Deleting",
        4,
        "2020-01-02",
    )
    assert [group.actual_vm_count for group in deleting.groups.values()] == [0, 0]
    assert (idle.name, idle.description, idle.description_data()["InstanceType"]) == ("cluster", "idle", "")
    ask = Asking(fake)
    assert [ask("GET", "/clusters/cls-b")[0] for _ in range(2)] == [200, 404]
    fake.reset()
    assert ask.get("/clusters/cls-b")["State"] == "Deleting"


def test_the_vms_of_a_fixture_s_cluster_begin_to_start_with_the_world(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("clusters: [{Id: a}, {Id: b}]\nprogress: [{cluster: '*', starting: 30s}]")
    fake = FakeBatch(tmp_path / "w.yaml")
    fake.clock.advance(20)
    fake.clusters.add(Cluster(id="c"))
    fake.clock.advance(10)
    assert [cluster.metrics.RunningCount for cluster in fake.clusters] == [1, 1, 0]
    fake.clusters.remove("a")
    fake.clusters.put(fake.clusters["b"])
    assert [(cluster.id, cluster.metrics.RunningCount) for cluster in fake.clusters] == [("b", 1), ("c", 0)]


def test_the_vms_of_a_group_are_a_sequence() -> None:
    fake = FakeBatch(Cluster(id="cls-a", groups={"g": {"DesiredVMCount": 3}, "none": {"DesiredVMCount": 0}}))
    fake.clusters.advance("cls-a")
    groups = fake.clusters["cls-a"].groups
    instances = groups["g"].instances
    assert (len(instances), len(groups["none"].instances)) == (3, 0)
    assert instances[-1] == instances[1:][1] == list(instances)[2]
    assert (instances[0].state, instances[0].creation_time) == ("Running", TIME)
    with pytest.raises(IndexError, match=r"^the group has 3 VMs, and no 3$"):
        instances[3]
    assert instances.find("i-zzzzzz") is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"groups": {"g": {"DesiredVMCount": "3"}}}, "Groups.g.DesiredVMCount: its type must be integer"),
        ({"groups": {"g": 3}}, "Groups.g: its type must be object"),
        ({"groups": ["g"]}, "Groups: its type must be object"),
        ({"state": "Gone"}, "State: it must be in [Active, Deleting]"),
        ({"id": "a/b"}, "Id: it must not hold a slash, or it can't be asked for"),
    ],
)
def test_a_cluster_with_a_wrong_value_is_refused(fields: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Cluster(**fields)
    assert str(caught.value) == message


def test_an_error_of_the_service_can_be_scripted_for_clusters(fake: FakeBatch, ask: Asking) -> None:
    fake.on("DeleteCluster").fail("StateConflict", State="Deleting")
    assert ask.code("DELETE", create(ask)) == (409, "StateConflict")
    assert ApiError("MissingDesiredVMCount").status == 400


# What holds always

GROUPS = st.dictionaries(st.sampled_from("gh"), st.integers(0, 4), min_size=1)
NUMBER = st.integers(0, 5)
LENGTHS = st.sampled_from([0, 1, 2, "20s", "forever"])
DOINGS = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(["one", "two"]), GROUPS),
    st.tuples(st.just("resize"), NUMBER, GROUPS),
    st.tuples(st.sampled_from(["delete vm", "recreate vm"]), NUMBER, st.sampled_from("gh"), NUMBER),
    st.tuples(st.sampled_from(["get", "delete", "advance"]), NUMBER),
    st.tuples(st.just("list")),
    st.tuples(st.just("clock"), st.integers(1, 30)),
    st.tuples(st.just("rule"), st.sampled_from(["one", "*"]), LENGTHS, LENGTHS),
)


def do(ask: Asking, doing: Any) -> Any:
    """Do something with one of the clusters, and return what is answered."""
    what, *details = doing
    ids = sorted(cluster.id for cluster in ask.fake.clusters)
    if what == "create":
        groups = {name: {"DesiredVMCount": count} for name, count in details[1].items()}
        return ask("POST", "/clusters", described(Name=details[0], Groups=groups))
    if what == "list":
        return ask("GET", "/clusters")
    if what == "clock":
        return ask.fake.clock.advance(details[0])
    if what == "rule":
        ask.fake.progress(cluster=details[0], starting=details[1], deleting=details[2])
        return None
    if not ids:
        return None
    cluster_id = ids[details[0] % len(ids)]
    path = f"/clusters/{cluster_id}"
    if what == "advance":
        try:
            return repr(ask.fake.clusters.advance(cluster_id))
        except ValueError as error:
            return str(error)
    if what == "resize":
        return ask("PUT", path, {"Groups": {name: {"DesiredVMCount": count} for name, count in details[1].items()}})
    if what.endswith(" vm"):
        group = ask.fake.clusters[cluster_id].groups.get(details[1])
        instances = group.instances if group else []
        vm = f"{path}/groups/{details[1]}/instances/{instances[details[2] % len(instances)].id if instances else 'x'}"
        return ask("DELETE", vm) if what == "delete vm" else ask("POST", f"{vm}/recreate")
    return ask("GET" if what == "get" else "DELETE", path)


def check(cluster: Cluster, answer: dict[str, Any]) -> None:
    """Check that counts add up, and that VMs are told apart."""
    instances = [instance for group in cluster.groups.values() for instance in group.instances]
    states = [instance.state for instance in instances]
    metrics = answer["Metrics"]
    counted = [metrics[f"{name}Count"] for name in ("Starting", "Running", "Stopping", "Stopped")]
    assert counted == [states.count("Starting"), states.count("Running"), states.count("Deleting"), 0]
    for name, group in answer["Groups"].items():
        standing = [instance for instance in cluster.groups[name].instances if instance.state != "Deleting"]
        assert group["ActualVMCount"] == len(standing) == cluster.groups[name].actual_vm_count
        if cluster.state == "Active":
            assert group["ActualVMCount"] == group["DesiredVMCount"]
        ids = [instance.id for instance in cluster.groups[name].instances]
        assert ids == sorted(ids)
    for told_apart in ("id", "ip_address", "host_name"):
        assert len({getattr(instance, told_apart) for instance in instances}) == len(instances)
    assert cluster.state == "Active" or {"Deleting"} >= set(states)


@given(st.lists(DOINGS, max_size=25))
def test_counts_add_up_and_the_same_requests_get_the_same_answers(doings: list[Any]) -> None:
    fake = FakeBatch(Cluster(id="cls-0", name="one"), Image(id="img-ubuntu", type="System"), clock=lambda: MOMENT)
    ask = Asking(fake)

    def run() -> list[Any]:
        fake.reset()
        seen = []
        for doing in doings:
            seen.append(do(ask, doing))
            for cluster in fake.clusters:
                check(cluster, json.loads(encode(cluster.answer())))
        return seen

    first = run()
    assert json.dumps(run()) == json.dumps(first)
