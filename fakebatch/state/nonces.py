"""What may be used once in a while: keys, remembered for a time. Generic; knows nothing of signatures or of clocks."""

from collections.abc import Hashable
from datetime import datetime, timedelta


class Nonces:
    """Keys and when they were used. Whoever shares it between threads holds a lock of theirs meanwhile."""

    def __init__(self) -> None:
        self._used: dict[Hashable, datetime] = {}

    def use(self, key: Hashable, now: datetime, window: timedelta) -> bool:
        """Use a key, and return whether it had not been used within `window` before `now`."""
        # The oldest come first.
        while self._used and now - self._used[oldest := next(iter(self._used))] > window:
            del self._used[oldest]
        if key in self._used:
            return False
        self._used[key] = now
        return True

    def clear(self) -> None:
        """Forget all keys."""
        self._used.clear()

    def __len__(self) -> int:
        return len(self._used)
