"""The resource apps: its record, its operations, and what an app makes of a job that runs it.

Knows nothing of files, HTTP, or how a job goes on.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import msgspec
from msgspec import Meta

from ..errors import ApiError
from .described import EXAMPLE_TIME, OWNER, TIME, Described, encode, time_of
from .operation import TOKEN, Page, Parameters, Resource, View, idempotent_token
from .records import EXAMPLE_OWNER
from .rules import (
    Field,
    Flag,
    Map,
    Object,
    Path,
    Rules,
    Text,
    check,
    filled,
    invalid,
    missing,
    object_schema,
    without_nulls,
)

Scope = Literal["Private", "Public"]

_PUBLIC = "Public"
_REFERENCE = re.compile(r"\$\{([^{}]+)\}")
"""Where a command line refers to a parameter. [doc]"""


def _check_default(parameter: Mapping[str, Any], path: Path) -> None:
    """Raise `BrokenRuleError` for a default that is not of the parameter's type."""
    default = parameter.get("Default")
    if default is None:
        return
    if parameter.get("Type") == "Number":
        if isinstance(default, bool) or not isinstance(default, int | float):
            raise invalid((*path, "Default"), "Its type must be number.")
    elif not isinstance(default, str):
        raise invalid((*path, "Default"), "Its type must be string.")


_PARAMETER = Object(
    fields={
        "Description": Text(blank=True, about="Any text."),
        "Type": Text(only=("String", "Number"), default="String"),
        "Default": Field(about="Of that type; a job must give what has none."),
        "LocalPath": Text(length=(0, 1000), about="Where the program finds it; a folder ends in /."),
    },
    also=_check_default,
)

_DESCRIPTION = Text(default="", blank=True, length=(0, 1000), about="Any text.")
_IMAGE: Rules = {
    "VM": Object(fields={"ECSImageId": Text(mandatory=True)}, about="The image to run it from."),
    "Docker": Object(
        fields={"Image": Text(mandatory=True), "RegistryOSSPath": Text(blank=True)},
        about="The container to run it in, in the place of VM.",
    ),
}
_COMMAND: Rules = {
    "CommandLine": Text(mandatory=True, length=(1, 1000), about="It refers to parameters as ${name}."),
    # The page of ModifyApp has 10 for 50. [choice]
    "EnvVars": Map(
        size=(0, 50),
        key=Text(length=(1, 100), characters="a-zA-Z0-9_-"),
        values=Text(blank=True, length=(0, 1000)),
        default={},
        about="Environment variables of the program.",
    ),
    "Daemonize": Flag(default=False),
}

APP: Rules = {
    "Name": Text(mandatory=True, characters="a-zA-Z0-9_-", about="The identifier: one for each owner."),
    "Description": _DESCRIPTION,
    "InputParameters": Map(values=_PARAMETER, default={}, about="What a job gives it, by name."),
    "OutputParameters": Map(values=_PARAMETER, default={}, about="What it gives back, by name."),
    **_IMAGE,
    **_COMMAND,
    "Config": Map(
        values=Object(fields={"Description": Text(blank=True), "Default": Field(), "Overwritable": Flag()}),
        default={},
        about="The settings of its jobs by name: Default, and whether a job may overwrite it.",
    ),
}
"""What CreateApp takes. [doc]"""

CHANGE: Rules = {"Name": Text(), "Description": _DESCRIPTION, **_IMAGE, **_COMMAND}
"""What ModifyApp changes [doc]. Clients send the whole description [sdk]: the rest of it is ignored [choice]."""


def check_description(description: Mapping[str, Any], rules: Rules = APP) -> None:
    """Raise ApiError for a description that is refused whatever there is in the world."""
    check(description, rules)
    has_vm, has_docker = (not field.is_absent(description.get(name)) for name, field in _IMAGE.items())
    if has_vm and has_docker:
        raise invalid(("Docker",), "It must not be given beside VM.")
    if rules is APP and not has_vm and not has_docker:
        raise missing(("VM",))


class Revision(msgspec.Struct, frozen=True):
    """What an app was from a time on: revisions are numbered from 0."""

    number: int
    update_time: str
    described: bytes


class AppAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    """An app as GetApp and ListApps show it. [doc]"""

    name: str
    description: str
    owner_id: int
    creation_time: str
    input_parameters: dict[str, Any]
    output_parameters: dict[str, Any]
    config: dict[str, Any]


class RevisionAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    """A revision as GetAppRevisions shows it. [doc]"""

    revision: int
    update_time: str


AppDetail = Annotated[dict[str, Any], Meta(title="AppDetail", extra_json_schema=object_schema(APP, "answer"))]
"""An app as GetAppDetail shows it: its description. [doc]"""


class AppCreated(msgspec.Struct, frozen=True, rename="pascal"):
    """What CreateApp answers. [doc]"""

    name: str


class App(Described, frozen=True, kw_only=True):
    """An app. Immutable; made of a description: an object of the official SDK, a mapping with the service's names, or
    these fields.

    Only `name` is required. Without `vm` and `docker` it has the image of `img-ubuntu`, and without `command_line` it
    does nothing, with success [choice]. A `Public` app is everybody's to run, and nobody's to change.

    Raises TypeError for a field that it does not have, and ValueError for one with a wrong value.
    """

    if TYPE_CHECKING:

        def __init__(
            self,
            description_object: object = None,
            /,
            *,
            name: str = "",
            description: str = "",
            input_parameters: Mapping[str, Any] | None = None,
            output_parameters: Mapping[str, Any] | None = None,
            vm: Mapping[str, Any] | None = None,
            docker: Mapping[str, Any] | None = None,
            command_line: str = "",
            env_vars: Mapping[str, str] | None = None,
            daemonize: bool = False,
            config: Mapping[str, Any] | None = None,
            owner_id: int = EXAMPLE_OWNER,
            creation_time: str = "",
            scope: Scope = "Private",
        ) -> None: ...

    scope: Scope = "Private"
    revisions: tuple[Revision, ...] = ()
    """In ascending order; what the app is now is the last."""

    rules: ClassVar[Rules] = APP
    own: ClassVar[Rules] = {
        "OwnerId": OWNER,
        "CreationTime": TIME,
        "Scope": Text(only=("Private", _PUBLIC), about="Public: everybody may run it. Private if it is left out."),
    }

    @classmethod
    def check_description(cls, description: Mapping[str, Any]) -> None:
        """Raise ApiError for a description that the service would refuse, but for what may be left out."""
        check_description(_completed(description))

    @classmethod
    def complete(cls, own: Mapping[str, Any], description: Mapping[str, Any]) -> Self:
        """Return the app with what the service adds, and a description that was found right."""
        return cls.created(
            without_nulls(_completed(description)),
            owner_id=own.get("OwnerId") or EXAMPLE_OWNER,
            creation_time=time_of(own, "CreationTime", EXAMPLE_TIME),
            scope=own.get("Scope") or "Private",
        )

    @classmethod
    def created(cls, description: Mapping[str, Any], *, creation_time: str, **fields: Any) -> Self:
        """Return the app with a description that was found right, and fields that the service adds."""
        described = encode(_given(description, APP), APP)
        return cls.made(
            name=description["Name"],
            creation_time=creation_time,
            described=described,
            revisions=(Revision(0, creation_time, described),),
            **fields,
        )

    def own_written(self) -> dict[str, Any]:
        """Return the fields that the service has added, as a fixture file writes them: of its revisions the last."""
        return super().own_written() | {"Scope": self.scope}

    def __repr__(self) -> str:
        return f"App(name={self.name!r}, owner_id={self.owner_id}, scope={self.scope!r})"

    @property
    def description(self) -> str:
        """The text that its description has under this name."""
        return str(self.description_data()["Description"])

    @property
    def command_line(self) -> str:
        """What its jobs run; it refers to parameters as `${name}`."""
        return str(self.description_data()["CommandLine"])

    def answer(self) -> AppAnswer:
        """Return it as the service shows it."""
        data = self.description_data()
        inputs, outputs = (
            {name: {key: value for key, value in parameter.items() if key != "LocalPath"} for name, parameter in found}
            for found in (data["InputParameters"].items(), data["OutputParameters"].items())
        )
        return AppAnswer(
            self.name, self.description, self.owner_id, self.creation_time, inputs, outputs, data["Config"]
        )

    def revision(self, qualifier: str) -> Revision:
        """Return a revision; the newest if the qualifier is empty. Raises ApiError for one that is not there.

        Nothing has an alias. [choice]
        """
        if not qualifier:
            return self.revisions[-1]
        for revision in self.revisions:
            if qualifier == str(revision.number):
                return revision
        raise ApiError("InvalidResource.NotFound")

    def with_revisions(self, revisions: Iterable[Revision]) -> Self:
        """Return the app with other revisions, of which there is at least one."""
        kept = tuple(revisions)
        return msgspec.structs.replace(self, revisions=kept, described=kept[-1].described)

    def modified(self, change: Mapping[str, Any], now: str) -> Self:
        """Return it with one more revision, after a change that was found right.

        What the change leaves out gets its default, but for VM and Docker, which stay. [choice]
        """
        data = self.description_data()
        given = filled(_given(change, CHANGE), CHANGE)
        if not given.keys().isdisjoint(_IMAGE):
            data = {name: value for name, value in data.items() if name not in _IMAGE}
        revision = Revision(self.revisions[-1].number + 1, now, encode({**data, **given}, APP))
        return self.with_revisions((*self.revisions, revision))


