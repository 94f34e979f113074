"""What the records of all resources share: owners, times, and what makes a record valid.

Knows nothing of any resource.
"""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import nearest
from ..state.clock import in_utc, micros, moment_of
from ..state.collection import a

EXAMPLE_OWNER = 123456
"""The account of the reference's examples [doc]: who owns what is created if nothing else is said [choice]."""

LARGEST_OWNER = 2**63 - 1

_WIRE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


class RecordType(msgspec.StructMeta):
    """The type of the types of records: it says how a field is spelled in Python, where the wire's name was written."""

    if not TYPE_CHECKING:  # to a type checker, a record takes its own fields, and nothing else

        def __call__(self, *values: object, **fields: object) -> Any:
            """Make a record. Raises TypeError for a field that it does not have."""
            known = self.__struct_fields__
            for field in fields:
                if field not in known:
                    ours = dict(zip(self.__struct_encode_fields__, known, strict=True)).get(field, field)
                    hint = nearest(ours, known) or f"; known are {', '.join(known)}"
                    raise TypeError(f"{self.__name__} has no field {field!r}{hint}")
            return super().__call__(*values, **fields)


def format_time(moment: datetime) -> str:
    """Return a moment as the service writes it: UTC, six digits of fraction, `Z`. [doc]

    A moment without a time zone is taken as UTC. Raises ValueError if it has no place in the years 1 to 9999 of UTC.
    """
    try:
        utc = in_utc(moment)
    except OverflowError:
        raise ValueError(f"{moment.isoformat()} lies outside the years 1 to 9999 in UTC") from None
    return utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def normal_time(text: str) -> str:
    """Return a time as the service writes it, from any in ISO 8601: a date, or a date and a time, with or without
    fraction and zone.

    Raises ValueError for any other text, and TypeError for what is no text.
    """
    if not isinstance(text, str):
        raise TypeError(f"a time is a text such as '2016-10-31T06:55:33.921878Z', not {text!r}")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time; write it like 2016-10-31T06:55:33.921878Z") from None
    return text if _WIRE_TIME.fullmatch(text) else format_time(moment)


def micros_of(text: str) -> int:
    """Return a time that the service wrote in microseconds since 1970; 0 for the empty text."""
    return micros(datetime.fromisoformat(text)) if text else 0


def format_micros(moment: int) -> str:
    """Return microseconds since 1970 as the service writes a time; the empty text for 0: not known yet. [doc]"""
    return format_time(moment_of(moment)) if moment else ""


def check_record(record: object, kind: type[msgspec.Struct]) -> None:
    """Raise TypeError for what is not of a kind of record, or has a value that a fixture file could not give it."""
    if not isinstance(record, kind):
        raise TypeError(f"expected {a(kind.__name__)}, got {record!r}")
    try:
        msgspec.convert(msgspec.to_builtins(record), kind)
        msgspec.json.encode(record)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise TypeError(f"not a valid {kind.__name__}: {error}") from None
