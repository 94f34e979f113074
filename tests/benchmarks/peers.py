"""The servers that are compared.

Each is run in a process of its own: `python peers.py NAME` prints its port, and serves until its standard input ends.
"""

import json
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

PAGE = "/images?Marker&MaxItemCount=50&Type"
PAGING = Path(__file__).parents[2] / "fixtures" / "paging.yaml"
HEADERS = {
    # What the official SDK sends with a request.
    "Date": "Tue, 06 Nov 2018 08:30:40 GMT",
    "x-acs-region-id": "cn-qingdao",
    "x-acs-access-key-id": "key",
    "x-acs-signature-method": "HMAC-SHA1",
    "x-acs-signature-version": "1.0",
    "x-acs-version": "2015-11-11",
    "x-acs-signature-nonce": "8c3e2e62-e771-11f1-bac5-02fc00000001",
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": "Mozilla/5.0 (Windows NT 6.1)",
    "Content-Length": "0",
    "Authorization": "acs key:c2lnbmF0dXJlIG9mIGEga2V5",
}

FAKEBATCH = "fakebatch"
CONTROLLED = "fakebatch, control on"
LIMIT = "the limit"
CANNED = "canned application, our server"
HTTPSERVER = "pytest-httpserver"
THREADED = "pytest-httpserver, threaded"
BARE = "bare WSGI, werkzeug threaded"
MOTO = "moto"


class Answer(NamedTuple):
    """The page of 50 images as fakebatch answers it, for the peers to give as it is."""

    headers: list[tuple[str, str]]
    body: bytes


def canned() -> Answer:
    """Ask fakebatch for the page, without a socket."""
    from werkzeug.test import Client

    from fakebatch import FakeBatch

    response = Client(FakeBatch(PAGING)).get(PAGE)
    return Answer(response.headers.to_wsgi_list(), bytes(response.data))


def canned_application() -> "WSGIApplication":
    """Return a WSGI application that computes nothing."""
    headers, body = canned()

    def application(_: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        start_response("200 OK", headers)
        return [body]

    return application


def fakebatch() -> int:
    """Serve 120 images."""
    from fakebatch import FakeBatch

    return FakeBatch(PAGING).start().port


def controlled() -> int:
    """Serve 120 images, with the control interface beside them."""
    from fakebatch import FakeBatch

    return FakeBatch(PAGING, control=True).start().port


def limit() -> int:
    """Serve the canned page as no real server can: read one buffer, parse nothing, write, close; one thread."""
    headers, body = canned()
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in headers), "Connection: close", "\r\n"]
    answer = "\r\n".join(lines).encode() + body
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


def our_server() -> int:
    """Serve the canned page with our server: what is left is what our application costs."""
    from fakebatch.wire.server import Server

    return Server(canned_application(), lambda _: ([], b""), print, 0).listen("127.0.0.1")


def httpserver(*, threaded: bool = False) -> int:
    """Serve the canned page with pytest-httpserver."""
    from pytest_httpserver import HTTPServer

    server = HTTPServer(threaded=threaded)
    server.expect_request("/images").respond_with_data(canned().body, content_type="application/json")
    server.start()
    return int(server.port)


def httpserver_threaded() -> int:
    """Serve the canned page with pytest-httpserver and a thread for each connection."""
    return httpserver(threaded=True)


def bare() -> int:
    """Serve the canned page with a bare function behind werkzeug's own threaded server."""
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, canned_application(), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.port


def moto() -> int:
    """Serve moto's own images."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    return int(server.get_host_and_port()[1])


PEERS: dict[str, Callable[[], int]] = {
    FAKEBATCH: fakebatch,
    CONTROLLED: controlled,
    LIMIT: limit,
    CANNED: our_server,
    HTTPSERVER: httpserver,
    THREADED: httpserver_threaded,
    BARE: bare,
    MOTO: moto,
}


def main() -> None:
    """Serve."""
    logging.disable()  # the peers log requests, and have to write that down before they answer
    print(json.dumps(PEERS[sys.argv[1]]()), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
