"""Fixture files that are right: what they may hold, and what they amount to."""

import json
import os
import subprocess
import sys
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from checkout import FIXTURES
from effort import EFFORT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakebatch import Account, Image
from fakebatch.errors import FixtureError, Problem
from fakebatch.fixture_files.problems import Place
from fakebatch.fixture_files.reading import Entries, Kind
from fakebatch.fixture_files.yaml_text import Document
from fakebatch.service.baseline import load
from fakebatch.service.description import Baseline
from fakebatch.service.schema import schema

NOTHING = Baseline({"images": (), "clusters": (), "jobs": (), "apps": ()})


@pytest.fixture
def described(tmp_path: Path) -> Any:
    """Write a file and return the world that it describes."""

    def described(text: str | bytes, name: str = "world.yaml", **others: str) -> Baseline:
        for other, content in others.items():
            (tmp_path / f"{other}.yaml").write_text(content, encoding="utf-8")
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(tmp_path / name)._replace(files=())

    return described


def test_only_the_id_is_required(described: Any) -> None:
    (image,) = described("images: [{Id: img-a}]").records["images"]
    assert image == Image(
        id="img-a",
        name="img-a",
        description="",
        ecs_image_id="m-32dsf3f",
        owner_id=123456,
        platform="Linux",
        type="Self",
        creation_time="2016-07-18T11:53:19.110809Z",
    )


def test_a_system_image_belongs_to_nobody(described: Any) -> None:
    assert (
        described("images: [{Id: a, Type: System}, {Id: b, Type: System, OwnerId: 0}]").records["images"][0].owner_id
        == 0
    )


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "---\n", "images: []\n", "{}", "---\n...\n"])
def test_an_empty_file_is_an_empty_world(described: Any, text: str) -> None:
    assert described(text) == NOTHING


def test_images_are_in_ascending_order_of_id_whatever_the_file_says(described: Any) -> None:
    world = described("images: [{Id: b}, {Id: a-10}, {Id: a-9}, {Id: 镜}, {Id: Z}]")
    assert [image.id for image in world.records["images"]] == ["Z", "a-10", "a-9", "b", "镜"]


def test_repeat_makes_many_from_one_entry(described: Any) -> None:
    world = described(
        "images:\n  - {Id: 'img-{n:03}', Name: 'build-{n}', Description: 'no {n}', EcsImageId: 'm-{n:04x}',"
        " CreationTime: '2016-01-01T00:00:{n:02}Z', repeat: 12}"
    )
    assert len(world.records["images"]) == 12
    assert world.records["images"][11] == Image(
        id="img-011",
        name="build-11",
        description="no 11",
        ecs_image_id="m-000b",
        creation_time="2016-01-01T00:00:11.000000Z",
    )


def test_repeat_may_be_nought_and_doubled_braces_are_braces(described: Any) -> None:
    assert described("images: [{Id: 'img-{n}', repeat: 0}]").records["images"] == ()
    assert described("images: [{Id: '{{{n}}}', repeat: 1}]").records["images"][0].id == "{0}"


def test_without_repeat_braces_are_text(described: Any) -> None:
    image = described("images: [{Id: '{a}', Description: '{\"n\": {n}}'}]").records["images"][0]
    assert (image.id, image.description) == ("{a}", '{"n": {n}}')


@pytest.mark.parametrize(
    ("written", "served"),
    [
        ("2016-10-31T06:55:33.921878Z", "2016-10-31T06:55:33.921878Z"),
        ("2016-10-31T06:55:33Z", "2016-10-31T06:55:33.000000Z"),
        ("2016-10-31T06:55:33.9Z", "2016-10-31T06:55:33.900000Z"),
        ("2016-10-31 06:55:33", "2016-10-31T06:55:33.000000Z"),
        ("2016-10-31t06:55:33.5+08:00", "2016-10-30T22:55:33.500000Z"),
        ("2016-10-31", "2016-10-31T00:00:00.000000Z"),
        ('"2016-10-31T06:55:33.921878Z"', "2016-10-31T06:55:33.921878Z"),
        ('"2016-10-31T06:55:33+08:00"', "2016-10-30T22:55:33.000000Z"),
        ('"2016-10-31"', "2016-10-31T00:00:00.000000Z"),
    ],
)
def test_a_creation_time_is_a_timestamp_or_a_text_and_served_in_one_form(
    described: Any, written: str, served: str
) -> None:
    assert described(f"images: [{{Id: a, CreationTime: {written}}}]").records["images"][0].creation_time == served


