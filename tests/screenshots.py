"""Takes the pictures of the page that the guide shows: `python tests/screenshots.py` writes them into `docs`."""

import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Literal

from browser import chromium, expect
from checkout import ROOT
from werkzeug.test import Client

from fakebatch import FakeBatch

WORLD = """
images:
  - {Id: "img-{n:04}", Name: "worker {n}", repeat: 250}
clusters:
  - {Id: cls-render, Name: render, Groups: {workers: {DesiredVMCount: 2}}}
jobs:
  - {Id: job-nightly-1, Name: nightly-count, State: Finished}
  - {Id: job-nightly-2, Name: nightly-render, DAG: {Tasks: {count: {InstanceCount: 3}}}}
  - {Id: job-nightly-3, Name: nightly-report}
  - {Id: job-weekly-1, Name: weekly-cleanup, State: Failed, Message: out of memory}
  - {Id: job-weekly-2, Name: weekly-export, State: Stopped}
script:
  - {on: ListImages, calls: 2, fail: Throttling.User}
  - {on: GetJob, where: {JobId: job-weekly-1}, delay: 0.05}
  - {on: DeleteJob, calls: 1, drop: before}
progress:
  - {job: nightly-*, waiting: 1, running: 3}
"""
REQUESTS = """
GET /images?Marker=&MaxItemCount=100
GET /images?Marker=img-0100&MaxItemCount=100
GET /images?Marker=img-0100&MaxItemCount=100
GET /images?Marker=img-0200&MaxItemCount=100
GET /jobs/job-nightly-2
GET /jobs/job-nightly-2
GET /jobs/job-weekly-1
DELETE /jobs/job-weekly-1
DELETE /jobs/job-weekly-1
GET /jobs/job-weekly-1
"""
PICTURES: dict[Literal["light", "dark"], str] = {"light": "calls", "dark": "jobs"}
"""The view that is shown in each scheme of colours."""


def world(folder: str) -> FakeBatch:
    """Return a world in which something has happened."""
    path = Path(folder) / "world.yaml"
    path.write_text(WORLD, encoding="utf-8")
    fake = FakeBatch(path, control=True, clock=lambda: datetime(2026, 1, 1, 9, 30))
    for request in REQUESTS.strip().splitlines():
        method, target = request.split()
        with suppress(ConnectionError):  # that is scripted
            Client(fake).open(target, method=method)
    return fake


def main() -> None:
    """Take them."""
    with tempfile.TemporaryDirectory() as folder, world(folder) as fake, chromium() as browser:
        for scheme, view in PICTURES.items():
            context = browser.new_context(color_scheme=scheme, viewport={"width": 1200, "height": 700})
            page = context.new_page()
            page.goto(f"{fake.url}/_fakebatch/#{view}")
            rows = page.locator(f"#{view if view == 'calls' else 'records'}-table tbody tr")
            expect(rows.last).to_be_visible()
            expect(page.locator("#count-jobs")).not_to_be_empty()
            page.screenshot(path=ROOT / "docs" / f"page-{scheme}.png")
            context.close()


if __name__ == "__main__":
    main()
