"""The time of a world. Knows nothing of what it is used for."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Returns the time; a datetime without a zone is taken as UTC."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST = datetime.max.replace(tzinfo=UTC)
_LONGEST = 100 * 366 * 86_400
"""In seconds: to be advanced further is taken for a mistake in the unit."""

_FIRST = 1
"""The earliest moment, in microseconds since 1970: 0 is what is not known yet. Clocks are frozen at 1970 as well."""


def utc_now() -> datetime:
    """Return the time of the machine's clock, in UTC."""
    return datetime.now(UTC)


def in_utc(moment: datetime) -> datetime:
    """Return a moment in UTC; one without a zone is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def micros(moment: datetime) -> int:
    """Return a moment in microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(micros: int) -> datetime:
    """Return microseconds since 1970 as a moment in UTC."""
    return _EPOCH + micros * _MICROSECOND


class WorldClock:
    """The time that moves progress, and that new things get: a clock's, which a test may advance.

    `now` returns the time of the clock itself, in UTC.
    """

    def __init__(self, now: Clock, lock: threading.RLock) -> None:
        self._now = now
        self.lock = lock
        self._advanced = 0
        self._latest = 0

    def advance(self, seconds: float) -> None:
        """Let it go on by so many seconds, until the next reset.

        Raises TypeError for what is no number, and ValueError for one that is negative, more than a century, or leads
        beyond the year 9999.
        """
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"a clock is advanced by a number of seconds, not by {seconds!r}")
        if not 0 <= seconds <= _LONGEST:
            raise ValueError(f"a clock is advanced by 0 to {_LONGEST} seconds, not by {seconds!r}; it never goes back")
        further = round(seconds * 1_000_000)
        with self.lock:
            if self.micros() + further > micros(_LAST):
                raise ValueError(
                    f"a clock is not advanced beyond the year 9999, as by {seconds!r} seconds; reset it first"
                )
            self._advanced += further

    @property
    def advanced(self) -> float:
        """By how many seconds it was advanced since the last reset."""
        return self._advanced / 1_000_000

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return moment_of(self.micros())

    def micros(self) -> int:
        """Return the time in microseconds since 1970. It never goes back, whatever the clock does."""
        with self.lock:
            self._latest = max(self._latest, max(_FIRST, micros(self._now())) + self._advanced)
            return self._latest

    def reset(self) -> None:
        """Take back by how much it was advanced."""
        self._advanced = self._latest = 0
