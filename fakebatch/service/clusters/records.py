"""The record of a cluster, and what is derived from it: its groups, its VMs, and the answers that show them.

Knows nothing of requests.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, overload

import msgspec
from msgspec import Meta

from ..described import EXAMPLE_TIME, OWNER, TIME, ByName, Described, check_id, encode, events_of, time_of
from ..progress import Event, Present
from ..records import EXAMPLE_OWNER, format_micros, micros_of
from ..rules import Integer, Object, Rules, Text, object_schema, without_nulls
from .course import (
    ACTIVE,
    CREATED,
    DELETING,
    GONE,
    IS_ACTIVE,
    LOG_LENGTH,
    RUNNING,
    STARTING,
    STATES,
    Batch,
    ClusterState,
    Course,
    Entry,
    Fleet,
    VmState,
)
from .description import ANSWER, CLUSTER, EXAMPLE_CLUSTER, EXAMPLE_GROUP, check_description

_EVENTS = {
    CREATED: ("OnInstanceCreated", STARTING),
    IS_ACTIVE: ("OnInstanceActive", RUNNING),
    GONE: ("OnClusterDeleted", "Deleted"),
}
"""Which notification tells of what happens to a VM or to the cluster, and the state that it is in then. [doc]"""

_ADDRESSES = 256 * 256 * 254
"""How many addresses 10.0.0.0/8 has for VMs: none ends in 0 or 255."""


class Metrics(msgspec.Struct, frozen=True):
    """How many VMs are in each state. [doc]"""

    RunningCount: int = 0
    StartingCount: int = 0
    StoppingCount: int = 0
    """Those that are Deleting. [choice]"""
    StoppedCount: int = 0
    """Always 0: what is Deleted is gone. [choice]"""


class ClusterInstance(msgspec.Struct, frozen=True, rename="pascal"):
    """A VM of a cluster, as it was when the cluster was looked at, and as the service shows it. [doc]"""

    id: str
    state: VmState
    ip_address: str
    """Of each VM of a cluster another one."""
    host_name: str
    """The same."""
    creation_time: str
    hint: str = ""
    error_code: int = 0
    error_message: str = ""


class _Names:
    """How the VMs of a cluster are called."""

    def __init__(self, cluster_id: str) -> None:
        digest = blake2b(cluster_id.encode(errors="surrogatepass"), digest_size=6)
        self._prefix = digest.hexdigest()
        self._offset = int.from_bytes(digest.digest())

    def id(self, number: int) -> str:
        """Return the Id of a VM: the later it was made, the greater. Of each cluster, they begin otherwise."""
        return f"i-{self._prefix}{number:06x}"

    def number(self, instance_id: str) -> int:
        """Return the number of the VM with an Id; 0 if that is the Id of none."""
        try:
            number = int(instance_id[-6:], 16)
        except ValueError:
            return 0
        return number if self.id(number) == instance_id else 0

    def ip_address(self, number: int) -> str:
        """Return the address of a VM."""
        rest, last = divmod((self._offset + number) % _ADDRESSES, 254)
        return f"10.{rest // 256}.{rest % 256}.{last + 1}"

    def host_name(self, prefix: str, number: int) -> str:
        """Return the host name of a VM: a group's prefix and a number [wild], or as ECS forms it of the Id [wild]."""
        return f"{prefix}{number}" if prefix else f"iZ{self.id(number).removeprefix('i-')}Z"


_COUNTS: Rules = {name: Integer(mandatory=True) for name in Metrics.__struct_encode_fields__}
_SHOWN: Rules = {**ANSWER, "Metrics": Object(mandatory=True, fields=_COUNTS, about="How many VMs are in each state.")}
ClusterAnswer = Annotated[dict[str, Any], Meta(title="Cluster", extra_json_schema=object_schema(_SHOWN, "answer"))]
"""A cluster as the service shows it: its description, and what has become of it. [doc]"""


