"""Chromium, as tests drive it: the machine's own, through Playwright.

A test that imports this is skipped where Playwright is missing, and one that runs Chromium where that is. With the
environment variable FAKEBATCH_BROWSER=1 they fail instead.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from waiting import FOREVER

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def _missing(reason: str) -> NoReturn:
    if os.environ.get("FAKEBATCH_BROWSER") == "1":
        pytest.fail(f"{reason}, and FAKEBATCH_BROWSER demands it", pytrace=False)
    pytest.skip(reason, allow_module_level=True)


try:
    from playwright.sync_api import Browser, Page, expect, sync_playwright
except ImportError:
    _missing("there is no Playwright to drive a browser with")

expect.set_options(timeout=FOREVER * 1000)

__all__ = ["Browser", "Page", "axe", "chromium", "expect"]


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """Run Chromium, with arguments of its command line."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        _missing(f"there is no browser: none of {', '.join(_PROGRAMS)} is on PATH")
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []  # it has no sandbox for root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*as_root, *arguments])
        try:
            yield browser
        finally:
            browser.close()


def axe() -> str:
    """Return the program of axe-core, which finds what keeps people from using a page."""
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
