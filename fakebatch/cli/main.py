"""The command `fakebatch`: its arguments, and what is done at once: check, schema.

Knows how to speak to a person at a terminal, and leaves the rest to others.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import FixtureError, ServerError
from ..service.baseline import load
from ..service.registry import summary
from ..service.schema import schema
from .serve import serve_fixtures

DEFAULT_PORT = 8888
"""The port of the official SDK's own mock. [sdk]"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0 is success, 1 something wrong with a file or a port, 2 wrong arguments.
    """
    parser = argparse.ArgumentParser(prog="fakebatch", description="A fake of Alibaba Cloud BatchCompute's images API.")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="command", required=True)

    serve = commands.add_parser("serve", help="serve fixture files until interrupted")
    serve.add_argument(
        "fixtures", nargs="*", metavar="FIXTURE", help="a fixture file; default: the reference's own images"
    )
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 picks a free one (default: %(default)s)")
    serve.set_defaults(run=serve_fixtures)

    check = commands.add_parser("check", help="validate fixture files")
    check.add_argument("fixtures", nargs="+", metavar="FIXTURE", help="a fixture file")
    check.set_defaults(run=_check)

    print_schema = commands.add_parser("schema", help="print the JSON Schema of fixture files, for editors")
    print_schema.set_defaults(run=_schema)

    print_openapi = commands.add_parser("openapi", help="print the OpenAPI document of what is faked")
    print_openapi.add_argument("--control", action="store_true", help="with the fake's own control interface")
    print_openapi.set_defaults(run=_openapi)

    options = parser.parse_args(arguments)
    # As standard error does it: a line for which a terminal lacks a character must not be lost.
    getattr(sys.stdout, "reconfigure", lambda **_: None)(errors="backslashreplace")
    try:
        return int(options.run(options))
    except (FixtureError, ServerError) as error:
        print(error, file=sys.stderr)
        return 1


def _check(options: argparse.Namespace) -> int:
    failed = False
    for path in map(Path, options.fixtures):
        try:
            description = load(path)
        except FixtureError as error:
            failed = True
            print(error, file=sys.stderr)
        else:
            print(f"{path}: fine, {summary(description.records)}")
    return int(failed)


def _schema(options: argparse.Namespace) -> int:  # noqa: ARG001 - every command takes its options
    print(json.dumps(schema(), indent=2))
    return 0


def _openapi(options: argparse.Namespace) -> int:
    from ..control.openapi import control_openapi  # no other command needs them
    from ..service.openapi import openapi

    print(json.dumps(control_openapi() if options.control else openapi(), indent=2))
    return 0
