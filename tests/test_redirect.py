"""Redirects and TLS: code with the service's host names built in reaches the fake, and nothing else does."""

import asyncio
import contextlib
import errno
import http.client
import os
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import httpx
import pytest
import requests
from batchcompute import CN_QINGDAO, Client, ClientError
from checkout import FIXTURES
from waiting import FOREVER

from fakebatch import Account, FakeBatch, Image, ServerError

NAME = "batchcompute.cn-qingdao.aliyuncs.com"
PAGING = FIXTURES / "paging.yaml"


@pytest.fixture
def fake() -> Iterator[FakeBatch]:
    with FakeBatch(PAGING) as started:
        yield started


@pytest.fixture
def redirected(fake: FakeBatch) -> Iterator[FakeBatch]:
    with fake.redirect():
        yield fake


def with_http_client(url: str) -> int:
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    connect = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    connection = connect(host, timeout=FOREVER)
    try:
        connection.request("GET", f"/{path}")
        return connection.getresponse().status
    finally:
        connection.close()


def with_urllib(url: str) -> int:
    with urllib.request.urlopen(url, timeout=FOREVER) as response:
        return int(response.status)


def with_requests(url: str) -> int:
    return requests.get(url, timeout=FOREVER).status_code


def with_a_requests_session(url: str) -> int:
    with requests.Session() as session:
        return session.get(url, timeout=FOREVER).status_code


def with_httpx(url: str) -> int:
    return httpx.get(url, timeout=FOREVER).status_code


def with_httpx_async(url: str) -> int:
    async def get() -> int:
        async with httpx.AsyncClient(timeout=FOREVER) as client:
            return (await client.get(url)).status_code

    return asyncio.run(get())


def with_aiohttp(url: str) -> int:
    async def get() -> int:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status

    return asyncio.run(get())


