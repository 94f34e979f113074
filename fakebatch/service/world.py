"""A world: everything that a test can set or see, with the baseline to which `reset()` returns.

Knows nothing of HTTP or of files.
"""

import threading
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar, cast

from ..errors import ApiError
from ..forks import in_child
from ..state.calls import Call, Calls
from ..state.clock import Clock, in_utc, utc_now
from ..state.collection import Collection
from ..state.nonces import Nonces
from ..state.tokens import MismatchError, Tokens
from .accounts import Account
from .description import Baseline
from .operation import Operation, Parameters, Record, Resource
from .records import EXAMPLE_OWNER, format_time
from .registry import RESOURCES, check_operation
from .script import EFFECTS_LISTED, CallNumbers, Step, StepBuilder

Answer = TypeVar("Answer")

MOST_FAILURES = 100
"""How many failures are kept: one that comes with each request would eat memory."""


class StaleError(Exception):
    """What is to be done was begun before a reset, and must leave no trace in what came after it."""


class ScriptedStep:
    """A step in a world: what it is, and what became of it."""

    def __init__(self, step: Step) -> None:
        self.step = step
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

    def rewind(self) -> None:
        """Forget which calls were seen."""
        self.seen = 0
        self.used = False

    def __str__(self) -> str:
        return str(self.step)

    __repr__ = __str__


class World:
    """The records, accounts, script and calls of one fake.

    `lock` guards every change: whoever needs several to be one change holds it meanwhile.
    """

    def __init__(self, baseline: Baseline, clock: Clock = utc_now) -> None:
        self.lock: threading.RLock = threading.RLock()
        self._baseline = baseline
        self._clock = clock
        in_child(self, World._renew_lock)
        self.accounts: dict[str, Account] = {account.access_key_id: account for account in baseline.accounts}
        self.collections: dict[str, Collection[Any]] = {
            resource.name: self._collection(resource) for resource in RESOURCES
        }
        self.script: list[ScriptedStep] = []
        self._every_step: list[ScriptedStep] = []  # those of Python that a reset dropped as well
        self._unfinished: list[StepBuilder] = []
        self.calls: Calls = Calls(check_operation)
        self.tokens: Tokens = Tokens()
        self.nonces: Nonces = Nonces()
        """Which nonces of which access key were used."""
        self.epoch: int = 0
        """Counts the resets: what an earlier epoch began must leave no trace in a later one."""
        self._failures: list[BaseException] = []
        self._expect: Any = None
        self._random: Random | None = None
        self.begin()

    def _renew_lock(self) -> None:
        """Take a lock of its own for a forked child: another thread may have held that of the parent."""
        self.lock = threading.RLock()
        for collection in self.collections.values():
            collection.lock = self.lock

    def _collection(self, resource: Resource[Record]) -> Collection[Record]:
        by_owner = bool(self.accounts)

        def partition(record: Record) -> int | None:
            """Return the owner of a record (None: everybody may see it). Without accounts, all have one owner."""
            owner = resource.owner_of(record)
            return owner if owner is None or by_owner else EXAMPLE_OWNER

        return Collection(
            cast("tuple[Record, ...]", self._baseline.records.get(resource.name, ())),
            noun=resource.noun,
            key=resource.key_of,
            partition=partition,
            check=resource.check,
            lock=self.lock,
        )

    def begin(self) -> None:
        """Return to the baseline, and forget what came before: a new test begins."""
        with self.lock:
            self.script = [ScriptedStep(step) for step in self._baseline.script]
            self._every_step = list(self.script)
            self._unfinished.clear()
            self._failures.clear()
            self.reset()

    def reset(self) -> None:
        """Return to the baseline: records, script, calls, tokens, nonces, `expect`, and the Ids of new records."""
        with self.lock:
            self.epoch += 1
            for collection in self.collections.values():
                collection.reset()
            del self.script[len(self._baseline.script) :]
            for step in self.script:
                step.rewind()
            self.calls.clear()
            self.tokens.clear()
            self.nonces.clear()
            self._expect = self._random = None

    def collection(self, resource: Resource[Record]) -> Collection[Record]:
        """Return the records of a resource."""
        return cast("Collection[Record]", self.collections[resource.name])

    # No cached_property: that of Python 3.11 has a lock for all worlds, which a fork may leave held in the child.

    @property
    def expect(self) -> Any:
        """The free data of the fixture files: a copy for each epoch, since a test may change what is inside."""
        with self.lock:
            if self._expect is None:
                self._expect = deepcopy(self._baseline.expect)
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
                    scripted.append(ScriptedStep(step))
                    self.script.append(scripted[0])
                    self._every_step.append(scripted[0])

        builder = StepBuilder(operation, calls, where, account, host, changed=changed)
        self._unfinished = [other for other in self._unfinished if not other.attempted]
        self._unfinished.append(builder)
        return builder

    def apply_script(self, operation: str, parameters: Parameters, account: str, host: str) -> list[Step]:
        """Count a call, and return the steps that act on it."""
        with self.lock:
            return [step.step for step in self.script if step.acts_on(operation, parameters, account, host)]

    def change(self, steps: list[Step], epoch: int) -> None:
        """Make the changes to the records that steps have for a call. Raises StaleError after a reset."""
        with self.lock:
            self._check_epoch(epoch)
            for step in steps:
                for name, key in step.remove:
                    self.collections[name].discard(key)
                for name, record in step.add:
                    self.collections[name].put(record)

    def perform(self, operation: Operation, caller: Account | None, parameters: Parameters, epoch: int) -> object:
        """Carry out an operation, as one change, and return its result.

        Raises ApiError where it refuses, and StaleError after a reset.
        """
        with self.lock:
            self._check_epoch(epoch)
            return operation.function(_View(self, operation, caller), parameters)

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
        """The steps of the script that have not acted since the last reset."""
        return [step.step for step in self.script if not step.used]

    @property
    def never_used_steps(self) -> list[Step]:
        """The steps that have not acted since the world was begun, in none of its epochs."""
        return [step.step for step in self._every_step if not step.ever_used]

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


def _without_effect(trigger: str) -> Exception:
    return ValueError(f"{trigger}: this step never got an effect; give it {EFFECTS_LISTED}")


class _View:
    """The `View` of an operation."""

    def __init__(self, world: World, operation: Operation, caller: Account | None) -> None:
        self._world = world
        self._operation = operation
        self.caller = caller

    @property
    def owner_id(self) -> int:
        return self.caller.owner_id if self.caller else EXAMPLE_OWNER

    def collection(self, resource: Resource[Record]) -> Collection[Record]:
        return self._world.collection(resource)

    def new_id(self, resource: Resource[Any], make: Callable[[Random], str]) -> str:
        records = self.collection(resource)
        while (key := make(self._world.random)) in records:
            pass
        return key

    def now(self) -> str:
        return format_time(self._world.now())

    def once(self, token: str, asked: object, answer: Callable[[], Answer]) -> Answer:
        try:
            return self._world.tokens.once(self._operation.name, self.owner_id, token, asked, answer)
        except MismatchError:
            raise ApiError("IdempotentTokenMismatch") from None
