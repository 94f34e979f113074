"""Installs this project beside the oldest versions of everything that it and its tests say they work with.

pip resolves to the newest only. The bounds are read from pyproject.toml, so that they stand in one place.
"""

import subprocess
import sys
import tomllib

from checkout import ROOT


def lowest() -> list[str]:
    """Return the requirements of the package, of its extras and of its tests, each pinned to its lower bound."""
    described = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = described["project"]
    extras = project["optional-dependencies"].values()
    groups = [project["dependencies"], *extras, described["dependency-groups"]["test"]]
    return [requirement.replace(">=", "==") for group in groups for requirement in group]


if __name__ == "__main__":
    sys.exit(subprocess.run([sys.executable, "-m", "pip", "install", str(ROOT), *lowest()], check=False).returncode)
