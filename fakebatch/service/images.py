"""The records: an image and an account.

Each is declared once, as a typed struct with the service's names on the wire and Python's in the code. Knows nothing of
files, HTTP or state.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from ..errors import FieldError

Platform = Literal["Linux", "Windows"]
ImageType = Literal["System", "Self"]

PLATFORMS: tuple[str, ...] = get_args(Platform)
IMAGE_TYPES: tuple[str, ...] = get_args(ImageType)

EXAMPLE_OWNER = 123456
"""The account of the reference's examples [doc]: who owns a Self image if nothing else is said [choice]."""

LARGEST_OWNER = 2**63 - 1

_WIRE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


def format_time(moment: datetime) -> str:
    """Return a moment as the service writes it: UTC, six digits of fraction, `Z`. [doc]

    A moment without a time zone is taken as UTC. Raises ValueError if it has no place in the years 1 to 9999 of UTC.
    """
    try:
        utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{moment.isoformat()} lies outside the years 1 to 9999 in UTC") from None
    return utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_time(text: str) -> datetime:
    """Read a moment in ISO 8601: a date, or a date and a time, with or without fraction and zone.

    Raises ValueError for any other text.
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time; write it like 2016-10-31T06:55:33.921878Z") from None


class Image(msgspec.Struct, frozen=True, rename="pascal", gc=False):
    """One `ImageInfo` record. Immutable; only `id` is required.

    The defaults are the values of the reference's own example of a Self image [doc]. A System image belongs to owner 0
    [doc], and an image without a name is named by its Id [choice]. `creation_time` is UTC text with six digits of
    fraction, and is brought into that form from any ISO 8601 time.

    Raises ValueError for an empty Id, a `creation_time` that is no time, and a System image with an owner.
    """

    id: Annotated[
        str, Meta(min_length=1, description="The identifier: also what pages are ordered by, and what markers name.")
    ]
    name: Annotated[str, Meta(description="The display name. If empty, the Id.")] = ""
    description: Annotated[str, Meta(description="Any text.")] = ""
    ecs_image_id: Annotated[str, Meta(description="The ECS image behind it.")] = "m-32dsf3f"
    owner_id: Annotated[
        int,
        Meta(ge=0, le=LARGEST_OWNER, description="The owner's account number. Always 0 for System images."),
    ] = EXAMPLE_OWNER
    platform: Annotated[Platform, Meta(description="The operating system.")] = "Linux"
    type: Annotated[ImageType, Meta(description="System: the service's own, seen by all. Self: its owner's.")] = "Self"
    creation_time: Annotated[
        str, Meta(description="A YAML timestamp or text; served in UTC with six digits of fraction and Z.")
    ] = "2016-07-18T11:53:19.110809Z"

    def __post_init__(self) -> None:
        fix = msgspec.structs.force_setattr
        if not self.id:
            raise FieldError("Id", "an Id must not be empty")
        if not self.name:
            fix(self, "name", self.id)
        if self.type == "System" and self.owner_id:
            if self.owner_id != EXAMPLE_OWNER:
                message = f"a System image belongs to OwnerId 0, not {self.owner_id}; leave OwnerId out"
                raise FieldError("OwnerId", message)
            fix(self, "owner_id", 0)
        try:
            moment = parse_time(self.creation_time)
            if not _WIRE_TIME.fullmatch(self.creation_time):
                fix(self, "creation_time", format_time(moment))
        except ValueError as error:
            raise FieldError("CreationTime", str(error)) from None


class Account(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """Someone who signs requests. The secret is left out of its repr."""

    access_key_id: Annotated[str, Meta(min_length=1, description="The public half of the key.")]
    access_key_secret: Annotated[str, Meta(min_length=1, description="The half that signs.", extra={"secret": True})]
    owner_id: Annotated[
        int, Meta(ge=1, le=LARGEST_OWNER, description="The account number that its images carry as OwnerId.")
    ] = EXAMPLE_OWNER

    def __repr__(self) -> str:
        return f"Account(access_key_id={self.access_key_id!r}, access_key_secret=..., owner_id={self.owner_id})"


def check_image(image: Image) -> None:
    """Raise TypeError for what is not an Image, or is one with a value that a fixture file could not give it either."""
    if not isinstance(image, Image):
        raise TypeError(f"expected an Image, got {image!r}")
    try:
        msgspec.convert(msgspec.to_builtins(image), Image)
        msgspec.json.encode(image)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise TypeError(f"not a valid Image: {error}") from None
