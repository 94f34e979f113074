"""What is measured in a fresh process: `python child.py FIGURE [PEER]` prints the figures as JSON.

Of fakebatch it uses public names only, so that it can measure any version.
"""

import gc
import io
import json
import logging
import ssl
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from clients import fetch, seconds
from peers import HTTPSERVER, PEERS, canned
from rounds import in_turn

from fakebatch import FakeBatch, Image

TLS = "fakebatch, TLS"
SIZES = (100, 10_000, 1_000_000)
CALLS, BODY_BYTES = 10_000, 250_000
_MOST_KEPT_BYTES = 256 * 1024 * 1024
"""How much a record of calls may grow before no more are made."""
_LOADED = 10_000


def start(peer: str) -> list[float]:
    """Return how long it took to start, ask once and stop, after a first time."""
    body = canned().body
    trust = ssl.create_default_context(cafile=FakeBatch(tls=True).ca_bundle) if peer == TLS else None

    def ours() -> None:
        with FakeBatch(Image(id="img-a"), tls=peer == TLS) as fake:
            fetch(fake.port, trust)

    def theirs() -> None:
        from pytest_httpserver import HTTPServer

        with HTTPServer() as server:
            server.expect_request("/images").respond_with_data(body, content_type="application/json")
            fetch(server.port)

    cycle = theirs if peer == HTTPSERVER else ours
    cycle()
    return [seconds(cycle) for _ in range(10)]


def own_process(peer: str) -> list[float]:
    """Return how long a page took from a server in the client's own process."""
    port = PEERS[peer]()
    for _ in range(20):
        fetch(port)
    return [seconds(partial(fetch, port)) for _ in range(200)]


def _ask(fake: FakeBatch, environ: dict[str, Any]) -> None:
    """Ask without a socket, as a WSGI server would."""
    b"".join(fake(dict(environ), lambda *_: lambda _: None))


def calls() -> list[float]:
    """Return how many bytes the record of many calls with large bodies keeps.

    They are refused, and so leave nothing behind but the record. If it grows beyond all bounds, fewer calls are made,
    and what all would keep is reckoned from them.
    """
    from werkzeug.test import create_environ

    fake = FakeBatch(Image(id="img-a"))
    environ = {**create_environ("/images", method="POST"), "CONTENT_LENGTH": str(BODY_BYTES)}
    gc.collect()
    tracemalloc.start()
    made = 0
    while made < CALLS and tracemalloc.get_traced_memory()[0] < _MOST_KEPT_BYTES:
        body = b'{"Unknown": "%s"}' % str(made).encode().ljust(BODY_BYTES - len('{"Unknown": ""}'), b"x")
        _ask(fake, {**environ, "wsgi.input": io.BytesIO(body)})
        made += 1
    gc.collect()
    return [tracemalloc.get_traced_memory()[0] * CALLS / made]


def size() -> dict[str, list[float]]:
    """Return how long pages and resets take in small and large worlds."""
    from werkzeug.test import create_environ

    fakes = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in SIZES:
            path = Path(folder, f"{count}.yaml")
            path.write_text(f"images: [{{Id: 'img-{{n:07}}', repeat: {count}}}]")
            fakes[count] = FakeBatch(path)

    def page(count: int) -> Callable[[], float]:
        environ = create_environ(f"/images?Marker=img-{count // 4:07}&MaxItemCount=50&Type")
        return partial(seconds, partial(_ask, fakes[count], environ))

    def change_and_reset(count: int) -> float:
        fakes[count].images.remove(f"img-{count // 2:07}")
        return seconds(fakes[count].reset)

    return {
        **in_turn({f"page {count}": page(count) for count in SIZES}, 3000),
        **in_turn({f"reset {count}": partial(seconds, fakes[count].reset) for count in SIZES}, 200),
        **in_turn({f"change {count}": partial(change_and_reset, count) for count in SIZES}, 30),
    }


