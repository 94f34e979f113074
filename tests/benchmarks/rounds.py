"""How things are measured beside each other: in turn, and each version of fakebatch in processes of its own."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from peers import FAKEBATCH

BESIDE = "fakebatch beside"
"""The version of fakebatch that `--beside` names."""
_Measured = TypeVar("_Measured")


def in_turn(functions: Mapping[str, Callable[[], _Measured]], rounds: int) -> dict[str, list[_Measured]]:
    """Call each function once a round, and return what they measured.

    Whatever slows the machine down for a while slows all of them down, and not one.
    """
    measured: dict[str, list[_Measured]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            measured[name].append(function())
    return measured


def with_beside(names: Iterable[str], beside: Path | None) -> dict[str, tuple[str, Path | None]]:
    """Return, for each peer, under which name it is run and from which folder; None is this checkout.

    The version beside is fakebatch from another folder.
    """
    peers: dict[str, tuple[str, Path | None]] = {name: (name, None) for name in names}
    return peers if beside is None else {**peers, BESIDE: (FAKEBATCH, beside)}


def environment(folder: Path | None) -> dict[str, str]:
    """Return the environment of a child process that imports fakebatch from this folder; None is this checkout."""
    return dict(os.environ) if folder is None else {**os.environ, "PYTHONPATH": str(folder)}
