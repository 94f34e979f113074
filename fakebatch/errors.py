"""The errors: the service's refusals (`ApiError`), and what a bad fixture file raises (`FixtureError`).

Knows nothing of HTTP beyond the number of a status, and nothing of any resource but its documented codes.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from string import Formatter
from typing import NamedTuple, Self

_INVALID = "Specified parameter {Parameter} is not valid. {Message}"
_MISSING = "{Parameter} is mandatory for this action."

DOCUMENTED: dict[str, tuple[int, str]] = {
    # Common to all operations. [doc]
    "InvalidQueryString": (403, "Specified parameter QueryString is not valid. {Message}"),
    "InvalidUrlPattern": (400, "Specified url pattern contains some illegal words."),
    "MethodNotAllowed": (400, "The request http method is not supported for this resource."),
    "InvalidVersion.NotFound": (403, "Specified version is not found."),
    "InvalidResource.AlreadyExisting": (403, "Specified resource already exists."),
    "QuotaExhausted": (403, "The {QuotaName} ({Value}) quota is exhausted."),
    "Forbidden": (403, "User not authorized to operate on the specified resource."),
    "InvalidResource.NotFound": (404, "Specified resource is not found."),
    "StateConflict": (409, "User operation is invalid. The current resource state is {State}."),
    "InternalError": (500, "The request processing has been failed due to some unknown error."),
    # ListImages. [doc]
    "InvalidMaxItemCount": (400, _INVALID.replace("{Parameter}", "MaxItemCount")),
    # CreateImage. [doc]
    "IdempotentTokenMismatch": (400, "Specified idempotent token mismatch."),
    "InvalidJsonFormat": (400, "The request body has an invalid json format."),
    "InvalidHttpBody": (400, _INVALID.replace("{Parameter}", "HttpBody")),
    "InvalidIdempotentToken": (400, _INVALID.replace("{Parameter}", "IdempotentToken")),
    # CreateJob. [doc]
    "BadDAG": (400, "It is a cyclic dag."),
    # The gateway in front of every Alibaba Cloud service: the codes are [doc]; the sentences are those that other
    # services' references print for them [choice].
    "ServiceUnavailable": (503, "The request has failed due to a temporary failure of the server."),
    "Throttling": (400, "Request was denied due to request throttling."),
    "Throttling.User": (400, "Request was denied due to user flow control."),
    "InvalidAccessKeyId.NotFound": (404, "Specified access key is not found."),
    "SignatureDoesNotMatch": (
        400,
        "Specified signature is not matched with our calculation. server string to sign is:{StringToSign}",
    ),
    "SignatureNonceUsed": (400, "Specified signature nonce was used already."),
    "InvalidTimeStamp.Expired": (400, "Specified time stamp or date value is expired."),
    "MissingAccessKeyId": (400, "AccessKeyId is mandatory for this action."),
}
"""Every documented code: its HTTP status, and its message with the names of its arguments in braces."""


def document_parameter(name: str) -> None:
    """Make the codes of a parameter documented that an operation declares, so that none is listed here for it.

    The reference prints `Missing{P}` and `Invalid{P}` for any parameter. [doc]
    """
    DOCUMENTED.setdefault(f"Invalid{name}", (400, _INVALID.replace("{Parameter}", name)))
    DOCUMENTED.setdefault(f"Missing{name}", (400, _MISSING.replace("{Parameter}", name)))


_MANY = 12
"""More names than so many are not listed where a near one is known."""

_MANY = 12
"""More names than so many are not listed where a near one is known."""

_OPTIONAL_ARGUMENTS = {"Message": "", "StringToSign": ""}
"""Arguments that may be left out. The reference itself prints `... is not valid. ` with nothing behind it. [doc]"""


def printable(text: str) -> str:
    """Return a text with its control characters, and whatever else is nothing for a terminal, as escapes."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def nearest(seen: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean '...'?` for the allowed spelling nearest to the one seen, or nothing if none is near."""
    spellings = {name.lower(): name for name in allowed}
    near = get_close_matches(seen.lower(), spellings, n=1, cutoff=0.7)
    return f"; did you mean {spellings[near[0]]!r}?" if near else ""


def unknown(name: object, what: str, allowed: Iterable[str]) -> str:
    """Return that a name is not `what` it should be, with the nearest right spelling, and all that are allowed: where
    there are many, only if none is near.
    """
    names = list(allowed)
    hint = nearest(str(name), names)
    if hint and len(names) > _MANY:
        return f"{name!r} is not {what}{hint}"
    return f"{name!r} is not {what}{f'{hint} K' if hint else '; k'}nown are {', '.join(names)}."


class ApiError(Exception):
    """An error as the service answers it: `status` (HTTP), `code` and `message`.

    `ApiError("StateConflict", State="Deleting")` takes status and message from `DOCUMENTED` and fills in the arguments.

    Raises ValueError for a code that is not documented, and for arguments that its message lacks or does not have, and
    TypeError for a code that is no text.
    """

    def __init__(self, code: str, /, **arguments: object) -> None:
        if not isinstance(code, str):
            raise TypeError(f"an error code is a text such as 'Throttling', not {code!r}")
        if code not in DOCUMENTED:
            own = "for one of your own give its status and message as well"
            hint = nearest(code, DOCUMENTED) or f"; {own}; known are {', '.join(DOCUMENTED)}"
            raise ValueError(f"{code!r} is not a documented error code{hint}")
        self.code: str = code
        self.status: int
        self.status, message = DOCUMENTED[code]
        takes = [name for _, name, _, _ in Formatter().parse(message) if name]
        for name in arguments:
            if name not in takes:
                raise ValueError(f"{code} has no argument {name!r}; it takes {', '.join(takes) or 'none'}")
        filled = _OPTIONAL_ARGUMENTS | arguments
        for name in takes:
            if name not in filled:
                raise ValueError(f"{code} needs the argument {name!r}: its message is {message!r}")
        self.message: str = message.format_map(filled)
        super().__init__(f"{self.status} {self.code}: {self.message}")

    @classmethod
    def undocumented(cls, status: int, code: str, message: str) -> Self:
        """Return an error with a status, code and message of one's own."""
        error = cls.__new__(cls)
        error.status, error.code, error.message = status, code, message
        Exception.__init__(error, f"{status} {code}: {message}")
        return error


class Problem(NamedTuple):
    """One thing wrong with a fixture file.

    `line` and `column` count from 1; they are 0 where the file has no text to point at.
    """

    path: str
    line: int
    column: int
    where: str
    """The place inside the file's data, `images[3].Platform`; empty for the file as a whole."""
    message: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        return printable(": ".join(part for part in (place, self.where, self.message) if part))


class FixtureError(Exception):
    """A fixture file does not load. `problems` lists everything that is wrong; `str()` gives a line for each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class FieldError(ValueError):
    """A value that a field of a record can't have. `path` is where it stands in the record, by the wire's names."""

    def __init__(self, field: str, message: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.path: tuple[str, ...] = path or (field,)


class ServerError(Exception):
    """The server can't do what was asked: its port is taken, or it is not started."""


class NotStartedError(ServerError, AttributeError):
    """What only a running server has was asked of one that is not started. For `hasattr`, it does not have it."""
