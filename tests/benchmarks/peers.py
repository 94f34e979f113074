"""The servers that are compared.

Each is run in a process of its own: `python peers.py NAME` prints its port, and serves.
"""

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

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


def canned_page() -> bytes:
    """Return the page of 50 images that fakebatch serves, for the peers to serve as it is."""
    from werkzeug.test import Client

    from fakebatch import FakeBatch

    return bytes(Client(FakeBatch(PAGING)).get(PAGE).data)


def fakebatch() -> int:
    """Serve 120 images."""
    from fakebatch import FakeBatch

    return FakeBatch(PAGING).start().port


def httpserver(*, threaded: bool = False) -> int:
    """Serve the canned page with pytest-httpserver."""
    from pytest_httpserver import HTTPServer

    server = HTTPServer(threaded=threaded)
    server.expect_request("/images").respond_with_data(canned_page(), content_type="application/json")
    server.start()
    return int(server.port)


def httpserver_threaded() -> int:
    """Serve the canned page with pytest-httpserver and a thread for each connection."""
    return httpserver(threaded=True)


def bare() -> int:
    """Serve the canned page with a bare function behind werkzeug's own threaded server: the floor of this stack."""
    from werkzeug.serving import make_server

    body = canned_page()

    def application(_: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    server = make_server("127.0.0.1", 0, application, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.port


def moto() -> int:
    """Serve moto's own images."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    return int(server.get_host_and_port()[1])


PEERS: dict[str, Callable[[], int]] = {
    "fakebatch": fakebatch,
    "pytest-httpserver": httpserver,
    "pytest-httpserver, threaded": httpserver_threaded,
    "bare WSGI, werkzeug threaded": bare,
    "moto": moto,
}


def main() -> None:
    """Serve until the standard input ends."""
    logging.disable()
    print(json.dumps(PEERS[sys.argv[1]]()), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
