"""The scripts of the guide in other languages: each runs a scenario against a server that was started."""

import shutil
import subprocess
import urllib.request

import pytest
from checkout import ROOT
from command_line import serving
from waiting import FOREVER

EXAMPLES = ROOT / "docs" / "examples"


@pytest.mark.parametrize(("program", "script"), [("sh", "throttled.sh"), ("node", "throttled.mjs")])
def test_a_script_runs_a_scenario(program: str, script: str) -> None:
    for needed in {program, "curl" if program == "sh" else program}:
        if not shutil.which(needed):
            pytest.skip(f"{needed} is not installed")
    with serving() as (url, _):
        command = [program, str(EXAMPLES / script), url]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=FOREVER, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.startswith("listed 120 images")
        with urllib.request.urlopen(f"{url}/_fakebatch/calls", timeout=FOREVER) as calls:  # it has cleaned up
            assert b'"calls":[]' in calls.read()
