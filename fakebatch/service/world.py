"""A world: everything that a test can set or see, with the baseline to which `reset()` returns.

Knows nothing of HTTP or of files.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from string import ascii_lowercase, digits

from ..state.calls import Call, Calls
from ..state.collection import Images
from ..state.nonces import Nonces
from .baseline import Description
from .script import Step

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time of the machine's clock, in UTC."""
    return datetime.now(UTC)


class World:
    """The images, accounts, script and calls of one fake.

    `lock` guards every change: whoever needs several to be one change holds it meanwhile.
    """

    def __init__(self, description: Description, clock: Clock = utc_now) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.accounts = {account.access_key_id: account for account in description.accounts}
        self.images = Images(description.images, by_owner=bool(self.accounts), lock=self.lock)
        self.expect = description.expect
        self.script = list(description.script)
        self._scripted = len(self.script)
        self.calls = Calls()
        self.created: dict[tuple[int, str], tuple[object, str]] = {}
        """What CreateImage was asked and answered, by owner and idempotent token."""
        self.nonces = Nonces()
        """When which nonce of which access key was used."""
        self.epoch = 0
        """Counts the resets: what an earlier epoch began must leave no trace in a later one."""
        self._ids: Random | None = None

    def reset(self) -> None:
        """Return to the baseline: images, script, calls, tokens, nonces, and the Ids that new images get."""
        with self.lock:
            self.epoch += 1
            self.images.reset()
            del self.script[self._scripted :]
            for step in self.script:
                step.rewind()
            self.calls.clear()
            self.created.clear()
            self.nonces.clear()
            self._ids = None

    def new_id(self) -> str:
        """Return an Id for a new image, in the form of the reference's `img-6ki7te6grlhbv42kn8a000` [doc].

        The sequence is the same after each reset, so that a test can be repeated. [choice]
        """
        with self.lock:
            self._ids = self._ids or Random(0)  # noqa: S311 - to be guessed is what they are for
            while True:
                image_id = "img-" + "".join(self._ids.choices(ascii_lowercase + digits, k=19)) + "000"
                if image_id not in self.images:
                    return image_id

    def interfere(self, operation: str, parameters: Mapping[str, object]) -> list[Step]:
        """Make the changes to the images that the script has for this call, and return the steps that act on it."""
        with self.lock:
            acting = [step for step in self.script if step.acts_on(operation, parameters)]
            for step in acting:
                for image_id in step.removed:
                    self.images.discard(image_id)
                for image in step.added:
                    self.images.put(image)
        return acting

    def record(self, call: Call, epoch: int) -> None:
        """Record a call, unless the world was reset since it began."""
        with self.lock:
            if epoch == self.epoch:
                self.calls.append(call)
