"""The pytest plugin: fixtures, markers, and what a failing test's report says of the calls that its fake saw.

It is loaded in every pytest run of everyone who has fakebatch installed. So nothing is imported here but pytest and
what pytest has loaded anyway, until a fixture or a marker is used; and everything but the wiring is elsewhere.
"""

import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .fake import FakeBatch
    from .testing import Fakes, MakeFakeBatch, SharedFakes

_MARKERS = (
    "fakebatch(*fixtures, images=(), jobs=(), clusters=(), apps=(), accounts=(), clock=None, tls=False, control=False, "
    "strict=False): this test's world: fixture files, folders of them and patterns (relative to the test's file), "
    "scenarios of the package ('fakebatch:throttled'), and records, all in the place of the setting "
    "fakebatch_fixtures. Without any of these, the setting's files hold, and the options add to them. accounts add to "
    "those of the files; tls and control serve it from a server of this kind, beside the shared one; strict fails a "
    "test that leaves a step of the script unused. Of several such markers the nearest to the test holds, alone. A "
    "method of a unittest.TestCase finds its fake as self.fakebatch",
    "fakebatch_scenarios(*patterns, strict=False): run the test once for each fixture file that a pattern, a folder or "
    "a path means (relative to the test's file), or a set of scenarios of the package ('fakebatch:paging'). The files "
    "take the place of the setting fakebatch_fixtures, and add to what the marker fakebatch says",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the settings."""
    parser.addini(
        "fakebatch_fixtures",
        "fixture files, folders of them and patterns, relative to the root folder, of the fixture `fakebatch` in all "
        "tests that have no scenario and no marker that names files or records",
        type="args",
        default=[],
    )
    parser.addini(
        "fakebatch_progress",
        "how jobs and clusters go on in all tests where neither the test nor its files say so: a rule a line, such as "
        "`job=* waiting=0 running=0` (all jobs are done at their first poll)",
        type="linelist",
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
    if not marker.args:
        raise pytest.Collector.CollectError("fakebatch_scenarios needs a pattern, such as 'scenarios/*.yaml'")
    from .errors import FixtureError
    from .scenarios import scenarios_of

    names: dict[Any, str] = {}
    for pattern in marker.args:
        try:
            names |= scenarios_of(metafunc.definition.path.parent, pattern)
        except FixtureError as error:
            raise pytest.Collector.CollectError(str(error)) from None
    metafunc.parametrize("fakebatch", list(names), indirect=True, ids=list(names.values()))


@pytest.fixture(scope="session")
def _fakebatch_shared(pytestconfig: pytest.Config) -> Iterator["SharedFakes"]:
    from .testing import SharedFakes, Worlds

    shared = SharedFakes(Worlds.of(pytestconfig))
    yield shared
    shared.stop()


@pytest.fixture(scope="session")
def fakebatch_server(pytestconfig: pytest.Config, _fakebatch_shared: "SharedFakes") -> Iterator["FakeBatch"]:
    """The running FakeBatch that serves all tests, for fixtures of any scope: its url, environment(), redirect(),
    ca_bundle and sdk_client() are the same in all of them.

    While a test runs it serves that test's world, be the test's own fixtures of ours or not; between tests, and while
    fixtures of a wider scope are set up, the world of the setting. What such a fixture changes in that one, no test
    sees.
    """
    with _fakebatch_shared.in_every_test(pytestconfig) as fake:
        yield fake


@pytest.fixture
def fakebatch(request: pytest.FixtureRequest, _fakebatch_shared: "SharedFakes") -> "FakeBatch":
    """A running FakeBatch with this test's world, at its baseline. One server answers for all tests of a process."""
    from .testing import give_to_test_case

    fake = _fakebatch_shared.serve(request.node)
    give_to_test_case(request, fake)
    return fake


@pytest.fixture
def make_fakebatch(request: pytest.FixtureRequest) -> Iterator["MakeFakeBatch"]:
    """`make_fakebatch(*fixtures, **options)`: another FakeBatch, started, and stopped after the test.

    Paths, folders and patterns are relative to the test's file; the options are those of FakeBatch.
    """
    from .testing import making

    with making(request.node) as make:
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


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin with no fakes: an item may be run again, as pytest-rerunfailures does. Look at its markers."""
    _forget(item)
    if any(map(item.get_closest_marker, ("fakebatch", "fakebatch_scenarios"))):
        from .testing import prepare

        prepare(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let go of a test's fakes when it has been reported."""
    result = yield
    _forget(item)
    return result


def _fakes_of(item: pytest.Item) -> "Fakes | None":
    """Return the fakes that a test has used; there are none where nothing of ours was imported."""
    testing: Any = sys.modules.get("fakebatch.testing")
    return testing and item.stash.get(testing.FAKES, None)


def _forget(item: pytest.Item) -> None:
    if _fakes_of(item):
        del item.stash[sys.modules["fakebatch.testing"].FAKES]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test in whose fakes something went wrong unseen, and a strict one that leaves a step unused."""
    yield
    if fakes := _fakes_of(item):
        markers = map(item.get_closest_marker, ("fakebatch", "fakebatch_scenarios"))
        fakes.check(strict=any(marker and marker.kwargs.get("strict") for marker in markers))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the fakes saw to the report of a failure: in the terminal, in JUnit XML, and under xdist."""
    failed = call.excinfo or getattr(item, "nofuncargs", False)  # a TestCase keeps its failures to itself until now
    if failed and "fakebatch.fake" in sys.modules:
        from .testing import hide_our_frames

        hide_our_frames()
    report = yield
    if call.excinfo and (fakes := _fakes_of(item)):
        sections = list(fakes.sections())
        # A section of the traceback, not of the report: only that is in JUnit XML by default.
        add_section = getattr(report.longrepr, "addsection", None)
        if report.failed and add_section:
            for title, text in sections:
                add_section(title, text)
    return report
