"""The examples of the guide in other languages, as they stand, against `fakebatch serve`."""

import json
import os
import shutil
import socket
import subprocess
import urllib.request

import pytest
from checkout import ROOT, SCENARIOS
from command_line import serving
from waiting import FOREVER

EXAMPLES = ROOT / "docs" / "examples"
SCRIPTS = {
    "retry.sh": (["sh"], ["curl"], "throttled", "listed 250 images, and asked again after 2 refusals\n"),
    "retry.mjs": (["node"], ["node"], "error-in-the-middle", "listed 250 images, and asked again after 1 refusal\n"),
}
"""By what each is run, what it needs, which scenario it is, and what it prints."""


def run(name: str, url: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command, needs, _, _ = SCRIPTS[name]
    missing = [program for program in needs if not shutil.which(program)]
    if missing:
        pytest.skip(f"{name} needs {' and '.join(missing)}")
    return subprocess.run(
        [*command, str(EXAMPLES / name), url],
        env={**os.environ, "DELAY": "0", **environment},
        capture_output=True,
        text=True,
        timeout=FOREVER,
        check=False,
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_runs(name: str) -> None:
    with serving() as (url, _):
        result = run(name, url)
        assert (result.returncode, result.stdout, result.stderr) == (0, SCRIPTS[name][3], "")
        with urllib.request.urlopen(f"{url}/_fakebatch/calls", timeout=FOREVER) as response:
            assert json.load(response)["calls"] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_is_the_scenario(name: str) -> None:
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    lines = (SCENARIOS / f"{SCRIPTS[name][2]}.yaml").read_text(encoding="utf-8").splitlines()
    entries = [line.strip().removeprefix("- ") for line in lines if line.lstrip().startswith("- ")]
    assert len(entries) == 2
    assert all(entry in text for entry in entries)


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_fails_where_its_client_gives_up_too_early(name: str) -> None:
    with serving() as (url, _):
        result = run(name, url, ATTEMPTS="1")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"{name}: gave up after 1 attempts: ")


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_fails_where_nobody_answers(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    result = run(name, url, PATIENCE="0")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"{name}: nobody answers at {url}/_fakebatch/health; is fakebatch serve running?\n"
