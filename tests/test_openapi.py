"""The OpenAPI document: it is valid, says all that the service's contract says, and no answer is other than it says."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import schemathesis
from asking import Asking
from contract import BODIES, OPERATIONS
from effort import EFFORT
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from werkzeug.test import Client

from fakebatch import FakeBatch
from fakebatch.control.api import PREFIX, ROUTES, Route
from fakebatch.control.openapi import control_openapi
from fakebatch.service.openapi import openapi
from fakebatch.service.registry import OPERATIONS as DECLARED

DOCUMENT = openapi()
SCHEMAS = DOCUMENT["components"]["schemas"]
WRITTEN = {
    written["operationId"]: (path, method, written)
    for path, methods in DOCUMENT["paths"].items()
    for method, written in methods.items()
}
CHOSEN = {"GetJobDescription": "GetJob", "GetAppDetail": "GetApp", "GetAppRevisions": "GetApp"}
"""Operations that a parameter of the query chooses, and those beside which they stand."""
EXAMPLES = {
    written["operationId"]: content["examples"][written["operationId"]]["value"]
    for _, _, written in WRITTEN.values()
    for content in written.get("requestBody", {}).get("content", {}).values()
}
"""The examples of bodies."""


def written(name: str) -> Any:
    """Return what the document says of an operation."""
    return WRITTEN[CHOSEN.get(name, name)][2]


def problems(schema: Mapping[str, Any], value: object) -> list[str]:
    """Return what a schema of the document finds wrong with a value."""
    whole = {**schema, "components": DOCUMENT["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def problems_of_body(operation: str, body: object) -> list[str]:
    return problems({"$ref": f"#/components/schemas/{operation}Request"}, body)


def test_it_is_valid() -> None:
    validate(DOCUMENT)
    validate(control_openapi())


def test_it_has_all_operations() -> None:
    assert sorted([*WRITTEN, *CHOSEN]) == sorted(OPERATIONS)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_it_says_of_an_operation_what_the_contract_says(name: str) -> None:
    contract = OPERATIONS[name]
    path, method, _ = WRITTEN[CHOSEN.get(name, name)]
    document = written(name)
    assert (method.upper(), path) == (contract["method"], contract["path"])
    parameters = {parameter["name"]: parameter for parameter in document["parameters"] if "name" in parameter}
    assert parameters.keys() >= contract.get("query", {}).keys()
    success = str(contract["success"]["status"])
    assert ("content" in document["responses"][success]) == (contract["answer"] != "empty")
    for error in contract.get("errors", ()):
        if "code" in error:
            examples = document["responses"][str(error["status"])]["content"]["application/json"]["examples"]
            assert error["code"] in examples


@pytest.mark.parametrize("body", sorted(BODIES))
def test_a_body_that_is_right_for_the_contract_is_right_for_it(body: str) -> None:
    (operation,) = (name for name, contract in OPERATIONS.items() if body in contract.get("body", ()))
    example = BODIES[body]["example"]
    assert problems_of_body(operation, example) == []
    for name, field in BODIES[body]["fields"].items():
        if field.get("required"):
            lacking = {key: value for key, value in example.items() if key != name}
            assert problems_of_body(operation, lacking) != [], name


def test_the_schema_of_a_request_says_what_the_service_demands() -> None:
    schema = SCHEMAS["CreateImageRequest"]
    assert schema["required"] == ["EcsImageId", "Platform"]
    assert schema["properties"]["EcsImageId"] == {"type": "string", "minLength": 1}
    assert schema["properties"]["Name"]["pattern"] == "^[a-zA-Z_-][a-zA-Z0-9_-]*$"
    assert [form["required"] for form in SCHEMAS["CreateJobRequest"]["anyOf"]] == [
        ["Name", "Type", "DAG"],
        ["Name", "Type", "App"],
    ]
    groups = SCHEMAS["CreateClusterRequest"]["properties"]["Groups"]
    assert (groups["minProperties"], groups["maxProperties"]) == (1, 64)
    assert groups["propertyNames"] == {"type": "string", "minLength": 0, "maxLength": 64}
    # What counts as absent where it is empty may be sent so.
    assert groups["additionalProperties"]["properties"]["SpotStrategy"]["enum"][-1] == ""
    assert SCHEMAS["CreateJobRequest"]["anyOf"][0]["properties"]["DAG"]["properties"]["Tasks"]["minProperties"] == 1


@pytest.mark.parametrize(("path", "least"), [("/apps", 1), ("/images", 0), ("/jobs/{JobId}/tasks", 0)])
def test_the_number_of_items_on_a_page_has_its_limits(path: str, least: int) -> None:
    parameters = DOCUMENT["paths"][path]["get"]["parameters"]
    (schema,) = (parameter["schema"] for parameter in parameters if parameter.get("name") == "MaxItemCount")
    assert schema == {"type": "integer", "default": 50, "minimum": least, "maximum": 100}


def test_a_synchronous_job_has_an_answer_of_its_own() -> None:
    responses = written("CreateJob")["responses"]
    shown = {status: responses[status]["content"]["application/json"]["schema"] for status in ("200", "201")}
    assert shown == {
        "200": {"$ref": "#/components/schemas/SynchronousInstance"},
        "201": {"$ref": "#/components/schemas/Created"},
    }


def test_both_ways_of_signing_are_there_and_none_is_needed() -> None:
    assert DOCUMENT["security"] == [{}, {"acs": []}, {"ACS3-HMAC-SHA256": []}]
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert {(scheme["type"], scheme["in"], scheme["name"]) for scheme in schemes.values()} == {
        ("apiKey", "header", "Authorization")
    }


def test_what_it_says_is_for_those_who_write_no_python() -> None:
    assert "[doc]" not in json.dumps(DOCUMENT)
    assert written("GetJob")["summary"] == "Return how a job is doing"
    assert "With `description`, it is GetJobDescription." in written("GetJob")["description"]


def path_of(name: str) -> str:
    """Return the path of an operation, with the examples of its parameters, and the parameter that chooses it."""
    path, _, document = WRITTEN[CHOSEN.get(name, name)]
    values = {each["name"]: each["example"] for each in document["parameters"] if "example" in each}
    flag = DECLARED[name].chosen_by
    return f"{path.format(**values)}?{flag}" if flag else str(path.format(**values))


def populated(fake: FakeBatch | None = None) -> Asking:
    """Return a world in which there is what the examples of requests create."""
    ask = Asking(fake or FakeBatch())
    for name, body in EXAMPLES.items():
        if name.startswith("Create"):
            ask.post(path_of(name), body)
    return ask


def test_the_examples_are_what_is_answered() -> None:
    for name in sorted(DECLARED):
        for status, response in written(name)["responses"].items():
            for content in response.get("content", {}).values():
                if status[0] == "2" and name in content.get("examples", {}):
                    example = content["examples"][name]["value"]
                    assert problems(content["schema"], example) == []
                    if DECLARED[name].method == "GET":
                        assert shape(populated().get(path_of(name))) == shape(example)


def shape(value: Any) -> Any:
    """Return the names in JSON data; of a list, those in its first item."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    return [shape(item) for item in value[:1]] if isinstance(value, list) else None


