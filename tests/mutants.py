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
    for part in ("fakebatch", "tests", "fixtures"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "README.md", "CHANGELOG.md"):
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
""")
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}

    def cosmic_ray(*arguments: str) -> str:
        command = [str(Path(sys.executable).with_name("cosmic-ray")), *arguments]
        run = subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        return run.stdout

    cosmic_ray("baseline", "mutants.toml")  # raises if the tests fail with nothing changed
    cosmic_ray("init", "mutants.toml", "session.sqlite")
    cosmic_ray("exec", "mutants.toml", "session.sqlite")
    done = [json.loads(line) for line in cosmic_ray("dump", "session.sqlite").splitlines()]
    return [result["diff"] for _, result in done if result["test_outcome"] == "survived"], len(done)


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
