"""Compares fakebatch with its peers, and prints one table. Run it with `tox -e benchmark`; it takes about four
minutes.

    tox -e benchmark -- --only pages,start --beside FOLDER

`--beside` names a checkout of another version of fakebatch, which is then one more peer; `--only` measures no more than
these figures. All peers of a figure are measured in turn, in blocks, and a figure is the median of its rounds, with the
quartiles beside it. Processor time and threads are what Linux counts; elsewhere these rows are left out.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import in_process
import over_http
from table import Row, heading

FIGURES: dict[str, Callable[[Path | None], Iterator[Row]]] = {
    "plugin": in_process.plugin,
    "new-process": in_process.new_process,
    "start": in_process.start,
    "own-process": in_process.own_process,
    "pages": over_http.pages,
    "control": over_http.control,
    "connections": over_http.connections,
    "burst": over_http.burst,
    "slow": over_http.slow,
    "requests": over_http.requests,
    "jobs": in_process.jobs,
    "calls": in_process.calls,
    "load": in_process.load,
    "size": in_process.size,
}


def _figures(text: str) -> list[str]:
    """Return the names of figures in a list with commas."""
    names = text.split(",")
    for name in names:
        if name not in FIGURES:
            raise argparse.ArgumentTypeError(f"there is no figure {name!r}; there are {', '.join(FIGURES)}")
    return names


def _checkout(text: str) -> Path:
    """Return a folder that Python can import fakebatch from."""
    folder = Path(text).resolve()
    if not (folder / "fakebatch" / "__init__.py").exists():
        raise argparse.ArgumentTypeError(f"{folder} is no checkout of fakebatch")
    return folder


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Compare fakebatch with its peers.")
    parser.add_argument(
        "--only", type=_figures, default=list(FIGURES), metavar="FIGURES", help=f"some of {','.join(FIGURES)}"
    )
    parser.add_argument("--beside", type=_checkout, metavar="FOLDER", help="a checkout of a version to compare with")
    options = parser.parse_args()
    logging.disable()
    print(heading(), flush=True)
    for name in options.only:
        begin = time.monotonic()
        for row in FIGURES[name](options.beside):
            print(row, flush=True)
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
