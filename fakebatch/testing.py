"""What the pytest plugin wires: the shared fakes and the worlds that they serve, and what a test's fakes tell.

Imported when a fixture or a marker is used, not before.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import pytest

from .errors import ApiError, FixtureError, nearest
from .fake import FakeBatch, Fixture
from .scenarios import files_of
from .service.accounts import Account
from .service.description import Baseline, describe
from .service.operation import Resource
from .service.progress import LENGTHS, Rule, RuleBuilder
from .service.registry import RESOURCES
from .service.world import World
from .state.calls import Call
from .state.clock import Clock, utc_now

_NEWEST_CALLS = 100
"""How many calls a report shows."""
_LONGEST_LABEL = 60

_SERVER_OPTIONS = ("tls", "control")
"""Those for which a marker's test gets a server of their kind."""
_OPTIONS = (*(resource.name for resource in RESOURCES), "accounts", "clock", *_SERVER_OPTIONS, "strict")
_RULE = ("job", "cluster", *LENGTHS, "end")


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
        """Return another FakeBatch, started. Paths, folders and patterns are relative to the test's file."""
        ...


class Wanted(NamedTuple):
    """What a test asks for: the world, and how it is served."""

    fixtures: tuple[Any, ...] | None
    """None: nothing is said, so that it gets the default catalogue."""
    accounts: tuple[Account, ...] = ()
    clock: Clock | None = None
    server: tuple[str, ...] = ()
    """Which of the server's options are on."""


def _files(folder: Path, fixtures: Iterable[Any]) -> Iterator[Any]:
    """Yield the fixture files that paths mean, and anything else as it is. Raises FixtureError where there is none."""
    for fixture in fixtures:
        if isinstance(fixture, str | os.PathLike):
            yield from files_of(folder, fixture)
        else:
            yield fixture


def _setting(config: pytest.Config) -> tuple[Any, ...] | None:
    """Return the fixtures that the setting names; None if it names none."""
    return tuple(_files(config.rootpath, config.getini("fakebatch_fixtures"))) or None


def _asked_for(item: pytest.Item) -> Wanted:
    """Return what a test asks for by its markers, or what the setting says. Raises FixtureError for missing files.

    A marker that names files or records, or a scenario, takes the place of the setting.
    """
    marker, scenarios = map(item.get_closest_marker, ("fakebatch", "fakebatch_scenarios"))
    options = _options(marker, _OPTIONS)
    _options(scenarios, ("strict",))
    fixtures = list(marker.args) if marker else []
    for resource in RESOURCES:
        fixtures += _records(resource, options)
    callspec = getattr(item, "callspec", None)
    if callspec and "fakebatch" in callspec.params:
        fixtures.append(callspec.params["fakebatch"])
    says_nothing = not fixtures and not any(resource.name in options for resource in RESOURCES)
    return Wanted(
        _setting(item.config) if says_nothing else tuple(_files(item.path.parent, fixtures)),
        options.get("accounts", ()),
        options.get("clock"),
        tuple(name for name in _SERVER_OPTIONS if options.get(name)),
    )


def _options(marker: pytest.Mark | None, known: Sequence[str]) -> dict[str, Any]:
    """Return the options of a marker. Fails the test for one that it does not have."""
    options = dict(marker.kwargs) if marker else {}
    for name in options:
        if marker and name not in known:
            hint = nearest(name, known) or "; see pytest --markers"
            pytest.fail(f"the marker {marker.name} has no option {name}{hint}", pytrace=False)
    clock = options.get("clock")
    if clock is not None and not callable(clock):
        pytest.fail(f"clock is a function that returns a datetime, not {clock!r}", pytrace=False)
    for name in (*_SERVER_OPTIONS, "strict"):
        if not isinstance(value := options.get(name, False), bool):
            pytest.fail(f"{name} is True or False, not {value!r}", pytrace=False)
    if isinstance(accounts := options.get("accounts"), list):
        options["accounts"] = tuple(accounts)  # it is part of a key
    return options


def _records(resource: Resource[Any], options: dict[str, Any]) -> Sequence[Any]:
    """Return the records of a resource among a marker's options."""
    records = options.get(resource.name, ())
    if not isinstance(records, list | tuple) or not all(isinstance(record, resource.record) for record in records):
        example = f'[{resource.record.__name__}({resource.key_field}="...")]'
        pytest.fail(f"{resource.name} is a list such as {example}, not {records!r}", pytrace=False)
    return records


