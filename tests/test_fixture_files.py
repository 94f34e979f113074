"""Fixture files that are right: what they may hold, and what they amount to."""

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from checkout import FIXTURES, ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakebatch import Account, Image
from fakebatch.fixture_files.yaml_text import Document
from fakebatch.service.baseline import Baseline, load
from fakebatch.service.schema import schema


@pytest.fixture
def described(tmp_path: Path) -> Any:
    """Write a file and return the world that it describes."""

    def described(text: str | bytes, name: str = "world.yaml", **others: str) -> Baseline:
        for other, content in others.items():
            (tmp_path / f"{other}.yaml").write_text(content, encoding="utf-8")
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(tmp_path / name)

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
    assert described(text) == Baseline({"images": ()})


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
    assert described("", "empty.json") == Baseline({"images": ()})


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


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_images, max_size=6, unique_by=lambda image: image.id))
def test_any_images_written_down_are_read_as_they_were(tmp_path: Path, images: list[Image]) -> None:
    data = {"images": [msgspec.to_builtins(image) for image in images]}
    texts = yaml.dump(data, Dumper=_Dumper, allow_unicode=True)
    (tmp_path / "w.yaml").write_text(texts, encoding="utf-8")
    (tmp_path / "w.json").write_text(json.dumps(data), encoding="utf-8")
    in_order = tuple(sorted(images, key=lambda image: image.id))
    assert load(tmp_path / "w.yaml").records["images"] == in_order
    assert load(tmp_path / "w.json").records["images"] == in_order


@pytest.mark.parametrize(
    "path", [*FIXTURES.rglob("*.yaml"), ROOT / "fakebatch" / "default.yaml"], ids=lambda path: path.stem
)
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


def test_the_schema_shows_the_default_of_every_field_but_the_id() -> None:
    fields = schema()["$defs"]["ImageEntry"]["properties"]
    assert [name for name, field in fields.items() if "default" not in field] == ["Id", "repeat"]
    assert all("description" in field for field in fields.values())
