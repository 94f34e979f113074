"""What a variant is: a request, the world in which it is asked, and what has to be answered."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from answer_shapes import misshapen
from contract import OPERATIONS
from conversation import Conversation, Reply, Request

CREATES = {"CreateImage": "ImageId", "CreateCluster": "ClusterId", "CreateJob": "JobId", "CreateApp": "AppName"}
"""The operations that create, with the name of what identifies their result."""

_READ_BACK = {
    "CreateImage": "GetImage",
    "CreateCluster": "GetCluster",
    "ModifyCluster": "GetCluster",
    "CreateJob": "GetJobDescription",
    "ChangeJobPriority": "GetJob",
    "CreateApp": "GetAppDetail",
    "ModifyApp": "GetAppDetail",
}
"""The operations after which something reads as it was sent, and where."""


class Expectation(Protocol):
    """What has to be answered."""

    def problem(self, talk: Conversation, reply: Reply) -> str:
        """Return what is wrong with an answer; "" if nothing is. It may ask more to find out."""


World = Callable[[Conversation], None]
"""Brings about what has to be there before a request. Raises WorldError if it can't."""


class Variant(NamedTuple):
    """One request and what has to become of it."""

    operation: str
    group: str
    """What of the operation it is about: a field, its pages, its states."""
    label: str
    world: World
    request: Request
    expectation: Expectation

    @property
    def id(self) -> str:
        """Tells it from all others."""
        return f"{self.operation} {self.group}: {self.label}"


def encode(body: object) -> bytes:
    """Return a body as it is sent."""
    return json.dumps(body, ensure_ascii=False).encode(errors="surrogatepass")


