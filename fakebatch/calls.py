"""The record of what was asked and answered: `Call`, and the bounded list of them. Knows nothing of how calls come
about.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, overload

from werkzeug.datastructures import Headers

from .routing import check_operation

NEWEST = 10_000
"""How many calls are kept, so that a soak test does not eat memory."""


class Call(NamedTuple):
    """One request that the fake answered. Signatures and security tokens are redacted."""

    operation: str | None
    """None if the request was none: no such path, no such method, not even HTTP."""
    method: str
    path: str
    query: str
    """The query string as sent."""
    parameters: Mapping[str, Any]
    """The query's parameters, decoded, and those of a JSON body."""
    headers: Headers
    """Looked up without regard to case."""
    body: bytes
    host: str
    """For which host it came, without the port: with a redirect, the service's own host name."""
    status: int
    """0 if the connection was dropped before the response."""
    code: str
    """The error code; empty if there was none."""
    items: int | None
    """How many images were listed, if any were to be."""
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
    def target(self) -> str:
        """The path and the query as one text."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def __str__(self) -> str:
        if self.status == 0:
            outcome = "connection dropped"
        elif self.code:
            outcome = f"{self.status} {self.code}"
        else:
            outcome = f"{self.status}" if self.items is None else f"{self.status} {self.items} items"
        text = f"{self.start:%H:%M:%S} {self.method} {self.target} -> {outcome} ({self.duration * 1000:.1f} ms)"
        text += f"  [{self.step}]" if self.step else ""
        # What a client sent may hold control characters, which are nothing for a terminal.
        return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


class Calls(Sequence[Call]):
    """The newest calls, oldest first. Reading sees one moment, whatever is answered meanwhile."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=NEWEST)

    def of(self, operation: str) -> list[Call]:
        """Return the calls of one operation. Raises ValueError for a name that is none, with the nearest right
        spelling.
        """
        check_operation(operation)
        return [call for call in self if call.operation == operation]

    def append(self, call: Call) -> None:
        """Record a call."""
        self._calls.append(call)

    def clear(self) -> None:
        """Forget all calls."""
        self._calls.clear()

    @overload
    def __getitem__(self, index: int) -> Call: ...
    @overload
    def __getitem__(self, index: slice) -> list[Call]: ...
    def __getitem__(self, index: int | slice) -> Call | list[Call]:
        return list(self._calls)[index] if isinstance(index, slice) else self._calls[index]

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls))

    def __repr__(self) -> str:
        return "\n".join(map(str, self)) or "<no calls>"
