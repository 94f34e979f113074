"""How jobs and clusters go on by themselves: rules, how long phases last, and the moment at which somebody looks.

Nothing runs in the background: what a record shows is computed when it is read, from its rule, from the polls and from
the time. Knows nothing of what jobs and clusters are.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from inspect import signature
from typing import Any, Literal, NamedTuple, Self

import msgspec

MICROSECONDS = 1_000_000
"""In a second. Times are whole microseconds since 1970, as the service writes six digits."""

PhaseLength = int | str
"""How long a phase lasts: `2` (polls), `"30s"`, `"2m"`, `"1h"` (by the fake's clock), or `"forever"` (until it is moved
by hand)."""

_UNITS = {"s": 1, "m": 60, "h": 3600}
_LENGTH = re.compile(r"(?P<number>\d{1,9}(?:\.\d{1,6})?)(?P<unit>[smh])", re.ASCII)
_MOST_POLLS = 1_000_000_000


class Duration(NamedTuple):
    """How long a phase lasts: a number of polls, or microseconds; forever if it is neither."""

    polls: int | None = None
    micros: int | None = None

    def is_over(self, polls: int) -> bool:
        """Tell whether a phase is over that would now be shown by so many polls."""
        return self.polls is not None and polls > self.polls

    def due(self, entered: int) -> int | None:
        """Return when a phase is over by the clock; None if the clock does not end it."""
        return None if self.micros is None else entered + self.micros

    @property
    def lasts(self) -> bool:
        """Whether a phase takes any time, or a poll."""
        return self.polls != 0 and self.micros != 0

    def __str__(self) -> str:
        if self.polls is not None:
            return str(self.polls)
        return "forever" if self.micros is None else f"{self.micros / MICROSECONDS:g}s"

    def written(self) -> int | str:
        """Return it as a fixture file writes it."""
        if self.polls is not None:
            return self.polls
        # It was given in one of the units, with not more digits; what a smaller one can hold of it, it holds exactly.
        numbers = ((self.micros or 0) / (seconds * MICROSECONDS) for seconds in _UNITS.values())
        texts = (f"{number:.6f}".rstrip("0").rstrip(".") + unit for number, unit in zip(numbers, _UNITS, strict=True))
        return "forever" if self.micros is None else next(filter(_LENGTH.fullmatch, texts))


LENGTHS = ("waiting", "running", "starting", "deleting")
"""The phases of which a rule can say how long they last: two of jobs, two of clusters."""
ONE_POLL = Duration(polls=1)


def parse_duration(value: object) -> Duration:
    """Return how long a phase lasts. Raises ValueError for what says nothing of the kind."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_POLLS:
        return Duration(polls=value)
    if value == "forever":
        return Duration()
    if isinstance(value, str) and (found := _LENGTH.fullmatch(value)):
        return Duration(micros=round(float(found["number"]) * _UNITS[found["unit"]] * MICROSECONDS))
    raise ValueError(
        f"a phase lasts so many polls (2), so long by the fake's clock (30s, 2m, 1h) or forever, not {value!r}"
    )


class Result(msgspec.Struct, frozen=True, rename="pascal"):
    """What an instance of a task ended with. All zero or empty until there is something to tell. [doc]"""

    exit_code: int = 0
    error_code: str = ""
    error_message: str = ""
    detail: str = ""


SUCCESS = Result()


def exited(code: int, message: str = "") -> Result:
    """Return what an instance ends with whose program has this exit code. The word for it is invented. [choice]"""
    text = message or f"exit code {code}"
    return Result(code, "ProgramExitNonZero", text, text) if code else SUCCESS


def timed_out(seconds: int) -> Result:
    """Return what an instance ends with that ran longer than its Timeout. The word for it is invented. [choice]"""
    text = f"the instance ran longer than its Timeout of {seconds} s"
    return Result(0, "InstanceTimeout", text, text)


class Attempt(msgspec.Struct, frozen=True):
    """What is known of an attempt to run an instance of a task, as it ends."""

    job_id: str
    job_name: str
    task: str
    instance: int
    """The number of the instance, from 0."""
    attempt: int
    """The number of the attempt, from 1."""
    command_line: str
    env_vars: Mapping[str, str]
    """The environment variables of the task's description."""
    timeout: int
    """In seconds: how long the instance may run."""
    stdout_path: str
    """Where the service would put what it wrote, as the instance's `StdoutRedirectPath` tells."""
    stderr_path: str
    cluster_id: str = ""
    """The cluster on which it runs, as the service names one that it makes for a task: `{JobId}_{TaskName}_0`."""


RunFunction = Callable[[Attempt], "int | Result | None"]
"""What an instance does: it returns its exit code (None: 0) or a Result, or raises an exception to fail."""


