"""What else a request may get right or wrong than the fields of its body: method, path, version, query, state."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from itertools import product
from typing import Any

from contract import BODIES, COMMON, OPERATION_OF_BODY, OPERATIONS
from conversation import Conversation, Reply, Request
from expectations import (
    CREATES,
    NOT_FOUND,
    Checked,
    Echo,
    Expectation,
    OneOf,
    Refused,
    RefusedSomehow,
    SameAs,
    Succeeded,
    Unspecified,
    Variant,
    World,
    answered,
    encode,
    get,
    path_of,
    refusal,
)
from field_variants import CHARACTERS, Case, cases_of, fields_of, value_at, whole_body_cases, with_value
from worlds import (
    GONE,
    app,
    apps_revised,
    cluster,
    create,
    example_for,
    example_request,
    image,
    nothing,
    states_for,
    world_for,
)

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "TRACE", "BREW")
_PARAMETER = re.compile(r"\{(\w+)\}")
_PATHS: Mapping[str, Sequence[str]] = {
    path: sorted(name for name in OPERATIONS if path_of(name) == path)
    for path in sorted({path_of(name) for name in OPERATIONS})
}
"""The operations of each path."""
_NO_BODY = tuple(name for name, operation in OPERATIONS.items() if "body" not in operation)
_NO_IDS = ("x", "nope-1", "0" * 32, "%20", "%E4%BD%8D", "%00", "%FF", "a%3Fb", "..", "-1", "x" * 3000)
"""What names nothing."""
_OF_IMAGES = tuple(name for name in OPERATIONS if path_of(name).startswith("/images"))


def request_variants(operation: str) -> Iterator[Variant]:
    """Yield all variants of an operation that are about more than pages."""
    yield from _plain(operation)
    yield from _versions(operation)
    if operation == _PATHS[path_of(operation)][0]:
        yield from _methods(operation)
        yield from _levels(operation)
    yield from _of_nothing(operation)
    yield from _states(operation)
    yield from _parameters(operation)
    yield from _broken_queries(operation)
    yield from _bodies(operation)
    yield from _errors(operation)
    yield from _effects(operation)


def _variant(operation: str, group: str, label: str, request: Request, expectation: Expectation) -> Variant:
    """Return a variant in the world in which the operation succeeds."""
    return Variant(operation, group, label, world_for(operation), request, expectation)


def _with_query(request: Request, query: str) -> Request:
    return request._replace(query="&".join(filter(None, (request.query, query))))


def _plain(operation: str) -> Iterator[Variant]:
    request, right = example_request(operation), Succeeded(operation)

    def variant(label: str, changed: Request) -> Variant:
        return _variant(operation, "answers", label, changed, right)

    yield variant("as it is", request)
    for query in ("RegionId=cn-x", "Unknown", "Unknown=1&Unknown=2", "%E4%BD%8D=%20", "&", "a=b=c&=&=x"):
        yield variant(f"with ?{query}", _with_query(request, query))
    if operation in _NO_BODY:
        yield variant("with an empty body", request._replace(body=b""))
    for header in ("text/plain", "application/x-www-form-urlencoded", "application/json"):
        yield variant(f"as {header}", request._replace(headers=(("Content-Type", header),)))
    yield variant("twice, in two worlds", request)


def _versions(operation: str) -> Iterator[Variant]:
    version = COMMON["version"]
    header, value = version["header"], version["value"]
    request = example_request(operation)

    def variant(label: str, version: str, expectation: Expectation) -> Variant:
        changed = request._replace(headers=((header, version),))
        return _variant(operation, "versions", label, changed, expectation)

    yield variant("the right one", value, Succeeded(operation))
    yield _variant(operation, "versions", "none", request, Succeeded(operation))
    other = refusal(version["other"])
    for wrong in ("2015-11-12", "2015-06-30", "2013-01-11", "2015-11-1", "20151111", "latest", "x", ""):
        yield variant(repr(wrong), wrong, other)


def _methods(operation: str) -> Iterator[Variant]:
    """Yield every method that a path does not have."""
    path = path_of(operation)
    wrong = refusal(COMMON["no_such_method"])
    there = {OPERATIONS[name]["method"] for name in _PATHS[path]}
    for method in METHODS:
        if method in there:
            continue
        for label, body in (("", None), (" with a body", b"{}")):
            request = Request(method, path, body=body)
            yield _variant(operation, "methods", f"{method}{label}", request, wrong)
    options = Request("OPTIONS", path)
    yield _variant(operation, "methods", "OPTIONS", options, _NoBody(COMMON["options"]["status"]))


class _NoBody:
    """A status, without a body."""

    def __init__(self, status: int) -> None:
        self.status = status

    def problem(self, talk: Conversation, reply: Reply) -> str:  # noqa: ARG002 - nothing more is to be asked
        return "" if (reply.status, reply.data) == (self.status, b"") else f"answered {reply}, not {self.status}"


def _levels(operation: str) -> Iterator[Variant]:
    """Yield paths that are like that of an operation, and none."""
    no_path, no_method = refusal(COMMON["no_such_path"]), refusal(COMMON["no_such_method"])
    parts = path_of(operation).strip("/").split("/")
    for path in dict.fromkeys(_like(parts)):
        there = _methods_of(path)
        for method in ("GET", "POST", "PUT", "DELETE"):
            if there is None:
                yield _variant(operation, "paths", f"{method} {path}", Request(method, path), no_path)
            elif method not in there:
                yield _variant(operation, "paths", f"{method} {path}", Request(method, path), no_method)


def _like(parts: Sequence[str]) -> Iterator[str]:
    for end in range(len(parts)):
        yield "/" + "/".join(parts[:end])
        yield "/" + "/".join((*parts[:end], *parts[end + 1 :]))
        if not parts[end].startswith("{"):
            for word in (parts[end].upper(), parts[end].title(), parts[end][:-1], parts[end] + "x"):
                yield "/" + "/".join((*parts[:end], word, *parts[end + 1 :]))
        if end:
            yield "/" + "/".join((*parts[:end], "", *parts[end:]))
    whole = "/" + "/".join(parts)
    yield from (f"{whole}/", f"{whole}//", f"{whole}/more", f"{whole}/more/levels", f"/api{whole}")


def _methods_of(path: str) -> set[str] | None:
    """Return the methods of the operations that a path may be for; None if it is for none."""
    parts = path.split("/")
    methods = {
        str(operation["method"])
        for operation in OPERATIONS.values()
        if len(own := operation["path"].split("/")) == len(parts)
        and all(one == other or (one.startswith("{") and other) for one, other in zip(own, parts, strict=True))
    }
    return methods or None


def _of_nothing(operation: str) -> Iterator[Variant]:
    """Yield requests whose path names something that is not there."""
    specified = OPERATIONS[operation]
    path = path_of(operation)
    if "missing_app" in specified:
        expectation: Expectation = _NoBody(specified["missing_app"]["status"])
    else:
        errors = [error for error in specified["errors"] if error["status"] == 404 and "when" not in error]
        if not errors:
            return
        expectation = refusal(errors[0])
    for name, other in product(_PARAMETER.findall(path), _NO_IDS):
        request = example_request(operation)._replace(path=path.replace(f"{{{name}}}", other))
        yield _variant(operation, "nothing", f"{name} {other[:20]}", request, expectation)
    for name, kind in product(_PARAMETER.findall(path), ("img-ubuntu", "cls-0000", "job-" + "0" * 32)):
        if not (name == "ImageId" and kind == "img-ubuntu"):
            request = example_request(operation)._replace(path=path.replace(f"{{{name}}}", kind))
            yield _variant(operation, "nothing", f"{name} {kind[:8]}", request, expectation)


def _states(operation: str) -> Iterator[Variant]:
    """Yield the operation in every state of what it is about, and after that is gone."""
    states = OPERATIONS[operation].get("states", {})
    request = example_request(operation)
    for state in states_for(operation):
        yield Variant(
            operation, "states", state, world_for(operation, state), request, _in_state(operation, state, states)
        )


def _in_state(operation: str, state: str, states: Mapping[str, Any]) -> Expectation:
    if state == GONE:
        missing = OPERATIONS[operation].get("missing_app")
        return _NoBody(missing["status"]) if missing else NOT_FOUND
    if state not in states["allowed"]:
        refused = refusal(states["else"], State=state)
        return _Unchanged(refused, state) if "{JobId}" in path_of(operation) else refused
    shown = state if operation == "GetCluster" or (operation == "GetJob" and state != "Running") else ""
    return Succeeded(operation, state=shown, then=_after(states.get("then", ())))


def _after(then: str | Sequence[str]) -> tuple[tuple[Request, Expectation], ...]:
    """Return what is asked after an operation that leads to another state."""
    if then == "gone":
        return ((get("GetJob"), NOT_FOUND), (get("ListTasks"), NOT_FOUND))
    return ((get("GetJob"), OneOf(tuple(Succeeded("GetJob", state=state) for state in then))),) if then else ()


class _Unchanged:
    """Refused, and the job is in its state still, whatever a poll did."""

    def __init__(self, refused: Refused, state: str) -> None:
        self._refused = refused
        self._state = state

    def problem(self, talk: Conversation, reply: Reply) -> str:
        if problem := self._refused.problem(talk, reply):
            return problem
        # A GetJob would let a job that runs go on; a listing that begins at a marker does not.
        jobs = talk.ask(get("ListJobs", "Marker={JobId}")).json["Items"]
        seen = [job["State"] for job in jobs]
        return "" if seen == [self._state] else f"the job is then in {seen}, not {self._state}"


# The query.


def _parameters(operation: str) -> Iterator[Variant]:
    for name, spec in OPERATIONS[operation].get("query", {}).items():
        if "paging" not in OPERATIONS[operation]:
            yield from _PARAMETERS[name](operation, name, spec)


def _tokens(operation: str, name: str, spec: Mapping[str, Any]) -> Iterator[Variant]:
    rules = spec["rules"]
    low, high = rules["length"]["in"]
    request, right = example_request(operation), Succeeded(operation)

    def variant(label: str, query: str, expectation: Expectation) -> Variant:
        return _variant(operation, name, label, _with_query(request, query), expectation)

    for length in (1, 2, high // 2, high - 1, high, high + 1, high + 2, high * 2, 5000):
        expectation = right if low <= length <= high else refusal(rules["length"])
        yield variant(f"{length} long", f"{name}={'t' * length}", expectation)
    for character in CHARACTERS if rules["charset"]["only"] == "any" else ():
        coded = "".join(f"%{byte:02X}" for byte in character.encode())
        yield variant(repr(character), f"{name}=a{coded}b", right)
    token = f"{name}=6f1c1c2e-8a55-4b43-9f0c-0c3a63a2b6c1"
    again = _with_query(request, token)
    yield variant("the same again", token, Checked(operation, partial(_same_again, operation, again)))
    spaced = again._replace(body=b" " + (request.body or b"") + b"\n")
    yield variant("the same, written otherwise", token, Checked(operation, partial(_same_again, operation, spaced)))
    mismatch = refusal(rules["mismatch"])
    for label, body in _other_bodies(operation):
        other = again._replace(body=encode(body))
        yield variant(f"{label} with the same token", token, Succeeded(operation, then=((other, mismatch),)))
    refused = again._replace(body=b"{}")
    first = Request("POST", path_of(operation), query=token, body=b"{}")
    yield _variant(operation, name, "after a refusal", first, _ThenRight(again, operation))
    yield variant("a refusal in between", token, Succeeded(operation, then=((refused, RefusedSomehow()),)))
    for query in ("", name, f"{name}="):
        yield variant(f"?{query} is no token", query, Checked(operation, partial(_another, operation, query)))
    for one in CREATES:
        if one != operation:
            other = _with_query(example_request(one), token)
            yield variant(f"and then {one}", token, Succeeded(operation, then=((other, Succeeded(one)),)))


def _other_bodies(operation: str) -> Iterator[tuple[str, object]]:
    body = example_for(operation)
    assert body
    yield "another description", body | {"Description": "another"}
    yield "another name", body | {"Name": "another"}


def _same_again(operation: str, request: Request, talk: Conversation, reply: Reply) -> str:
    """Check that the same token creates nothing more."""
    before = _listed(talk, operation)
    again = talk.ask(request)
    if again.json != reply.json:
        return f"answered {again} the second time, {reply} the first"
    return "" if _listed(talk, operation) == before else "something was created all the same"


def _another(operation: str, query: str, talk: Conversation, reply: Reply) -> str:
    """Check that an empty token is none: the next one creates another, or finds the name taken."""
    again = talk.ask(_with_query(example_request(operation), query))
    if operation == "CreateApp":
        return "" if again.code == "InvalidResource.AlreadyExisting" else f"answered {again}"
    return "" if again.json != reply.json and again.status < 300 else f"answered {again} the second time"


def _listed(talk: Conversation, operation: str) -> list[str]:
    listing = operation.replace("Create", "List") + "s"
    key = OPERATIONS[listing]["paging"]["key"]
    return [item[key] for item in talk.ask(get(listing, "Marker=!")).json["Items"]]


class _ThenRight:
    """Refused somehow, and a right request after it succeeds: what was refused has not used up the token."""

    def __init__(self, request: Request, operation: str) -> None:
        self._request = request
        self._operation = operation

    def problem(self, talk: Conversation, reply: Reply) -> str:
        right = Succeeded(self._operation)
        return RefusedSomehow().problem(talk, reply) or right.problem(talk, talk.ask(self._request))


def _sync(operation: str, name: str, spec: Mapping[str, Any]) -> Iterator[Variant]:
    body = BODIES["AppJobDescription"]["example"]
    for query in (name, f"{name}="):
        request = Request("POST", path_of(operation), query, encode(body))
        carried_out = Succeeded(operation, answer=spec["answer"], status=spec["status"])
        yield Variant(operation, name, f"?{query}", app, request, carried_out)
        yield Variant(operation, name, f"?{query}, and then", app, request, _EndsJobs(carried_out))
    wrong = Request("POST", path_of(operation), name, encode(body | {"Priority": "x"}))
    rule = BODIES["AppJobDescription"]["fields"]["Priority"]["rules"]["type"]
    yield Variant(operation, name, "a wrong body", app, wrong, refusal(rule))
    tasks = Request("POST", path_of(operation), name, encode(BODIES["DagJobDescription"]["example"]))
    yield _variant(operation, name, "a job of tasks", tasks, Unspecified())


class _EndsJobs:
    """What is expected, and all jobs have then ended."""

    def __init__(self, expectation: Expectation) -> None:
        self._expectation = expectation

    def problem(self, talk: Conversation, reply: Reply) -> str:
        if problem := self._expectation.problem(talk, reply):
            return problem
        states = {job["State"] for job in talk.ask(get("ListJobs", "Marker=!")).json["Items"]}
        return "" if states == {"Finished"} else f"the jobs are then {states}"


def _flags(operation: str, name: str, spec: Mapping[str, Any]) -> Iterator[Variant]:
    """Yield what makes a request one for this operation."""
    spellings = (
        (name, f"{name}=") if spec["type"] == "flag" else tuple(f"{name}={t}" for t in ("True", "true", "TRUE", "tRuE"))
    )
    for query in spellings:
        request = Request("GET", path_of(operation), query)
        yield _variant(operation, name, f"?{query}", request, Succeeded(operation))
    for query in (f"{name}=x", f"{name}=False") if spec["type"] == "boolean" else (f"{name}=x",):
        yield _variant(operation, name, f"?{query}", Request("GET", path_of(operation), query), Unspecified())


def _scope(operation: str, name: str, spec: Mapping[str, Any]) -> Iterator[Variant]:
    answers: Mapping[str, Expectation] = {"Private": Succeeded(operation), "Public": NOT_FOUND}  # none are public here
    for value in spec["values"]:
        yield _variant(operation, name, value, get(operation, f"{name}={value}"), answers[value])
    otherwise = SameAs(get(operation, f"{name}={spec['otherwise']}"))
    for text in ("", "x", "private", "public", "PUBLIC", "%20"):
        yield _variant(operation, name, f"{text!r}", get(operation, f"{name}={text}"), otherwise)
    yield _variant(operation, name, "none", get(operation), otherwise)


def _qualifier(operation: str, name: str, spec: Mapping[str, Any]) -> Iterator[Variant]:
    revised = partial(apps_revised, times=2)
    method = OPERATIONS[operation]["method"]
    right = Succeeded(operation)
    missing = refusal(spec["missing"]) if "missing" in spec else NOT_FOUND
    revisions = {"DeleteApp": ((get("GetAppRevisions"), _Revisions(2)),)}.get(operation, ())
    gone = {"DeleteApp": ((get("GetApp"), NOT_FOUND), (get("GetAppRevisions"), NOT_FOUND))}.get(operation, ())

    def variant(query: str, expectation: Expectation, world: World = revised) -> Variant:
        request = _with_query(Request(method, path_of(operation), example_request(operation).query), query)
        label = f"?{query}" if world == revised else f"?{query} of one revision"
        return Variant(operation, name, label, world, request, expectation)

    for revision in ("0", "1", "2"):
        yield variant(f"{name}={revision}", Succeeded(operation, then=revisions))
    for revision in ("3", "99", "-1", "x", "1x", "9" * 30):
        yield variant(f"{name}={revision}", missing)
    for query in (name, f"{name}=", "", f"{name}=&{name}=99"):
        yield variant(query, Succeeded(operation, then=gone))
    yield variant(f"{name}=0", right, app)
    yield variant(f"{name}=1", missing, app)


class _Revisions:
    """An answer of so many revisions, which are numbered in ascending order."""

    def __init__(self, count: int) -> None:
        self._count = count

    def problem(self, talk: Conversation, reply: Reply) -> str:
        if problem := Succeeded("GetAppRevisions").problem(talk, reply):
            return problem
        numbers = [revision["Revision"] for revision in reply.json]
        return "" if len(numbers) == len(set(numbers)) == self._count else f"the revisions {numbers}"


_PARAMETERS: Mapping[str, Callable[[str, str, Mapping[str, Any]], Iterator[Variant]]] = {
    "IdempotentToken": _tokens,
    "sync": _sync,
    "Qualifier": _qualifier,
    "Scope": _scope,
    "Detail": _flags,
    "Revisions": _flags,
    "description": _flags,
}
"""What the parameters of the query do, by their names; those of lists are elsewhere."""


def _broken_queries(operation: str) -> Iterator[Variant]:
    broken = COMMON["query"]["broken_percent_encoding"]
    expectation: Expectation = Unspecified() if operation in _OF_IMAGES else refusal(broken)
    names = ("x", *OPERATIONS[operation].get("query", {}))
    for name, text in product(names, ("%", "%2", "%zz", "a%G0b")):
        request = _with_query(example_request(operation), f"{name}={text}")
        yield _variant(operation, "broken queries", f"{name}={text}", request, expectation)
    yield _variant(operation, "broken queries", "%FF", _with_query(example_request(operation), "x=%FF"), Unspecified())


# Bodies.


def _bodies(operation: str) -> Iterator[Variant]:
    for body in OPERATIONS[operation].get("body", ()):
        yield from _framing(operation, body)
        whole = (("a whole", case) for case in whole_body_cases(body))
        fields = ((field.path[0], _named(field.name, case)) for field in fields_of(body) for case in cases_of(field))
        for group, case in (*whole, *fields):
            request = example_request(operation)._replace(body=encode(case.body))
            label = f"{case.rule}: {case.label}"
            yield Variant(operation, f"{body} {group}", label, _world_of(body), request, case.expectation)
        yield from _app_rules(operation, body)


def _world_of(body: str) -> World:
    """Return the world in which a body is right: a job of an app needs the app."""
    return app if body == "AppJobDescription" else world_for(OPERATION_OF_BODY[body])


def _named(name: str, case: Case) -> Case:
    return case._replace(label=f"{name}: {case.label}")


def _framing(operation: str, body: str) -> Iterator[Variant]:
    rules = COMMON["body"]
    example = BODIES[body]["example"]
    data = encode(example)
    right = Succeeded(operation)

    def variant(label: str, data: bytes, expectation: Expectation) -> Variant:
        request = example_request(operation)._replace(body=data)
        return Variant(operation, f"{body} framing", label, _world_of(body), request, expectation)

    for broken in _no_json(data):
        yield variant(f"no JSON: {broken[:12]!r} to {broken[-12:]!r}", broken, refusal(rules["not_json"]))
    for other in (b"[]", b"5", b"1.5", b'"x"', b"true", b"false", b"null", b"[{}]", b"[" + data + b"]"):
        yield variant(f"no object: {other[:12]!r}", other, refusal(rules["not_object"]))
    for spaced in (b" " + data, data + b"\n\t ", data.replace(b": ", b":"), data.replace(b'": ', b'" :\r\n')):
        yield variant(f"with space: {spaced[:12]!r} to {spaced[-12:]!r}", spaced, right)
    most = rules["at_most_bytes"]["value"]
    yield variant("as large as may be", data.ljust(most), right)
    for size in (most + 1, most * 2, most * 8):
        yield variant(f"{size} bytes", data.ljust(size), RefusedSomehow())
    yield variant("nested deeply", b"[" * 50_000 + b"]" * 50_000, RefusedSomehow())
    yield variant(
        "an unknown field, nested deeply", data[:-1] + b', "x": ' + b"[" * 900 + b"]" * 900 + b"}", Unspecified()
    )
    for label, odd in (
        ("half a surrogate pair", b'"\\ud800"'),
        ("a character beyond", '"😀"'.encode()),
        ("an escaped NUL", b'"\\u0000"'),
        ("a number beyond", b"1e400"),
        ("minus nothing", b"-0"),
        ("many digits", b"9" * 5000),
    ):
        yield variant(f"a field of {label}", data[:-1] + b', "Description": ' + odd + b"}", Unspecified())
    yield variant("a byte order mark", b"\xef\xbb\xbf" + data, Unspecified())
    yield from _unknown_fields(operation, body)


def _no_json(data: bytes) -> Iterator[bytes]:
    yield from (b"", b" ", b"{", b"}", b"nonsense", b"{'Name': 'x'}", b"\xff", b"\x00", b"{]", b"<x/>", b"Name=x")
    yield from (data[:-1], data[:-1] + b",}", data + b"x", data + data, data[1:], data + b"\x00")
    yield from (b'{"Name": NaN}', b'{"Name": "a\nb"}', b'{"Name": tru}', b'{Name: "x"}', b'{"Name": "\xff"}')
    yield from (b'{"Name": 01}', b'{"Name": .5}', b'{"Name": "x" "y"}', b"// comment\n" + data)


_ANYTHING: Sequence[object] = ("x", 5, True, None, [], {}, {"x": None})


def _unknown_fields(operation: str, body: str) -> Iterator[Variant]:
    example = BODIES[body]["example"]
    places: list[tuple[str, ...]] = [()]
    places += [field.path for field in fields_of(body) if field.spec["type"] == "object" or "fields" in field.spec]
    for place in places:
        if not isinstance(value_at(example, place), dict):
            continue
        for value in _ANYTHING:
            whole = with_value(example, (*place, "UnknownField"), value)
            label = f"unknown in {'.'.join(place) or 'the body'}: {value!r}"
            request = example_request(operation)._replace(body=encode(whole))
            yield Variant(operation, f"{body} framing", label, _world_of(body), request, Succeeded(operation))


_STRICT_APP = {
    **BODIES["AppDescription"]["example"],
    "InputParameters": {"needed": {"Type": "String"}, "given": {"Type": "String", "Default": "x"}},
    "OutputParameters": {"out": {"Type": "String"}},
    "Config": {
        "InstanceType": {"Description": "", "Default": "ecs.sn1.large", "Overwritable": True},
        "InstanceCount": {"Description": "", "Default": 1, "Overwritable": False},
    },
}
"""An app with an input that is needed, and a part of its configuration that is fixed."""


def _strict_app(talk: Conversation) -> None:
    create(talk, "CreateApp", _STRICT_APP)


def _app_rules(operation: str, body: str) -> Iterator[Variant]:
    rules = BODIES[body].get("app_rules")
    if not rules:
        return
    example = BODIES[body]["example"]
    right = Succeeded(operation)

    def variant(label: str, expectation: Expectation, **app: object) -> Variant:
        job = deepcopy(example)
        job["App"] |= {"Inputs": {"needed": "x"}, **app}
        request = Request("POST", path_of(operation), body=encode(job))
        return Variant(operation, f"{body} of an app", label, _strict_app, request, expectation)

    unknown = answered(rules["unknown_app"], right)
    for name in ("none", "Echo", "echo2", ":echo2", "Public:none"):
        yield variant(f"unknown_app: {name}", unknown, AppName=name)
    yield variant("its inputs", right)
    yield variant("all inputs", right, Inputs={"needed": "x", "given": "y"})
    yield variant("all outputs", right, Outputs={"out": "oss://b/x"})
    missing = answered(rules["missing_input"], right, name="needed")
    for inputs in ({"given": "x"}, {"given": ""}):
        yield variant(f"missing_input: {inputs}", missing, Inputs=inputs)
    other = answered(rules["unknown_input"], right, name="other")
    for value in ("x", 5, ""):
        yield variant(f"unknown_input: {value!r}", other, Inputs={"needed": "x", "other": value})
    fixed = answered(rules["config_not_overwritable"], right, key="InstanceCount")
    for count in (2, 100):
        yield variant(f"config_not_overwritable: {count}", fixed, Config={"InstanceCount": count})
    yield variant("config_overwritable", right, Config={"InstanceType": "ecs.sn1.xlarge"})
    unlisted = answered(rules["config_not_listed"], right)
    for config in ({"MinDiskSize": 40}, {"ReserveOnFail": True}, {"ClusterId": ""}, {"Unknown": "x"}):
        yield variant(f"config_not_listed: {config}", unlisted, Config=config)


# What the reference says in words, each with a function here.


def _errors(operation: str) -> Iterator[Variant]:
    for error in OPERATIONS[operation]["errors"]:
        if "when" in error:
            yield from _WHEN[operation, error["when"]](operation, refusal(error, State="Deleting"))


def _existing_app(operation: str, refused: Refused) -> Iterator[Variant]:
    request = example_request(operation)
    yield Variant(operation, "errors", "an app of this name", app, request, refused)
    other = request._replace(body=encode({**BODIES["AppDescription"]["example"], "CommandLine": "other"}))
    yield Variant(operation, "errors", "another app of this name", app, other, refused)
    gone = partial(app, state=GONE)
    yield Variant(operation, "errors", "an app of a name that is free again", gone, request, Succeeded(operation))


def _job_on(cluster_id: str, auto_cluster: object = None) -> Request:
    body = example_for("CreateJob")
    assert body
    body["DAG"]["Tasks"]["count"]["ClusterId"] = cluster_id
    if auto_cluster is not None:
        body["DAG"]["Tasks"]["count"]["AutoCluster"] = auto_cluster
    return Request("POST", path_of("CreateJob"), body=encode(body))


def _naming_nothing(operation: str, refused: Refused) -> Iterator[Variant]:
    right = Succeeded(operation, Echo(("DAG", "Tasks", "count", "ClusterId"), "{ClusterId}"))
    for cluster_id in ("cls-none", "x", "img-ubuntu"):
        yield Variant(operation, "errors", f"on {cluster_id}", nothing, _job_on(cluster_id), refused)
    gone = partial(cluster, state=GONE)
    yield Variant(operation, "errors", "on a cluster that is gone", gone, _job_on("{ClusterId}"), refused)
    for label, auto_cluster in (("", None), (" with an empty AutoCluster", {})):
        request = _job_on("{ClusterId}", auto_cluster)
        yield Variant(operation, "errors", f"on a cluster{label}", cluster, request, Succeeded(right.operation))
    empty = partial(cluster, wanted=0)
    yield Variant(operation, "errors", "on a cluster of no VMs", empty, _job_on("{ClusterId}"), Succeeded(operation))
    body = encode(BODIES["AppJobDescription"]["example"])
    request = Request("POST", path_of(operation), body=body)
    yield Variant(operation, "errors", "of an app that is not there", nothing, request, refused)
    yield Variant(operation, "errors", "of an app that is gone", partial(app, state=GONE), request, refused)
    yield Variant(operation, "errors", "of an app that is there", app, request, Succeeded(operation))


def _on_a_deleting_cluster(operation: str, refused: Refused) -> Iterator[Variant]:
    deleting = partial(cluster, state="Deleting")
    yield Variant(operation, "errors", "on a cluster that is Deleting", deleting, _job_on("{ClusterId}"), refused)


def _system_images(operation: str, refused: Refused) -> Iterator[Variant]:
    for image_id in ("img-centos", "img-ubuntu", "img-windows"):
        request = Request("DELETE", f"/images/{image_id}")
        yield Variant(operation, "errors", image_id, nothing, request, refused)


_WHEN: Mapping[tuple[str, str], Callable[[str, Refused], Iterator[Variant]]] = {
    ("CreateApp", "an app of this name exists"): _existing_app,
    ("CreateJob", "ClusterId or AppName names nothing"): _naming_nothing,
    ("CreateJob", "ClusterId names a cluster that is Deleting"): _on_a_deleting_cluster,
    ("DeleteImage", "a System image"): _system_images,
}


def _effects(operation: str) -> Iterator[Variant]:
    if "effect" in OPERATIONS[operation]:
        yield from _EFFECTS[operation](operation)
    if operation == "DeleteImage":
        deleted = Succeeded(
            operation, then=((get("GetImage"), NOT_FOUND), (Request("DELETE", "/images/{ImageId}"), NOT_FOUND))
        )
        yield Variant(operation, "effects", "it is gone", image, example_request(operation), deleted)


_CONFLICT_OR_GONE = OneOf(
    (
        Refused(409, ("StateConflict",), message="User operation is invalid. The current resource state is Deleting."),
        NOT_FOUND,
    )
)


def _instance_deleted(operation: str) -> Iterator[Variant]:
    deletion = example_request(operation)
    recreation = example_request("RecreateClusterInstance")
    for wanted in (1, 2, 3):
        world = partial(cluster, wanted=wanted)
        fewer = Checked(operation, partial(_wants, wanted - 1))
        yield Variant(operation, "effects", f"one of {wanted} fewer", world, deletion, fewer)
        yield Variant(
            operation, "effects", f"reads Deleting, one of {wanted}", world, deletion, _reads_deleting(operation)
        )
        for again in (deletion, recreation):
            twice = Succeeded(operation, then=((again, _CONFLICT_OR_GONE),))
            label = f"then {again.method}, one of {wanted}"
            yield Variant(operation, "effects", label, world, deletion, twice)


def _instance_recreated(operation: str) -> Iterator[Variant]:
    request = example_request(operation)
    for wanted in (1, 2, 3):
        world = partial(cluster, wanted=wanted)
        as_many = Checked(operation, partial(_wants, wanted))
        yield Variant(operation, "effects", f"as many as {wanted}", world, request, as_many)
        yield Variant(
            operation, "effects", f"reads Deleting, one of {wanted}", world, request, _reads_deleting(operation)
        )
        for again in (example_request("DeleteClusterInstance"), request):
            twice = Succeeded(operation, then=((again, _CONFLICT_OR_GONE),))
            yield Variant(operation, "effects", f"then {again.method}, one of {wanted}", world, request, twice)
        another = Checked(operation, partial(_another_instance, wanted))
        yield Variant(operation, "effects", f"another one of {wanted}", world, request, another)


def _reads_deleting(operation: str) -> Expectation:
    return Succeeded(operation, then=((get("GetClusterInstance"), Succeeded("GetClusterInstance", state="Deleting")),))


def _wants(count: int, talk: Conversation, _: Reply) -> str:
    wanted = talk.ask(get("GetCluster")).json["Groups"]["g"]["DesiredVMCount"]
    return "" if wanted == count else f"DesiredVMCount is {wanted}, not {count}"


def _another_instance(wanted: int, talk: Conversation, _: Reply) -> str:
    """Check that after a while there are as many VMs as before, and the old one is not among them."""
    listed: list[str] = []
    for _poll in range(10):
        items = talk.ask(get("ListClusterInstances")).json["Items"]
        listed = [item["Id"] for item in items if item["State"] not in ("Deleting", "Deleted")]
        if len(listed) == wanted and talk.names["InstanceId"] not in listed:
            return ""
    return f"{talk.names['InstanceId']} of {wanted} was recreated; there are {listed}"


def _app_modified(operation: str) -> Iterator[Variant]:
    request = example_request(operation)
    for times in (0, 1, 2, 10):
        then = ((get("GetAppRevisions"), _Revisions(times + 2)),)
        world = partial(apps_revised, times=times)
        label = f"a revision more than {times + 1}"
        yield Variant(operation, "effects", label, world, request, Succeeded(operation, then=then))
    refused = request._replace(body=b"{}")
    kept = _RefusedThen(get("GetAppRevisions"), _Revisions(1))
    yield Variant(operation, "effects", "no revision of a refusal", app, refused, kept)


class _RefusedThen:
    """Refused somehow, and afterwards something is as it was."""

    def __init__(self, request: Request, expectation: Expectation) -> None:
        self._request = request
        self._expectation = expectation

    def problem(self, talk: Conversation, reply: Reply) -> str:
        kept = self._expectation
        return RefusedSomehow().problem(talk, reply) or kept.problem(talk, talk.ask(self._request))


_EFFECTS: Mapping[str, Callable[[str], Iterator[Variant]]] = {
    "DeleteClusterInstance": _instance_deleted,
    "RecreateClusterInstance": _instance_recreated,
    "ModifyApp": _app_modified,
}
"""What operations do, where the reference has words for it."""
