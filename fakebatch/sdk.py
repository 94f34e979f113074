"""The official SDK's client, pointed at a local server. The SDK is imported when a client is asked for, not before."""

import ssl
from http.client import HTTPConnection, HTTPSConnection
from typing import Any

REGION = "batchcompute.cn-qingdao.aliyuncs.com"
"""The region that the client believes to be in: one that the SDK knows."""


def client(
    host: str, port: int, access_key_id: str, access_key_secret: str, ca_bundle: str | None, **options: Any
) -> Any:
    """Return a `batchcompute.Client` whose connections go to `host` and `port`, with TLS if there is a `ca_bundle`.

    Pointing the SDK with `Client.register_region` would change two settings of the whole process [sdk]; replacing how
    this one client connects changes nothing else.

    Raises ModuleNotFoundError, saying what to install, where the SDK is missing.
    """
    try:
        from batchcompute import Client
    except ModuleNotFoundError as error:
        if error.name != "batchcompute":
            raise
        raise ModuleNotFoundError(
            "the official SDK is not installed; install it with: pip install batchcompute "
            "(it builds with setuptools<81 as a build constraint)",
            name="batchcompute",
        ) from None
    made = Client(REGION, access_key_id, access_key_secret, **options)
    context = ssl.create_default_context(cafile=ca_bundle) if ca_bundle else None

    def connect() -> HTTPConnection:
        return HTTPSConnection(host, port, context=context) if context else HTTPConnection(host, port)

    made._sa._c.rc.get_http_connection = connect
    return made
