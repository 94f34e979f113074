"""Fixture files that are wrong: each mistake is said with its place, what was seen, and what to do."""

import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fakebatch import FixtureError
from fakebatch.service.baseline import load

Problems = Callable[..., list[str]]


@pytest.fixture
def problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Problems:
    """Write files into the current folder and return the lines of the error that loading the first one raises."""
    monkeypatch.chdir(tmp_path)

    def problems(text: str | bytes, name: str = "w.yaml", **others: str) -> list[str]:
        for other, content in others.items():
            Path(f"{other}.yaml").write_text(content, encoding="utf-8")
        Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(FixtureError) as caught:
            load(name)
        assert [str(problem) for problem in caught.value.problems] == str(caught.value).split("\n")
        return str(caught.value).split("\n")

    return problems


def loading(path: Path | str) -> str:
    with pytest.raises(FixtureError) as caught:
        load(path)
    return str(caught.value)


def test_a_file_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert loading("images.yaml") == "images.yaml: there is no such file"
    Path("images.yaml").write_text("")
    assert loading("imgaes.yaml") == "imgaes.yaml: there is no such file; did you mean 'images.yaml'?"
    assert loading("nowhere/images.yaml") == "nowhere/images.yaml: there is no such file"


def test_a_folder(tmp_path: Path) -> None:
    assert loading(tmp_path) == f"{tmp_path}: it is a folder; name the files in it"


def test_a_file_that_can_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "w.yaml"
    path.write_text("")
    monkeypatch.setattr(Path, "read_bytes", refuse)  # permissions do not stop a test that is run by root
    assert loading(path) == f"{path}: it can't be read: Permission denied"
    assert re.fullmatch("w\0.yaml: it can't be read: .*embedded null .*", loading("w\0.yaml"))


