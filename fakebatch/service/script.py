"""The steps of a script: *on this operation, at these calls, do that*.

A step is validated here, whether it comes from Python or from a fixture file: the keys of the file are the names of the
methods. Knows nothing of files, HTTP or the world that it changes.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Self

from ..errors import ApiError
from .images import Image, check_image
from .registry import check_operation

ANY = "any"
"""Stands for every operation."""

CallNumbers = int | str | Sequence[int | str]
"""At which calls a step acts, counted from 1 over those that it matches: `2`, `"2-4"`, `"3-"`, or a list of these."""

_CALLS = re.compile(r"(?P<first>[1-9]\d{0,8})(?:(?P<dash>-)(?P<last>[1-9]\d{0,8})?)?", re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)

LONGEST_DELAY = 3600.0
"""In seconds: a longer delay is taken for a mistake in the unit. [choice]"""


class Reply(NamedTuple):
    """A raw response: whatever bytes a gateway might send instead of the service."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def parse_calls(calls: CallNumbers) -> tuple[tuple[int, float], ...]:
    """Return the ranges that a `calls` value names, both ends inclusive. Raises ValueError if it is malformed."""
    parts = calls if isinstance(calls, list | tuple) else [calls]
    if not parts:
        raise ValueError("an empty list names no call; leave `calls` out to act at every call")
    return tuple(map(_parse_range, parts))


def _parse_range(part: int | str) -> tuple[int, float]:
    found = _CALLS.fullmatch(str(part))
    if found:
        first = int(found["first"])
        last = first if not found["dash"] else int(found["last"]) if found["last"] else float("inf")
        if first <= last:
            return first, last
    raise ValueError(f"{part!r} does not name calls; write 2, '2-4', '3-' or a list of these (the first call is 1)")


class Step:
    """One step of a script: a trigger, and the effects that its methods give it. Each method returns the step itself.

    It acts on calls of `operation` (or `"any"`) whose query or body parameters have the values in `where` (compared as
    text; a parameter that is absent counts as empty), at the calls that `calls` names (see `CallNumbers`; without it,
    at each).

    Raises ValueError for an unknown operation and for malformed `calls`.
    """

    def __init__(
        self,
        operation: str = ANY,
        calls: CallNumbers | None = None,
        where: Mapping[str, str | int] | None = None,
        origin: str = "",
    ) -> None:
        self.operation = check_operation(operation, ANY)
        self.ranges = None if calls is None else parse_calls(calls)
        self.where = {name: str(value) for name, value in (where or {}).items()}
        self.origin = origin
        self.trigger = f"on {operation}"
        if calls is not None:
            self.trigger += f", calls {calls}"
        if self.where:
            self.trigger += ", where " + ", ".join(f"{name}={value}" for name, value in self.where.items())

        self.error: ApiError | None = None
        self.seconds = 0.0
        self.dropped: Literal["before", "during"] | None = None
        self.replied: Reply | None = None
        self.added: tuple[Image, ...] = ()
        self.removed: tuple[str, ...] = ()

        self.attempted = False
        self.seen = 0
        """How many calls have matched so far."""
        self.used = self.ever_used = False

    def fail(self, code: str, *, status: int | None = None, message: str | None = None, **arguments: object) -> Self:
        """Answer with an error: a documented code, whose status and message are filled in, with the message's arguments
        (`fail("StateConflict", State="Deleting")`); or a code of one's own, with its status and message.

        Raises ValueError for a code that is neither, and for wrong arguments.
        """
        self._no_second_outcome()
        if status is None and message is None:
            self.error = ApiError(code, **arguments)
        elif status is None or message is None or arguments:
            raise ValueError("an error of one's own needs status, code and message, and nothing else")
        else:
            self.error = ApiError.undocumented(_check_status(status), code, message)
        return self

    def delay(self, seconds: float) -> Self:
        """Answer only after so many seconds. Other requests are answered meanwhile.

        Raises ValueError outside 0 to 3600.
        """
        self.attempted = True
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST_DELAY:
            raise ValueError(f"a delay is a number of seconds from 0 to {LONGEST_DELAY:.0f}, not {seconds!r}")
        self.seconds = float(seconds)
        return self

    def drop(self, when: Literal["before", "during"] = "before") -> Self:
        """Break the connection: `before` the response with a TCP reset, or `during` it, in the middle of the body.

        The operation itself is carried out for `during`, and not for `before`.
        """
        self._no_second_outcome()
        if when not in ("before", "during"):
            raise ValueError(f"a connection is dropped 'before' or 'during' the response, not {when!r}")
        self.dropped = when
        return self

    def reply(self, status: int = 200, headers: Mapping[str, str] | None = None, body: str | bytes = b"") -> Self:
        """Send this status, these headers and this body (text is sent as UTF-8) instead of the service's answer.

        The operation is not carried out. Raises ValueError for a status outside 200 to 599 and a malformed header.
        """
        self._no_second_outcome()
        for name, value in (headers or {}).items():
            if not _TOKEN.fullmatch(name) or re.search(r"[\0\r\n]", value) or not _is_latin(value):
                raise ValueError(f"{name}: {value!r} is not an HTTP header")
        content = body.encode() if isinstance(body, str) else body
        self.replied = Reply(_check_status(status), tuple((headers or {}).items()), content)
        return self

    def add(self, *images: Image) -> Self:
        """Put images into the catalogue before the call is answered, in the place of those with the same Ids.

        Raises TypeError for anything but valid images.
        """
        for image in images:
            check_image(image)
        self.added += images
        return self

    def remove(self, *ids: str) -> Self:
        """Take images out of the catalogue before the call is answered; one that is not there is passed over."""
        self.removed += ids
        return self

    @property
    def outcome(self) -> bool:
        """Whether the step takes the place of the service's own answer, or cuts it short."""
        return bool(self.error or self.dropped or self.replied)

    @property
    def effective(self) -> bool:
        """Whether the step does anything at all."""
        return self.outcome or bool(self.seconds or self.added or self.removed)

    def _no_second_outcome(self) -> None:
        if self.outcome:
            raise ValueError("a step has one outcome: fail, drop or reply; make a second step for another")

    def acts_on(self, operation: str, parameters: Mapping[str, object]) -> bool:
        """Count a call if it matches, and tell whether the step acts at this one."""
        if self.operation not in (ANY, operation):
            return False
        if any(str(parameters.get(name, "")) != value for name, value in self.where.items()):
            return False
        self.seen += 1
        acts = self.ranges is None or any(first <= self.seen <= last for first, last in self.ranges)
        self.used |= acts
        self.ever_used |= acts
        return acts

    def rewind(self) -> None:
        """Forget which calls were seen."""
        self.seen = 0
        self.used = False

    def __str__(self) -> str:
        effects = []
        if self.removed:
            effects.append("remove " + ", ".join(self.removed))
        if self.added:
            effects.append("add " + ", ".join(image.id for image in self.added))
        if self.seconds:
            effects.append(f"delay {self.seconds:g} s")
        if self.error:
            effects.append(f"fail {self.error.code}")
        if self.dropped:
            effects.append(f"drop {self.dropped} the response")
        if self.replied:
            effects.append(f"reply {self.replied.status}")
        text = f"{self.trigger}: {'; '.join(effects) or 'nothing'}"
        return f"{self.origin}: {text}" if self.origin else text

    __repr__ = __str__


def _check_status(status: int) -> int:
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise ValueError(f"an HTTP status is a number from 200 to 599, not {status!r}")
    return status


def _is_latin(text: str) -> bool:
    return all(ord(character) < 256 for character in text)
