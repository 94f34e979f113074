"""What holds whatever is asked: no error of our own, bodies as announced, walks without repeat or gap."""

import json
import threading
from typing import Any
from urllib.parse import quote

import pytest
from effort import EFFORT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from signing import sign
from werkzeug.test import Client, EnvironBuilder, run_wsgi_app

from fakebatch import Account, FakeBatch, Image

_text = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30)
_targets = st.one_of(
    st.just(b"/images"),
    st.sampled_from([b"/images/img-centos", b"/images/img-23jkhds", b"/images/", b"/", b"", b"/jobs"]),
    st.binary(max_size=20).map(lambda tail: b"/images/" + tail),
)
_queries = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda *pairs: "&".join(f"{name}={quote(value)}" for name, value in pairs).encode(),
        st.tuples(st.just("Marker"), st.text(max_size=5)),
        st.tuples(st.just("MaxItemCount"), st.one_of(st.integers().map(str), st.text(max_size=5))),
        st.tuples(st.just("Type"), st.sampled_from(["Self", "System", "", "self"])),
    ),
)
_json: Any = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=10)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)
_described = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("Name", "Description", "EcsImageId", "Platform", "IdempotentToken"), _json)
)
_effects = st.sampled_from(
    [
        lambda step: step.fail("Throttling"),
        lambda step: step.reply(502, body="<h1>502</h1>"),
        lambda step: step.reply(body={"Items": []}),
        lambda step: step.remove("img-23jkhds"),
        lambda step: step.add(Image(id="img-new")),
        lambda step: step.drop("before"),
        lambda step: step.drop("during"),
        lambda step: step.drop("silently"),
        lambda step: step.delay(0),
    ]
)
_names = ["x-acs-version", "x-acs-compress-type", "Authorization", "Date", "x-acs-date", "Content-MD5", "Host"]


@settings(max_examples=1000 * EFFORT, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.sampled_from(["GET", "POST", "DELETE", "PUT", "OPTIONS", "HEAD", "get"]),
    _targets,
    _queries,
    st.dictionaries(st.sampled_from(_names), _text, max_size=4),
    st.one_of(st.binary(max_size=200), _described),
    st.lists(st.tuples(st.sampled_from(["any", "ListImages", "CreateImage"]), _effects), max_size=2),
    st.booleans(),
)
def test_2000_requests_are_answered_as_announced(
    capfd: pytest.CaptureFixture[str],
    method: str,
    target: bytes,
    query: bytes,
    headers: dict[str, str],
    body: bytes | dict[str, Any],
    script: list[tuple[str, Any]],
    signed: bool,
) -> None:
    for accounts in ((), (Account("key", "secret"),)):
        fake = FakeBatch(accounts=accounts)
        for operation, effect in script:
            effect(fake.on(operation))
        own = sign("key", "secret", method, "/images") if signed else {}
        sent = {"json": body} if isinstance(body, dict) else {"data": body}
        environ = EnvironBuilder("/", method=method, headers=[*(own | headers).items()], **sent).get_environ()
        environ["PATH_INFO"], environ["QUERY_STRING"] = target.decode("latin-1"), query.decode("latin-1")
        try:
            content, status, heads = run_wsgi_app(fake, environ, buffered=True)
            answer = b"".join(content)
        except ConnectionError:
            assert any("drop" in str(step) for step in fake.world.script)
            continue
        announced = dict(heads)
        assert not status.startswith("500")
        assert len(answer) == int(announced.get("Content-Length", 0))
        assert ("Content-Type" in announced) == bool(answer) or "reply" in str(fake.calls[-1])
        if "json" in announced.get("Content-Type", ""):
            json.loads(answer)
        fake.check()
    assert capfd.readouterr() == ("", "")


@pytest.mark.fuzz
def test_walks_beside_writers_and_resets_neither_repeat_nor_miss() -> None:
    stable = [f"img-{number:03}" for number in range(0, 200, 2)]
    fake = FakeBatch(*(Image(id=image_id) for image_id in stable))
    done = threading.Event()

    def write(offset: int) -> None:
        while not done.is_set():
            for number in range(offset, 200, 8):
                fake.images.put(Image(id=f"img-{number:03}"))
            for number in range(offset, 200, 8):
                fake.images.discard(f"img-{number:03}")

    def reset() -> None:
        while not done.is_set():
            fake.reset()

    writers = [threading.Thread(target=write, args=[offset]) for offset in (1, 3, 5)]
    threads = [*writers, threading.Thread(target=reset)]
    for thread in threads:
        thread.start()
    try:
        for walk in range(30 * EFFORT):
            seen: list[str] = []
            marker = ""
            while True:
                page = Client(fake).get(f"/images?Marker={marker}&MaxItemCount={walk % 13 + 1}").get_json()
                seen += [item["Id"] for item in page["Items"]]
                marker = page["NextMarker"]
                if not marker:
                    break
            assert seen == sorted(set(seen))
            assert set(stable) <= set(seen)
    finally:
        done.set()
        for thread in threads:
            thread.join()
