"""Fixture files that are wrong: each mistake is said with its place, what was seen, and what to do."""

import itertools
import os
import re
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from effort import EFFORT
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fakebatch import FixtureError
from fakebatch.service.baseline import load
from fakebatch.service.registry import ANY, OPERATIONS, parameters_of

OPERATIONS_LISTED = ", ".join(OPERATIONS)

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


def test_a_link_to_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.symlink_to("nowhere")
    assert loading(path) == f"{path}: it is a link to a file that is not there"


def test_control_characters_are_not_printed(problems: Problems) -> None:
    assert problems('include: ["a\\e[31m.yaml"]\nexpect: {"a\\nb": !x 5}') == [
        "w.yaml:2:18: expect.a\\nb: unknown tag !x; remove it",
        "w.yaml:1:11: include[0]: a\\x1b[31m.yaml: there is no such file",
    ]


def test_a_folder(tmp_path: Path) -> None:
    assert loading(tmp_path) == f"{tmp_path}: it is a folder; name the files in it"


def test_a_file_that_can_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "w.yaml"
    path.write_text("")
    monkeypatch.setattr(Path, "read_bytes", refuse)  # permissions do not stop a test that is run by root
    assert loading(path) == f"{path}: it can't be read: Permission denied"
    assert re.fullmatch(r"w\\x00.yaml: it can't be read: .*embedded null .*", loading("w\0.yaml"))