class ClusterInstances(Sequence[ClusterInstance]):
    """The VMs of a group, the oldest first: ascending by Id."""

    def __init__(self, names: _Names, prefix: str, batches: Sequence[Batch]) -> None:
        self._names, self._prefix, self._batches = names, prefix, batches
        self._ends: list[int] = []
        for batch in batches:
            self._ends.append(len(self) + batch.count)

    @overload
    def __getitem__(self, index: int) -> ClusterInstance: ...
    @overload
    def __getitem__(self, index: slice) -> list[ClusterInstance]: ...
    def __getitem__(self, index: int | slice) -> ClusterInstance | list[ClusterInstance]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"the group has {len(self)} VMs, and no {index}")
        batch_index = bisect_right(self._ends, place)
        batch = self._batches[batch_index]
        return self._instance(batch, batch.first + batch.count - self._ends[batch_index] + place)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def find(self, instance_id: str) -> ClusterInstance | None:
        """Return the VM with an Id; None if there is none."""
        number = self._names.number(instance_id)
        found = (batch for batch in self._batches if 0 <= number - batch.first < batch.count)
        return next((self._instance(batch, number) for batch in found), None)

    def _instance(self, batch: Batch, number: int) -> ClusterInstance:
        names = self._names
        return ClusterInstance(
            id=names.id(number),
            state=batch.state,
            ip_address=names.ip_address(number),
            host_name=names.host_name(self._prefix, number),
            creation_time=format_micros(batch.created),
        )


class Group:
    """A group of a cluster, as it was when the cluster was looked at."""

    def __init__(self, name: str, described: Mapping[str, Any], names: _Names, batches: Sequence[Batch]) -> None:
        self.name: str = name
        self.desired_vm_count: int = described["DesiredVMCount"]
        self.actual_vm_count: int = sum(batch.count for batch in batches if batch.state != DELETING)
        """How many VMs there are that are not Deleting. [choice]"""
        self.instances: ClusterInstances = ClusterInstances(names, described["HostnamePrefix"], batches)

    def __repr__(self) -> str:
        return f"<group {self.name}: {self.actual_vm_count} of {self.desired_vm_count} VMs>"


