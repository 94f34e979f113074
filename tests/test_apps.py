"""Apps: the tables of the service's reference, row by row, and what an app makes of a job that runs it."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from fakebatch import Account, App, FakeBatch, FixtureError

ECHO = {"Name": "echo", "VM": {"ECSImageId": "m-1"}, "CommandLine": "echo ${in}"}
INVALID = "Specified parameter {} is not valid. {}"
NOT_FOUND = (404, "InvalidResource.NotFound", "Specified resource is not found.")
FORBIDDEN = (403, "Forbidden", "User not authorized to operate on the specified resource.")
NOON = "2017-01-02T12:00:00.000000Z"
"""The time of every world here."""


def world(*apps: App | str | Path) -> FakeBatch:
    return FakeBatch(*apps, clock=lambda: datetime(2017, 1, 2, 12, tzinfo=UTC))


def create(fake: FakeBatch, description: Any = ECHO, query: str = "") -> TestResponse:
    return Client(fake).post(f"/apps{query}", json=description)


def modify(fake: FakeBatch, change: Any, name: str = "echo") -> TestResponse:
    return Client(fake).put(f"/apps/{name}", json=change)


def run(fake: FakeBatch, app: dict[str, Any], query: str = "", **description: Any) -> TestResponse:
    return Client(fake).post(f"/jobs{query}", json={"Name": "nightly", "Type": "App", "App": app, **description})


def get(fake: FakeBatch, path: str) -> Any:
    response = Client(fake).get(path)
    assert response.status_code == 200, response.json
    return response.json


def refused(response: TestResponse) -> tuple[int, str, str]:
    assert response.json is not None
    return response.status_code, response.json["Code"], response.json["Message"]


def code(response: TestResponse) -> tuple[int, str]:
    return refused(response)[:2]


def names(page: Any) -> list[str]:
    return [item["Name"] for item in page["Items"]]


# CreateApp


def test_create_app_answers_with_the_name_of_an_app_of_the_callers() -> None:
    fake = world()
    response = create(fake)
    assert (response.status_code, response.json) == (201, {"Name": "echo"})
    app = fake.apps["echo"]
    assert (app.name, app.owner_id, app.creation_time, app.scope) == ("echo", 123456, NOON, "Private")
    assert (app.description, app.command_line) == ("", "echo ${in}")


def test_an_app_reads_back_whole_with_its_defaults() -> None:
    fake = world()
    create(fake)
    assert get(fake, "/apps/echo?Detail=True") == {
        **ECHO,
        "Description": "",
        "InputParameters": {},
        "OutputParameters": {},
        "EnvVars": {},
        "Daemonize": False,
        "Config": {},
    }


def test_what_is_null_empty_or_unknown_is_left_out() -> None:
    fake = world()
    description = {
        **ECHO,
        "Docker": {},
        "InputParameters": {"in": {"Type": "Number", "Default": None, "LocalPath": ""}, "any": {}, "no": None},
        "EnvVars": {"a": "", "b": None},
        "Scope": "Public",
        "IdempotentToken": "t",
    }
    assert create(fake, description).status_code == 201
    detail = get(fake, "/apps/echo?Detail=True")
    assert detail["InputParameters"] == {"in": {"Type": "Number", "LocalPath": ""}, "any": {"Type": "String"}}
    assert detail["EnvVars"] == {"a": ""}
    assert {"Docker", "Scope", "IdempotentToken"}.isdisjoint(detail)
    assert fake.apps["echo"].scope == "Private"


def parameters(**parameter: Any) -> dict[str, Any]:
    return {**ECHO, "InputParameters": {"p": parameter}}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in ECHO.items() if key != name}


@pytest.mark.parametrize(
    "description",
    [
        {**ECHO, "Name": "0_a-B"},
        {**ECHO, "Description": "d" * 1000},
        {**without("VM"), "Docker": {"Image": "localhost:5000/mine"}},
        {**without("VM"), "VM": {}, "Docker": {"Image": "mine", "RegistryOSSPath": "oss://b/r"}},
        {**ECHO, "VM": {"ECSImageId": "img-ubuntu"}},
        {**ECHO, "CommandLine": "c" * 1000},
        {**ECHO, "EnvVars": {f"k{number}": "v" for number in range(50)}},
        {**ECHO, "EnvVars": {"k" * 100: "v" * 1000, "0": ""}},
        {**ECHO, "Daemonize": True},
        {**ECHO, "Config": {"InstanceCount": {"Description": "", "Default": 1, "Overwritable": True}, "Other": {}}},
        parameters(Type="Number", Default=5),
        parameters(Type="Number", Default=-1.5),
        parameters(Type="String", Default=""),
        parameters(Type="", Default="s"),
        parameters(Description="only this", LocalPath="/" * 1000),
    ],
)
def test_a_description_within_the_rules_is_accepted_and_reads_back(description: dict[str, Any]) -> None:
    fake = world()
    assert create(fake, description).status_code == 201
    detail = get(fake, f"/apps/{description['Name']}?Detail=True")
    given = {name: value for name, value in description.items() if value != {} and name != "InputParameters"}
    assert {name: detail[name] for name in given} == given
    for name, parameter in description.get("InputParameters", {}).items():
        assert detail["InputParameters"][name] == {**parameter, "Type": parameter.get("Type") or "String"}


STRING, NUMBER, OBJECT = (f"Its type must be {kind}." for kind in ("string", "number", "object"))
CHARACTERS = "It must only contain characters within [a-zA-Z0-9_-]."


@pytest.mark.parametrize(
    ("description", "wrong", "message"),
    [
        (without("Name"), "MissingName", "Name is mandatory for this action."),
        ({**ECHO, "Name": None}, "MissingName", "Name is mandatory for this action."),
        ({**ECHO, "Name": ""}, "MissingName", "Name is mandatory for this action."),
        ({**ECHO, "Name": 5}, "InvalidName", INVALID.format("Name", STRING)),
        *(
            ({**ECHO, "Name": name}, "InvalidName", INVALID.format("Name", CHARACTERS))
            for name in ("a b", "a:b", "Public:a", "a.b", "名")
        ),
        ({**ECHO, "Description": 5}, "InvalidDescription", INVALID.format("Description", STRING)),
        (
            {**ECHO, "Description": "d" * 1001},
            "InvalidDescription",
            INVALID.format("Description", "Its length must be in [0, 1000]."),
        ),
        *(
            ({**ECHO, name: []}, f"Invalid{name}", INVALID.format(name, OBJECT))
            for name in ("InputParameters", "OutputParameters", "VM", "Docker", "EnvVars", "Config")
        ),
        (
            {**ECHO, "InputParameters": {"p": "x"}},
            "InvalidInputParameters.p",
            INVALID.format("InputParameters.p", OBJECT),
        ),
        (parameters(Type="Text"), "InvalidType", INVALID.format("Type", "It must be in [String, Number].")),
        (parameters(Type=5), "InvalidType", INVALID.format("Type", STRING)),
        *(
            (parameters(Type="Number", Default=default), "InvalidDefault", INVALID.format("Default", NUMBER))
            for default in ("s", True, [5], {"x": 1})
        ),
        *(
            (parameters(Default=default), "InvalidDefault", INVALID.format("Default", STRING))
            for default in (5, 1.5, True, ["x"], {"x": 1})
        ),
        (
            parameters(LocalPath="/" * 1001),
            "InvalidLocalPath",
            INVALID.format("LocalPath", "Its length must be in [0, 1000]."),
        ),
        (without("VM"), "MissingVM", "VM is mandatory for this action."),
        ({**ECHO, "VM": {}}, "MissingVM", "VM is mandatory for this action."),
        ({**ECHO, "VM": {"ECSImageId": ""}}, "MissingECSImageId", "ECSImageId is mandatory for this action."),
        ({**ECHO, "VM": {"ECSImageId": 5}}, "InvalidECSImageId", INVALID.format("ECSImageId", STRING)),
        ({**without("VM"), "Docker": {"RegistryOSSPath": "r"}}, "MissingImage", "Image is mandatory for this action."),
        (
            {**ECHO, "Docker": {"Image": "mine"}},
            "InvalidDocker",
            INVALID.format("Docker", "It must not be given beside VM."),
        ),
        (without("CommandLine"), "MissingCommandLine", "CommandLine is mandatory for this action."),
        ({**ECHO, "CommandLine": ""}, "MissingCommandLine", "CommandLine is mandatory for this action."),
        ({**ECHO, "CommandLine": 5}, "InvalidCommandLine", INVALID.format("CommandLine", STRING)),
        (
            {**ECHO, "CommandLine": "c" * 1001},
            "InvalidCommandLine",
            INVALID.format("CommandLine", "Its length must be in [1, 1000]."),
        ),
        (
            {**ECHO, "EnvVars": {f"k{number}": "v" for number in range(51)}},
            "InvalidEnvVars",
            INVALID.format("EnvVars", "Its size must be in [0, 50]."),
        ),
        ({**ECHO, "EnvVars": {"a b": "v"}}, "InvalidEnvVars.a b", INVALID.format("EnvVars.a b", CHARACTERS)),
        (
            {**ECHO, "EnvVars": {"k" * 101: "v"}},
            f"InvalidEnvVars.{'k' * 101}",
            INVALID.format(f"EnvVars.{'k' * 101}", "Its length must be in [1, 100]."),
        ),
        (
            {**ECHO, "EnvVars": {"k": "v" * 1001}},
            "InvalidEnvVars.k",
            INVALID.format("EnvVars.k", "Its length must be in [0, 1000]."),
        ),
        ({**ECHO, "Daemonize": "true"}, "InvalidDaemonize", INVALID.format("Daemonize", "Its type must be boolean.")),
        ({**ECHO, "Config": {"Timeout": 5}}, "InvalidConfig.Timeout", INVALID.format("Config.Timeout", OBJECT)),
        (
            {**ECHO, "IdempotentToken": 5},
            "InvalidIdempotentToken",
            INVALID.format("IdempotentToken", STRING),
        ),
    ],
)
def test_a_wrong_description_is_refused_and_creates_nothing(
    description: dict[str, Any], wrong: str, message: str
) -> None:
    fake = world()
    assert refused(create(fake, description)) == (400, wrong, message)
    assert len(fake.apps) == 0


def test_a_second_app_of_a_name_is_refused() -> None:
    fake = world()
    create(fake)
    message = "Specified resource already exists."
    assert refused(create(fake, {**ECHO, "CommandLine": "other"})) == (403, "InvalidResource.AlreadyExisting", message)
    assert fake.apps["echo"].command_line == "echo ${in}"
    assert create(fake, {**ECHO, "Name": "Echo"}).status_code == 201


def test_an_app_may_have_the_name_of_a_public_one() -> None:
    fake = world(App(name="echo", scope="Public"))
    assert create(fake).status_code == 201
    assert [(app.name, app.scope) for app in fake.apps] == [("echo", "Private"), ("echo", "Public")]


def test_the_same_token_answers_the_first_name_and_creates_nothing() -> None:
    fake = world()
    first = create(fake, query="?IdempotentToken=t")
    again = create(fake, {**ECHO, "IdempotentToken": "t"})
    assert (again.status_code, again.json) == (first.status_code, first.json) == (201, {"Name": "echo"})
    other = create(fake, {**ECHO, "Name": "other"}, "?IdempotentToken=t")
    assert code(other) == (400, "IdempotentTokenMismatch")
    assert len(fake.apps) == 1


# GetApp, ListApps


def test_get_app_shows_no_more_than_who_runs_it_needs() -> None:
    parameter = {"Description": "d", "Type": "Number", "Default": 0, "LocalPath": "/x"}
    shown = {name: value for name, value in parameter.items() if name != "LocalPath"}
    config = {"InstanceType": {"Default": "ecs.sn1.large", "Overwritable": True}}
    fake = world()
    create(
        fake,
        {
            **ECHO,
            "Description": "夜间",
            "InputParameters": {"in": parameter, "any": {}},
            "OutputParameters": {"out": parameter},
            "EnvVars": {"a": "b"},
            "Config": config,
        },
    )
    expected = {
        "Name": "echo",
        "Description": "夜间",
        "OwnerId": 123456,
        "CreationTime": NOON,
        "InputParameters": {"in": shown, "any": {"Type": "String"}},
        "OutputParameters": {"out": shown},
        "Config": config,
    }
    assert get(fake, "/apps/echo") == get(fake, "/apps/echo?Scope=Private&Detail=False") == expected
    assert get(fake, "/apps") == {"NextMarker": "", "Items": [expected]}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/apps/nope"),
        ("GET", "/apps/Echo"),
        ("GET", "/apps/echo?Scope=Public"),
        ("GET", "/apps/Public:all"),
        ("GET", "/apps/:all"),
        ("GET", "/apps/123456:echo"),
        ("GET", "/apps/all"),
        ("GET", "/apps/all?Detail=True"),
        ("GET", "/apps/all?Revisions=True"),
        ("GET", "/apps/nope?Detail=True"),
        ("GET", "/apps/nope?Revisions=True"),
        ("GET", "/apps/echo?Detail=True&Qualifier=1"),
        ("GET", "/apps/echo?Detail=True&Qualifier=00"),
        ("GET", "/apps/echo?Detail=True&Qualifier=an-alias"),
        ("DELETE", "/apps/echo?Qualifier=1"),
        ("PUT", "/apps/nope"),
    ],
)
def test_what_is_not_there_is_not_found(method: str, path: str) -> None:
    fake = world(App(name="echo"), App(name="all", scope="Public"))
    assert refused(Client(fake).open(path, method=method, json=ECHO)) == NOT_FOUND


def test_a_public_app_is_shown_to_who_asks_for_public_ones() -> None:
    fake = world(App(name="all", scope="Public", owner_id=7), App(name="mine"))
    assert get(fake, "/apps/all?Scope=Public")["OwnerId"] == 7
    assert names(get(fake, "/apps?Scope=Public")) == ["all"]
    for scope in ("", "?Scope", "?Scope=Private", "?Scope=public"):
        assert names(get(fake, f"/apps{scope}")) == ["mine"]


def test_apps_are_listed_by_name_without_regard_to_case() -> None:
    order = ["echo", "JavaSdkApp", "PythonSdkTest", "test", "test-copy", "test_1"]
    fake = world(*(App(name=name) for name in reversed(order)))
    assert names(get(fake, "/apps")) == order
    page = get(fake, "/apps?MaxItemCount=2")
    assert (names(page), page["NextMarker"]) == (order[:2], "PythonSdkTest")
    page = get(fake, "/apps?MaxItemCount=2&Marker=PythonSdkTest")
    assert (names(page), page["NextMarker"]) == (order[2:4], "test-copy")
    assert names(get(fake, "/apps?Marker=Nothing")) == order[2:]
    assert get(fake, "/apps?Marker=zzz") == {"NextMarker": "", "Items": []}


def test_public_apps_are_paged_by_their_names() -> None:
    fake = world(*(App(name=name, scope="Public") for name in ("a", "B", "c")))
    page = get(fake, "/apps?Scope=Public&MaxItemCount=1&Marker=B")
    assert (names(page), page["NextMarker"]) == (["B"], "c")


@pytest.mark.parametrize(
    ("count", "message"),
    [("0", "It must be in [1, 100]."), ("101", "It must be in [1, 100]."), ("x", "Its type must be integer.")],
)
def test_a_page_has_1_to_100_apps(count: str, message: str) -> None:
    response = Client(world()).get(f"/apps?MaxItemCount={count}")
    assert refused(response) == (400, "InvalidMaxItemCount", INVALID.format("MaxItemCount", message))


def test_a_page_has_50_apps_if_nothing_is_said() -> None:
    fake = world(*(App(name=f"app-{number:03}") for number in range(101)))
    assert len(get(fake, "/apps")["Items"]) == 50
    assert len(get(fake, "/apps?MaxItemCount=100")["Items"]) == 100


# ModifyApp, and revisions


def test_each_change_adds_a_revision() -> None:
    now = [datetime(2017, 1, 2, 12, tzinfo=UTC)]
    fake = FakeBatch(clock=lambda: now[0])
    create(fake)
    now[0] = datetime(2017, 1, 2, 13, tzinfo=UTC)
    change = {
        "Name": "echo",
        "Description": "d",
        "CommandLine": "other",
        "EnvVars": {"a": "b"},
        "Daemonize": True,
        "Docker": {"Image": "mine"},
    }
    response = modify(fake, change)
    assert (response.status_code, response.data) == (200, b"")
    assert get(fake, "/apps/echo?Revisions=True") == [
        {"Revision": 0, "UpdateTime": NOON},
        {"Revision": 1, "UpdateTime": "2017-01-02T13:00:00.000000Z"},
    ]
    detail = get(fake, "/apps/echo?Detail=true&Qualifier")
    assert detail == {**change, "InputParameters": {}, "OutputParameters": {}, "Config": {}}
    assert get(fake, "/apps/echo?Detail=True&Qualifier=1") == detail
    assert get(fake, "/apps/echo?Detail=True&Qualifier=0")["CommandLine"] == "echo ${in}"
    app = fake.apps["echo"]
    assert (app.description, app.command_line, app.creation_time) == ("d", "other", NOON)
    assert [revision.number for revision in app.revisions] == [0, 1]
    assert get(fake, "/apps/echo")["Description"] == "d"


def test_parameters_and_config_of_a_change_are_ignored() -> None:
    fake = world()
    create(fake, {**ECHO, "InputParameters": {"in": {}}})
    ignored = {"InputParameters": 5, "OutputParameters": {"out": {}}, "Config": {"Timeout": {}}, "Other": "x"}
    assert modify(fake, {**ECHO, "CommandLine": "other", **ignored}).status_code == 200
    detail = get(fake, "/apps/echo?Detail=True")
    assert detail == {**get(fake, "/apps/echo?Detail=True&Qualifier=0"), "CommandLine": "other"}


def test_of_what_a_change_leaves_out_only_the_image_stays() -> None:
    fake = world()
    create(fake, {**ECHO, "Description": "d", "EnvVars": {"a": "b"}, "Daemonize": True})
    assert modify(fake, {"CommandLine": "other", "Docker": None}).status_code == 200
    app = fake.apps["echo"].description_data()
    assert (app["VM"], app["Description"], app["EnvVars"], app["Daemonize"]) == (ECHO["VM"], "", {}, False)


@pytest.mark.parametrize(
    ("change", "wrong", "message"),
    [
        ({}, "MissingCommandLine", "CommandLine is mandatory for this action."),
        ({"CommandLine": ""}, "MissingCommandLine", "CommandLine is mandatory for this action."),
        ({**ECHO, "Name": 5}, "InvalidName", INVALID.format("Name", STRING)),
        *(
            ({**ECHO, "Name": name}, "InvalidName", INVALID.format("Name", "It must be the name of the app."))
            for name in ("other", "echo2", "Echo")
        ),
        ({**ECHO, "VM": "m-1"}, "InvalidVM", INVALID.format("VM", OBJECT)),
        (
            {**ECHO, "Docker": {"Image": "mine"}},
            "InvalidDocker",
            INVALID.format("Docker", "It must not be given beside VM."),
        ),
        ({**ECHO, "EnvVars": {"a b": ""}}, "InvalidEnvVars.a b", INVALID.format("EnvVars.a b", CHARACTERS)),
    ],
)
def test_a_wrong_change_is_refused_and_adds_no_revision(change: dict[str, Any], wrong: str, message: str) -> None:
    fake = world()
    create(fake)
    assert refused(modify(fake, change)) == (400, wrong, message)
    assert len(fake.apps["echo"].revisions) == 1


def test_an_app_that_somebody_holds_does_not_change() -> None:
    fake = world(App(name="echo", command_line="first"))
    before = fake.apps["echo"]
    modify(fake, ECHO)
    assert (before.command_line, fake.apps["echo"].command_line) == ("first", "echo ${in}")
    fake.reset()
    assert fake.apps["echo"] == before


# DeleteApp


def test_delete_app_removes_it_and_answers_with_no_body() -> None:
    fake = world()
    create(fake)
    modify(fake, ECHO)
    response = Client(fake).delete("/apps/echo?Qualifier")
    assert (response.status_code, response.data) == (204, b"")
    assert "echo" not in fake.apps
    assert create(fake).status_code == 201
    assert len(fake.apps["echo"].revisions) == 1


@pytest.mark.parametrize("path", ["/apps/nope", "/apps/nope?Qualifier=0"])
def test_an_app_that_is_not_there_counts_as_deleted(path: str) -> None:
    assert Client(world()).delete(path).status_code == 204


def test_a_revision_is_deleted_by_its_number_and_with_the_last_the_app() -> None:
    fake = world()
    create(fake)
    for command in ("first", "second"):
        modify(fake, {**ECHO, "CommandLine": command})
    assert Client(fake).delete("/apps/echo?Qualifier=1").status_code == 204
    assert [item["Revision"] for item in get(fake, "/apps/echo?Revisions=True")] == [0, 2]
    assert refused(Client(fake).delete("/apps/echo?Qualifier=1")) == NOT_FOUND
    assert Client(fake).delete("/apps/echo?Qualifier=2").status_code == 204
    assert fake.apps["echo"].command_line == "echo ${in}"
    assert Client(fake).delete("/apps/echo?Qualifier=0").status_code == 204
    assert "echo" not in fake.apps


def test_a_public_app_is_nobodys_to_change() -> None:
    fake = world(App(name="all", scope="Public"))
    assert refused(Client(fake).delete("/apps/all")) == FORBIDDEN
    assert refused(modify(fake, {**ECHO, "Name": "all"}, "all")) == FORBIDDEN
    create(fake, {**ECHO, "Name": "all"})
    assert modify(fake, {**ECHO, "Name": "all"}, "all").status_code == 200
    assert Client(fake).delete("/apps/all").status_code == 204
    assert [app.scope for app in fake.apps] == ["Public"]


# Owners


def test_with_accounts_each_caller_has_its_own_apps() -> None:
    accounts = [Account("a", "secret-a"), Account("b", "secret-b", owner_id=42)]
    fake = FakeBatch(App(name="all", scope="Public"), App(name="b-1", owner_id=42), accounts=accounts)
    with fake:
        a, b = (fake.sdk_client(account.access_key_id, account.access_key_secret) for account in accounts)
        for client in (a, b):
            assert client.create_app(ECHO).Id == "echo"
        assert sorted(fake.apps.of(42), key=lambda app: app.name) == [fake.apps["42:b-1"], fake.apps["42:echo"]]
        assert (fake.apps["echo"].owner_id, fake.apps["42:echo"].owner_id) == (123456, 42)
        a.delete_app("echo")
        assert [app.Name for app in a.list_apps().Items] == []
        page = b.list_apps(max_item_count=1)
        assert ([app.Name for app in page.Items], page.NextMarker) == (["b-1"], "echo")
        assert [app.Name for app in b.list_apps(marker="echo").Items] == ["echo"]
        for client in (a, b):
            assert [app.Name for app in client.list_apps("Public").Items] == ["all"]


def test_without_accounts_everybody_has_the_apps_of_all_owners() -> None:
    fake = world(App(name="echo", owner_id=42), App(name="other", owner_id=42), App(name="echo"))
    assert get(fake, "/apps/other")["OwnerId"] == 42
    assert get(fake, "/apps/echo")["OwnerId"] == 123456
    assert code(create(fake, {**ECHO, "Name": "other"})) == (403, "InvalidResource.AlreadyExisting")
    owners, marker = [], ""
    for _ in range(3):  # a page each
        page = get(fake, f"/apps?MaxItemCount=1&Marker={marker}")
        owners += [(item["Name"], item["OwnerId"]) for item in page["Items"]]
        marker = page["NextMarker"]
    assert (owners, marker) == ([("echo", 123456), ("echo", 42), ("other", 42)], "")
    assert Client(fake).delete("/apps/echo").status_code == 204
    assert modify(fake, ECHO).status_code == 200
    assert len(fake.apps["42:echo"].revisions) == 2


# From files and from Python


def test_an_app_of_a_fixture_file_needs_a_name_only(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(
        """
        apps:
          - Name: minimal
          - {Name: all, Scope: Public, OwnerId: 7}
          - {Name: docker, Docker: {Image: mine}, CommandLine: "run ${{in}}", CreationTime: 2016-11-01T00:00:00Z}
          - {Name: "many-{n}", repeat: 2}
        """.replace("${{in}}", "${in}")
    )
    fake = world(path)
    assert [app.name for app in fake.apps] == ["all", "docker", "many-0", "many-1", "minimal"]
    assert get(fake, "/apps/minimal?Detail=True") == {
        "Name": "minimal",
        "Description": "",
        "InputParameters": {},
        "OutputParameters": {},
        "VM": {"ECSImageId": "m-28lyfn0tr"},
        "CommandLine": "true",
        "EnvVars": {},
        "Daemonize": False,
        "Config": {},
    }
    assert fake.apps["Public:all"].owner_id == 7
    assert "VM" not in fake.apps["docker"].description_data()
    created = "2016-11-01T00:00:00.000000Z"
    assert get(fake, "/apps/docker?Revisions=True") == [{"Revision": 0, "UpdateTime": created}]


def test_everything_wrong_with_the_apps_of_a_fixture_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.yaml").write_text(
        "apps:\n"
        "  - CommandLine: x\n"
        "  - {Name: a, Scope: public}\n"
        "  - {Name: b, InputParameters: {in: {Type: Number, Default: x}}}\n"
        "  - {Name: c, VM: {ECSImageId: m-1}, Docker: {Image: mine}}\n"
        "  - {Name: d, Command: x}\n"
        "  - Name: e\n"
        "  - Name: e\n"
    )
    with pytest.raises(FixtureError) as caught:
        FakeBatch("w.yaml")
    assert [str(problem) for problem in caught.value.problems] == [
        "w.yaml:6:15: apps[4].Command: unknown key 'Command'; did you mean 'CommandLine'?",
        "w.yaml:2:5: apps[0].Name: Name is missing",
        "w.yaml:3:22: apps[1].Scope: 'public' is not one of 'Private', 'Public'; did you mean 'Public'?",
        "w.yaml:4:61: apps[2].InputParameters.in.Default: its type must be number",
        "w.yaml:5:46: apps[3].Docker: it must not be given beside VM",
        "w.yaml:8:11: apps[6].Name: 'e' is there already, at w.yaml:7:11: apps[5]; each must be unique",
    ]


def test_an_app_is_made_of_fields_a_mapping_or_an_object_of_the_sdk() -> None:
    from batchcompute.resources import AppDescription

    described = AppDescription()
    described.Name = "echo"
    described.CommandLine = "echo ${in}"
    described.VM.ECSImageId = "m-1"
    described.add_input_parameter("in", {})
    described.set_instance_count(3)
    inputs = {"in": {"Description": "", "Type": "String", "LocalPath": ""}}
    config = {"InstanceCount": {"Description": "", "Default": 3, "Overwritable": True}}
    by_fields = App(
        name="echo", command_line="echo ${in}", vm={"ECSImageId": "m-1"}, input_parameters=inputs, config=config
    )
    by_mapping = App({**ECHO, "InputParameters": inputs}, config=config)
    assert App(described).description_data() == by_fields.description_data() == by_mapping.description_data()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: App(), ValueError, "Name is missing"),
        (lambda: App(name="a b"), ValueError, "it must only contain characters within"),
        (
            lambda: App(name="a", comand_line="x"),  # type: ignore[call-arg]  # a slip
            TypeError,
            "App has no field 'comand_line'; did you mean 'command_line'",
        ),
        (lambda: App(name="a", vm={"ECSImageId": 5}), ValueError, "its type must be string"),
        (lambda: FakeBatch(App(name="a"), App(name="a")), ValueError, "there is an app 'a' already"),
    ],
)
def test_an_app_that_is_none_is_refused(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_apps_are_added_and_removed_while_the_fake_runs() -> None:
    fake = world()
    fake.apps.add(App(name="echo"))
    fake.apps.add(App(name="Alpha", scope="Public"))
    assert (len(fake.apps), "echo" in fake.apps, "Public:Alpha" in fake.apps) == (2, True, True)
    with pytest.raises(KeyError, match=r"no app 'ehco'; the nearest is 'echo'"):
        fake.apps.remove("ehco")
    fake.apps.remove("echo")
    assert [app.name for app in fake.apps] == ["Alpha"]


def test_an_app_tells_which_it_is() -> None:
    assert repr(App(name="echo", command_line="x")) == "App(name='echo', owner_id=123456, scope='Private')"


def test_a_script_lets_apps_appear_and_vanish() -> None:
    fake = world(App(name="echo"))
    fake.on("GetApp", calls=1, where={"AppName": "late"}).add(App(name="late", scope="Public"))
    fake.on("GetAppDetail").remove("echo", resource="apps")
    assert get(fake, "/apps/late?Scope=Public")["Name"] == "late"
    assert refused(Client(fake).get("/apps/echo?Detail=True")) == NOT_FOUND
    fake.reset()
    assert [app.name for app in fake.apps] == ["echo"]


# Jobs that run an app

RICH = {
    "Name": "rich",
    "VM": {"ECSImageId": "m-1"},
    "CommandLine": "run ${in} ${count} ${flag} ${out} ${HOME} $in {in} ${}",
    "InputParameters": {"in": {}, "count": {"Type": "Number", "Default": 5}, "flag": {"Default": "no"}},
    "OutputParameters": {"out": {"Default": "o"}, "log": {}},
    "EnvVars": {"A": "${in}"},
    "Config": {
        "InstanceCount": {"Default": 3, "Overwritable": True},
        "Timeout": {"Default": 60, "Overwritable": False},
        "InstanceType": {"Overwritable": True},
        "MinDiskSize": {"Default": 40},
    },
}


def command(fake: FakeBatch, **app: Any) -> Any:
    """Return what a job would run."""
    job = run(fake, {"AppName": "rich", **app})
    assert job.status_code == 201, job.json
    return fake.jobs[job.get_json()["Id"]].app_command


def test_a_job_runs_the_command_line_of_its_app_with_its_own_inputs() -> None:
    fake = world(App(RICH))
    app = command(fake, Inputs={"in": "a $x \\1", "flag": True}, Outputs={"out": "oss://b/o"})
    assert app["CommandLine"] == "run a $x \\1 5 true oss://b/o ${HOME} $in {in} ${}"
    assert app["EnvVars"] == {"A": "${in}"}
    assert command(fake, Inputs={"in": "", "count": 1.5})["CommandLine"] == "run  1.5 no o ${HOME} $in {in} ${}"


def test_a_job_has_the_settings_of_its_app_but_for_those_of_its_own() -> None:
    fake = world(App(RICH))
    inputs = {"in": "x"}
    assert command(fake, Inputs=inputs)["Config"] == {"InstanceCount": 3, "Timeout": 60, "MinDiskSize": 40}
    config = {"InstanceCount": 2, "InstanceType": "t", "MinDiskSize": 50, "NotListed": "x"}
    assert command(fake, Inputs=inputs, Config=config)["Config"] == {"Timeout": 60, **config}
    job = run(fake, {"AppName": "rich", "Inputs": inputs, "Config": {"InstanceCount": 2}}).get_json()["Id"]
    assert get(fake, f"/jobs/{job}")["InstanceMetrics"]["WaitingCount"] == 2
    assert get(fake, f"/jobs/{job}?description")["App"]["Config"] == {"InstanceCount": 2}


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        ({"AppName": "nope"}, NOT_FOUND),
        ({"AppName": "Public:rich"}, NOT_FOUND),
        ({"AppName": ":rich"}, NOT_FOUND),
        ({"AppName": "Private:rich"}, NOT_FOUND),
        ({"AppName": "all"}, NOT_FOUND),
        ({"AppName": ":"}, NOT_FOUND),
        ({"AppName": "rich"}, (400, "MissingInputs.in", "Inputs.in is mandatory for this action.")),
        (
            {"AppName": "rich", "Inputs": {"in": None}},
            (400, "MissingInputs.in", "Inputs.in is mandatory for this action."),
        ),
        (
            {"AppName": "rich", "Inputs": {"in": "x", "other": 1}},
            (400, "InvalidInputs.other", INVALID.format("Inputs.other", "The app has no such input.")),
        ),
        (
            {"AppName": "rich", "Inputs": {"in": "x"}, "Config": {"Timeout": 5}},
            (400, "InvalidConfig.Timeout", INVALID.format("Config.Timeout", "The app does not let it be overwritten.")),
        ),
    ],
)
def test_a_job_that_its_app_does_not_allow_is_refused(app: dict[str, Any], expected: tuple[int, str, str]) -> None:
    fake = world(App(RICH), App(name="all", scope="Public"))
    assert refused(run(fake, app)) == expected
    assert len(fake.jobs) == 0


@pytest.mark.parametrize("name", ["Public:all", ":all"])
def test_a_job_may_run_a_public_app(name: str) -> None:
    fake = world(App(name="all", scope="Public", command_line="public"), App(name="all"))
    job = run(fake, {"AppName": name}).get_json()["Id"]
    assert fake.jobs[job].app_command["CommandLine"] == "public"


def test_a_job_runs_the_newest_revision_that_there_was() -> None:
    fake = world(App(name="echo", command_line="first"))
    modify(fake, {**ECHO, "CommandLine": "second"})
    job = run(fake, {"AppName": "echo"}).get_json()["Id"]
    modify(fake, {**ECHO, "CommandLine": "third"})
    assert fake.jobs[job].app_command["CommandLine"] == "second"


def test_a_token_answers_the_first_job_after_the_app_is_gone() -> None:
    fake = world(App(name="echo"))
    first = run(fake, {"AppName": "echo"}, "?IdempotentToken=t")
    Client(fake).delete("/apps/echo")
    assert run(fake, {"AppName": "echo"}, "?IdempotentToken=t").json == first.json
    assert refused(run(fake, {"AppName": "echo"})) == NOT_FOUND


# The official clients


def test_the_sdk_creates_reads_changes_and_deletes_an_app() -> None:
    with world() as fake:
        client = fake.sdk_client()
        description = {**ECHO, "InputParameters": {"in": {"Type": "Number", "Default": None}}}
        assert client.create_app(description).Id == "echo"
        app = client.get_app("echo")
        assert (app.Name, app.InputParameters["in"].Type) == ("echo", "Number")
        client.modify_app("echo", {**ECHO, "CommandLine": "other"})
        assert [item.Revision for item in client.get_app_revisions("echo").Items] == [0, 1]
        assert client.get_app_detail("echo").CommandLine == "other"
        assert client.get_app_detail("echo", "0").CommandLine == "echo ${in}"
        client.delete_app("echo", "1")
        assert client.get_app_detail("echo").CommandLine == "echo ${in}"
        client.delete_app("echo")
        assert len(fake.apps) == 0


def test_bcs_creates_changes_shows_runs_and_deletes_an_app(tmp_path: Path) -> None:
    (tmp_path / ".batchcompute").mkdir()
    settings = "[common]\nregion = cn-shanghai\naccesskeyid = k\naccesskeysecret = s\nssl = off\nosspath = oss://b/p/\n"
    (tmp_path / ".batchcompute" / "cliconfig").write_text(settings)
    program = "from batchcompute_cli.cli import main; main()"

    def bcs(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program, *arguments],
            env={**os.environ, "HOME": str(tmp_path), **fake.environment()},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    with world(App(name="all", scope="Public")) as fake:
        assert "App created: echo" in bcs("ca", "echo", "run ${in}", "-i", "m-1", "--inputs", "in:String:/x:d:y")
        listed = bcs("a")
        assert ":all" in listed
        assert "echo" in listed
        assert "done" in bcs("ua", "echo", "other ${in}", "--docker", "localhost:5000/x@oss://b/r/", "-y")
        assert "CommandLine: other ${in}" in bcs("a", "echo", "1")
        for name in ("echo", ":all"):
            assert "Job created: job-" in bcs("asub", name)
        assert [job.app_command["CommandLine"] for job in fake.jobs] == ["other y", "true"]
        bcs("da", "echo", "-y")
        assert [app.name for app in fake.apps] == ["all"]