SECTIONS = "its sections are include, images, accounts, script, expect"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"images:\n  - {Id: \xff}", "w.yaml:2:10: it is not UTF-8 (byte 0xff); save it as UTF-8"),
        (b"\xff\xfei\0", "w.yaml:1:1: it is not UTF-8 (byte 0xff); save it as UTF-8"),
        (
            "images: [{Id: a}",
            "w.yaml:2:1: this is not YAML: while parsing a flow sequence did not find expected ',' or ']'",
        ),
        (
            "a:\n\tb: c",
            "w.yaml:2:1: this is not YAML: while scanning for the next token found character that cannot start any token",
        ),
        ("images: *nobody", "w.yaml:1:9: this is not YAML: found undefined alias"),
        (
            "images: []\n---\nimages: []\n",
            "w.yaml:2:1: this is not YAML: expected a single document in the stream but found another document",
        ),
        ("images:\n  - {Id: \x07}", "w.yaml:2:10: this is not YAML: control characters are not allowed"),
        (
            "- {Id: a}",
            "w.yaml:1:1: expected a mapping, got a list; write the name of a section before it: include, images, accounts, script",
        ),
        ("just text", f"w.yaml:1:1: expected a mapping, got a text; {SECTIONS}"),
        ("5", f"w.yaml:1:1: expected a mapping, got a number; {SECTIONS}"),
        ("imgaes: []", "w.yaml:1:1: imgaes: unknown key 'imgaes'; did you mean 'images'?"),
        ("x: []", "w.yaml:1:1: x: unknown key 'x'; known are include, images, accounts, script, expect"),
        ("? [a]\n: b", "w.yaml:1:3: a key must be a text"),
        ("images:\n", "w.yaml:1:8: images: expected a list, got nothing; write a dash before each item"),
        ("images: {Id: a}", "w.yaml:1:9: images: expected a list, got a mapping; write a dash before each item"),
        (
            "include: base.yaml",
            "w.yaml:1:10: include: expected a list, got the text 'base.yaml'; write a dash before each item",
        ),
        ("images: [a]", "w.yaml:1:10: images[0]: expected a mapping, got the text 'a'"),
        ("images: [{Name: x}]", "w.yaml:1:10: images[0]: Id is missing"),
        ("images: [{Id: ''}]", "w.yaml:1:15: images[0].Id: must not be empty"),
        (
            "images: [{Id: a, platform: Linux}]",
            "w.yaml:1:18: images[0].platform: unknown key 'platform'; did you mean 'Platform'?",
        ),
        (
            "images: [{Id: a, Platform: linux}]",
            "w.yaml:1:28: images[0].Platform: 'linux' is not one of 'Linux', 'Windows'; did you mean 'Linux'?",
        ),
        ("images: [{Id: a, Platform: BSD}]", "w.yaml:1:28: images[0].Platform: 'BSD' is not one of 'Linux', 'Windows'"),
        (
            "images: [{Id: a, Type: system}]",
            "w.yaml:1:24: images[0].Type: 'system' is not one of 'Self', 'System'; did you mean 'System'?",
        ),
        (
            "images: [{Id: 123}]",
            'w.yaml:1:15: images[0].Id: expected a text, got the number 123; write "123" in quotes if that is what you mean',
        ),
        (
            "images: [{Id: a, Name: no}]",
            'w.yaml:1:24: images[0].Name: expected a text, got the boolean no; write "no" in quotes if that is what you mean',
        ),
        (
            "images: [{Id: a, Name: }]",
            'w.yaml:1:24: images[0].Name: expected a text, got nothing; leave the key out, or write ""',
        ),
        ("images: [{Id: a, Name: [x]}]", "w.yaml:1:24: images[0].Name: expected a text, got a list"),
        (
            'images: [{Id: a, OwnerId: "5"}]',
            "w.yaml:1:27: images[0].OwnerId: expected a whole number, got the text '5'; write 5 without quotes",
        ),
        (
            "images: [{Id: a, OwnerId: 1.5}]",
            "w.yaml:1:27: images[0].OwnerId: expected a whole number, got the number 1.5",
        ),
        (
            "images: [{Id: a, OwnerId: -1}]",
            "w.yaml:1:27: images[0].OwnerId: -1 is out of range; it must be from 0 to 9223372036854775807",
        ),
        (
            f"images: [{{Id: a, OwnerId: {2**63}}}]",
            f"w.yaml:1:27: images[0].OwnerId: {2**63} is out of range; it must be from 0 to 9223372036854775807",
        ),
        (
            "images: [{Id: a, Type: System, OwnerId: 5}]",
            "w.yaml:1:41: images[0].OwnerId: a System image belongs to OwnerId 0, not 5; leave OwnerId out",
        ),
        (
            "images: [!shared {Id: a}]",
            "w.yaml:1:10: images[0]: expected a mapping, got a mapping with the tag !shared",
        ),
        (
            "images: !!set {a, b}",
            "w.yaml:1:9: images: expected a list, got a mapping with the tag !!set; write a dash before each item",
        ),
        ("images: [{<<: x, Id: a}]", "w.yaml:1:15: << merges a mapping, or a list of mappings"),
        (
            "images: [{Id: !!int abc}]",
            "w.yaml:1:15: images[0].Id: 'abc' can't be read as !!int; if it is a text, write it in quotes",
        ),
        (
            f"images: [{{Id: a, OwnerId: 0x{'f' * 4000}}}]",
            "w.yaml:1:27: images[0].OwnerId: this number has more than 4000 digits",
        ),
        (
            f"images: [{{Id: a, Type: {'x' * 81}}}]",
            f"w.yaml:1:24: images[0].Type: '{'x' * 77}...' is not one of 'Self', 'System'",
        ),
        ("expect: {a: [1, !mine 2]}", "w.yaml:1:17: expect.a[1]: unknown tag !mine; remove it"),
        ("expect: {a: {[b]: 1}}", "w.yaml:1:14: expect.a: found unhashable key"),
        ("script: [{where: {[a]: [b]}, delay: 1}]", "w.yaml:1:19: script[0].where: a key must be a text"),
        (
            "images: [{Id: a, CreationTime: yesterday}]",
            "w.yaml:1:32: images[0].CreationTime: 'yesterday' is not a time; write it like 2016-10-31T06:55:33.921878Z",
        ),
        (
            "images: [{Id: a, CreationTime: 2016-13-31}]",
            "w.yaml:1:32: images[0].CreationTime: '2016-13-31' is not a time; write it like 2016-10-31T06:55:33.921878Z",
        ),
        (
            "images: [{Id: a, CreationTime: '0001-01-01T00:00:00+08:00'}]",
            "w.yaml:1:32: images[0].CreationTime: 0001-01-01T00:00:00+08:00 lies outside the years 1 to 9999 in UTC",
        ),
        (
            "images: [{Id: !name a}]",
            "w.yaml:1:15: images[0].Id: unknown tag !name; remove it",
        ),
        (
            "images: [{Id: 'a{n}', repeat: -1}]",
            "w.yaml:1:31: images[0].repeat: -1 is out of range; it must be from 0 to 1000000",
        ),
        (
            "images: [{Id: 'a{n}', repeat: 1000001}]",
            "w.yaml:1:31: images[0].repeat: 1000001 is out of range; it must be from 0 to 1000000",
        ),
        (
            "images: [{Id: 'a{n}', repeat: yes}]",
            "w.yaml:1:31: images[0].repeat: expected a whole number, got the boolean yes",
        ),
        (
            "images: [{Id: a, repeat: 2}]",
            "w.yaml:1:15: images[0].Id: a repeated image needs {n} in its Id, or all would have the same",
        ),
        (
            "images: [{Id: 'a{n}'}]",
            "w.yaml:1:15: images[0].Id: 'a{n}' has a placeholder but is not repeated; add repeat: 10, or as many as you want",
        ),
        (
            "images: [{Id: 'a{n}', Name: '{i}', repeat: 2}]",
            "w.yaml:1:29: images[0].Name: unknown placeholder {i}; the only one is {n} (a brace itself is {{ or }})",
        ),
        (
            "images: [{Id: 'a{n:9999}', repeat: 2}]",
            "w.yaml:1:15: images[0].Id: unknown format {n:9999}; write {n}, or {n:04} for four digits",
        ),
        (
            "images: [{Id: 'a{n}', Name: 'a}', repeat: 2}]",
            "w.yaml:1:29: images[0].Name: 'a}' has a stray brace (Single '}' encountered in format string); "
            "a brace itself is {{ or }}",
        ),
        (
            "accounts: [{AccessKeyId: a}]",
            "w.yaml:1:12: accounts[0]: AccessKeySecret is missing",
        ),
        (
            "accounts: [{AccessKeyId: a, AccessKeySecret: s, OwnerId: 0}]",
            "w.yaml:1:58: accounts[0].OwnerId: 0 is out of range; it must be from 1 to 9223372036854775807",
        ),
        (
            "accounts: [{AccessKeyId: a, AccessKeySecret: s, OwnerId: 5}]\nimages: [{Id: a}]",
            "w.yaml:2:10: images[0]: no account has the default OwnerId 123456, so nobody would see it; give it one of 5",
        ),
        (
            "script: [{on: ListImage, delay: 1}]",
            "w.yaml:1:15: script[0].on: 'ListImage' is not an operation; did you mean 'ListImages'? "
            "Known are ListImages, CreateImage, GetImage, DeleteImage, any.",
        ),
        ("script: [{on: any, dealy: 1}]", "w.yaml:1:20: script[0].dealy: unknown key 'dealy'; did you mean 'delay'?"),
        (
            "script: [{on: any}]",
            "w.yaml:1:10: script[0]: the step does nothing; give it fail, delay, drop, reply, add or remove",
        ),
        (
            "script: [{fail: Throttling, drop: before}]",
            "w.yaml:1:35: script[0].drop: a step has one outcome: fail, drop or reply; make a second step for another",
        ),
        ("script: [{delay: 3601}]", "w.yaml:1:18: script[0].delay: 3601 is out of range; it must be from 0 to 3600"),
        ("script: [{delay: .nan}]", "w.yaml:1:18: script[0].delay: .nan is out of range; it must be from 0 to 3600"),
        ("script: [{fail: {State: x}}]", "w.yaml:1:17: script[0].fail: which error? add code"),
        (
            "script: [{where: {Type: [a]}, delay: 1}]",
            "w.yaml:1:25: script[0].where.Type: expected a text or a whole number, got a list",
        ),
        ("script: [{drop: after}]", "w.yaml:1:17: script[0].drop: 'after' is not one of 'before', 'during'"),
        (
            "script: [{add: [{Id: a, Platform: linux}]}]",
            "w.yaml:1:35: script[0].add[0].Platform: 'linux' is not one of 'Linux', 'Windows'; did you mean 'Linux'?",
        ),
        (
            "script: [{add: [{Id: 'a{n}'}]}]",
            "w.yaml:1:22: script[0].add[0].Id: 'a{n}' has a placeholder but is not repeated; "
            "add repeat: 10, or as many as you want",
        ),
    ],
)
def test_a_mistake_is_said_with_its_place(problems: Problems, text: str | bytes, expected: str) -> None:
    assert problems(text) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("images: []\nimages: []", "w.yaml:2:1: images: the key 'images' is there already, at 1:1; remove one of them"),
        (
            "images: [{Id: a, Id: b}]",
            "w.yaml:1:18: images[0].Id: the key 'Id' is there already, at 1:11; remove one of them",
        ),
        ("expect: {a: {b: 1, b: 2}}", "w.yaml:1:20: expect: the key 'b' is there already, at 1:14; remove one of them"),
        ("expect: {1: a, 0x1: b}", "w.yaml:1:16: expect: the key '0x1' is there already, at 1:10; remove one of them"),
        (
            "script: [{where: {a: 1, a: 1}, delay: 1}]",
            "w.yaml:1:25: script[0].where.a: the key 'a' is there already, at 1:19; remove one of them",
        ),
    ],
)
def test_a_key_that_is_there_twice(problems: Problems, text: str, expected: str) -> None:
    assert problems(text) == [expected]


