"""Records that are a description, as clients send it, and what the service adds to it: jobs, clusters, apps.

Knows nothing of any resource.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import msgspec

from ..errors import FieldError, nearest, unknown
from ..state.collection import a
from .records import EXAMPLE_OWNER, LARGEST_OWNER, RecordType, normal_time
from .rules import BrokenRuleError, Integer, Map, Number, Rules, Text, filled, invalid

Part = TypeVar("Part")

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def python_name(name: str) -> str:
    """Return a name of the service's as Python spells it: `MaxRetryCount` is `max_retry_count`, `DAG` is `dag`."""
    return _WORD.sub("_", name).lower()


def plain(description: object) -> dict[str, Any]:
    """Return a description as plain data: that of the official SDK's objects, or a mapping with the service's names.

    Raises TypeError for anything else.
    """
    if isinstance(description, Mapping):
        try:
            copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(dict(description)))
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(f"a description holds what JSON can express: {error}") from None
        return copy
    dump = getattr(description, "dump", None)
    if callable(dump):
        data = msgspec.json.decode(dump())
        if isinstance(data, dict):
            return data
    raise TypeError(f"a description is a mapping, or an object of the official SDK, not {description!r}")


class DescribedType(RecordType):
    """The type of the types of such records: they are made of a description, or of its fields in Python's spelling."""

    if not TYPE_CHECKING:

        def __call__(self, description: object = None, /, **fields: object) -> Any:
            """Make a record. Raises TypeError for a field that it does not have, ValueError for a wrong value."""
            if "described" in fields:  # a copy of one, made of what one is kept as
                return super().__call__(**fields)
            written = {} if description is None else plain(description)
            names = {python_name(name): name for name in self.fields()}
            for field, value in fields.items():
                if field not in names:
                    ours = python_name(field) if python_name(field) in names else field
                    hint = nearest(ours, names) or f"; known are {', '.join(names)}"
                    raise TypeError(f"{self.__name__} has no field {field!r}{hint}")
                if value is not None:
                    written[names[field]] = value
            try:
                return self.of(plain(written))
            except FieldError as error:
                where = ".".join(error.path)
                raise FieldError(where, f"{where}: {error}", error.path) from None


class Described(msgspec.Struct, metaclass=DescribedType, frozen=True, kw_only=True):
    """A record that is a description, and what the service adds.

    The description is kept as JSON: nothing that is read from it can change it.
    """

    id: str = ""
    owner_id: int = EXAMPLE_OWNER
    name: str = ""
    state: str = ""
    creation_time: str = ""
    described: bytes = b"{}"

    rules: ClassVar[Rules] = {}
    """The fields of the description."""
    own: ClassVar[Rules] = {}
    """The fields that the service adds, and that a fixture file may give."""

    @classmethod
    def fields(cls) -> Rules:
        """Return all fields that a fixture file may give."""
        return {**cls.own, **cls.rules}

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> Self:
        """Return the record that a fixture file writes so. Raises FieldError for what is wrong with it."""
        own: dict[str, Any] = {}
        description: dict[str, Any] = {}
        for name, value in written.items():
            if value is not None:
                (own if name in cls.own else description)[name] = value
        try:
            for name, field in cls.own.items():
                field.check(own.get(name), (name,))
            cls.check_description(description)
        except BrokenRuleError as error:
            raise located(error) from None
        return cls.complete(own, description)

    @classmethod
    def check_description(cls, description: Mapping[str, Any]) -> None:
        """Raise `BrokenRuleError` for a description that the service would refuse, whatever there is in the world."""
        raise NotImplementedError

    @classmethod
    def complete(cls, own: Mapping[str, Any], description: Mapping[str, Any]) -> Self:
        """Return the record with what the service adds, and a description that was found right."""
        raise NotImplementedError

    @classmethod
    def made(cls, **fields: Any) -> Self:
        """Return a record with these fields of its own, as they are kept."""
        record: Self = RecordType.__call__(cls, **fields)
        return record

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, name={self.name!r}, state={self.state!r})"

    def written(self) -> dict[str, Any]:
        """Return it as a fixture file writes it: its description, and what the service has added.

        Of the description, only what a fixture file may hold: a client may have sent more.
        """
        data = self.description_data()
        return {**self.own_written(), **{name: data[name] for name in self.rules if name in data}}

    def own_written(self) -> dict[str, Any]:
        """Return the fields that the service has added, as a fixture file writes them."""
        own = {"Id": self.id, "OwnerId": self.owner_id, "State": self.state, "CreationTime": self.creation_time}
        return {name: value for name, value in own.items() if name in self.own and value != ""}

    def description_data(self) -> dict[str, Any]:
        """Return the whole description, with the service's names and with defaults filled in: a copy."""
        data: dict[str, Any] = msgspec.json.decode(self.described)
        return data


