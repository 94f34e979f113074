"""What the project says of itself in more than one place."""

import tomllib
from typing import Any

from checkout import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_suite_runs_on_every_python_that_is_named() -> None:
    prefix = "Programming Language :: Python :: 3."
    named = [line.removeprefix(prefix) for line in PROJECT["project"]["classifiers"] if line.startswith(prefix)]
    assert [f"3.{minor}" for minor in named if f"3.{minor}" not in PROJECT["tool"]["tox"]["env_list"]] == []
    assert PROJECT["project"]["requires-python"] == f">=3.{min(map(int, named))}"
