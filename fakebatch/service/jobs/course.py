"""How a job goes on: from what it is, its rule, the polls and the time, to what it is then. Pure functions.

The instances of a task run in step: they start together, and each attempt of those that run lasts equally long. So a
task is a few numbers, whatever its `InstanceCount`; only instances that fare otherwise than the rest are kept one by
one. Knows nothing of requests.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, Protocol

import msgspec

from ..progress import (
    MICROSECONDS,
    SUCCESS,
    Attempt,
    Event,
    PendingError,
    Present,
    Result,
    Rule,
    timed_out,
)

JobState = Literal["Waiting", "Running", "Finished", "Failed", "Stopped"]
WAITING: Final = "Waiting"
RUNNING: Final = "Running"
FINISHED: Final = "Finished"
FAILED: Final = "Failed"
STOPPED: Final = "Stopped"
STATES: tuple[JobState, ...] = (WAITING, RUNNING, FINISHED, FAILED, STOPPED)
"""Of jobs, tasks and instances. [doc]"""
ENDED: tuple[JobState, ...] = (FINISHED, FAILED, STOPPED)


class Fate(msgspec.Struct, frozen=True):
    """How an instance stands. Times are microseconds since 1970; 0 if they are not known yet."""

    state: JobState = WAITING
    retries: int = 0
    start: int = 0
    end: int = 0
    result: Result = SUCCESS


UNBORN = Fate()


class TaskRun(msgspec.Struct, frozen=True):
    """How a task stands."""

    count: int
    retry_limit: int
    timeout: int
    """In microseconds."""
    before: tuple[str, ...]
    """The tasks that must be Finished before it starts."""
    state: JobState = WAITING
    start: int = 0
    end: int = 0
    rest: Fate = UNBORN
    """How all instances stand but those apart."""
    apart: Mapping[int, Fate] = {}
    attempt: int = 1
    """Which attempt of its running instances it is."""
    entered: int = 0
    """When the attempt began."""
    since: int = 0
    """How many polls the job had seen when the attempt began, without the one that showed its beginning."""

    def fate(self, number: int) -> Fate:
        """Return how an instance stands."""
        return self.apart.get(number, self.rest)

    def counts(self) -> dict[str, int]:
        """Return how many instances are in each state."""
        counts: dict[str, int] = dict.fromkeys(STATES, 0)
        counts[self.rest.state] = self.count - len(self.apart)
        for fate in self.apart.values():
            counts[fate.state] += 1
        return counts

    def numbers(self, state: str) -> Iterator[int]:
        """Return the numbers of the instances that are in a state."""
        candidates = range(self.count) if self.rest.state == state else sorted(self.apart)
        return (number for number in candidates if self.fate(number).state == state)

    def has(self, state: str) -> bool:
        """Tell whether an instance is in a state."""
        return (self.rest.state == state and len(self.apart) < self.count) or any(
            fate.state == state for fate in self.apart.values()
        )

    def changed(self, change: "Mapping[str, Fate]", numbers: Mapping[int, Fate], moment: int) -> "TaskRun":
        """Return the task with what becomes of its instances: of each by its state, or by its number."""
        rest = change.get(self.rest.state, self.rest)
        apart = {number: change.get(fate.state, fate) for number, fate in self.apart.items()}
        apart |= numbers
        apart = {number: fate for number, fate in apart.items() if fate != rest}
        if len(apart) == self.count and apart:
            rest = next(iter(apart.values()))
            apart = {number: fate for number, fate in apart.items() if fate != rest}
        task = msgspec.structs.replace(self, rest=rest, apart=apart)
        return msgspec.structs.replace(task, **task._summary(moment))

    def _summary(self, moment: int) -> dict[str, Any]:
        """Return what the task's own state and end follow from those of its instances. [choice]"""
        if self.has(RUNNING):
            return {"state": RUNNING, "end": 0}
        if self.has(FAILED):
            state: JobState = FAILED
        elif self.has(STOPPED):
            state = STOPPED
        else:
            state = WAITING if self.has(WAITING) else FINISHED
        return {"state": state, "end": (self.end or moment) if state in ENDED else 0}


