"""The declaration of a fixture file, and its JSON Schema: derived from the registry. Knows nothing of any resource.

One declaration validates files (see `baseline`), and gives the JSON Schema that editors read.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from ..errors import DOCUMENTED, ApiError
from .accounts import Account
from .described import Described
from .operation import Resource
from .progress import End, PhaseLength
from .quotas import QUOTAS_SECTION
from .registry import ANY, OPERATIONS, RESOURCES, states_of
from .script import LONGEST_DELAY

MOST_REPEATS = 1_000_000
"""How many one entry may amount to. [choice]"""
SCHEMA_KEY = "$schema"
"""Where editors look for the schema of a JSON file."""
FREE_PREFIX = "x-"
"""Keys at the top level that begin so are free: a home for anchors."""

_Repeat = Annotated[
    int,
    Meta(
        ge=0,
        le=MOST_REPEATS,
        description="Make so many of this entry. {n}, or {n:04} with zeros in front, is replaced by 0, 1, 2, ...",
    ),
]


def _entry(resource: Resource[Any]) -> type[msgspec.Struct]:
    """Return the type of a resource's entries: its record, with `repeat`."""
    if issubclass(resource.record, Described):
        return _described_entry(resource.record)

    class Entry(resource.record, frozen=True, kw_only=True, forbid_unknown_fields=True):  # type: ignore[misc, name-defined, call-arg]  # derived
        repeat: _Repeat | UnsetType = field(default=UNSET, name="repeat")

        def __post_init__(self) -> None:
            """Leave the checks to the records that the entry amounts to: its texts may hold placeholders."""

    Entry.__name__ = f"{resource.record.__name__}Entry"
    Entry.__doc__ = f"An entry for one record of the type {resource.record.__name__}, or for many."
    return Entry


def _described_entry(record: type[Described]) -> type[msgspec.Struct]:
    """Return the type of the entries of such records: all fields that they can have, which they check themselves."""
    fields: list[Any] = [
        (name, Annotated[Any, Meta(extra_json_schema=rule.schema())] | UnsetType, field(default=UNSET))
        for name, rule in record.fields().items()
    ]
    name = f"{record.__name__}Entry"
    doc = f"An entry for one record of the type {record.__name__}, or for many."
    repeat = ("repeat", _Repeat | UnsetType, field(default=UNSET))
    return msgspec.defstruct(
        name, [*fields, repeat], namespace={"__doc__": doc}, frozen=True, kw_only=True, forbid_unknown_fields=True
    )


ENTRIES = {resource.name: _entry(resource) for resource in RESOURCES}
"""The types of the entries of each resource's section."""


def _by_resource(name: str, items: Mapping[str, Any], doc: str) -> Any:
    fields: list[Any] = [(resource, list[item], field(default_factory=list)) for resource, item in items.items()]  # type: ignore[valid-type]
    return msgspec.defstruct(name, fields, namespace={"__doc__": doc}, frozen=True, forbid_unknown_fields=True)


_FIRST = RESOURCES[0].name
_Added: Any = list[ENTRIES[_FIRST]] | _by_resource("Added", ENTRIES, "Records, by the names of their resources.")  # type: ignore[valid-type]
_Removed: Any = list[str] | _by_resource(
    "Removed", dict.fromkeys(ENTRIES, str), "Keys of records, by the names of their resources."
)


_CALLS = ["2", "2-4", "3-"]
_Text = Annotated[str, Meta(min_length=1)]
_Header = Annotated[tuple[str, str | int | float], Meta(examples=["[X-Name, value]"])]


class ReplyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A response in the place of the service's."""

    status: Annotated[int, Meta(ge=200, le=599)] = 200
    headers: Annotated[
        dict[str, str | int | float] | list[_Header],
        Meta(description="A mapping, or a list of pairs of a name and a value."),
    ] = {}
    body: Annotated[Any, Meta(description="Text, or anything that JSON can express.")] = ""
    raw: Annotated[str, Meta(description="Sent as it is, in the place of all else.")] | UnsetType = UNSET


