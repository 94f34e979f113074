"""How a resource and its operations are declared, and what an operation sees of a request and of the world.

An operation is a function of a `View` and of `Parameters`. It returns what is answered (None: no body), or raises
`ApiError` to refuse. It knows nothing of HTTP beyond its declaration.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from ..errors import ApiError, document_parameter
from ..state.collection import Collection, page
from .accounts import Account
from .described import Described, python_name
from .progress import Event, Present
from .records import check_record
from .rules import Rules, every_field

Record = TypeVar("Record", bound=msgspec.Struct)
Item = TypeVar("Item")
Answer = TypeVar("Answer")
Status = TypeVar("Status", bound=int)

API_VERSION = "2015-11-11"

DEFAULT_ITEMS = 50
"""How many items are on a page if `MaxItemCount` is not given. [doc]"""
MOST_ITEMS = 100
"""The largest `MaxItemCount`. [doc]"""
TOKEN = "IdempotentToken"  # noqa: S105 - the name of a parameter
LONGEST_TOKEN = 64
"""In characters. [doc]"""

_INTEGER = re.compile(r"-?[0-9]+", re.ASCII)
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")


class Parameters(NamedTuple):
    """What a request asks: the parameters in its path, in its query, and in its body's JSON object.

    A name that is in several of them means that of the path, then that of the query.
    """

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]

    def get(self, name: str) -> Any:
        """Return a parameter; "" if it is absent."""
        for place in self:
            if name in place:
                return place[name]
        return ""


class Page(msgspec.Struct, Generic[Item], rename="pascal"):
    """The result of a listing. `next_marker` is the key of the first item of the next page, empty on the last. [doc]"""

    next_marker: str
    items: list[Item]


class Answered(NamedTuple, Generic[Status, Answer]):
    """The result of an operation, with another status than its declaration has: `Answered[Literal[200], Created]`."""

    status: Status
    result: Answer


class Created(msgspec.Struct, rename="pascal"):
    """The result of a creation."""

    id: str


class View(Protocol):
    """The world as an operation sees it, on behalf of a caller. Nothing else changes the world meanwhile."""

    @property
    def caller(self) -> Account | None:
        """Who asks; None where the world has no accounts: then everybody may do everything."""

    @property
    def owner_id(self) -> int:
        """Who owns what the operation creates."""

    def collection(self, resource: "Resource[Record]") -> Collection[Record]:
        """Return the records of a resource, those of all owners."""

    def present(self, resource: "Resource[Record]") -> Present:
        """Return the moment, and what has happened until then to the caller's records of a resource."""

    def poll(self, resource: "Resource[Record]", record: Record) -> Record:
        """Return what a record is when somebody asks how it is doing. Raises ApiError if it is gone by then."""

    def poll_all(self, resource: "Resource[Any]") -> None:
        """Let all of the caller's records of a resource be asked how they are doing."""

    def note(self, text: str) -> None:
        """Say in the record of the call what a person wants to know of the answer."""

    def tell(self, event: Event) -> None:
        """Keep a notification that the service would have sent."""

    def quota(self, name: str) -> int | None:
        """Return how many of something the caller may have; None if that is not limited."""

    @property
    def quotas(self) -> Mapping[str, Any]:
        """What the world's fixtures say of quotas."""

    def next_id(self, resource: "Resource[Any]") -> str:
        """Return an Id that no record of the resource has, which comes after those that were made before."""

    def new_id(self, resource: "Resource[Any]", make: Callable[[Random], str]) -> str:
        """Return an Id, as `make` forms it, that no record of the resource has.

        The sequence is the same after each reset, so that a test can be repeated. [choice]
        """

    def now(self) -> str:
        """Return the time, as the service writes it."""

    def once(self, token: str, asked: object, answer: Callable[[], Answer]) -> Answer:
        """Return what `answer` returns or, where the caller used the token for the same operation before, what it
        returned then. Raises ApiError if something else was asked then.
        """


Function = Callable[[View, Parameters], object]
FunctionT = TypeVar("FunctionT", bound=Function)


