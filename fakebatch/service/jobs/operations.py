"""The operations of jobs, tasks and instances.

Knows nothing of files or of HTTP.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import msgspec

from ...errors import ApiError
from ..apps import prepare
from ..clusters.operations import check_cluster
from ..images import check_image
from ..operation import (
    TOKEN,
    Answered,
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
from ..rules import check, without_nulls
from .course import ENDED, FAILED, FINISHED, RUNNING, STATES, STOPPED, WAITING, Course, JobState
from .description import APP_JOB, DAG_JOB, MOST_INSTANCES, PRIORITY, check_description
from .live import Jobs
from .records import InstanceAnswer, Job, JobAnswer, JobDescription, Task, TaskAnswer, follow, moved

_FIRST_SECOND = 0x58184218
"""When the reference's generator of Ids was started, in seconds since 1970 [doc]: the same in each epoch [choice]."""
_SERVER = 0x815


class _Grown(Grown[Job]):
    states = STATES

    def become(self, record: Job, present: Present, state: str) -> Job:
        return become(record, present, state)

    def begin(self, record: Job, present: Present) -> Job:
        return msgspec.structs.replace(record, begun_micros=present.now, seen=len(present.polls))

    def follow(self, record: Job, present: Present, *, polled: bool = False) -> Job | None:
        return follow(record, present, polled=polled)

    def is_mortal(self, record: Job) -> bool:
        return record.auto_release


def _owner_of(job: Job) -> int:
    return job.owner_id


JOBS = Resource(
    "jobs",
    "job",
    Job,
    _owner_of,
    numbered=lambda number: f"job-{_FIRST_SECOND:016X}{_SERVER:08X}{number:08X}",
    grown=_Grown(),
    collection=Jobs,
)


class SynchronousInstance(msgspec.Struct, rename="pascal"):
    """What a synchronous App job answers. [sdk]"""

    request_id: str
    start_time: str
    end_time: str
    outputs: dict[str, Any]
    error: dict[str, str]


SyncAnswer = Answered[Literal[200], SynchronousInstance]


# Jobs


@JOBS.operation("CreateJob", f"POST /jobs?{TOKEN}&sync", 201, DAG_JOB, APP_JOB)
def create_job(view: View, parameters: Parameters) -> Created | SyncAnswer:
    """Create a job. With the bare parameter `sync`, carry it to its end, and answer with that. [sdk]"""
    token = idempotent_token(parameters)
    description = without_nulls({name: value for name, value in parameters.body.items() if name != TOKEN})
    check_description(description)
    _check_places(view, description)
    synchronous = parameters.query.get("sync", "false").lower() != "false"

    def create() -> Created | SyncAnswer:
        app_command = prepare(view, description["App"]) if description["Type"] == "App" else {}
        _check_quota(view)
        present = view.present(JOBS)
        job = Job.created(
            description,
            id=view.next_id(JOBS),
            owner_id=view.owner_id,
            creation_time=format_micros(present.now),
            begun_micros=present.now,
            seen=len(present.polls),
            app_command=app_command,
        )
        job = msgspec.structs.replace(job, run=job.begun(present))
        # Functions are called for its end before anything is told, or that would be told again after them.
        end = _end(job, present) if synchronous else None
        if f"OnJob{WAITING}" in job.told_of:
            view.tell(job.event(f"OnJob{WAITING}", present.now))
        if end:
            job = job.after(end)
        view.collection(JOBS).create(job)
        return Answered(200, _synchronous(job)) if synchronous else Created(job.id)

    return view.once(token, (description, synchronous), create)


def _check_places(view: View, description: dict[str, Any]) -> None:
    """Raise ApiError for a task that is to run on a cluster or from an image that is not there."""
    if description["Type"] != "DAG":
        return
    for name, task in description["DAG"]["Tasks"].items():
        path = ("DAG", "Tasks", name)
        if task.get("ClusterId"):
            check_cluster(view, task["ClusterId"], (*path, "ClusterId"))
        else:
            check_image(view, task["AutoCluster"].get("ImageId"), (*path, "AutoCluster", "ImageId"))


def _check_quota(view: View) -> None:
    most = view.quota("Jobs")
    if most is not None and sum(job.state not in ENDED for job in JOBS.owned(view)) >= most:
        raise ApiError("QuotaExhausted", QuotaName="Jobs", Value=most)


def _end(job: Job, present: Present) -> Course:
    """Return a new job at its end."""
    course = job.course(present)
    while course.state not in ENDED:
        course.advance(present.now)
    return course


