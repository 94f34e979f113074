"""The clients: one as the SDK is, many at once, and slow ones.

The slow ones are run in a process of their own: `python clients.py PORT` prints a line when all are connected.
"""

import contextlib
import http.client
import itertools
import json
import math
import re
import selectors
import socket
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from peers import HEADERS, PAGE

REQUEST = (
    f"GET {PAGE} HTTP/1.1\r\nHost: 127.0.0.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in HEADERS.items())
).encode() + b"\r\n"
_ANNOUNCED = re.compile(rb"(?i)content-length: *(\d+)")
_MOST_WAIT_SECONDS = 10.0
"""How long unanswered requests are waited for when a load is over."""

SLOW_CLIENTS = 300
_SLOW_SECONDS = 60


def seconds(function: Callable[[], object]) -> float:
    """Return how long one call takes."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def fetch(port: int, tls: ssl.SSLContext | None = None) -> None:
    """Ask for the page as the SDK does, over a fresh connection."""
    _ask(port, tls, "GET", PAGE, None, HEADERS)


def describe_images(port: int) -> None:
    """Ask moto for its images, over a fresh connection."""
    body = b"Action=DescribeImages&Version=2016-11-15"
    _ask(port, None, "POST", "/", body, {"Content-Type": "application/x-www-form-urlencoded"})


JOB = json.dumps(
    {
        "Name": "nightly",
        "Type": "DAG",
        "DAG": {
            "Tasks": {
                name: {
                    "AutoCluster": {"InstanceType": "ecs.sn1.large"},
                    "Parameters": {"Command": {"CommandLine": "echo hi"}},
                }
                for name in ("split", "count", "merge")
            },
            "Dependencies": {"split": ["count"], "count": ["merge"]},
        },
    }
).encode()
"""A job of three tasks."""
IMAGE = json.dumps({"EcsImageId": "m-28rvocix1", "Platform": "Linux"}).encode()


def ask(port: int, method: str, target: str, body: bytes | None = None) -> bytes:
    """Ask for something else than the page, over a fresh connection, and return the body of the answer."""
    headers = HEADERS | {"Content-Length": str(len(body or b""))}
    return _ask(port, None, method, target, body, headers)


def _ask(
    port: int, tls: ssl.SSLContext | None, method: str, target: str, body: bytes | None, headers: dict[str, str]
) -> bytes:
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port, context=tls)
        if tls
        else http.client.HTTPConnection("127.0.0.1", port)
    )
    connection.request(method, target, body, headers)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    if response.status not in (200, 201):
        raise RuntimeError(f"{target} answered {response.status}")
    return answer


@dataclass
class _Exchange:
    """A request on its way; it begins before the connection does."""

    connection: socket.socket
    begin: float = field(default_factory=time.perf_counter)
    received: bytes = b""
    whole: int = 0
    """How long the answer is; 0 until its head has come."""

    def receive(self) -> bool:
        """Take what has come, and tell whether that is all. Raises OSError if it ended before."""
        data = self.connection.recv(262144)
        if not data:
            raise ConnectionError("it ended before its announced length")
        self.received += data
        if not self.whole and (head := self.received.find(b"\r\n\r\n")) > 0:
            announced = _ANNOUNCED.search(self.received, 0, head)
            if announced is None:
                raise RuntimeError(f"an answer without a length:\n{self.received[:head].decode()}")
            self.whole = head + 4 + int(announced[1])
        return 0 < self.whole <= len(self.received)


def load(port: int, connections: int, duration: float) -> list[float]:
    """Keep so many requests going for so many seconds, and return how long each took.

    A request is infinitely long if its connection failed; one that was never answered counts for as long as it was
    waited for. One thread with raw bytes sends them all: http.client in threads would be the slower side, and all
    servers would look the same.
    """
    times: list[float] = []
    with selectors.DefaultSelector() as selector:

        def begin() -> None:
            connection = socket.socket()
            exchange = _Exchange(connection)
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", port))
            selector.register(connection, selectors.EVENT_WRITE, exchange)

        def end(exchange: _Exchange, taken: float) -> None:
            times.append(taken)
            selector.unregister(exchange.connection)
            exchange.connection.close()

        for _ in range(connections):
            begin()
        last = time.perf_counter() + duration
        while selector.get_map() and time.perf_counter() < last + _MOST_WAIT_SECONDS:
            for key, events in selector.select(0.1):
                exchange: _Exchange = key.data
                try:
                    if events & selectors.EVENT_WRITE:
                        exchange.connection.sendall(REQUEST)
                        selector.modify(exchange.connection, selectors.EVENT_READ, exchange)
                        continue
                    if not exchange.receive():
                        continue
                    end(exchange, time.perf_counter() - exchange.begin)
                except OSError:
                    end(exchange, math.inf)
                if time.perf_counter() < last:
                    begin()
        for key in list(selector.get_map().values()):
            end(key.data, time.perf_counter() - key.data.begin)
    return times


def be_slow(port: int) -> None:
    """Connect, begin a request, and go on with it by a byte a second, on each of many connections."""
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(SLOW_CLIENTS)]
    for connection in connections:
        connection.sendall(b"GET /images HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
    print("connected", flush=True)
    end = time.monotonic() + _SLOW_SECONDS
    for connection in itertools.cycle(connections):
        if time.monotonic() > end:
            return
        with contextlib.suppress(OSError):
            connection.sendall(b"x")
        time.sleep(1 / SLOW_CLIENTS)


if __name__ == "__main__":
    be_slow(int(sys.argv[1]))
