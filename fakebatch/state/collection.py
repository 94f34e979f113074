"""A live, thread-safe collection of records in the order of their keys, that is paged and returns to its baseline.

Knows nothing of what the records are, of accounts, or of HTTP.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from functools import partial
from heapq import merge
from typing import Any, Generic, Protocol, TypeVar

Record = TypeVar("Record")
Result = TypeVar("Result")


def page(records: Sequence[Record], key: Callable[[Record], Any], marker: Any, count: int) -> tuple[list[Record], Any]:
    """Return up to `count` records from `marker` (inclusive) on, and the key of the first one after them.

    `records` ascend by `key`. An empty marker is the beginning, and the key after the last record is `""`. A marker
    that names no record begins at the first key that is greater, so that a walk neither repeats a record nor misses one
    that was there all the time. [choice]
    """
    start = bisect_left(records, marker, key=key) if marker else 0
    end = start + count
    return list(records[start:end]), key(records[end]) if end < len(records) else ""


class Life(Protocol[Record]):
    """How records go on by themselves: what is read of one is what has become of it by then."""

    def begin(self, record: Record) -> Record:
        """Return a record as it comes into the world now."""

    def follow(self, record: Record, *, polled: bool = False) -> Record | None:
        """Return what has become of a record: itself if nothing has changed, None if it is gone."""

    def change(self, record: Record, do: Callable[[Record, Any], Record]) -> Record:
        """Return what something makes of a record at this moment."""

    def is_mortal(self, record: Record) -> bool:
        """Tell whether a record may be gone by itself."""

    def settle(self, read: Callable[[], Result]) -> Result:
        """Return what `read` returns, which calls `follow`, under the lock."""


class Collection(Generic[Record]):
    """The records of one kind, ascending by key, compared as Unicode strings. [choice]

    Looked up by key: `images["img-a"]`, `"img-a" in images`. Iterating sees one moment, whatever is changed meanwhile.
    `noun` is what one of them is called. `partition` tells with which other records one can be on a page, where they
    stand in the order of what `place` makes of a key, or of another marker. `check` raises TypeError for what can't be
    one of them. `life` is how they go on by themselves.
    """

    def __init__(
        self,
        baseline: Iterable[Record],
        *,
        noun: str,
        key: Callable[[Record], str],
        place: Callable[[str], Any] | None = None,
        partition: Callable[[Record], Hashable],
        check: Callable[[object], None],
        lock: threading.RLock,
        life: Life[Record] | None = None,
    ) -> None:
        self._noun = noun
        self._key = key
        self._place = place or str
        self._order: Callable[[Record], Any] = (lambda record: place(key(record))) if place else key
        self._partition = partition
        self._check = check
        self._life = life
        self.lock = lock
        self._records: dict[str, Record] = {}
        # One sorted list for each set of records that is paged: in it, a page is a binary search and a slice.
        self._partitions: dict[Hashable, list[Record]] = {}
        self._mortal: set[str] = set()
        for record in baseline:
            self._records[key(record)] = record
            self._partitions.setdefault(partition(record), []).append(record)
        if place:
            for records in self._partitions.values():
                records.sort(key=self._order)
        if life:
            self._mortal.update(key(record) for record in self._records.values() if life.is_mortal(record))
        # What each changed key was at the baseline (None: absent): a reset costs what was changed, not what there is.
        self._before: dict[str, Record | None] = {}

    def page(self, partition: Hashable, marker: str, count: int) -> tuple[list[Record], str]:
        """Return a page of a partition, as `page` does."""

        def read() -> tuple[list[Record], str]:
            records = self._partitions.get(partition, [])
            start = bisect_left(records, self._place(marker), key=self._order) if marker else 0
            while True:
                # With the first of the next page, which the marker names: of what goes on by itself it may be gone.
                window = records[start : start + count + 1]
                current = [now for record in window if (now := self._current(record)) is not None]
                if len(current) == len(window):
                    return current[:count], self._key(current[count]) if count < len(current) else ""

        return self._settled(read)

    def browse(self, marker: str, count: int, fits: Callable[[Record], bool]) -> tuple[list[Record], str]:
        """Return up to `count` records of all partitions that fit, from `marker` on, and the key of the next of them.

        It is for people: others go on meanwhile, and what they change may be seen or not.
        """
        with self.lock:
            starts = [
                (partition, bisect_left(partition, self._place(marker), key=self._order) if marker else 0)
                for partition in self._partitions.values()
            ]
            following = [partition[start:] for partition, start in starts]
        found: list[Record] = []
        for record in merge(*following, key=self._order):
            now = self._settled(partial(self._present, self._key(record)))
            if now is not None and fits(now):
                if len(found) == count:
                    return found, self._key(now)
                found.append(now)
        return found, ""

    def _present(self, key: str) -> Record | None:
        """Return what has become of the record of a key; None if there is none. The lock is held."""
        record = self._records.get(key)
        return None if record is None else self._current(record)

    def of(self, partition: Hashable) -> list[Record]:
        """Return all records of a partition, in their order."""

        def read() -> list[Record]:
            records = self._partitions.get(partition, []).copy()
            return [now for record in records if (now := self._current(record)) is not None]

        return self._settled(read)

    def _settled(self, read: Callable[[], Result]) -> Result:
        if self._life:
            return self._life.settle(read)
        with self.lock:
            return read()

    def _current(self, record: Record) -> Record | None:
        """Return what has become of a record, and keep it; None if it is gone. The lock is held."""
        if self._life is None:
            return record
        now = self._life.follow(record)
        return record if now is record else self._became(record, now)

    def _became(self, record: Record, now: Record | None) -> Record | None:
        if now is None:
            self._set(self._key(record), None)
        else:
            self.replace(now)
        return now

    def poll(self, key: str) -> Record:
        """Return what a record is when somebody asks how it is doing. Raises KeyError if it is gone."""
        record = self[key]
        assert self._life  # noqa: S101 - of what goes on by itself
        now = self._became(record, self._life.follow(record, polled=True))
        if now is None:
            raise KeyError(key)
        return now

    def add(self, record: Record) -> None:
        """Add a record. Raises ValueError if its key is there already, and TypeError for what is no valid record."""
        self._check(record)

        def act() -> None:
            begun = self._begun(record)
            if self._key(begun) in self:
                raise ValueError(f"there is {a(self._noun)} {self._key(begun)!r} already; remove it first")
            self._set(self._key(begun), begun)

        self._settled(act)

    def create(self, record: Record) -> None:
        """Add a record that an operation made: it is valid, and its key is new."""
        with self.lock:
            self._set(self._key(record), record)

    def put(self, record: Record) -> None:
        """Add a record, in the place of the one with its key if there is one. Raises TypeError as `add` does."""
        self._check(record)

        def act() -> None:
            begun = self._begun(record)
            self._set(self._key(begun), begun)

        self._settled(act)

    def _begun(self, record: Record) -> Record:
        return self._life.begin(record) if self._life else record

    def replace(self, record: Record) -> None:
        """Put a record in the place of the one with its key, from which it was made: they stand in the same place."""
        key = self._key(record)
        with self.lock:
            self._before.setdefault(key, self._records[key])
            self._records[key] = record
            partition = self._partitions[self._partition(record)]
            partition[bisect_left(partition, self._order(record), key=self._order)] = record
            self._keep_mortal(key, record)

    def change(self, key: str, do: Callable[[Record, Any], Record]) -> Record:
        """Return what something makes of a record that goes on by itself. Raises KeyError if it is not there."""
        life = self._life
        assert life  # noqa: S101 - of what goes on by itself

        def act() -> Record:
            changed = life.change(self[key], do)
            self.replace(changed)
            return changed

        return life.settle(act)

    def remove(self, key: str) -> None:
        """Remove a record. Raises KeyError if there is none of this key."""

        def act() -> None:
            self[key]  # raises, with the nearest key
            self._set(key, None)

        self._settled(act)

    def discard(self, key: str) -> None:
        """Remove a record if it is there. Raises TypeError for a key that is no text."""

        def act() -> None:
            if key in self:
                self._set(key, None)

        self._settled(act)

    def _set(self, key: str, record: Record | None) -> None:
        """Make `record` the one of this key (None: make it absent), and remember what the baseline had.

        The lock is held.
        """
        present = self._records.pop(key, None)
        self._before.setdefault(key, present)
        if present is not None:
            partition = self._partitions[self._partition(present)]
            del partition[bisect_left(partition, self._order(present), key=self._order)]
        if record is not None:
            self._records[key] = record
            partition = self._partitions.setdefault(self._partition(record), [])
            partition.insert(bisect_left(partition, self._order(record), key=self._order), record)
        self._keep_mortal(key, record)

    def _keep_mortal(self, key: str, record: Record | None) -> None:
        if self._life:
            if record is not None and self._life.is_mortal(record):
                self._mortal.add(key)
            else:
                self._mortal.discard(key)

    def reset(self) -> None:
        """Return to the baseline."""
        with self.lock:
            before, self._before = self._before, {}
            for key, record in before.items():
                self._set(key, record)
            self._before = {}

    def __getitem__(self, key: str) -> Record:
        try:
            if self._life is None:
                return self._records[key]
            now = self._settled(lambda: self._current(self._records[key]))
            if now is not None:
                return now
        except (KeyError, TypeError):
            pass
        near = get_close_matches(str(key), list(self._records)[:10_000], n=1)
        raise KeyError(f"no {self._noun} {key!r}" + (f"; the nearest is {near[0]!r}" if near else ""))

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):  # or a record, which is never a key, would seem not to be there
            raise TypeError(f"{a(self._noun)} is looked up by its key, a text, not {key!r}")
        if key not in self._mortal:
            return key in self._records
        return self._settled(lambda: key in self._records and self._current(self._records[key]) is not None)

    def __len__(self) -> int:
        for key in list(self._mortal):
            _ = key in self
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        def read() -> list[list[Record]]:
            partitions = [partition.copy() for partition in self._partitions.values()]
            if self._life is None:
                return partitions
            return [[now for record in partition if (now := self._current(record))] for partition in partitions]

        return merge(*self._settled(read), key=self._order)

    def __repr__(self) -> str:
        return f"<{counted(len(self), self._noun)}>"


def a(noun: str) -> str:
    """Return a noun with its article: `an image`, `a job`."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def counted(count: int, noun: str) -> str:
    """Return a number of things as a person would write it: `1 item`, `2 items`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