class Operation(NamedTuple):
    """One operation of the service. `path` has the full names of its parameters: `/images/{ImageId}`.

    What its function is said to return is what it answers; the docstring says what it does.
    """

    name: str
    method: str
    path: str
    query: tuple[str, ...]
    """The parameters that its query may have."""
    bodies: tuple[Rules, ...]
    """The fields that its body may have, in each of its forms; none if it has no body."""
    body: Rules
    """The fields of all forms."""
    status: int
    """The HTTP status of its success."""
    function: Function
    chosen_by: str = ""
    """The parameter of the query by which it is chosen, among those with the same method and path."""

    @property
    def path_parameters(self) -> tuple[str, ...]:
        """The names of the parameters in its path."""
        return tuple(_PATH_PARAMETER.findall(self.path))

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of all parameters that a request for it may have, each once."""
        return tuple(dict.fromkeys((*self.path_parameters, *self.query, *self.body)))


class Room:
    """A part of the service: its name, and its operations."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.operations: list[Operation] = []

    def operation(
        self, name: str, request: str, status: int, *bodies: Rules, chosen_by: str = ""
    ) -> Callable[[FunctionT], FunctionT]:
        """Declare a function as an operation.

        `request` is the method and the path, with the names of the query's parameters after it:
        `"GET /images?Marker&Type"`. `status` is that of its success, `bodies` are the forms that its body
        may have. With `chosen_by`, a parameter of the query, it is what such a request means that has the parameter,
        and does not say that it is false.
        """
        method, _, target = request.partition(" ")
        path, _, query = target.partition("?")
        for body in bodies:
            for field, _ in every_field(body):
                document_parameter(field)
        fields = {field: rule for body in bodies for field, rule in body.items()}

        def declare(function: FunctionT) -> FunctionT:
            names = tuple(query.split("&")) if query else ()
            self.operations.append(Operation(name, method, path, names, bodies, fields, status, function, chosen_by))
            return function

        return declare


class Grown(Protocol[Record]):
    """How the records of a resource go on by themselves. Pure functions."""

    @property
    def states(self) -> Sequence[str]:
        """The states in which one can be put."""

    def become(self, record: Record, present: Present, state: str) -> Record:
        """Return a record that is in a state all at once."""

    def begin(self, record: Record, present: Present) -> Record:
        """Return a record as it comes into the world now."""

    def follow(self, record: Record, present: Present, *, polled: bool = False) -> Record | None:
        """Return what has become of a record, and count a poll of it; None if it is gone."""

    def is_mortal(self, record: Record) -> bool:
        """Tell whether a record may be gone by itself."""