class Run(msgspec.Struct, frozen=True):
    """How a job stands between its start and its end."""

    rule: Rule
    tasks: Mapping[str, TaskRun]
    """In an order in which each comes after its predecessors."""
    entered: int
    """When the phase began that is no attempt: Waiting, or Finished."""
    seen: int = 0
    """How many of the polls of all jobs are taken into account."""
    since: int = 0
    """How many polls the job had seen when the phase began, without the one that showed its beginning."""
    polled: int = 0
    """How many polls the job has seen in all."""
    number: int = 1
    """Counts the starts."""
    next_due: float = 0.0
    """When the clock changes it next. Once something else has, it is not known, and 0."""
    next_poll: float = 0.0
    """How many polls change it, counted like `polled`. Once something else has changed it, it is not known, and 0."""
    start: int = 0
    end: int = 0


class Course:
    """A job on its way: what it is now, and what is done to it. `state`, `message`, `tasks` and so on may be read."""

    def __init__(self, job: "Goes", run: Run, present: Present) -> None:
        self.job: Goes = job
        self.rule: Rule = run.rule
        self.tasks: dict[str, TaskRun] = dict(run.tasks)
        self.state: JobState = job.state
        self.message: str = job.message
        self.run: Run = run
        self.present: Present = present
        self.entered: int = run.entered
        self.since: int = run.since
        self.start: int = run.start
        self.end: int = run.end
        self.polled: int = run.polled
        self._shown = 0
        """How many polls show what begins now: one, while it is polled."""
        self.gone: bool = False
        self.changed: bool = False
        self._next = (run.next_due, run.next_poll) if run.next_poll else None
        self._events: list[tuple[str, int, str, int | None]] = []

    # What moves it.

    def go_to(self, moment: int) -> None:
        """Let the clock go on to a moment."""
        while (due := self.next_changes()[0]) <= moment:
            if self.state == WAITING:
                self._leave_waiting(int(due))
            else:
                over = [name for name in self._running() if self._due_of(self.tasks[name]) == due]
                self._end_attempts(over, int(due))

    def poll(self, moment: int) -> None:
        """Let a poll show it."""
        self.polled += 1
        self._shown = 1
        if self.state == FINISHED and self.job.auto_release:
            self.gone = self.polled - self.since > 1
        while self.polled >= self.next_changes()[1]:
            if self.state == WAITING:
                self._leave_waiting(moment)
            else:
                self._end_attempts(list(filter(self._is_over, self._running())), moment)
        self.go_to(moment)  # what takes no time is over by now
        self._shown = 0

    def next_changes(self) -> tuple[float, float]:
        """Return when the clock changes it next, and how many polls do, counted like those that it has seen."""
        if self._next is None:
            due, polls = [], []
            if self.state == WAITING:
                due, polls = [self.rule.waiting.due(self.entered)], [(self.since, self.rule.waiting.polls)]
            elif self.state == RUNNING:
                running = [self.tasks[name] for name in self._running()]
                due = [self._due_of(task) for task in running]
                polls = [(task.since, self.rule.running.polls) for task in running]
            self._next = (
                min((moment for moment in due if moment is not None), default=math.inf),
                min((since + count + 1 for since, count in polls if count is not None), default=math.inf),
            )
        return self._next

    def _is_over(self, name: str) -> bool:
        return self.rule.running.is_over(self.polled - self.tasks[name].since)

    def advance(self, moment: int) -> None:
        """Go over the next change. It has not ended yet."""
        if self.state == WAITING:
            self._leave_waiting(moment)
        else:
            self._end_attempts(list(self._running()), moment)

    def begin_running(self, moment: int) -> None:
        """Leave the state Waiting, whatever the rule says, for the tasks that need no others."""
        self.state, self.start = RUNNING, moment
        self._has_changed()
        self._tell("Job", RUNNING, moment)
        self._start_tasks(moment)  # of one that was started again, at least one is not Finished

    def finish(self, moment: int) -> None:
        """End well, whatever the rule says."""
        self.start = self.start or moment
        for name, task in self.tasks.items():
            change = {
                WAITING: Fate(FINISHED, 0, moment, moment),
                RUNNING: self._fate(FINISHED, task, moment),
            }
            self._change(name, msgspec.structs.replace(task, start=task.start or moment), change, {}, moment)
        self._finish(FINISHED, moment)

    def fail(self, moment: int, message: str, result: Result | None = None) -> None:
        """Fail: what runs fails, what waits is stopped."""
        for name, task in self.tasks.items():
            failed = self._fate(FAILED, task, moment, result or Result(error_message=message, detail=message))
            self._change(name, task, {RUNNING: failed, WAITING: Fate(STOPPED, end=moment)}, {}, moment)
        self.message = message
        self._finish(FAILED, moment)

    def stop(self, moment: int) -> None:
        """Be stopped."""
        self._stop_tasks(moment)
        self._finish(STOPPED, moment)

    # What happens on the way.

    def _due_of(self, task: TaskRun) -> int:
        timeout = task.entered + task.timeout
        end = self.rule.running.due(task.entered)
        return timeout if end is None else min(timeout, end)

    def _running(self) -> Iterator[str]:
        return (name for name, task in self.tasks.items() if task.state == RUNNING)

    def _leave_waiting(self, moment: int) -> None:
        """Leave the state Waiting: to be Running, or because the job itself fails."""
        itself = next((fail for fail in self.rule.fails if fail.task is None), None)
        if itself:
            self.fail(moment, itself.message)
        else:
            self.begin_running(moment)

    def _start_tasks(self, moment: int) -> None:
        for name, task in self.tasks.items():
            if task.state == WAITING and all(self.tasks[before].state == FINISHED for before in task.before):
                begun = msgspec.structs.replace(
                    task, start=task.start or moment, attempt=1, entered=moment, since=self.polled - self._shown
                )
                self._change(name, begun, {WAITING: Fate(RUNNING, 0, moment)}, {}, moment)

    def _end_attempts(self, names: Iterable[str], moment: int) -> None:
        """End the attempts of some tasks: their instances succeed, are tried again, or fail for good."""
        before = dict(self.tasks)
        names = list(names)
        outcomes = self._outcomes(names, moment)
        told, self._events = self._events, []
        failed = None
        for name, outcome in zip(names, outcomes, strict=True):
            failed = failed or self._end_attempt(name, outcome, moment)
        if failed and self.job.job_fail_on_instance_fail:
            self.message = failed
            self._stop_tasks(moment)
            self._finish(FAILED, moment)
        else:
            self._start_tasks(moment)
            if not any(self._running()):
                if self.rule.end == STOPPED:
                    # Somebody else is faster than the end of the last ones.
                    self.tasks, self._events = before, []
                    self.stop(moment)
                else:
                    self._stop_tasks(moment)  # those that wait for a task that has failed
                    self._finish(FINISHED, moment)
        self._events = told + self._events

    def _end_attempt(self, name: str, outcome: "_Outcome", moment: int) -> str:
        """End the attempt of a task, and return what the job says of it if an instance has failed for good."""
        task = first = self.tasks[name]
        attempt = task.attempt
        if outcome.repeats and not self.rule.running.lasts:  # attempts that take no time are over all at once
            attempt = min(task.retry_limit + 1, outcome.repeats)
            task = msgspec.structs.replace(task, attempt=attempt)
        again = attempt <= task.retry_limit

        def fate(result: Result | None) -> Fate:
            if result is None:
                return self._fate(FINISHED, first, moment)
            if again:
                return Fate(RUNNING, attempt, moment)
            return self._fate(FAILED, task, moment, result)

        numbers = {number: fate(result) for number, result in outcome.of.items()}
        if again:
            task = msgspec.structs.replace(task, attempt=attempt + 1, entered=moment, since=self.polled - self._shown)
        self._change(name, task, {RUNNING: fate(outcome.rest)}, numbers, moment)
        results = {number: result for number, result in outcome.of.items() if result}
        result = outcome.rest or next(iter(results.values()), None)
        if again or result is None:
            return ""
        number = 0 if outcome.rest else next(iter(results))
        return result.error_message or f"instance {number} of task {name} has failed: exit code {result.exit_code}"

    def _outcomes(self, names: list[str], moment: int) -> list["_Outcome"]:
        """Return how the attempts of tasks end. Raises `PendingError` if functions are to be asked first."""
        function = self.rule.function
        if function is None:
            return [self._scripted(name, moment) for name in names]
        missing: dict[Any, Attempt] = {}
        outcomes = []
        for name in names:
            task = self.tasks[name]
            results: dict[int, Result | None] = {}
            for number in task.numbers(RUNNING):
                key = (self.job.id, self.run.number, name, number, task.attempt)
                if self._timed_out(task, moment):
                    results[number] = timed_out(task.timeout // MICROSECONDS)
                elif key in self.present.results:
                    result = self.present.results[key]
                    results[number] = None if result == SUCCESS else result
                else:
                    missing[key] = self.job.attempt(name, number, task.attempt)
            outcomes.append(_Outcome(None, results, 0))
        if missing:
            raise PendingError(function, missing)
        return outcomes

    def _timed_out(self, task: TaskRun, moment: int) -> bool:
        return moment >= task.entered + task.timeout and self._due_of(task) == task.entered + task.timeout

    def _scripted(self, name: str, moment: int) -> "_Outcome":
        """Return how the rule lets the attempt of a task end."""
        task = self.tasks[name]
        if self._timed_out(task, moment):
            return _Outcome(timed_out(task.timeout // MICROSECONDS), {}, 0)
        rest: Result | None = None
        of: dict[int, Result | None] = {}
        repeats = 0
        for fail in self.rule.fails:
            if not fail.is_for(name) or (fail.attempts is not None and task.attempt > fail.attempts):
                continue
            failing = fail.attempts or task.retry_limit + 1
            repeats = min(repeats or failing, failing)
            if fail.instance is None:
                rest = rest or fail.result()
            elif fail.instance < task.count and task.fate(fail.instance).state == RUNNING:
                of.setdefault(fail.instance, fail.result())
        return _Outcome(rest, of, repeats)

    def _fate(self, state: JobState, task: TaskRun, moment: int, result: Result = SUCCESS) -> Fate:
        """Return how those instances of a task stand whose attempt ends so."""
        return Fate(state, task.attempt - 1, task.entered, moment, result)

    def _stop_tasks(self, moment: int) -> None:
        for name, task in self.tasks.items():
            stopped = {WAITING: Fate(STOPPED, end=moment), RUNNING: self._fate(STOPPED, task, moment)}
            self._change(name, task, stopped, {}, moment)

    def _finish(self, state: JobState, moment: int) -> None:
        self.state, self.end = state, moment
        self._has_changed()
        self.entered, self.since = moment, self.polled - self._shown
        self._tell("Job", state, moment)

    def _change(
        self, name: str, task: TaskRun, change: Mapping[str, Fate], numbers: Mapping[int, Fate], moment: int
    ) -> None:
        old = self.tasks[name]
        new = self.tasks[name] = task.changed(change, numbers, moment)
        self._has_changed()
        if self.job.told_of and new != old:
            by_instance = any(event.startswith("OnInstance") for event in self.job.told_of)
            for number in range(new.count) if by_instance else ():
                if new.fate(number).state != old.fate(number).state:
                    self._tell("Instance", new.fate(number).state, moment, name, number)
            if new.state != old.state:
                self._tell("Task", new.state, moment, name)

    def _has_changed(self) -> None:
        self.changed, self._next = True, None

    def _tell(self, what: str, state: str, moment: int, task: str = "", number: int | None = None) -> None:
        if f"On{what}{state}" in self.job.told_of:
            self._events.append((f"On{what}{state}", moment, task, number))

    def events(self) -> Iterator[Event]:
        """Yield what the description wants to be told of what has happened."""
        for event, moment, task, number in self._events:
            yield self.job.event(event, moment, task, number)


class _Outcome(msgspec.Struct, frozen=True):
    """How the attempt of a task ends: the results of instances that fail, None for success."""

    rest: Result | None
    """Of all that run but those with a result of their own."""
    of: Mapping[int, Result | None]
    repeats: int
    """How many attempts end so, as far as the rule tells."""


class Goes(Protocol):
    """What a `Course` needs to know of a job."""

    @property
    def id(self) -> str: ...  # noqa: D102 - as `Job` has them
    @property
    def state(self) -> JobState: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102
    @property
    def auto_release(self) -> bool: ...  # noqa: D102
    @property
    def job_fail_on_instance_fail(self) -> bool: ...  # noqa: D102
    @property
    def told_of(self) -> frozenset[str]:
        """The events that its description wants to be told of."""

    def attempt(self, task: str, number: int, attempt: int) -> Attempt:
        """Return what is known of an attempt."""

    def event(self, event: str, moment: int, task: str, number: int | None) -> Event:
        """Return a notification."""


def restarted(tasks: Mapping[str, TaskRun]) -> dict[str, TaskRun]:
    """Return tasks as they are when their job is started again: what is Finished stays. [doc]"""
    again = {}
    for name, task in tasks.items():
        rest = task.rest if task.rest.state == FINISHED else UNBORN
        apart = {number: fate if fate.state == FINISHED else UNBORN for number, fate in task.apart.items()}
        apart = {number: fate for number, fate in apart.items() if fate != rest}
        done = all(fate.state == FINISHED for fate in (rest, *apart.values()))
        again[name] = TaskRun(
            count=task.count,
            retry_limit=task.retry_limit,
            timeout=task.timeout,
            before=task.before,
            state=FINISHED if done else WAITING,
            start=task.start if done else 0,
            end=task.end if done else 0,
            rest=rest,
            apart=apart,
        )
    return again
