"""Redirects of what has ways of its own past the `socket` module; and what can't be led is refused with a sentence."""

import asyncio
import asyncio.proactor_events
import os
import socket
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import aiodns
import aiohttp
import httpx
import pycares
import pytest
import requests
from aiohttp.resolver import AsyncResolver, ThreadedResolver
from waiting import FOREVER

from fakebatch import FakeBatch

T = TypeVar("T")

NAME = "batchcompute.cn-qingdao.aliyuncs.com"
ADVICE = (
    "give the code under test the fake's own url, or map the name to 127.0.0.1 in the hosts file"
    " and run: fakebatch serve --port 80"
)


@pytest.fixture
def fake() -> Iterator[FakeBatch]:
    with FakeBatch() as started:
        yield started


@pytest.fixture
def redirected(fake: FakeBatch) -> Iterator[FakeBatch]:
    with fake.redirect():
        yield fake


class PastSockets(asyncio.SelectorEventLoop):
    """Connects as Windows' loops do: by the system itself, past `socket.connect`."""

    class _Proactor:
        async def connect(self, sock: socket.socket, address: Any) -> None:
            sock.setblocking(True)
            super(socket.socket, sock).connect(address)
            sock.setblocking(False)

    _proactor = _Proactor()

    def sock_connect(self, sock: socket.socket, address: Any) -> Any:
        return asyncio.proactor_events.BaseProactorEventLoop.sock_connect(self, sock, address)


def new_uvloop() -> asyncio.AbstractEventLoop:
    uvloop = pytest.importorskip("uvloop", reason="there is no uvloop on this system")
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


async def with_httpx(url: str) -> int:
    async with httpx.AsyncClient(timeout=FOREVER) as client:
        return (await client.get(url)).status_code


async def with_aiohttp(url: str) -> int:
    connector = aiohttp.TCPConnector(resolver=ThreadedResolver())
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as response:
        return response.status


async def with_aiohttp_and_aiodns(url: str) -> int:
    connector = aiohttp.TCPConnector(resolver=AsyncResolver())
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as response:
        return response.status


