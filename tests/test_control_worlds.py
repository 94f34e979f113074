"""What is true of every world: the control interface writes it as a fixture file that loads as the same world."""

import json
from datetime import datetime
from typing import Any

import pytest
import yaml
from asking import Asking, task
from effort import EFFORT
from hypothesis import example, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from fakebatch import Account, App, Cluster, FakeBatch, Image, Job
from fakebatch.service.baseline import load_text
from fakebatch.service.progress import parse_duration
from fakebatch.service.written import yaml_text

NOW = datetime(2026, 1, 1)

# Texts that are something else to some reader of YAML are drawn as often as all others.
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(
        ["on", "No", "~", "1e5", "0x1f", "1_000", "1:30", "2016-10-31", "- a", "a: b", "#", "{n}", "{{n:02}}"]
    ),
    st.sampled_from(
        ["null", "y", ".inf", "!tag", "&a", "*a", "x\ny", " x", "x ", "'", '"', "\\", "\x7f", "\x85", "\u2028"]
    ),
)
IDS = TEXTS.filter(lambda text: text and "/" not in text)
NAMES = st.text("abcXYZ_-", min_size=1, max_size=5)
TIMES = st.sampled_from(["2016-10-31T06:55:33.921878Z", "2030-01-01T00:00:00.000001Z", "1999-12-31T23:59:59.000000Z"])
OWNERS = st.sampled_from([123456, 1, 2**63 - 1])
LENGTHS = st.one_of(
    st.integers(0, 3), st.sampled_from(["forever", "1s", "1.5m", "999999999.999999h", "0.000001s", "90m"])
)

IMAGES = st.one_of(
    st.builds(Image, id=IDS, name=TEXTS, description=TEXTS, owner_id=OWNERS.filter(bool), creation_time=TIMES),
    st.builds(Image, id=IDS, type=st.just("System"), platform=st.just("Windows")),
)
APPS = st.builds(
    App,
    name=NAMES,
    description=TEXTS,
    owner_id=OWNERS,
    scope=st.sampled_from(["Private", "Public"]),
    env_vars=st.dictionaries(NAMES, TEXTS, max_size=2),
    input_parameters=st.dictionaries(NAMES, st.just({"Type": "Number", "Default": 1.5}), max_size=2),
    docker=st.sampled_from([None, {"Image": "x"}]),
)
CLUSTERS = st.builds(
    Cluster,
    id=NAMES,
    name=NAMES,
    description=TEXTS,
    owner_id=OWNERS,
    state=st.sampled_from(["Active", "Deleting"]),
    user_data=st.dictionaries(TEXTS, TEXTS, max_size=2),
    groups=st.dictionaries(NAMES, st.fixed_dictionaries({"DesiredVMCount": st.integers(0, 3)}), max_size=2),
)
JOBS = st.builds(
    Job,
    id=NAMES,
    name=NAMES,
    description=TEXTS,
    owner_id=OWNERS,
    priority=st.integers(0, 1000),
    state=st.sampled_from(["Waiting", "Running", "Finished", "Failed", "Stopped"]),
    message=TEXTS,
    creation_time=TIMES,
    auto_release=st.booleans(),
)
RECORDS = st.one_of(IMAGES, APPS, CLUSTERS, JOBS)

