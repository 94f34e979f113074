"""Runs the 22 integration tests of the official SDK's source package, which were written for the real service.

They are changed in three ways, and no more: lib2to3 makes Python 3 of them, a division whose result is counted to
becomes one of whole numbers, and their configuration is one of ours. They reach a fake under the service's host name.
What they sleep is left out: a fake goes on by being asked.

It needs a Python that has lib2to3, and pip, which gets the source package of the version that is installed.
"""

import faulthandler
import os
import subprocess
import sys
import tarfile
import tempfile
import unittest
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from unittest import mock

from batchcompute import CN_QINGDAO

from fakebatch import Account, FakeBatch

TESTS = 22
LONGEST = 300
"""Seconds until tests that hang end."""
ACCOUNT = Account("suite-key", "suite-secret")


def source_of_the_tests(folder: Path) -> str:
    """Return the module of tests as the source package has it, which is downloaded into a folder."""
    release = f"batchcompute=={version('batchcompute')}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "batchcompute"]
    subprocess.run([*command, release, "--dest", str(folder)], check=True)
    [package] = folder.iterdir()
    with tarfile.open(package) as archive:
        file = archive.extractfile(f"{package.name.removesuffix('.tar.gz')}/tests/client/test_client.py")
        assert file
        return file.read().decode()


def for_python_3(source: str) -> str:
    """Return it converted."""
    refactor = import_module("lib2to3.refactor")
    # An import of a module beside it is to stay as it is: we are what is beside it.
    fixers = [name for name in refactor.get_fixers_from_package("lib2to3.fixes") if not name.endswith(".fix_import")]
    converted = str(refactor.RefactoringTool(fixers).refactor_string(source, "test_client.py"))
    division = "range(timeout/interval)"
    assert converted.count(division) == 1
    return converted.replace(division, "range(timeout//interval)")


def configuration() -> ModuleType:
    """Return the constants that the tests read."""
    module = ModuleType("config")
    vars(module).update(
        REGION=CN_QINGDAO,
        ID=ACCOUNT.access_key_id,
        KEY=ACCOUNT.access_key_secret,
        LOG_PATH="oss://bucket/logs/",
        LINUX_IMAGE_ID="m-28linux",
        WINDOWS_IMAGE_ID="m-28windows",
    )
    return module


def main() -> int:
    """Run the tests. Returns the exit code: 0 if all of them were there and passed."""
    with tempfile.TemporaryDirectory() as folder:
        downloads = Path(folder) / "downloads"
        downloads.mkdir()
        (Path(folder) / "test_client.py").write_text(for_python_3(source_of_the_tests(downloads)), encoding="utf-8")
        sys.path.insert(0, folder)
        sys.modules["config"] = configuration()
        os.chdir(folder)  # the SDK writes its log where it is run
        faulthandler.dump_traceback_later(LONGEST, exit=True)  # some of them wait for ever
        with FakeBatch(accounts=[ACCOUNT]) as fake, fake.redirect(), mock.patch("time.sleep"):
            suite = unittest.defaultTestLoader.loadTestsFromName("test_client")
            assert suite.countTestCases() == TESTS, f"there are {suite.countTestCases()} tests"
            result = unittest.TextTestRunner(verbosity=2).run(suite)
    return 0 if result.wasSuccessful() and not result.skipped else 1


if __name__ == "__main__":
    sys.exit(main())