def test_an_id_that_is_there_twice_in_a_file(problems: Problems) -> None:
    assert problems("images:\n  - {Id: a}\n  - {Id: b}\n  - Id: a\n") == [
        "w.yaml:4:9: images[2].Id: 'a' is there already, at w.yaml:2:10: images[0]; each must be unique"
    ]


def test_an_id_that_is_there_twice_across_files(problems: Problems) -> None:
    assert problems("include: [base.yaml]\nimages: [{Id: a-1}]", base="images: [{Id: 'a-{n}', repeat: 3}]") == [
        "w.yaml:2:15: images[0].Id: 'a-1' is there already, at base.yaml:1:15: images[0]; each must be unique"
    ]


def test_a_repeated_entry_that_clashes_is_said_once(problems: Problems) -> None:
    assert problems("images: [{Id: 'a{n}', repeat: 9}, {Id: 'a{n}', repeat: 9}]") == [
        "w.yaml:1:40: images[1].Id: 'a0' is there already, at w.yaml:1:15: images[0]; each must be unique"
    ]


def test_an_access_key_that_is_there_twice(problems: Problems) -> None:
    account = "{AccessKeyId: a, AccessKeySecret: s3cret}"
    assert problems(f"accounts:\n  - {account}\n  - {account}\n") == [
        "w.yaml:3:19: accounts[1].AccessKeyId: 'a' is there already, at w.yaml:2:19: accounts[0]; each must be unique"
    ]


