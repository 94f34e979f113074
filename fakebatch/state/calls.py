"""The record of what was asked and answered: `Call`, and the bounded list of them.

Knows nothing of how calls come about.
"""

import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from types import MappingProxyType, UnionType
from typing import TYPE_CHECKING, Any, ClassVar, overload

import msgspec

from ..errors import ApiError, printable
from .collection import counted
from .parameters import METHODS_WITH_A_BODY, parse_body, parse_query

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers

NEWEST = 10_000
"""How many calls are kept, so that a soak test does not eat memory."""
MOST_BYTES = 32 * 1024 * 1024
"""How much is kept with them, in bytes, of what clients sent and of the script: of older calls the body is let go."""
_SHOWN = 10
"""How many calls are shown to whoever has waited for others in vain."""


class Call(msgspec.Struct, frozen=True, gc=False):
    """One request that the fake answered. Signatures and security tokens are redacted.

    It can't be changed, and can be copied and pickled; msgspec encodes it as JSON. Ten thousand of them may be kept, so
    they are made to be nothing that the garbage collector has to look through.
    """

    operation: str | None
    """None if the request was none: no such path, no such method."""
    method: str
    path: str
    query: str
    """The query string as sent."""
    path_parameters: tuple[tuple[str, str], ...]
    """The parameters in the path, by their full names."""
    head: str
    """The headers: a line each, with WSGI's name, a colon and the value."""
    body: bytes
    body_let_go: int
    """How many bytes the body had that was let go, to save memory; 0 if it is here."""
    status: int
    """0 if the connection was dropped before the response."""
    code: str
    """The error code; empty if there was none."""
    items: int | None
    """How many items were listed, if any were to be."""
    note: str
    """What a person wants to know of the answer, such as the state that it shows; empty if there is nothing."""
    request_id: str
    access_key_id: str
    """Who signed, or claimed to; empty if nobody did."""
    step: str
    """The step of the script that interfered; empty if none did."""
    start: datetime
    """When the request was read, in UTC."""
    duration: float
    """In seconds, from then to the response being ready."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters of the path, of the query and of a JSON body, decoded. They can't be changed.

        A name that is in several of them means that of the path, then that of the query.
        """
        body: Mapping[str, Any] = {}
        if self.body and self.method in METHODS_WITH_A_BODY:
            with suppress(ApiError):  # it was refused; there are no parameters in it
                body = parse_body(self.body, self.environ.get("HTTP_X_ACS_COMPRESS_TYPE", ""))
        query: Mapping[str, Any] = {}
        with suppress(ApiError):
            query = parse_query(self.query)
        return MappingProxyType({**body, **query, **dict(self.path_parameters)})

    @property
    def environ(self) -> Mapping[str, str]:
        """The headers by their names in a WSGI environment. They can't be changed."""
        lines = (line.partition(":") for line in self.head.split("\n") if line)
        return MappingProxyType({name: value for name, _, value in lines})

    @property
    def headers(self) -> "Headers":
        """The headers, looked up without regard to case. They can't be changed."""
        from werkzeug.datastructures import EnvironHeaders

        return EnvironHeaders(dict(self.environ))

    @property
    def host(self) -> str:
        """For which host the request came, without the port: in a redirect, the service's own host name."""
        return host_name(self.environ.get("HTTP_HOST", ""))

    @property
    def target(self) -> str:
        """The path and the query as one text."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def __str__(self) -> str:
        if self.status == 0:
            outcome = "connection dropped"
        elif self.code:
            outcome = f"{self.status} {self.code}"
        else:
            told = self.note if self.items is None else counted(self.items, "item")
            outcome = f"{self.status} {told}".rstrip()
        text = f"{self.start:%H:%M:%SZ} {self.method} {self.target} -> {outcome} ({self.duration * 1000:.1f} ms)"
        text += f"  [{self.step}]" if self.step else ""
        return printable(text)  # what a client sent may hold anything


def host_name(host: str) -> str:
    """Return the value of a header `Host` without the port."""
    return re.sub(r":\d*$", "", host)


def _is_number(value: object, kind: type | UnionType) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _told(calls: Sequence[Call]) -> str:
    """Return for a person which calls there have been."""
    if not calls:
        return "there was no call at all"
    newest = f", the newest {_SHOWN} of {len(calls)}" if len(calls) > _SHOWN else ""
    return "".join([f"all that came{newest}:", *(f"\n  {call}" for call in calls[-_SHOWN:])])


def _size(call: Call) -> int:
    """Return how many bytes a call keeps, at most: of what a client sent, and of what the script did about it."""
    # The path is there a second time, as its parameters.
    texts = (call.path, call.path, call.query, call.head, call.access_key_id, call.step)
    return len(call.body) + sum(len(text) if text.isascii() else 4 * len(text) for text in texts)


class _Waiter:
    """Somebody who waits for so many calls of an operation (None: of any)."""

    def __init__(self, operation: str | None, count: int, came: int) -> None:
        self.operation = operation
        self.count = count
        self.came = came
        """How many there have been."""
        self.enough = threading.Event()
        if came >= count:
            self.enough.set()

    def take(self, call: Call) -> None:
        """Count a call, if it is one of those."""
        if self.operation in (None, call.operation):
            self.came += 1
            if self.came >= self.count:
                self.enough.set()


class Calls(Sequence[Call]):
    """The newest calls, oldest first. Reading sees one moment, whatever is answered meanwhile.

    `check_operation` raises ValueError for a name that is no operation's. Whoever changes them holds `lock`.
    """

    def __init__(self, check_operation: Callable[[str], object], lock: threading.RLock) -> None:
        self._check_operation = check_operation
        self.lock: threading.RLock = lock
        self._calls: deque[Call] = deque()
        self._bytes = 0
        self._bodies = 0
        """How many of the calls, from the newest on, have their bodies; those before them have none."""
        self.last: int = 0
        """The number of the newest call: they are counted from 1, also those that were let go."""
        self.cleared: int = 0
        """How often all were forgotten: the numbers began anew each time."""
        self._waiters: list[_Waiter] = []

    def renew_lock(self, lock: threading.RLock) -> None:
        """Take another lock, in a forked child: who has waited here is in the parent."""
        self.lock = lock
        self._waiters = []

    def of(self, operation: str) -> list[Call]:
        """Return the calls of one operation.

        Raises ValueError for a name that is none, with the nearest right spelling.
        """
        self._check_operation(operation)
        return [call for call in self if call.operation == operation]

    def after(self, number: int) -> list[tuple[int, Call]]:
        """Return the calls with greater numbers than this, and their numbers."""
        with self.lock:
            first = self.last - len(self._calls) + 1
            skipped = max(0, number + 1 - first)
            return list(enumerate(islice(self._calls, skipped, None), first + skipped))

    def wait(self, operation: str, count: int = 1, timeout: float = 5.0) -> list[Call]:
        """Return the calls of an operation since the last reset, once there are at least so many of them.

        It waits for `timeout` seconds at most. Raises AssertionError, saying what came instead, if there are not so
        many by then; ValueError for a name that is no operation's, and TypeError for a count or a time that is none.
        """
        self._check_operation(operation)
        if not _is_number(count, int) or count < 0:
            raise TypeError(f"count is how many calls to wait for, not {count!r}")
        if not _is_number(timeout, int | float) or not 0 <= timeout <= threading.TIMEOUT_MAX:
            raise TypeError(f"timeout is a number of seconds, not {timeout!r}")
        self.wait_until(timeout, operation, count)
        with self.lock:
            found, others = self.of(operation), list(self)
        if len(found) >= count:
            return found
        came = f"{len(found)} came" if found else "none came"
        wanted = f"{counted(count, 'call')} of {operation}"
        raise AssertionError(f"waited {timeout:g} s for {wanted}: {came}; {_told(others)}")

    def wait_until(self, seconds: float, operation: str | None, count: int, after: int = 0) -> None:
        """Return once there are so many calls of an operation (None: of any) after one, or after so many seconds.

        Where all are forgotten meanwhile, they are counted anew.
        """
        with self.lock:
            came = sum(operation in (None, call.operation) for _, call in self.after(after))
            waiter = _Waiter(operation, count, came)
            self._waiters.append(waiter)
        waiter.enough.wait(seconds)
        with self.lock:
            self._waiters = [other for other in self._waiters if other is not waiter]

    def append(self, call: Call) -> None:
        """Record a call; let go of the oldest ones, and of the bodies of older ones, where they are too many."""
        self._calls.append(call)
        self.last += 1
        for waiter in self._waiters:
            waiter.take(call)
        self._bytes += _size(call)
        self._bodies += 1
        while self._bytes > MOST_BYTES and self._bodies > 1:
            self._let_go_of_a_body()
        while len(self._calls) > NEWEST or (self._bytes > MOST_BYTES and len(self._calls) > 1):
            self._bytes -= _size(self._calls.popleft())
            self._bodies = min(self._bodies, len(self._calls))

    def _let_go_of_a_body(self) -> None:
        index = len(self._calls) - self._bodies
        call = self._calls[index]
        if call.body:
            self._calls[index] = msgspec.structs.replace(call, body=b"", body_let_go=len(call.body))
            self._bytes -= len(call.body)
        self._bodies -= 1

    def clear(self) -> None:
        """Forget all calls."""
        self._calls.clear()
        self._bytes = self._bodies = self.last = 0
        self.cleared += 1
        for waiter in self._waiters:
            waiter.came = 0

    @overload
    def __getitem__(self, index: int) -> Call: ...
    @overload
    def __getitem__(self, index: slice) -> list[Call]: ...
    def __getitem__(self, index: int | slice) -> Call | list[Call]:
        if isinstance(index, slice):
            return list(self._calls)[index]
        try:
            return self._calls[index]
        except IndexError:
            there = f"only {counted(len(self), 'call')} so far" if self else "no calls yet"
            raise IndexError(f"there is no call with the index {index}: {there}") from None

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Calls | list | tuple) else NotImplemented

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # what is equal now may differ after the next request

    def __repr__(self) -> str:
        return "\n".join(map(str, self)) or "<no calls>"
