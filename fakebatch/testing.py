"""What the pytest plugin wires: the shared fake and the worlds that it serves, and what a test's fakes tell at its end.

Imported when a fixture is used, not before.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Protocol

import pytest

from .errors import FixtureError
from .fake import FakeBatch, Fixture
from .service.accounts import Account
from .service.description import describe
from .service.operation import Resource
from .service.registry import RESOURCES
from .service.world import World
from .state.calls import Call
from .state.clock import Clock

_NEWEST_CALLS = 100
"""How many calls a report shows."""


class MakeFakeBatch(Protocol):
    """The type of the fixture `make_fakebatch`: it is called as `FakeBatch` is, and returns one that is started."""

    def __call__(
        self,
        *fixtures: Fixture,
        accounts: Iterable[Account] = (),
        clock: Clock | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = False,
        on_call: Callable[[Call], None] | None = None,
        control: bool = False,
        control_hosts: Iterable[str] = (),
    ) -> FakeBatch:
        """Return another FakeBatch, started. Paths are relative to the test's file."""
        ...


def relative(folder: Path, fixture: Any) -> Any:
    """Return the path of a fixture file relative to a folder, and anything else as it is."""
    return folder / fixture if isinstance(fixture, str | os.PathLike) else fixture


def asked_for(request: pytest.FixtureRequest) -> tuple[Any, ...] | None:
    """Return the fixtures that a test asks for; None if it does not, so that it gets the default catalogue."""
    marker = request.node.get_closest_marker("fakebatch_scenarios" if hasattr(request, "param") else "fakebatch")
    options = dict(marker.kwargs) if marker else {}
    options.pop("strict", None)
    fixtures: tuple[Any, ...] | None
    if hasattr(request, "param"):
        fixtures = (request.param,)
    elif marker and (marker.args or any(resource.name in options for resource in RESOURCES)):
        records = [record for resource in RESOURCES for record in _records(resource, options)]
        fixtures = (*(relative(request.path.parent, fixture) for fixture in marker.args), *records)
    else:
        root = request.config.rootpath
        fixtures = tuple(root / path for path in request.config.getini("fakebatch_fixtures")) or None
    if options and marker:
        pytest.fail(f"the marker {marker.name} has no option {', '.join(options)}; see pytest --markers", pytrace=False)
    return fixtures


def _records(resource: Resource[Any], options: dict[str, Any]) -> Sequence[Any]:
    """Take the records of a resource out of a marker's options."""
    records = options.pop(resource.name, ())
    if not isinstance(records, list | tuple) or not all(isinstance(record, resource.record) for record in records):
        example = f'[{resource.record.__name__}(id="img-a")]'
        pytest.fail(f"{resource.name} is a list such as {example}, not {records!r}", pytrace=False)
    return records


class _Loaded(NamedTuple):
    """A world, and what was in the files that it was made of."""

    world: World
    contents: Mapping[Path, int | None]


def _content(path: Path) -> int | None:
    """Return a hash of a file's content; None if there is no such file.

    Its times would not do: two writes may come within one tick of the file system's clock.
    """
    try:
        return hash(path.read_bytes()) if path.is_file() else None  # to open a pipe would wait for its writer
    except OSError:
        return None


class SharedFake:
    """The fake that answers for all tests of a process, and the worlds that it has served.

    A fixture file is loaded once, and again when its content has changed. Between tests another world is served than
    that of any test: what a late thread asks there is recorded nowhere.
    """

    def __init__(self) -> None:
        self.fake: FakeBatch = FakeBatch()
        self._between = self.fake.world
        self._loaded: dict[tuple[Any, ...] | None, _Loaded] = {}

    @contextmanager
    def serve(self, fixtures: tuple[Any, ...] | None) -> Iterator[FakeBatch]:
        """Serve the world of these fixtures (None: the default catalogue), from its baseline on, for one test."""
        world = self._world(fixtures)
        self.fake.show(world)
        self.fake.start()  # the test before may have stopped it
        try:
            yield self.fake
        finally:
            self.fake.show(self._between)
            world.begin()  # or its calls and their bodies would be kept until it is served again

    def _world(self, fixtures: tuple[Any, ...] | None) -> World:
        try:
            loaded = self._loaded.get(fixtures)
        except TypeError:  # no path and no valid image
            return _load(fixtures).world  # which says what is wrong
        if not loaded or any(_content(path) != content for path, content in loaded.contents.items()):
            loaded = self._loaded[fixtures] = _load(fixtures)
        return loaded.world


