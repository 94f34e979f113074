"""The Chromium of the tests: Debian's, or the one that FAKEBATCH_BROWSER names."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@contextmanager
def launching() -> "Iterator[Callable[..., Browser]]":
    """Give what starts a Chromium, with these arguments. Skips the test where there is none, unless one is named."""
    executable = os.environ.get("FAKEBATCH_BROWSER", "")
    if not executable:
        executable = shutil.which("chromium") or shutil.which("chromium-browser") or ""
        if not executable:
            pytest.skip("there is no Chromium; install one (apt-get install chromium), or name it in FAKEBATCH_BROWSER")
        pytest.importorskip("playwright.sync_api", reason="playwright drives the browser; install it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield lambda *arguments: playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", *arguments]
        )
