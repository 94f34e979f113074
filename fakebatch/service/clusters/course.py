"""How a cluster and its VMs go on: from what they are, their rule, the polls and the time, to what they are then.

VMs of a group that were made together and have fared alike since are kept as one batch, whatever their number. Pure
functions. Knows nothing of requests.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

import msgspec

from ..progress import DEFAULT, Duration, Rule

ClusterState = Literal["Active", "Deleting"]
ACTIVE: Final = "Active"
DELETING: Final = "Deleting"
STATES: tuple[ClusterState, ...] = (ACTIVE, DELETING)
"""Of clusters. [doc]"""

VmState = Literal["Starting", "Running", "Deleting"]
"""Of VMs. The service knows Pending and Deleted as well [doc]; here they are never seen [choice]."""
STARTING: Final = "Starting"
RUNNING: Final = "Running"

CREATED = "Instance created"
IS_ACTIVE = "Instance is active"
GONE = "Cluster is deleted"
"""What happens. [sdk] The last is never seen: the log has gone as well."""

_FOREVER = Duration()


class Batch(msgspec.Struct, frozen=True):
    """VMs of a group with numbers in a row that fare alike. Times are microseconds since 1970."""

    first: int
    """The number of the oldest: VMs of a cluster are counted from 1, in the order in which they were made."""
    count: int
    created: int
    entered: int
    """When they came into their state."""
    state: VmState = STARTING
    polls: int = 0
    """How many polls have shown them in their state."""
    shown: bool = False
    """Whether any poll has shown them."""


class Entry(msgspec.Struct, frozen=True):
    """What has happened to a batch, to a group, or to the cluster: the others are empty."""

    moment: int
    text: str
    group: str = ""
    first: int = 0
    count: int = 0


class Fleet(msgspec.Struct, frozen=True):
    """How the VMs of a cluster stand."""

    groups: Mapping[str, tuple[Batch, ...]]
    """In the order of their numbers."""
    entered: int
    """When the cluster came into its state."""
    following: int = 1
    """The number of the next VM."""
    rule: Rule = DEFAULT
    polls: int = 0
    """How many polls have shown the cluster since it is deleted."""
    is_over: bool = False
    """It was deleted, and is gone."""
    log: tuple[Entry, ...] = ()


LOG_LENGTH = 1000
"""How many lines of the log are kept, the newest. [choice]"""


class Course:
    """A cluster on its way: what it is now, and what is done to it."""

    def __init__(self, state: ClusterState, fleet: Fleet) -> None:
        self.state: ClusterState = state
        self.groups: dict[str, tuple[Batch, ...]] = dict(fleet.groups)
        self.changed: bool = False
        self.happened: list[Entry] = []
        self._before = fleet
        self._rule = fleet.rule
        self._entered, self._following, self._polls = fleet.entered, fleet.following, fleet.polls
        self._over = fleet.is_over

    @property
    def fleet(self) -> Fleet:
        """How its VMs stand now."""
        return msgspec.structs.replace(
            self._before,
            groups=self.groups,
            entered=self._entered,
            following=self._following,
            polls=self._polls,
            is_over=self._over,
            log=(*self._before.log, *sorted(self.happened, key=lambda entry: entry.moment))[-LOG_LENGTH:],
        )

    @property
    def is_over(self) -> bool:
        """Whether the cluster is gone."""
        return self._over

    @property
    def is_moving(self) -> bool:
        """Whether it goes on by itself."""
        return self.state == DELETING or any(batch.state != RUNNING for batch in self._batches())

    @property
    def is_settled(self) -> bool:
        """Whether no poll changes it any more."""
        return not self.is_moving and all(batch.shown for batch in self._batches())

    def _batches(self) -> Iterable[Batch]:
        return (batch for batches in self.groups.values() for batch in batches)

    # What moves it.

    def go_to(self, moment: int) -> None:
        """Let the clock go on to a moment."""

        def move(group: str, batch: Batch) -> Batch | None:
            due = _due(self._length(batch.state), batch.entered)
            return batch if due is None or due > moment else self._next(group, batch, due)

        self._each(move)
        due = _due(self._length(self.state), self._entered)
        if due is not None and due <= moment:
            self._end(due)

    def poll(self, moment: int) -> None:
        """Let a poll show it."""

        def move(group: str, batch: Batch) -> Batch | None:
            if batch.state == RUNNING and batch.shown:
                return batch
            if self._length(batch.state).is_over(batch.polls + 1):
                moved = self._next(group, batch, moment)
                return moved and msgspec.structs.replace(moved, shown=True)
            return msgspec.structs.replace(batch, polls=batch.polls + 1, shown=True)

        self._each(move)
        if self.state == DELETING:
            self._polls += 1
            self.changed = True
            if self._rule.deleting.is_over(self._polls):
                self._end(moment)

    def advance(self, moment: int) -> None:
        """Take all VMs that are on their way over their next change, and a deleted cluster to its end."""
        self._each(lambda group, batch: batch if batch.state == RUNNING else self._next(group, batch, moment))
        if self.state == DELETING:
            self._end(moment)

    # What is done to it.

    def resize(self, group: str, wanted: int, moment: int) -> None:
        """Let a group have as many VMs as are wanted: new ones start, or the newest go. [choice]"""
        standing = [batch for batch in self.groups[group] if batch.state != DELETING]
        lacking = wanted - sum(batch.count for batch in standing)
        if lacking > 0:
            batch = Batch(self._following, lacking, moment, moment)
            self.groups[group] = (*self.groups[group], batch)
            self._following += lacking
            self._say(CREATED, group, batch, moment)
        for batch in reversed(standing):
            going = min(batch.count, -lacking)
            if going > 0:
                self.release(group, batch.first + batch.count - going, going, moment)
                lacking += going

    def release(self, group: str, first: int, count: int, moment: int) -> None:
        """Delete VMs of a batch of a group: so many, from a number on."""
        batches: list[Batch] = []
        for batch in self.groups[group]:
            before = first - batch.first
            if 0 <= before < batch.count:
                after = batch.count - before - count
                parts = (
                    msgspec.structs.replace(batch, count=before),
                    msgspec.structs.replace(_deleting(batch, moment), first=first, count=count),
                    msgspec.structs.replace(batch, first=first + count, count=after),
                )
                batches += [part for part in parts if part.count]
            else:
                batches.append(batch)
        self.groups[group] = tuple(batches)

    def delete(self, moment: int) -> None:
        """Delete the cluster, and with it all VMs."""
        self.state, self._entered, self._polls = DELETING, moment, 0
        self._each(lambda _, batch: batch if batch.state == DELETING else _deleting(batch, moment))

    def revive(self, wanted: Mapping[str, int], moment: int) -> None:
        """Let the cluster be there as if it had not been deleted, with so many VMs of each group."""
        self.state, self._entered = ACTIVE, moment
        for group, count in wanted.items():
            self.resize(group, count, moment)

    def goes_at_once(self, wanted: Iterable[int]) -> bool:
        """Tell whether the cluster is gone as soon as it is deleted, where its groups want so many VMs.

        It is where no poll has shown any VM, or none are wanted, if it would otherwise be there for a number of polls.
        A rule that has it there for a time, or forever, is kept. [choice]
        """
        has_vms = any(wanted) and any(batch.shown for batch in self._batches())
        deleting = self._rule.deleting
        return not deleting.lasts or (deleting.polls is not None and not has_vms)

    # What happens on the way.

    def _each(self, change: Callable[[str, Batch], Batch | None]) -> None:
        for group, batches in self.groups.items():
            changed = tuple(now for batch in batches if (now := change(group, batch)) is not None)
            if changed != batches:
                self.groups[group] = changed
                self.changed = True

    def _next(self, group: str, batch: Batch, moment: int) -> Batch | None:
        """Return what VMs are that leave their state; None if they are gone."""
        if batch.state == DELETING:
            return None
        self._say(IS_ACTIVE, group, batch, moment)
        return msgspec.structs.replace(batch, state=RUNNING, entered=moment, polls=0)

    def _say(self, text: str, group: str, batch: Batch, moment: int) -> None:
        self.happened.append(Entry(moment, text, group, batch.first, batch.count))

    def _end(self, moment: int) -> None:
        if not self._over:
            self._over = self.changed = True
            self.happened.append(Entry(moment, GONE))

    def _length(self, state: str) -> Duration:
        return {STARTING: self._rule.starting, DELETING: self._rule.deleting}.get(state, _FOREVER)


def _due(length: Duration, entered: int) -> int | None:
    """Return when the clock ends a phase: one that takes no time and no poll, at once."""
    return length.due(entered) if length.lasts else entered


def _deleting(batch: Batch, moment: int) -> Batch:
    return msgspec.structs.replace(batch, state=DELETING, entered=moment, polls=0)
