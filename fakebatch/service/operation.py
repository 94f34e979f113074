"""The operations: one function each, from the world, the caller and the parameters to a result.

An operation raises `ApiError` to refuse. It knows nothing of HTTP: no status, no header, no JSON.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from ..errors import ApiError
from .images import EXAMPLE_OWNER, IMAGE_TYPES, PLATFORMS, Account, Image, format_time
from .world import World

DEFAULT_ITEMS = 50
"""How many images are on a page if `MaxItemCount` is not given. [doc]"""
MOST_ITEMS = 100
"""The largest `MaxItemCount`. [doc]"""

_INTEGER = re.compile(r"-?[0-9]+", re.ASCII)
_NAME = re.compile(r"[a-zA-Z_-][a-zA-Z0-9_-]*", re.ASCII)
_TOKEN = re.compile(r"[a-zA-Z0-9_]{0,64}", re.ASCII)


class Parameters(NamedTuple):
    """What a request asks.

    The Id in its path, its query (of a repeated key, the first value), and its body's JSON object.
    """

    id: str
    query: Mapping[str, str]
    body: Mapping[str, Any]


class Page(msgspec.Struct, rename="pascal"):
    """The result of a listing. `next_marker` is the Id of the first image of the next page, empty on the last. [doc]"""

    next_marker: str
    items: list[Image]


class Created(msgspec.Struct, rename="pascal"):
    """The result of a creation."""

    id: str


Operation = Callable[[World, Account | None, Parameters], Page | Image | Created | None]
"""The caller is None where the world has no accounts: then everybody may do everything."""


def list_images(world: World, caller: Account | None, parameters: Parameters) -> Page:
    """List the images of a type, a page at a time."""
    query = parameters.query
    count = _item_count(query["MaxItemCount"]) if "MaxItemCount" in query else DEFAULT_ITEMS
    image_type = query.get("Type", "")
    if image_type not in IMAGE_TYPES:
        image_type = "Self"  # any other value has the effect of leaving the parameter out [doc]
    owner_id = caller.owner_id if caller else None
    items, next_marker = world.images.page(image_type, owner_id, query.get("Marker", ""), count)
    return Page(next_marker, items)


def _item_count(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ApiError("InvalidMaxItemCount", Message="Its type must be integer.")
    # Digits that Python refuses to turn into a number, because there are thousands, are out of range as well.
    if len(text.lstrip("-").lstrip("0")) > len(str(MOST_ITEMS)) or not 0 <= (count := int(text)) <= MOST_ITEMS:
        raise ApiError("InvalidMaxItemCount", Message=f"It must be in [0, {MOST_ITEMS}].")
    return count


def get_image(world: World, caller: Account | None, parameters: Parameters) -> Image:
    """Return an image that the caller can see: a System image or its own."""
    image_id = parameters.id
    with world.lock:
        if image_id in world.images:
            image = world.images[image_id]
            if caller is None or image.type == "System" or image.owner_id == caller.owner_id:
                return image
    raise ApiError("InvalidResource.NotFound")


def create_image(world: World, caller: Account | None, parameters: Parameters) -> Created:
    """Create a Self image of the caller's.

    Repeating an idempotent token answers with the first Id and creates nothing. [doc]
    """
    body = parameters.body
    # The token stands in the query; the SDK may put it in the body as well. [sdk]
    token = parameters.query.get("IdempotentToken") or body.get("IdempotentToken") or ""
    if not isinstance(token, str):
        raise ApiError("InvalidIdempotentToken", Message="Its type must be string.")
    if not _TOKEN.fullmatch(token):
        message = "Its length must be in [0, 64], and it must only contain characters within [a-zA-Z0-9_]."
        raise ApiError("InvalidIdempotentToken", Message=message)

    name = _text(body, "Name")
    if name is not None:
        if not 1 <= len(name) <= 64:
            raise ApiError("InvalidName", Message="Its length must be in [1, 64].")
        if not _NAME.fullmatch(name):
            rule = "It must only contain characters within [a-zA-Z0-9_-], and must not start with [0-9]."
            raise ApiError("InvalidName", Message=rule)
    description = _text(body, "Description")
    ecs_image_id = _mandatory_text(body, "EcsImageId")
    platform = _mandatory_text(body, "Platform")
    if platform not in PLATFORMS:
        raise ApiError("InvalidPlatform", Message=f"It must be in [{', '.join(PLATFORMS)}].")

    owner_id = caller.owner_id if caller else EXAMPLE_OWNER
    asked = (name, description, ecs_image_id, platform)
    with world.lock:
        if token and (owner_id, token) in world.created:
            asked_before, image_id = world.created[owner_id, token]
            if asked_before != asked:
                raise ApiError("IdempotentTokenMismatch")
            return Created(image_id)
        image = Image(
            id=world.new_id(),
            name=name or "",
            description=description or "",
            ecs_image_id=ecs_image_id,
            owner_id=owner_id,
            platform=platform,  # type: ignore[arg-type]  # one of PLATFORMS
            creation_time=format_time(world.clock()),
        )
        world.images.add(image)
        if token:
            world.created[owner_id, token] = (asked, image.id)
    return Created(image.id)


def _text(body: Mapping[str, Any], parameter: str) -> str | None:
    value = body.get(parameter)
    if parameter in body and not isinstance(value, str):
        raise ApiError(f"Invalid{parameter}", Message="Its type must be string.")
    return value


def _mandatory_text(body: Mapping[str, Any], parameter: str) -> str:
    value = _text(body, parameter)
    if value is None:
        raise ApiError(f"Missing{parameter}")
    if not value:
        raise ApiError(f"Invalid{parameter}", Message="Its length must be greater than 0.")
    return value


def delete_image(world: World, caller: Account | None, parameters: Parameters) -> None:
    """Delete an image of the caller's. A System image is seen by all and belongs to none of them."""
    with world.lock:
        image = get_image(world, caller, parameters)
        if image.type == "System":
            raise ApiError("Forbidden")
        world.images.remove(image.id)


FUNCTIONS: Mapping[str, Operation] = {
    "ListImages": list_images,
    "GetImage": get_image,
    "CreateImage": create_image,
    "DeleteImage": delete_image,
}
