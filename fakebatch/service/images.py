"""The resource images: its record and its operations.

Knows nothing of files, HTTP or other resources.
"""

from string import ascii_lowercase, digits
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta

from ..errors import ApiError, FieldError
from .operation import TOKEN, Created, Page, Parameters, Resource, View, idempotent_token
from .records import EXAMPLE_OWNER, LARGEST_OWNER, RecordType, normal_time
from .rules import Path, Text, check, invalid

Platform = Literal["Linux", "Windows"]
ImageType = Literal["System", "Self"]

_ID_CHARACTERS = ascii_lowercase + digits
_SYSTEM_OWNER = 0
_NOBODY_SAID: Final = int(str(EXAMPLE_OWNER))
"""The default owner: an int of its own, so that it can be told from the same number given on purpose."""


class Image(msgspec.Struct, metaclass=RecordType, frozen=True, rename="pascal", gc=False):
    """One `ImageInfo` record. Immutable; only `id` is required.

    The defaults are the values of the reference's own example of a Self image [doc]. A System image belongs to owner 0
    [doc], and an image without a name is named by its Id [choice]. `creation_time` is UTC text with six digits of
    fraction, and is brought into that form from any ISO 8601 time.

    Raises ValueError for an Id that is empty or holds a slash, a `creation_time` that is no time, and a System image
    with an owner.
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
    ] = _NOBODY_SAID
    platform: Annotated[Platform, Meta(description="The operating system.")] = "Linux"
    type: Annotated[ImageType, Meta(description="System: the service's own, seen by all. Self: its owner's.")] = "Self"
    creation_time: Annotated[
        str,
        Meta(
            description="A YAML timestamp or text; served in UTC with six digits of fraction and Z.",
            examples=["2016-10-31T06:55:33.921878Z"],
        ),
    ] = "2016-07-18T11:53:19.110809Z"

    def __post_init__(self) -> None:
        fix = msgspec.structs.force_setattr
        if not self.id:
            raise FieldError("Id", "an Id must not be empty")
        if isinstance(self.id, str) and "/" in self.id:
            raise FieldError("Id", f"{self.id!r} can't be asked for: an Id must not hold a slash")
        if not self.name:
            fix(self, "name", self.id)
        if self.type == "System" and self.owner_id:
            if self.owner_id is not _NOBODY_SAID:
                message = f"a System image belongs to OwnerId {_SYSTEM_OWNER}, not {self.owner_id}; leave OwnerId out"
                raise FieldError("OwnerId", message)
            fix(self, "owner_id", _SYSTEM_OWNER)
        try:
            fix(self, "creation_time", normal_time(self.creation_time))
        except ValueError as error:
            raise FieldError("CreationTime", str(error)) from None


def _owner_of(image: Image) -> int | None:
    return None if image.type == "System" else image.owner_id


_CATALOGUE = (
    Image(id="img-23jkhds", name="Usr-Image", description="Image Description"),
    Image(
        id="img-centos",
        name="Centos-6.5-x64",
        description="Centos 6.5 64位,python 2.6.6",
        ecs_image_id="m-28rvocix1",
        type="System",
        creation_time="2016-10-31T06:55:33.921878Z",
    ),
    Image(
        id="img-ubuntu",
        name="ubuntu-14.04-x64",
        description="Ubuntu 14.04 64位, python 2.7, jdk 1.7, Docker 1.10.1",
        ecs_image_id="m-28lyfn0tr",
        type="System",
        creation_time="2016-10-31T06:55:33.921890Z",
    ),
    Image(
        id="img-windows",
        name="Windows-Server-2008-R2-x64",
        description="Windows Server 2008 R2 企业版 64位 中文",
        ecs_image_id="m-281zatqcs",
        platform="Windows",
        type="System",
        creation_time="2016-10-31T06:55:33.921897Z",
    ),
)
"""The images that the reference prints [doc]. In the code, for a test may have put another file system in place."""

IMAGES = Resource("images", "image", Image, _owner_of, catalogue=_CATALOGUE)

_DESCRIPTION = {
    # The reference lists a MissingName beside a table that says Name is optional, as the SDK does. [choice]
    "Name": Text(blank=True, length=(1, 64), name=True),
    "Description": Text(),
    "EcsImageId": Text(mandatory=True),
    "Platform": Text(mandatory=True, only=get_args(Platform)),
}
"""What CreateImage takes. [doc]"""


_OFFICIAL = ("img-ubuntu-vpc", "img-centos-vpc", "img-windows-vpc")
"""Images that can be used, and that no list shows. [doc]"""


def check_image(view: View, image_id: object, path: Path) -> None:
    """Raise ApiError for the Id of an image that the caller does not see; what is no `img-...` passes. [choice]"""
    if not isinstance(image_id, str) or not image_id.startswith("img-") or image_id in _OFFICIAL:
        return
    try:
        IMAGES.find(view, image_id)
    except ApiError:
        raise invalid(path, "There is no such image.") from None


@IMAGES.operation("ListImages", "GET /images?Marker&MaxItemCount&Type", 200)
def list_images(view: View, parameters: Parameters) -> Page[Image]:
    """List the images of a type, a page at a time. Any other `Type` has the effect of leaving it out: Self. [doc]"""
    return IMAGES.page(view, parameters, shared=parameters.get("Type") == "System")


@IMAGES.operation("CreateImage", f"POST /images?{TOKEN}", 201, _DESCRIPTION)
def create_image(view: View, parameters: Parameters) -> Created:
    """Create a Self image of the caller's. A missing name becomes the new Id. [choice]"""
    token = idempotent_token(parameters)
    check(parameters.body, _DESCRIPTION)
    described = {name: parameters.body[name] for name in _DESCRIPTION if parameters.body.get(name) is not None}

    def create() -> Created:
        # The form of the reference's img-6ki7te6grlhbv42kn8a000. [doc]
        image_id = view.new_id(IMAGES, lambda random: f"img-{''.join(random.choices(_ID_CHARACTERS, k=19))}000")
        own = {"Id": image_id, "OwnerId": view.owner_id, "CreationTime": view.now()}
        view.collection(IMAGES).add(msgspec.convert(described | own, Image))
        return Created(image_id)

    return view.once(token, described, create)


@IMAGES.operation("GetImage", "GET /images/{ImageId}", 200)
def get_image(view: View, parameters: Parameters) -> Image:
    """Return a System image, or one of the caller's."""
    return IMAGES.find(view, parameters.path["ImageId"])


@IMAGES.operation("DeleteImage", "DELETE /images/{ImageId}", 204)
def delete_image(view: View, parameters: Parameters) -> None:
    """Delete an image of the caller's. A System image is seen by all and belongs to none of them."""
    image = IMAGES.find(view, parameters.path["ImageId"])
    if image.type == "System":
        raise ApiError("Forbidden")
    view.collection(IMAGES).remove(image.id)