def _load(fixtures: tuple[Any, ...] | None) -> _Loaded:
    try:
        baseline = describe(fixtures)
    except (FixtureError, ValueError, TypeError) as error:
        mistake = str(error)
    else:
        return _Loaded(World(baseline), {path: _content(path) for path in baseline.files})
    pytest.fail(mistake, pytrace=False)  # outside of the except clause, or pytest would show it twice


class Fakes:
    """The fakes of one run of a test: what they saw, and what went wrong unseen."""

    def __init__(self) -> None:
        self._calls: dict[FakeBatch, Sequence[Call]] = {}

    def add(self, fake: FakeBatch) -> None:
        """Take a fake in, as the test begins to use it."""
        self._calls[fake] = fake.calls

    def leave(self, fake: FakeBatch) -> None:
        """Keep what a fake saw, for the report of a teardown that fails: the test has ended."""
        self._calls[fake] = list(fake.calls)

    def check(self, *, strict: bool = False) -> None:
        """Raise what went wrong unseen; if `strict`, fail for the steps that never acted in this test."""
        __tracebackhide__ = True
        fail_with(self._take_failures())
        unused = [str(step) for fake in self._calls for step in fake.never_used_steps] if strict else []
        if unused:
            _fail("\n".join(["the script has steps that never acted:", *unused]))

    def _take_failures(self) -> list[BaseException]:
        return [failure for fake in self._calls for failure in take_failures(fake)]

    def sections(self) -> Iterator[tuple[str, str]]:
        """Yield what the report of a failure says of the fakes: a title and a text each."""
        for failure in self._take_failures():
            yield "fakebatch failure", "".join(format_exception(failure)).rstrip()
        for calls in self._calls.values():
            lines = list(map(str, calls[-_NEWEST_CALLS:])) or ["(no calls)"]
            if len(calls) > _NEWEST_CALLS:
                lines.insert(0, f"({len(calls) - _NEWEST_CALLS} earlier calls)")
            yield "fakebatch calls", "\n".join(lines)


def take_failures(fake: FakeBatch) -> list[BaseException]:
    """Return what went wrong unseen in a fake, if anything did, with the traceback of where it happened."""
    try:
        fake.check()
    except BaseException as error:  # also what pytest.fail raises in a callback, which is no Exception
        return [_outside(error)]
    return []


def fail_with(failures: Sequence[BaseException]) -> None:
    """Raise failures, several as an ExceptionGroup. One without a traceback tells all by its text."""
    __tracebackhide__ = True
    if len(failures) > 1:
        raise BaseExceptionGroup("several things went wrong while the fakes answered requests", failures)
    for failure in failures:
        if failure.__traceback__ is None and not isinstance(failure, BaseExceptionGroup):
            _fail(str(failure))
        raise failure


def _fail(text: str) -> NoReturn:
    """Fail with nothing but a text. This frame is there to be seen: pytest remarks on it if all are hidden."""
    pytest.fail(text, pytrace=False)


def _outside(error: BaseException) -> BaseException:
    """Return an exception with a traceback that begins where our own frames end."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            _outside(inner)
    trace: TracebackType | None = error.__traceback__
    while trace and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        trace = trace.tb_next
    return error.with_traceback(trace)


@contextmanager
def making(folder: Path, fakes: Fakes) -> Iterator[MakeFakeBatch]:
    """Give the fixture `make_fakebatch` what makes fakes, stop these in the end, and tell what went wrong in them."""
    __tracebackhide__ = True
    made: list[FakeBatch] = []

    def make(*fixtures: Fixture, **options: Any) -> FakeBatch:
        __tracebackhide__ = True
        try:
            fake = FakeBatch(*(relative(folder, fixture) for fixture in fixtures), **options)
        except FixtureError as error:
            raise FixtureError(error.problems) from None
        made.append(fake.start())
        fakes.add(fake)
        return fake

    try:
        yield make
    finally:
        for fake in made:
            fake.stop()
    fail_with([failure for fake in made for failure in take_failures(fake)])
