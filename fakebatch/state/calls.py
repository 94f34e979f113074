"""The record of what was asked and answered: `Call`, and the bounded list of them.

Knows nothing of how calls come about.
"""

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, overload

import msgspec
from werkzeug.datastructures import EnvironHeaders, Headers

from ..service.registry import check_operation

NEWEST = 10_000
"""How many calls are kept, so that a soak test does not eat memory."""


def counted(count: int, name: str) -> str:
    """Return a number of things as a person would write it: `1 item`, `2 items`."""
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


class Call(msgspec.Struct, frozen=True, gc=False):
    """One request that the fake answered. Signatures and security tokens are redacted.

    Ten thousand of them may be kept, so they are made to be nothing that the garbage collector has to look through.
    """

    operation: str | None
    """None if the request was none: no such path, no such method."""
    method: str
    path: str
    query: str
    """The query string as sent."""
    parameters: Mapping[str, Any]
    """The query's parameters, decoded, and those of a JSON body."""
    environ: Mapping[str, str]
    """The headers, as WSGI names them."""
    body: bytes
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
    def headers(self) -> Headers:
        """The headers, looked up without regard to case. They can't be changed."""
        return EnvironHeaders(dict(self.environ))

    @property
    def host(self) -> str:
        """For which host the request came, without the port: in a redirect, the service's own host name."""
        return re.sub(r":\d*$", "", self.environ.get("HTTP_HOST", ""))

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
            outcome = f"{self.status}" if self.items is None else f"{self.status} {counted(self.items, 'item')}"
        text = f"{self.start:%H:%M:%S} {self.method} {self.target} -> {outcome} ({self.duration * 1000:.1f} ms)"
        text += f"  [{self.step}]" if self.step else ""
        # What a client sent may hold control characters, which are nothing for a terminal.
        return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


class Calls(Sequence[Call]):
    """The newest calls, oldest first. Reading sees one moment, whatever is answered meanwhile."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=NEWEST)

    def of(self, operation: str) -> list[Call]:
        """Return the calls of one operation.

        Raises ValueError for a name that is none, with the nearest right spelling.
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
