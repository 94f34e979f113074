"""The figures of servers in processes of their own, asked by this one.

A client in the same process would share the interpreter's lock with a server, and hide what it costs.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from clients import IMAGE, JOB, SLOW_CLIENTS, ask, describe_images, fetch, load, seconds
from peers import BARE, CANNED, CONTROLLED, FAKEBATCH, HTTPSERVER, LIMIT, MOTO, PEERS, THREADED
from rounds import BESIDE, environment, in_turn, with_beside
from table import Row, Sample, compared

_HERE = Path(__file__).parent
_MICRO, _MILLI = 1e6, 1e3
_ALONE = "the same, alone"


class Served(NamedTuple):
    """A peer in a process of its own."""

    port: int
    pid: int

    def processor_seconds(self) -> float:
        """Return how much processor time it has taken so far; on Linux only."""
        clock = (~self.pid << 3) | 2  # as clock_getcpuclockid(3) has it; /proc/PID/stat counts in steps of 10 ms
        return time.clock_gettime(clock)

    def threads(self) -> int:
        """Return how many threads it has beside its main thread, which does not serve; on Linux only."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir())) - 1


@contextmanager
def served(names: Iterable[str], beside: Path | None) -> Iterator[dict[str, Served]]:
    """Run these peers, and the version beside if there is one, in a process of its own each."""
    processes = {
        peer: subprocess.Popen(
            [sys.executable, str(_HERE / "peers.py"), name],
            env=environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for peer, (name, folder) in with_beside(names, beside).items()
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


class Block(NamedTuple):
    """What one round measured of one peer."""

    times: list[float]
    """How long each request took, in seconds, sorted."""
    duration: float
    processor: float
    """Processor time a request, in seconds; 0 where it is not known."""

    def percentile(self, part: float) -> float:
        """Return the time that this part of all requests does not exceed."""
        return self.times[min(len(self.times) - 1, int(len(self.times) * part))]


def block(peer: Served, requests: Callable[[], list[float]]) -> Block:
    """Measure what these requests cost the peer."""
    known = sys.platform == "linux"
    before = peer.processor_seconds() if known else 0
    begin = time.perf_counter()
    times = sorted(requests())
    duration = time.perf_counter() - begin
    spent = peer.processor_seconds() - before if known else 0
    return Block(times, duration, spent / len(times))


def _samples(blocks: dict[str, list[Block]], figure: Callable[[Block], float], unit: float = 1) -> dict[str, Sample]:
    return {name: Sample.of(map(figure, taken), unit) for name, taken in blocks.items()}


def _one_after_another(ask: Callable[[], object], count: int) -> list[float]:
    return [seconds(ask) for _ in range(count)]


def pages(beside: Path | None) -> Iterator[Row]:
    """Ask each peer for the page, as the SDK does."""
    with served([name for name in PEERS if name != CONTROLLED], beside) as peers:
        asks = {name: partial(describe_images if name == MOTO else fetch, peer.port) for name, peer in peers.items()}
        in_turn({name: partial(_one_after_another, ask, 20) for name, ask in asks.items()}, 1)
        blocks = in_turn(
            {name: partial(block, peers[name], partial(_one_after_another, asks[name], 100)) for name in peers}, 30
        )
    p50, p99 = (_samples(blocks, partial(Block.percentile, part=part), _MICRO) for part in (0.5, 0.99))
    targets = {LIMIT: "<= 1.7", HTTPSERVER: "<= 0.9", THREADED: "<= 0.65", BESIDE: "<= 0.9"}
    canned = {name: p50[name] for name in (CANNED, LIMIT)}
    del p50[CANNED], p99[CANNED], blocks[CANNED]
    yield from compared("page of 50, fresh connection, p50 (µs)", p50, targets)
    yield from compared("canned page, our server, p50 (µs)", canned, {LIMIT: "<= 1.4"}, CANNED)
    yield from compared("page of 50, fresh connection, p99 (µs)", p99, {})
    if sys.platform == "linux":
        spent = _samples(blocks, lambda taken: taken.processor, _MICRO)
        yield from compared("page of 50, the server's processor time (µs)", spent, {})


def control(_beside: Path | None) -> Iterator[Row]:
    """Ask for the page with and without the control interface: who does not use it does not pay for it."""
    with served((CONTROLLED, FAKEBATCH), None) as peers:
        asks = {name: partial(_one_after_another, partial(fetch, peer.port), 100) for name, peer in peers.items()}
        taken = in_turn(asks, 40)
    samples = {name: Sample.of(map(statistics.median, times), _MICRO) for name, times in taken.items()}
    yield from compared("page of 50, control on, p50 (µs)", samples, {FAKEBATCH: "<= 1.02"}, CONTROLLED)


def connections(beside: Path | None) -> Iterator[Row]:
    """Ask each peer over 8 connections at once."""
    with served((FAKEBATCH, LIMIT, HTTPSERVER, THREADED, BARE), beside) as peers:
        loads = {name: partial(block, peer, partial(load, peer.port, 8, 0.5)) for name, peer in peers.items()}
        blocks = in_turn(loads, 11)
    rates = _samples(blocks, lambda taken: len(taken.times) / taken.duration)
    targets = {LIMIT: ">= 0.4", THREADED: ">= 4", BARE: ">= 1"}
    yield from compared("8 connections (requests/s)", rates, targets)
    if sys.platform == "linux":
        spent = _samples(blocks, lambda taken: taken.processor, _MICRO)
        yield from compared("8 connections, the server's processor time (µs)", spent, {BESIDE: "<= 0.6"})


def burst(beside: Path | None) -> Iterator[Row]:
    """Ask over 256 connections at once, for so long that a connection that is not taken is tried again."""
    with served((FAKEBATCH, LIMIT), beside) as peers:
        loads = {name: partial(block, peer, partial(load, peer.port, 256, 10)) for name, peer in peers.items()}
        blocks = in_turn(loads, 3)
    slowest = {name: Sample(max(measured.times[-1] for measured in taken) * _MILLI) for name, taken in blocks.items()}
    yield Row("256 connections, 10 s, the slowest of all (ms)", slowest[FAKEBATCH], target="<= 1000")
    yield from compared("256 connections, 10 s, the slowest of all (ms)", slowest, {})
    p99 = _samples(blocks, partial(Block.percentile, part=0.99), _MILLI)
    yield from compared("256 connections, 10 s, p99 (ms)", p99, {LIMIT: "<= 3"})


@contextmanager
def slow_clients(port: int) -> Iterator[None]:
    """Have many clients that are slow, in another process."""
    command = [sys.executable, str(_HERE / "clients.py"), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            if process.stdout is None or not process.stdout.readline():
                raise RuntimeError("the slow clients could not connect")
            yield
        finally:
            process.kill()


def slow(_beside: Path | None) -> Iterator[Row]:
    """Ask one after another, alone and beside slow clients, five times."""
    threads = []
    blocks: dict[str, list[Block]] = {FAKEBATCH: [], _ALONE: []}
    with served((FAKEBATCH,), None) as peers:
        peer = peers[FAKEBATCH]
        measure = partial(block, peer, partial(_one_after_another, partial(fetch, peer.port), 400))
        measure()
        for _ in range(5):
            blocks[_ALONE].append(measure())
            with slow_clients(peer.port):
                blocks[FAKEBATCH].append(measure())
                if sys.platform == "linux":
                    threads.append(peer.threads())
    for part, label, target in ((0.5, "p50", "<= 1.2"), (0.99, "p99", "<= 2")):
        samples = _samples(blocks, partial(Block.percentile, part=part), _MICRO)
        yield from compared(f"page beside {SLOW_CLIENTS} slow clients, {label} (µs)", samples, {_ALONE: target})
    if threads:
        yield Row(f"threads beside {SLOW_CLIENTS} slow clients", Sample.of(threads), target="<= 3")


def requests(_beside: Path | None) -> Iterator[Row]:
    """Ask for a job, and create one, beside the same of images."""
    with served((FAKEBATCH,), None) as peers:
        port = peers[FAKEBATCH].port
        job = json.loads(ask(port, "POST", "/jobs", JOB))["Id"]
        asks: dict[str, Callable[[], object]] = {
            "GetJob": partial(ask, port, "GET", f"/jobs/{job}"),
            "page of 50 images": partial(fetch, port),
            "CreateJob": partial(ask, port, "POST", "/jobs", JOB),
            "CreateImage": partial(ask, port, "POST", "/images", IMAGE),
        }
        taken = in_turn({name: partial(_one_after_another, function, 50) for name, function in asks.items()}, 20)
    samples = {name: Sample.of(map(statistics.median, times), _MICRO) for name, times in taken.items()}
    for name, other, target in (("GetJob", "page of 50 images", "<= 1.2"), ("CreateJob", "CreateImage", "<= 1.5")):
        yield Row(f"{name}, fresh connection, p50 (µs)", samples[name], other, samples[other], target)
