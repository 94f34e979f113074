"""Changes modules of the package, a bit at a time, and lists the changes that no test notices: `python tests/mutants.py
[MODULE ...]`, where a module is written as `state/collection.py`. Without any, those that must have no survivors.

cosmic-ray, and not mutmut: mutmut chooses among all changes while the program runs, which needs its own settings in
every child process; cosmic-ray changes the file, so commands and suites inside of tests run what was changed.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from checkout import ROOT

TESTS = {
    "state/collection.py": ["list_images", "images_resource", "fake"],
    "service/operation.py": ["list_images", "images_resource", "accounts", "responses"],
    "wire/signatures.py": ["accounts", "official_clients"],
    "service/script.py": ["script", "scenarios", "calls"],
    "service/world.py": ["script", "fake", "calls"],
}
"""The modules that must have no survivors, and the tests that are to notice, those that notice most first."""

LONGEST = 120.0
"""Seconds until the tests of a change that hang count as failed."""


def survivors(module: str, folder: Path) -> tuple[list[str], int]:
    """Return the changes of a module that no test noticed, as diffs, and how many changes were made."""
    for part in (".ci", "docs", "fakebatch", "fixtures", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in (".pre-commit-hooks.yaml", "pyproject.toml", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / part, folder)
    names = TESTS.get(module)
    tests = " ".join(f"tests/test_{name}.py" for name in names) if names else "tests"
    (folder / "mutants.toml").write_text(f"""[cosmic-ray]
module-path = "fakebatch/{module}"
timeout = {LONGEST}
excluded-modules = []
test-command = "{sys.executable} -m pytest -x -q -n0 -p no:randomly -p no:cacheprovider -m 'not browser' {tests}"
[cosmic-ray.distributor]
name = "local"
[cosmic-ray.filters.operators-filter]
exclude-operators = ["core/ReplaceBinaryOperator_BitOr_.*"]  # they change types, which nothing reads when it runs
""")
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(name: str, *arguments: str) -> str:
        command = [str(Path(sys.executable).with_name(name)), *arguments]
        ended = subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        return ended.stdout

    run("cosmic-ray", "baseline", "mutants.toml")  # raises if the tests fail with nothing changed
    run("cosmic-ray", "init", "mutants.toml", "session.sqlite")
    run("cr-filter-operators", "session.sqlite", "mutants.toml")
    run("cosmic-ray", "exec", "mutants.toml", "session.sqlite")
    results = [json.loads(line)[1] for line in run("cosmic-ray", "dump", "session.sqlite").splitlines()]
    tried = [result for result in results if result and result["test_outcome"]]
    return [result["diff"] for result in tried if result["test_outcome"] == "survived"], len(tried)


def main(modules: list[str]) -> int:
    """Print what survived in each module. 1 if any did where none may."""
    failed = False
    for module in modules or list(TESTS):
        with tempfile.TemporaryDirectory() as folder:
            alive, count = survivors(module, Path(folder))
        print(*alive, f"{module}: {len(alive)} of {count} survived", sep="\n", flush=True)
        failed = failed or (module in TESTS and bool(alive))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