def test_the_examples_of_requests_are_accepted() -> None:
    ask = populated()
    for name in ("ModifyCluster", "ModifyApp"):
        assert ask("PUT", path_of(name), EXAMPLES[name]) == (200, None)
    assert ask("POST", path_of("StopJob")) == (201, None)
    assert ask("PUT", path_of("ChangeJobPriority"), EXAMPLES["ChangeJobPriority"]) == (200, None)


# Schemathesis

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
LOADED = schemathesis.openapi.from_dict(DOCUMENT)


def readings() -> Iterator[Any]:
    """Yield requests for all that is to be seen of what the examples create, in both of its forms."""
    for name in sorted(DECLARED):
        path, method, document = WRITTEN[CHOSEN.get(name, name)]
        if method == "get":
            values = {each["name"]: each["example"] for each in document["parameters"] if "example" in each}
            flag = DECLARED[name].chosen_by
            yield LOADED[path]["GET"].Case(path_parameters=values, query={flag: ""} if flag else {})


@pytest.mark.fuzz
@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_no_answer_is_other_than_it_says(name: str, mode: GenerationMode) -> None:
    path, method, _ = WRITTEN[name]
    operation = LOADED[path][method.upper()]
    values = {each["name"]: each["example"] for each in written(name)["parameters"] if "example" in each}

    @settings(max_examples=8 * EFFORT, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=mode), st.booleans())
    def answers_as_documented(case: Any, exists: bool) -> None:
        app = populated().fake
        if exists:
            case.path_parameters = values
            case.headers = {}
        answer = case.call(app=app)
        case.validate_response(answer, checks=CHECKS)
        if method != "get" and answer.status_code < 300:
            for reading in readings():
                reading.validate_response(reading.call(app=app), checks=CHECKS)

    answers_as_documented()


