"""Requests to a fake without a socket, and what every answer must be whatever was asked."""

import json
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from answer_shapes import misshapen, nulls
from contract import COMMON
from werkzeug.datastructures import Headers
from werkzeug.test import Client

from fakebatch import FakeBatch

_OF_THE_SERVER = "Connection"
"""A header that the server sets, and no WSGI application may."""
_OF_A_BODY = "Content-Type"
"""A header that only an answer with a body has."""
_REQUEST_ID = "x-acs-request-id"
_UUID = re.compile(r"[0-9A-F]{8}-([0-9A-F]{4}-){3}[0-9A-F]{12}")
_HEADERS = {
    name: value
    for name, value in COMMON["response_headers"].items()
    if name not in (_OF_THE_SERVER, _OF_A_BODY, _REQUEST_ID, "mark")
}
_JSON_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_ESCAPED_UNICODE = re.compile(r"(?<!\\)(?:\\\\)*\\u(?!00[01])")


class Request(NamedTuple):
    """What is asked. Names in braces, as in `/images/{ImageId}`, are filled in when it is."""

    method: str
    path: str
    query: str = ""
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Reply:
    """What is answered."""

    def __init__(self, status: int, headers: Headers, data: bytes) -> None:
        self.status = status
        self.headers = headers
        self.data = data

    @cached_property
    def json(self) -> Any:
        """The value in the body; None if there is no body, or no JSON in it."""
        try:
            return json.loads(self.data) if self.data else None
        except ValueError:
            return None

    @property
    def code(self) -> str:
        return str(self.json["Code"]) if isinstance(self.json, dict) and "Code" in self.json else ""

    def __str__(self) -> str:
        text = self.data.decode(errors="replace")
        return f"{self.status} {text if len(text) < 200 else text[:200] + '...'}"


class WorldError(Exception):
    """What a variant needs before it asks could not be had."""


class Conversation:
    """One fake, and what was said with it since the last beginning."""

    def __init__(self) -> None:
        self.fake = FakeBatch()
        self._client = Client(self.fake)
        self._request_ids: set[str] = set()
        self.names: dict[str, str] = {}
        """The identifiers to be filled in: `ImageId` and the like."""
        self.keys: list[str] = []
        """The keys of the collection that is to be walked, in order."""
        self.collection: tuple[str, int] = ("", 0)
        """Which list has a collection of its own, and its size."""
        self.problems: list[str] = []
        """What was wrong with answers, whatever was asked."""

    def begin(self) -> None:
        """Return to the baseline."""
        self.fake.reset()
        self.names = {}
        self.keys = []
        self.collection = ("", 0)

    def fill_in(self, text: str) -> str:
        """Return a text with the identifiers in the place of their names."""
        for name, value in self.names.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def ask(self, request: Request) -> Reply:
        """Ask, and note what is wrong with the answer whatever was asked."""
        body = request.body
        if body is not None and b"{" in body and len(body) < 10_000:
            body = self.fill_in(body.decode(errors="surrogateescape")).encode(errors="surrogateescape")
        response = self._client.open(
            self.fill_in(request.path),
            method=request.method,
            query_string=self.fill_in(request.query),
            data=body,
            headers=list(request.headers),
        )
        reply = Reply(response.status_code, response.headers, response.get_data())
        response.close()
        self.problems += [f"{request.method} {request.path}: {problem}" for problem in self._always(reply)]
        return reply

    def must(self, request: Request) -> Reply:
        """Ask for what has to succeed. Raises WorldError if it does not."""
        reply = self.ask(request)
        if reply.status >= 300:
            raise WorldError(f"{request.method} {request.path} is answered {reply}")
        return reply

    def _always(self, reply: Reply) -> Iterator[str]:
        headers = reply.headers
        for name, value in _HEADERS.items():
            if headers.get(name) != value:
                yield f"the header {name} is {headers.get(name)!r}"
        if headers.get("Content-Length", str(len(reply.data))) != str(len(reply.data)):
            yield f"the header Content-Length is {headers['Content-Length']} for {len(reply.data)} bytes"
        request_id = headers.get(_REQUEST_ID, "")
        if not _UUID.fullmatch(request_id) or request_id in self._request_ids:
            yield f"the header {_REQUEST_ID} is no new UUID: {request_id!r}"
        self._request_ids.add(request_id)
        if reply.status >= 500:
            yield f"answered {reply}"
        if reply.data:
            yield from self._in_body(reply)
        elif reply.status >= 400:
            yield f"{reply.status} without a body"

    def _in_body(self, reply: Reply) -> Iterator[str]:
        if reply.headers.get(_OF_A_BODY) != COMMON["response_headers"][_OF_A_BODY]:
            yield f"the header {_OF_A_BODY} is {reply.headers.get(_OF_A_BODY)!r}"
        if reply.json is None:
            yield f"answered no JSON: {reply}"
            return
        text = reply.data.decode()
        if re.search(r"\s", _JSON_TEXT.sub("", text)):
            yield "the JSON is not compact"
        if _ESCAPED_UNICODE.search(text):
            yield "the JSON has escapes in the place of characters"
        if "null" in text:  # to look through all that is large takes long
            yield from nulls(reply.json)
        if reply.status >= 400:
            yield from misshapen("Error", reply.json)
            if not reply.code or not reply.json.get("Message"):
                yield f"an error without Code or Message: {reply}"