async def with_streams(url: str) -> int:
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    name, _, port = host.partition(":")
    secure = scheme == "https"
    reader, writer = await asyncio.open_connection(name, int(port or (443 if secure else 80)), ssl=secure or None)
    writer.write(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    status = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(status.split()[1])


async def with_a_socket_of_its_own(url: str) -> int:
    host, _, path = url.partition("://")[2].partition("/")
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
    with socket.socket(found[0][0]) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, found[0][4])
        await loop.sock_sendall(sock, f"GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return int((await loop.sock_recv(sock, 100)).split()[1])


Get = Callable[[str], Coroutine[Any, Any, int]]
NewLoop = Callable[[], asyncio.AbstractEventLoop]

GETS: list[Get] = [with_httpx, with_aiohttp, with_aiohttp_and_aiodns, with_streams]
each_loop = pytest.mark.parametrize("new_loop", [new_uvloop, PastSockets, asyncio.new_event_loop])


def run(new_loop: NewLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(coroutine)


@each_loop
@pytest.mark.parametrize("get", GETS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_client_on_any_loop_with_any_resolver_reaches_the_fake(
    redirected: FakeBatch, new_loop: NewLoop, get: Get, scheme: str
) -> None:
    assert run(new_loop, get(f"{scheme}://{NAME}/images")) == 200
    assert [call.host for call in redirected.calls] == [NAME]


@each_loop
def test_a_socket_that_is_connected_by_a_loop_reaches_the_fake(redirected: FakeBatch, new_loop: NewLoop) -> None:
    assert run(new_loop, with_a_socket_of_its_own(f"http://{NAME}/images")) == 200
    assert len(redirected.calls) == 1


@each_loop
@pytest.mark.parametrize("get", GETS)
def test_after_the_redirect_the_name_is_not_found(fake: FakeBatch, new_loop: NewLoop, get: Get) -> None:
    with fake.redirect():
        run(new_loop, get(f"http://{NAME}/images"))
    with pytest.raises((OSError, httpx.ConnectError)):
        run(new_loop, get(f"http://{NAME}/images"))
    assert len(fake.calls) == 1


@each_loop
@pytest.mark.parametrize("get", GETS)
def test_other_names_and_ports_are_untouched(redirected: FakeBatch, new_loop: NewLoop, get: Get) -> None:
    with FakeBatch() as other:
        assert run(new_loop, get(f"{other.url}/images")) == 200
        assert len(other.calls) == 1
    assert len(redirected.calls) == 0


@each_loop
@pytest.mark.parametrize("get", GETS)
@pytest.mark.usefixtures("redirected")
def test_a_port_other_than_80_and_443_is_refused(new_loop: NewLoop, get: Get) -> None:
    with pytest.raises((OSError, httpx.ConnectError)):
        run(new_loop, get(f"http://{NAME}:8080/images"))


@pytest.mark.usefixtures("redirected")
@each_loop
def test_the_refusal_of_a_port_says_so(new_loop: NewLoop) -> None:
    message = "the fake has no port 8080; the service is redirected on ports 80 and 443 only"
    with pytest.raises(ConnectionRefusedError, match=message):
        run(new_loop, with_streams(f"http://{NAME}:8080/images"))


@pytest.mark.usefixtures("redirected")
def test_a_loop_may_connect_a_socket_that_is_given_to_it() -> None:
    async def connect() -> int:
        sock = socket.create_connection((NAME, 80), FOREVER)
        sock.setblocking(False)
        _, writer = await asyncio.open_connection(sock=sock)
        port: int = writer.get_extra_info("peername")[1]
        writer.close()
        await writer.wait_closed()
        return port

    assert run(new_uvloop, connect()) > 0


@pytest.mark.parametrize("module", ["uvloop", "aiodns", "asyncio.proactor_events"])
def test_what_is_imported_inside_of_the_redirect_is_redirected_too(module: str) -> None:
    program = """
        import sys
        from fakebatch import FakeBatch

        def is_ours(function):
            return function.__module__ == "fakebatch.redirect.hosts"

        def replaced():
            if sys.argv[1] == "uvloop":
                import uvloop
                return is_ours(uvloop.Loop.getaddrinfo) and is_ours(uvloop.Loop.create_connection)
            if sys.argv[1] == "aiodns":
                import aiodns, pycares
                return is_ours(pycares.Channel.getaddrinfo)
            import asyncio.proactor_events
            return is_ours(asyncio.proactor_events.BaseProactorEventLoop.sock_connect)

        before = list(sys.meta_path)
        assert sys.argv[1] not in sys.modules
        with FakeBatch() as fake, fake.redirect():
            print(replaced(), type(sys.modules[sys.argv[1]].__loader__).__module__ == "fakebatch.redirect.hosts")
        print(replaced(), sys.meta_path == before)
    """
    if module == "uvloop":
        pytest.importorskip("uvloop", reason="there is no uvloop on this system")
    command = [sys.executable, "-c", textwrap.dedent(program), module]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["True", "False", "False", "True"], result.stderr


def test_what_can_not_be_imported_is_still_not_found_inside_of_the_redirect(redirected: FakeBatch) -> None:
    program = """
        import importlib.abc, sys
        from fakebatch import FakeBatch

        class Hides(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                if name == "uvloop":
                    raise ModuleNotFoundError("hidden")

        sys.meta_path.insert(0, Hides())
        sys.modules["pycares"] = None
        with FakeBatch() as fake, fake.redirect():
            for name in ("uvloop", "pycares", "gevent.resolver.of_nobody"):
                try:
                    __import__(name)
                except ModuleNotFoundError as error:
                    print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[0] == "hidden"
    assert len(result.stdout.splitlines()) == 3
    assert len(redirected.calls) == 0


def test_what_is_not_installed_is_not_found_inside_of_the_redirect_either() -> None:
    program = """
        import importlib.util, sys
        from fakebatch import FakeBatch
        with FakeBatch() as fake, fake.redirect():
            sys.path.clear()
            print(importlib.util.find_spec("uvloop"))
    """
    assert run_program(program) == ["None"]


def test_a_module_that_is_there_only_after_the_redirect_is_left_alone(tmp_path: Path) -> None:
    program = f"""
        import sys
        from fakebatch import FakeBatch
        with FakeBatch() as fake:
            inside = fake.redirect()
            inside.__enter__()
            sys.path.insert(0, {str(tmp_path)!r})
            import uvloop
            print(uvloop.Loop.getaddrinfo())
    """
    ends_the_redirect = "import __main__; __main__.inside.__exit__(None, None, None)\n"
    module = f"{ends_the_redirect}class Loop:\n    def getaddrinfo(): return 'its own'\n"
    (tmp_path / "uvloop.py").write_text(module, encoding="utf-8")
    assert run_program(program) == ["its own"]


def test_who_has_emptied_the_list_of_finders_meanwhile_is_not_in_the_way(
    fake: FakeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake.redirect():
        monkeypatch.setattr(sys, "meta_path", [])
    with fake.redirect():
        assert with_requests(f"http://{NAME}/images") == 200


# Refusals


@pytest.mark.usefixtures("redirected")
@pytest.mark.parametrize(
    "query",
    [
        lambda channel: channel.query(NAME, pycares.QUERY_TYPE_A, callback=print),
        lambda channel: channel.search(name=NAME, query_type=pycares.QUERY_TYPE_A, callback=print),
    ],
)
def test_a_query_of_name_servers_by_c_ares_is_refused(query: Callable[[pycares.Channel], object]) -> None:
    with pytest.raises(RuntimeError) as refusal:
        query(pycares.Channel())
    assert str(refusal.value) == f"a query of name servers by c-ares can't be redirected to the fake; {ADVICE}"


@pytest.mark.usefixtures("redirected")
def test_a_query_of_name_servers_by_aiodns_is_refused() -> None:
    async def query() -> None:
        resolver: Any = aiodns.DNSResolver()
        ask = resolver.query_dns if hasattr(resolver, "query_dns") else resolver.query  # the newer of the two
        await ask(NAME, "A")

    with pytest.raises(RuntimeError, match=r"^a query of name servers by c-ares can't be redirected"):
        asyncio.run(query())


def dns_query(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return b"\x12\x34\x01\x00\x00\x01" + bytes(6) + labels + b"\0\x00\x01\x00\x01"


@pytest.mark.usefixtures("redirected")
@pytest.mark.parametrize("name", [NAME, NAME.upper(), "batchcompute-vpc.us-west-1.aliyuncs.com"])
def test_a_resolver_that_asks_name_servers_itself_is_refused(name: str) -> None:
    with (
        socket.socket(type=socket.SOCK_DGRAM) as server,
        socket.socket(type=socket.SOCK_DGRAM) as resolver,
    ):
        server.bind(("127.0.0.1", 0))
        with pytest.raises(RuntimeError) as refusal:
            resolver.sendto(dns_query(name), server.getsockname())
        others = [dns_query(other) for other in ("example.com", f"{name}.example.com", f"x{name}")]
        for query in others:
            resolver.sendto(query, 0, server.getsockname())
        assert [server.recv(512) for _ in others] == others
    expected = f"a resolver that asks name servers itself can't be redirected to the fake; {ADVICE}"
    assert str(refusal.value) == expected


def run_program(program: str, *arguments: str, **environment: str) -> list[str]:
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    result = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.mark.parametrize("resolver", ["thread", "ares", "block"])
def test_lookups_by_gevent_are_refused_inside_of_a_redirect(resolver: str) -> None:
    program = f"""
        from fakebatch import FakeBatch
        with FakeBatch() as fake, fake.redirect():
            import gevent.socket
            for look_up in ("gethostbyname", "gethostbyname_ex"):
                try:
                    getattr(gevent.socket, look_up)("{NAME}")
                except RuntimeError as error:
                    print(error)
            try:
                gevent.socket.create_connection(("{NAME}", 80))
            except RuntimeError as error:
                print(error)
            gevent.socket.create_connection((fake.host, fake.port)).close()
            print(gevent.socket.gethostbyname("localhost"))
    """
    refused = f"a lookup by gevent can't be redirected to the fake; {ADVICE}"
    assert run_program(program, GEVENT_RESOLVER=resolver) == [refused, refused, refused, "127.0.0.1"]


def test_a_process_whose_sockets_are_gevent_s_is_refused_a_redirect() -> None:
    program = """
        import gevent.monkey
        from fakebatch import FakeBatch
        with FakeBatch() as fake:
            with fake.redirect():
                pass
            gevent.monkey.patch_all()
            try:
                with fake.redirect():
                    pass
            except RuntimeError as error:
                print(error)
    """
    expected = f"gevent has replaced the sockets of this process, so it can't be redirected; {ADVICE}"
    assert run_program(program) == [expected]


def test_a_child_that_turns_to_gevent_is_refused_the_name(fake: FakeBatch) -> None:
    program = f"""
        import gevent.monkey
        gevent.monkey.patch_all()
        import urllib.request
        try:
            urllib.request.urlopen("http://{NAME}/images")
        except RuntimeError as error:
            print(error)
    """
    expected = f"a lookup by gevent can't be redirected to the fake; {ADVICE}"
    assert run_program(program, **fake.environment()) == [expected]


# What is in the environment


PROXY_VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBatch]:
    """A proxy that the environment names, to which nobody is to come but for other names."""
    with FakeBatch() as listening:
        for variable in PROXY_VARIABLES:
            monkeypatch.setenv(variable, listening.url)
        for variable in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(variable, raising=False)
        yield listening


async def with_aiohttp_that_trusts_the_environment(url: str) -> int:
    async with aiohttp.ClientSession(trust_env=True) as session, session.get(url) as response:
        return response.status


def in_asyncio(get: Callable[[str], Awaitable[int]]) -> Callable[[str], int]:
    async def wait(url: str) -> int:
        return await get(url)

    return lambda url: asyncio.run(wait(url))


def with_urllib(url: str) -> int:
    opener = urllib.request.build_opener()
    with opener.open(url, timeout=FOREVER) as response:
        return int(response.status)


def with_requests(url: str) -> int:
    return requests.get(url, timeout=FOREVER).status_code


each_trusting_client = pytest.mark.parametrize(
    "get",
    [with_urllib, with_requests, in_asyncio(with_httpx), in_asyncio(with_aiohttp_that_trusts_the_environment)],
    ids=["urllib", "requests", "httpx", "aiohttp"],
)


@each_trusting_client
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("excepted", [None, "", "example.com", "*"])
def test_a_proxy_of_the_environment_is_not_in_the_way(
    fake: FakeBatch,
    proxy: FakeBatch,
    monkeypatch: pytest.MonkeyPatch,
    get: Callable[[str], int],
    scheme: str,
    excepted: str | None,
) -> None:
    if excepted is not None:
        monkeypatch.setenv("NO_PROXY", excepted)
    before = dict(os.environ)
    with fake.redirect():
        assert get(f"{scheme}://{NAME}/images") == 200
    assert (len(fake.calls), len(proxy.calls)) == (1, 0)
    assert dict(os.environ) == before


@each_trusting_client
def test_other_names_are_still_asked_through_the_proxy(
    redirected: FakeBatch, proxy: FakeBatch, get: Callable[[str], int]
) -> None:
    get("http://example.com/images")
    assert (len(redirected.calls), len(proxy.calls)) == (0, 1)


def test_what_a_test_sets_meanwhile_stays(fake: FakeBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "example.com")
    with fake.redirect():
        assert os.environ["no_proxy"] == "example.com,.aliyuncs.com"
    assert os.environ["no_proxy"] == "example.com"
    with fake.redirect():
        monkeypatch.setenv("no_proxy", "example.org")
    assert os.environ["no_proxy"] == "example.org"


@pytest.mark.usefixtures("proxy")
def test_a_proxy_is_not_in_the_way_of_a_child(fake: FakeBatch) -> None:
    program = f"""
        import requests, urllib.request
        print(requests.get("https://{NAME}/images").status_code, urllib.request.urlopen("http://{NAME}/images").status)
    """
    assert run_program(program, **fake.environment()) == ["200 200"]


@pytest.fixture
def other_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Certificates that vouch for another server than the fake, which the environment names."""
    import trustme

    path = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(path)
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(variable, str(path))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    return path


@pytest.mark.usefixtures("other_certificates")
@each_trusting_client
def test_certificates_of_the_environment_are_not_in_the_way(redirected: FakeBatch, get: Callable[[str], int]) -> None:
    assert get(f"https://{NAME}/images") == 200
    assert len(redirected.calls) == 1


@pytest.mark.usefixtures("other_certificates")
def test_certificates_of_the_environment_are_not_in_the_way_of_a_child(fake: FakeBatch) -> None:
    program = f"""
        import httpx, requests, urllib.request
        url = "https://{NAME}/images"
        print(requests.get(url).status_code, httpx.get(url).status_code, urllib.request.urlopen(url).status)
    """
    assert run_program(program, **fake.environment()) == ["200 200 200"]