SECTIONS = "its sections are include, images, clusters, jobs, apps, accounts, progress, script, quotas, expect"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"images:\n  - {Id: \xff}", "w.yaml:2:10: it is not UTF-8 (byte 0xff); save it as UTF-8"),
        (b"\xff\xfei\0", "w.yaml:1:1: it is not UTF-8 (byte 0xff); save it as UTF-8"),
        (
            "a:\n\tb: c",
            "w.yaml:2:1: this is not YAML: a tab can't indent; write spaces",
        ),
        ("images: *nobody", "w.yaml:1:9: this is not YAML: found undefined alias"),
        (
            "images: []\n---\nimages: []\n",
            "w.yaml:2:1: this is not YAML: expected a single document in the stream but found another document",
        ),
        ("images:\n  - {Id: \x07}", "w.yaml:2:10: this is not YAML: control characters are not allowed"),
        (
            "- {Id: a}",
            "w.yaml:1:1: expected a mapping, got a list; write the name of a section before it: include, images, clusters, jobs, apps, accounts, progress, script",
        ),
        ("just text", f"w.yaml:1:1: expected a mapping, got a text; {SECTIONS}"),
        ("5", f"w.yaml:1:1: expected a mapping, got a number; {SECTIONS}"),
        ("imgaes: []", "w.yaml:1:1: imgaes: unknown key 'imgaes'; did you mean 'images'?"),
        (
            "x: []",
            "w.yaml:1:1: x: unknown key 'x'; known are include, images, clusters, jobs, apps, accounts, progress, script, quotas, expect",
        ),
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
            "images: [{Id: a, Name: true}]",
            'w.yaml:1:24: images[0].Name: expected a text, got the boolean true; write "true" in quotes if that is what you mean',
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
            "images: [{Id: a, OwnerId: 1e5}]",
            "w.yaml:1:27: images[0].OwnerId: expected a whole number, got the number 1e5",
        ),
        (
            "images: [{Id: a, OwnerId: .nan}]",
            "w.yaml:1:27: images[0].OwnerId: expected a whole number, got the number .nan",
        ),
        (
            "images: [{Id: 'a{n}', repeat: 5.0}]",
            "w.yaml:1:31: images[0].repeat: expected a whole number, got the number 5.0",
        ),
        (
            "script: [{reply: {status: 5e2}}]",
            "w.yaml:1:27: script[0].reply.status: expected a whole number, got the number 5e2",
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
            "w.yaml:1:10: images[0]: unknown tag !shared; remove it",
        ),
        (
            "images: !!set {a, b}",
            "w.yaml:1:9: images: unknown tag !!set; remove it",
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
        ("expect: {a: {[b]: 1}}", "w.yaml:1:14: expect.a: a key must be a text"),
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
            "w.yaml:1:31: images[0].repeat: expected a whole number, got the text 'yes'",
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
            "w.yaml:1:58: accounts[0].OwnerId: this is out of range; it must be from 1 to 9223372036854775807",
        ),
        (
            "accounts: [{AccessKeyId: a, AccessKeySecret: s, OwnerId: 5}]\nimages: [{Id: a}]",
            "w.yaml:2:10: images[0]: no account has the default OwnerId 123456, so nobody would see it; give it one of 5",
        ),
        (
            "script: [{on: ListImage, delay: 1}]",
            "w.yaml:1:15: script[0].on: 'ListImage' is not an operation; did you mean 'ListImages'?",
        ),
        ("script: [{on: any, dealy: 1}]", "w.yaml:1:20: script[0].dealy: unknown key 'dealy'; did you mean 'delay'?"),
        (
            "script: [{on: any}]",
            "w.yaml:1:10: script[0]: the step does nothing; give it fail, reply, drop, delay, trickle, add, remove or becomes",
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
        (
            "script: [{drop: after}]",
            "w.yaml:1:17: script[0].drop: 'after' is not one of 'before', 'during', 'silently'",
        ),
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
        (
            "expect: {a: {b: 1, b: 2}}",
            "w.yaml:1:20: expect.a.b: the key 'b' is there already, at 1:14; remove one of them",
        ),
        (
            "expect: {1: a, 0x1: b}",
            "w.yaml:1:16: expect[1]: the key '0x1' is there already, at 1:10; remove one of them",
        ),
        (
            "script: [{where: {Name: 1, Name: 1}, delay: 1}]",
            "w.yaml:1:28: script[0].where.Name: the key 'Name' is there already, at 1:19; remove one of them",
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


@pytest.mark.parametrize(
    "secret", ["12345678x", "1234567890123456789012", "12345678.5", "!x12345678 5", "!!int 12345678x", "[12345678]"]
)
def test_a_secret_in_the_place_of_an_owner_is_not_shown(problems: Problems, secret: str) -> None:
    (line,) = problems(f"accounts: [{{AccessKeyId: a, AccessKeySecret: b, OwnerId: {secret}}}]")
    assert line.startswith("w.yaml:1:58: accounts[0].OwnerId: ")
    assert "12345678" not in line


def test_why_an_owner_is_not_shown_is_said(problems: Problems) -> None:
    assert problems("accounts: [{AccessKeyId: 5, AccessKeySecret: b, OwnerId: x}]") == [
        'w.yaml:1:26: accounts[0].AccessKeyId: expected a text, got the number 5; write "5" in quotes if that is what you mean',
        "w.yaml:1:58: accounts[0].OwnerId: expected a whole number; what is here is not shown, as it may be a secret",
    ]


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
  - {Id: 5, Name: true}
  - {Id: a, Platform: linux}
  - {Id: b}
  - {Id: b}
script:
  - {fail: Throtling}
"""
    assert problems(text, other="images: [{Id: c, Type: x}]\nacounts: []") == [
        'w.yaml:3:10: images[0].Id: expected a text, got the number 5; write "5" in quotes if that is what you mean',
        'w.yaml:3:19: images[0].Name: expected a text, got the boolean true; write "true" in quotes if that is what you mean',
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
        ("[" * 100_000, "w.json:1:101: this is nested more than 100 deep"),
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
script: [{on: ListImages, calls: 1-2, where: {Marker: 1}, fail: {code: StateConflict, State: x}, add: [{Id: z}]}]
expect: {a: [1, 2.5, yes, ~, 2016-10-31]}
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("images: [{Id: a", "w.yaml:2:1: this is not YAML: "),
        ("images:\n  - Id: a\n   Name: b\n", "w.yaml:3:4: this is not YAML: "),
        ("a: 1: 2", "w.yaml:1:5: this is not YAML: "),
    ],
)
def test_what_is_no_yaml_is_said_with_its_place_in_the_parser_s_own_words(
    problems: Problems, text: str, expected: str
) -> None:
    (line,) = problems(text)
    assert line.startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "images: [{Id: img-{n}, repeat: 2}]",
            "w.yaml:1:19: this is not YAML: a text with {n} in it must be in quotes",
        ),
        ("images:\n  - Id: {n}-x\n", "w.yaml:2:12: this is not YAML: a text with {n} in it must be in quotes"),
        (
            "images: [{Id: {n:04}, repeat: 2}]",
            'w.yaml:1:15: images[0].Id: expected a text, got a mapping; YAML takes braces for a mapping: write "{n:04}" in quotes',
        ),
        (
            "images: [{Id: a, Type: System, OwnerId: 123456}]",
            "w.yaml:1:41: images[0].OwnerId: a System image belongs to OwnerId 0, not 123456; leave OwnerId out",
        ),
        (
            "images: [{Id: a, OwnerId: 1:30}]",
            "w.yaml:1:27: images[0].OwnerId: expected a whole number, got the text '1:30'",
        ),
        (
            "images: [{Id: 'a{n}', CreationTime: '2016-01-01T00:00:{n:02}Z', repeat: 61}]",
            "w.yaml:1:37: images[0].CreationTime: '2016-01-01T00:00:60Z' is not a time; write it like 2016-10-31T06:55:33.921878Z",
        ),
        (
            "script: [{fail: 500}]",
            "w.yaml:1:17: script[0].fail: expected a text or a mapping, got the number 500; "
            'write it like InternalError, or like {status: 500, code: Broken, message: "What clients see."}',
        ),
        (
            "script: [{drop: true}]",
            "w.yaml:1:17: script[0].drop: expected a text, got the boolean true; write one of 'before', 'during', 'silently'",
        ),
        (
            "script: [{on: List, delay: 1}]",
            f"w.yaml:1:15: script[0].on: 'List' is not an operation; known are {OPERATIONS_LISTED}, any.",
        ),
        (
            "script: [{on: ListImages, where: {type: System}, delay: 1}]",
            "w.yaml:1:41: script[0].where.type: ListImages has no parameter 'type'; did you mean 'Type'?",
        ),
        (
            "script: [{add: {pods: []}}]",
            "w.yaml:1:17: script[0].add.pods: unknown key 'pods'; known are images, clusters, jobs, apps",
        ),
        (
            "script: [{add: {images: [{Id: a, Platform: x}]}}]",
            "w.yaml:1:44: script[0].add.images[0].Platform: 'x' is not one of 'Linux', 'Windows'",
        ),
        (
            "script: [{remove: {images: [5]}}]",
            "w.yaml:1:29: script[0].remove.images[0]: expected a text, got the number 5; "
            'write "5" in quotes if that is what you mean',
        ),
        (
            "script: [{reply: {headers: {a: [1]}}}]",
            "w.yaml:1:32: script[0].reply.headers.a: expected a text or a number, got a list",
        ),
        (
            "script: [{reply: {status: 204, body: x}}]",
            "w.yaml:1:18: script[0].reply: a response with the status 204 has no body; leave it out, or send it with raw",
        ),
        ("script: [{account: '', delay: 1}]", "w.yaml:1:20: script[0].account: must not be empty"),
        ("include: ['']", "w.yaml:1:11: include[0]: must not be empty"),
        ("images: [{Id: }]", "w.yaml:1:15: images[0].Id: expected a text, got nothing; write one"),
        (
            "images: [{Id: a, Type: }]",
            "w.yaml:1:24: images[0].Type: expected a text, got nothing; leave the key out, or write one of 'Self', 'System'",
        ),
        (
            "images: [{Id: a, CreationTime: 2016}]",
            "w.yaml:1:32: images[0].CreationTime: expected a text, got the number 2016; "
            "write it like 2016-10-31T06:55:33.921878Z",
        ),
        (
            "script: [{on: true, delay: 1}]",
            "w.yaml:1:15: script[0].on: expected a text, got the boolean true; "
            "write it like ListImages, or like CreateImage, or like GetImage",
        ),
        (
            "script: [{calls: 1.5, delay: 1}]",
            "w.yaml:1:18: script[0].calls: expected a whole number or a text or a list, got the number 1.5; "
            "write it like 2, or like 2-4, or like 3-",
        ),
        (
            "script: [{calls: [1, true], delay: 1}]",
            "w.yaml:1:22: script[0].calls[1]: expected a whole number or a text, got the boolean true; "
            "write it like 2, or like 2-4, or like 3-",
        ),
        (
            "script: [{drop: }]",
            "w.yaml:1:17: script[0].drop: expected a text, got nothing; "
            "leave the key out, or write one of 'before', 'during', 'silently'",
        ),
        (
            "script: [{reply: {headers: [Location]}}]",
            "w.yaml:1:29: script[0].reply.headers[0]: expected a list, got the text 'Location'; write it like [X-Name, value]",
        ),
        (
            "script: [{reply: {headers: [{a: b}]}}]",
            "w.yaml:1:29: script[0].reply.headers[0]: expected a list, got a mapping; write it like [X-Name, value]",
        ),
        (
            "script: [{reply: {headers: [[a]]}}]",
            "w.yaml:1:29: script[0].reply.headers[0]: expected 2 items, got 1; write it like [X-Name, value]",
        ),
        (
            "script: [{reply: {headers: [[a, b, c]]}}]",
            "w.yaml:1:29: script[0].reply.headers[0]: expected 2 items, got 3; write it like [X-Name, value]",
        ),
        ("images: [{5: x, Id: a}]", "w.yaml:1:11: images[0]: a key must be a text"),
        ("&a 5", f"w.yaml:1:1: expected a mapping, got a number; {SECTIONS}"),
        ("!!int", "w.yaml:1:1: '' can't be read as !!int; if it is a text, write it in quotes"),
    ],
)
def test_a_hint_leads_to_what_is_right(problems: Problems, text: str, expected: str) -> None:
    assert problems(text) == [expected]


def test_an_unknown_code_is_answered_with_those_there_are_and_how_to_make_one_s_own(problems: Problems) -> None:
    (line,) = problems("script: [{fail: Foo}]")
    assert line.startswith(
        "w.yaml:1:17: script[0].fail: 'Foo' is not a documented error code; for one of your own give "
    )
    assert "known are InvalidQueryString, InvalidUrlPattern, " in line


def test_each_wrong_part_of_a_step_is_said(problems: Problems) -> None:
    assert problems("script: [{on: Lst, calls: 0, where: {x: 1}, fail: Throttling, drop: before}]") == [
        f"w.yaml:1:15: script[0].on: 'Lst' is not an operation; known are {OPERATIONS_LISTED}, any.",
        "w.yaml:1:27: script[0].calls: 0 does not name calls; write 2, '2-4', '3-' or a list of these (the first call is 1)",
        "w.yaml:1:41: script[0].where.x: no operation has a parameter 'x'; known are " + ", ".join(parameters_of(ANY)),
        "w.yaml:1:69: script[0].drop: a step has one outcome: fail, drop or reply; make a second step for another",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "s3cret",
        "- s3cret",
        "root:s3cret:1900:0:::",
        "root:s3cret:\nroot:s3cret:",
        "accounts: s3cret",
        "accounts: [s3cret]",
        "accounts: !s3cret []",
        "accounts: [!s3cret {}]",
        "accounts: [{AccessKeyId: a, AccessKeySecret s3cret}]",
        "accounts: [{AccessKeyId: a, AccessKeySecret:s3cret}]",
        "accounts: [{AccessKeyId: a, AccessKeySecret: !s3cret x}]",
        "accounts: [{AccessKeyId: a, AccessKeySecret: [!s3cret x]}]",
        "accounts: [{AccessKeyId: a, AccessKeySecret: {s3cret: {n: *s3cret}}}]",
        "accounts: [{AccessKeyId: a, s3cret: AccessKeySecret}]",
    ],
)
def test_neither_a_secret_nor_the_text_of_another_kind_of_file_is_shown(problems: Problems, text: str) -> None:
    assert "s3cret" not in "\n".join(problems(text))
    assert "s3cret" not in "\n".join(problems('{"s3cret": ', "w.json"))


@pytest.mark.parametrize(
    "text",
    [
        "x-a0: &a0 [x]\n" + "".join(f"x-a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 3000)),
        "x-a0: &a0 {k: 1}\n" + "".join(f"x-a{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 3000)),
    ],
    ids=["lists", "merges"],
)
def test_a_chain_of_aliases(problems: Problems, text: str) -> None:
    (line,) = problems(text)
    assert re.fullmatch(r"w\.yaml:\d+:\d+: this is nested more than 100 deep, with its aliases", line)


def test_a_chain_of_includes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(1200):
        Path(f"{number}.yaml").write_text(f"include: [{number + 1}.yaml]")
    assert loading("0.yaml") == "99.yaml:1:11: include[0]: 100.yaml: files include each other more than 100 deep"


@pytest.mark.parametrize("text", ["{Id: a}", "{Id: 'b{n}', repeat: 5}"])
def test_a_world_of_too_many_records(problems: Problems, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("fakebatch.fixture_files.reading.MOST_RECORDS", 10)
    (line,) = problems(f"images: [{{Id: 'c{{n}}', repeat: 10}}, {text}]")
    place = "1:36: images[1]" if text == "{Id: a}" else "1:57: images[1].repeat"
    assert line == f"w.yaml:{place}: this makes more than 10 records in all; make fewer"


def test_what_is_no_regular_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo.yaml")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.yaml")
        for name in ("fifo.yaml", "socket.yaml", "/dev/zero"):
            assert loading(name) == f"{name}: it is no regular file; save what it gives to one"


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Path("w.yaml").open("wb") as file:
        file.truncate(2**30 + 1)
    assert loading("w.yaml") == "w.yaml: it is larger than 1,073,741,824 bytes; use repeat, or write less"


def test_a_current_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.yaml").write_text("images: [{}]")
    monkeypatch.chdir(tmp_path)
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    assert loading("w.yaml") == "w.yaml: it can't be read: the current folder is gone; give a whole path"
    assert loading(tmp_path / "w.yaml") == f"{tmp_path}/w.yaml:1:10: images[0]: Id is missing"


def test_a_folder_that_may_be_entered_and_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    assert loading(tmp_path / "w.yaml") == f"{tmp_path}/w.yaml: there is no such file"


def test_a_folder_of_many_files_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    class Endless:
        def __enter__(self) -> Iterator[os.PathLike[str]]:
            for number in itertools.count():
                read.append(number)
                yield tmp_path / f"{number}.yaml"

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", lambda _: Endless())
    assert loading(tmp_path / "w.yaml").startswith(f"{tmp_path}/w.yaml: there is no such file")
    assert len(read) == 1000


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("name", ["w.yaml", "w.json"])
def test_how_long_a_number_may_be_is_the_same_in_yaml_and_json(problems: Problems, name: str, sign: str) -> None:
    longest = f'{{"expect": ["{"2" * 5000}",\n{sign}{"1" * 4000}, 1.{"3" * 5000},\n'
    Path(name).write_text(f"{longest} 1]}}")
    load(name)
    assert problems(f"{longest} {sign}{'1' * 4001}, {sign}{'1' * 4002}]}}", name)[:1] == [
        f"{name}:3:2: {'expect[3]: ' if name == 'w.yaml' else ''}this number has more than 4000 digits"
    ]


def test_a_json_mapping_that_has_a_key_twice_is_gone_through_all_the_same(problems: Problems) -> None:
    assert problems('{"images": [{"Id": 5}], "images": [{"Id": "a"}, {"Id": 6}]}', "w.json") == [
        'w.json:1:20: images[0].Id: expected a text, got the number 5; write "5" in quotes if that is what you mean',
        "w.json:1:25: images: the key 'images' is there already, at 1:2; remove one of them",
    ]
    assert problems('{"expect": NaN}', "w.json") == ["w.json:1:12: this is not JSON: NaN"]


@settings(max_examples=1000 * EFFORT, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
            assert all(problem.line for problem in error.problems)
            assert data is not None or name == "w.json"


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (
            '{"images": true}',
            "w.json",
            "w.json:1:12: images: expected a list, got the boolean true; write a dash before each item",
        ),
        (
            '{"images": null}',
            "w.json",
            "w.json:1:12: images: expected a list, got nothing; write a dash before each item",
        ),
        ('{"expect": ' + "[" * 150 + "]" * 150 + "}", "w.json", "w.json:1:111: this is nested more than 100 deep"),
        ("images: [{Id: {m: }}]", "w.yaml", "w.yaml:1:15: images[0].Id: expected a text, got a mapping"),
        (
            "script: [{reply: {headers: [[a]]}}]",
            "w.yaml",
            "w.yaml:1:29: script[0].reply.headers[0]: expected 2 items, got 1; write it like [X-Name, value]",
        ),
    ],
)
def test_other_places_and_kinds(problems: Problems, text: str, name: str, expected: str) -> None:
    assert problems(text, name) == [expected]


def test_what_only_msgspec_refuses_is_said_in_its_words_and_at_its_place(
    problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fakebatch.service.baseline.check", lambda *_: iter(()))  # as if the schema accepted it
    (line,) = problems("images: [{Id: a}, {Id: 5}]")
    assert line.startswith("w.yaml:1:24: ")
    assert "Expected `str`, got `int`" in line
