"""The steps of a script: *on this operation, at these calls, do that*.

A `Step` is pure data. A `StepBuilder` makes one, from Python as from a fixture file: the keys of the file are the names
of its methods. Knows nothing of files, of HTTP, or of the world that a step changes.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, cast

import msgspec

from ..errors import ApiError, nearest, unknown
from ..state.calls import Call
from .operation import Parameters
from .registry import ANY, RESOURCES, check_operation, parameters_of, resource_of, states_of

CallNumbers = int | str | Sequence[int | str]
"""At which calls a step acts, counted from 1 over those that it matches: `2`, `"2-4"`, `"3-"`, or a list of these."""

Drop = Literal["before", "during", "silently"]
ReplyBody = str | bytes | Mapping[str, Any] | Sequence[Any] | float | bool
"""The body of a reply: text (sent as UTF-8), bytes, or anything that JSON can express."""
Headers = Mapping[str, str | int | float] | Iterable[tuple[str, str | int | float]]

LONGEST_DELAY = 3600.0
"""In seconds: a longer delay is taken for a mistake in the unit. [choice]"""

EFFECTS = ("fail", "reply", "drop", "delay", "trickle", "add", "remove", "becomes")
"""The names of a step's effects: keys in a fixture file, methods in Python."""
EFFECTS_LISTED = f"{', '.join(EFFECTS[:-1])} or {EFFECTS[-1]}"
"""The same, as a person would list them."""