class Fail(msgspec.Struct, frozen=True):
    """Which instances fail, and how. Without a task, the job itself fails, out of Waiting."""

    task: str | None = None
    """The name, with `*` and `?`."""
    instance: int | None = None
    """None: all instances of the task."""
    attempts: int | None = None
    """How many of its attempts fail, from the first on; None: all."""
    exit_code: int = 1
    message: str = ""

    def is_for(self, task: str) -> bool:
        """Tell whether it is for instances of a task."""
        return self.task is not None and fnmatchcase(task, self.task)

    def result(self) -> Result:
        """Return what an instance ends with."""
        failed = exited(self.exit_code or 1, self.message)
        return msgspec.structs.replace(failed, exit_code=self.exit_code)

    def written(self) -> dict[str, Any]:
        """Return it as a fixture file writes it."""
        left_out = {"task": None, "instance": None, "attempts": None, "exit_code": 1}
        entry = {name: getattr(self, name) for name in left_out if getattr(self, name) != left_out[name]}
        return entry | ({"message": self.message} if self.message or not entry else {})


End = Literal["Finished", "Stopped"]
_ENDS = ("Finished", "Stopped")


class Rule(msgspec.Struct, frozen=True):
    """How those jobs, or those clusters, go on whose name matches. It never changes."""

    job: str | None = None
    """The name, with `*` and `?`."""
    cluster: str | None = None
    waiting: Duration = ONE_POLL
    running: Duration = ONE_POLL
    """Of each layer of the job's DAG, and of each attempt."""
    starting: Duration = ONE_POLL
    """Of a cluster's VMs."""
    deleting: Duration = ONE_POLL
    """Of a cluster, or of a VM."""
    fails: tuple[Fail, ...] = ()
    end: End = "Finished"
    function: RunFunction | None = None
    origin: str = ""
    """Where in a fixture file it stands; empty if it comes from Python."""

    def matches(self, kind: str, name: str) -> bool:
        """Tell whether it is for a `job` or a `cluster` of this name."""
        pattern = self.job if kind == "job" else self.cluster
        return pattern is not None and fnmatchcase(name, pattern)

    def written(self) -> dict[str, Any] | None:
        """Return it as a fixture file writes it; None if it calls a function."""
        if self.function:
            return None
        kind, lengths = ("job", LENGTHS[:2]) if self.job is not None else ("cluster", LENGTHS[2:])
        entry: dict[str, Any] = {kind: getattr(self, kind)}
        entry |= {name: length.written() for name in lengths if (length := getattr(self, name)) != ONE_POLL}
        # No task has an empty name.
        fails = [fail.written() for fail in self.fails if fail.task != ""]
        entry |= {"fail": fails} if fails else {}
        return entry | ({"end": self.end} if self.end != "Finished" else {})

    def __str__(self) -> str:
        kind, lengths = ("job", LENGTHS[:2]) if self.job is not None else ("cluster", LENGTHS[2:])
        parts = [f"{kind} {getattr(self, kind)}", *(f"{name} {getattr(self, name)}" for name in lengths)]
        parts += [f"end {self.end}"] if self.end != "Finished" else []
        parts += ["fail " + (fail.task or "itself") for fail in self.fails]
        parts += [f"run {getattr(self.function, '__name__', self.function)}"] if self.function else []
        text = ", ".join(parts)
        return f"{self.origin}: {text}" if self.origin else text

    __repr__ = __str__


DEFAULT = Rule()
"""How everything goes on for which there is no rule."""


