"""`fakebatch import`: from what people have kept of the service's answers to a fixture file.

Knows in which forms answers are kept, and of the service what the registry says: which paths are whose.
"""

import argparse
import base64
import gzip
import json
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import yaml

from ..errors import ApiError, FieldError, Problem
from ..service.operation import Operation, Resource
from ..service.registry import RESOURCES, match
from ..state.parameters import parse_query
from .worlds import STDIN, read_stdin

_PREFIXES = {"img-": "images", "job-": "jobs", "cls-": "clusters"}
"""How Ids begin. [doc]"""
_ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "identity": bytes,
}


class Exchange(NamedTuple):
    """A request and its answer, as they were kept."""

    where: str
    """Where they stand in their file."""
    method: str
    url: str
    status: int
    body: bytes


class Misfit(NamedTuple):
    """Something that does not fit: where it stands, and why."""

    where: str
    message: str


class _MisfitError(Exception):
    """Something is no answer from which a record can be made: it says why."""


def import_files(options: argparse.Namespace) -> int:
    """Print a fixture file made of the answers in files, and on standard error what does not fit. Returns the exit
    code: 1 if a file can't be read, or if there is nothing in any of them.
    """
    given = read_stdin(options.files)
    records = Records()
    failed = False
    for name in options.files:
        try:
            data = _parsed(given if name == STDIN else Path(name).read_bytes())
        except OSError as error:
            failed = True
            print(Problem(name, 0, 0, "", f"it can't be read: {error.strerror}"), file=sys.stderr)
        except _MisfitError as error:
            failed = True
            print(Problem(name, 0, 0, "", str(error)), file=sys.stderr)
        else:
            for misfit in records.take(data):
                print(Problem(name, 0, 0, *misfit), file=sys.stderr)
    sections = records.sections()
    if sections:
        print(written(sections), end="")
    else:
        print("fakebatch: there is no record in what was given", file=sys.stderr)
    return int(failed or not sections)


class Records:
    """What was found so far: the entries of a fixture file, each thing once, as the last answer shows it."""

    def __init__(self) -> None:
        self._entries: dict[str, list[dict[str, Any]]] = {resource.name: [] for resource in RESOURCES}

    def sections(self) -> dict[str, list[dict[str, Any]]]:
        """Return the sections of the fixture file, without those that are empty."""
        return {name: entries for name, entries in self._entries.items() if entries}

    def take(self, data: Any) -> Iterator[Misfit]:
        """Take what is in a file. Yields what does not fit."""
        exchanges = _exchanges(data)
        if exchanges is None:
            yield from self._take_answer("", data)
            return
        for exchange in exchanges:
            if isinstance(exchange, Misfit):
                yield exchange
                continue
            where = f"{exchange.where}: {exchange.method} {exchange.url}"
            try:
                answer, resource, query = _answer_of(exchange)
            except _MisfitError as error:
                yield Misfit(where, str(error))
            else:
                yield from self._take_answer(where, answer, resource, query)

    def _take_answer(
        self, where: str, answer: Any, resource: Resource[Any] | None = None, query: Mapping[str, str] | None = None
    ) -> Iterator[Misfit]:
        """Take a listing, one thing, or a list of answers."""
        if isinstance(answer, dict) and isinstance(answer.get("Items"), list):
            where, answer = f"{where}: Items" if where else "Items", answer["Items"]
        if isinstance(answer, list):
            for index, item in enumerate(answer):
                yield from self._take_answer(f"{where}[{index}]", item, resource, query)
            return
        try:
            unknown = self._take_record(answer, resource or _resource_of(answer), query or {})
        except _MisfitError as error:
            yield Misfit(where, str(error))
        else:
            for name in unknown:
                yield Misfit(f"{where}.{name}" if where else name, "no such field is known; it is left out")

    def _take_record(self, answer: Any, resource: Resource[Any], query: Mapping[str, str]) -> list[str]:
        """Take one thing, and return the names of the fields that are nobody's. Raises _MisfitError if it is none."""
        if not isinstance(answer, dict) or not isinstance(key := answer.get(resource.key), str) or not key:
            raise _MisfitError(f"this is no {resource.noun}: it has no {resource.key}")
        fields = _fields_of(resource)
        entry = {
            name: value for name, value in answer.items() if name in fields and not _is_absent(resource, name, value)
        }
        entry |= {name: query[name] for name in ("Scope",) if name in fields and query.get(name)}
        entries = self._entries[resource.name]
        place = next((index for index, known in enumerate(entries) if _are_one(resource, known, entry)), len(entries))
        known = entries[place] if place < len(entries) else {}
        merged = {name: value for name, value in known.items() if name not in answer} | entry
        try:
            record = resource.of(merged)
        except FieldError as error:
            raise _MisfitError(f"{'.'.join(error.path)}: {error}") from None
        except (msgspec.ValidationError, ValueError, TypeError) as error:
            raise _MisfitError(str(error)) from None
        entries[place : place + 1] = [{name: merged[name] for name in fields if name in merged}]
        derived = msgspec.to_builtins(getattr(record, "answer", lambda: record)())
        return [name for name in answer if name not in fields and name not in derived]