_CALLS = re.compile(r"(?P<first>[1-9]\d{0,8})(?:(?P<dash>-)(?P<last>[1-9]\d{0,8})?)?", re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
NO_BODY = (204, 304)
"""The HTTP statuses whose responses have no body."""
_ANY_STATUS = range(200, 600)


class Failure(NamedTuple):
    """An error that a step answers with."""

    status: int
    code: str
    message: str


class Reply(NamedTuple):
    """A response of one's own: whatever a gateway might send instead of the service."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    function: Callable[[Call], Any] | None = None
    """Returns the body, in the place of `body`."""
    raw: bytes | None = None
    """Sent as it is, in the place of all else."""

    def written(self) -> dict[str, Any]:
        """Return it as a fixture file writes it. Raises UnicodeDecodeError for bytes that are no text."""
        if self.raw is not None:
            return {"raw": self.raw.decode()}
        entry: dict[str, Any] = {"status": self.status}
        entry |= {"headers": [list(header) for header in self.headers]} if self.headers else {}
        return entry | ({"body": self.body.decode()} if self.body else {})


class Step(msgspec.Struct, frozen=True):
    """One step of a script: a trigger, and effects. It never changes."""

    operation: str = ANY
    calls: tuple[tuple[int, float], ...] | None = None
    """Ranges of call numbers, both ends inclusive; None for every call."""
    where: tuple[tuple[str, str], ...] = ()
    """Parameters and the values, as text, that they must have."""
    account: str | None = None
    """The access key Id that must have signed."""
    host: str | None = None
    """The host for which the request must be, with `*` for any part of it."""
    trigger: str = ""
    """The trigger as a person would write it."""
    origin: str = ""
    """Where in a fixture file it stands; empty if it comes from Python."""

    failure: Failure | None = None
    drop: Drop | None = None
    reply: Reply | None = None
    delay: float = 0.0
    """In seconds, as `trickle`."""
    trickle: float = 0.0
    add: tuple[tuple[str, Any], ...] = ()
    """The names of resources, and records to add to them."""
    remove: tuple[tuple[str, str], ...] = ()
    """The names of resources, and keys of records to remove from them."""
    becomes: str = ""
    """The state in which what the request names is then; empty: that in which it is."""
    near: str = ""
    """How near it came to acting, if it is one of the unused steps."""

    def matches(self, operation: str, parameters: Parameters, account: str, host: str) -> bool:
        """Tell whether a request is one that the step counts."""
        return (
            self.operation in (ANY, operation)
            and all(text_of(parameters.get(name)) == value for name, value in self.where)
            and self.account in (None, account)
            and (self.host is None or fnmatchcase(host.lower(), self.host.lower()))
        )

    def acts_at(self, number: int) -> bool:
        """Tell whether the step acts at this one of the calls that it counts, from 1."""
        return self.calls is None or any(first <= number <= last for first, last in self.calls)

    @property
    def outcome(self) -> bool:
        """Whether the step takes the place of the service's own answer, or cuts it short."""
        return bool(self.failure or self.drop or self.reply)

    def written(self) -> dict[str, Any] | None:
        """Return it as a fixture file writes it; None for a function, and for bytes that are no text."""
        reply = self.reply
        if reply and reply.function:
            return None
        try:
            replied = {"reply": reply.written()} if reply else {}
        except UnicodeDecodeError:
            return None
        effects = {
            **({"fail": self.failure._asdict()} if self.failure else {}),
            **({"drop": self.drop} if self.drop else {}),
            **replied,
            **{name: getattr(self, name) for name in ("delay", "trickle", "becomes") if getattr(self, name)},
        }
        for resource in RESOURCES:
            added = [resource.written(record) for name, record in self.add if name == resource.name]
            removed = [key for name, key in self.remove if name == resource.name]
            for effect, items in (("add", added), ("remove", removed)):
                if items:
                    effects.setdefault(effect, {})[resource.name] = items
        calls = [_written_range(first, last) for first, last in self.calls or ()]
        trigger = {
            "on": self.operation,
            "calls": calls[0] if len(calls) == 1 else calls,
            "where": dict(self.where),
            "account": self.account,
            "host": self.host,
        }
        # One that does nothing has to say so.
        return {name: value for name, value in trigger.items() if value} | (effects or {"delay": 0})

    def __str__(self) -> str:
        effects = []
        if self.remove:
            effects.append("remove " + ", ".join(key for _, key in self.remove))
        if self.add:
            effects.append("add " + ", ".join(str(getattr(record, "id", "") or record) for _, record in self.add))
        if self.becomes:
            effects.append(f"becomes {self.becomes}")
        if self.delay:
            effects.append(f"delay {self.delay:g} s")
        if self.failure:
            effects.append(f"fail {self.failure.code}")
        if self.drop:
            effects.append("drop silently" if self.drop == "silently" else f"drop {self.drop} the response")
        if self.reply:
            effects.append("reply raw bytes" if self.reply.raw is not None else f"reply {self.reply.status}")
        if self.trickle:
            effects.append(f"trickle {self.trickle:g} s")
        text = f"{self.trigger}: {'; '.join(effects) or 'nothing'}"
        return f"{self.origin}: {text}" if self.origin else text

    def __repr__(self) -> str:
        return f"{self} ({self.near})" if self.near else str(self)


class StepBuilder:
    """A step in the making: a trigger, and the effects that its methods give it. Each returns the builder itself.

    It acts on calls of `operation` (or `"any"`) whose parameters have the values in `where` (compared as text; a
    parameter that is absent counts as empty), that `account` (an access key Id) signed, and that came for `host` (a
    host name, with `*`), at the calls that `calls` names: `2`, `"2-4"`, `"3-"` or a list of these; without it, at each.

    It is in the script from its first effect on, until `remove()`; in a `with` statement, until the end of its block.

    `changed` is called with the step after each effect, with the first one as well, and `removed` when it is taken out
    of the script, with whether it is to be forgotten: whoever took it out does not care whether it has acted.

    Raises ValueError for an unknown operation or parameter and for malformed `calls`, and TypeError for values of a
    wrong type.
    """

    def __init__(
        self,
        operation: str = ANY,
        calls: CallNumbers | None = None,
        where: Mapping[str, str | int | float | bool] | None = None,
        account: str | None = None,
        host: str | None = None,
        origin: str = "",
        changed: Callable[[Step], None] = lambda _: None,
        removed: Callable[[bool], None] = lambda _: None,
    ) -> None:
        check_operation(operation, ANY)
        for name, value in (("account", account), ("host", host)):
            if value is not None and (not isinstance(value, str) or not value):
                raise TypeError(f"{name} is a text, not {value!r}")
        wanted = _check_where(operation, {} if where is None else where)
        parts = [f"on {operation}"]
        parts += [] if calls is None else [f"calls {calls}"]
        parts += ["where " + ", ".join(f"{name}={value}" for name, value in wanted)] if wanted else []
        parts += [f"account {account}"] if account else []
        parts += [f"host {host}"] if host else []
        self.step: Step = Step(
            operation=operation,
            calls=None if calls is None else parse_calls(calls),
            where=wanted,
            account=account,
            host=host,
            trigger=", ".join(parts),
            origin=origin,
        )
        self.attempted: bool = False
        """Whether it was told to have an effect, be it with a mistake that was refused."""
        self._changed = changed
        self._removed = removed
        self._in_script: bool | None = False  # None: not any more

    def fail(self, /, code: str, *, status: int | None = None, message: str | None = None, **arguments: object) -> Self:
        """Answer with an error: a documented code, whose status and message are filled in, with the message's arguments
        (`fail("StateConflict", State="Deleting")`); or a code of one's own, with its status and message.

        Raises ValueError for a code that is neither, for wrong arguments, for a status that allows no body, and for
        half a character, and TypeError for a code or a message that is no text.
        """
        self._begin_outcome()
        if not isinstance(code, str):
            advice = f"; for a bare HTTP status write reply({code})" if isinstance(code, int) else ""
            raise TypeError(f"an error code is a text such as 'Throttling', not {code!r}{advice}")
        if status is None and message is None:
            error = ApiError(code, **arguments)
            failure = Failure(error.status, error.code, error.message)
        elif status is None or message is None or arguments:
            raise ValueError("an error of one's own needs status, code and message, and nothing else")
        elif _check_status(status) in NO_BODY:
            raise ValueError(f"a response with the status {status} has no body for code and message; write a reply")
        else:
            failure = Failure(status, code, message)
        _check_text("the code", failure.code)
        _check_text("the message", failure.message)
        return self._with(failure=failure)

    def delay(self, seconds: float) -> Self:
        """Answer only after so many seconds. Other requests are answered meanwhile.

        Raises ValueError outside 0 to 3600.
        """
        self.attempted = True
        return self._with(delay=_check_seconds("a delay", seconds))

    def trickle(self, seconds: float) -> Self:
        """Send the body in pieces, spread over so many seconds. Raises ValueError outside 0 to 3600."""
        self.attempted = True
        return self._with(trickle=_check_seconds("a trickle", seconds))

    def drop(self, when: Drop = "before") -> Self:
        """Break the connection: `before` the response with a TCP reset, `during` it, in the middle of the body, or
        `silently`, with an orderly end before the response.

        The operation itself is carried out for `during`, and for nothing else.
        """
        self._begin_outcome()
        if when not in ("before", "during", "silently"):
            raise ValueError(f"a connection is dropped 'before' or 'during' the response, or 'silently', not {when!r}")
        return self._with(drop=when)

    def reply(
        self,
        status: int = 200,
        headers: Headers | None = None,
        body: ReplyBody | Callable[[Call], ReplyBody] = b"",
        *,
        raw: bytes | None = None,
    ) -> Self:
        """Send this status, these headers and this body instead of the service's answer.

        The body is text (sent as UTF-8), bytes, something that JSON can express, or a function that is called with the
        `Call` and returns one of these. With `raw`, these bytes are sent in the place of a response, and the connection
        ends. The operation is not carried out.

        Raises ValueError for a status outside 200 to 599, for a malformed header, and for a body where the status
        allows none, and TypeError for a body of another type.
        """
        self._begin_outcome()
        if raw is not None:
            if not isinstance(raw, bytes):
                raise TypeError(f"raw is bytes, not {raw!r}")
            if (status, headers, body) != (200, None, b""):
                raise ValueError("raw is all that is sent; leave status, headers and body out")
            return self._with(reply=Reply(status, (), b"", raw=raw))
        _check_status(status)
        pairs = _check_headers(headers)
        content, own = (b"", ()) if callable(body) else encode_body(body, pairs)
        if status in NO_BODY and (content or callable(body)):
            raise ValueError(f"a response with the status {status} has no body; leave it out, or send it with raw")
        function = cast("Callable[[Call], Any]", body) if callable(body) else None
        return self._with(reply=Reply(status, pairs + own, content, function))

    def add(self, *records: Any) -> Self:
        """Put records into the world before the call is carried out, in the place of those with the same Ids.

        Raises TypeError for anything but valid records.
        """
        self.attempted = True
        added = []
        for record in records:
            resource = resource_of(record)
            if resource is None:
                kinds = " or ".join(resource.record.__name__ for resource in RESOURCES)
                raise TypeError(f"expected {kinds}, got {record!r}")
            resource.check(record)
            added.append((resource.name, record))
        return self._with(add=(*self.step.add, *added))

    def remove(self, *ids: str, resource: str | None = None) -> Self:
        """Take records of a resource (`"jobs"`; images where it is not said) out of the world before the call is
        carried out. One that is not there is passed over.

        Without Ids, `step.remove()`, take the step itself out of the script: from now on it does nothing.

        Raises TypeError for an Id that is no text, and ValueError for an unknown resource, and for a step that is not
        in the script.
        """
        self.attempted = True
        if not ids and resource is None:
            self._take_out(forget=True)
            return self
        resource = resource or RESOURCES[0].name
        names = [known.name for known in RESOURCES]
        if resource not in names:
            raise ValueError(unknown(resource, "a resource", names))
        for key in ids:
            if not isinstance(key, str):
                raise TypeError(f"an Id is a text, not {key!r}")
        return self._with(remove=(*self.step.remove, *((resource, key) for key in ids)))

    def becomes(self, state: str) -> Self:
        """Let the job, or the cluster, that the request names be in a state before the call is carried out.

        Raises ValueError for a state that is none, and for an operation that names nothing that has states.
        """
        self.attempted = True
        known = states_of(self.step.operation)
        if not known:
            raise ValueError(f"{self.step.operation} names nothing that could be in another state")
        if state not in known:
            raise ValueError(unknown(state, "a state", known))
        return self._with(becomes=state)

    def _begin_outcome(self) -> None:
        self.attempted = True
        if self.step.outcome:
            raise ValueError("a step has one outcome: fail, drop or reply; make a second step for another")

    def __enter__(self) -> Self:
        self._check_in_script()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._in_script:  # it was not removed inside
            self._take_out(forget=False)

    def _take_out(self, *, forget: bool) -> None:
        self._check_in_script()
        self._in_script = None
        self._removed(forget)

    def _check_in_script(self) -> None:
        if self._in_script is None:
            raise ValueError(f"{self.step}: this step was removed already; make another one")
        if not self._in_script:
            raise ValueError(f"{self.step.trigger}: this step has no effect yet; give it {EFFECTS_LISTED}")

    def _with(self, **effects: Any) -> Self:
        if self._in_script is None:
            self._check_in_script()
        self._in_script = True
        self.step = msgspec.structs.replace(self.step, **effects)
        self._changed(self.step)
        return self

    def __str__(self) -> str:
        return str(self.step)

    __repr__ = __str__


def parse_calls(calls: CallNumbers) -> tuple[tuple[int, float], ...]:
    """Return the ranges that a `calls` value names, both ends inclusive. Raises ValueError if it is malformed."""
    parts = calls if isinstance(calls, list | tuple) else [calls]
    if not parts:
        raise ValueError("an empty list names no call; leave `calls` out to act at every call")
    return tuple(map(_parse_range, parts))


def _parse_range(part: object) -> tuple[int, float]:
    found = _CALLS.fullmatch(str(part))
    if found:
        first = int(found["first"])
        last = first if not found["dash"] else int(found["last"]) if found["last"] else float("inf")
        if first <= last:
            return first, last
    raise ValueError(f"{part!r} does not name calls; write 2, '2-4', '3-' or a list of these (the first call is 1)")


def _written_range(first: int, last: float) -> int | str:
    if first == last:
        return first
    return f"{first}-" if last == float("inf") else f"{first}-{last:.0f}"


def _check_where(operation: str, where: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(where, Mapping):
        raise TypeError(f'where is a mapping such as {{"Type": "System"}}, not {where!r}')
    known = parameters_of(operation)
    for name, value in where.items():
        if name not in known:
            whose = "no operation" if operation == ANY else operation
            has = "has a" if operation == ANY else "has no"
            hint = nearest(str(name), known) or f"; known are {', '.join(known)}"
            raise ValueError(f"{whose} {has} parameter {name!r}{hint}")
        if not isinstance(value, str | int | float):
            raise TypeError(f"the value of {name} in where is a text or a number, not {value!r}")
    return tuple((name, text_of(value)) for name, value in where.items())


def text_of(value: object) -> str:
    """Return the value of a parameter as text: JSON, for one from a body that is no text."""
    return value if isinstance(value, str) else json.dumps(value)


def _check_seconds(what: str, seconds: object) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST_DELAY:
        raise ValueError(f"{what} is a number of seconds from 0 to {LONGEST_DELAY:.0f}, not {seconds!r}")
    return float(seconds)


def _check_status(status: object) -> int:
    if isinstance(status, bool) or not isinstance(status, int) or status not in _ANY_STATUS:
        raise ValueError(f"an HTTP status is a number from 200 to 599, not {status!r}")
    return status


def _check_text(what: str, text: object) -> None:
    if not isinstance(text, str):
        raise TypeError(f"{what} of an error is a text, not {text!r}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} of an error can't be sent, for it holds half a character: {text!r}") from None


def _check_headers(headers: Headers | None) -> tuple[tuple[str, str], ...]:
    if headers is None:
        return ()
    try:
        pairs = [(name, value) for name, value in (headers.items() if isinstance(headers, Mapping) else headers)]
    except (TypeError, ValueError):
        raise TypeError(f"headers are a mapping, or a list of pairs of a name and a value, not {headers!r}") from None
    for name, value in pairs:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not isinstance(name, str) or not (number or isinstance(value, str)):
            raise TypeError(f"{name}: the value of a header is a text or a number, not {value!r}")
        text = str(value)
        if not _TOKEN.fullmatch(name) or _CONTROL.search(text) or any(ord(character) > 255 for character in text):
            raise ValueError(f"{name}: {value!r} is not an HTTP header")
    return tuple((name, str(value)) for name, value in pairs)


def encode_body(body: object, headers: tuple[tuple[str, str], ...]) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """Return the bytes of a reply's body, and the headers that it needs beside those that it has.

    Raises TypeError for what is neither text nor bytes nor something that JSON can express.
    """
    if isinstance(body, bytes):
        return body, ()
    try:
        if isinstance(body, str):
            return body.encode(), ()
        content = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"the body of a reply is text, bytes, JSON or a function of the call, not {body!r}: {error}"
        ) from None
    named = any(name.lower() == "content-type" for name, _ in headers)
    return content, () if named else (("Content-Type", "application/json; charset=utf-8"),)
