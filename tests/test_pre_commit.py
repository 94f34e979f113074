"""The hook for pre-commit: what it runs, and on which files."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkout import ROOT


@pytest.fixture
def hook() -> Any:
    (only,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    return only


def test_it_has_what_pre_commit_asks_for(hook: dict[str, Any]) -> None:
    assert {"id", "name", "entry", "language"} <= set(hook)
    assert (hook["id"], hook["language"]) == ("fakebatch-check", "python")


@pytest.mark.parametrize(("content", "exit_code"), [("images: [{Id: a}]", 0), ("images: [{Id: 5}]", 1)])
def test_its_entry_checks_the_files_that_follow_it(
    hook: dict[str, Any], tmp_path: Path, content: str, exit_code: int
) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(content, encoding="utf-8")
    program, *arguments = shlex.split(hook["entry"])
    command = [str(Path(sys.executable).parent / program), *arguments, "a.yaml", "b.yaml"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == exit_code
    told = result.stdout if exit_code == 0 else result.stderr
    assert [line.partition(":")[0] for line in told.splitlines()] == ["a.yaml", "b.yaml"]


def test_it_is_for_files_that_are_named_for_it_where_nothing_else_is_said(hook: dict[str, Any]) -> None:
    ours = ["fakebatch.yaml", "tests/fakebatch-world.yml", "tests/fakebatch/a/b.json", "fakebatch_worlds/a.yaml"]
    others = [".github/workflows/test.yml", "docker-compose.yaml", "tests/not_fakebatch.yaml", "fakebatch/fake.py"]
    assert [name for name in [*ours, *others] if re.search(hook["files"], name)] == ours
