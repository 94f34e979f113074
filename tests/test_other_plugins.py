"""The plugins and patches that tests use beside ours, each the real package: the fake serves in the same process."""

import sys
from collections.abc import Callable

import pytest

RunPytest = Callable[..., pytest.RunResult]

CLIENT = """
import json
import urllib.request
import pytest

def ids(fake, query="Type=System"):
    with urllib.request.urlopen(f"{fake.url}/images?{query}") as response:
        return [item["Id"] for item in json.load(response)["Items"]]

SYSTEM = ["img-centos", "img-ubuntu", "img-windows"]
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> RunPytest:
    """Run a suite in a process of its own, in the order in which it is written."""

    def run(source: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(CLIENT + source)
        return pytester.runpytest_subprocess(*arguments)

    return run


def test_freezegun(run: RunPytest) -> None:
    source = """
from datetime import date
from freezegun import freeze_time

@freeze_time("2016-10-31")
def test_frozen_before_the_first_use(fakebatch):
    assert ids(fakebatch) == SYSTEM
    assert date.today() == date(2016, 10, 31)

def test_frozen_within(fakebatch):
    with freeze_time("2030-01-01") as frozen:
        assert ids(fakebatch) == SYSTEM
        frozen.tick(3600)
        assert ids(fakebatch) == SYSTEM
    assert len(fakebatch.calls) == 2

def test_afterwards(fakebatch, make_fakebatch):
    assert ids(fakebatch) == ids(make_fakebatch()) == SYSTEM
"""
    run(source).assert_outcomes(passed=3)


def test_freezegun_imports_nothing_of_ours(pytester: pytest.Pytester) -> None:
    program = """
import sys, fakebatch, fakebatch.pytest_plugin
from freezegun import freeze_time
with freeze_time("2016-10-31"):
    pass
ours = {"fakebatch", "fakebatch.pytest_plugin"}
print({name for name in sys.modules if name.partition(".")[0] in ("fakebatch", "werkzeug", "yaml", "msgspec")} - ours)
"""
    assert pytester.run(sys.executable, "-c", program).outlines == ["set()"]


def test_pyfakefs(run: RunPytest) -> None:
    source = """
from pathlib import Path
from fakebatch import FakeBatch

def test_no_real_file_is_there_before_the_first_use(fs, fakebatch):
    assert not Path(__file__).exists()
    assert ids(fakebatch) == SYSTEM

def test_another_one(fs, make_fakebatch):
    assert ids(make_fakebatch()) == SYSTEM

def test_a_file_of_the_faked_system(fs, make_fakebatch):
    fs.create_file("/world.yaml", contents="images: [{Id: img-a}]")
    assert ids(make_fakebatch("/world.yaml"), "Type=Self") == ["img-a"]

def test_by_hand(fs):
    with FakeBatch() as fake:
        assert ids(fake) == SYSTEM

def test_afterwards(fakebatch):
    assert ids(fakebatch) == SYSTEM
"""
    run(source, "-p", "pyfakefs.pytest_plugin").assert_outcomes(passed=5)


def test_pytest_socket(run: RunPytest) -> None:
    source = """
from pytest_socket import SocketBlockedError, disable_socket, enable_socket
from werkzeug.test import Client

def test_before(fakebatch):
    assert ids(fakebatch) == SYSTEM

def test_no_sockets(fakebatch, socket_disabled):
    with pytest.raises(SocketBlockedError):
        ids(fakebatch)
    assert Client(fakebatch).get("/images?Type=System").status_code == 200

def test_a_guard_in_the_middle(fakebatch):
    import contextlib, socket
    for _ in range(3):
        with socket.socket() as client:
            client.settimeout(10)
            disable_socket()
            client.connect((fakebatch.host, fakebatch.port))
            with contextlib.suppress(ConnectionError):  # accepted while sockets are refused: an answer or an end
                client.sendall(b"GET /images HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
                while client.recv(65536):
                    pass
            enable_socket()
    assert ids(fakebatch) == SYSTEM

@pytest.mark.allow_hosts(["127.0.0.1"])
def test_local_ones_only(fakebatch, make_fakebatch):
    assert ids(fakebatch) == ids(make_fakebatch()) == SYSTEM

def test_afterwards(fakebatch):
    assert ids(fakebatch) == SYSTEM
"""
    run(source, "-p", "socket").assert_outcomes(passed=5)


@pytest.mark.parametrize("when", ["before", "within"])
def test_truststore(run: RunPytest, when: str) -> None:
    source = """
import truststore

def inject():
    truststore.inject_into_ssl()

@pytest.fixture(autouse=True)
def injected():
    if "WHEN" == "before":
        inject()
    yield
    truststore.extract_from_ssl()

def test_redirected(fakebatch):
    if "WHEN" == "within":
        inject()
    with fakebatch.redirect():
        with urllib.request.urlopen("https://batchcompute.cn-qingdao.aliyuncs.com/images") as response:
            assert response.status == 200
    assert len(fakebatch.calls) == 1

def test_plain(fakebatch):
    assert ids(fakebatch) == SYSTEM
"""
    run(source.replace("WHEN", when)).assert_outcomes(passed=2)


def test_a_patched_clock_is_the_test_s_own(run: RunPytest) -> None:
    source = """
import time
from unittest import mock

def test_readings(fakebatch):
    with mock.patch("time.time", side_effect=[1.0, 2.0]), mock.patch("time.monotonic", side_effect=[3.0, 4.0]):
        assert Ids(fakebatch) == SYSTEM
        assert [time.time(), time.time()] == [1.0, 2.0]
        assert [time.monotonic(), time.monotonic()] == [3.0, 4.0]

def Ids(fake):
    # Over a socket of its own: urllib reads no clock either, but that is not for us to promise.
    import socket
    with socket.create_connection((fake.host, fake.port)) as client:
        client.sendall(b"GET /images?Type=System HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    return [item["Id"] for item in json.loads(answer.partition(b"\\r\\n\\r\\n")[2])["Items"]]
"""
    run(source).assert_outcomes(passed=1)


def test_a_seeded_random_is_the_test_s_own(run: RunPytest) -> None:
    source = """
import random

def test_sequence(fakebatch):
    expected = random.Random(5).random()
    random.seed(5)
    assert ids(fakebatch) == SYSTEM
    assert random.random() == expected
"""
    run(source).assert_outcomes(passed=1)
