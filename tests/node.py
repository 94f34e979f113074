"""npm's `aliyun-sdk` in a child process: installed once into the machine's temporary folder, and asked by lines."""

import json
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

VERSION = "1.12.10"
_FOLDER = Path(tempfile.gettempdir()) / f"fakebatch-tests-aliyun-sdk-{VERSION}"

_PROGRAM = """
const ALY = require("aliyun-sdk")
const lines = require("readline").createInterface({input: process.stdin})
lines.on("line", line => {
  const {endpoint, key, secret, operation, parameters} = JSON.parse(line)
  const client = new ALY.BatchCompute(
    {accessKeyId: key, secretAccessKey: secret, endpoint, apiVersion: "2015-11-11", maxRetries: 0})
  client[operation](parameters, function (error, answer) {
    console.log(JSON.stringify(error
      ? {code: error.code, message: error.message, status: this.httpResponse.statusCode}
      : {data: answer.data}))
  })
})
"""


class Node:
    """A process of node with the client in it."""

    def __init__(self, folder: Path) -> None:
        command = ["node", "--no-warnings", "-e", _PROGRAM]
        self._process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def ask(self, asked: dict[str, Any]) -> Any:
        """Return the client's answer: `data`, or `code`, `message` and `status` of its error."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.communicate()


@cache
def javascript() -> Node:
    """Return the client, or skip the test where there is no node, or npm can't get the package."""
    missing = [program for program in ("node", "npm") if not shutil.which(program)]
    if missing:
        pytest.skip(f"the JavaScript client needs {' and '.join(missing)}")
    if not _FOLDER.exists():
        _install()
    return Node(_FOLDER)


def _install() -> None:
    """Install the package where the other processes of a test run find it whole or not at all."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made"
        made.mkdir()
        command = ["npm", "install", "--prefix", str(made), "--no-audit", "--no-fund", "--ignore-scripts"]
        result = subprocess.run(
            [*command, f"aliyun-sdk@{VERSION}"], capture_output=True, encoding="utf-8", errors="replace", check=False
        )
        if result.returncode:
            pytest.skip(f"npm could not install aliyun-sdk {VERSION}: {result.stderr.strip()[-300:]}")
        try:
            made.rename(_FOLDER)
        except OSError:  # another process was faster
            if not _FOLDER.exists():
                raise
