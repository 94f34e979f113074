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
    """Looks at the files of a world, as long as the process runs. It is made before these are loaded.

    `given` is what came on stdin.
    """

    def __init__(self, fixtures: Sequence[str], given: bytes) -> None:
        super().__init__(name="fakebatch:reload", daemon=True)
        self._fixtures, self._given = fixtures, given
        self._has_changed = False
        self._states: Mapping[Path, State] = {}
        self._watch(())

    def follow(self, fake: FakeBatch, say: Callable[[str], object], complain: Callable[[str], object]) -> None:
        """Have a fake show what changes. `say` is told of it, `complain` of what does not load: then what was shown
        stays.
        """
        self._fake, self._say, self._complain = fake, say, complain
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
