"""The operations of clusters and of their VMs.

Knows nothing of files or of HTTP.
"""

from collections.abc import Callable

import msgspec

from ...errors import ApiError
from ..described import check_spot
from ..images import check_image
from ..operation import (
    TOKEN,
    Created,
    Grown,
    Page,
    Parameters,
    Resource,
    View,
    idempotent_token,
    item_count,
    nested_page,
)
from ..progress import Present
from ..records import format_micros
from ..rules import Path, without_nulls
from .course import ACTIVE, DELETING, STATES, Course
from .description import CHANGE, CHANGED, CHANGED_OF_GROUPS, CLUSTER, check_change, check_description
from .live import Clusters
from .records import Cluster, ClusterAnswer, ClusterInstance, ClusterInstances, follow, moved


class _Grown(Grown[Cluster]):
    states = STATES

    def become(self, record: Cluster, present: Present, state: str) -> Cluster:
        if state == record.state:
            return record
        if state == DELETING:
            return moved(record, present, Course.delete)
        return moved(record, present, lambda course, now: course.revive(record.desired_vm_counts, now))

    def begin(self, record: Cluster, present: Present) -> Cluster:
        return msgspec.structs.replace(record, begun_micros=present.now, seen=len(present.polls))

    def follow(self, record: Cluster, present: Present, *, polled: bool = False) -> Cluster | None:
        return follow(record, present, polled=polled)

    def is_mortal(self, record: Cluster) -> bool:
        return record.state == DELETING


def _owner_of(cluster: Cluster) -> int:
    return cluster.owner_id


CLUSTERS = Resource(
    "clusters",
    "cluster",
    Cluster,
    _owner_of,
    # The form, and the beginning, of the reference's cls-6kir9pdp3lg6220g418002. [doc]
    numbered=lambda number: f"cls-6kir9pdp3lg62{number:09x}",
    grown=_Grown(),
    collection=Clusters,
)


# Clusters


@CLUSTERS.operation("CreateCluster", f"POST /clusters?{TOKEN}", 201, CLUSTER)
def create_cluster(view: View, parameters: Parameters) -> Created:
    """Create a cluster. Its VMs begin to start at once."""
    token = idempotent_token(parameters)
    description = without_nulls({name: value for name, value in parameters.body.items() if name != TOKEN})
    check_description(description)
    check_image(view, description["ImageId"], ("ImageId",))

    def create() -> Created:
        _check_quota(view, "Clusters", len(CLUSTERS.owned(view)), 1)
        _check_vms(view, sum(group["DesiredVMCount"] for group in description["Groups"].values()))
        present = view.present(CLUSTERS)
        cluster = Cluster.created(
            description,
            id=view.next_id(CLUSTERS),
            owner_id=view.owner_id,
            creation_time=format_micros(present.now),
            begun_micros=present.now,
            seen=len(present.polls),
        )
        cluster.tell(cluster.fleet.log, view.tell)
        view.collection(CLUSTERS).create(moved(cluster, present, Course.go_to))
        return Created(cluster.id)

    return view.once(token, description, create)


def _check_vms(view: View, more: int) -> None:
    """Raise ApiError for more VMs than the caller may have."""
    if view.quota("VMs") is not None:
        active = (cluster for cluster in CLUSTERS.owned(view) if cluster.state == ACTIVE)
        _check_quota(view, "VMs", sum(sum(cluster.desired_vm_counts.values()) for cluster in active), more)


def _check_quota(view: View, name: str, present: int, more: int) -> None:
    most = view.quota(name)
    if most is not None and more > 0 and present + more > most:
        raise ApiError("QuotaExhausted", QuotaName=name, Value=most)


@CLUSTERS.operation("ModifyCluster", "PUT /clusters/{ClusterId}", 200, CHANGE)
def modify_cluster(view: View, parameters: Parameters) -> None:
    """Change a cluster. The counts that are wanted read back at once; VMs start, or go, as far as there are others."""
    cluster = _find(view, parameters)
    data = cluster.description_data()
    change = without_nulls(dict(parameters.body))
    check_change(parameters.body, data["Groups"])
    check_image(view, change.get("ImageId"), ("ImageId",))
    for name in CHANGED:
        if not CHANGE[name].is_absent(change.get(name)):
            data[name] = change[name]
    if "Mounts" in change.get("Configs", {}):
        data["Configs"]["Mounts"] = change["Configs"]["Mounts"]
    for name, wanted in change.get("Groups", {}).items():
        group = data["Groups"][name]
        group |= {field: wanted[field] for field in CHANGED_OF_GROUPS if wanted.get(field) not in (None, "")}
        check_spot(group, ("Groups", name))
    _check_active(cluster)
    changed = cluster.with_description(data)
    before, after = cluster.desired_vm_counts, changed.desired_vm_counts
    _check_vms(view, sum(after.values()) - sum(before.values()))

    def resize(course: Course, now: int) -> None:
        for name, count in after.items():
            course.resize(name, count, now)

    _move(view, changed, resize)