CALLS = st.one_of(st.none(), st.integers(1, 9), st.sampled_from(["2-4", "3-", [1, "3-5", "7-"]]))
TRIGGERS = st.fixed_dictionaries(
    {"operation": st.sampled_from(["any", "ListImages", "GetJob"]), "calls": CALLS},
    optional={"account": NAMES, "host": st.just("*.example"), "where": st.just({"MaxItemCount": 5})},
).filter(lambda trigger: trigger["operation"] == "ListImages" or "where" not in trigger)
OUTCOMES = st.sampled_from(
    [
        ("fail", ("Throttling",), {}),
        ("fail", ("StateConflict",), {"State": "Deleting"}),
        ("fail", ("",), {"status": 599, "message": ""}),
        ("drop", ("silently",), {}),
        ("reply", (), {"status": 204, "headers": [("X-A", "b"), ("X-A", "c")]}),
        ("reply", (), {"body": {"a": [None, "ä"]}}),
        ("reply", (), {"body": "on", "headers": {"Content-Length": 2}}),
        ("reply", (), {"raw": b"HTTP/1.1 200 OK\r\n\r\n\x00"}),
        ("delay", (0.25,), {}),
        ("delay", (0,), {}),
        ("trickle", (2,), {}),
        ("remove", ("img-a", "img-{n}"), {}),
        ("remove", ("job-a",), {"resource": "jobs"}),
    ]
)
EFFECTS: Any = st.one_of(
    OUTCOMES, st.lists(RECORDS, min_size=1, max_size=2).map(lambda records: ("add", tuple(records), {}))
)
FAILS = st.fixed_dictionaries(
    {"task": st.sampled_from(["a", "count", ""])},
    optional={
        "instance": st.integers(0, 3),
        "attempts": st.integers(1, 3),
        "exit_code": st.integers(0, 9),
        "message": TEXTS,
    },
)
RULES: Any = st.one_of(
    st.tuples(
        st.fixed_dictionaries(
            {"job": st.one_of(NAMES, st.just("*"))},
            optional={"waiting": LENGTHS, "running": LENGTHS, "end": st.sampled_from(["Finished", "Stopped"])},
        ),
        st.lists(st.one_of(FAILS, st.just({}), st.fixed_dictionaries({"message": TEXTS})), max_size=2),
    ),
    st.tuples(
        st.fixed_dictionaries({"cluster": NAMES}, optional={"starting": LENGTHS, "deleting": LENGTHS}), st.just([])
    ),
)
DOINGS = st.lists(
    st.one_of(
        st.sampled_from(
            [("GET", "/jobs"), ("GET", "/clusters"), ("POST", "/jobs/{}/stop"), ("POST", "/jobs/{}/start")]
        ),
        st.sampled_from([("advance", ""), ("finish", ""), ("fail", ""), ("create", "job"), ("create", "cluster")]),
    ),
    max_size=5,
)


def do(fake: FakeBatch, what: str, to: str) -> None:
    """Do something to the first job, if there is one, or make one."""
    ask = Asking(fake)
    first = next((record.id for record in fake.jobs), "")
    if what == "create" and to == "job":
        description = {"Name": "made", "Type": "DAG", "DAG": {"Tasks": {"count": task(InstanceCount=2)}}, "Extra": 1}
        ask("POST", "/jobs", description)
    elif what == "create":
        group = {"DesiredVMCount": 2, "InstanceType": "x"}
        ask("POST", "/clusters", {"Name": "made", "ImageId": "m-1", "Groups": {"g": group}})
    elif what in ("GET", "POST"):
        ask(what, to.format(first))
    elif first and fake.jobs[first].state in ("Waiting", "Running"):
        getattr(fake.jobs, what)(first)


def written(fake: FakeBatch, form: str = "json") -> Any:
    answer = Client(fake).get(f"/_fakebatch/world?secrets=1&format={form}")
    assert answer.status_code == 200, answer.data
    return answer.json if form == "json" else answer.data


def put(fake: FakeBatch, world: Any) -> None:
    body = world if isinstance(world, bytes) else json.dumps(world).encode()
    answer = Client(fake).put("/_fakebatch/world", data=body)
    assert answer.status_code == 204, answer.json


