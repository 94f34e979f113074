"""What the tests share: worlds, and a client that calls one with no socket."""

import signal
from collections.abc import Generator, Iterator

import pytest
from checkout import FIXTURES
from effort import EFFORT
from hypothesis import settings
from node import javascript
from werkzeug.test import Client

from fakebatch import FakeBatch, Image

# Nothing is to fail because a machine is busy, so no test has a deadline; and the gate tries the same inputs each time.
settings.register_profile("gate", deadline=None, derandomize=True, database=None)
settings.register_profile("soak", deadline=None, max_examples=100 * EFFORT, print_blob=True)
settings.load_profile("gate" if EFFORT == 1 else "soak")


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """One worker more than there are processors: many tests wait, for children and sockets."""
    return (yield) + 1


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder with a suite in it, which runs with our plugin, and with others that its test names with `-p`.

    All that are installed would take most of the time.
    """
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.plugins.append("fakebatch")
    return pytester


@pytest.fixture
def paging() -> FakeBatch:
    """120 Self images, not served."""
    return FakeBatch(FIXTURES / "paging.yaml")


@pytest.fixture
def client() -> Client:
    """A WSGI client of the documented images."""
    return Client(FakeBatch())


@pytest.fixture
def empty() -> FakeBatch:
    """A world without images, not served."""
    fake = FakeBatch(Image(id="img-only"))
    fake.images.remove("img-only")
    return fake


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_ends_what_is_started() -> None:
    # A shell lets what it starts in the background ignore Ctrl-C, and so does all that is started from there.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _javascript_ends() -> Iterator[None]:
    yield
    if javascript.cache_info().currsize:
        javascript().close()
        javascript.cache_clear()