@pytest.mark.parametrize(
    "secret", ["12345678", "[12345678]", "{a: 12345678}", "!x 12345678", "*12345678", "''", "12345678: x"]
)
def test_a_secret_is_never_shown(problems: Problems, secret: str) -> None:
    for line in problems(f"accounts: [{{AccessKeyId: a, AccessKeySecret: {secret}}}]"):
        assert "12345678" not in line


def test_an_include_that_is_missing_is_said_where_it_is_included(problems: Problems) -> None:
    assert problems("include: [bsae.yaml]", base="") == [
        "w.yaml:1:11: include[0]: bsae.yaml: there is no such file; did you mean 'base.yaml'?"
    ]


def test_files_that_include_each_other(problems: Problems) -> None:
    assert problems("include: [a.yaml]", a="include: [b.yaml]", b="include: [a.yaml]") == [
        "b.yaml:1:11: include[0]: a.yaml: the files include each other: a.yaml -> b.yaml -> a.yaml"
    ]
    assert problems("include: [w.yaml]") == [
        "w.yaml:1:11: include[0]: w.yaml: the files include each other: w.yaml -> w.yaml"
    ]


def test_everything_that_is_wrong_is_said_at_once(problems: Problems) -> None:
    text = """\
include: [other.yaml, nowhere-to-be-found.yaml]
images:
  - {Id: 5, Name: no}
  - {Id: a, Platform: linux}
  - {Id: b}
  - {Id: b}
script:
  - {fail: Throtling}
"""
    assert problems(text, other="images: [{Id: c, Type: x}]\nacounts: []") == [
        'w.yaml:3:10: images[0].Id: expected a text, got the number 5; write "5" in quotes if that is what you mean',
        'w.yaml:3:19: images[0].Name: expected a text, got the boolean no; write "no" in quotes if that is what you mean',
        "w.yaml:4:23: images[1].Platform: 'linux' is not one of 'Linux', 'Windows'; did you mean 'Linux'?",
        "other.yaml:1:24: images[0].Type: 'x' is not one of 'Self', 'System'",
        "other.yaml:2:1: acounts: unknown key 'acounts'; did you mean 'accounts'?",
        "w.yaml:1:23: include[1]: nowhere-to-be-found.yaml: there is no such file",
        "w.yaml:8:12: script[0].fail: 'Throtling' is not a documented error code; did you mean 'Throttling'?",
        "w.yaml:6:10: images[3].Id: 'b' is there already, at w.yaml:5:10: images[2]; each must be unique",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"images": [}', "w.json:1:13: this is not JSON: Expecting value"),
        (
            '{"images": [\n  {"Id": "a", "Platform": "linux"}]}',
            "w.json:2:27: images[0].Platform: 'linux' is not one of 'Linux', 'Windows'; did you mean 'Linux'?",
        ),
        (
            '{"images": [], "images": []}',
            "w.json:1:16: images: the key 'images' is there already, at 1:2; remove one of them",
        ),
        (
            '{"images": [{"Id": "a"}, {"Id": "a"}]}',
            "w.json:1:33: images[1].Id: 'a' is there already, at w.json:1:20: images[0]; each must be unique",
        ),
        (
            '{"images": [{"Id": "\\ud83d\\ude80", "Type": "x"}]}',
            "w.json:1:44: images[0].Type: 'x' is not one of 'Self', 'System'",
        ),
        ("[" * 100_000, "w.json:1:1: this is nested too deeply"),
        ("images: []", "w.json:1:1: this is not JSON: Expecting value"),
        ('{\n\t"images": [\n\t\t5]}', "w.json:3:3: images[0]: expected a mapping, got the number 5"),
        ('{"images": [{"Id": "\\ud800"}]}', "w.json:1:21: this is not JSON: \\ud800 is half a character"),
        ('{"expect":\n ' + "1" * 5000 + "}", "w.json:2:2: this number has more than 4000 digits"),
    ],
)
def test_json_has_the_same_errors(problems: Problems, text: str, expected: str) -> None:
    assert problems(text, "w.json") == [expected]