@settings(max_examples=40 * EFFORT)
@given(
    records=st.lists(RECORDS, max_size=4),
    rules=st.lists(RULES, max_size=2),
    doings=DOINGS,
    script=st.lists(st.tuples(TRIGGERS, EFFECTS), max_size=3),
    expect=st.one_of(st.none(), TEXTS, st.dictionaries(TEXTS, st.integers() | st.booleans() | st.lists(TEXTS))),
)
@example([], [], [("create", "job"), ("POST", "/jobs/{}/stop"), ("create", "cluster")], [], None)
@example([], [], [("create", "job"), ("fail", ""), ("POST", "/jobs/{}/start")], [], "on")
@example([Image(id="{n}", description="{"), Job(id="{n:02}", message="}")], [], [], [], {"a": {}, "b": []})
def test_a_world_that_was_written_is_loaded_as_the_same(
    records: list[Any], rules: list[Any], doings: list[Any], script: list[Any], expect: Any
) -> None:
    fake = FakeBatch(clock=lambda: NOW, control=True)
    put(fake, {"expect": expect})
    for options, fails in rules:
        rule = fake.progress(**options)
        for fail in fails:
            rule.fail(**fail)
    for record in records:
        fake.world.collections[next(name for name in NAMES_OF if isinstance(record, NAMES_OF[name]))].put(record)
    for what, to in doings:
        do(fake, what, to)
    for trigger, (effect, arguments, options) in script:
        getattr(fake.on(**trigger), effect)(*arguments, **options)
    first = written(fake)
    as_yaml = written(fake, "yaml")
    assert yaml.safe_load(as_yaml) == first
    again = FakeBatch(clock=lambda: NOW, control=True)
    for world in (first, as_yaml):
        put(again, world)
        assert written(again) == first
    for name in NAMES_OF:
        shown = [collection_answers(some, name) for some in (fake, again)]
        assert shown[0] == shown[1]


NAMES_OF = {"images": Image, "apps": App, "clusters": Cluster, "jobs": Job}


def collection_answers(fake: FakeBatch, name: str) -> list[Any]:
    """Return what can be seen of records: of those that are on their way, that they are there, and how they are."""
    if name == "images":
        return list(fake.images)
    if name == "apps":
        return [(app.owner_id, app.scope, app.creation_time, app.description_data()) for app in fake.apps]
    return [(record.id, record.name, record.state, record.creation_time) for record in fake.world.collections[name]]


@given(LENGTHS)
def test_the_length_of_a_phase_is_written_as_one_that_means_the_same(length: Any) -> None:
    duration = parse_duration(length)
    assert parse_duration(duration.written()) == duration


DATA: Any = st.recursive(
    st.one_of(TEXTS, st.integers(), st.booleans(), st.none()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@given(DATA)
def test_data_that_is_written_as_yaml_is_read_alike_by_all(data: Any) -> None:
    text = yaml_text({"expect": data})
    assert yaml.safe_load(text) == {"expect": data}
    assert load_text("w", text).expect == data


def test_yaml_is_written_to_be_read_by_people() -> None:
    fake = FakeBatch(Image(id="img-a"), control=True, accounts=[Account("key", "secret")])
    fake.on("ListImages", calls="2-3").reply(status=503, headers={"Retry-After": 1}, body="later: on")
    assert written(fake, "yaml").decode() == (
        "images:\n"
        "  - Id: img-a\n"
        "    Name: img-a\n"
        '    Description: ""\n'
        "    EcsImageId: m-32dsf3f\n"
        "    OwnerId: 123456\n"
        "    Platform: Linux\n"
        "    Type: Self\n"
        '    CreationTime: "2016-07-18T11:53:19.110809Z"\n'
        "accounts:\n"
        "  - AccessKeyId: key\n"
        "    AccessKeySecret: secret\n"
        "    OwnerId: 123456\n"
        "script:\n"
        '  - "on": ListImages\n'
        '    calls: "2-3"\n'
        "    reply:\n"
        "      status: 503\n"
        "      headers:\n"
        "        -\n"
        "          - Retry-After\n"
        '          - "1"\n'
        '      body: "later: on"\n'
    )


@pytest.mark.parametrize("world", [{}, {"images": []}])
def test_an_empty_world_is_one_as_well(world: Any) -> None:
    fake = FakeBatch(control=True)
    put(fake, world)
    assert written(fake) == {}
    assert written(fake, "yaml") == b"{}\n"
    put(fake, written(fake, "yaml"))


def test_an_id_that_looks_like_a_placeholder_is_written_so_that_it_is_none() -> None:
    dag = {"Tasks": {"a": {}, "b": {}}, "Dependencies": {"a": ["b"]}}
    fake = FakeBatch(Job(id="job-{n}", description="{braces}", dag=dag), control=True)
    client = Client(fake)
    written = client.get("/_fakebatch/world").data
    fake.jobs.remove("job-{n}")
    assert client.put("/_fakebatch/world", data=written).status_code == 204
    assert fake.jobs["job-{n}"].description == "{braces}"
