"""What has to be there before a request: made with requests, wherever a request can make it."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from contract import ANSWERS, BODIES, OPERATIONS
from conversation import Conversation, Request, WorldError
from expectations import World, encode, get, needed_query, note_key, path_of

JOB_STATES: tuple[str, ...] = tuple(ANSWERS["Job"]["fields"]["State"]["in"])
CLUSTER_STATES: tuple[str, ...] = tuple(ANSWERS["Cluster"]["fields"]["State"]["in"])
GONE = "gone"
"""In the place of a state: what is asked for was there, and is not any more."""

_MOST_POLLS = 10


def nothing(talk: Conversation) -> None:
    """Need nothing."""


def create(talk: Conversation, operation: str, body: object = None) -> str:
    """Create something, by default what the reference has as an example, and return its identifier."""
    example = BODIES[OPERATIONS[operation]["body"][0]]["example"] if body is None else body
    reply = talk.must(Request("POST", path_of(operation), body=encode(example)))
    note_key(talk, operation, reply)
    return str(reply.json.get("Id") or reply.json.get("Name"))


def image(talk: Conversation, state: str = "") -> None:
    """Need an image."""
    create(talk, "CreateImage")
    if state == GONE:
        talk.must(Request("DELETE", path_of("DeleteImage")))


def app(talk: Conversation, state: str = "") -> None:
    """Need an app."""
    create(talk, "CreateApp")
    if state == GONE:
        talk.must(Request("DELETE", path_of("DeleteApp")))


def apps_revised(talk: Conversation, times: int) -> None:
    """Need an app that was modified so many times."""
    app(talk)
    for _ in range(times):
        talk.must(Request("PUT", path_of("ModifyApp"), body=encode(BODIES["AppChange"]["example"])))


def cluster(talk: Conversation, state: str = "Active", wanted: int = 1) -> None:
    """Need a cluster of one group, with VMs that were seen."""
    body = deepcopy(BODIES["ClusterDescription"]["example"])
    body["Groups"]["g"]["DesiredVMCount"] = wanted
    create(talk, "CreateCluster", body)
    talk.names["GroupName"] = "g"
    if wanted:
        talk.names["InstanceId"] = _first_instance(talk)
        talk.must(get("GetCluster"))  # a poll more: it runs
    if state != "Active":
        talk.must(Request("DELETE", path_of("DeleteCluster")))
    if state == GONE:
        _poll_until(talk, "GetCluster", lambda status, _: status == 404)


def _first_instance(talk: Conversation) -> str:
    for _ in range(_MOST_POLLS):
        items = talk.must(get("ListClusterInstances")).json["Items"]
        if items:
            return str(items[0]["Id"])
    raise WorldError("no instance of the cluster is ever listed")


def _poll_until(talk: Conversation, operation: str, reached: Callable[[int, Any], bool]) -> None:
    for _ in range(_MOST_POLLS):
        reply = talk.ask(get(operation))
        if reached(reply.status, reply.json):
            return
    raise WorldError(f"{operation} never shows what is needed")


def job(talk: Conversation, state: str = "Waiting", body: object = None) -> None:
    """Need a job in a state."""
    job_id = create(talk, "CreateJob", body)
    talk.names |= {"TaskName": "count", "InstanceId": "0"}
    if state in ("Stopped", GONE):
        talk.must(Request("POST", path_of("StopJob")))
    elif state == "Failed":
        # No request can do this.
        cast("Any", talk.fake).jobs.fail(job_id, message="out of memory")
    elif state != "Waiting":
        _poll_until(talk, "GetJob", lambda _, seen: seen["State"] == state)
    if state == GONE:
        talk.must(Request("DELETE", path_of("DeleteJob")))


_MAKERS: Mapping[str, Callable[..., None]] = {"ImageId": image, "AppName": app, "ClusterId": cluster, "JobId": job}


def example_for(operation: str) -> dict[str, Any] | None:
    """Return the example of what an operation takes in its body, if it takes any."""
    bodies = OPERATIONS[operation].get("body")
    example: dict[str, Any] | None = deepcopy(BODIES[bodies[0]]["example"]) if bodies else None
    return example


def example_request(operation: str) -> Request:
    """Return a request for an operation that succeeds in its own world."""
    body = example_for(operation)
    method = OPERATIONS[operation]["method"]
    data = None if body is None else encode(body)
    return Request(method, path_of(operation), needed_query(operation), data)


def world_for(operation: str, state: str = "") -> World:
    """Return the world in which there is what the path of an operation names, in a state that allows it."""
    make = next((make for name, make in _MAKERS.items() if f"{{{name}}}" in path_of(operation)), None)
    if make is None:
        return nothing
    state = state or next(iter(OPERATIONS[operation].get("states", {}).get("allowed", ())), "")
    return partial(make, state=state) if state else make


def states_for(operation: str) -> tuple[str, ...]:
    """Return all states in which that may be what the path of an operation names."""
    path = path_of(operation)
    if "{JobId}" in path:
        return (*JOB_STATES, GONE)
    if "{ClusterId}" in path:
        return (*CLUSTER_STATES, GONE)
    return (GONE,) if "{" in path else ()


def _image_body(number: int) -> object:
    return BODIES["ImageDescription"]["example"] | {"Name": f"image-{number:03}"}


def _app_body(number: int) -> object:
    """Return an app whose name is before or after those of others by its number only, with case or without."""
    return BODIES["AppDescription"]["example"] | {"Name": f"{'App' if number % 2 else 'app'}-{number:03}"}


def _job_body(number: int) -> object:
    return BODIES["DagJobDescription"]["example"] | {"Name": f"job-{number % 7}", "Priority": number * 37 % 1000}


def _cluster_body(number: int) -> object:
    return BODIES["ClusterDescription"]["example"] | {"Name": f"cluster-{number:03}"}


_CREATED_ONE_BY_ONE: Mapping[str, tuple[str, Callable[[int], object]]] = {
    "ListImages": ("CreateImage", _image_body),
    "ListApps": ("CreateApp", _app_body),
    "ListJobs": ("CreateJob", _job_body),
    "ListClusters": ("CreateCluster", _cluster_body),
}
"""The lists whose items are created by a request each."""


@dataclass(frozen=True)
class Collection:
    """The world in which a list has so many items. One that grows from a smaller one need not begin anew."""

    operation: str
    size: int

    @property
    def smallest(self) -> int:
        """How many items are in such a list at least."""
        return 1 if self.operation in ("ListTasks", "ListInstances") else 0

    def grows_from(self, talk: Conversation) -> bool:
        """Tell whether there is such a collection already, of this size or smaller."""
        operation, size = talk.collection
        grows = self.operation in _CREATED_ONE_BY_ONE
        return operation == self.operation and (size <= self.size if grows else size == self.size)

    def __call__(self, talk: Conversation) -> None:
        if talk.collection == (self.operation, self.size):
            return
        if self.operation in _CREATED_ONE_BY_ONE:
            self._grow(talk)
        elif self.operation == "ListClusterInstances":
            self._instances_of_a_cluster(talk)
        else:
            self._parts_of_a_job(talk)
        talk.collection = (self.operation, self.size)

    def _grow(self, talk: Conversation) -> None:
        operation, body = _CREATED_ONE_BY_ONE[self.operation]
        if not talk.collection[0]:
            for item in talk.must(get(self.operation)).json["Items"]:  # those of the baseline
                talk.names["ImageId"] = item["Id"]
                talk.must(Request("DELETE", path_of("DeleteImage")))
        talk.keys += [create(talk, operation, body(number)) for number in range(len(talk.keys), self.size)]

    def _instances_of_a_cluster(self, talk: Conversation) -> None:
        cluster(talk, wanted=self.size)
        marker = ""
        talk.keys = []
        while True:
            page = talk.must(get(self.operation, f"Marker={marker}&MaxItemCount=100")).json
            talk.keys += [item["Id"] for item in page["Items"]]
            marker = page["NextMarker"]
            if not marker or len(talk.keys) > self.size:
                break
        if len(set(talk.keys)) != self.size:
            raise WorldError(f"{len(set(talk.keys))} instances of {self.size} are listed")

    def _parts_of_a_job(self, talk: Conversation) -> None:
        body = example_for("CreateJob")
        assert body
        tasks = body["DAG"]["Tasks"]
        if self.operation == "ListTasks":
            talk.keys = [f"task-{number:03}" for number in range(self.size)]
            body["DAG"]["Tasks"] = dict.fromkeys(reversed(talk.keys), tasks["count"])
        else:
            talk.keys = [str(number) for number in range(self.size)]
            tasks["count"]["InstanceCount"] = self.size
        job(talk, body=body)
