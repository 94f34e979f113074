"""The command `fakebatch`: its arguments, and what is done at once: check, schema.

Knows how to speak to a person at a terminal, and leaves the rest to others. What a command needs is imported when it is
run. Exit codes:

    0    success; also of a server that was ended by Ctrl-C or SIGTERM
    1    something is wrong with a file, a port or what else was named: standard error says what
    2    the arguments are wrong
    3    a mistake of fakebatch's own
    128+n   the signal n ended it before it served, or while it read files

`fakebatch run` ends with the exit code of its command, which is 128+n if the signal n ended that, 127 if there is no
such command, and 126 if it can't be run.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

DEFAULT_PORT = 8888
"""The port of the official SDK's own mock. [sdk]"""
WRONG, MISTAKEN = 1, 3
"""The exit codes for what is wrong with what was named, and with fakebatch itself."""

_EXIT_CODES = """\
exit codes:
  0      success; also of a server that was ended by Ctrl-C or SIGTERM
  1      something is wrong with a file, a port or what else was named: standard error says what
  2      the arguments are wrong
  3      a mistake of fakebatch's own
  128+n  the signal n ended it while it read files
"run" ends with the exit code of its command: 128+n if the signal n ended that, 127 if there is no such command, 126 if
it can't be run.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    # Until something is served there is nothing to end in order: Ctrl-C ends it at once, whatever it is at.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with suppress(ValueError):  # in a thread of somebody's who calls this
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    # As standard error does it: a line for which a terminal lacks a character must not be lost.
    getattr(sys.stdout, "reconfigure", lambda **_: None)(errors="backslashreplace")
    try:
        options = _options(list(sys.argv[1:] if arguments is None else arguments))
        code = int(options.run(options))
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read what was printed has seen enough; nor can what is left be written at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return WRONG
    except Exception as error:
        return _explain(error)
    return code


def _explain(error: Exception) -> int:
    """Say what went wrong, and return the exit code."""
    from ..errors import FixtureError, ServerError, printable

    if isinstance(error, FixtureError | ServerError):
        print(error, file=sys.stderr)
        return WRONG
    if isinstance(error, OSError):
        print(f"fakebatch: {printable(error.filename or 'it')}: {error.strerror}", file=sys.stderr)
        return WRONG
    from .worlds import told

    print(f"fakebatch: this is a mistake of fakebatch's own: {told(error)}", file=sys.stderr)
    return MISTAKEN


class _Version(argparse.Action):
    """Prints the version. That is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"fakebatch {version('fakebatch')}")
        parser.exit()