def same(one: object, other: object) -> bool:
    """Tell whether two values are the same JSON: `true` is not 1, but 1 is 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def path_of(operation: str) -> str:
    """Return the path of an operation, with the names of its parameters in braces."""
    return str(OPERATIONS[operation]["path"])


def needed_query(operation: str) -> str:
    """Return the query without which a request is for another operation of the same path."""
    query: Mapping[str, Any] = OPERATIONS[operation].get("query", {})
    needed = {name: spec["type"] for name, spec in query.items() if spec.get("required")}
    return "&".join(name if kind == "flag" else f"{name}=True" for name, kind in needed.items())


def get(operation: str, query: str = "") -> Request:
    """Return the request for an operation that reads."""
    joined = "&".join(filter(None, (needed_query(operation), query)))
    return Request("GET", path_of(operation), joined)


@dataclass(frozen=True)
class Unspecified:
    """No source says; the service just must not fail."""

    def problem(self, talk: Conversation, reply: Reply) -> str:  # noqa: ARG002 - a 5xx is noticed by the conversation
        return "" if reply.status < 500 else f"answered {reply}"


@dataclass(frozen=True)
class Refused:
    """Refused with a status, one of several codes, and the message where it is known."""

    status: int
    codes: Sequence[str] = ()
    pattern: str = ""
    message: str = ""

    def problem(self, talk: Conversation, reply: Reply) -> str:
        code = talk.fill_in(reply.code)
        known = re.fullmatch(self.pattern, code, re.DOTALL) if self.pattern else code in self.codes
        if reply.status != self.status or not known:
            return f"answered {reply}, not {self.status} {self.pattern or ' or '.join(self.codes)}"
        if self.message and reply.json["Message"] != talk.fill_in(self.message):
            return f"the message is {reply.json['Message']!r}, not {self.message!r}"
        return ""


@dataclass(frozen=True)
class RefusedSomehow:
    """A 4xx, whatever its code."""

    def problem(self, talk: Conversation, reply: Reply) -> str:  # noqa: ARG002 - nothing more is to be asked
        return "" if 400 <= reply.status < 500 else f"answered {reply}, not a 4xx"


@dataclass(frozen=True)
class Echo:
    """A value that has to be read at a place of what an operation has made; `or_absent`: or nothing there."""

    path: tuple[str, ...]
    value: object
    or_absent: bool = False

    def problem(self, seen: Any) -> str:
        for part in self.path:
            if not isinstance(seen, dict) or part not in seen:
                return "" if self.or_absent else f"{'.'.join(self.path)} does not read back: absent"
            seen = seen[part]
        return "" if same(seen, self.value) else f"{'.'.join(self.path)} reads back as {seen!r}, not {self.value!r}"


@dataclass(frozen=True)
class Succeeded:
    """Succeeded, with an answer of the right shape, and what was sent reads back."""

    operation: str
    echo: Echo | None = None
    state: str = ""
    """The state in which what is answered has to be; any if this is empty."""
    then: tuple[tuple[Request, Expectation], ...] = ()
    """What is asked afterwards, and what has to be answered then."""
    answer: str = ""
    """The shape, where it is not that of the operation."""
    status: int = 0
    """The status, where it is not that of the operation."""

    def problem(self, talk: Conversation, reply: Reply) -> str:
        operation = OPERATIONS[self.operation]
        status = self.status or operation["success"]["status"]
        if reply.status != status:
            return f"answered {reply}, not {status}"
        shape = self.answer or operation["answer"]
        wrong = (["has a body"] if reply.data else []) if shape == "empty" else misshapen(shape, reply.json)
        if wrong:
            return "; ".join(wrong)
        if self.state and reply.json["State"] != self.state:
            return f"the state is {reply.json['State']}, not {self.state}"
        return self._read_back(talk, reply) or self._afterwards(talk)

    def _read_back(self, talk: Conversation, reply: Reply) -> str:
        reader = "" if self.answer else _READ_BACK.get(self.operation, "")
        if not reader:
            return ""
        note_key(talk, self.operation, reply)
        seen = talk.ask(get(reader))
        return Succeeded(reader).problem(talk, seen) or (self.echo.problem(seen.json) if self.echo else "")

    def _afterwards(self, talk: Conversation) -> str:
        for request, expectation in self.then:
            if problem := expectation.problem(talk, talk.ask(request)):
                return f"then {request.method} {request.path}?{request.query}: {problem}"
        return ""


@dataclass(frozen=True)
class OneOf:
    """More than one answer is right."""

    expectations: tuple[Expectation, ...]

    def problem(self, talk: Conversation, reply: Reply) -> str:
        problems = [expectation.problem(talk, reply) for expectation in self.expectations]
        return "" if "" in problems else "; nor: ".join(problems)


@dataclass(frozen=True)
class SameAs:
    """The same answer as that to another request, with no poll between them that could change it."""

    request: Request

    def problem(self, talk: Conversation, reply: Reply) -> str:
        other = talk.ask(self.request)
        if (reply.status, reply.json) == (other.status, other.json):
            return ""
        return f"answered {reply}; to ?{self.request.query} {other}"


@dataclass(frozen=True)
class Checked:
    """Succeeded, and a function that may ask more finds nothing wrong with it either."""

    operation: str
    check: Callable[[Conversation, Reply], str]

    def problem(self, talk: Conversation, reply: Reply) -> str:
        return Succeeded(self.operation).problem(talk, reply) or self.check(talk, reply)


def note_key(talk: Conversation, operation: str, reply: Reply) -> None:
    """Note the identifier of what was just created."""
    if operation in CREATES:
        talk.names[CREATES[operation]] = str(reply.json.get("Id") or reply.json.get("Name"))


def answered(
    answer: Mapping[str, Any], accepted: Expectation, absent: Expectation | None = None, **names: str
) -> Expectation:
    """Return what an answer of the reference expects.

    `accepted` is what is expected where it says that the value counts, `absent` where it says that there is none.
    `names` stand in braces in its code and message.
    """
    if "unspecified" in answer:
        return Unspecified()
    if answer.get("as") == "absent":
        return absent or accepted
    if "as" in answer:
        return accepted
    refused = refusal(answer, **names)
    return OneOf((refused, accepted)) if answer.get("or_success") else refused


def refusal(answer: Mapping[str, Any], **names: str) -> Refused:
    """Return the refusal that an answer of the reference describes, whatever else it allows."""
    codes = answer.get("code", [])
    codes = [codes] if isinstance(codes, str) else codes

    def named(text: str) -> str:
        for name, value in names.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    return Refused(
        answer["status"], tuple(map(named, codes)), answer.get("code_pattern", ""), named(answer.get("message", ""))
    )


NOT_FOUND = Refused(404, ("InvalidResource.NotFound",), message="Specified resource is not found.")
