"""Clients that know of operations no more than the caller says: what each can do is ask, and be refused."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from alibabacloud_tea_openapi.client import Client as TeaClient
from alibabacloud_tea_openapi.exceptions import ClientException as TeaError
from alibabacloud_tea_openapi.models import Config, OpenApiRequest, Params
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest
from darabonba.runtime import RuntimeOptions
from node import javascript

from fakebatch import FakeBatch

KEY, SECRET = "test-key", "test-secret"
VERSION = "2015-11-11"


class RefusedError(Exception):
    """What a client's own error tells."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message = status, code, message


class Ask(Protocol):
    """A request by method, path, query and body; to its answer, or to RefusedError."""

    def __call__(self, method: str, path: str, query: Mapping[str, str] | None = None, body: object = None) -> Any: ...


def aliyun_core(fake: FakeBatch, secret: str = SECRET) -> Ask:
    """Return how `aliyun-python-sdk-core` asks."""
    client = AcsClient(KEY, secret, "cn-qingdao")

    def ask(method: str, path: str, query: Mapping[str, str] | None = None, body: object = None) -> Any:
        request = CommonRequest(domain=f"{fake.host}:{fake.port}", version=VERSION, uri_pattern=path)
        request.set_method(method)
        for name, value in (query or {}).items():
            request.add_query_param(name, value)
        if body is not None:
            request.set_content(json.dumps(body).encode())
            request.set_content_type("application/json")
        try:
            return json.loads(client.do_action_with_exception(request) or "null")
        except ServerException as error:
            raise RefusedError(error.get_http_status(), error.get_error_code(), error.get_error_msg()) from None

    return ask


def tea(fake: FakeBatch, secret: str = SECRET) -> Ask:
    """Return how `alibabacloud_tea_openapi` asks."""
    endpoint = f"{fake.host}:{fake.port}"
    client = TeaClient(Config(access_key_id=KEY, access_key_secret=secret, endpoint=endpoint, protocol="HTTP"))

    def ask(method: str, path: str, query: Mapping[str, str] | None = None, body: object = None) -> Any:
        params = Params(
            action="Any",
            version=VERSION,
            protocol="HTTP",
            pathname=path,
            method=method,
            auth_type="AK",
            style="ROA",
            req_body_type="json",
            body_type="string",  # of many an answer there is no body
        )
        try:
            answer = client.call_api(params, OpenApiRequest(query=dict(query or {}), body=body), RuntimeOptions())
        except TeaError as error:
            raise RefusedError(error.status_code, error.code, str(error)) from None
        return json.loads(answer["body"] or "null")

    return ask


Operate = Callable[..., Any]
"""An operation, by its name, with the parameters of path, query and body in one; to its answer, or to RefusedError."""


def aliyun_sdk(fake: FakeBatch, secret: str = SECRET) -> Operate:
    """Return how npm's `aliyun-sdk` carries out an operation. Skips the test where it can't be had."""
    endpoint = f"http://{fake.host}:{fake.port}"

    def operate(operation: str, **parameters: Any) -> Any:
        asked = {"endpoint": endpoint, "key": KEY, "secret": secret, "operation": operation, "parameters": parameters}
        answer = javascript().ask(asked)
        if "code" in answer:
            raise RefusedError(answer.get("status", 0), answer["code"], answer["message"])
        return answer["data"]

    return operate
