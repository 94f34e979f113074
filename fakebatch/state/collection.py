"""A live, thread-safe collection of records in the order of their keys, that is paged and returns to its baseline.

Knows nothing of what the records are, of accounts, or of HTTP.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from heapq import merge
from typing import Any, Generic, TypeVar

Record = TypeVar("Record")


def page(records: Sequence[Record], key: Callable[[Record], Any], marker: Any, count: int) -> tuple[list[Record], Any]:
    """Return up to `count` records from `marker` (inclusive) on, and the key of the first one after them.

    `records` ascend by `key`. An empty marker is the beginning, and the key after the last record is `""`. A marker
    that names no record begins at the first key that is greater, so that a walk neither repeats a record nor misses one
    that was there all the time. [choice]
    """
    start = bisect_left(records, marker, key=key) if marker else 0
    end = start + count
    return list(records[start:end]), key(records[end]) if end < len(records) else ""


class Collection(Generic[Record]):
    """The records of one kind, ascending by key, compared as Unicode strings. [choice]

    Looked up by key: `images["img-a"]`, `"img-a" in images`. Iterating sees one moment, whatever is changed meanwhile.
    `noun` is what one of them is called. `partition` tells with which other records one can be on a page. `check`
    raises TypeError for what can't be one of them.
    """

    def __init__(
        self,
        baseline: Iterable[Record],
        *,
        noun: str,
        key: Callable[[Record], str],
        partition: Callable[[Record], Hashable],
        check: Callable[[object], None],
        lock: threading.RLock,
    ) -> None:
        self._noun = noun
        self._key = key
        self._partition = partition
        self._check = check
        self.lock = lock
        self._records: dict[str, Record] = {}
        # One sorted list for each set of records that is paged: in it, a page is a binary search and a slice.
        self._partitions: dict[Hashable, list[Record]] = {}
        for record in baseline:
            self._records[key(record)] = record
            self._partitions.setdefault(partition(record), []).append(record)
        # What each changed key was at the baseline (None: absent): a reset costs what was changed, not what there is.
        self._before: dict[str, Record | None] = {}

    def page(self, partition: Hashable, marker: str, count: int) -> tuple[list[Record], str]:
        """Return a page of a partition, as `page` does."""
        with self.lock:
            return page(self._partitions.get(partition, []), self._key, marker, count)

    def add(self, record: Record) -> None:
        """Add a record. Raises ValueError if its key is there already, and TypeError for what is no valid record."""
        self._check(record)
        with self.lock:
            if self._key(record) in self._records:
                raise ValueError(f"there is {a(self._noun)} {self._key(record)!r} already; remove it first")
            self._set(self._key(record), record)

    def put(self, record: Record) -> None:
        """Add a record, in the place of the one with its key if there is one. Raises TypeError as `add` does."""
        self._check(record)
        with self.lock:
            self._set(self._key(record), record)

    def remove(self, key: str) -> None:
        """Remove a record. Raises KeyError if there is none of this key."""
        with self.lock:
            self[key]  # raises, with the nearest key
            self._set(key, None)

    def discard(self, key: str) -> None:
        """Remove a record if it is there. Raises TypeError for a key that is no text."""
        with self.lock:
            if key in self:
                self._set(key, None)

    def _set(self, key: str, record: Record | None) -> None:
        """Make `record` the one of this key (None: make it absent), and remember what the baseline had.

        The lock is held.
        """
        present = self._records.pop(key, None)
        self._before.setdefault(key, present)
        if present is not None:
            partition = self._partitions[self._partition(present)]
            del partition[bisect_left(partition, key, key=self._key)]
        if record is not None:
            self._records[key] = record
            partition = self._partitions.setdefault(self._partition(record), [])
            partition.insert(bisect_left(partition, key, key=self._key), record)

    def reset(self) -> None:
        """Return to the baseline."""
        with self.lock:
            before, self._before = self._before, {}
            for key, record in before.items():
                self._set(key, record)
            self._before = {}

    def __getitem__(self, key: str) -> Record:
        try:
            return self._records[key]
        except (KeyError, TypeError):
            near = get_close_matches(str(key), list(self._records)[:10_000], n=1)
            raise KeyError(f"no {self._noun} {key!r}" + (f"; the nearest is {near[0]!r}" if near else "")) from None

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):  # or a record, which is never a key, would seem not to be there
            raise TypeError(f"{a(self._noun)} is looked up by its key, a text, not {key!r}")
        return key in self._records

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        with self.lock:
            partitions = [partition.copy() for partition in self._partitions.values()]
        return merge(*partitions, key=self._key)

    def __repr__(self) -> str:
        return f"<{counted(len(self), self._noun)}>"


def a(noun: str) -> str:
    """Return a noun with its article: `an image`, `a job`."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def counted(count: int, noun: str) -> str:
    """Return a number of things as a person would write it: `1 item`, `2 items`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
