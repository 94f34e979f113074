"""The only list of resources, and what is derived from it: the table of operations, their names, and their routes.

Knows nothing of what operations do.
"""

from collections.abc import Mapping, Sized
from functools import lru_cache
from typing import Any

from ..errors import ApiError, unknown
from ..state.collection import counted
from .images import IMAGES
from .operation import Operation, Resource

RESOURCES: tuple[Resource[Any], ...] = (IMAGES,)
OPERATIONS = {operation.name: operation for resource in RESOURCES for operation in resource.operations}
"""All operations, by name."""

ANY = "any"
"""Stands for every operation."""


_ROUTES = [(operation.path.split("/"), operation) for operation in OPERATIONS.values()]
"""The parts of each path, and its operation. To import a router took 47 of the 146 ms until a new process listens."""


@lru_cache(maxsize=1024)  # most requests are for a path that was asked for before
def match(method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
    """Return the operation that a request is for, and the parameters in its path. Raises ApiError if there is none."""
    parts = path.split("/")
    found = [route for route in _ROUTES if _fits(parts, route[0])]
    if not found:
        raise ApiError("InvalidUrlPattern")
    for pattern, operation in found:
        if operation.method == method:
            values = (value for name, value in zip(pattern, parts, strict=True) if name[:1] == "{")
            return operation, dict(zip(operation.path_parameters, values, strict=True))
    raise ApiError("MethodNotAllowed")


def _fits(parts: list[str], pattern: list[str]) -> bool:
    return len(parts) == len(pattern) and all(
        part == wanted or (part != "" and wanted[:1] == "{") for part, wanted in zip(parts, pattern, strict=True)
    )


def check_operation(name: str, *others: str) -> str:
    """Return the name of an operation. Raises ValueError, with the nearest right spelling, if it is none."""
    allowed = (*OPERATIONS, *others)
    if name not in allowed:
        raise ValueError(unknown(name, "an operation", allowed))
    return name


def parameters_of(name: str) -> tuple[str, ...]:
    """Return the names of the parameters that an operation has, or any operation has."""
    operations = OPERATIONS.values() if name == ANY else (OPERATIONS[name],)
    return tuple(dict.fromkeys(parameter for operation in operations for parameter in operation.parameters))


def resource_of(record: object) -> Resource[Any] | None:
    """Return the resource whose record this is; None for what is no record."""
    return next((resource for resource in RESOURCES if isinstance(record, resource.record)), None)


def summary(records: Mapping[str, Sized]) -> str:
    """Return how many records there are of each resource, as a person would write it: `4 images, 1 job`."""
    return ", ".join(counted(len(records[resource.name]), resource.noun) for resource in RESOURCES)
