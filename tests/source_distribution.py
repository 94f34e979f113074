"""Runs tests of the source distribution in a folder, as whoever gets it would: unpacked, with no checkout about it.

The arguments are the folder, and those of pytest.
"""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path


def run(folder: Path, arguments: list[str]) -> int:
    """Unpack the one source distribution in a folder, run pytest in it, and return how that ends."""
    (packed,) = folder.glob("*.tar.gz")
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(packed) as archive:
        archive.extractall(scratch, filter="data")
        (unpacked,) = Path(scratch).iterdir()
        return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=unpacked, check=False).returncode


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