class RuleBuilder:
    """A rule of progress in the making. It holds from the beginning, and its methods, which return it, add to it.

    `job` or `cluster` is a name with `*` and `?`. `waiting` and `running` say how long a job does so, `starting` how
    long a cluster's VMs do, `deleting` how long a deleted cluster or VM is still to be seen: `2` (polls), `"30s"`,
    `"2m"`, `"1h"` (by the fake's clock), or `"forever"` (until it is moved by hand). `end` is `Stopped` for a job that
    somebody else stops just before it would be Finished.

    `changed` is called with the rule at the beginning, and after each method.

    Raises ValueError for a length that is none, and TypeError for a name that is no text, or for both of them.
    """

    def __init__(
        self,
        *,
        job: str | None = None,
        cluster: str | None = None,
        waiting: PhaseLength | None = None,
        running: PhaseLength | None = None,
        starting: PhaseLength | None = None,
        deleting: PhaseLength | None = None,
        end: End = "Finished",
        origin: str = "",
        changed: Callable[[Rule], None] = lambda _: None,
    ) -> None:
        if (job is None) == (cluster is None):
            raise TypeError("a rule of progress is for a job or a cluster: give one of the two, a name with * and ?")
        for name, value in (("job", job), ("cluster", cluster)):
            if value is not None and (not isinstance(value, str) or not value):
                raise TypeError(f"{name} is a name such as 'nightly-*', not {value!r}")
        if end not in _ENDS:
            raise ValueError(f"a job ends Finished or Stopped, not {end!r}; for Failed use fail")
        given = dict(zip(LENGTHS, (waiting, running, starting, deleting), strict=True))
        lengths: dict[str, Any] = {name: parse_duration(value) for name, value in given.items() if value is not None}
        kind, foreign = ("job", LENGTHS[2:]) if job is not None else ("cluster", LENGTHS[:2])
        for name in foreign:
            if name in lengths:
                raise TypeError(f"{name} is nothing that a {kind} does")
        if cluster is not None and end != "Finished":
            raise TypeError("end is nothing that a cluster has")
        self.rule: Rule = Rule(job=job, cluster=cluster, end=end, origin=origin, **lengths)
        self._changed = changed
        changed(self.rule)

    def fail(
        self,
        *,
        task: str | None = None,
        instance: int | None = None,
        attempts: int | None = None,
        exit_code: int = 1,
        message: str = "",
    ) -> Self:
        """Let instances of a task end with this exit code: all, or one; at all attempts, or at the first few.

        `task` is a name, with `*` and `?`: `"*"` is all of them. Without it the job itself fails, out of Waiting and
        with the message, before any task has run.

        Raises TypeError for a value of a wrong type, and ValueError for a number out of range, or for what belongs to a
        task without one.
        """
        self._is_for_jobs("fail")
        numbers = (("instance", instance, 0), ("attempts", attempts, 1), ("exit_code", exit_code, -(2**31)))
        for name, value, least in numbers:
            if isinstance(value, bool) or not isinstance(value, int | None):
                raise TypeError(f"{name} is a whole number, not {value!r}")
            if value is not None and value < least:
                raise ValueError(f"{name} is a number from {least} on, not {value}")
        for name, text in (("task", task), ("message", message)):
            if text is not None and not isinstance(text, str):
                raise TypeError(f"{name} is a text, not {text!r}")
        if task is None and (instance is not None or attempts is not None or exit_code != 1):
            raise ValueError("which task? add task; without one the job itself fails, with a message and nothing else")
        failing = Fail(task, instance, attempts, exit_code, message)
        return self._with(fails=(*self.rule.fails, failing))

    def run(self, function: RunFunction) -> Self:
        """Call a function for each attempt of each instance, when it ends: it is what the instance does.

        It is called in a thread of the server's, or in the one that looks at the job from Python, and must not ask for
        the job itself. An `Exception` that it raises fails the instance and not the test; a failed assertion fails
        both. Raises TypeError for what can't be called with one argument: there, each instance would fail without a
        word of why.
        """
        self._is_for_jobs("run")
        if not callable(function):
            raise TypeError(f"run takes a function of an Attempt, not {function!r}")
        with suppress(ValueError):  # of some that are built in, nobody knows what they take
            takes = signature(function, follow_wrapped=False)
            try:
                takes.bind(None)
            except TypeError as error:
                wanted = "run takes a function that is called with an Attempt, and nothing else"
                raise TypeError(f"{wanted}: {error}") from None
        return self._with(function=function)

    def _is_for_jobs(self, method: str) -> None:
        if self.rule.job is None:
            raise TypeError(f"{method} is for jobs, and this rule is for clusters")

    def _with(self, **changes: Any) -> Self:
        self.rule = msgspec.structs.replace(self.rule, **changes)
        self._changed(self.rule)
        return self

    def __str__(self) -> str:
        return str(self.rule)

    __repr__ = __str__


ResultKey = tuple[str, int, str, int, int]
"""Which attempt a result is of: the job, its run, the task, the instance, the attempt."""
Event = dict[str, Any]
"""A notification that the service would have sent, JSON-ready."""


class PendingError(Exception):
    """What somebody looks at depends on functions that have not been called yet."""

    def __init__(self, function: RunFunction, attempts: Mapping[ResultKey, Attempt]) -> None:
        super().__init__()
        self.function = function
        self.attempts = attempts


def result_of(function: RunFunction, attempt: Attempt) -> tuple[Result, BaseException | None]:
    """Call a function for an attempt, and return how the attempt ends, and what the test is to be told of.

    An `Exception` is one of the ways in which an instance fails. A failed assertion is the test's own failure, as is
    what is no `Exception`: also what `pytest.fail` raises.
    """
    try:
        result: Any = function(attempt)
    except BaseException as error:
        failed = Result(1, type(error).__name__, str(error), str(error) or type(error).__name__)
        return failed, error if isinstance(error, AssertionError) or not isinstance(error, Exception) else None
    if isinstance(result, Result):
        return result, None
    if result is None or (isinstance(result, int) and not isinstance(result, bool)):
        return exited(result or 0), None
    problem = f"the function of an instance returns an exit code, a Result or None, not {result!r}"
    return Result(1, "TypeError", problem, problem), TypeError(problem)


class Present(NamedTuple):
    """The moment at which somebody looks at a record, and what has happened until then."""

    now: int
    began: int
    """When the world's epoch began."""
    polls: Sequence[int]
    """When all records of this owner were polled at once, by a list."""
    choose: Callable[[str, str], Rule]
    """Returns the rule for a `job` or a `cluster` of a name."""
    results: Mapping[ResultKey, Result]
    """What functions have returned."""
    tell: Callable[[Event], None]
    """Keeps an event."""


def choose(rules: Sequence[Rule], kind: str, name: str) -> Rule:
    """Return the first of rules that matches, or the default."""
    return next((rule for rule in rules if rule.matches(kind, name)), DEFAULT)