def _rules(config: pytest.Config) -> Iterator[Rule]:
    """Yield the rules of progress of the whole suite. Fails the test for what is none."""
    for line in config.getini("fakebatch_progress"):
        written: dict[str, Any] = {}
        for part in line.split():
            name, equals, value = part.partition("=")
            if not equals or name not in _RULE:
                hint = nearest(name, _RULE) or f"; known are {', '.join(_RULE)}"
                pytest.fail(
                    f"fakebatch_progress: {part!r} is no part of a rule such as `job=* waiting=0 running=0`{hint}",
                    pytrace=False,
                )
            written[name] = int(value) if value.isdecimal() else value
        yield _or_fail(
            partial(RuleBuilder, **written, origin="fakebatch_progress"), f"fakebatch_progress: {line}: "
        ).rule


def _with_rules(baseline: Baseline, config: pytest.Config) -> Baseline:
    """Return a baseline in which the rules of the whole suite are tried after its own."""
    return baseline._replace(progress=(*baseline.progress, *_rules(config)))


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


def _has_hash(wanted: Wanted) -> bool:
    """Tell whether all that a test asks for has a hash: a record has none if what is in it can be changed."""
    try:
        hash(wanted)
    except TypeError:
        return False
    return True


class Worlds:
    """The worlds that tests have asked for. A fixture file is loaded once, and again when its content has changed."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._loaded: dict[Wanted, _Loaded] = {}

    @staticmethod
    def of(config: pytest.Config) -> "Worlds":
        """Return those of a process."""
        return config.stash.setdefault(_worlds, Worlds(config))

    def get(self, wanted: Wanted) -> World:
        """Return the world that a test asks for. Fails the test, saying what is wrong, if there is none."""
        if not _has_hash(wanted):
            return self._load(wanted).world
        loaded = self._loaded.get(wanted)
        if not loaded or any(_content(path) != content for path, content in loaded.contents.items()):
            loaded = self._loaded[wanted] = self._load(wanted)
        return loaded.world

    def setting(self) -> World:
        """Return a world of the setting that no test gets."""
        return self._load(_or_fail(lambda: Wanted(_setting(self._config)))).world

    def _load(self, wanted: Wanted) -> _Loaded:
        baseline = _with_rules(_or_fail(lambda: describe(wanted.fixtures, wanted.accounts)), self._config)
        return _Loaded(World(baseline, wanted.clock or utc_now), {path: _content(path) for path in baseline.files})


_worlds = pytest.StashKey[Worlds]()


def _or_fail(make: Callable[[], Any], where: str = "") -> Any:
    """Return what a function returns. Fails the test, with nothing but its text, for what it raises."""
    try:
        return make()
    except (FixtureError, ValueError, TypeError) as error:
        mistake = f"{where}{error}"
    pytest.fail(mistake, pytrace=False)  # outside of the except clause, or pytest would show it twice


class SharedFakes:
    """The fakes that answer for all tests of a process: `fake`, and beside it one for each kind of server that a test
    asked for.

    Between tests another world is served than that of any test: what a late thread asks there is recorded nowhere.
    """

    def __init__(self, worlds: Worlds) -> None:
        self.fake: FakeBatch = FakeBatch()
        self._worlds = worlds
        self._fakes: dict[tuple[str, ...], FakeBatch] = {(): self.fake}
        self._between = self.fake.world
        self._every_test = False

    @contextmanager
    def in_every_test(self, config: pytest.Config) -> Iterator[FakeBatch]:
        """Serve, from now on, the world of each test while it runs, whether it uses a fixture of ours or not.

        Between tests it is the setting's.
        """
        between = self._worlds.setting()
        if self.fake.world is self._between:  # and not within a test
            self.fake.show(between)
        self._between = between
        self._every_test = True
        every_test = _EveryTest(self)
        config.pluginmanager.register(every_test)
        yield self.fake.start()
        config.pluginmanager.unregister(every_test)

    def serve(self, item: pytest.Item) -> FakeBatch:
        """Serve the world of a test, from its baseline on, until the test is torn down. Once is enough."""
        fakes = Fakes.of(item)
        if fakes.chosen:
            return fakes.chosen
        wanted = _or_fail(lambda: _asked_for(item))
        world = self._worlds.get(wanted._replace(server=()))
        fake = self._fakes.get(wanted.server)
        if fake is None:
            options: dict[str, Any] = dict.fromkeys(wanted.server, True)
            fake = self._fakes[wanted.server] = FakeBatch(**options)
        # Who was started with the shared one must see the same world, also in a test that has another kind of server.
        shown = {fake, self.fake} if self._every_test else {fake}

        def leave() -> None:
            failures = take_failures(fake)
            fakes.leave(fake)
            for each in shown:
                each.show(self._between)
            world.begin()  # or its calls and their bodies would be kept until it is served again
            fail_with(failures)

        for each in shown:
            each.start()  # the test before may have stopped it
        item.addfinalizer(leave)
        for each in shown:
            each.show(world)
        fakes.choose(fake, unasked=not {"fakebatch", "fakebatch_server"} & set(getattr(item, "fixturenames", ())))
        return fake

    def stop(self) -> None:
        """Stop all of them."""
        for fake in self._fakes.values():
            fake.stop()


class _EveryTest:
    """A plugin that shows each test its world before the first of its own fixtures is set up."""

    def __init__(self, shared: SharedFakes) -> None:
        self._shared = shared

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> None:
        """Choose the world before a fixture that is set up for this test alone; those of wider scopes are not."""
        if fixturedef.scope == "function":
            self._shared.serve(request.node)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Choose the world of a test that has no such fixtures."""
        self._shared.serve(item)


