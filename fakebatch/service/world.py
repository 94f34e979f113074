"""A world: everything that a test can set or see, with the baseline to which `reset()` returns.

Knows nothing of HTTP or of files.
"""

import itertools
import threading
from array import array
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar, cast

import msgspec

from ..errors import ApiError
from ..forks import in_child
from ..state.calls import Call, Calls
from ..state.clock import Clock, WorldClock, in_utc, utc_now
from ..state.collection import Collection
from ..state.nonces import Nonces
from ..state.tokens import Tokens
from .accounts import Account
from .description import Baseline
from .near_misses import near_miss
from .operation import Operation, Parameters, Record, Resource
from .progress import (
    End,
    Event,
    PendingError,
    PhaseLength,
    Present,
    Result,
    ResultKey,
    Rule,
    RuleBuilder,
    choose,
    result_of,
)
from .records import EXAMPLE_OWNER, format_micros
from .registry import RESOURCES, becoming, check_operation
from .script import EFFECTS_LISTED, CallNumbers, Step, StepBuilder
from .view import Life, WorldView

Answer = TypeVar("Answer")
Change = Callable[[], None]

_NO_POLLS: "array[int]" = array("q")

MOST_FAILURES = 100
"""How many failures are kept: one that comes with each request would eat memory."""


class StaleError(Exception):
    """What is to be done was begun before a reset, and must leave no trace in what came after it."""


