"""The only list of resources, and what is derived from it: the table of operations, their names, and their routes.

Knows nothing of what operations do.
"""

from collections.abc import Iterator, Mapping, Sized
from functools import lru_cache
from typing import Any

from ..errors import ApiError, unknown
from ..state.collection import counted
from .apps import APPS
from .clusters.operations import CLUSTERS
from .images import IMAGES
from .jobs.operations import JOBS
from .operation import Operation, Resource, Room
from .quotas import QUOTAS

RESOURCES: tuple[Resource[Any], ...] = (IMAGES, CLUSTERS, JOBS, APPS)
ROOMS: tuple[Room, ...] = (*RESOURCES, QUOTAS)
"""All parts of the service, also that which keeps no records."""
OPERATIONS = {operation.name: operation for room in ROOMS for operation in room.operations}
"""All operations, by name."""

ANY = "any"
"""Stands for every operation."""


_ROUTES = [(operation.path.split("/"), operation) for operation in OPERATIONS.values()]
"""The parts of each path, and its operation. To import a router took 47 of the 146 ms until a new process listens."""


def match(method: str, path: str, query: Mapping[str, str]) -> tuple[Operation, Mapping[str, str]]:
    """Return the operation that a request is for, and the parameters in its path. Raises ApiError if there is none."""
    operations, parameters = _match(method, path)
    for operation in operations:
        if operation.chosen_by in query and query[operation.chosen_by].lower() != "false":
            return operation, parameters
    return operations[-1], parameters


@lru_cache(maxsize=1024)  # most requests are for a path that was asked for before
def _match(method: str, path: str) -> tuple[list[Operation], Mapping[str, str]]:
    """Return the operations with a method and a path, last the one that the query does not choose."""
    parts = path.split("/")
    found = [route for route in _ROUTES if _fits(parts, route[0])]
    if not found:
        raise ApiError("InvalidUrlPattern")
    operations = [operation for _, operation in found if operation.method == method]
    if not operations:
        raise ApiError("MethodNotAllowed")
    names = operations[0].path_parameters
    values = (part for wanted, part in zip(found[0][0], parts, strict=True) if wanted[:1] == "{")
    return sorted(operations, key=lambda operation: not operation.chosen_by), dict(zip(names, values, strict=True))


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


def becoming(operation: Operation) -> Iterator[tuple[Resource[Any], str]]:
    """Yield the resource, and the parameter of the path that names its record, that a request can find in a state."""
    for resource in RESOURCES:
        if resource.grown and resource.path_parameter in operation.path_parameters:
            yield resource, resource.path_parameter


def states_of(name: str) -> tuple[str, ...]:
    """Return the states in which what an operation, or any operation, names can be."""
    operations = OPERATIONS.values() if name == ANY else (OPERATIONS[name],)
    found = (resource.grown for operation in operations for resource, _ in becoming(operation))
    return tuple(dict.fromkeys(state for grown in found if grown for state in grown.states))


def resource_of(record: object) -> Resource[Any] | None:
    """Return the resource whose record this is; None for what is no record."""
    return next((resource for resource in RESOURCES if isinstance(record, resource.record)), None)


def summary(records: Mapping[str, Sized]) -> str:
    """Return how many records there are of each resource, as a person would write it: `4 images, 1 job`."""
    counts = [(len(records.get(resource.name, ())), resource.noun) for resource in RESOURCES]
    return ", ".join(counted(count, noun) for count, noun in counts if count) or counted(*counts[0])