def _written(folder: Path) -> dict[str, Path]:
    """Write images down with all their fields, as YAML and as JSON, and as one entry that repeats."""
    import msgspec
    import yaml

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
        for number in range(_LOADED)
    ]
    paths = {name: folder / name for name in ("images.yaml", "images.json", "repeat.yaml")}
    paths["images.yaml"].write_text(yaml.dump({"images": images}, Dumper=yaml.CSafeDumper))
    paths["images.json"].write_text(json.dumps({"images": images}))
    paths["repeat.yaml"].write_text(f"images: [{{Id: 'img-{{n:07}}', Name: 'nightly-build-{{n}}', repeat: {_LOADED}}}]")
    return paths


def _kept_bytes(path: Path) -> int:
    """Return how much memory a world of these images keeps (what Python allocates, as tracemalloc counts it)."""
    gc.collect()
    tracemalloc.start()
    fake = FakeBatch(path)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del fake
    return kept


def loading() -> dict[str, list[float]]:
    """Return how long many images take to load, and how many bytes each of them keeps."""
    import yaml

    with tempfile.TemporaryDirectory() as name:
        paths = _written(Path(name))
        text = paths["images.yaml"].read_text()
        functions: dict[str, Callable[[], object]] = {name: partial(FakeBatch, path) for name, path in paths.items()}
        functions["PyYAML"] = lambda: yaml.load(text, Loader=yaml.CSafeLoader)
        times = in_turn({name: partial(seconds, function) for name, function in functions.items()}, 7)
        memory = {f"memory {name}": [_kept_bytes(path) / _LOADED] for name, path in paths.items()}
    return {**times, **memory}


def _described(tasks: int, instances: int) -> bytes:
    """Return the description of a job of so many tasks, each with so many instances."""
    task = {
        "InstanceCount": instances,
        "AutoCluster": {"InstanceType": "ecs.sn1.large"},
        "Parameters": {"Command": {"CommandLine": "echo hi"}, "StdoutRedirectPath": "", "StderrRedirectPath": ""},
    }
    dag = {"Tasks": {f"task-{number}": task for number in range(tasks)}}
    return json.dumps({"Name": "nightly", "Type": "DAG", "DAG": dag}).encode()


def _posting(fake: FakeBatch, body: bytes) -> Callable[[], float]:
    from werkzeug.test import create_environ

    environ = create_environ("/jobs", method="POST")
    environ["CONTENT_LENGTH"] = str(len(body))
    return lambda: seconds(partial(_ask, fake, {**environ, "wsgi.input": io.BytesIO(body)}))


def jobs() -> dict[str, list[float]]:
    """Return how long pages of jobs take in a small world and a large one, and small and large jobs."""
    import msgspec
    from werkzeug.test import create_environ

    from fakebatch import Job

    job = Job(name="nightly", state="Finished")
    worlds = {
        f"page {count}": FakeBatch(*(msgspec.structs.replace(job, id=f"job-{number:032X}") for number in range(count)))
        for count in (SIZES[0], SIZES[-1])
    }
    pages = {
        name: partial(seconds, partial(_ask, fake, create_environ(f"/jobs?Marker=job-{20:032X}&MaxItemCount=50")))
        for name, fake in worlds.items()
    }
    looks = {}
    creations = {}
    for name, tasks, instances in (("small", 1, 1), ("large", 250, 200)):
        fake = FakeBatch()
        fake.progress(job="*", waiting=0, running="forever")
        body = _described(tasks, instances)
        _posting(fake, body)()
        job_id = next(iter(fake.jobs)).id
        looks[f"look {name}"] = partial(seconds, partial(_ask, fake, create_environ(f"/jobs/{job_id}")))
        creations[f"create {name}"] = _posting(FakeBatch(), body)
    return {**in_turn(pages, 300), **in_turn(looks, 1000), **in_turn(creations, 20)}


FIGURES: dict[str, Callable[..., object]] = {
    function.__name__: function for function in (start, own_process, calls, size, loading, jobs)
}

if __name__ == "__main__":
    logging.disable()
    print(json.dumps(FIGURES[sys.argv[1]](*sys.argv[2:])))
