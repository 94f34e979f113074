"""What the service says of quotas and of available resources, and how much of something there may be.

It keeps no records: what it says is the section `quotas` of a fixture file, or the reference's example.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from .operation import Parameters, Room, View
from .rules import Field, Integer, List, Number, Rules

QUOTAS = Room("quotas")

LIMITS = {"Clusters": "clusters", "VMs": "VMs that clusters want", "Jobs": "jobs that have not ended"}
"""What can be limited: `QuotaExhausted` is answered where one more would be too many."""


class _Network(Field, frozen=True, kw_only=True):
    """Which networks there are for a type: each true or false."""

    def problem(self, value: Any) -> str:
        """Return what is wrong with a value."""
        told = isinstance(value, dict) and all(isinstance(inner, bool) for inner in value.values())
        return "" if told else "It must be an object such as {Classic: false, Vpc: true}."


_SIZE: Rules = {"CpuCore": Integer(least=1), "MemorySize": Number(), "Network": _Network()}
"""What an instance type may tell of itself."""


class _InstanceTypes(Field, frozen=True, kw_only=True):
    """A list of instance types: a name each, or an object that tells its size."""

    type: ClassVar[str] = "array"

    def problem(self, value: Any) -> str:
        """Return what is wrong with a value."""
        if not isinstance(value, list):
            return "Its type must be list."
        for item in value:
            name = item.get("InstanceType") if isinstance(item, dict) else item
            if not isinstance(name, str) or not name:
                return "Each must be a name, or have InstanceType."
            for field, rule in _SIZE.items() if isinstance(item, dict) else ():
                if problem := rule.problem(item[field]) if field in item else "":
                    return f"The {field} of {name}: {problem[0].lower()}{problem[1:]}"
        return ""


_PREPAID = "AvailablePrepaidInstanceType"
QUOTAS_SECTION: Rules = {
    **{name: Integer(least=0, about=f"How many {what} an account may have.") for name, what in LIMITS.items()},
    "AvailableClusterResourceType": List(default=["OnDemand", "Spot", "PrePaid"]),
    "AvailableClusterInstanceDataDiskType": List(default=["cloud", "ephemeral"]),
    "AvailableClusterInstanceSystemDiskType": List(default=["cloud"]),
    "AvailableClusterInstanceType": _InstanceTypes(default=["bcs.a2.3xlarge", "bcs.a2.large", "bcs.a2.xlarge"]),
    "AvailableSpotInstanceType": _InstanceTypes(default=["ecs.sn1.large", "ecs.sn1.xlarge"]),
    _PREPAID: _InstanceTypes(about="Shown by GetAvailableResource only."),
}
"""The fields of the section `quotas`. The defaults are the reference's example. [doc]"""

_SIZES = {
    "bcs.a2.large": (4, 8),
    "bcs.a2.xlarge": (8, 16),
    "bcs.a2.3xlarge": (16, 32),
    "bcs.a2.4xlarge": (20, 40),
    "bcs.b4.4xlarge": (20, 80),
    "ecs.sn2ne.xlarge": (4, 16),
}
"""Cores, and gigabytes of memory. [sdk]"""
_OTHER_SIZE = (4, 8)
"""Of types whose size is known nowhere. [choice]"""


class Quotas(msgspec.Struct, frozen=True, rename="pascal"):
    """What GetQuotas answers. [doc]"""

    available_cluster_resource_type: list[str]
    available_cluster_instance_data_disk_type: list[str]
    available_cluster_instance_system_disk_type: list[str]
    available_cluster_instance_type: list[str]
    available_spot_instance_type: list[str]


class InstanceTypeAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    """An instance type, with its size in cores and gigabytes. [sdk]"""

    instance_type: str
    cpu_core: int
    memory_size: float
    network: dict[str, bool]


class AvailableResource(msgspec.Struct, frozen=True, rename="pascal"):
    """What GetAvailableResource answers. [sdk]"""

    available_cluster_instance_type: list[InstanceTypeAnswer]
    available_spot_instance_type: list[InstanceTypeAnswer]
    available_prepaid_instance_type: list[InstanceTypeAnswer]
    available_resource_type: list[str]
    available_system_disk_type: list[str]
    available_data_disk_type: list[str]


@QUOTAS.operation("GetQuotas", "GET /quotas", 200)
def get_quotas(view: View, parameters: Parameters) -> Quotas:  # noqa: ARG001 - it has none
    """Return what kinds of clusters there may be."""
    return Quotas(
        *(
            [item["InstanceType"] if isinstance(item, dict) else item for item in _said(view, name)]
            for name, field in QUOTAS_SECTION.items()
            if field.default is not None
        )
    )


@QUOTAS.operation("GetAvailableResource", "GET /available", 200)
def get_available_resource(view: View, parameters: Parameters) -> AvailableResource:  # noqa: ARG001 - it has none
    """Return what kinds of clusters there may be, with the sizes of their VMs."""
    return AvailableResource(
        _sized(view, "AvailableClusterInstanceType"),
        _sized(view, "AvailableSpotInstanceType"),
        _sized(view, _PREPAID),
        _said(view, "AvailableClusterResourceType"),
        _said(view, "AvailableClusterInstanceSystemDiskType"),
        _said(view, "AvailableClusterInstanceDataDiskType"),
    )


def _said(view: View, name: str) -> list[Any]:
    said: list[Any] = view.quotas.get(name) or QUOTAS_SECTION[name].default or []
    return said


def _sized(view: View, name: str) -> list[InstanceTypeAnswer]:
    answers = []
    for item in _said(view, name):
        given: Mapping[str, Any] = {"InstanceType": item} if isinstance(item, str) else item
        cores, memory = _SIZES.get(given["InstanceType"], _OTHER_SIZE)
        answers.append(
            InstanceTypeAnswer(
                given["InstanceType"],
                given.get("CpuCore", cores),
                given.get("MemorySize", memory),
                given.get("Network", {"Classic": False, "Vpc": True}),
            )
        )
    return answers
