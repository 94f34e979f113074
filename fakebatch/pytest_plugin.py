"""The pytest plugin: fixtures, markers, and what a failing test's report says of the calls that its fake saw.

It is loaded in every pytest run of everyone who has fakebatch installed. So nothing is imported here but pytest and
what pytest has loaded anyway, until one of the fixtures is used; and everything but the wiring is elsewhere.
"""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .fake import FakeBatch
    from .testing import Fakes, MakeFakeBatch, SharedFake

_MARKERS = (
    "fakebatch(*fixtures, images=(), strict=False): this test's world: fixture files (relative to the test's file) and "
    "images; strict fails a test that leaves a step of the script unused",
    "fakebatch_scenarios(*patterns, strict=False): run the test once for each fixture file that a pattern matches "
    "(relative to the test's file)",
)

_fakes = pytest.StashKey["Fakes"]()


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
        try:
            found = sorted(path for path in folder.glob(pattern) if path.is_file())
        except (TypeError, ValueError, NotImplementedError):  # of pathlib's, for what is no text, empty or absolute
            raise pytest.Collector.CollectError(
                f"a scenario is a pattern relative to the test's file, such as 'scenarios/*.yaml', not {pattern!r}"
            ) from None
        if not found:
            raise pytest.Collector.CollectError(f"no scenario matches {pattern!r} in {folder}")
        paths += [path for path in found if path not in paths]
    if not paths:
        raise pytest.Collector.CollectError("fakebatch_scenarios needs a pattern, such as 'scenarios/*.yaml'")
    metafunc.parametrize("fakebatch", paths, indirect=True, ids=[path.stem for path in paths])


@pytest.fixture(scope="session")
def _fakebatch_shared() -> Iterator["SharedFake"]:
    from .testing import SharedFake

    shared = SharedFake()
    yield shared
    shared.fake.stop()


def _fakes_of(item: pytest.Item) -> "Fakes":
    from .testing import Fakes

    return item.stash.setdefault(_fakes, Fakes())


@pytest.fixture
def fakebatch(request: pytest.FixtureRequest, _fakebatch_shared: "SharedFake") -> Iterator["FakeBatch"]:
    """A running FakeBatch with this test's world, at its baseline. One server answers for all tests of a process."""
    __tracebackhide__ = True
    from .testing import asked_for, fail_with, take_failures

    fakes = _fakes_of(request.node)
    with _fakebatch_shared.serve(asked_for(request)) as fake:
        fakes.add(fake)
        yield fake
        fakes.leave(fake)
        failures = take_failures(fake)
    fail_with(failures)


@pytest.fixture
def make_fakebatch(request: pytest.FixtureRequest) -> Iterator["MakeFakeBatch"]:
    """`make_fakebatch(*fixtures, **options)`: another FakeBatch, started, and stopped after the test.

    Paths are relative to the test's file; the options are those of FakeBatch.
    """
    __tracebackhide__ = True
    from .testing import making

    with making(request.path.parent, _fakes_of(request.node)) as make:
        yield make


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
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let go of a test's fakes when it has been reported."""
    result = yield
    _forget(item)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin with no fakes: an item may be run again, as pytest-rerunfailures does."""
    _forget(item)


def _forget(item: pytest.Item) -> None:
    if _fakes in item.stash:
        del item.stash[_fakes]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test in whose fakes something went wrong unseen, and a strict one that leaves a step unused."""
    __tracebackhide__ = True
    yield
    if _fakes in item.stash:
        markers = map(item.get_closest_marker, ("fakebatch", "fakebatch_scenarios"))
        item.stash[_fakes].check(strict=any(marker and marker.kwargs.get("strict") for marker in markers))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the fakes saw to the report of a failure: in the terminal, in JUnit XML, and under xdist."""
    report = yield
    if call.excinfo and _fakes in item.stash:
        sections = list(item.stash[_fakes].sections())
        # A section of the traceback, not of the report: only that is in JUnit XML by default.
        add_section = getattr(report.longrepr, "addsection", None)
        if report.failed and add_section:
            for title, text in sections:
                add_section(title, text)
    return report