class _StepEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step of the script: a trigger (on, calls, where, account, host), and what to do then."""

    on: Annotated[str, Meta(description="The operation, or any.", examples=[*OPERATIONS, ANY])] = ANY
    calls: (
        Annotated[
            int | str | list[Annotated[int | str, Meta(examples=_CALLS)]],
            Meta(
                description="At which of the calls that match, counted from 1: 2, 2-4, 3- or a list of these.",
                examples=_CALLS,
            ),
        ]
        | UnsetType
    ) = UNSET
    where: Annotated[dict[str, str | int], Meta(description="Values that parameters must have.")] = {}
    account: Annotated[_Text, Meta(description="The access key Id of who asks.")] | UnsetType = UNSET
    host: Annotated[_Text, Meta(description="The host that is asked, with * for any part.")] | UnsetType = UNSET
    fail: (
        Annotated[
            str | dict[str, str | int],
            Meta(
                description="A documented code; or a mapping of code and the arguments of its message;"
                " or one of status, code and message.",
                examples=["InternalError", '{status: 500, code: Broken, message: "What clients see."}'],
            ),
        ]
        | UnsetType
    ) = UNSET
    delay: (
        Annotated[float, Meta(ge=0, le=LONGEST_DELAY, description="Answer only after so many seconds.")] | UnsetType
    ) = UNSET
    drop: (
        Annotated[
            Literal["before", "during", "silently"],
            Meta(description="Break the connection before or during the response, or end it without a byte."),
        ]
        | UnsetType
    ) = UNSET
    becomes: (
        Annotated[str, Meta(description="The state in which the job or the cluster that the request names is then.")]
        | UnsetType
    ) = UNSET
    reply: Annotated[ReplyEntry, Meta(description="A response in the place of the service's.")] | UnsetType = UNSET
    trickle: (
        Annotated[float, Meta(ge=0, le=LONGEST_DELAY, description="Spread the body over so many seconds.")] | UnsetType
    ) = UNSET
    add: (
        Annotated[
            _Added,
            Meta(description=f"What appears just before the call is carried out: {_FIRST}, or a mapping of resources."),
        ]
        | UnsetType
    ) = UNSET
    remove: (
        Annotated[
            _Removed,
            Meta(description=f"Ids of what vanishes just before: of {_FIRST}, or a mapping of resources."),
        ]
        | UnsetType
    ) = UNSET


_Length = Annotated[
    PhaseLength,
    Meta(
        description="So many polls (2), so long by the fake's clock (30s, 2m, 1h), or forever.",
        examples=[2, "30s", "forever"],
    ),
]


class FailEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Instances that fail; without a task, the job itself does, out of Waiting."""

    task: Annotated[_Text, Meta(description="The name of the task, with * and ?.")] | UnsetType = UNSET
    instance: (
        Annotated[int, Meta(ge=0, description="The number of the instance; all if it is left out.")] | UnsetType
    ) = UNSET
    attempts: (
        Annotated[int, Meta(ge=1, description="How many of its attempts fail; all if it is left out.")] | UnsetType
    ) = UNSET
    exit_code: Annotated[int, Meta(description="The exit code; 1 if it is left out.")] | UnsetType = UNSET
    message: Annotated[str, Meta(description="What the job and the instance say of it.")] | UnsetType = UNSET


class _RuleEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How jobs or clusters go on by themselves: the first entry that matches counts."""

    job: Annotated[_Text, Meta(description="The name of jobs, with * and ?.")] | UnsetType = UNSET
    cluster: Annotated[_Text, Meta(description="The name of clusters, with * and ?.")] | UnsetType = UNSET
    waiting: _Length | UnsetType = UNSET
    running: _Length | UnsetType = UNSET
    starting: _Length | UnsetType = UNSET
    deleting: _Length | UnsetType = UNSET
    end: Annotated[str, Meta(description="Finished, or Stopped: by somebody else.")] | UnsetType = UNSET
    fail: FailEntry | list[FailEntry] | UnsetType = UNSET


ITEMS: dict[str, Any] = {
    "include": _Text,
    **ENTRIES,
    "accounts": Account,
    "progress": _RuleEntry,
    "script": _StepEntry,
}
"""The types of the items of the sections that are lists."""
_ABOUT = {
    "include": "Other fixture files, relative to this one.",
    "accounts": "With these, signatures are checked, and each caller sees its own records.",
    "progress": "How jobs and clusters go on by themselves.",
}

QuotasEntry: Any = msgspec.defstruct(
    "QuotasEntry",
    [
        (name, Annotated[Any, Meta(extra_json_schema=rule.schema())] | UnsetType, field(default=UNSET))
        for name, rule in QUOTAS_SECTION.items()
    ],
    namespace={"__doc__": "What the service says of quotas, and how much of something there may be."},
    frozen=True,
    forbid_unknown_fields=True,
)

FixtureFile: Any = msgspec.defstruct(
    "FixtureFile",
    [
        *(
            (name, Annotated[list[item], Meta(description=_ABOUT[name])] if name in _ABOUT else list[item], [])  # type: ignore[valid-type]
            for name, item in ITEMS.items()
        ),
        ("quotas", Annotated[QuotasEntry | None, Meta(description="What the service says of quotas.")], None),
        ("expect", Annotated[Any, Meta(description="Free data for the test.")], None),
    ],
    namespace={"__doc__": "A world for fakebatch: what there is, who asks, and a script of things that go wrong."},
    frozen=True,
    forbid_unknown_fields=True,
)


def _standing_alone() -> Iterator[str]:
    """Yield the documented codes whose messages need no arguments."""
    for code in DOCUMENTED:
        with suppress(ValueError):
            yield ApiError(code).code


def _complete(definitions: dict[str, Any]) -> None:
    """List the values that a text can have, for editors to offer.

    Files are read without these lists: what is none of them is refused later, with its nearest right spelling.
    """
    step = definitions[_StepEntry.__name__]["properties"]
    step["on"]["enum"] = step["on"].pop("examples")
    step["becomes"]["enum"] = [*states_of(ANY)]
    text, mapping = step["fail"]["anyOf"]
    text["enum"] = [*_standing_alone()]
    # A code of one's own is none of them.
    mapping["properties"] = {"code": {"anyOf": [{"enum": [*DOCUMENTED]}, {"type": "string"}]}}
    definitions[_RuleEntry.__name__]["properties"]["end"]["enum"] = [*get_args(End)]


def schema() -> dict[str, Any]:
    """Return the JSON Schema of fixture files, for editors and for whoever checks files without this package."""
    derived = msgspec.json.schema(FixtureFile)
    _complete(derived["$defs"])
    derived["$defs"]["FixtureFile"]["patternProperties"] = {f"^{FREE_PREFIX}": {}, f"^{re.escape(SCHEMA_KEY)}$": {}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "fakebatch fixture file", **derived}