class Cluster(Described, frozen=True, kw_only=True):
    """A cluster, as it is at a moment. Immutable.

    It is made of a description: a mapping with the service's names, or an object of the official SDK
    (`Cluster(cluster_description, id="cls-...")`); or of the fields of one in Python's spelling
    (`Cluster(name="render", groups={"workers": {"DesiredVMCount": 3}})`). What is left out gets a default: without
    `groups`, it has one with one VM. Its VMs begin to start with the world.

    Raises TypeError for a field that it does not have, and ValueError for one with a wrong value.
    """

    if TYPE_CHECKING:

        def __init__(
            self,
            description_object: object = None,
            /,
            *,
            id: str = "",  # noqa: A002 - the service's name
            name: str = "",
            description: str = "",
            image_id: str = "",
            instance_type: str = "",
            groups: Mapping[str, Any] | None = None,
            configs: Mapping[str, Any] | None = None,
            user_data: Mapping[str, str] | None = None,
            env_vars: Mapping[str, str] | None = None,
            bootstrap: str = "",
            notification: Mapping[str, Any] | None = None,
            dependency_isv_service: str = "",
            schedule_type: str = "",
            security_group: str = "",
            password_inherit: bool = False,
            input_mapping: Mapping[str, Any] | None = None,
            input_mapping_config: Mapping[str, Any] | None = None,
            write_support: bool = True,
            owner_id: int = EXAMPLE_OWNER,
            state: ClusterState = ACTIVE,
            creation_time: str = "",
        ) -> None: ...

    state: ClusterState = ACTIVE
    told_of: frozenset[str] = frozenset()
    begun_micros: int = 0
    """When its VMs began to start, in microseconds since 1970; 0: with the world."""
    seen: int = 0
    """How many of the polls of all clusters are taken into account."""
    polled: int = 0
    """How many polls it has seen in all."""
    kept: Fleet | None = None
    """How its VMs stand; None until something has changed them."""

    rules: ClassVar[Rules] = CLUSTER
    own: ClassVar[Rules] = {
        "Id": Text(form=check_id, about="The identifier; one is made if it is left out."),
        "OwnerId": OWNER,
        "State": Text(only=STATES, about="The state in which it begins; Active if it is left out."),
        "CreationTime": TIME,
    }

    @classmethod
    def check_description(cls, description: Mapping[str, Any]) -> None:
        """Raise ApiError for a description that the service would refuse, but for what may be left out."""
        check_description(_completed(description))

    @classmethod
    def complete(cls, own: Mapping[str, Any], description: Mapping[str, Any]) -> Self:
        """Return the cluster with what the service adds, and a description that was found right."""
        return cls.created(
            without_nulls(_completed(description)),
            id=own.get("Id") or "",
            owner_id=own.get("OwnerId") or EXAMPLE_OWNER,
            state=own.get("State") or ACTIVE,
            creation_time=time_of(own, "CreationTime", EXAMPLE_TIME),
        )

    @classmethod
    def created(cls, description: Mapping[str, Any], **fields: Any) -> Self:
        """Return the cluster with a description that was found right, and fields that the service adds."""
        kept = {"told_of": events_of(description), "described": encode(description, CLUSTER)}
        return cls.made(name=description["Name"], **kept | fields)

    # What is derived from it.

    @property
    def description(self) -> str:
        """The text that its description has under this name."""
        return str(self.description_data()["Description"])

    @property
    def groups(self) -> Mapping[str, Group]:
        """Its groups, by name."""
        names, fleet = _Names(self.id), self.fleet
        described = self.description_data()["Groups"]
        groups = {name: Group(name, group, names, fleet.groups[name]) for name, group in described.items()}
        return ByName("group", groups)

    @property
    def metrics(self) -> Metrics:
        """How many of its VMs are in each state."""
        counts: dict[VmState, int] = {RUNNING: 0, STARTING: 0, DELETING: 0}
        for batches in self.fleet.groups.values():
            for batch in batches:
                counts[batch.state] += batch.count
        return Metrics(*counts.values())

    @property
    def operation_logs(self) -> list[str]:
        """What has happened, the newest last: a line for each VM. Not more than the newest 1000. [choice]"""
        names = _Names(self.id)
        lines: list[str] = []
        for entry in reversed(self.fleet.log):
            start = f"[{format_micros(entry.moment)}]" + (f"[{entry.group}]" if entry.group else "")
            last = entry.first + entry.count - 1
            numbers = range(last, max(last - LOG_LENGTH, entry.first - 1), -1)
            lines += (f"{start}[{names.id(number)}]{entry.text}" for number in numbers)
            if not entry.count:
                lines.append(f"{start}{entry.text}")
            if len(lines) >= LOG_LENGTH:
                break
        return lines[:LOG_LENGTH][::-1]

    @property
    def desired_vm_counts(self) -> dict[str, int]:
        """How many VMs each group is to have."""
        return {name: group["DesiredVMCount"] for name, group in self.description_data()["Groups"].items()}

    @property
    def fleet(self) -> Fleet:
        """How its VMs stand."""
        return self.kept or self.first_fleet()

    def first_fleet(self) -> Fleet:
        """Return how its VMs stand to begin with."""
        created = micros_of(self.creation_time)
        groups: dict[str, tuple[Batch, ...]] = {}
        log = []
        following = 1
        for name, count in self.desired_vm_counts.items():
            log.append(Entry(created, "Creating instance group successfully", name))
            state: VmState = DELETING if self.state == DELETING else STARTING
            groups[name] = (Batch(following, count, created, created, state),) if count else ()
            following += count
        log.append(Entry(created, "Creating cluster successfully"))
        log += (
            Entry(created, CREATED, name, batch.first, batch.count)
            for name, batches in groups.items()
            for batch in batches
        )
        return Fleet(groups, created, following, log=tuple(log))

    def number_of(self, instance: ClusterInstance) -> int:
        """Return by which number a batch has a VM."""
        return _Names(self.id).number(instance.id)

    def answer(self) -> ClusterAnswer:
        """Return it as the service shows it."""
        data = self.description_data()
        fleet = self.fleet
        groups = {
            name: group | {"ActualVMCount": sum(batch.count for batch in fleet.groups[name] if batch.state != DELETING)}
            for name, group in data["Groups"].items()
        }
        own = {
            "Id": self.id,
            "OwnerId": self.owner_id,
            "State": self.state,
            "CreationTime": self.creation_time,
            "Groups": groups,
            "Metrics": self.metrics,
            "OperationLogs": self.operation_logs,
        }
        return own | data | own

    def with_description(self, data: Mapping[str, Any]) -> Self:
        """Return it with another description, that was found right and is complete."""
        return msgspec.structs.replace(self, described=msgspec.json.encode(data))

    # How it goes on.

    def course(self, present: Present) -> Course:
        """Return it on its way, as the last poll has shown it."""
        return Course(self.state, self.kept or self.begun(present))

    def begun(self, present: Present) -> Fleet:
        """Return how its VMs stand to begin with, and by which rule they go on."""
        fleet = self.first_fleet()
        begun = self.begun_micros or present.began
        groups = {
            name: tuple(msgspec.structs.replace(batch, entered=begun) for batch in batches)
            for name, batches in fleet.groups.items()
        }
        rule = present.choose("cluster", self.name)
        return msgspec.structs.replace(fleet, groups=groups, entered=begun, rule=rule)

    def after(self, course: Course, present: Present, **changes: Any) -> Self:
        """Return what a course has made of it."""
        self.tell(course.happened, present.tell)
        return msgspec.structs.replace(self, state=course.state, kept=course.fleet, **changes)

    def tell(self, entries: Sequence[Entry], tell: Callable[[Event], None]) -> None:
        """Tell what its description wants to be told of what has happened. [doc]"""
        if not self.told_of:
            return
        names = _Names(self.id)
        for entry in entries:
            event, state = _EVENTS.get(entry.text, ("", ""))
            if event not in self.told_of:
                continue
            told: Event = {"Category": "Cluster", "ClusterId": self.id, "ClusterName": self.name}
            after = {"Event": event, "State": state, "Time": format_micros(entry.moment)}
            if entry.text == GONE:
                tell(told | after)
            for number in range(entry.first, entry.first + entry.count):
                tell({**told, "Group": entry.group, "InstanceId": names.id(number), **after})


