"""Pages of every size of collections of every size around it, markers of everything and nothing, and filters."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from contract import COMMON, OPERATIONS
from conversation import Conversation, Reply
from expectations import Checked, Expectation, SameAs, Succeeded, Unspecified, Variant, answered, get, same
from worlds import JOB_STATES, Collection, cluster, create, example_for, image, job, world_for

LISTS = tuple(name for name, operation in OPERATIONS.items() if "paging" in operation)

ORDERS: Mapping[str, Callable[[str], Any]] = {
    "ascending, as Unicode strings": str,
    "ascending, which is the order of creation": str,
    "ascending by name": str,
    "ascending by name, without regard to case": str.lower,
    "ascending number": int,
}
"""What a key is compared by, for each order that the reference has in words."""

_INTEGER = COMMON["query"]["integer"]["pattern"]
_NO_NUMBERS = (
    "x",
    "1.5",
    "1.0",
    "+1",
    "%201",
    "1%20",
    "1e1",
    "0x10",
    "1_0",
    "--1",
    "-",
    "true",
    "null",
    "%EF%BC%91",
    "",
)
_BEFORE_ALL = "!"
"""A marker before all keys, with which a listing is no poll."""
_HUGE = "9" * 30
_MANY = 101
_SOME = 7


@dataclass(frozen=True)
class Page:
    """The page of the collection that begins at an index."""

    operation: str
    start: int
    size: int

    def problem(self, talk: Conversation, reply: Reply) -> str:
        if problem := Succeeded(self.operation).problem(talk, reply):
            return problem
        key = OPERATIONS[self.operation]["paging"]["key"]
        keys = [str(item[key]) for item in reply.json["Items"]]
        ordered = in_order(self.operation, talk.keys)
        end = self.start + self.size
        if keys != ordered[self.start : end]:
            return f"the page has {keys}, not {ordered[self.start : end]}"
        next_marker = ordered[end] if end < len(ordered) else ""
        if reply.json["NextMarker"] != next_marker:
            return f"NextMarker is {reply.json['NextMarker']!r}, not {next_marker!r}"
        return ""


@dataclass(frozen=True)
class Walk:
    """A walk over all pages shows every item once, in order."""

    operation: str
    query: str
    size: int

    def problem(self, talk: Conversation, reply: Reply) -> str:
        start = 0
        while not (problem := Page(self.operation, start, self.size).problem(talk, reply)):
            marker = reply.json["NextMarker"]
            if not marker:
                return "" if start + self.size >= len(talk.keys) else "the walk ends too early"
            start += self.size
            reply = talk.ask(get(self.operation, f"Marker={marker}{self.query and '&'}{self.query}"))
        return f"on the page from {start} on: {problem}"


@dataclass(frozen=True)
class PageFrom:
    """The page that begins at the first key that is not before a marker."""

    operation: str
    marker: str
    size: int

    def problem(self, talk: Conversation, reply: Reply) -> str:
        order = ORDERS[OPERATIONS[self.operation]["paging"]["order"]]
        ordered = in_order(self.operation, talk.keys)
        start = bisect_left(ordered, order(talk.fill_in(self.marker)), key=order)
        return Page(self.operation, start, self.size).problem(talk, reply)


def in_order(operation: str, keys: list[str]) -> list[str]:
    """Return keys in the order of a list."""
    return sorted(keys, key=ORDERS[OPERATIONS[operation]["paging"]["order"]])


def page_variants(operation: str) -> Iterator[Variant]:
    """Yield the variants of a list, those of smaller collections first."""
    yield from _walks(operation)
    yield from _markers(operation)
    yield from _counts(operation)
    yield from _order_of_creation(operation)
    yield from _filters(operation)


def _walks(operation: str) -> Iterator[Variant]:
    low, high = OPERATIONS[operation]["paging"]["sizes"]
    default = OPERATIONS[operation]["query"]["MaxItemCount"]["default"]
    smallest = Collection(operation, 0).smallest
    for count in range(smallest, _MANY + 1):
        world = Collection(operation, count)
        sizes = {count - 1, count, count + 1, count // 2, -(-count // 2), high}
        if count <= _SOME:
            sizes |= set(range(1, _SOME + 2))
        for size in sorted(size for size in sizes if max(low, 1) <= size <= high):
            query = f"MaxItemCount={size}"
            yield _paged(operation, f"{count} by {size}", world, query, Walk(operation, query, size))
        if count <= 3 or count in (default - 1, default, default + 1, 2 * default, _MANY):
            yield _paged(operation, f"{count} by default", world, "", Walk(operation, "", default))
    one_by_one = "MaxItemCount=1"
    world = Collection(operation, _MANY)
    yield _paged(operation, f"{_MANY} by 1", world, one_by_one, Walk(operation, one_by_one, 1))


def _paged(operation: str, label: str, world: Collection, query: str, expectation: Expectation) -> Variant:
    return Variant(operation, "pages", label, world, get(operation, query), expectation)


def _markers(operation: str) -> Iterator[Variant]:
    low, _ = OPERATIONS[operation]["paging"]["sizes"]
    numbers = OPERATIONS[operation]["paging"]["key"] == "InstanceId"
    for count in sorted({Collection(operation, 0).smallest, 1, _SOME}):
        world = _Marked(operation, count)
        markers = [f"{{Key{number}}}" for number in range(count)]
        others = [str(count), str(count + 1), "1000"] if numbers else [*(f"{marker}0" for marker in markers), "~", "zz"]
        before = [] if numbers else [_BEFORE_ALL]
        for size in sorted({low, 1, 2, count, 100} - {*range(low)}):
            for marker in ("", *before, *markers, *others):
                label = f"{size} of {count} from {marker!r}"
                query = f"Marker={marker}&MaxItemCount={size}"
                expectation = PageFrom(operation, marker or (_BEFORE_ALL if before else "0"), size)
                yield Variant(operation, "markers", label, world, get(operation, query), expectation)
    world = _Marked(operation, _SOME)
    bare = PageFrom(operation, _BEFORE_ALL if not numbers else "0", 50)
    for query in ("Marker", "Marker&MaxItemCount=50", "Marker=&Marker=zz", "&&Marker&"):
        yield Variant(operation, "markers", f"?{query}", world, get(operation, query), bare)
    for marker in ("%00", "x" * 5000, "%E4%BD%8D", "-1", "1.5", "x", "%FF"):
        yield Variant(
            operation, "markers", f"odd {marker[:9]}", world, get(operation, f"Marker={marker}"), Unspecified()
        )


@dataclass(frozen=True)
class _Marked:
    """The world of a collection, with names for its keys: `Key0` and so on."""

    operation: str
    size: int

    def __call__(self, talk: Conversation) -> None:
        Collection(self.operation, self.size)(talk)
        talk.names |= {f"Key{number}": key for number, key in enumerate(in_order(self.operation, talk.keys))}


def _counts(operation: str) -> Iterator[Variant]:
    """Yield what `MaxItemCount` may be, and what it may not."""
    spec = OPERATIONS[operation]["query"]["MaxItemCount"]
    rules = spec["rules"]
    low, high = rules["range"]["in"]
    world = Collection(operation, _SOME)
    right = Succeeded(operation)
    no_number, no_range = answered(rules["type"], right), answered(rules["range"], right)

    def variant(query: str, expectation: Expectation) -> Variant:
        return _paged(operation, f"?{query}", world, query, expectation)

    for text in _NO_NUMBERS:
        yield variant(f"MaxItemCount={text}", no_number)
    yield variant("MaxItemCount", no_number)  # a bare key is the empty value
    for number in range(low, high + 1):
        yield variant(f"MaxItemCount={number}", Page(operation, 0, number))
    for number in (low, low + 1, high):
        yield variant(f"MaxItemCount=000{number}", Page(operation, 0, number))
    yield variant("MaxItemCount=-0", Page(operation, 0, 0) if low <= 0 else no_range)
    for text in dict.fromkeys((str(low - 1), str(high + 1), "-1", "-100", "1000", "0101", _HUGE, f"-{_HUGE}")):
        yield variant(f"MaxItemCount={text}", no_range)
    yield _paged(operation, "thousands of digits", world, f"MaxItemCount={'9' * 5000}", no_range)
    yield variant("MaxItemCount=3&MaxItemCount=x", Page(operation, 0, 3))
    yield variant("MaxItemCount=x&MaxItemCount=3", no_number)
    yield variant("MaxItemCount=%33", Page(operation, 0, 3))
    yield variant("maxitemcount=x", Page(operation, 0, spec["default"]))


def _order_of_creation(operation: str) -> Iterator[Variant]:
    if "order of creation" not in OPERATIONS[operation]["paging"]["order"]:
        return

    def check(talk: Conversation, reply: Reply) -> str:
        key = OPERATIONS[operation]["paging"]["key"]
        listed = [item[key] for item in reply.json["Items"]]
        return "" if listed == talk.keys else f"listed {listed}, created {talk.keys}"

    for count in (2, 20, 100):
        query, world = "MaxItemCount=100", Collection(operation, count)
        yield _paged(operation, f"{count} in order of creation", world, query, Checked(operation, check))


def _filters(operation: str) -> Iterator[Variant]:
    for name, spec in OPERATIONS[operation]["query"].items():
        if name not in ("Marker", "MaxItemCount"):
            yield from _FILTERS[name](operation, name, spec)


def _chosen(operation: str, name: str, spec: Mapping[str, Any]) -> Iterator[Variant]:
    """Yield the values of a parameter that says which part is wanted, and others, which mean the default one."""
    world = image if operation == "ListImages" else world_for("GetApp")

    def variant(query: str, expectation: Expectation) -> Variant:
        return Variant(operation, name, f"?{query}", world, get(operation, query), expectation)

    for value in spec["values"]:
        yield variant(f"{name}={value}", Checked(operation, partial(_only, name, value)))
    otherwise = SameAs(get(operation, f"{name}={spec['otherwise']}"))
    for query in (
        "",
        f"{name}",
        f"{name}=",
        f"{name}=x",
        f"{name}=%20",
        *(f"{name}={v.lower()}" for v in spec["values"]),
    ):
        yield variant(query, otherwise)


def _only(name: str, value: str, talk: Conversation, reply: Reply) -> str:  # noqa: ARG001 - as every check
    """Check that all items are of the part that is wanted, where they say of which they are."""
    others = [item for item in reply.json["Items"] if item.get(name, value) != value]
    if others:
        return f"{others[0]} is no {value} item"
    # Of images there are some of both kinds; of public apps there are none.
    return "" if bool(reply.json["Items"]) == (value != "Public") else f"{len(reply.json['Items'])} items"


def _in_every_state(talk: Conversation) -> None:
    """Need jobs in all states, and one whose tasks are in two, which is named last."""
    for state in JOB_STATES:
        job(talk, state)
    _two_layers(talk)


def _two_layers(talk: Conversation) -> None:
    """Need a job of which one task runs and one waits."""
    body = example_for("CreateJob")
    assert body
    task = body["DAG"]["Tasks"]["count"]
    body["DAG"] = {
        "Tasks": {"count": {**task, "InstanceCount": 3}, "merge": task},
        "Dependencies": {"count": ["merge"]},
    }
    job(talk, "Running", body)


def _by_state(operation: str, name: str, _: Mapping[str, Any]) -> Iterator[Variant]:
    world = _in_every_state if operation == "ListJobs" else _two_layers
    for state in JOB_STATES:
        yield _filtered(operation, world, name, state, partial(_of_state, state))
    yield _filtered(operation, world, name, "", lambda _, __: True)
    for text in ("x", "running", "Running,Waiting", "Deleted"):
        yield Variant(operation, name, f"odd {text}", world, get(operation, f"{name}={text}"), Unspecified())


def _of_state(state: str, talk: Conversation, item: Mapping[str, Any]) -> bool:  # noqa: ARG001 - as every choice
    return bool(item["State"] == state)


_Choice = Callable[[Conversation, Mapping[str, Any]], bool]


def _filtered(operation: str, world: Callable[[Conversation], None], name: str, value: str, chosen: _Choice) -> Variant:
    """Return the variant of a filter: what it leaves is what is chosen of everything, at the same moment."""
    marker = "0" if operation == "ListInstances" else _BEFORE_ALL
    everything = get(operation, f"Marker={marker}&MaxItemCount=100")

    def check(talk: Conversation, reply: Reply) -> str:
        wanted = [item for item in talk.ask(everything).json["Items"] if chosen(talk, item)]
        return "" if same(reply.json["Items"], wanted) else f"{len(reply.json['Items'])} items, not {len(wanted)}"

    query = f"Marker={marker}&{name}={value}"
    return Variant(operation, name, f"?{query}", world, get(operation, query), Checked(operation, check))


def _on_a_cluster(talk: Conversation) -> None:
    """Need jobs on a cluster and others, and last one of two tasks, of which one is on it."""
    cluster(talk)
    body = example_for("CreateJob")
    assert body
    elsewhere = body["DAG"]["Tasks"]["count"]
    there = {**elsewhere, "ClusterId": "{ClusterId}"}
    create(talk, "CreateJob", body)
    for number, tasks in enumerate(({"count": there}, {"merge": elsewhere, "count": there})):
        body["DAG"] = {"Tasks": tasks, "Dependencies": {}}
        job(talk, body=body)
        talk.names[f"JobOnIt{number}"] = talk.names["JobId"]
    talk.names["TaskOnIt"] = "count"


def _by_cluster(operation: str, name: str, _: Mapping[str, Any]) -> Iterator[Variant]:
    key = OPERATIONS[operation]["paging"]["key"]

    def on_it(talk: Conversation, item: Mapping[str, Any]) -> bool:
        noted = (value for name, value in talk.names.items() if "OnIt" in name)
        return item[key] in noted

    yield _filtered(operation, _on_a_cluster, name, "{ClusterId}", on_it)
    yield _filtered(operation, _on_a_cluster, name, "cls-none", lambda _, __: False)
    yield _filtered(operation, _on_a_cluster, name, "", lambda _, __: True)


def _by_project(operation: str, name: str, _: Mapping[str, Any]) -> Iterator[Variant]:
    for text in ("", "x"):
        yield Variant(operation, name, f"?{name}={text}", job, get(operation, f"{name}={text}"), Unspecified())


def _ordered(operation: str, name: str, spec: Mapping[str, Any]) -> Iterator[Variant]:
    world = Collection(operation, 20)
    for field in spec["values"]:
        for reverse in (False, True):
            query = f"{name}={field}&IsReverse={str(reverse).lower()}"
            check = partial(_is_ordered, field, reverse)
            yield _paged(operation, f"?{query}", world, query, Checked(operation, check))
    for text in ("x", "id", ""):
        yield _paged(operation, f"?{name}={text}", world, f"{name}={text}", Page(operation, 0, 50))


def _is_ordered(field: str, reverse: bool, talk: Conversation, reply: Reply) -> str:
    values = [item[field] for item in reply.json["Items"]]
    if len(values) != len(talk.keys):
        return f"{len(values)} items of {len(talk.keys)}"
    return "" if values == sorted(values, reverse=reverse) else f"in the order {values}"


def _reversed(operation: str, name: str, _: Mapping[str, Any]) -> Iterator[Variant]:
    world = Collection(operation, 20)
    for text in ("True", "TRUE"):
        check = partial(_is_ordered, "Id", True)
        query = f"OrderBy=Id&{name}={text}"
        yield _paged(operation, f"?{query}", world, query, Checked(operation, check))
    for text in ("False", ""):
        query = f"OrderBy=Id&{name}={text}"
        yield _paged(operation, f"?{query}", world, query, Page(operation, 0, 50))


_FILTERS: Mapping[str, Callable[[str, str, Mapping[str, Any]], Iterator[Variant]]] = {
    "Type": _chosen,
    "Scope": _chosen,
    "State": _by_state,
    "ClusterId": _by_cluster,
    "ProjectId": _by_project,
    "OrderBy": _ordered,
    "IsReverse": _reversed,
}
"""What the parameters of lists do, by their names."""
