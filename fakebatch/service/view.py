"""What of a world its operations see, and its records: `View` of an operation, `Life` of a collection.

Knows nothing of any resource.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ..errors import ApiError
from ..state.collection import Collection
from ..state.tokens import MismatchError
from .accounts import Account
from .operation import Operation, Record, Resource
from .progress import Event, Present
from .records import EXAMPLE_OWNER

if TYPE_CHECKING:
    from .world import World

Answer = TypeVar("Answer")


class Life(Generic[Record]):
    """How the records of a resource go on in a world."""

    def __init__(self, world: "World", resource: Resource[Record], partition: Callable[[Record], int | None]) -> None:
        self._world = world
        self._resource = resource
        self._partition = partition

    def _present(self, record: Record) -> Present:
        return self._world.present(self._resource, self._partition(record))

    def begin(self, record: Record) -> Record:
        """Return a record as it comes into the world now."""
        record = self._world.with_id(self._resource, record)
        grown = self._resource.grown
        return grown.begin(record, self._present(record)) if grown else record

    def follow(self, record: Record, *, polled: bool = False) -> Record | None:
        """Return what has become of a record."""
        grown = self._resource.grown
        return grown.follow(record, self._present(record), polled=polled) if grown else record

    def change(self, record: Record, do: Callable[[Record, Present], Record]) -> Record:
        """Return what something makes of a record at this moment."""
        return do(record, self._present(record))

    def is_mortal(self, record: Record) -> bool:
        """Tell whether a record may be gone by itself."""
        grown = self._resource.grown
        return bool(grown and grown.is_mortal(record))

    def settle(self, read: Callable[[], Answer]) -> Answer:
        """Return what `read` returns, which calls `follow`."""
        return self._world.settle(read)


class WorldView:
    """The `View` of an operation."""

    def __init__(self, world: "World", operation: Operation, caller: Account | None) -> None:
        self._world = world
        self._operation = operation
        self.caller = caller
        self.noted: str = ""
        self._polled: list[Resource[Any]] = []

    @property
    def owner_id(self) -> int:
        return self.caller.owner_id if self.caller else EXAMPLE_OWNER

    def collection(self, resource: Resource[Record]) -> Collection[Record]:
        return self._world.collection(resource)

    def present(self, resource: Resource[Any]) -> Present:
        return self._world.present(resource, self.owner_id)

    def poll(self, resource: Resource[Record], record: Record) -> Record:
        try:
            return self.collection(resource).poll(resource.key_of(record))
        except KeyError:
            raise ApiError("InvalidResource.NotFound") from None

    def poll_all(self, resource: Resource[Any]) -> None:
        self._world.poll_all(resource, self.owner_id)
        self._polled.append(resource)

    def take_back(self) -> None:
        """Take back the polls: the operation begins anew."""
        for resource in self._polled:
            self._world.take_back_poll(resource, self.owner_id)

    def note(self, text: str) -> None:
        self.noted = text

    def tell(self, event: Event) -> None:
        self._world.tell_event(event)

    @property
    def quotas(self) -> Mapping[str, Any]:
        return self._world.quotas

    def quota(self, name: str) -> int | None:
        return cast("int | None", self.quotas.get(name))

    def next_id(self, resource: Resource[Any]) -> str:
        return self._world.next_id(resource)

    def new_id(self, resource: Resource[Any], make: Callable[[Random], str]) -> str:
        records = self.collection(resource)
        while (key := make(self._world.random)) in records:
            pass
        return key

    def now(self) -> str:
        return self._world.time()

    def once(self, token: str, asked: object, answer: Callable[[], Answer]) -> Answer:
        try:
            return self._world.tokens.once(self._operation.name, self.owner_id, token, asked, answer)
        except MismatchError:
            raise ApiError("IdempotentTokenMismatch") from None
