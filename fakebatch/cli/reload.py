"""`--reload`: a world is shown anew when one of the files that it is made of has changed.

Knows nothing of what stands in them.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from time import sleep

from ..errors import FixtureError
from ..fake import FakeBatch
from ..service.registry import summary
from ..service.world import World
from .worlds import describe

SECONDS = 0.2
"""How often the files are looked at. One is read when it has stayed as it is for so long: by then it is whole."""

State = tuple[int, int, int] | None
"""What tells of a file that it has changed; None if it is not there."""


class Reload(threading.Thread):
    """Looks at the files of a fake's world, as long as the process runs.

    `given` is what came on stdin. `say` is told of what is shown, `complain` of what does not load: then what is shown
    stays.
    """

    def __init__(
        self,
        fake: FakeBatch,
        fixtures: Sequence[str],
        given: bytes,
        say: Callable[[str], object],
        complain: Callable[[str], object],
    ) -> None:
        super().__init__(name="fakebatch:reload", daemon=True)
        self._fake, self._fixtures, self._given = fake, fixtures, given
        self._say, self._complain = say, complain
        self._has_changed = False
        self._states: Mapping[Path, State] = {}
        self._watch(fake.world.files)

    def run(self) -> None:
        """Look, again and again."""
        while True:
            sleep(SECONDS)
            self.look()

    def look(self) -> None:
        """Look at the files once, and load them if they have changed and are whole."""
        states = {path: _state(path) for path in self._states}
        if states != self._states:
            self._states = states
            self._has_changed = True
        elif self._has_changed:
            self._has_changed = False
            self._load()

    def _load(self) -> None:
        try:
            world = World(describe(self._fixtures, self._given))
        except FixtureError as error:
            self._complain(f"{error}\nfakebatch: the world stays as it was, until this is mended")
            self._watch([*self._states, *(Path(problem.path) for problem in error.problems)])
        else:
            self._watch(world.files)
            self._fake.show(world)
            self._say(f"Reloaded: {summary(world.collections)}")

    def _watch(self, files: Iterable[Path]) -> None:
        """Watch other files, and those that were named; what is known of one stays so, for it was read after that."""
        known = self._states
        paths = dict.fromkeys([*files, *map(Path, self._fixtures)])
        self._states = {path: known[path] if path in known else _state(path) for path in paths}


def _state(path: Path) -> State:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino
