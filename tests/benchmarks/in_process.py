"""The figures of what happens inside of one process: each is taken in a fresh one, so that no peer warms another."""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from child import BODY_BYTES, CALLS, SIZES, TLS
from peers import FAKEBATCH, HTTPSERVER, PAGING, THREADED
from rounds import BESIDE, environment, in_turn, with_beside
from table import Row, Sample, compared

_MICRO, _MILLI, _MIB = 1e6, 1e3, 1 / 1024 / 1024
_ROUNDS = 11


def _child(folder: Path | None, *arguments: str) -> Any:
    """Return what a fresh process measured."""
    command = [sys.executable, str(Path(__file__).with_name("child.py")), *arguments]
    return json.loads(subprocess.run(command, env=environment(folder), capture_output=True, check=True).stdout)


def _medians(figure: str, names: tuple[str, ...], beside: Path | None, unit: float) -> dict[str, Sample]:
    """Return, for each peer, the sample of the medians that several fresh processes measured."""
    peers = with_beside(names, beside)
    measured = in_turn({peer: partial(_child, folder, figure, name) for peer, (name, folder) in peers.items()}, _ROUNDS)
    return {peer: Sample.of(map(statistics.median, taken), unit) for peer, taken in measured.items()}


def _plugin_load(plugin: str) -> float:
    """Return what `-X importtime` says, in µs, of a plugin and all that it imports after what pytest itself imports.

    An import statement does it: what pytest imports by itself is not in that log.
    """
    with tempfile.TemporaryDirectory() as folder:
        program = f"import pytest; pytest.main([{folder!r}]); import {plugin}"
        command = [sys.executable, "-X", "importtime", "-c", program]
        variables = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        log = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, cwd=folder).stderr
    found = re.search(rf"\| +(\d+) \| +{re.escape(plugin)}$", log, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{plugin} was not imported:\n{log}")
    return int(found[1])


def plugin(_beside: Path | None) -> Iterator[Row]:
    """Load the pytest plugin in a run that does not use it."""
    plugins = {FAKEBATCH: "fakebatch.pytest_plugin", HTTPSERVER: "pytest_httpserver.pytest_plugin"}
    taken = in_turn({peer: partial(_plugin_load, name) for peer, name in plugins.items()}, _ROUNDS)
    samples = {peer: Sample.of(times, 1e-3) for peer, times in taken.items()}
    yield from compared("plugin load, unused (ms)", samples, {HTTPSERVER: "<= 0.05"})
    yield Row("plugin load, unused (ms)", samples[FAKEBATCH], target="< 5")


_WITH_YAML = "with a YAML file"
_NEW_PROCESS = {
    FAKEBATCH: "from fakebatch import FakeBatch; FakeBatch().start()",
    _WITH_YAML: f"from fakebatch import FakeBatch; FakeBatch({str(PAGING)!r}).start()",
    HTTPSERVER: "from pytest_httpserver import HTTPServer; HTTPServer().start()",
}


def _new_process(code: str, folder: Path | None) -> float:
    """Return how long these statements take in a process that has imported nothing yet."""
    program = f"import time; begin = time.perf_counter(); {code}; print(time.perf_counter() - begin)"
    command = [sys.executable, "-P", "-c", program]  # not what lies in the current folder, but what `folder` says
    return float(subprocess.run(command, env=environment(folder), capture_output=True, check=True).stdout)


def new_process(beside: Path | None) -> Iterator[Row]:
    """Import, make a fake and start it, in a new process."""
    peers = with_beside(_NEW_PROCESS, beside)
    functions = {peer: partial(_new_process, _NEW_PROCESS[name], folder) for peer, (name, folder) in peers.items()}
    in_turn(functions, 1)  # has the modules compiled
    samples = {peer: Sample.of(taken, _MILLI) for peer, taken in in_turn(functions, 15).items()}
    with_yaml = {_WITH_YAML: samples.pop(_WITH_YAML), HTTPSERVER: samples[HTTPSERVER]}
    yield from compared("new process: import and start (ms)", samples, {HTTPSERVER: "<= 1.3"})
    yield from compared("new process, YAML file (ms)", with_yaml, {HTTPSERVER: "<= 1.7"}, _WITH_YAML)


def start(beside: Path | None) -> Iterator[Row]:
    """Start, ask once, and stop."""
    samples = _medians("start", (FAKEBATCH, TLS, HTTPSERVER), beside, _MILLI)
    with_tls = {TLS: samples.pop(TLS), FAKEBATCH: samples[FAKEBATCH]}
    yield from compared("start, one request, stop (ms)", samples, {HTTPSERVER: "<= 0.7"})
    yield from compared("start, one request, stop, TLS (ms)", with_tls, {FAKEBATCH: "<= 3"}, TLS)


def own_process(beside: Path | None) -> Iterator[Row]:
    """Ask a server that is in the client's own process, as in most tests."""
    samples = _medians("own_process", (FAKEBATCH, THREADED), beside, _MICRO)
    yield from compared("page in the test's own process, p50 (µs)", samples, {THREADED: "<= 0.6", BESIDE: "<= 1"})


def calls(_beside: Path | None) -> Iterator[Row]:
    """Record many calls with large bodies."""
    kept = Sample.of(_child(None, "calls"), _MIB)
    yield Row(f"record of {CALLS:,} calls of {BODY_BYTES // 1000} kB (MiB)", kept, target="<= 64")


def load(_beside: Path | None) -> Iterator[Row]:
    """Load many images."""
    measured = _child(None, "loading")
    yaml, as_json, repeat, by_pyyaml = (
        Sample.of(measured[name], _MILLI) for name in ("images.yaml", "images.json", "repeat.yaml", "PyYAML")
    )
    yield Row("load 10,000 images, YAML (ms)", yaml, "yaml.load, C", by_pyyaml, "<= 1.15")
    yield Row("load 10,000 images, JSON (ms)", as_json, "from YAML", yaml, "<= 0.05")
    yield Row("load 10,000 images, repeat (ms)", repeat)
    for name in ("images.yaml", "images.json", "repeat.yaml"):
        yield Row(f"memory, {name} (bytes an image)", Sample.of(measured[f"memory {name}"]), target="< 1024")


def size(_beside: Path | None) -> Iterator[Row]:
    """Page through, and reset, small worlds and large ones."""
    samples = {name: Sample.of(taken, _MICRO) for name, taken in _child(None, "size").items()}
    smallest = f"page {SIZES[0]}"
    for count, target in zip(SIZES[1:], ("", "<= 1.05"), strict=True):
        page = samples[f"page {count}"]
        yield Row(f"page out of {count:,}, WSGI (µs)", page, f"fakebatch, {SIZES[0]}", samples[smallest], target)
    for count in SIZES:
        yield Row(f"reset of {count:,}, unchanged (µs)", samples[f"reset {count}"], target="< 20")
    for count in SIZES:
        yield Row(f"reset of {count:,}, one change (µs)", samples[f"change {count}"], target="< 1000")


def jobs(_beside: Path | None) -> Iterator[Row]:
    """Page through jobs, and create and look at small and large ones."""
    samples = {name: Sample.of(taken, _MICRO) for name, taken in _child(None, "jobs").items()}
    few, many = SIZES[0], SIZES[-1]
    page = samples[f"page {many}"]
    yield Row(f"page of jobs out of {many:,}, WSGI (µs)", page, f"fakebatch, {few}", samples[f"page {few}"], "<= 1.05")
    large = "job of 250 tasks of 200 instances"
    yield Row(f"create a {large}, WSGI (µs)", samples["create large"], target="< 100000")
    yield Row(f"GetJob, {large}, WSGI (µs)", samples["look large"], "one task", samples["look small"], "<= 3")