class ByName(dict[str, Part]):
    """The parts of a record by their names. `noun` is what one of them is called."""

    def __init__(self, noun: str, parts: Mapping[str, Part]) -> None:
        super().__init__(parts)
        self._noun = noun

    def __missing__(self, name: object) -> Part:
        """Raise KeyError, with the nearest name."""
        raise KeyError(unknown(name, a(self._noun), self))


def located(error: BrokenRuleError) -> FieldError:
    """Return in a person's words what a rule says."""
    name = error.path[-1]
    if error.code.startswith("Missing"):
        return FieldError(name, f"{name} is missing", error.path[:-1] or error.path)
    problem = error.message.partition(" is not valid. ")[2] or error.message
    return FieldError(name, problem[:1].lower() + problem[1:].rstrip("."), error.path)


def encode(description: Mapping[str, Any], rules: Rules) -> bytes:
    """Return a description, which holds nothing that is null, as it is kept: with its defaults."""
    return msgspec.json.encode(filled(description, rules))


def check_time(text: str) -> str:
    """Return what is wrong with a time, or nothing."""
    try:
        normal_time(text)
    except ValueError:
        return "It must be a time such as 2016-10-31T06:55:33.921878Z."
    return ""


def check_id(text: str) -> str:
    """Return what is wrong with an Id, or nothing."""
    return "It must not hold a slash, or it can't be asked for." if "/" in text else ""


OWNER = Integer(least=1, most=LARGEST_OWNER, about="The owner's account number.")
"""The field OwnerId of a fixture file."""
TIME = Text(form=check_time, about="A YAML timestamp or text; served in UTC with six digits of fraction and Z.")


def time_of(own: Mapping[str, Any], name: str, default: str = "") -> str:
    """Return a time of a fixture file as the service writes it."""
    return normal_time(own[name]) if own.get(name) else default


EXAMPLE_TIME = "2016-11-01T15:25:02.837728Z"
"""When things of fixture files were created that do not say it. [doc]"""

# What several descriptions have in common.

TEXTS = Map(values=Text(blank=True), default={}, blank=True)
"""A map of texts."""


def events_of(description: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the events that a description wants to be told of. [doc]"""
    topic = (description.get("Notification") or {}).get("Topic")
    events = topic.get("Events") if isinstance(topic, dict) else None
    return frozenset(event for event in events if isinstance(event, str)) if isinstance(events, list) else frozenset()


def check_spot(body: Mapping[str, Any], path: tuple[str, ...]) -> None:
    """Raise `BrokenRuleError` for a price limit that is none, where there is one. [doc]

    It is checked with the strategy SpotWithPriceLimit only: programs send unrounded products without it [wild].
    """
    limit = body.get("SpotPriceLimit")
    if body.get("SpotStrategy") != "SpotWithPriceLimit" or limit is None:
        return
    if round(limit, 3) != limit:
        raise invalid((*path, "SpotPriceLimit"), "It must have at most 3 decimals.")


SPOT: Rules = {
    "ResourceType": Text(only=("OnDemand", "Spot"), default="OnDemand", about="How VMs are paid for."),
    "SpotStrategy": Text(only=("SpotWithPriceLimit", "SpotAsPriceGo"), default="", about="With ResourceType Spot."),
    "SpotPriceLimit": Number(default=0.0, about="With SpotWithPriceLimit: at most three decimals."),
}
"""How VMs are paid for. [doc]"""