def _fields_of(resource: Resource[Any]) -> Sequence[str]:
    """Return the names of the fields that an entry of a fixture file may have."""
    if resource.entry_rules is None:
        return tuple(resource.record.__struct_encode_fields__)
    return tuple(resource.entry_rules)


def _is_absent(resource: Resource[Any], name: str, value: object) -> bool:
    """Tell whether a field says nothing."""
    return value is None or (resource.entry_rules is not None and resource.entry_rules[name].is_absent(value))


def _are_one(resource: Resource[Any], known: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Tell whether two entries are of one thing. Names are an owner's: they may be the same for two things."""
    names = () if resource.key == "Id" else ("OwnerId", "Scope")
    same = (name not in known or name not in entry or known[name] == entry[name] for name in names)
    return bool(known[resource.key] == entry[resource.key] and all(same))


def _answer_of(exchange: Exchange) -> tuple[Any, Resource[Any], Mapping[str, str]]:
    """Return what was answered, whose it is, and what was asked with it. Raises _MisfitError."""
    url = urlsplit(exchange.url)
    try:
        query = parse_query(url.query)
        operation, _ = match(exchange.method, url.path, query)
    except ApiError:
        raise _MisfitError("this is no operation of the service; it is left out") from None
    resource = next((resource for resource in RESOURCES if operation in resource.operations), None)
    if resource is None or not _shows_records(operation, resource):
        raise _MisfitError(f"{operation.name} shows no records; it is left out")
    if exchange.status != operation.status:
        raise _MisfitError(f"it was answered with {exchange.status}; it is left out")
    try:
        return json.loads(exchange.body), resource, query
    except ValueError as error:
        raise _MisfitError(f"its answer is not JSON: {error}") from None


def _shows_records(operation: Operation, resource: Resource[Any]) -> bool:
    """Tell whether the answer of an operation is records, or one of them."""
    paths = (f"/{resource.name}", f"/{resource.name}/{{{resource.path_parameter}}}")
    return operation.method == "GET" and operation.path in paths


def _resource_of(answer: Any) -> Resource[Any]:
    """Return of which resource something is: by its Id, or by its fields. Raises _MisfitError if it is of none."""
    if isinstance(answer, dict):
        key = str(answer.get("Id", ""))
        named = next((name for prefix, name in _PREFIXES.items() if key.startswith(prefix)), None)
        for resource in RESOURCES:
            if resource.name == named:
                return resource
        likely = [
            resource for resource in RESOURCES if answer.get(resource.key) and resource.key in _fields_of(resource)
        ]
        likely.sort(key=lambda resource: sum(name not in _fields_of(resource) for name in answer))
        if likely:
            return likely[0]
    raise _MisfitError("this is no answer of a list or get operation; it is left out")


def _parsed(content: bytes) -> Any:
    """Return the data in a file: JSON, or YAML. Raises _MisfitError."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _MisfitError("it is not UTF-8") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - it is a safe one
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0]
        raise _MisfitError(f"it is neither JSON nor YAML: {first}") from None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # which one depends on PyYAML's build
    """Reads what vcrpy has written in all of its versions: texts of Python 2 are texts, whatever else they were."""


def _plain(loader: Any, suffix: str, node: Any) -> Any:  # noqa: ARG001 - called as all constructors are
    kinds = {"scalar": loader.construct_scalar, "sequence": loader.construct_sequence}
    return kinds.get(node.id, loader.construct_mapping)(node)


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", _plain)


# The forms in which exchanges are kept.

Found = Iterator[Exchange | Misfit]


def _exchanges(data: Any) -> Found | None:
    """Return the exchanges of a recording; None for what is none."""
    if isinstance(data, dict):
        for key, form in _FORMS.items():
            if key in data:
                return _each(*form(data[key]))
    return None


Kept = tuple[str, str, int, bytes]
"""The method, the URL, the status and the body."""
Form = tuple[str, Any, Callable[[Any], Kept]]
"""Where exchanges stand, the list of them, and what reads one."""


def _each(where: str, items: Any, read: Callable[[Any], Kept]) -> Found:
    """Yield the exchanges of a list."""
    for index, item in enumerate(items if isinstance(items, list) else ()):
        place = f"{where}[{index}]"
        try:
            yield Exchange(place, *read(item))
        except _MisfitError as error:
            yield Misfit(place, str(error))
        except (KeyError, TypeError, AttributeError, ValueError):
            yield Misfit(place, "this is no request with its answer; it is left out")


def _har(log: Any) -> Form:
    """Of a browser or a proxy: http://www.softwareishard.com/blog/har-12-spec/."""

    def read(entry: Any) -> Kept:
        request, response = entry["request"], entry["response"]
        content = response["content"]
        text = content.get("text", "")
        body = base64.b64decode(text) if content.get("encoding") == "base64" else text.encode()
        return request["method"], request["url"], response["status"], body

    return "log.entries", log.get("entries") if isinstance(log, dict) else None, read


def _vcrpy(interactions: Any) -> Form:
    """Cassettes of vcrpy, in YAML or JSON."""

    def read(interaction: Any) -> Kept:
        request, response = interaction["request"], interaction["response"]
        kept = response["body"]
        body = base64.b64decode(kept["base64_string"]) if "base64_string" in kept else _bytes(kept["string"])
        return request["method"], request["uri"], response["status"]["code"], _decoded(body, response["headers"])

    return "interactions", interactions, read


def _responses(recorded: Any) -> Form:
    """Recordings of `responses`."""

    def read(item: Any) -> Kept:
        response = item["response"]
        return response["method"], response["url"], response["status"], _bytes(response["body"])

    return "responses", recorded, read


_FORMS: Mapping[str, Callable[[Any], Form]] = {
    "log": _har,
    "interactions": _vcrpy,
    "responses": _responses,
}


def _bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body


def _decoded(body: bytes, headers: Mapping[str, Any]) -> bytes:
    """Return a body without what it was sent in. Raises _MisfitError."""
    for name, values in headers.items():
        if name.lower() == "content-encoding" and not body.startswith((b"{", b"[")):  # as it may have been decoded
            encoding = "".join(values).lower()
            try:
                body = _ENCODINGS[encoding](body)
            except (KeyError, OSError, EOFError, zlib.error):
                raise _MisfitError(f"its answer is not in the form {encoding}, or nobody here can read that") from None
    return body


# The fixture file.


class _Dumper(yaml.SafeDumper):
    """Writes each text so that YAML 1.2 reads a text: PyYAML knows what looks like something else in YAML 1.1."""


def _text(dumper: Any, text: str) -> Any:
    style = '"' if text[:1] in "0123456789+-.~" and text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def written(sections: Mapping[str, Sequence[Any]]) -> str:
    """Return a fixture file."""
    text: str = yaml.dump(dict(sections), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=1_000_000)
    return text
