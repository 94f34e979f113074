"""The routing table: which request is which operation, and the status of its success.

An operation is added by one line here and one function in `operations`.

Knows nothing of what operations do, or of HTTP.
"""

from typing import NamedTuple

from ..errors import nearest


class Route(NamedTuple):
    """One line of the table. `path` may hold `<id>`, which becomes the parameter `Id`."""

    operation: str
    method: str
    path: str
    status: int


ROUTES = (
    Route("ListImages", "GET", "/images", 200),
    Route("CreateImage", "POST", "/images", 201),
    Route("GetImage", "GET", "/images/<id>", 200),
    Route("DeleteImage", "DELETE", "/images/<id>", 204),
)

OPERATIONS = tuple(route.operation for route in ROUTES)


def check_operation(name: str, *others: str) -> str:
    """Return the name of an operation. Raises ValueError, with the nearest right spelling, if it is none."""
    allowed = (*OPERATIONS, *others)
    if name not in allowed:
        raise ValueError(f"{name!r} is not an operation{nearest(name, allowed)} Known are {', '.join(allowed)}.")
    return name