def _given(description: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """Return what is there of the fields that have rules."""
    return {name: description[name] for name, field in rules.items() if not field.is_absent(description.get(name))}


def _completed(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a fixture file with what the service would ask for and a test need not say."""
    data = {"CommandLine": "true", **description}
    return data if "VM" in data or "Docker" in data else {**data, "VM": {"ECSImageId": "m-28lyfn0tr"}}


def _owner_of(app: App) -> int | None:
    return None if app.scope == _PUBLIC else app.owner_id


def _key_of(app: App) -> str:
    """Return the key of an app: its name, after its owner if that is not the default one. [choice]"""
    if app.scope == _PUBLIC:
        return f"{_PUBLIC}:{app.name}"
    return app.name if app.owner_id == EXAMPLE_OWNER else f"{app.owner_id}:{app.name}"


def _place(key: str) -> tuple[str, str, str]:
    """Return where a key, or the name in a marker, stands: by name, without regard to case [doc]."""
    owner, _, name = key.rpartition(":")
    return name.lower(), name, owner


APPS = Resource("apps", "app", App, _owner_of, key="Name", identity=_key_of, place=_place, least_items=1)


def _find(view: View, name: str, *, public: bool = False) -> App | None:
    """Return the caller's app of a name, or the public one; None if there is none."""
    found, _ = view.collection(APPS).page(None if public else view.owner_id, name, 1)
    return found[0] if found and found[0].name == name else None


def _get(view: View, name: str, *, public: bool = False) -> App:
    """Return the caller's app of a name, or the public one. Raises ApiError if there is none."""
    app = _find(view, name, public=public)
    if app is None:
        raise ApiError("InvalidResource.NotFound")
    return app


def _find_own(view: View, name: str) -> App | None:
    """Return the caller's app of a name, to be changed. Raises ApiError if there is only a public one. [choice]"""
    app = _find(view, name)
    if app is None and _find(view, name, public=True):
        raise ApiError("Forbidden")
    return app


def _is_public(parameters: Parameters) -> bool:
    """Tell whether a request is for public apps. Any other `Scope` means Private. [choice]"""
    return parameters.query.get("Scope") == _PUBLIC


@APPS.operation("CreateApp", f"POST /apps?{TOKEN}", 201, APP)
def create_app(view: View, parameters: Parameters) -> AppCreated:
    """Create an app of the caller's."""
    token = idempotent_token(parameters)
    description = without_nulls({name: value for name, value in parameters.body.items() if name in APP})
    check_description(description)

    def create() -> AppCreated:
        if _find(view, description["Name"]):
            raise ApiError("InvalidResource.AlreadyExisting")
        app = App.created(description, owner_id=view.owner_id, creation_time=view.now())
        view.collection(APPS).create(app)
        return AppCreated(app.name)

    return view.once(token, description, create)


@APPS.operation("ModifyApp", "PUT /apps/{AppName}", 200, CHANGE)
def modify_app(view: View, parameters: Parameters) -> None:
    """Change an app of the caller's: that adds a revision. [doc]"""
    app = _find_own(view, parameters.path["AppName"])
    if app is None:
        raise ApiError("InvalidResource.NotFound")
    change = without_nulls(parameters.body)
    check_description(change, CHANGE)
    if change.get("Name", app.name) not in ("", app.name):  # a name that is left out is that of the path [choice]
        raise invalid(("Name",), "It must be the name of the app.")
    view.collection(APPS).replace(app.modified(change, view.now()))


@APPS.operation("DeleteApp", "DELETE /apps/{AppName}?Qualifier", 204)
def delete_app(view: View, parameters: Parameters) -> None:
    """Delete an app of the caller's, or one of its revisions. [doc]

    One that is not there counts as deleted: a test of the Java SDK deletes first [sdk]. With the last revision, the app
    goes as well. [choice]
    """
    app = _find_own(view, parameters.path["AppName"])
    if app is None:
        return
    apps, qualifier = view.collection(APPS), parameters.query.get("Qualifier", "")
    gone = app.revision(qualifier)
    kept = [revision for revision in app.revisions if revision is not gone]
    if qualifier and kept:
        apps.replace(app.with_revisions(kept))
    else:
        apps.remove(APPS.key_of(app))


@APPS.operation("GetApp", "GET /apps/{AppName}?Scope", 200)
def get_app(view: View, parameters: Parameters) -> AppAnswer:
    """Return an app of the caller's, or a public one, without what it runs. [doc]"""
    return _get(view, parameters.path["AppName"], public=_is_public(parameters)).answer()


@APPS.operation("GetAppDetail", "GET /apps/{AppName}?Detail&Qualifier", 200, chosen_by="Detail")
def get_app_detail(view: View, parameters: Parameters) -> AppDetail:
    """Return the whole description of an app of the caller's, as a revision has it. [doc]"""
    revision = _get(view, parameters.path["AppName"]).revision(parameters.query.get("Qualifier", ""))
    detail: AppDetail = msgspec.json.decode(revision.described)
    return detail


@APPS.operation("GetAppRevisions", "GET /apps/{AppName}?Revisions", 200, chosen_by="Revisions")
def get_app_revisions(view: View, parameters: Parameters) -> list[RevisionAnswer]:
    """Return the revisions of an app of the caller's. [doc]"""
    revisions = _get(view, parameters.path["AppName"]).revisions
    return [RevisionAnswer(revision.number, revision.update_time) for revision in revisions]


@APPS.operation("ListApps", "GET /apps?Scope&Marker&MaxItemCount", 200)
def list_apps(view: View, parameters: Parameters) -> Page[AppAnswer]:
    """List the caller's apps, or the public ones, by name without regard to case, a page at a time. [doc]"""
    page = APPS.page(view, parameters, shared=_is_public(parameters))
    # Without accounts, apps of several owners may have one name: a marker between them needs the owner as well.
    name = page.next_marker.rpartition(":")[2]
    marker = page.next_marker if page.items and page.items[-1].name == name else name
    return Page(marker, [app.answer() for app in page.items])


def prepare(view: View, app: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a job runs that is described by the object `App`: CommandLine, EnvVars and Config.

    `Public:Name` and `:Name` name public apps [doc]. A job runs the newest revision [doc].

    Raises ApiError for an app that is not there, for inputs that it does not have, or has no default for, and for
    settings that it does not let jobs overwrite; one that it does not list passes [wild].
    """
    prefix, colon, name = app["AppName"].rpartition(":")
    if prefix not in ("", _PUBLIC):
        raise ApiError("InvalidResource.NotFound")
    data = _get(view, name, public=bool(colon)).description_data()
    inputs, config = app.get("Inputs") or {}, app.get("Config") or {}
    for key in inputs:
        if key not in data["InputParameters"]:
            raise invalid(("App", "Inputs", key), "The app has no such input.", f"Inputs.{key}")
    for key, parameter in data["InputParameters"].items():
        if key not in inputs and "Default" not in parameter:
            raise missing(("App", "Inputs", key), f"Inputs.{key}")
    settings = data["Config"]
    for key in config:
        if settings.get(key, {}).get("Overwritable") is False:
            raise invalid(("App", "Config", key), "The app does not let it be overwritten.", f"Config.{key}")
    values = {
        **_defaults(data["OutputParameters"]),
        **(app.get("Outputs") or {}),
        **_defaults(data["InputParameters"]),
        **inputs,
    }
    return {
        "CommandLine": _REFERENCE.sub(lambda found: _written(values.get(found[1], found[0])), data["CommandLine"]),
        "EnvVars": data["EnvVars"],
        "Config": {**_defaults(settings), **config},
    }


def _defaults(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of those that have one."""
    return {name: parameter["Default"] for name, parameter in described.items() if "Default" in parameter}


def _written(value: Any) -> str:
    """Return a value as a command line has it."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
