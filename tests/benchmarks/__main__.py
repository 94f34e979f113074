"""Compares fakebatch with its peers, and prints one table. Run it with `tox -e benchmark`; it takes about two minutes.

All figures are measured in the same run, the peers in turn within each round, and are medians. Servers of pages run in
processes of their own: a client in the same process would share the interpreter's lock with them, and hide what they
cost. The client of the latencies is http.client with a fresh connection each, as the SDK has it. That of the throughput
sends and receives raw bytes, with eight threads: http.client would be the slower side, and all servers would look the
same.

The processor time of a server is what Linux counts for its process; elsewhere that figure is left out. In-process
figures (start and stop, reset, loading, memory) are taken in this process.
"""

import gc
import http.client
import json
import logging
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml
from peers import HEADERS, PAGE, PEERS, canned_page
from pytest_httpserver import HTTPServer
from werkzeug.test import create_environ

from fakebatch import FakeBatch, Image
from fakebatch.fixture_files.reading import load

SIZES = (100, 10_000, 1_000_000)
ROUNDS = 1000
"""How often each peer is asked for a page."""
MICRO, MILLI = 1e6, 1e3


class Row(NamedTuple):
    """A line of the table. `target` is the largest ratio or figure that meets it; None where none was set."""

    figure: str
    ours: float
    peer: str = ""
    theirs: float | None = None
    target: str = ""
    met: bool | None = None


def ratio(figure: str, ours: float, peer: str, theirs: float, most: float) -> Row:
    """Return a row whose target is a ratio to the peer that must not be exceeded."""
    return Row(figure, ours, peer, theirs, f"<= {most:g}", ours / theirs <= most)


def limit(figure: str, ours: float, most: float) -> Row:
    """Return a row whose target is a figure that must not be exceeded."""
    return Row(figure, ours, target=f"< {most:g}", met=ours < most)