@CLUSTERS.operation("DeleteCluster", "DELETE /clusters/{ClusterId}", 204)
def delete_cluster(view: View, parameters: Parameters) -> None:
    """Delete a cluster. One that has shown VMs is Deleting until they are gone."""
    cluster = _active(view, parameters)
    present = view.present(CLUSTERS)
    course = cluster.course(present)
    at_once = course.goes_at_once(cluster.desired_vm_counts.values())
    course.delete(present.now)
    if at_once:
        course.advance(present.now)
    deleted = cluster.after(course, present)
    if at_once:
        view.collection(CLUSTERS).remove(cluster.id)
    else:
        view.collection(CLUSTERS).replace(deleted)


@CLUSTERS.operation("GetCluster", "GET /clusters/{ClusterId}", 200)
def get_cluster(view: View, parameters: Parameters) -> ClusterAnswer:
    """Return a cluster. It is a poll of it."""
    cluster = view.poll(CLUSTERS, _find(view, parameters))
    view.note(f"{cluster.state} (poll {cluster.polled})")
    return cluster.answer()


@CLUSTERS.operation("ListClusters", "GET /clusters?Marker&MaxItemCount", 200)
def list_clusters(view: View, parameters: Parameters) -> Page[ClusterAnswer]:
    """List the caller's clusters, a page at a time. With an empty marker it is a poll of all of them."""
    item_count(parameters)
    if not parameters.query.get("Marker"):
        view.poll_all(CLUSTERS)
    page = CLUSTERS.page(view, parameters)
    return Page(page.next_marker, [cluster.answer() for cluster in page.items])


def _find(view: View, parameters: Parameters) -> Cluster:
    """Return the cluster that a request names. Raises ApiError if there is none."""
    return CLUSTERS.find(view, parameters.path["ClusterId"])


def _active(view: View, parameters: Parameters) -> Cluster:
    cluster = _find(view, parameters)
    _check_active(cluster)
    return cluster


def _check_active(cluster: Cluster) -> None:
    """Raise ApiError for a cluster that is Deleting. [doc]"""
    if cluster.state == DELETING:
        raise ApiError("StateConflict", State=DELETING)


def _move(view: View, cluster: Cluster, move: Callable[[Course, int], None]) -> None:
    view.collection(CLUSTERS).replace(moved(cluster, view.present(CLUSTERS), move))


def check_cluster(view: View, cluster_id: str, path: Path) -> None:  # noqa: ARG001 - as `check_image` has it
    """Raise ApiError for a cluster on which nothing new can run: there is none, or it is Deleting. [choice]"""
    _check_active(CLUSTERS.find(view, cluster_id))


# VMs


@CLUSTERS.operation(
    "ListClusterInstances", "GET /clusters/{ClusterId}/groups/{GroupName}/instances?Marker&MaxItemCount", 200
)
def list_cluster_instances(view: View, parameters: Parameters) -> Page[ClusterInstance]:
    """List the VMs of a group by Id, a page at a time. With an empty marker it is a poll of their cluster."""
    item_count(parameters)
    cluster = _find(view, parameters)
    instances = _instances(cluster, parameters)
    marker = parameters.query.get("Marker", "")
    if not marker:
        instances = _instances(view.poll(CLUSTERS, cluster), parameters)
    return nested_page(instances, parameters, lambda instance: instance.id, marker)


@CLUSTERS.operation("GetClusterInstance", "GET /clusters/{ClusterId}/groups/{GroupName}/instances/{InstanceId}", 200)
def get_cluster_instance(view: View, parameters: Parameters) -> ClusterInstance:
    """Return how a VM is doing."""
    instance = _instance(_find(view, parameters), parameters)
    view.note(instance.state)
    return instance


@CLUSTERS.operation(
    "DeleteClusterInstance", "DELETE /clusters/{ClusterId}/groups/{GroupName}/instances/{InstanceId}", 202
)
def delete_cluster_instance(view: View, parameters: Parameters) -> None:
    """Delete a VM. Its group wants one less from then on, so that no other takes its place. [sdk]"""
    _release(view, parameters, wanted=-1)


@CLUSTERS.operation(
    "RecreateClusterInstance", "POST /clusters/{ClusterId}/groups/{GroupName}/instances/{InstanceId}/recreate", 201
)
def recreate_cluster_instance(view: View, parameters: Parameters) -> None:
    """Delete a VM, and start another one in its place."""
    _release(view, parameters, wanted=0)


def _release(view: View, parameters: Parameters, wanted: int) -> None:
    """Delete a VM, and let its group want so many more."""
    cluster, name = _find(view, parameters), parameters.path["GroupName"]
    instance = _instance(cluster, parameters)
    _check_active(cluster)
    if instance.state == DELETING:
        raise ApiError("StateConflict", State=DELETING)
    data = cluster.description_data()
    data["Groups"][name]["DesiredVMCount"] += wanted
    count = data["Groups"][name]["DesiredVMCount"]

    def release(course: Course, now: int) -> None:
        course.release(name, cluster.number_of(instance), 1, now)
        course.resize(name, count, now)

    _move(view, cluster.with_description(data), release)


def _instances(cluster: Cluster, parameters: Parameters) -> ClusterInstances:
    group = cluster.groups.get(parameters.path["GroupName"])
    if group is None:
        raise ApiError("InvalidResource.NotFound")
    return group.instances


def _instance(cluster: Cluster, parameters: Parameters) -> ClusterInstance:
    instance = _instances(cluster, parameters).find(parameters.path["InstanceId"])
    if instance is None:
        raise ApiError("InvalidResource.NotFound")
    return instance
