"""The record of a job, and what is derived from it: its tasks, its instances, and the answers that show them.

Knows nothing of requests.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, overload

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ...errors import FieldError
from ..clusters.description import EXAMPLE_CLUSTER
from ..described import (
    EXAMPLE_TIME,
    OWNER,
    TEXTS,
    TIME,
    ByName,
    Described,
    check_id,
    check_time,
    encode,
    events_of,
    time_of,
)
from ..progress import MICROSECONDS, Attempt, Event, Present, Result
from ..records import EXAMPLE_OWNER, format_micros, micros_of
from ..rules import Map, Object, Rules, Text, object_schema, without_nulls
from .course import (
    ENDED,
    FAILED,
    FINISHED,
    RUNNING,
    STATES,
    STOPPED,
    WAITING,
    Course,
    Fate,
    JobState,
    Run,
    TaskRun,
    restarted,
)
from .description import APP_JOB, APP_TASK, DAG_JOB, DEFAULT_TIMEOUT, JOB, NUMBERS, check_description, order, rules_of


class Metrics(msgspec.Struct, frozen=True):
    """How many tasks, or instances, are in each state. [doc]"""

    WaitingCount: int
    RunningCount: int
    FinishedCount: int
    FailedCount: int
    StoppedCount: int


def _metrics(counts: Mapping[str, int]) -> Metrics:
    return Metrics(*(counts[state] for state in STATES))


class JobAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    """A job as GetJob and ListJobs show it. [doc]"""

    id: str
    name: str
    owner_id: int
    state: JobState
    message: str
    creation_time: str
    start_time: str
    end_time: str
    priority: int
    task_metrics: Metrics
    instance_metrics: Metrics


_ID: Rules = {"Id": Text(mandatory=True, about="The identifier.")}
JobDescription = Annotated[
    dict[str, Any],
    Meta(
        title="JobDescription",
        extra_json_schema={"anyOf": [object_schema({**_ID, **rules}, "answer") for rules in (DAG_JOB, APP_JOB)]},
    ),
]
"""The description of a job as GetJobDescription shows it. [doc]"""


class TaskAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    """A task as GetTask and ListTasks show it. [doc]"""

    task_name: str
    state: JobState
    start_time: str
    end_time: str
    instance_metrics: Metrics


class InstanceAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    """An instance as GetInstance and ListInstances show it. [doc]"""

    instance_id: int
    state: JobState
    start_time: str
    end_time: str
    retry_count: int
    progress: int
    stdout_redirect_path: str
    stderr_redirect_path: str
    result: Result
    error: dict[str, str] | UnsetType = UNSET
    """Of App jobs: Code and Message. [doc]"""
    outputs: dict[str, Any] | UnsetType = UNSET
    """Of App jobs. [doc]"""


class Instance:
    """An instance of a task, as it was when the job was looked at."""

    def __init__(self, job: "Job", task: str, number: int, fate: Fate) -> None:
        self._job, self._task = job, task
        self.id: int = number
        self.state: JobState = fate.state
        self.retry_count: int = fate.retries
        self.start_time: str = format_micros(fate.start)
        self.end_time: str = format_micros(fate.end)
        self.result: Result = fate.result

    @property
    def stdout_redirect_path(self) -> str:
        """Where the service would have put what it wrote. [doc]"""
        return self._job.log_path(self._task, self.id, "stdout")

    @property
    def stderr_redirect_path(self) -> str:
        """Where the service would have put what it wrote as errors. [doc]"""
        return self._job.log_path(self._task, self.id, "stderr")

    def answer(self) -> InstanceAnswer:
        """Return it as the service shows it."""
        app = self._job.type == "App"
        failed = app and self.state == FAILED
        return InstanceAnswer(
            instance_id=self.id,
            state=self.state,
            start_time=self.start_time,
            end_time=self.end_time,
            retry_count=self.retry_count,
            progress=0,
            stdout_redirect_path=self.stdout_redirect_path,
            stderr_redirect_path=self.stderr_redirect_path,
            result=self.result,
            error={"Code": self.result.error_code, "Message": self.result.error_message} if failed else UNSET,
            outputs=self._job.outputs if app else UNSET,
        )

    def __repr__(self) -> str:
        return f"<instance {self.id} of task {self._task}: {self.state}>"


class Instances(Sequence[Instance]):
    """The instances of a task, by their numbers, from 0."""

    def __init__(self, job: "Job", task: str, run: TaskRun) -> None:
        self._job, self._task, self._run = job, task, run

    @overload
    def __getitem__(self, index: int) -> Instance: ...
    @overload
    def __getitem__(self, index: slice) -> list[Instance]: ...
    def __getitem__(self, index: int | slice) -> Instance | list[Instance]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"task {self._task} has the instances 0 to {len(self) - 1}, and no {index}")
        return Instance(self._job, self._task, number, self._run.fate(number))

    def __len__(self) -> int:
        return self._run.count


class Task:
    """A task of a job, as it was when the job was looked at."""

    def __init__(self, job: "Job", name: str, run: TaskRun) -> None:
        self._job, self._run = job, run
        self.name: str = name
        self.state: JobState = run.state
        self.start_time: str = format_micros(run.start)
        self.end_time: str = format_micros(run.end)
        self.instances: Sequence[Instance] = Instances(job, name, run)

    @property
    def instance_metrics(self) -> Metrics:
        """How many of its instances are in each state."""
        return _metrics(self._run.counts())

    @property
    def cluster_id(self) -> str:
        """The cluster that it is to run on; empty for one that is made for it."""
        return str(self._job.tasks_described()[self.name].get("ClusterId") or "")

    def answer(self) -> TaskAnswer:
        """Return it as the service shows it."""
        return TaskAnswer(self.name, self.state, self.start_time, self.end_time, self.instance_metrics)

    def __repr__(self) -> str:
        return f"<task {self.name}: {self.state}>"


class Job(Described, frozen=True, kw_only=True):
    """A job, as it is at a moment. Immutable.

    It is made of a description: a mapping with the service's names, or an object of the official SDK
    (`Job(job_description, id="job-...")`); or of the fields of one in Python's spelling (`Job(name="nightly",
    dag={...})`). What is left out gets a default: without `dag` and `app`, it has one task with one instance.
    `state`, `message` and the times are those that it is in to begin with.

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
            type: str = "",  # noqa: A002
            priority: int = 0,
            job_fail_on_instance_fail: bool = True,
            auto_release: bool = False,
            notification: Mapping[str, Any] | None = None,
            dag: Mapping[str, Any] | None = None,
            app: Mapping[str, Any] | None = None,
            app_command: Mapping[str, Any] | None = None,
            owner_id: int = EXAMPLE_OWNER,
            state: JobState = WAITING,
            message: str = "",
            creation_time: str = "",
            start_time: str = "",
            end_time: str = "",
        ) -> None: ...

    state: JobState = WAITING
    message: str = ""
    type: str = "DAG"
    priority: int = 0
    auto_release: bool = False
    job_fail_on_instance_fail: bool = True
    told_of: frozenset[str] = frozenset()
    begun_micros: int = 0
    """When it began to wait, in microseconds since 1970; 0: with the world."""
    seen: int = 0
    """How many polls of all jobs came before it."""
    times: tuple[int, int] = (0, 0)
    app_command: Mapping[str, Any] = {}
    """Of an App job: the command line, variables and settings that its app had when it was created."""
    run: Run | None = None
    """How it stands; None until it has been polled."""

    rules: ClassVar[Rules] = JOB
    own: ClassVar[Rules] = {
        "Id": Text(form=check_id, about="The identifier; one is made if it is left out."),
        "OwnerId": OWNER,
        "State": Text(only=STATES, about="The state in which it begins; Waiting if it is left out."),
        "Message": Text(blank=True, about="What is said of a failure."),
        "CreationTime": TIME,
        "StartTime": Text(
            blank=True,
            form=lambda text: check_time(text) if text else "",
            about="When it began to run; empty for one that has ended and never did.",
        ),
        "EndTime": TIME,
        "AppCommand": Object(
            fields={"CommandLine": Text(blank=True), "EnvVars": TEXTS, "Config": Map()},
            about="Of an App job: what its app had it run when it was created.",
        ),
    }

    @classmethod
    def check_description(cls, description: Mapping[str, Any]) -> None:
        """Raise ApiError for a description that the service would refuse, but for what may be left out."""
        check_description(_completed(description))

    @classmethod
    def complete(cls, own: Mapping[str, Any], description: Mapping[str, Any]) -> Self:
        """Return the job with what the service adds, and a description that was found right."""
        state = own.get("State") or WAITING
        for time, unknown in (("StartTime", (WAITING,)), ("EndTime", (WAITING, RUNNING))):
            if own.get(time) and state in unknown:
                raise FieldError(time, f"a job that is {state} has none; leave it out, or give another State")
        created = time_of(own, "CreationTime", EXAMPLE_TIME)
        never_ran = state == WAITING or (state in ENDED and own.get("StartTime") == "")
        start = time_of(own, "StartTime", "" if never_ran else created)
        end = time_of(own, "EndTime", (start or created) if state in ENDED else "")
        if not created <= (start or created) <= (end or start or created):
            raise FieldError("EndTime" if own.get("EndTime") else "StartTime", "the times of a job must ascend")
        return cls.created(
            without_nulls(_completed(description)),
            id=own.get("Id") or "",
            owner_id=own.get("OwnerId") or EXAMPLE_OWNER,
            state=state,
            message=own.get("Message") or "",
            creation_time=created,
            times=(micros_of(start), micros_of(end)),
            app_command=own.get("AppCommand") or {},
        )

    @classmethod
    def created(cls, description: Mapping[str, Any], **fields: Any) -> Self:
        """Return the job with a description that was found right, and fields that the service adds."""
        kept = {
            "name": description["Name"],
            "type": description["Type"],
            "priority": description.get("Priority") or 0,
            "auto_release": bool(description.get("AutoRelease")),
            "job_fail_on_instance_fail": description.get("JobFailOnInstanceFail") is not False,
            "told_of": events_of(description),
            "described": encode(description, rules_of(description)),
        }
        return cls.made(**kept | fields)

    def written(self) -> dict[str, Any]:
        """Return it as a fixture file writes it: it goes on from its state."""
        return super().written() | {"Priority": self.priority}

    def own_written(self) -> dict[str, Any]:
        """Return the fields that the service has added, as a fixture file writes them."""
        own = super().own_written()
        # A clock that goes back, or was never there, may have put them in another order.
        start = max(self.start_time, self.creation_time) if self.start_time else ""
        end = max(self.end_time, start or self.creation_time) if self.end_time else ""
        if start or self.state in ENDED:
            own["StartTime"] = start
        more = {"EndTime": end, "Message": self.message, "AppCommand": self.app_command}
        return own | {name: value for name, value in more.items() if value}

    # What is derived from it.

    @property
    def start_time(self) -> str:
        """When it began to run; empty while it waits. [doc]"""
        return format_micros(self.run.start if self.run else self.times[0])

    @property
    def end_time(self) -> str:
        """When it ended; empty until then. [doc]"""
        return format_micros(self.run.end if self.run else self.times[1])

    @property
    def description(self) -> str:
        """The text that its description has under this name."""
        return str(self.description_data().get("Description", ""))

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Its tasks, by name."""
        return ByName("task", {name: Task(self, name, run) for name, run in sorted(self.task_runs().items())})

    @property
    def outputs(self) -> dict[str, Any]:
        """Of an App job: its outputs, as they were asked for."""
        app = self.description_data().get("App", {})
        return dict(app.get("Outputs", {}))

    def task_runs(self) -> Mapping[str, TaskRun]:
        """Return how its tasks stand."""
        return self.run.tasks if self.run else self.first_tasks()

    def first_tasks(self) -> dict[str, TaskRun]:
        """Return how its tasks stand to begin with: as its state has them."""
        tasks = self.tasks_described()
        dependencies = self.description_data().get("DAG", {}).get("Dependencies", {})
        start, end = self.times
        runs = {}
        for name, before in order(tasks, dependencies).items():
            task = tasks[name]
            state: JobState = self.state
            if (before and state in (RUNNING, FAILED)) or (state == FAILED and not start):
                state = WAITING if state == RUNNING else STOPPED
            fate = Fate(state, 0, 0 if state == WAITING or (state == STOPPED and not start) else start, end)
            if state == FAILED:
                fate = msgspec.structs.replace(fate, result=Result(error_message=self.message, detail=self.message))
            runs[name] = TaskRun(
                count=task.get("InstanceCount") or 1,
                retry_limit=task.get("MaxRetryCount") or 0,
                timeout=(task.get("Timeout") or DEFAULT_TIMEOUT) * MICROSECONDS,
                before=before,
                state=state,
                start=fate.start,
                end=fate.end,
                rest=fate,
                entered=start,
            )
        return runs

    def tasks_described(self) -> Mapping[str, Any]:
        """Return the descriptions of its tasks, by name: of an App job, what its app and its own settings amount to."""
        data = self.description_data()
        if self.type == "DAG":
            tasks: dict[str, Any] = data["DAG"]["Tasks"]
            return tasks
        app = data["App"]
        settings, logging = self.app_command.get("Config", app.get("Config", {})), app.get("Logging", {})
        # A setting may hold anything: one that no task could have counts as absent. [choice]
        numbers = {name: settings[name] for name, rule in NUMBERS.items() if not rule.problem(settings.get(name))}
        return {
            APP_TASK: {
                **numbers,
                "ClusterId": settings.get("ClusterId", ""),
                "Parameters": {
                    "Command": {name: self.app_command.get(name, "") for name in ("CommandLine", "EnvVars")},
                    "StdoutRedirectPath": logging.get("StdoutPath", ""),
                    "StderrRedirectPath": logging.get("StderrPath", ""),
                },
            }
        }

    def log_path(self, task: str, number: int, which: str) -> str:
        """Return where what an instance writes would be: `{path}stdout.{JobId}.{TaskName}.{InstanceId}`. [doc]"""
        parameters = self.tasks_described()[task].get("Parameters", {})
        folder = parameters.get(f"{which.capitalize()}RedirectPath", "")
        return f"{folder}{which}.{self.id}.{task}.{number}"

    def names_cluster(self, cluster_id: str) -> bool:
        """Tell whether one of its tasks runs on a cluster."""
        return any(task.get("ClusterId") == cluster_id for task in self.tasks_described().values())

    def answer(self) -> JobAnswer:
        """Return it as the service shows it."""
        tasks: dict[str, int] = dict.fromkeys(STATES, 0)
        instances: dict[str, int] = dict.fromkeys(STATES, 0)
        for run in self.task_runs().values():
            tasks[run.state] += 1
            if run.apart:
                for state, count in run.counts().items():
                    instances[state] += count
            else:
                instances[run.rest.state] += run.count
        return JobAnswer(
            self.id,
            self.name,
            self.owner_id,
            self.state,
            self.message,
            self.creation_time,
            self.start_time,
            self.end_time,
            self.priority,
            _metrics(tasks),
            _metrics(instances),
        )

    def attempt(self, task: str, number: int, attempt: int) -> Attempt:
        """Return what is known of an attempt of an instance, as it ends."""
        described = self.tasks_described()[task]
        command = described.get("Parameters", {}).get("Command", {})
        variables = command.get("EnvVars")
        return Attempt(
            job_id=self.id,
            job_name=self.name,
            task=task,
            instance=number,
            attempt=attempt,
            command_line=command.get("CommandLine", ""),
            env_vars={name: str(value) for name, value in variables.items()} if isinstance(variables, dict) else {},
            timeout=described.get("Timeout") or DEFAULT_TIMEOUT,
            stdout_path=self.log_path(task, number, "stdout"),
            stderr_path=self.log_path(task, number, "stderr"),
            cluster_id=described.get("ClusterId") or f"{self.id}_{task}_0",
        )

    def event(self, event: str, moment: int, task: str = "", number: int | None = None) -> Event:
        """Return a notification of what has happened to it, as the service would have sent it. [doc]"""
        told: Event = {"Category": "Job", "JobId": self.id, "JobName": self.name}
        if task:
            told["TaskName"] = task
        if number is not None:
            told["InstanceId"] = number
        state = next((state for state in STATES if event.endswith(state)), self.state)
        return {**told, "Event": event, "State": state, "Time": format_micros(moment)}

    # How it goes on.

    def course(self, present: Present) -> Course:
        """Return it on its way, as the last poll has shown it."""
        run = self.run or self.begun(present)
        return Course(self, run, present)

    def begun(self, present: Present) -> Run:
        """Return how it stands to begin with."""
        begun = self.begun_micros or present.began
        tasks = self.first_tasks()
        if self.state == RUNNING:
            tasks = {
                name: msgspec.structs.replace(task, entered=begun) if task.state == RUNNING else task
                for name, task in tasks.items()
            }
        rule = present.choose("job", self.name)
        return Run(rule=rule, tasks=tasks, entered=begun, seen=self.seen, start=self.times[0], end=self.times[1])

    def after(self, course: Course, **changes: Any) -> Self:
        """Return what a course has made of it."""
        next_due, next_poll = course.next_changes()
        run = msgspec.structs.replace(
            course.run,
            next_due=next_due,
            next_poll=next_poll,
            tasks=course.tasks,
            entered=course.entered,
            since=course.since,
            polled=course.polled,
            start=course.start,
            end=course.end,
            **changes,
        )
        job = msgspec.structs.replace(self, state=course.state, message=course.message, run=run)
        for event in course.events():
            course.present.tell(event)
        return job

    def restarted(self, present: Present) -> Self:
        """Return it as it is when it is started again: what is Finished is not run again. [doc]"""
        run = self.run or self.begun(present)
        again = Run(
            rule=present.choose("job", self.name),
            tasks=restarted(run.tasks),
            entered=present.now,
            since=run.polled,
            seen=len(present.polls),
            polled=run.polled,
            number=run.number + 1,
        )
        return msgspec.structs.replace(self, state=WAITING, message="", run=again)

    def anew(self, present: Present) -> Self:
        """Return it as if it had just been created."""
        waiting = msgspec.structs.replace(
            self, state=WAITING, message="", times=(0, 0), begun_micros=present.now, seen=len(present.polls), run=None
        )
        run = self.run or waiting.begun(present)
        again = msgspec.structs.replace(
            waiting.begun(present), since=run.polled, polled=run.polled, number=run.number + 1
        )
        return msgspec.structs.replace(waiting, run=again)


def follow(job: Job, present: Present, *, polled: bool = False) -> Job | None:
    """Return what has become of a job, and count a poll of it; None if it is gone."""
    run = job.run
    if run is None:
        if job.state in ENDED and not polled:
            return job
        run = job.begun(present)
    count = run.polled + len(present.polls) - run.seen + polled
    if present.now < run.next_due and count < run.next_poll and not (job.auto_release and job.state == FINISHED):
        # It shows what it has shown.
        return job if not polled else msgspec.structs.replace(job, run=_polled(run, count, len(present.polls)))
    course = Course(job, run, present)
    for moment in present.polls[run.seen :]:
        course.go_to(moment)
        course.poll(moment)
    course.go_to(present.now)
    if polled:
        course.poll(present.now)
    if course.gone:
        return None
    if not course.changed and course.polled == run.polled:
        return job
    return job.after(course, seen=len(present.polls))


def _polled(run: Run, count: int, seen: int) -> Run:
    return msgspec.structs.replace(run, polled=count, seen=seen)


def moved(job: Job, present: Present, move: Callable[[Course, int], None]) -> Job:
    """Return a job after something was done to it."""
    course = job.course(present)
    move(course, present.now)
    return job.after(course)


def _completed(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a fixture file with what the service would ask for and a test need not say."""
    data = dict(description)
    data.setdefault("Type", "App" if "App" in data else "DAG")
    data["Name"] = data.get("Name") or "job"
    if data["Type"] == "App":
        return data
    dag = {} if data.get("DAG") is None else data["DAG"]
    tasks = dag.get("Tasks", {}) if isinstance(dag, dict) else None
    if isinstance(tasks, dict):
        named = tasks or {APP_TASK: {}}
        data["DAG"] = {**dag, "Tasks": {name: _completed_task(task) for name, task in named.items()}}
    return data


def _completed_task(task: Any) -> Any:
    if task is None:
        task = {}
    if not isinstance(task, dict):
        return task
    parameters = task.get("Parameters") or {}
    if isinstance(parameters, dict):
        command = parameters.get("Command") or {}
        if isinstance(command, dict):
            parameters = {**parameters, "Command": {"CommandLine": "", **command}}
    place = {} if task.get("ClusterId") or task.get("AutoCluster") else {"AutoCluster": EXAMPLE_CLUSTER}
    return {**task, "Parameters": parameters, **place}