class ScriptedStep:
    """A step in a world: what it is, and what became of it."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.number: int = 0
        """By which it is taken away."""
        self.seen: int = 0
        """How many calls have matched since the last reset."""
        self.used: bool = False
        """Whether it has acted since the last reset."""
        self.ever_used: bool = False
        """Whether it has acted since the world was last begun."""

    def acts_on(self, operation: str, parameters: Parameters, account: str, host: str) -> bool:
        """Count a call if it matches, and tell whether the step acts at this one."""
        if not self.step.matches(operation, parameters, account, host):
            return False
        self.seen += 1
        acts = self.step.acts_at(self.seen)
        self.used |= acts
        self.ever_used |= acts
        return acts

    def rewind(self, number: int) -> None:
        """Forget which calls were seen, and take a number."""
        self.number = number
        self.seen = 0
        self.used = False

    def __str__(self) -> str:
        return str(self.step)

    __repr__ = __str__


class World:
    """The records, accounts, script, rules of progress, calls and events of one fake.

    `lock` guards every change: whoever needs several to be one change holds it meanwhile.
    """

    def __init__(self, baseline: Baseline, clock: Clock = utc_now) -> None:
        self.lock: threading.RLock = threading.RLock()
        self.baseline: Baseline = baseline
        """Where a reset leads back to."""
        self._clock = clock
        self.clock: WorldClock = WorldClock(self.now, self.lock)
        in_child(self, World._renew_lock)
        self.accounts: dict[str, Account] = _by_key(baseline)
        self.collections: dict[str, Collection[Any]] = self.grow(baseline)
        self.script: list[ScriptedStep] = []
        self._of_baseline: list[ScriptedStep] = []
        self._every_step: list[ScriptedStep] = []  # those that a reset dropped as well
        self._step_numbers = self._rule_numbers = itertools.count(1)
        self._unfinished: list[StepBuilder] = []
        self.calls: Calls = Calls(check_operation, self.lock)
        self.tokens: Tokens = Tokens()
        self.nonces: Nonces = Nonces()
        """Which nonces of which access key were used."""
        self.epoch: int = 0
        """Counts the resets: what an earlier epoch began must leave no trace in a later one."""
        self._first_epoch = 0
        self._failures: list[BaseException] = []
        self._rules: list[tuple[int, Rule]] = []
        """In the order in which they are tried, each with the number by which it is taken away."""
        self._began = 0
        self._polls: dict[tuple[str, int | None], array[int]] = {}
        """When all records of a resource and an owner were polled at once."""
        self._results: dict[ResultKey, Result] = {}
        self._numbers: dict[str, int] = {}
        self._events: list[Event] = []
        self._changing = False
        """Whether who holds the lock is amid what is one change: no function of the user's is called meanwhile."""
        self._running = threading.RLock()
        """Held while functions of the user's run, so that each is called once."""
        self._expect: Any = None
        self._random: Random | None = None
        self.begin()

    def _renew_lock(self) -> None:
        """Take a lock of its own for a forked child: another thread may have held that of the parent."""
        self.lock = threading.RLock()
        self._running = threading.RLock()
        self._changing = False
        self.clock.lock = self.lock
        self.calls.renew_lock(self.lock)
        for collection in self.collections.values():
            collection.lock = self.lock

    def grow(self, baseline: Baseline) -> dict[str, Collection[Any]]:
        """Return the collections of a baseline, for `load`. It takes its time where there are many records."""
        return {resource.name: self._collection(resource, baseline) for resource in RESOURCES}

    def _collection(self, resource: Resource[Record], baseline: Baseline) -> Collection[Record]:
        partition = partial(_partition_of, resource, bool(baseline.accounts))
        return resource.collection(
            cast("tuple[Record, ...]", baseline.records.get(resource.name, ())),
            noun=resource.noun,
            key=resource.key_of,
            place=resource.place,
            partition=partition,
            check=resource.check,
            lock=self.lock,
            life=Life(self, resource, partition) if resource.grown or resource.numbered else None,
        )

    def load(self, baseline: Baseline, collections: dict[str, Collection[Any]]) -> None:
        """Put another baseline in the place of the present one, with the collections that were grown of it, and begin.

        The collections of before are another world's from then on.
        """
        with self.lock:
            self.baseline, self.collections = baseline, collections
            self.accounts = _by_key(baseline)
            self.begin()

    def begin(self) -> None:
        """Return to the baseline, and forget what came before: a new test begins."""
        with self.lock:
            self._of_baseline = [ScriptedStep(step) for step in self.baseline.script]
            self._every_step = list(self._of_baseline)
            self._unfinished.clear()
            self._failures.clear()
            self.reset()
            self._first_epoch = self.epoch

    def reset(self) -> None:
        """Return to the baseline: records, script, calls, tokens, nonces, `expect`, and the Ids of new records."""
        with self.lock:
            self.epoch += 1
            for collection in self.collections.values():
                collection.reset()
            self._step_numbers, self._rule_numbers = itertools.count(1), itertools.count(1)
            self.script[:] = self._of_baseline
            for step in self.script:
                step.rewind(next(self._step_numbers))
            self.calls.clear()
            self.tokens.clear()
            self.nonces.clear()
            self._expect = self._random = None
            self._rules = [(next(self._rule_numbers), rule) for rule in self.baseline.progress]
            self.clock.reset()
            self._polls.clear()
            self._results = {}  # who still fills the old ones fills nothing
            self._numbers.clear()
            self._events.clear()
            self._began = self.clock.micros()

    def collection(self, resource: Resource[Record]) -> Collection[Record]:
        """Return the records of a resource."""
        return cast("Collection[Record]", self.collections[resource.name])

    @property
    def files(self) -> tuple[Path, ...]:
        """The fixture files that it is made of."""
        return self.baseline.files

    # No cached_property: that of Python 3.11 has a lock for all worlds, which a fork may leave held in the child.

    @property
    def expect(self) -> Any:
        """The free data of the fixture files: a copy for each epoch, since a test may change what is inside."""
        with self.lock:
            if self._expect is None:
                self._expect = deepcopy(self.baseline.expect)
            return self._expect

    @property
    def random(self) -> Random:
        """Where new Ids come from: the same sequence in each epoch."""
        with self.lock:
            if self._random is None:
                self._random = Random(0)  # noqa: S311 - to be guessed is what they are for
            return self._random

    def now(self) -> datetime:
        """Return the time of the world's clock, in UTC: that of the machine, where the clock fails."""
        try:
            return in_utc(self._clock())
        except BaseException as error:  # it is the test's, pytest.fail included; the client is answered all the same
            self.tell(error)
            return utc_now()

    def time(self) -> str:
        """Return the time that new things get, as the service writes it."""
        return format_micros(self.clock.micros())

    def tell_event(self, event: Event) -> None:
        """Keep a notification that the service would have sent."""
        self._events.append(event)

    @property
    def quotas(self) -> Mapping[str, Any]:
        """What the fixtures say of quotas."""
        return self.baseline.quotas

    def next_id(self, resource: Resource[Any]) -> str:
        """Return an Id that no record of a resource has, after those that were made before. The lock is held."""
        assert resource.numbered  # noqa: S101 - who asks for it has it
        number = self._numbers.get(resource.name, len(self.baseline.records.get(resource.name, ()))) + 1
        records = self.collections[resource.name]
        while (key := resource.numbered(number)) in records:
            number += 1
        self._numbers[resource.name] = number
        return key

    def with_id(self, resource: Resource[Record], record: Record) -> Record:
        """Return a record with an Id, if it has none. The lock is held."""
        if resource.numbered is None or getattr(record, resource.key_field):
            return record
        return msgspec.structs.replace(record, **{resource.key_field: self.next_id(resource)})

    def take_back_poll(self, resource: Resource[Any], partition: int | None) -> None:
        """Forget the last poll of all records of a partition. The lock is held."""
        self._polls[resource.name, partition].pop()

    def progress(
        self,
        *,
        job: str | None,
        cluster: str | None,
        waiting: PhaseLength | None,
        running: PhaseLength | None,
        starting: PhaseLength | None,
        deleting: PhaseLength | None,
        end: End,
    ) -> RuleBuilder:
        """Return a rule of progress in the making, that holds from now on."""
        number = 0
        epoch = self.epoch

        def changed(rule: Rule) -> None:
            nonlocal number
            with self.lock:
                if not number:
                    number = self.add_rule(rule)
                elif self.epoch == epoch:  # a reset has dropped it
                    self._rules = [(known, rule if known == number else other) for known, other in self._rules]

        return RuleBuilder(
            job=job,
            cluster=cluster,
            waiting=waiting,
            running=running,
            starting=starting,
            deleting=deleting,
            end=end,
            changed=changed,
        )

    @property
    def rules(self) -> list[Rule]:
        """The rules of progress, in the order in which they are tried."""
        return [rule for _, rule in self._rules]

    @property
    def numbered_rules(self) -> list[tuple[int, Rule]]:
        """The same, each with the number by which it is taken away."""
        return self._rules.copy()

    def add_rule(self, rule: Rule) -> int:
        """Add a rule of progress before all others, until the next reset, and return its number."""
        with self.lock:
            number = next(self._rule_numbers)
            self._rules = [(number, rule), *self._rules]
        return number

    def remove_rule(self, number: int) -> None:
        """Take a rule of progress away, until the next reset. Raises KeyError if there is none of this number."""
        with self.lock:
            if number not in dict(self._rules):
                raise KeyError(_no_such("rule of progress", number))
            self._rules = [(known, rule) for known, rule in self._rules if known != number]

    def present(self, resource: Resource[Any], partition: int | None) -> Present:
        """Return the moment, for records of a resource and of a partition. The lock is held."""
        return Present(
            now=self.clock.micros(),
            began=self._began,
            polls=self._polls.get((resource.name, partition), _NO_POLLS),
            choose=self._choose,
            results=self._results,
            tell=self._events.append,
        )

    def _choose(self, kind: str, name: str) -> Rule:
        return choose(self.rules, kind, name)

    def poll_all(self, resource: Resource[Any], partition: int | None) -> None:
        """Count a poll of all records of a partition. The lock is held."""
        self._polls.setdefault((resource.name, partition), array("q")).append(self.clock.micros())

    def settle(self, read: Callable[[], Answer]) -> Answer:
        """Return what `read` returns, as one change, after calling the functions on which it depends.

        These are called once the lock is free: inside of another change, `PendingError` is raised for whoever began it.
        """
        while True:
            with self.lock:
                if self._changing:
                    return read()
                try:
                    return self._as_one_change(read)
                except PendingError as error:
                    pending = error
                epoch = self.epoch
            self.work(pending, epoch)

    def _as_one_change(self, do: Callable[[], Answer]) -> Answer:
        """Return what `do` returns. If it raises `PendingError`, the Ids that it made will be made again.

        The lock is held.
        """
        numbers = self._numbers.copy()
        self._changing = True
        try:
            return do()
        except PendingError:
            self._numbers = numbers
            raise
        finally:
            self._changing = False

    def work(self, pending: PendingError, epoch: int) -> None:
        """Call the functions on which something depends that somebody looks at, and keep what they return."""
        with self._running:
            with self.lock:
                results = self._results
                if self.epoch != epoch:
                    return
            for key, attempt in pending.attempts.items():
                if key not in results:
                    results[key], error = result_of(pending.function, attempt)
                    if error:
                        self.tell(error)

    @property
    def events(self) -> list[Event]:
        """The notifications that the service would have sent since the last reset, in the order of their times."""
        for collection in self.collections.values():
            for _ in collection:  # what nobody has looked at goes on to now
                pass
        with self.lock:
            return deepcopy(sorted(self._events, key=lambda event: str(event["Time"])))

    def on(
        self,
        operation: str,
        calls: CallNumbers | None,
        where: Mapping[str, str | int | float | bool] | None,
        account: str | None,
        host: str | None,
    ) -> StepBuilder:
        """Return a step in the making, that is in the script from its first effect on."""
        scripted: list[ScriptedStep] = []

        def changed(step: Step) -> None:
            with self.lock:
                if scripted:
                    scripted[0].step = step
                else:
                    self._unfinished = [other for other in self._unfinished if other is not builder]
                    scripted.append(self.add_step(step))

        def removed(forget: bool) -> None:
            with self.lock, suppress(ValueError):  # a reset has taken it out already
                if forget:
                    self._every_step.remove(scripted[0])
                self.script.remove(scripted[0])

        builder = StepBuilder(operation, calls, where, account, host, changed=changed, removed=removed)
        self._unfinished = [other for other in self._unfinished if not other.attempted]
        self._unfinished.append(builder)
        return builder

    def add_step(self, step: Step) -> ScriptedStep:
        """Add a step to the end of the script, until the next reset."""
        with self.lock:
            scripted = ScriptedStep(step)
            scripted.number = next(self._step_numbers)
            self.script.append(scripted)
            self._every_step.append(scripted)
        return scripted

    def remove_step(self, number: int) -> None:
        """Take a step of the script away, until the next reset. Raises KeyError if there is none of this number."""
        with self.lock:
            if all(step.number != number for step in self.script):
                raise KeyError(_no_such("step", number))
            self.script[:] = [step for step in self.script if step.number != number]

    def apply_script(self, operation: str, parameters: Parameters, account: str, host: str) -> list[Step]:
        """Count a call, and return the steps that act on it."""
        with self.lock:
            return [step.step for step in self.script if step.acts_on(operation, parameters, account, host)]

    def changes(self, steps: list[Step], operation: Operation, parameters: Parameters) -> list[Change]:
        """Return the changes to the records that steps have for a call, for `change`."""
        changes: list[Change] = []
        for step in steps:
            changes += (partial(self._discard, name, key) for name, key in step.remove)
            changes += (partial(self._put, name, record) for name, record in step.add)
            if step.becomes:
                changes.append(partial(self._become, operation, parameters, step.becomes))
        return changes

    def change(self, changes: list[Change], epoch: int) -> None:
        """Make changes, and take each off the list that is made.

        Raises StaleError after a reset, and PendingError if functions are to be called before the rest.
        """

        def act() -> None:
            while changes:
                changes[0]()
                del changes[0]

        with self.lock:
            self._check_epoch(epoch)
            self._as_one_change(act)

    def _discard(self, name: str, key: str) -> None:
        self.collections[name].discard(key)

    def _put(self, name: str, record: Any) -> None:
        self.collections[name].put(record)

    def _become(self, operation: Operation, parameters: Parameters, state: str) -> None:
        """Let what a request names be in a state. What is not there stays so."""
        for resource, name in becoming(operation):
            records: Collection[Any] = self.collections[resource.name]
            if resource.grown and state in resource.grown.states and parameters.path[name] in records:
                records.change(parameters.path[name], partial(_become, resource, state))

    def perform(
        self, operation: Operation, caller: Account | None, parameters: Parameters, epoch: int
    ) -> tuple[object, str]:
        """Carry out an operation, as one change, and return its result, and what is to be noted of it.

        Raises ApiError where it refuses, StaleError after a reset, and PendingError, without having changed anything,
        if functions are to be called first.
        """
        with self.lock:
            self._check_epoch(epoch)
            view = WorldView(self, operation, caller)
            try:
                return self._as_one_change(lambda: operation.function(view, parameters)), view.noted
            except PendingError:
                view.take_back()
                raise
            except RecursionError:  # of what is nested deeper than Python goes
                raise ApiError("InvalidJsonFormat") from None

    def use_nonce(self, nonce: tuple[str, str], now: datetime, window: timedelta, epoch: int) -> None:
        """Use up a nonce of an access key, for so long.

        Raises ApiError if it was used before, and StaleError after a reset.
        """
        with self.lock:
            self._check_epoch(epoch)
            if not self.nonces.use(nonce, now, window):
                raise ApiError("SignatureNonceUsed")

    def record(self, call: Call, epoch: int) -> None:
        """Record a call. Raises StaleError if the world was reset since it began."""
        with self.lock:
            self._check_epoch(epoch)
            self.calls.append(call)

    def _check_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            raise StaleError

    @property
    def unused_steps(self) -> list[Step]:
        """The steps of the script that have not acted since the last reset, with how `near` they came."""
        return [self._unused(step) for step in self.script if not step.used]

    @property
    def never_used_steps(self) -> list[Step]:
        """The steps that have not acted since the world was begun, in none of its epochs."""
        return [self._unused(step) for step in self._every_step if not step.ever_used]

    def _unused(self, step: ScriptedStep) -> Step:
        since = " since the last reset" if self.epoch != self._first_epoch else ""
        return msgspec.structs.replace(step.step, near=near_miss(step.step, step.seen, self.calls, since))

    def tell(self, error: BaseException) -> None:
        """Keep what a callback of the user's, or the fake itself, raised, for the test to be told of it."""
        if len(self._failures) < MOST_FAILURES:
            self._failures.append(error)

    def take_failures(self) -> list[BaseException]:
        """Return what went wrong unseen since this was last asked: what callbacks raised, steps without effect."""
        with self.lock:
            unfinished = [builder.step.trigger for builder in self._unfinished if not builder.attempted]
            failures = [*self._failures, *map(_without_effect, unfinished)]
            self._failures.clear()
            self._unfinished.clear()
        return failures


def _by_key(baseline: Baseline) -> dict[str, Account]:
    return {account.access_key_id: account for account in baseline.accounts}


def _partition_of(resource: Resource[Record], has_accounts: bool, record: Record) -> int | None:
    """Return the owner of a record (None: everybody may see it). Without accounts, all have one owner."""
    owner = resource.owner_of(record)
    return owner if owner is None or has_accounts else EXAMPLE_OWNER


def _no_such(what: str, number: int) -> str:
    return f"there is no {what} with the number {number}"


def _without_effect(trigger: str) -> Exception:
    return ValueError(f"{trigger}: this step never got an effect; give it {EFFECTS_LISTED}")


def _become(resource: Resource[Record], state: str, record: Record, present: Present) -> Record:
    assert resource.grown  # noqa: S101 - a step is refused for what has no states
    return resource.grown.become(record, present, state)