class _Seen(NamedTuple):
    """A fake of a test, and what it saw."""

    label: str
    calls: Sequence[Call]


class Fakes:
    """The fakes of one run of a test: what they saw, and what went wrong unseen."""

    def __init__(self) -> None:
        self.chosen: FakeBatch | None = None
        """That which serves the test's own world."""
        self._unasked = False
        self._seen: dict[FakeBatch, _Seen] = {}

    @staticmethod
    def of(item: pytest.Item) -> "Fakes":
        """Return those of a test."""
        return item.stash.setdefault(FAKES, Fakes())

    def choose(self, fake: FakeBatch, *, unasked: bool) -> None:
        """Take in the fake that serves the test's own world; `unasked`, if the test does not ask for it."""
        self.chosen, self._unasked = fake, unasked
        self.add(fake, "fakebatch")

    def add(self, fake: FakeBatch, label: str) -> None:
        """Take a fake in, as the test begins to use it. The label tells it from others."""
        self._seen[fake] = _Seen(f"{label}, {fake.url}", fake.calls)

    def leave(self, fake: FakeBatch) -> None:
        """Keep what a fake saw, for the report of a teardown that fails: the test has ended."""
        seen = self._seen[fake]
        self._seen[fake] = seen._replace(calls=list(seen.calls))

    def check(self, *, strict: bool = False) -> None:
        """Raise what went wrong unseen; if `strict`, fail for the steps that never acted in this test."""
        fail_with([failure for _, failure in self._take_failures()])
        unused: list[str] = []
        for fake, seen in self._seen.items() if strict else ():
            steps = fake.never_used_steps
            unused += [f"of {seen.label}:"] if steps and len(self._seen) > 1 else []
            for step in steps:
                unused += [str(step), f"    {step.near}"]
        if unused:
            pytest.fail("\n".join(["the script has steps that never acted:", *unused]), pytrace=False)

    def _take_failures(self) -> list[tuple[str, BaseException]]:
        return [(seen.label, failure) for fake, seen in self._seen.items() for failure in take_failures(fake)]

    def sections(self) -> Iterator[tuple[str, str]]:
        """Yield what the report of a failure says of the fakes: a title and a text each."""
        several = len(self._seen) > 1
        for label, failure in self._take_failures():
            title = f"fakebatch failure of {label}" if several else "fakebatch failure"
            yield title, "".join(format_exception(failure)).rstrip()
        for fake, (label, calls) in self._seen.items():
            if self._unasked and fake is self.chosen and not calls:
                continue
            lines = list(map(str, calls[-_NEWEST_CALLS:])) or ["(no calls)"]
            if len(calls) > _NEWEST_CALLS:
                lines.insert(0, f"({len(calls) - _NEWEST_CALLS} earlier calls)")
            yield f"fakebatch calls of {label}" if several else "fakebatch calls", "\n".join(lines)


FAKES = pytest.StashKey[Fakes]()