def test_other_fields_that_look_like_a_timestamp_are_text(described: Any) -> None:
    assert described("images: [{Id: 2016-10-31, Name: 2016-10-31 1:02:03}]").records["images"][0] == Image(
        id="2016-10-31", name="2016-10-31 1:02:03"
    )


def test_includes_are_relative_to_the_file_and_read_first(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "base.yaml").write_text("images: [{Id: base}]\nexpect: 1\nscript: [{delay: 1}]")
    (tmp_path / "deep" / "middle.yaml").write_text("include: [../base.yaml]\nimages: [{Id: middle}]\nexpect: 2")
    (tmp_path / "top.yaml").write_text("include: [deep/middle.yaml, base.yaml]\nscript: [{delay: 2}]")
    world = load(tmp_path / "top.yaml")
    assert [image.id for image in world.records["images"]] == ["base", "middle"]
    assert [step.delay for step in world.script] == [1, 2]
    assert world.expect == 2


def test_a_baseline_names_every_file_that_was_read_for_it(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("include: [b.yaml]")
    (tmp_path / "b.yaml").write_text("")
    assert load(tmp_path / "a.yaml").files == (tmp_path / "a.yaml", tmp_path / "b.yaml")


def test_a_file_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("images: [{Id: a}]")
    assert len(load(tmp_path / "a.yaml", tmp_path / "." / "a.yaml").records["images"]) == 1


def test_accounts(described: Any) -> None:
    world = described(
        "accounts:\n  - {AccessKeyId: a, AccessKeySecret: s, OwnerId: 7}\n  - {AccessKeyId: b, AccessKeySecret: s}"
    )
    assert world.accounts == (Account("a", "s", 7), Account("b", "s", 123456))


def test_expect_is_free_and_means_what_yaml_means(described: Any) -> None:
    world = described("expect: {names: [a, 1, yes, ~, 1.5], 2: {on: x}, day: 2016-10-31}")
    assert world.expect == {
        "names": ["a", 1, "yes", None, 1.5],
        2: {"on": "x"},
        "day": "2016-10-31",
    }


@pytest.mark.parametrize("place", ["expect: {a: %s}", "x-a: &a %s\nexpect: {a: *a}"])
@pytest.mark.parametrize(
    ("written", "read"),
    [
        *[
            (text, text)
            for text in ("on", "NO", "yes", "1:30", "2016-10-31", "2016-10-31T06:55:33Z", "=", "1_000", "0b1")
        ],
        ("010", 10),
        ("0o10", 8),
        ("0x10", 16),
        ("-5", -5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("True", True),
        ("Null", None),
        ("~", None),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
    ],
)
def test_scalars_are_those_of_the_core_schema_of_yaml_1_2(described: Any, place: str, written: str, read: Any) -> None:
    value = described(place % written).expect["a"]
    assert (value, type(value)) == (read, type(read))


def test_texts_that_other_yaml_takes_for_something_else_are_texts_everywhere(described: Any) -> None:
    world = described("images: [{Id: on, Name: NO, Description: 1:30, repeat: 010}]".replace("Id: on", "Id: 'on{n}'"))
    assert len(world.records["images"]) == 10
    assert {(image.name, image.description) for image in world.records["images"]} == {("NO", "1:30")}
    (step,) = described("script: [{where: {Name: NO, Marker: 010}, delay: 1}]").script
    assert step.where == (("Name", "NO"), ("Marker", "10"))


def test_a_key_hides_one_that_is_merged(described: Any) -> None:
    assert described("expect: {a: &a {x: 1, y: 2}, b: {<<: *a, x: 3}}").expect["b"] == {"x": 3, "y": 2}


def test_keys_that_begin_with_x_are_free_and_so_is_the_schema_s(described: Any) -> None:
    world = described("$schema: s\nx-base: &base {Platform: Windows}\nimages: [{<<: *base, Id: a}]")
    assert world.records["images"][0].platform == "Windows"
    assert described('{"$schema": "s", "x-y": 1}', "w.json") == Baseline(
        {"images": (), "clusters": (), "jobs": (), "apps": ()}
    )


def test_a_step_has_every_trigger_and_effect(described: Any) -> None:
    steps = described(
        """\
script:
  - on: GetImage
    calls: [1, 3-]
    where: {ImageId: a}
    account: me
    host: "*.aliyuncs.com"
    delay: 1
    trickle: 2.5
    add: [{Id: a}, {Id: 'b{n}', repeat: 2}]
    remove: [x]
    fail: {code: Own, status: 418, message: Teapot}
  - {add: {images: [{Id: c}]}, remove: {images: [d]}, drop: silently}
  - {reply: {status: 201, headers: [[Set-Cookie, a], [Set-Cookie, 5]], body: {a: [1]}}}
  - {reply: {headers: {X-A: 1.5}, body: text}}
  - {reply: {raw: HTTP/1.1 200 OK}}
"""
    ).script
    first = steps[0]
    assert (first.operation, first.calls, first.where) == (
        "GetImage",
        ((1, 1), (3, float("inf"))),
        (("ImageId", "a"),),
    )
    assert (first.account, first.host, first.delay, first.trickle) == ("me", "*.aliyuncs.com", 1, 2.5)
    assert [(name, image.id) for name, image in first.add] == [("images", "a"), ("images", "b0"), ("images", "b1")]
    assert first.remove == (("images", "x"),)
    assert first.failure == (418, "Own", "Teapot")
    assert first.origin.endswith("world.yaml:2")
    assert [(name, image.id) for name, image in steps[1].add] == [("images", "c")]
    assert (steps[1].remove, steps[1].drop) == ((("images", "d"),), "silently")
    assert [(step.reply.status, step.reply.body, step.reply.raw) for step in steps[2:]] == [
        (201, b'{"a":[1]}', None),
        (200, b"text", None),
        (200, b"", b"HTTP/1.1 200 OK"),
    ]
    assert steps[2].reply.headers[:2] == (("Set-Cookie", "a"), ("Set-Cookie", "5"))
    assert steps[3].reply.headers == (("X-A", "1.5"),)


class Task(msgspec.Struct, rename="pascal"):
    command: str
    environment: dict[str, str] = {}


class Job(msgspec.Struct, frozen=True, rename="pascal"):
    name: str
    tasks: list[Task] = []


JOBS = Kind(partial(msgspec.convert, type=Job), "Name", True, "job", Job)


def test_repeat_replaces_the_placeholder_in_texts_at_any_depth_of_any_record() -> None:
    text = "[{Name: 'j-{n}', Tasks: [{Command: 'run {n:02}', Environment: {K: 'v{n}', L: '{{}}'}}], repeat: 2}]"
    document, problems = Document("w.yaml", text), list[Problem]()
    entries: list[Any] = document.data
    expanded = Entries(problems).expand(Place(document), enumerate(entries), JOBS)
    assert expanded.records == [
        Job(f"j-{number}", [Task(f"run 0{number}", {"K": f"v{number}", "L": "{}"})]) for number in range(2)
    ]
    assert not problems


def test_what_is_wrong_deep_inside_of_a_repeated_record_is_said_there() -> None:
    text = "[{Name: 'j-{n}', Tasks: [{Command: '{i}'}], repeat: 2}, {Name: a, Tasks: [{Command: 5}]}]"
    document, problems = Document("w.yaml", text), list[Problem]()
    entries: list[Any] = document.data
    assert not Entries(problems).expand(Place(document), enumerate(entries), JOBS).records
    assert list(map(str, problems)) == [
        "w.yaml:1:36: [0].Tasks[0].Command: unknown placeholder {i}; the only one is {n} (a brace itself is {{ or }})",
        "w.yaml:1:85: [1].Tasks[0].Command: expected a text, got the number 5;"
        ' write "5" in quotes if that is what you mean',
    ]


def test_a_good_json_file_is_read_without_a_yaml_parser_or_a_validator(tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text('{"images": [{"Id": "a"}], "script": [{"delay": 1}]}')
    code = (
        "import sys; from fakebatch.service.baseline import load; load(sys.argv[1]);"
        " print({'yaml', 'jsonschema'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "w.json"], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_on_is_a_key_and_not_true(described: Any) -> None:
    assert described("script: [{on: ListImages, delay: 1}]").script[0].operation == "ListImages"


def test_anchors_aliases_and_merge_keys_are_as_in_yaml(described: Any) -> None:
    world = described(
        "images:\n  - &base {Id: a, Platform: Windows, Name: base}\n  - {<<: *base, Id: b}\n"
        "  - {<<: [*base, {EcsImageId: m-1, Name: other}], Id: c}\n"
    )
    assert [(i.id, i.platform, i.name, i.ecs_image_id) for i in world.records["images"]] == [
        ("a", "Windows", "base", "m-32dsf3f"),
        ("b", "Windows", "base", "m-32dsf3f"),
        ("c", "Windows", "base", "m-1"),
    ]


def test_a_byte_order_mark_is_nothing(described: Any) -> None:
    assert described(b"\xef\xbb\xbfimages: [{Id: a}]").records["images"] == (Image(id="a"),)


def test_json_is_read_as_json(described: Any) -> None:
    image = '{"Id": "\\ud83d\\ude80", "OwnerId": 5, "CreationTime": "2016-10-31"}'
    text = f'{{\n\t"images": [{image}], "expect": {{"on": [1]}}}}'
    world = described(text, "world.json")
    assert world.records["images"] == (Image(id="🚀", owner_id=5, creation_time="2016-10-31"),)
    assert world.expect == {"on": [1]}
    assert described("", "empty.json") == NOTHING


_texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
_images = st.builds(
    Image,
    id=_texts.filter(lambda text: text and "{n" not in text and "/" not in text),
    name=_texts,
    description=_texts,
    ecs_image_id=_texts,
    owner_id=st.integers(0, 2**63 - 1),
    platform=st.sampled_from(["Linux", "Windows"]),
    type=st.just("Self"),
    creation_time=st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat()),
)


class _Dumper(yaml.SafeDumper):
    """Writes texts in quotes: PyYAML leaves those off where only YAML 1.1 would take it for a text, as in 0E0."""


_Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


@settings(max_examples=60 * EFFORT, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_images, max_size=6, unique_by=lambda image: image.id))
def test_any_images_written_down_are_read_as_they_were(tmp_path: Path, images: list[Image]) -> None:
    data = {"images": [msgspec.to_builtins(image) for image in images]}
    texts = yaml.dump(data, Dumper=_Dumper, allow_unicode=True)
    (tmp_path / "w.yaml").write_text(texts, encoding="utf-8")
    (tmp_path / "w.json").write_text(json.dumps(data), encoding="utf-8")
    in_order = tuple(sorted(images, key=lambda image: image.id))
    assert load(tmp_path / "w.yaml").records["images"] == in_order
    assert load(tmp_path / "w.json").records["images"] == in_order


@pytest.mark.parametrize("path", [*FIXTURES.rglob("*.yaml")], ids=lambda path: path.stem)
def test_the_schema_accepts_the_project_s_own_files(path: Path) -> None:
    jsonschema.validate(Document(path.name, path.read_text(encoding="utf-8")).data, schema())


@pytest.mark.parametrize(
    "wrong",
    [
        {"imges": []},
        {"images": [{}]},
        {"images": [{"Id": ""}]},
        {"images": [{"Id": 5}]},
        {"images": [{"Id": "a", "Platform": "linux"}]},
        {"images": [{"Id": "a", "OwnerId": -1}]},
        {"images": [{"Id": "a", "repeat": 1_000_001}]},
        {"script": [{"drop": "after"}]},
        {"accounts": [{"AccessKeyId": "a"}]},
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema())


@pytest.fixture
def two_spellings(tmp_path: Path) -> Path:
    """A file that has two names, as where the case of letters does not count, in a folder with one that includes it."""
    (tmp_path / "base.yaml").write_text("images: [{Id: a}]", encoding="utf-8")
    (tmp_path / "Base.yaml").hardlink_to(tmp_path / "base.yaml")
    (tmp_path / "w.yaml").write_text("include: [base.yaml, Base.yaml]", encoding="utf-8")
    return tmp_path


def test_two_spellings_of_a_path_are_one_file(two_spellings: Path) -> None:
    loaded = load(two_spellings / "w.yaml", two_spellings / "Base.yaml")
    assert [image.id for image in loaded.records["images"]] == ["a"]
    assert loaded.files == (two_spellings / "w.yaml", two_spellings / "base.yaml")


def test_a_cycle_is_found_however_its_files_are_spelled(two_spellings: Path) -> None:
    (two_spellings / "base.yaml").write_text("include: [Base.yaml]", encoding="utf-8")
    with pytest.raises(FixtureError, match=r"the files include each other: \S+base.yaml -> \S+base.yaml$"):
        load(two_spellings / "w.yaml")


def test_where_a_file_system_does_not_number_its_files_each_path_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path.stat

    def without_number(path: Path, **options: Any) -> os.stat_result:
        about = original(path, **options)
        return os.stat_result((about.st_mode, 0, *about[2:]))

    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"images: [{{Id: {name}}}]", encoding="utf-8")
    monkeypatch.setattr(Path, "stat", without_number)
    loaded = load(tmp_path / "a.yaml", tmp_path / "b.yaml")
    assert [image.id for image in loaded.records["images"]] == ["a", "b"]


def step(written: str) -> dict[str, Any]:
    return {"script": [Document("w.yaml", written).data]}


@pytest.mark.parametrize("key", ["on", '"on"', "'on'"])
def test_the_trigger_of_a_step_is_read_in_quotes_and_without(key: str, tmp_path: Path) -> None:
    written = f"{key}: GetJob\ndelay: 1"
    assert step(written) == {"script": [{"on": "GetJob", "delay": 1}]}
    jsonschema.validate(step(written), schema())
    (tmp_path / "w.yaml").write_text(f"script:\n  - {{{key}: GetJob, delay: 1}}\n", encoding="utf-8")
    assert load(tmp_path / "w.yaml").script[0].operation == "GetJob"


def offered(path: str) -> list[Any]:
    """Return what editors offer at a place of the schema: the values of all lists that they find there."""
    found = schema()["$defs"]
    for part in path.split("."):
        found = found[part]
    enums = [found, *found.get("anyOf", ())]
    return [value for part in enums for value in part.get("enum", ())]


def test_editors_are_offered_operations_codes_and_states() -> None:
    on = offered("_StepEntry.properties.on")
    assert {"ListImages", "StopJob", "GetQuotas", "any"} <= set(on)
    alone = offered("_StepEntry.properties.fail")
    assert {"InternalError", "Throttling.User", "InvalidMaxItemCount", "InvalidPriority"} <= set(alone)
    assert not {"StateConflict", "QuotaExhausted"} & set(alone), "their messages need arguments"
    codes = schema()["$defs"]["_StepEntry"]["properties"]["fail"]["anyOf"][1]["properties"]["code"]
    assert {"StateConflict", *alone} <= set(codes["anyOf"][0]["enum"])
    assert {"Running", "Finished", "Deleting"} <= set(offered("_StepEntry.properties.becomes"))
    assert offered("_RuleEntry.properties.end") == ["Finished", "Stopped"]
    assert offered("JobEntry.properties.State") == ["Waiting", "Running", "Finished", "Failed", "Stopped"]


def test_every_value_that_editors_are_offered_loads(tmp_path: Path) -> None:
    becoming = [{"on": "any", "becomes": state} for state in offered("_StepEntry.properties.becomes")]
    failing = [{"on": "any", "fail": code} for code in offered("_StepEntry.properties.fail")]
    triggers = [{"on": operation, "delay": 1} for operation in offered("_StepEntry.properties.on")]
    rules = [{"job": "a", "end": end} for end in offered("_RuleEntry.properties.end")]
    data = {"script": [*becoming, *failing, *triggers], "progress": rules}
    (tmp_path / "w.json").write_text(json.dumps(data), encoding="utf-8")
    assert len(load(tmp_path / "w.json").script) == len(data["script"])
    jsonschema.validate(data, schema())


@pytest.mark.parametrize(
    "written",
    [
        "fail: {status: 500, code: Broken, message: m}",
        "fail: {code: StateConflict, State: Deleting}",
        "fail: {code: Throttling}",
    ],
)
def test_the_schema_accepts_codes_of_one_s_own(written: str) -> None:
    jsonschema.validate(step(written), schema())


@pytest.mark.parametrize("written", ["on: ListImage\ndelay: 1", "fail: Throttled", "becomes: running"])
def test_the_schema_refuses_the_names_that_the_loader_refuses(written: str, tmp_path: Path) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(step(written), schema())
    (tmp_path / "w.json").write_text(json.dumps(step(written)), encoding="utf-8")
    with pytest.raises(FixtureError):
        load(tmp_path / "w.json")


def test_the_schema_shows_the_default_of_every_field_but_the_id() -> None:
    fields = schema()["$defs"]["ImageEntry"]["properties"]
    assert [name for name, field in fields.items() if "default" not in field] == ["Id", "repeat"]
    assert all("description" in field for field in fields.values())