def _options(arguments: list[str]) -> argparse.Namespace:
    """Return what the arguments say. Exits where they are wrong, or ask for help."""
    command: list[str] | None = None
    if arguments[:1] == ["run"] and "--" in arguments:  # what comes after it is the command's
        end = arguments.index("--")
        arguments, command = arguments[:end], arguments[end + 1 :]
    parser = argparse.ArgumentParser(
        prog="fakebatch",
        description="A fake of Alibaba Cloud BatchCompute.",
        epilog=f"example: fakebatch serve world.yaml --port 0\n\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="command", required=True)

    def add(
        name: str, run: Callable[[argparse.Namespace], int], about: str, example: str, usage: str | None = None
    ) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(
            name,
            help=about,
            description=f"{about[:1].upper()}{about[1:]}.",
            epilog=f"example: {example}",
            usage=usage,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run)
        return added

    serve = add(
        "serve", _serve, "serve fixture files until interrupted", "fakebatch serve world.yaml --reload --port 0"
    )
    _add_fixtures(serve)
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 picks a free one (default: %(default)s)")
    _add_serving(serve)
    serve.add_argument("--ca", metavar="FILE", help="with --tls: write the certificate that clients are to trust")
    serve.add_argument("--reload", action="store_true", help="show what has changed in a file, included ones too")
    serve.add_argument("--quiet", action="store_true", help="print only where it is")

    run = add(
        "run",
        _run,
        "run a command, with a fake as long as it runs",
        "fakebatch run world.yaml -- bcs j\n\n"
        "The command's Python processes find the fake under the service's host names, and bcs is logged in.\n"
        "Others find it by the environment variables FAKEBATCH_URL and FAKEBATCH_CA_BUNDLE, and may control it\n"
        "at $FAKEBATCH_URL/_fakebatch/.",
        "fakebatch run [-h] [--port PORT] [--tls] [--log FILE] [--no-control] [--control-host NAME]\n"
        "                     [FIXTURE ...] -- COMMAND ...",
    )
    _add_fixtures(run)
    run.add_argument("--port", type=int, default=0, help="default: a free one")
    _add_serving(run)

    check = add("check", _check, "validate fixture files, and say what they hold", "fakebatch check tests/worlds")
    check.add_argument(
        "fixtures", nargs="+", metavar="FIXTURE", help="a fixture file, a folder of them, or - for stdin"
    )

    add("scenarios", _scenarios, "list the scenarios that ship with the package", "fakebatch scenarios")

    importing = add(
        "import",
        _import,
        "print a fixture file made of answers of the service that were kept",
        "fakebatch import session.har cassettes/*.yaml > world.yaml",
    )
    importing.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="answers of list and get operations (JSON), a HAR file, a cassette of vcrpy, or a recording of responses;"
        " - for stdin",
    )

    add(
        "schema",
        _schema,
        "print the JSON Schema of fixture files, for editors",
        "fakebatch schema > fakebatch.schema.json",
    )

    document = add(
        "openapi", _openapi, "print the OpenAPI document of what is faked", "fakebatch openapi > batchcompute.json"
    )
    document.add_argument("--control", action="store_true", help="with the fake's own control interface")

    options = parser.parse_args(arguments)
    if options.command == "run":
        if not command:
            run.error("which command? write it after --, as in: fakebatch run world.yaml -- pytest")
        options.command_line = command
    if options.command == "serve" and options.ca and not options.tls:
        serve.error("--ca is for --tls; add that")
    if options.command in ("serve", "run") and options.control_hosts and not options.control:
        commands.choices[options.command].error("--control-host is for control; leave --no-control out")
    return options


def _host_name(text: str) -> str:
    if not text or ":" in text or "/" in text:
        raise argparse.ArgumentTypeError(f"a host name such as fakebatch, without a port, not {text!r}")
    return text


def _add_fixtures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "fixtures",
        nargs="*",
        metavar="FIXTURE",
        help="a fixture file, a scenario such as fakebatch:throttled, or - for stdin; default: what the service's"
        " reference prints",
    )


def _add_serving(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tls", action="store_true", help="serve HTTPS")
    parser.add_argument("--log", metavar="FILE", help="write a line for each request at the end of this file")
    parser.add_argument(
        "--no-control", action="store_false", dest="control", help="serve no page and no control at /_fakebatch/"
    )
    parser.add_argument(
        "--control-host",
        dest="control_hosts",
        type=_host_name,
        action="append",
        default=[],
        metavar="NAME",
        help="let control answer to this host name as well, such as that of a container; may be repeated",
    )


def _serve(options: argparse.Namespace) -> int:
    from .serve import serve_fixtures

    return serve_fixtures(options)


def _run(options: argparse.Namespace) -> int:
    from .run import run_command

    return run_command(options)


def _import(options: argparse.Namespace) -> int:
    from .importing import import_files

    return import_files(options)


def _check(options: argparse.Namespace) -> int:
    from ..errors import FixtureError
    from .worlds import contents, describe, files_in, read_stdin

    given = read_stdin(options.fixtures)
    failed = False
    for name in options.fixtures:
        try:
            paths = files_in(name)
        except FixtureError as error:
            failed = True
            print(error, file=sys.stderr)
            continue
        for path in paths:
            try:
                print(f"{path}: fine, {contents(describe([path], given))}")
            except FixtureError as error:
                failed = True
                print(error, file=sys.stderr)
    return WRONG if failed else 0


def _scenarios(options: argparse.Namespace) -> int:
    from .scenarios import list_scenarios

    return list_scenarios(options)


def _schema(options: argparse.Namespace) -> int:  # noqa: ARG001 - every command takes its options
    import json

    from ..service.schema import schema

    print(json.dumps(schema(), indent=2))
    return 0


def _openapi(options: argparse.Namespace) -> int:
    import json

    from ..control.openapi import control_openapi  # no other command needs them
    from ..service.openapi import openapi

    print(json.dumps(control_openapi() if options.control else openapi(), indent=2))
    return 0