# The command


def printed(*arguments: str) -> Any:
    command = [sys.executable, "-m", "fakebatch", "openapi", *arguments]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_the_command_prints_it() -> None:
    assert printed() == DOCUMENT


def test_with_control_it_has_the_control_interface_as_well() -> None:
    document = printed("--control")
    assert document["paths"].items() >= DOCUMENT["paths"].items()
    assert document["components"]["schemas"].items() >= SCHEMAS.items()
    own = {path: methods for path, methods in document["paths"].items() if path not in DOCUMENT["paths"]}
    assert {(method.upper(), path.removeprefix(PREFIX)) for path, methods in own.items() for method in methods} == {
        (route.method, route.path) for route in ROUTES
    }
    names = [written["operationId"] for methods in own.values() for written in methods.values()]
    assert {"listCalls", "addImages", "putJob", "removeCluster", "advanceJob", "failJob"} <= set(names)
    assert own["/_fakebatch/health"]["get"]["security"] == [{}]
    assert own["/_fakebatch/world"]["put"]["requestBody"]["content"].keys() == {"application/json", "application/yaml"}
    assert own["/_fakebatch/world"]["get"]["responses"]["200"]["content"].keys() == {
        "application/json",
        "application/yaml",
    }


CONTROL_BODIES: dict[str, Any] = {
    "addStep": {"on": "GetJob", "fail": "InternalError"},
    "addRule": {"job": "nightly", "waiting": 2},
    "addImages": {"Id": "img-new", "repeat": 1},
    "addJobs": {"Name": "another"},
    "addClusters": {"Name": "another"},
    "addApps": {"Name": "another"},
    "putImage": {},
    "putJob": {},
    "putCluster": {},
    "putApp": {"CommandLine": "true"},
    "advanceClock": {"advance": 90},
    "failJob": {"message": "no luck"},
    "putWorld": {"images": [{"Id": "img-x"}]},
}


KEYS = {"images": "GetImage", "jobs": "GetJob", "clusters": "GetCluster", "apps": "GetApp"}
"""Operations in whose paths the keys of examples stand."""


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_control_answers_as_it_says(route: Route) -> None:
    document = control_openapi()
    said = document["paths"][f"{PREFIX}{route.path}"][route.method.lower()]
    body = CONTROL_BODIES.get(said["operationId"])
    assert (body is not None) == ("requestBody" in said)
    fake = FakeBatch(control=True)
    populated(fake)
    fake.on("ListImages").fail("Throttling")
    fake.progress(job="*", waiting=1)
    section = route.path.split("/")[1]
    key = path_of(KEYS[section]).rpartition("/")[2] if section in KEYS else ""
    there, nowhere = (f"{PREFIX}{route.path.format(id=name, number=number)}" for name, number in ((key, 1), ("x", 9)))
    for path, host in dict.fromkeys(((there, "localhost"), (nowhere, "localhost"), (there, "elsewhere.example"))):
        sent: dict[str, Any] = {} if body is None else {"json": body}
        answer = Client(fake).open(path, method=route.method, base_url=f"http://{host}", **sent)
        assert answer.status_code < 300 or (path, host) != (there, "localhost"), answer.text
        response = said["responses"][str(answer.status_code)]
        assert bool(answer.data) == ("content" in response)
        if answer.data:
            schema = response["content"]["application/json"]["schema"]
            whole = {**schema, "components": document["components"]}
            assert [error.message for error in Draft202012Validator(whole).iter_errors(answer.json)] == []