LAUGHS = "expect:\n  a0: &a0 [x, x]\n" + "".join(
    f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)
)


def test_an_alias_bomb_is_refused_before_it_expands(problems: Problems) -> None:
    tracemalloc.start()
    try:
        (line,) = problems(LAUGHS)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert re.fullmatch(
        r"w\.yaml:1:1: aliases stand for [\d,]+ values, more than 1,000,000; use repeat, or write less", line
    )


def test_an_alias_of_what_it_is_in(problems: Problems) -> None:
    assert problems("expect: &a [*a]") == ["w.yaml:1:9: an alias stands for something that it is itself a part of"]


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "expect: " + "[" * 200 + "]" * 200])
def test_a_document_that_is_nested_too_deeply(problems: Problems, text: str) -> None:
    (line,) = problems(text)
    assert line.endswith("this is nested more than 100 deep")


GOOD = b"""include: [base.yaml]
images:
  - &a {Id: a, Name: x, OwnerId: 5, Platform: Linux, Type: Self, CreationTime: 2016-10-31}
  - {<<: *a, Id: 'b{n:03}', repeat: 5}
accounts: [{AccessKeyId: a, AccessKeySecret: b, OwnerId: 5}]
script: [{on: ListImages, calls: 1-2, where: {a: 1}, fail: {code: StateConflict, State: x}, add: [{Id: z}]}]
expect: {a: [1, 2.5, yes, ~, 2016-10-31]}
"""


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
@example(None)
def test_a_file_loads_or_is_refused_with_located_errors_whatever_is_in_it(
    tmp_path: Path, data: st.DataObject | None
) -> None:
    (tmp_path / "base.yaml").write_text("")
    content = bytearray(GOOD)
    if data is not None:
        for _ in range(data.draw(st.integers(1, 5))):
            start = data.draw(st.integers(0, len(content)))
            end = data.draw(st.integers(start, min(len(content), start + 6)))
            pieces = [
                b"",
                b"[",
                b"{",
                b"}",
                b"&a ",
                b"*a",
                b"!!int ",
                b"\n",
                b"- ",
                b": ",
                b"<<: ",
                b"'",
                b"\xff",
                b"~",
                b"1e999",
            ]
            content[start:end] = data.draw(st.sampled_from(pieces) | st.binary(max_size=4))
    for name in ("w.yaml", "w.json"):
        (tmp_path / name).write_bytes(content)
        try:
            load(tmp_path / name)
        except FixtureError as error:
            assert error.problems
            assert data is not None or name == "w.json"
