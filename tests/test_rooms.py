"""The package is a house of rooms on floors: an import goes down, never up.

Imports for type checkers count too, as do those inside of functions: a module knows what it names. The package itself
(`fakebatch/__init__.py`) and `__main__` hand out what is inside, and may import anything.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import ROOT

PACKAGE = ROOT / "fakebatch"

FLOORS = [
    {"errors", "forks"},
    {"fixture_files", "scenarios", "state"},
    {"service"},
    {"redirect", "child_command"},
    {"wire"},
    {"control"},
    {"sdk"},
    {"fake"},
    {"testing"},
    {"cli", "pytest_plugin"},
]
"""Lowest first. Rooms of one floor know nothing of each other."""

LIBRARY_ONLY = {"redirect", "sdk"}
"""Rooms that know none of the others: one is run from its file in children, and the other serves the SDK."""

FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

READS_FILES = Path("service/baseline.py")

MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
INSIDE = [path for path in MODULES if path != Path("__main__.py") and path != Path("__init__.py")]


def room_of(path: Path) -> str:
    """Return the room that a module, given by its path inside of the package, is in, or is."""
    return path.parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line of each import of the package in a module of it, and the room that it goes to."""
    package = ["fakebatch", *path.parts[:-1]]
    for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *filter(None, [node.module])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, _, inside = name.partition(".")
            if first == "fakebatch":
                yield node.lineno, inside.partition(".")[0]


@pytest.mark.parametrize("path", INSIDE, ids=str)
def test_an_import_goes_down(path: Path) -> None:
    room = room_of(path)
    assert room in FLOOR, f"{room} is a room of no floor"
    up = [
        f"fakebatch/{path}:{line}: {room} imports {other or 'the package itself'}"
        for line, other in imports(path)
        if other != room and (room in LIBRARY_ONLY or FLOOR.get(other, len(FLOORS)) >= FLOOR[room])
    ]
    assert not up, "\n".join(up)


def test_fixture_files_are_read_in_one_place() -> None:
    others = [path for path in INSIDE if room_of(path) != "fixture_files"]
    readers = {path for path in others if any(room == "fixture_files" for _, room in imports(path))}
    assert readers == {READS_FILES}
