"""The README: all that it shows is run."""

import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import conformance
import pytest
from checkout import FIXTURES, ROOT
from command_line import serving

from fakebatch import FixtureError
from fakebatch.service.baseline import load

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
FILES = {text.split("\n", 1)[0].removeprefix("# "): text for _, text in BLOCKS if re.match(r"# [\w-]+\.\w+\n", text)}
SCRIPTS = [text for language, text in BLOCKS if language == "python" and text not in FILES.values()]
COMMANDS = re.findall(r"^    (.*)$", README, re.MULTILINE)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A project of somebody's, with the files that the README shows."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(*command: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_its_tests_pass(scratch: Path) -> None:
    warnings = ("-W", "error", "-W", "ignore::DeprecationWarning:batchcompute.utils.functions")
    result = run(sys.executable, "-m", "pytest", *warnings, "-n", "0", str(scratch), cwd=scratch)
    tests = sum(text.count("\ndef test_") for text in FILES.values())
    assert tests >= 8
    assert f" {tests} passed in " in result.stdout, result.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_its_scripts_run(script: str, tmp_path: Path) -> None:
    result = run(sys.executable, "-W", "error", "-c", script, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "['img-a', 'img-b', 'img-c']" in result.stdout


def test_its_fixture_files_load(scratch: Path) -> None:
    described = load(scratch / "world.yaml")
    assert described.expect == {"images": len([image for image in described.records["images"] if image.type == "Self"])}


def test_its_worlds_of_jobs_load(scratch: Path) -> None:
    assert len(load(scratch / "progress.yaml").progress) == 7
    assert {name: len(found) for name, found in load(scratch / "jobs.yaml").records.items()} == {
        "images": 0,
        "clusters": 1,
        "jobs": 4,
        "apps": 1,
    }


def test_it_tells_how_often_each_operation_is_tried() -> None:
    assert conformance.sentence() in README


def test_it_shows_the_message_of_a_bad_file_as_it_is(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = scratch / "world.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("Platform: Linux ", "Platform: linux "), encoding="utf-8")
    monkeypatch.chdir(scratch)
    with pytest.raises(FixtureError) as caught:
        load("world.yaml")
    assert str(caught.value) in COMMANDS


def test_what_serve_prints_is_what_it_shows() -> None:
    assert "fakebatch serve fixtures/paging.yaml --port 0" in COMMANDS
    with serving(FIXTURES / "paging.yaml") as (url, process):
        urllib.request.urlopen(f"{url}/images?Marker&MaxItemCount=7&Type").close()
        assert process.stdout
        line = process.stdout.readline().rstrip("\n")
    shown = next(command for command in COMMANDS if " GET " in command)
    numbers = re.compile(r"\d\d:\d\d:\d\d|\d+\.\d ms")
    assert numbers.sub("#", shown) == numbers.sub("#", line)


def test_its_two_commands_are_what_the_gate_runs() -> None:
    commands = [command.split("#")[0].strip() for command in COMMANDS[:2]]
    assert commands == ["pip install . && fakebatch serve", "pip install tox && tox"]
    assert commands[1] in (ROOT / ".ci" / "run").read_text()