def follow(cluster: Cluster, present: Present, *, polled: bool = False) -> Cluster | None:
    """Return what has become of a cluster, and count a poll of it; None if it is gone."""
    course = cluster.course(present)
    if course.is_over:
        return None
    polls = present.polls[cluster.seen :]
    for moment in polls:
        if course.is_over or course.is_settled:
            break
        course.go_to(moment)
        course.poll(moment)
    course.go_to(present.now)
    if polled and not course.is_over:
        course.poll(present.now)
    if not (course.changed or polls or polled):
        return cluster
    now = cluster.after(course, present, seen=len(present.polls), polled=cluster.polled + len(polls) + polled)
    return None if course.is_over else now


def moved(cluster: Cluster, present: Present, move: Callable[[Course, int], None]) -> Cluster:
    """Return a cluster after something was done to it."""
    course = cluster.course(present)
    move(course, present.now)
    course.go_to(present.now)
    return cluster.after(course, present)


def _completed(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a fixture file with what the service would ask for and a test need not say."""
    data = dict(description)
    data["Name"] = data.get("Name") or "cluster"
    data["ImageId"] = data.get("ImageId") or EXAMPLE_CLUSTER["ImageId"]
    groups = data.get("Groups") or {EXAMPLE_GROUP: {}}
    if isinstance(groups, dict):
        groups = {name: _completed_group({} if group is None else group) for name, group in groups.items()}
        untyped = any(isinstance(group, dict) and not group.get("InstanceType") for group in groups.values())
        if untyped and not data.get("InstanceType"):
            data["InstanceType"] = EXAMPLE_CLUSTER["InstanceType"]
    data["Groups"] = groups
    return data


def _completed_group(group: Any) -> Any:
    if isinstance(group, dict) and group.get("DesiredVMCount") is None:
        return {**group, "DesiredVMCount": 1}
    return group