def seconds(function: Callable[[], object]) -> float:
    """Return how long one call takes."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def in_turn(functions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time each function once a round, and return the times, sorted."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            times[name].append(seconds(function))
    return {name: sorted(taken) for name, taken in times.items()}


def percentile(times: list[float], part: float) -> float:
    """Return the time that this part of all do not exceed."""
    return times[min(len(times) - 1, int(len(times) * part))]


# Loading the plugin


def plugin_load_ms(plugin: str) -> float:
    """Return what `-X importtime` says of a plugin with all that it imports, behind what a pytest run imports anyway.

    An import statement does it: what pytest imports by itself is not in that log.
    """
    with tempfile.TemporaryDirectory() as folder:
        program = f"import pytest; pytest.main([{folder!r}]); import {plugin}"
        command = [sys.executable, "-X", "importtime", "-c", program]
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        log = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=folder).stderr
    found = re.search(rf"\| +(\d+) \| +{re.escape(plugin)}$", log, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{plugin} was not imported:\n{log}")
    return int(found[1]) / 1000


def plugin_rows() -> Iterator[Row]:
    plugins = ("fakebatch.pytest_plugin", "pytest_httpserver.pytest_plugin")
    taken: dict[str, list[float]] = {plugin: [] for plugin in plugins}
    for _ in range(9):
        for plugin in plugins:
            taken[plugin].append(plugin_load_ms(plugin))
    ours, theirs = (statistics.median(taken[plugin]) for plugin in plugins)
    yield ratio("plugin load, unused (ms)", ours, "pytest-httpserver", theirs, 0.05)
    yield limit("plugin load, unused (ms)", ours, 5)


# Start and stop


def fetch(port: int, method: str = "GET", target: str = PAGE, body: bytes | None = None) -> None:
    """Ask once, over a fresh connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = HEADERS if body is None else {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request(method, target, body, headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    if response.status != 200:
        raise RuntimeError(f"{target} answered {response.status}")


def start_rows() -> Iterator[Row]:
    page = canned_page()

    def ours() -> None:
        with FakeBatch(Image(id="img-a")) as fake:
            fetch(fake.port)

    def theirs() -> None:
        with HTTPServer() as server:
            server.expect_request("/images").respond_with_data(page, content_type="application/json")
            fetch(server.port)

    taken = in_turn({"fakebatch": ours, "pytest-httpserver": theirs}, 30)
    medians = {name: statistics.median(times) * MILLI for name, times in taken.items()}
    yield ratio(
        "start, one request, stop (ms)", medians["fakebatch"], "pytest-httpserver", medians["pytest-httpserver"], 1.0
    )


# Pages over HTTP


class Served(NamedTuple):
    """A peer in a process of its own."""

    port: int
    pid: int

    def processor_seconds(self) -> float | None:
        """Return how much processor time it has taken so far."""
        status = Path(f"/proc/{self.pid}/stat")
        if not status.exists():
            return None
        user, system = status.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served() -> Iterator[dict[str, Served]]:
    """Run every peer in a process of its own."""
    script = str(Path(__file__).with_name("peers.py"))
    processes = {
        name: subprocess.Popen(
            [sys.executable, script, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for name in PEERS
    }
    try:
        yield {
            name: Served(json.loads(process.stdout.readline()), process.pid)
            for name, process in processes.items()
            if process.stdout
        }
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()


def latency_rows(peers: dict[str, Served]) -> Iterator[Row]:
    def asking(name: str) -> Callable[[], None]:
        if name == "moto":
            return lambda: fetch(peers[name].port, "POST", "/", b"Action=DescribeImages&Version=2016-11-15")
        return lambda: fetch(peers[name].port)

    askers = {name: asking(name) for name in peers}
    in_turn(askers, 20)
    before = {name: peer.processor_seconds() for name, peer in peers.items()}
    taken = in_turn(askers, ROUNDS)
    after = {name: peer.processor_seconds() for name, peer in peers.items()}
    for part, label in ((0.5, "p50"), (0.99, "p99")):
        times = {name: percentile(taken[name], part) * MICRO for name in taken}
        figure = f"page of 50, fresh connection, {label} (µs)"
        for peer, most in (("pytest-httpserver", 0.9), ("pytest-httpserver, threaded", 0.7)):
            if label == "p50":
                yield ratio(figure, times["fakebatch"], peer, times[peer], most)
            else:
                yield Row(figure, times["fakebatch"], peer, times[peer])
        for peer in ("bare WSGI, werkzeug threaded", "moto"):
            yield Row(figure, times["fakebatch"], peer, times[peer])
    spent = {name: (end - (before[name] or 0)) / ROUNDS * MICRO for name, end in after.items() if end is not None}
    yield from processor_rows(spent)


REQUEST = (
    f"GET {PAGE} HTTP/1.1\r\nHost: 127.0.0.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in HEADERS.items())
).encode() + b"\r\n"


def exchange(port: int) -> None:
    """Ask once with raw bytes, and read what is announced."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(REQUEST)
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        announced = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])  # type: ignore[index]  # all announce it
        missing = announced - len(body)
        while missing > 0:
            missing -= len(connection.recv(65536))


def requests_a_second(port: int, connections: int = 8, requests: int = 800) -> float:
    """Return how many requests are answered in a second, over so many connections at once."""

    def ask() -> None:
        for _ in range(requests // connections):
            exchange(port)

    threads = [threading.Thread(target=ask) for _ in range(connections)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return requests / (time.perf_counter() - begin)


def processor_rows(spent: dict[str, float]) -> Iterator[Row]:
    for peer, theirs in spent.items():
        if peer != "fakebatch":
            yield Row("page of 50, the server's processor time (µs)", spent["fakebatch"], peer, theirs)


def throughput_rows(peers: dict[str, Served]) -> Iterator[Row]:
    names = [name for name in peers if name != "moto"]
    rates: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(9):
        for name in names:
            rates[name].append(requests_a_second(peers[name].port))
    medians = {name: statistics.median(rates[name]) for name in names}
    figure = "8 connections (requests/s)"
    for peer, least in (("pytest-httpserver, threaded", 1.3), ("bare WSGI, werkzeug threaded", 1.0)):
        met = medians["fakebatch"] / medians[peer] >= least
        yield Row(figure, medians["fakebatch"], peer, medians[peer], f">= {least:g}", met)
    yield Row(figure, medians["fakebatch"], "pytest-httpserver", medians["pytest-httpserver"])


# Size


def of_size(folder: Path, size: int) -> FakeBatch:
    """Return a fake with so many images."""
    path = folder / f"{size}.yaml"
    path.write_text(f"images: [{{Id: 'img-{{n:07}}', repeat: {size}}}]")
    return FakeBatch(path)


def size_rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        fakes = {size: of_size(Path(folder), size) for size in SIZES}

    def page(size: int) -> Callable[[], bytes]:
        environ = create_environ(f"/images?Marker=img-{size // 4:07}&MaxItemCount=50&Type")
        return lambda: b"".join(fakes[size](dict(environ), lambda *_: lambda _: None))

    def reset(size: int) -> Callable[[], None]:
        return fakes[size].reset

    def change_and_reset(size: int) -> float:
        fakes[size].images.remove(f"img-{size // 2:07}")
        return seconds(fakes[size].reset)

    pages = in_turn({str(size): page(size) for size in SIZES}, 3000)
    resets = in_turn({str(size): reset(size) for size in SIZES}, 200)
    page_times = {size: percentile(pages[str(size)], 0.5) * MICRO for size in SIZES}
    for size in SIZES[1:]:
        figure = f"page out of {size:,}, WSGI (µs)"
        if size == SIZES[-1]:
            yield ratio(figure, page_times[size], f"fakebatch, {SIZES[0]}", page_times[SIZES[0]], 1.05)
        else:
            yield Row(figure, page_times[size], f"fakebatch, {SIZES[0]}", page_times[SIZES[0]])
    for size in SIZES:
        yield limit(f"reset of {size:,}, unchanged (µs)", percentile(resets[str(size)], 0.5) * MICRO, 20)
    for size in SIZES:
        taken = statistics.median(change_and_reset(size) for _ in range(30)) * MICRO
        yield limit(f"reset of {size:,}, one change (µs)", taken, 1000)


# Loading


def written(folder: Path, count: int = 10_000) -> dict[str, Path]:
    """Write images down with all their fields, as YAML and as JSON, and as one entry that repeats."""
    images = [
        msgspec.to_builtins(
            Image(
                id=f"img-{number:07}",
                name=f"nightly-build-{number}",
                description=f"The nightly build number {number}.",
                ecs_image_id=f"m-{number:09}",
                creation_time=f"2016-10-31T06:55:33.{number:06}Z",
            )
        )
        for number in range(count)
    ]
    paths = {name: folder / name for name in ("images.yaml", "images.json", "repeat.yaml")}
    paths["images.yaml"].write_text(yaml.dump({"images": images}, Dumper=yaml.CSafeDumper))
    paths["images.json"].write_text(json.dumps({"images": images}))
    paths["repeat.yaml"].write_text(f"images: [{{Id: 'img-{{n:07}}', Name: 'nightly-build-{{n}}', repeat: {count}}}]")
    return paths


def kept_bytes(path: Path) -> int:
    """Return how much memory a world of these images keeps (what Python allocates, as tracemalloc counts it)."""
    gc.collect()
    tracemalloc.start()
    fake = FakeBatch(path)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del fake
    return kept


def load_rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        paths = written(Path(name))
        text = paths["images.yaml"].read_text()
        functions: dict[str, Callable[[], Any]] = {name: partial(load, path) for name, path in paths.items()}
        functions["PyYAML"] = lambda: yaml.load(text, Loader=yaml.CSafeLoader)
        medians = {name: statistics.median(times) * MILLI for name, times in in_turn(functions, 5).items()}
        yield ratio("load 10,000 images, YAML (ms)", medians["images.yaml"], "yaml.load, C", medians["PyYAML"], 1.15)
        yield ratio("load 10,000 images, JSON (ms)", medians["images.json"], "from YAML", medians["images.yaml"], 0.05)
        yield Row("load 10,000 images, repeat (ms)", medians["repeat.yaml"])
        for name, path in paths.items():
            yield limit(f"memory, {name} (bytes an image)", kept_bytes(path) / 10_000, 1024)


def main() -> None:
    """Measure, and print the table."""
    logging.disable()  # the peers log requests, and have to write that down before they answer
    rows = [*plugin_rows(), *start_rows()]
    with served() as peers:
        rows += [*latency_rows(peers), *throughput_rows(peers)]
    rows += [*load_rows(), *size_rows()]
    print("| figure | fakebatch | peer | its figure | ratio | target | met |")
    print("|---|---:|---|---:|---:|---|---|")
    for row in rows:
        theirs = "" if row.theirs is None else f"{row.theirs:,.1f}"
        relation = "" if row.theirs is None else f"{row.ours / row.theirs:.2f}"
        met = "" if row.met is None else "yes" if row.met else "no"
        print(f"| {row.figure} | {row.ours:,.1f} | {row.peer} | {theirs} | {relation} | {row.target} | {met} |")


if __name__ == "__main__":
    main()
