"""What a cluster's description may hold, what a change of it may, and what is wrong with one. [doc]

Knows nothing of what becomes of a cluster.
"""

import re
from collections.abc import Mapping
from typing import Any

from ..described import SPOT, TEXTS, check_spot
from ..rules import Field, Integer, List, Map, Object, Path, Rules, Text, check, invalid, missing

MOST_VMS = 65536
"""Of a group. [doc]"""

EXAMPLE_CLUSTER = {"InstanceType": "ecs.sn1.large", "ImageId": "img-ubuntu"}
"""What the VMs are of which fixture files do not say it. [choice]"""
EXAMPLE_GROUP = "group1"
"""The only group of clusters of fixture files that do not say it: the name in the reference's log. [choice]"""

_CIDR_BLOCK = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})/(\d{1,2})", re.ASCII)
_LONGEST_PREFIX = 24


def _check_cidr_block(text: str) -> str:
    """Return what is wrong with a block of addresses, or nothing. [doc]"""
    found = _CIDR_BLOCK.fullmatch(text)
    if found:
        first, second, *others, prefix = map(int, found.groups())
        shortest = {10: 12, 172: 12 if second in range(16, 32) else 0, 192: 16 if second == 168 else 0}.get(first)
        if shortest and shortest <= prefix <= _LONGEST_PREFIX and max(second, *others) < 256:
            return ""
    return "It must be in 10.0.0.0/8 or 172.16.0.0/12 with a prefix of 12 to 24, or in 192.168.0.0/16 with 16 to 24."


def _check_peering(network: Mapping[str, Any], path: Path) -> None:
    """Raise `BrokenRuleError` for one of the three fields without the others. [doc]"""
    names = ("OppositeRouterId", "OppositeAccessPointId", "OppositeRegionId")
    if any(network.get(name) for name in names):
        for name in names:
            if not network.get(name):
                raise missing((*path, name), ".".join((*path, name)))


_NETWORKS = Object(
    dotted=True,
    fields={
        "VPC": Object(
            dotted=True,
            fields={
                "CidrBlock": Text(dotted=True, form=_check_cidr_block, about="The addresses of the VMs' network."),
                "OppositeRouterId": Field(dotted=True),
                "OppositeAccessPointId": Field(dotted=True),
                "OppositeRegionId": Field(dotted=True),
            },
            also=_check_peering,
        )
        # The reference says that Classic excludes VPC; a program that sent both, filled, ran. [wild]
    },
)


def _group(*, mandatory: bool) -> Rules:
    return {
        # 0 was accepted [sdk], against the reference's [1, 65536].
        "DesiredVMCount": Integer(mandatory=mandatory, least=0, most=MOST_VMS, about="How many VMs there shall be."),
        "InstanceType": Text(default="", about="The type of its VMs; if empty, the cluster's."),
        **SPOT,
        "HostnamePrefix": Text(default="", about="Its VMs are named by this and a number."),
        "ImageId": Field(),
        "Mode": Field(),
        "Disks": Field(),
    }


CLUSTER: Rules = {
    "Name": Text(mandatory=True, blank=True, length=(1, 64), name=True, about="The display name; not unique."),
    "Description": Text(default="", blank=True, about="Any text."),
    "ImageId": Text(mandatory=True, about="The image of its VMs: img-..., or one of ECS."),
    "InstanceType": Text(default="", about="The type of VMs of groups that do not say it."),
    "Groups": Map(
        mandatory=True,
        size=(1, 64),
        key=Text(length=(1, 64)),
        values=Object(mandatory=True, blank=True, fields=_group(mandatory=True), also=check_spot),
        about="Its VMs, by the names of their groups.",
    ),
    "Configs": Object(default={}, fields={"Networks": _NETWORKS, "Disks": Field(), "Mounts": Field()}),
    "UserData": TEXTS,
    "EnvVars": TEXTS,
    "Bootstrap": Text(default="", blank=True, about="What each VM runs first."),
    "Notification": Object(default={}, about="Which events are told of."),
    **{
        name: Field()
        for name in (
            "DependencyIsvService",
            "ScheduleType",
            "SecurityGroup",
            "PasswordInherit",
            "InputMapping",
            "InputMappingConfig",
            "WriteSupport",
        )
    },
}
"""The fields of a description. [doc] The last seven are kept and shown, and nothing else. [sdk]"""

CHANGE: Rules = {
    "Groups": Map(values=Object(mandatory=True, blank=True, fields=_group(mandatory=False))),
    "ImageId": Text(),
    "UserData": TEXTS,
    "EnvVars": TEXTS,
    "Configs": Object(fields={"Mounts": Field()}),
    **{name: Field() for name in CLUSTER if name not in {"Groups", "ImageId", "UserData", "EnvVars", "Configs"}},
}
"""The fields of a change. [doc] A test of the Java SDK sends all of a description; the rest has no effect. [choice]"""

CHANGED = ("ImageId", "UserData", "EnvVars", "InputMapping")
"""The fields of which a change puts another value in the place of the old one. [doc]"""
CHANGED_OF_GROUPS = ("DesiredVMCount", "InstanceType", "SpotStrategy", "SpotPriceLimit")
"""The same, of groups. [doc]"""


ANSWER: Rules = {
    "Id": Text(mandatory=True, about="The identifier."),
    "OwnerId": Integer(mandatory=True, about="The owner's account number."),
    "State": Text(mandatory=True, about="Active, or Deleting."),
    "CreationTime": Text(mandatory=True, about="In UTC."),
    **CLUSTER,
    "Groups": Map(
        mandatory=True,
        values=Object(
            mandatory=True,
            fields={
                **_group(mandatory=True),
                "ActualVMCount": Integer(mandatory=True, about="How many VMs there are."),
            },
        ),
        about="Its VMs, by the names of their groups.",
    ),
    "OperationLogs": List(mandatory=True, about="What has happened, the newest last."),
}
"""The fields of a cluster as GetCluster and ListClusters show it. [doc]"""


def check_description(description: Mapping[str, Any]) -> None:
    """Raise ApiError for a description that is refused whatever there is in the world."""
    check(description, CLUSTER)
    types = (group.get("InstanceType") for group in description["Groups"].values())
    if not description.get("InstanceType") and not all(types):
        raise missing(("InstanceType",))


def check_change(change: Mapping[str, Any], groups: Mapping[str, Any]) -> None:
    """Raise ApiError for a change that is refused, whatever the state of the cluster, which has these groups."""
    if all(field.is_absent(change.get(name)) for name, field in CHANGE.items()):
        raise missing(("Groups",))
    check(change, CHANGE)
    for name in change.get("Groups") or ():
        if name not in groups:
            raise invalid(("Groups", name), "There is no such group.", f"Groups.{name}")