class Resource(Room, Generic[Record]):
    """A kind of thing that the service keeps.

    `name` is its section in fixture files and its attribute of `FakeBatch`, `noun` what one of them is called. `record`
    is the type of its records, `key` the field that identifies one, by its name on the wire. `owner_of` returns whose a
    record is; None for one that is everybody's to see. `catalogue` is what there is if nothing is said, in the order of
    the keys. `identity` returns the key of a record, where it is more than that field. `place` returns where a key, or
    the marker of a page, stands in its order; by default that of Unicode. `numbered` forms the n-th Id for records that
    come without one. `grown` is how they go on by themselves, `collection` the type of what a test has of them.
    `least_items` is the smallest `MaxItemCount`.
    """

    def __init__(
        self,
        name: str,
        noun: str,
        record: type[Record],
        owner_of: Callable[[Record], int | None],
        key: str = "Id",
        catalogue: tuple[Record, ...] = (),
        identity: Callable[[Record], str] | None = None,
        place: Callable[[str], Any] | None = None,
        numbered: Callable[[int], str] | None = None,
        grown: Grown[Record] | None = None,
        collection: type[Collection[Record]] = Collection,
        least_items: int = 0,
    ) -> None:
        super().__init__(name)
        self.noun: str = noun
        self.record: type[Record] = record
        self.owner_of: Callable[[Record], int | None] = owner_of
        self.key: str = key
        self.catalogue: tuple[Record, ...] = catalogue
        self.key_field: str = python_name(key)
        self.key_of: Callable[[Record], str] = identity or (lambda record: str(getattr(record, self.key_field)))
        self.place: Callable[[str], Any] | None = place
        self.numbered: Callable[[int], str] | None = numbered
        self.grown: Grown[Record] | None = grown
        self.collection: type[Collection[Record]] = collection
        self.least_items: int = least_items
        self.path_parameter: str = f"{record.__name__}{key}"
        """By which name paths have its key."""
        self.entry_rules: Rules | None = record.fields() if issubclass(record, Described) else None
        """The fields that one may be written with in a fixture file; None if these are the fields of the record."""

    def check(self, record: object) -> None:
        """Raise TypeError for what is not a valid record of this resource."""
        check_record(record, self.record)

    def of(self, written: Mapping[str, Any]) -> Record:
        """Return the record that a fixture file writes so. Raises `msgspec.ValidationError` if it is none."""
        if issubclass(self.record, Described):
            return self.record.of(written)
        return msgspec.convert(written, self.record)

    def written(self, record: Record) -> dict[str, Any]:
        """Return the entry of a fixture file that is this record."""
        entry = record.written() if isinstance(record, Described) else msgspec.to_builtins(record)
        if "{n" in str(entry.get(self.key)):  # no placeholder: braces that are meant are doubled
            entry = {**_doubled_braces(entry), "repeat": 1}
        return entry

    def with_key(self, record: Record, taken: Callable[[str], bool], number: int = 1) -> tuple[Record, int]:
        """Return a record with an Id that is not taken, and the next number to try; unchanged if it has one."""
        if self.numbered is None or getattr(record, self.key_field):
            return record, number
        while taken(key := self.numbered(number)):
            number += 1
        return msgspec.structs.replace(record, **{self.key_field: key}), number + 1

    def owned(self, view: View) -> list[Record]:
        """Return all records of the caller, in their order."""
        return view.collection(self).of(view.owner_id)

    def page(self, view: View, parameters: Parameters, *, shared: bool = False) -> Page[Record]:
        """Return the page that a request asks for: of the caller's records, or of those that everybody sees.

        Raises ApiError for a `MaxItemCount` that is none.
        """
        partition = None if shared else view.owner_id
        count = item_count(parameters, self.least_items)
        items, next_marker = view.collection(self).page(partition, parameters.query.get("Marker", ""), count)
        return Page(next_marker, items)

    def find(self, view: View, key: str) -> Record:
        """Return a record that the caller can see. What it can't see does not exist for it.

        Raises ApiError if there is none.
        """
        records = view.collection(self)
        if key in records:
            record = records[key]
            if view.caller is None or self.owner_of(record) in (None, view.caller.owner_id):
                return record
        raise ApiError("InvalidResource.NotFound")


def _doubled_braces(data: Any) -> Any:
    """Return data with the braces in its texts as an entry that is repeated has them."""
    if isinstance(data, str):
        return data.replace("{", "{{").replace("}", "}}")
    if isinstance(data, list):
        return [_doubled_braces(part) for part in data]
    return {key: _doubled_braces(part) for key, part in data.items()} if isinstance(data, dict) else data


def nested_page(records: Sequence[Item], parameters: Parameters, key: Callable[[Item], Any], marker: Any) -> Page[Item]:
    """Return the page that a request asks for of a list inside of a record, which ascends by `key`.

    Raises ApiError for a `MaxItemCount` that is none.
    """
    items, next_marker = page(records, key, marker, item_count(parameters))
    return Page(str(next_marker), items)


def item_count(parameters: Parameters, least: int = 0) -> int:
    """Return how many items a request wants on its page. Raises ApiError if it is no number, or out of range."""
    if "MaxItemCount" not in parameters.query:
        return DEFAULT_ITEMS
    text = parameters.query["MaxItemCount"]
    if not _INTEGER.fullmatch(text):
        raise ApiError("InvalidMaxItemCount", Message="Its type must be integer.")
    # Digits that Python refuses to turn into a number, because there are thousands, are out of range as well.
    if len(text.lstrip("-").lstrip("0")) > len(str(MOST_ITEMS)) or not least <= (count := int(text)) <= MOST_ITEMS:
        raise ApiError("InvalidMaxItemCount", Message=f"It must be in [{least}, {MOST_ITEMS}].")
    return count


def idempotent_token(parameters: Parameters) -> str:
    """Return the idempotent token of a request; "" if it has none.

    It stands in the query; the SDK may put it in the body as well [sdk]. It may hold any characters: clients send
    UUIDs [sdk]. Raises ApiError if it is no text, or too long.
    """
    token = parameters.query.get(TOKEN) or parameters.body.get(TOKEN) or ""
    if not isinstance(token, str):
        raise ApiError("InvalidIdempotentToken", Message="Its type must be string.")
    if len(token) > LONGEST_TOKEN:
        raise ApiError("InvalidIdempotentToken", Message=f"Its length must be in [0, {LONGEST_TOKEN}].")
    return token