def with_asyncio_streams(url: str) -> int:
    async def get() -> int:
        scheme, _, rest = url.partition("://")
        host, _, path = rest.partition("/")
        secure = scheme == "https"
        reader, writer = await asyncio.open_connection(host, 443 if secure else 80, ssl=secure or None)
        writer.write(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        status = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return int(status.split()[1])

    return asyncio.run(get())


CLIENTS: list[Callable[[str], int]] = [
    with_http_client,
    with_urllib,
    with_requests,
    with_a_requests_session,
    with_httpx,
    with_httpx_async,
    with_aiohttp,
]
each_client = pytest.mark.parametrize("get", [*CLIENTS, with_asyncio_streams])
each_client_of_any_port = pytest.mark.parametrize("get", CLIENTS)


@each_client
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("name", [NAME, "batchcompute-vpc.some-region-9.aliyuncs.com"])
def test_a_client_reaches_the_fake_by_the_service_s_name(
    redirected: FakeBatch, get: Callable[[str], int], scheme: str, name: str
) -> None:
    assert get(f"{scheme}://{name}/images?MaxItemCount=1") == 200
    assert [(call.host, call.items) for call in redirected.calls] == [(name, 1)]


@each_client
def test_after_the_redirect_the_name_is_not_found(fake: FakeBatch, get: Callable[[str], int]) -> None:
    with fake.redirect():
        get(f"http://{NAME}/images")
    with pytest.raises((OSError, httpx.ConnectError)):
        get(f"http://{NAME}/images")
    assert len(fake.calls) == 1


@each_client_of_any_port
def test_a_port_other_than_80_and_443_is_refused(redirected: FakeBatch, get: Callable[[str], int]) -> None:
    with pytest.raises((OSError, httpx.ConnectError)):
        get(f"http://{NAME}:8080/images")
    assert len(redirected.calls) == 0


def test_the_refusal_of_a_port_says_so(redirected: FakeBatch) -> None:
    message = "the fake has no port 8080; the service is redirected on ports 80 and 443 only"
    with pytest.raises(ConnectionRefusedError, match=message):
        socket.create_connection((NAME, 8080), FOREVER)
    with socket.socket() as plain:
        assert plain.connect_ex((NAME, 8080)) != 0
        assert plain.connect_ex((NAME, 80)) == 0
    assert len(redirected.calls) == 0


@each_client_of_any_port
def test_other_names_and_ports_are_untouched(redirected: FakeBatch, get: Callable[[str], int]) -> None:
    with FakeBatch() as other:
        assert get(f"{other.url}/images") == 200
        assert len(other.calls) == 1
    for name in ("batchcompute.aliyuncs.com", f"x{NAME}", f"{NAME}.invalid", "oss-cn-qingdao.aliyuncs.com"):
        with pytest.raises(OSError):
            socket.getaddrinfo(name, 80)
    assert len(redirected.calls) == 0


@pytest.mark.parametrize("host", [NAME, NAME.upper(), f"{NAME}.", NAME.encode()])
@pytest.mark.parametrize("port", [80, "80", "http"])
def test_a_name_is_looked_up_in_any_form(redirected: FakeBatch, host: str | bytes, port: int | str) -> None:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    assert [(family, address[1]) for family, *_, address in found] == [(socket.AF_INET, 80)]
    with socket.socket() as connection:
        connection.connect(found[0][4])
        assert connection.getpeername() == (redirected.host, redirected.port)


def test_the_older_lookups_work_as_well(redirected: FakeBatch) -> None:
    address = socket.gethostbyname(NAME)
    assert socket.gethostbyname_ex(NAME) == (NAME, [], [address])
    with socket.create_connection((address, 80), FOREVER) as connection:
        assert connection.getpeername() == (redirected.host, redirected.port)


@pytest.mark.parametrize("host", ["::1", "::", "0.0.0.0"])
def test_a_fake_on_ipv6_or_on_all_addresses_is_reached_as_well(host: str) -> None:
    with FakeBatch(PAGING, host=host) as fake, fake.redirect():
        assert with_requests(f"https://{NAME}/images") == with_httpx_async(f"http://{NAME}/images") == 200


@pytest.mark.parametrize("security_conn", [False, True])
def test_the_sdk_with_its_constant_lists_the_images_and_fails_right_after(fake: FakeBatch, security_conn: bool) -> None:
    client = Client(CN_QINGDAO, "key", "secret", security_conn=security_conn)
    with fake.redirect():
        assert len(list(client.easy_list("images"))) == 120
    with pytest.raises(socket.gaierror):
        client.list_images("", 1)
    assert len(fake.calls) == 2


@pytest.mark.parametrize("security_conn", [False, True])
def test_the_sdk_s_signature_is_checked_under_the_service_s_name(security_conn: bool) -> None:
    with FakeBatch(accounts=[Account("key", "secret")]) as fake, fake.redirect():
        client = Client(CN_QINGDAO, "key", "secret", security_conn=security_conn)
        assert len(client.list_images("", 9).Items) == 1
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            Client(CN_QINGDAO, "key", "wrong", security_conn=security_conn).list_images("", 9)


def bcs(home: Path, fake: FakeBatch, ssl_setting: str) -> "subprocess.CompletedProcess[str]":
    (home / ".batchcompute").mkdir()
    settings = f"[common]\nregion = cn-shanghai\naccesskeyid = key\naccesskeysecret = secret\nssl = {ssl_setting}\n"
    (home / ".batchcompute" / "cliconfig").write_text(settings, encoding="utf-8")
    command = [sys.executable, "-W", "ignore", "-c", "from batchcompute_cli.cli import main; main()", "image"]
    environment = {**os.environ, "HOME": str(home), **fake.environment()}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("ssl_setting", ["", "off"])
@pytest.mark.parametrize("accounts", [[], [Account("key", "secret")]], ids=["open", "signed"])
def test_bcs_as_a_child_process_prints_every_image(tmp_path: Path, accounts: list[Account], ssl_setting: str) -> None:
    with FakeBatch(PAGING, accounts=accounts) as fake:
        result = bcs(tmp_path, fake, ssl_setting)
        printed = [line for line in result.stdout.splitlines() if "nightly-build-" in line]
    assert len(printed) == 120, result.stdout + result.stderr
    assert {call.host for call in fake.calls} == {"batchcompute.cn-shanghai.aliyuncs.com"}


def run_child(fake: FakeBatch, program: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    merged = {**os.environ, **environment, **fake.environment()}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, env=merged, capture_output=True, text=True, timeout=60, check=False)


def test_a_child_process_keeps_the_sitecustomize_and_the_python_path_that_it_had(
    fake: FakeBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('mine')", encoding="utf-8")
    (tmp_path / "some_module.py").write_text("", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = run_child(
        fake, f"import some_module, socket; socket.create_connection(('{NAME}', 443)).close(); print('ok')"
    )
    assert (result.stdout, result.stderr) == ("mine\nok\n", "")


def test_a_child_process_without_the_variable_is_not_redirected(fake: FakeBatch) -> None:
    folder = fake.environment()["PYTHONPATH"]
    program = f"import socket; socket.create_connection(('{NAME}', 80))"
    environment = {**os.environ, "PYTHONPATH": folder}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert "gaierror" in result.stderr


def test_a_child_that_can_not_be_redirected_ends_and_says_why(fake: FakeBatch) -> None:
    environment = {**os.environ, **fake.environment(), "FAKEBATCH_REDIRECT": "nonsense"}
    command = [sys.executable, "-c", "print('went on')"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("fakebatch: this process can't be redirected to the fake, so it ends: ValueError: ")


def test_a_redirect_follows_a_fake_that_is_restarted(fake: FakeBatch) -> None:
    with fake.redirect():
        for scheme in ("http", "https"):
            assert with_requests(f"{scheme}://{NAME}/images") == 200
        fake.stop()
        for port in (80, 443):
            with pytest.raises(ConnectionRefusedError, match=f"the fake has no port {port}: this fake is not started"):
                socket.create_connection((NAME, port), FOREVER)
        fake.start()
        for scheme in ("http", "https"):
            assert with_requests(f"{scheme}://{NAME}/images") == 200
    assert len(fake.calls) == 4


def test_a_redirect_elsewhere_is_refused_also_while_the_first_fake_is_stopped(fake: FakeBatch) -> None:
    with FakeBatch() as other, fake.redirect():
        fake.stop()
        with pytest.raises(RuntimeError, match="lead to another fake"), other.redirect():
            pass
        fake.start()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no os.fork on this system")
def test_a_forked_child_does_not_wait_for_a_thread_that_it_does_not_have() -> None:
    program = """
        import contextlib, os, signal, threading
        from fakebatch.redirect.hosts import Redirect, Target

        held, go_on = threading.Event(), threading.Event()

        def ca_bundle():
            held.set()
            go_on.wait()
            raise OSError

        def ask():
            with contextlib.suppress(OSError):
                redirect.context()

        redirect = Redirect(Target("127.0.0.1", lambda: 1, lambda: 2, ca_bundle))
        with redirect:
            threading.Thread(target=ask).start()
            held.wait()
            child = os.fork()
            if child == 0:
                signal.alarm(20)  # or it would wait for ever
                with redirect:
                    os._exit(0)
            print(os.waitpid(child, 0)[1])
            go_on.set()
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True, check=True
    )
    assert result.stdout == "0\n"


def test_everything_is_restored_whatever_happened_inside(fake: FakeBatch) -> None:
    def patched() -> list[object]:
        names = [(socket, "getaddrinfo"), (socket, "gethostbyname"), (socket, "gethostbyname_ex")]
        classes = [(socket.socket, "connect"), (socket.socket, "connect_ex")]
        contexts = [(ssl.SSLContext, "wrap_socket"), (ssl.SSLContext, "wrap_bio")]
        return [vars(owner).get(name) for owner, name in [*names, *classes, *contexts]]

    before = patched()
    with pytest.raises(KeyError), fake.redirect():
        assert patched() != before
        raise KeyError
    assert patched() == before


def test_a_redirect_may_stand_inside_of_itself(fake: FakeBatch) -> None:
    with fake.redirect():
        with fake.redirect():
            assert with_requests(f"http://{NAME}/images") == 200
        assert with_requests(f"http://{NAME}/images") == 200
    with pytest.raises(requests.ConnectionError):
        with_requests(f"http://{NAME}/images")


def test_a_redirect_to_another_fake_meanwhile_is_refused(fake: FakeBatch) -> None:
    with FakeBatch() as other, fake.redirect():
        message = f"^the service's names lead to another fake, at 127.0.0.1:{fake.port}; leave that redirect first$"
        with pytest.raises(RuntimeError, match=message), other.redirect():
            pass
        assert with_requests(f"http://{NAME}/images") == 200
    assert len(fake.calls) == 1


def test_another_thread_is_redirected_too(redirected: FakeBatch) -> None:
    thread = threading.Thread(target=with_requests, args=[f"http://{NAME}/images"])
    thread.start()
    thread.join(FOREVER)
    assert len(redirected.calls) == 1


def test_somebody_else_s_patch_on_top_of_ours_is_left_alone(fake: FakeBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake.redirect():
        ours = socket.getaddrinfo
        theirs = lambda *arguments, **options: ours(*arguments, **options)  # noqa: E731 - it is to be a function of its own
        monkeypatch.setattr(socket, "getaddrinfo", theirs)
        assert with_requests(f"http://{NAME}/images") == 200
    assert socket.getaddrinfo is theirs
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo(NAME, 80)


def test_a_fake_that_is_not_started_can_not_be_redirected_to() -> None:
    with pytest.raises(ServerError, match="this fake is not started"), FakeBatch().redirect():
        pass
    with pytest.raises(ServerError, match="this fake is not started"):
        FakeBatch().environment()


def test_the_fixture_redirects_during_the_test(fakebatch_redirect: FakeBatch) -> None:
    assert with_requests(f"https://{NAME}/images?Type=System") == 200
    assert fakebatch_redirect.calls[0].items == 3


# TLS


def test_with_tls_the_url_is_https_and_the_bundle_vouches_for_it() -> None:
    with FakeBatch(Image(id="img-a"), tls=True) as fake:
        assert fake.url == f"https://127.0.0.1:{fake.port}"
        assert requests.get(f"{fake.url}/images", verify=fake.ca_bundle, timeout=FOREVER).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{fake.url}/images", timeout=FOREVER)
        assert [image.Id for image in fake.sdk_client().list_images("", 9).Items] == ["img-a"]
        with fake.redirect():
            assert with_requests(f"http://{NAME}/images") == with_requests(f"https://{NAME}/images") == 200
        assert len(fake.calls) == 4


@pytest.mark.usefixtures("redirected")
def test_verification_stays_on_inside_the_redirect() -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"certificate verify failed"):
        # The same certificates, under a name that is none of the service's.
        connection = socket.create_connection((NAME, 443), FOREVER)
        with connection:
            ssl.create_default_context().wrap_socket(connection, server_hostname="localhost")
    with socket.create_connection((NAME, 443), FOREVER) as connection:
        context = ssl.create_default_context()
        with context.wrap_socket(connection, server_hostname=NAME) as secure:
            names = secure.getpeercert()
    assert names is not None
    assert names["subjectAltName"] == (("DNS", NAME),)


def test_a_client_s_own_context_is_not_changed(redirected: FakeBatch) -> None:
    context = ssl.create_default_context()
    before = context.cert_store_stats()
    url = f"https://{NAME}/images"
    urllib.request.urlopen(url, timeout=FOREVER, context=context).close()
    assert context.cert_store_stats() == before
    unverified = ssl._create_unverified_context()
    urllib.request.urlopen(url, timeout=FOREVER, context=unverified).close()
    assert len(redirected.calls) == 2


def test_stop_ends_tls_connections_as_well() -> None:
    fake = FakeBatch(tls=True).start()
    context = ssl.create_default_context(cafile=fake.ca_bundle)
    with (
        socket.create_connection((fake.host, fake.port), FOREVER) as silent,
        socket.create_connection((fake.host, fake.port), FOREVER) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        secure.sendall(b"GET /images")
        fake.stop()
        for connection in (silent, secure):
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                assert connection.recv(1) == b""


def test_plain_http_to_the_tls_port_is_no_trouble(capfd: pytest.CaptureFixture[str]) -> None:
    with FakeBatch(tls=True) as fake:
        with socket.create_connection((fake.host, fake.port), FOREVER) as connection:
            connection.sendall(b"GET /images HTTP/1.1\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                assert not connection.recv(65536).startswith(b"HTTP")
        assert requests.get(f"{fake.url}/images", verify=fake.ca_bundle, timeout=FOREVER).status_code == 200
    assert capfd.readouterr().err == ""


def test_scripted_drops_work_under_tls() -> None:
    with FakeBatch(tls=True) as fake:
        fake.on("ListImages", calls=1).drop("before")
        fake.on("ListImages", calls=2).drop("during")
        for _ in range(2):
            with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
                requests.get(f"{fake.url}/images", verify=fake.ca_bundle, timeout=FOREVER)
        assert requests.get(f"{fake.url}/images", verify=fake.ca_bundle, timeout=FOREVER).status_code == 200


@pytest.mark.usefixtures("redirected")
def test_a_client_that_does_not_verify_keeps_its_own_context() -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((NAME, 443), FOREVER) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as secure,
    ):
        assert secure.context is context


def test_where_tls_is_unused_nothing_of_it_is_imported() -> None:
    program = f"""
        import http.client, sys
        from fakebatch import FakeBatch
        with FakeBatch() as fake, fake.redirect():
            connection = http.client.HTTPConnection("{NAME}")
            connection.request("GET", "/images")
            assert connection.getresponse().status == 200
        assert "trustme" not in sys.modules and "cryptography" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)


@pytest.mark.parametrize("when", ["before the import", "before the redirect", "inside of it"])
def test_https_works_where_truststore_has_put_its_own_class_of_contexts(when: str) -> None:
    program = f"""
        import asyncio, ssl, sys, urllib.request
        import truststore

        if sys.argv[1] == "before the import":
            truststore.inject_into_ssl()
        import httpx, requests
        from fakebatch import FakeBatch

        url = "https://{NAME}/images"

        async def get():
            async with httpx.AsyncClient() as client:
                return (await client.get(url)).status_code

        if sys.argv[1] == "before the redirect":
            truststore.inject_into_ssl()
        with FakeBatch() as fake, fake.redirect():
            truststore.inject_into_ssl()
            print(urllib.request.urlopen(url).status, requests.get(url).status_code, asyncio.run(get()))
            context = ssl.create_default_context()
            assert type(context).__module__.startswith("truststore")
            try:
                with fake.redirect(), __import__("socket").create_connection(("{NAME}", 443)) as connection:
                    context.wrap_socket(connection, server_hostname="localhost")
            except ssl.SSLCertVerificationError:
                print("verified")
    """
    command = [sys.executable, "-c", textwrap.dedent(program), when]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout == "200 200 200\nverified\n", result.stderr


def test_without_the_extra_port_443_says_what_to_install() -> None:
    program = f"""
        import socket, sys
        sys.modules["trustme"] = None
        from fakebatch import FakeBatch
        with FakeBatch() as fake, fake.redirect():
            socket.create_connection(("{NAME}", 80)).close()
            try:
                socket.create_connection(("{NAME}", 443))
            except ConnectionRefusedError as error:
                print(error)
            print(fake.environment()["FAKEBATCH_REDIRECT"].count("\\t"))
        try:
            FakeBatch(tls=True).start()
        except Exception as error:
            print(type(error).__name__, error)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False
    )
    advice = "TLS needs the package trustme; install it with: pip install trustme"
    assert result.stdout.splitlines() == [
        f"[Errno {errno.ECONNREFUSED}] the fake has no port 443: {advice}",
        "3",
        f"ServerError {advice}",
    ], result.stderr


def test_the_certificates_are_gone_without_a_word_when_the_process_ends() -> None:
    program = "from fakebatch import FakeBatch; print(FakeBatch(tls=True).ca_bundle)"
    ended = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    assert ended.stdout.endswith("ca.pem\n")
    assert not Path(ended.stdout.rstrip()).parent.exists()


def test_a_child_of_a_process_without_the_extra_is_told_what_to_install() -> None:
    program = f"""
        import os, subprocess, sys
        from fakebatch import FakeBatch
        sys.modules["trustme"] = None
        with FakeBatch() as fake:
            child = "import socket; socket.create_connection(('{NAME}', int(__import__('sys').argv[1])))"
            for port in ("80", "443"):
                command = [sys.executable, "-c", child, port]
                print(subprocess.run(command, env={{**os.environ, **fake.environment()}}).returncode)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.split() == ["0", "1"]
    advice = "TLS needs the package trustme; install it with: pip install trustme"
    assert result.stderr.endswith(f"the fake has no port 443: {advice}\n")
