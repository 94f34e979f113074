"""The declaration of a fixture file: its sections, their fields, types, limits and defaults.

One declaration validates files (see `loader`), and gives the JSON Schema that editors read.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from .accounts import Account
from .images import Image
from .registry import ANY
from .script import LONGEST_DELAY

MOST_REPEATS = 1_000_000


class ImageEntry(Image, frozen=True, forbid_unknown_fields=True):
    """An image, or as many as `repeat` says, numbered by `{n}` in the texts of the entry."""

    repeat: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=MOST_REPEATS,
                description="Make so many images of this entry."
                " {n}, or {n:04} with zeros in front, is replaced by 0, 1, 2, ...",
            ),
        ]
        | UnsetType
    ) = field(default=UNSET, name="repeat")

    def __post_init__(self) -> None:
        """Leave the checks to the images that the entry amounts to: its texts may hold placeholders."""


class ReplyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A raw response in the place of the service's."""

    status: Annotated[int, Meta(ge=200, le=599)] = 200
    headers: dict[str, str] = {}
    body: str = ""


class StepEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step of the script: a trigger (`on`, `calls`, `where`), and what to do then."""

    on: Annotated[str, Meta(description="The operation, or any.")] = ANY
    calls: (
        Annotated[
            int | str | list[int | str],
            Meta(description="At which of the calls that match, counted from 1: 2, 2-4, 3- or a list of these."),
        ]
        | UnsetType
    ) = UNSET
    where: Annotated[
        dict[str, str | int], Meta(description="Values that parameters of the query or of the body must have.")
    ] = {}
    fail: (
        Annotated[
            str | dict[str, str | int],
            Meta(
                description="A documented code; or a mapping of code and the arguments of its message;"
                " or one of status, code and message."
            ),
        ]
        | UnsetType
    ) = UNSET
    delay: (
        Annotated[float, Meta(ge=0, le=LONGEST_DELAY, description="Answer only after so many seconds.")] | UnsetType
    ) = UNSET
    drop: (
        Annotated[Literal["before", "during"], Meta(description="Break the connection before or during the response.")]
        | UnsetType
    ) = UNSET
    reply: Annotated[ReplyEntry, Meta(description="A raw response in the place of the service's.")] | UnsetType = UNSET
    add: Annotated[list[ImageEntry], Meta(description="Images that appear just before the call is answered.")] = []
    remove: Annotated[list[str], Meta(description="Ids of images that vanish just before the call is answered.")] = []


class FixtureFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A world for fakebatch: images, accounts, a script of things that go wrong."""

    include: Annotated[list[str], Meta(description="Other fixture files, relative to this one.")] = []
    images: list[ImageEntry] = []
    accounts: Annotated[
        list[Account], Meta(description="With these, signatures are checked, and each caller sees its own Self images.")
    ] = []
    script: list[StepEntry] = []
    expect: Annotated[Any, Meta(description="Free data for the test.")] = None


def schema() -> dict[str, Any]:
    """Return the JSON Schema of fixture files."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fakebatch fixture file",
        **msgspec.json.schema(FixtureFile),
    }