def prepare(item: pytest.Item) -> None:
    """Fail a test whose markers are wrong, be its world used or not, and give it to a method of a `TestCase`."""
    names: list[str] = getattr(item, "fixturenames", [])
    if _is_of_test_case(item):
        if item.get_closest_marker("fakebatch_scenarios"):
            pytest.fail(
                "a method of a unittest.TestCase has no parameters, and so no scenarios: name one file in the marker"
                " fakebatch, or write a function, or a class that is no TestCase",
                pytrace=False,
            )
        names.append("fakebatch")
    # Here, before its first fixture is set up: pytest does not take a hook well that fails while one is.
    Worlds.of(item.config).get(_or_fail(lambda: _asked_for(item))._replace(server=()))


def _is_of_test_case(item: pytest.Item) -> bool:
    unittest = sys.modules.get("unittest")
    return unittest is not None and issubclass(getattr(item, "cls", None) or object, unittest.TestCase)


def give_to_test_case(request: pytest.FixtureRequest, fake: FakeBatch) -> None:
    """Let a method of a `unittest.TestCase`, which can have no fixtures as arguments, have its fake."""
    if _is_of_test_case(request.node):
        request.instance.fakebatch = fake


def take_failures(fake: FakeBatch) -> list[BaseException]:
    """Return what went wrong unseen in a fake, if anything did, with the traceback of where it happened."""
    try:
        fake.check()
    except BaseException as error:  # also what pytest.fail raises in a callback, which is no Exception
        return [_outside(error)]
    return []


def fail_with(failures: Sequence[BaseException]) -> None:
    """Raise failures, several as an ExceptionGroup. One without a traceback tells all by its text."""
    if len(failures) > 1:
        raise BaseExceptionGroup("several things went wrong while the fakes answered requests", failures)
    for failure in failures:
        if failure.__traceback__ is None and not isinstance(failure, BaseExceptionGroup):
            pytest.fail(str(failure), pytrace=False)
        raise failure


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == __package__


def _outside(error: BaseException) -> BaseException:
    """Return an exception with a traceback that begins where our own frames end.

    The refusal that was being answered as a callback was called is no part of its story.
    """
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            _outside(inner)
    if isinstance(error.__context__, ApiError):
        error.__context__ = None
    trace: TracebackType | None = error.__traceback__
    while trace and _is_ours(trace.tb_frame.f_globals.get("__name__", "")):
        trace = trace.tb_next
    return error.with_traceback(trace)


def hide_our_frames() -> None:
    """Have pytest leave our own frames out of the tracebacks that it shows, but with `--full-trace`.

    It looks for this name among a module's own. Here and not in each module, which would be a line in forty of them.
    """
    for name, module in list(sys.modules.items()):
        if _is_ours(name):
            module.__dict__["__tracebackhide__"] = _shows_others


def _shows_others(excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
    """Tell whether there is anything to show without our frames: pytest's own are not shown either."""
    if isinstance(excinfo.value, BaseExceptionGroup):  # those in it have theirs
        return True
    modules = [str(entry.frame.f_globals.get("__name__", "")) for entry in excinfo.traceback]
    return any(module.partition(".")[0] not in (__package__, "_pytest", "pluggy") for module in modules)


@contextmanager
def making(item: pytest.Item) -> Iterator[MakeFakeBatch]:
    """Give the fixture `make_fakebatch` what makes fakes, stop these in the end, and tell what went wrong in them."""
    made: list[FakeBatch] = []
    fakes = Fakes.of(item)

    def make(*fixtures: Fixture, **options: Any) -> FakeBatch:
        try:
            fake = FakeBatch(*_files(item.path.parent, fixtures), **options)
        except FixtureError as error:
            raise FixtureError(error.problems) from None
        fake.world.load(_with_rules(fake.world.baseline, item.config), fake.world.collections)
        made.append(fake.start())
        given = ", ".join([*map(repr, fixtures), *options])
        given = given if len(given) <= _LONGEST_LABEL else f"{given[:_LONGEST_LABEL]}..."
        fakes.add(fake, f"make_fakebatch({given})")
        return fake

    failures: list[BaseException] = []
    try:
        yield make
    finally:
        for fake in made:
            fake.stop()
            failures += take_failures(fake)
            fakes.leave(fake)
            fake.world.begin()
    fail_with(failures)
