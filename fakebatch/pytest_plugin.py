"""The pytest plugin: fixtures, markers, and what a failing test's report says of the calls that its fake saw.

It is loaded in every pytest run of everyone who has fakebatch installed. So nothing is imported here but pytest and
what pytest has loaded anyway, until one of the fixtures is used; and everything but the wiring is elsewhere.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import os

    from .fake import FakeBatch
    from .service.images import Image
    from .service.world import World

_MARKERS = (
    "fakebatch(*fixtures, images=(), strict=False): this test's world: fixture files (relative to the test's file) and "
    "images; strict fails a test that leaves a step of the script unused",
    "fakebatch_scenarios(*patterns, strict=False): run the test once for each fixture file that a pattern matches "
    "(relative to the test's file)",
)
_NEWEST_CALLS = 100
"""How many calls a report shows."""

_fakes = pytest.StashKey[list["FakeBatch"]]()
_strict = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the setting."""
    parser.addini(
        "fakebatch_fixtures",
        "fixture files, relative to the root folder, of the fixture `fakebatch` where no marker says otherwise",
        type="args",
        default=[],
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each scenario."""
    marker = metafunc.definition.get_closest_marker("fakebatch_scenarios")
    if not marker:
        return
    if "fakebatch" not in metafunc.fixturenames:
        raise pytest.Collector.CollectError(
            f"{metafunc.function.__name__} has scenarios but does not use the fixture fakebatch; add it"
        )
    folder = metafunc.definition.path.parent
    paths = []
    for pattern in marker.args:
        found = sorted(path for path in folder.glob(pattern) if path.is_file())
        if not found:
            raise pytest.Collector.CollectError(f"no scenario matches {pattern!r} in {folder}")
        paths += [path for path in found if path not in paths]
    if not paths:
        raise pytest.Collector.CollectError("fakebatch_scenarios needs a pattern, such as 'scenarios/*.yaml'")
    metafunc.parametrize("fakebatch", paths, indirect=True, ids=[path.stem for path in paths])


class _Session:
    """One server for the whole session, and the worlds that it has served: each fixture file is loaded once."""

    def __init__(self, fake: "FakeBatch") -> None:
        self.fake = fake
        self._worlds: dict[tuple[Path | Image, ...] | None, World] = {}

    def show(self, fixtures: tuple["Path | Image", ...] | None) -> "FakeBatch":
        """Serve the world of these fixtures (None: the default catalogue) from its baseline on."""
        from .errors import FixtureError
        from .service.baseline import DEFAULT_CATALOGUE, describe
        from .service.world import World

        mistake = ""
        if fixtures not in self._worlds:
            try:
                self._worlds[fixtures] = World(describe([DEFAULT_CATALOGUE] if fixtures is None else fixtures))
            except (FixtureError, ValueError, TypeError) as error:
                mistake = str(error)
        if mistake:  # outside of the except clause, or pytest would show it twice
            pytest.fail(mistake, pytrace=False)
        self.fake.show(self._worlds[fixtures])
        return self.fake


@pytest.fixture(scope="session")
def _fakebatch_session() -> Iterator[_Session]:
    from .fake import FakeBatch

    with FakeBatch() as fake:
        yield _Session(fake)


def _relative(folder: Path, fixture: "str | os.PathLike[str] | Image") -> "Path | Image":
    """Return the path of a fixture file relative to a folder, and anything else as it is."""
    return fixture if not isinstance(fixture, str) and not hasattr(fixture, "__fspath__") else folder / fixture


def _images(options: dict[str, Any]) -> "Sequence[Image]":
    """Take the images out of a marker's options."""
    from .service.images import Image

    images = options.pop("images", ())
    if not isinstance(images, list | tuple) or not all(isinstance(image, Image) for image in images):
        pytest.fail(f'images is a list such as [Image(id="img-a")], not {images!r}', pytrace=False)
    return images


def _options(request: pytest.FixtureRequest) -> tuple[tuple["Path | Image", ...] | None, bool]:
    """Return the fixtures (None: the default catalogue) that a test asks for, and whether it is strict."""
    marker = request.node.get_closest_marker("fakebatch_scenarios" if hasattr(request, "param") else "fakebatch")
    options = dict(marker.kwargs) if marker else {}
    strict = bool(options.pop("strict", False))
    if hasattr(request, "param"):
        fixtures: tuple[Path | Image, ...] | None = (request.param,)
    elif marker and (marker.args or "images" in options):
        fixtures = (*(_relative(request.path.parent, fixture) for fixture in marker.args), *_images(options))
    else:
        root = request.config.rootpath
        fixtures = tuple(root / path for path in request.config.getini("fakebatch_fixtures")) or None
    if options and marker:
        pytest.fail(f"the marker {marker.name} has no option {', '.join(options)}; see pytest --markers", pytrace=False)
    return fixtures, strict


@pytest.fixture
def fakebatch(request: pytest.FixtureRequest, _fakebatch_session: _Session) -> "FakeBatch":
    """A running FakeBatch with this test's world, at its baseline. One server answers for all tests of a process."""
    fixtures, strict = _options(request)
    fake = _fakebatch_session.show(fixtures)
    request.node.stash.setdefault(_fakes, []).append(fake)
    if strict:
        request.node.stash[_strict] = True
    return fake


@pytest.fixture
def make_fakebatch(request: pytest.FixtureRequest) -> Iterator[Callable[..., "FakeBatch"]]:
    """`make_fakebatch(*fixtures, **options)`: another FakeBatch, started, and stopped after the test.

    Paths are relative to the test's file; the options are those of FakeBatch.
    """
    from .errors import FixtureError
    from .fake import FakeBatch

    made: list[FakeBatch] = []

    def make(*fixtures: "str | os.PathLike[str] | Image", **options: Any) -> FakeBatch:
        __tracebackhide__ = True
        try:
            fake = FakeBatch(*(_relative(request.path.parent, fixture) for fixture in fixtures), **options)
        except FixtureError as error:
            raise FixtureError(error.problems) from None
        made.append(fake.start())
        request.node.stash.setdefault(_fakes, []).append(fake)
        return fake

    yield make
    for fake in made:
        fake.stop()


@pytest.fixture
def fakebatch_client(fakebatch: "FakeBatch") -> Any:
    """The official SDK's client, pointed at `fakebatch`. Skips the test where the SDK is not installed."""
    try:
        return fakebatch.sdk_client()
    except ModuleNotFoundError as error:
        if error.name != "batchcompute":  # it is there, and broken
            raise
        pytest.skip(str(error))


@pytest.fixture
def fakebatch_redirect(fakebatch: "FakeBatch") -> Iterator["FakeBatch"]:
    """`fakebatch`, to which the service's own host names lead during the test."""
    with fakebatch.redirect():
        yield fakebatch


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a strict test that leaves a step of the script unused."""
    yield
    if item.stash.get(_strict, False):
        unused = item.stash[_fakes][0].unused_steps
        if unused:
            pytest.fail("\n".join(["the script has steps that never acted:", *map(str, unused)]), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the calls that the fakes saw to the report of a failure: in the terminal, in JUnit XML, and under xdist."""
    report = yield
    if report.failed:
        for fake in item.stash.get(_fakes, []):
            calls = list(map(str, fake.calls))
            left_out = len(calls) - _NEWEST_CALLS
            lines = [f"({left_out} earlier calls)", *calls[left_out:]] if left_out > 0 else calls or ["(no calls)"]
            # A section of the traceback, not of the report: only that is in JUnit XML by default.
            add_section = getattr(report.longrepr, "addsection", None)
            if add_section:
                add_section("fakebatch calls", "\n".join(lines))
    return report