def _synchronous(job: Job) -> SynchronousInstance:
    failed = {"Code": "JobFailed", "Message": job.message} if job.state != FINISHED else {}
    return SynchronousInstance(job.id, job.start_time, job.end_time, job.outputs if job.type == "App" else {}, failed)


@JOBS.operation("GetJob", "GET /jobs/{JobId}", 200)
def get_job(view: View, parameters: Parameters) -> JobAnswer:
    """Return how a job is doing. It is a poll of it."""
    job = view.poll(JOBS, _find(view, parameters))
    view.note(f"{job.state} (poll {job.run.polled})" if job.run else job.state)
    return job.answer()


@JOBS.operation("GetJobDescription", "GET /jobs/{JobId}?description", 200, chosen_by="description")
def get_job_description(view: View, parameters: Parameters) -> JobDescription:
    """Return the description of a job as it was sent, with its defaults, and its Id. [doc]

    One that was sent with an Id, as whoever sends what was answered here does, gets the Id of the new job. [choice]
    """
    job = _find(view, parameters)
    own = {"Id": job.id, "Priority": job.priority}
    return own | job.description_data() | own


class _Filter(NamedTuple):
    """What of a list is wanted: all that the parameters do not rule out."""

    name: str
    fits: Callable[[Any, str], bool]


_JOB_FILTERS = (
    _Filter("State", lambda job, state: job.state == state),
    _Filter("ClusterId", lambda job, cluster: job.names_cluster(cluster)),
    _Filter("ProjectId", lambda job, project: job.description_data().get("ProjectId") == project),
)
_TASK_FILTERS = (
    _Filter("State", lambda task, state: task.state == state),
    _Filter("ClusterId", lambda task, cluster: task.cluster_id == cluster),
)
_INSTANCE_FILTERS = (_Filter("State", lambda instance, state: instance.state == state),)
_ORDERS: dict[str, Callable[[Job], Any]] = {
    "Id": lambda job: job.id,
    "CreationTime": lambda job: job.creation_time,
    "Name": lambda job: job.name,
    "State": lambda job: job.state,
    "Priority": lambda job: job.priority,
}


def _filtered(items: list[Any], filters: tuple[_Filter, ...], parameters: Parameters) -> list[Any]:
    for wanted in filters:
        value = parameters.query.get(wanted.name)
        if value:
            items = [item for item in items if wanted.fits(item, value)]
    return items


@JOBS.operation("ListJobs", "GET /jobs?Marker&MaxItemCount&State&ClusterId&ProjectId&OrderBy&IsReverse", 200)
def list_jobs(view: View, parameters: Parameters) -> Page[JobAnswer]:
    """List the caller's jobs, a page at a time. With an empty marker it is a poll of all of them.

    The five filters and orders are those of the SDKs [sdk]; any other `OrderBy` is ignored [choice].
    """
    count = item_count(parameters)
    if not parameters.query.get("Marker"):
        view.poll_all(JOBS)
    order = _ORDERS.get(parameters.query.get("OrderBy", ""))
    if order is None and not any(parameters.query.get(wanted.name) for wanted in _JOB_FILTERS):
        page = JOBS.page(view, parameters)
        return Page(page.next_marker, [job.answer() for job in page.items])
    jobs = _filtered(JOBS.owned(view), _JOB_FILTERS, parameters)
    jobs.sort(key=order or _ORDERS["Id"], reverse=parameters.query.get("IsReverse", "").lower() == "true")
    marker = parameters.query.get("Marker", "")
    if order is None:
        start = sum(job.id < marker for job in jobs)
    else:
        start = next((index for index, job in enumerate(jobs) if job.id == marker), len(jobs)) if marker else 0
    following = jobs[start + count : start + count + 1]
    return Page(following[0].id if following else "", [job.answer() for job in jobs[start : start + count]])


@JOBS.operation("StopJob", "POST /jobs/{JobId}/stop", 201)
def stop_job(view: View, parameters: Parameters) -> None:
    """Stop a job that waits or runs. It is stopped at once. [sdk]"""
    job = _find(view, parameters, WAITING, RUNNING)
    _move(view, job, lambda course, now: course.stop(now))


@JOBS.operation("StartJob", "POST /jobs/{JobId}/start", 201)
def start_job(view: View, parameters: Parameters) -> None:
    """Start a job again that was stopped or has failed: what is Finished is not run again. [doc]"""
    job = _find(view, parameters, STOPPED, FAILED)
    started = job.restarted(view.present(JOBS))
    view.collection(JOBS).replace(started)
    if f"OnJob{WAITING}" in job.told_of:
        view.tell(started.event(f"OnJob{WAITING}", view.present(JOBS).now))


@JOBS.operation("ChangeJobPriority", "PUT /jobs/{JobId}", 200, PRIORITY)
def change_job_priority(view: View, parameters: Parameters) -> None:
    """Change the priority of a job that was stopped [doc] or has failed [choice]."""
    _find(view, parameters)
    check(parameters.body, PRIORITY)
    job = _find(view, parameters, STOPPED, FAILED)
    view.collection(JOBS).replace(msgspec.structs.replace(job, priority=parameters.body["Priority"]))
    if "OnPriorityChange" in job.told_of:
        view.tell(job.event("OnPriorityChange", view.present(JOBS).now))


@JOBS.operation("DeleteJob", "DELETE /jobs/{JobId}", 204)
def delete_job(view: View, parameters: Parameters) -> None:
    """Delete a job that has ended. It is gone at once. [sdk]"""
    view.collection(JOBS).remove(_find(view, parameters, *ENDED).id)


def _find(view: View, parameters: Parameters, *states: JobState) -> Job:
    """Return the job that a request names. Raises ApiError if there is none, and if it is in none of these states."""
    job = JOBS.find(view, parameters.path["JobId"])
    if states and job.state not in states:
        raise ApiError("StateConflict", State=job.state)
    return job


def _move(view: View, job: Job, move: Callable[[Course, int], None]) -> None:
    present = view.present(JOBS)
    view.collection(JOBS).replace(moved(job, present, move))


def become(job: Job, present: Present, state: str) -> Job:
    """Return a job that is in a state all at once."""
    if state == job.state:
        return job
    if state == WAITING or job.state in ENDED:
        job = job.anew(present)
    if state == WAITING:
        return job
    moves: dict[str, Callable[[Course, int], None]] = {
        RUNNING: lambda course, now: course.begin_running(now),
        FINISHED: lambda course, now: course.finish(now),
        FAILED: lambda course, now: course.fail(now, ""),
        STOPPED: lambda course, now: course.stop(now),
    }
    return moved(job, present, moves[state])


# Tasks and instances


@JOBS.operation("ListTasks", "GET /jobs/{JobId}/tasks?Marker&MaxItemCount&State&ClusterId", 200)
def list_tasks(view: View, parameters: Parameters) -> Page[TaskAnswer]:
    """List the tasks of a job by name [choice], a page at a time."""
    job = _find(view, parameters)
    tasks: list[Task] = _filtered(list(job.tasks.values()), _TASK_FILTERS, parameters)
    page = nested_page(tasks, parameters, lambda task: task.name, parameters.query.get("Marker", ""))
    return Page(page.next_marker, [task.answer() for task in page.items])


@JOBS.operation("GetTask", "GET /jobs/{JobId}/tasks/{TaskName}", 200)
def get_task(view: View, parameters: Parameters) -> TaskAnswer:
    """Return how a task is doing."""
    task = _task(view, parameters)
    view.note(task.state)
    return task.answer()


@JOBS.operation("ListInstances", "GET /jobs/{JobId}/tasks/{TaskName}/instances?Marker&MaxItemCount&State", 200)
def list_instances(view: View, parameters: Parameters) -> Page[InstanceAnswer]:
    """List the instances of a task by number, a page at a time. The marker `0` begins like an empty one. [sdk]"""
    instances = _task(view, parameters).instances
    wanted = parameters.query.get("State")
    shown = _filtered(list(instances), _INSTANCE_FILTERS, parameters) if wanted else instances
    marker = parameters.query.get("Marker") or "0"
    # What is no number, and what no task has so many instances for, is past the end. [choice]
    number = int(marker) if marker.isascii() and marker.isdigit() and len(marker) < 10 else MOST_INSTANCES
    page = nested_page(shown, parameters, lambda instance: instance.id, number)
    return Page(page.next_marker, [instance.answer() for instance in page.items])


@JOBS.operation("GetInstance", "GET /jobs/{JobId}/tasks/{TaskName}/instances/{InstanceId}", 200)
def get_instance(view: View, parameters: Parameters) -> InstanceAnswer:
    """Return how an instance is doing."""
    instances = _task(view, parameters).instances
    number = parameters.path["InstanceId"]
    if not (number.isascii() and number.isdigit() and len(number) < 10 and int(number) < len(instances)):
        raise ApiError("InvalidResource.NotFound")
    instance = instances[int(number)]
    view.note(instance.state)
    return instance.answer()


def _task(view: View, parameters: Parameters) -> Task:
    task = _find(view, parameters).tasks.get(parameters.path["TaskName"])
    if task is None:
        raise ApiError("InvalidResource.NotFound")
    return task
