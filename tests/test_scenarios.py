"""The scenarios that ship with the package: a correct client survives them all, and those that are not do not."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from asking import job, task
from checkout import FIXTURES, SCENARIOS
from paging_clients import ListImages, hasty, list_images, overlapping, restarting

from fakebatch import FakeBatch, Image


def check(fake: FakeBatch, images: list[dict[str, Any]]) -> None:
    """Compare a list of images with what a scenario expects: each image once, in order, none missing, none too many."""
    expect = fake.expect
    listed = [image["Id"] for image in images]
    sometimes = set(expect.get("sometimes", ()))
    always = {f"img-{number:04}" for number in range(expect["images"])} - sometimes
    assert listed == sorted(set(listed)), "an image is repeated, or out of order"
    assert always <= set(listed), "an image is lost"
    assert set(listed) <= always | sometimes, "an image came out of nowhere"
    if "description" in expect:
        assert images[7]["Description"] == expect["description"]


@pytest.mark.fakebatch_scenarios("fakebatch:paging", strict=False)
def test_a_correct_client_survives(fakebatch: FakeBatch) -> None:
    check(fakebatch, list_images(fakebatch.url))


BITTEN: dict[str, ListImages] = {
    "connection-reset": hasty,
    "error-in-the-middle": hasty,
    "exactly-one-page": hasty,
    "half-a-body": hasty,
    "html-from-a-gateway": hasty,
    "images-inserted": restarting,
    "last-page-emptied": overlapping,
    "marker-deleted": overlapping,
    "slow-first-page": hasty,
    "thousand-images": hasty,
    "throttled": hasty,
    "unicode-everywhere": hasty,
}


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("paging/*.yaml")), ids=lambda path: path.stem)
def test_each_scenario_bites_a_client_that_is_not(path: Path) -> None:
    with FakeBatch(path) as fake:
        try:
            images = BITTEN[path.stem](fake.url)
        except Exception:
            return
        with pytest.raises(AssertionError):
            check(fake, images)


@pytest.mark.parametrize("client", [hasty, overlapping, restarting])
def test_on_a_good_day_all_of_them_list_every_image(client: ListImages) -> None:
    with FakeBatch(FIXTURES / "paging.yaml") as fake:
        assert [image["Id"] for image in client(fake.url)] == [image.id for image in fake.images]


def test_each_says_what_goes_wrong_in_real_life() -> None:
    for name, least in (("paging", 12), ("jobs", 8)):
        paths = list(SCENARIOS.glob(f"{name}/*.yaml"))
        assert len(paths) >= least
        assert all(path.read_text(encoding="utf-8").startswith("# ") for path in paths)
    stems = [path.stem for path in SCENARIOS.glob("*/*.yaml")]
    assert len(stems) == len(set(stems)), "a name means one file"


# Jobs: a client that waits for one, and one for the VMs of a cluster. Both ask a number of times, and not by the clock.


class GaveUpError(Exception):
    """A client has asked often enough. It is told what it saw last."""


class RefusedError(Exception):
    """A client was answered with this status."""


def ask(url: str, body: object = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data)) as response:
            return dict(json.loads(response.read()))
    except urllib.error.HTTPError as error:
        with error:
            raise RefusedError(error.code) from None


def create_job(url: str) -> str:
    description = job({"count": task(InstanceCount=2, MaxRetryCount=1)})
    return f"{url}/jobs/{ask(f'{url}/jobs', description)['Id']}"


def wait_for_job(url: str) -> str:
    """Return how a job ends: one that is gone has ended. Trouble with a poll is none with the job."""
    path = create_job(url)
    state: str = ""
    for _ in range(10):
        try:
            state = ask(path)["State"]
        except RefusedError as error:
            if error.args == (404,):
                return "gone"
            continue
        except (OSError, HTTPException, ValueError):
            continue
        if state in ("Finished", "Failed", "Stopped"):
            return state
    raise GaveUpError(state)


def hasty_wait_for_job(url: str) -> str:
    """Ask three times, as a small job needs, and know two ends; of one that failed, tell the instance to blame."""
    path = create_job(url)
    for _ in range(3):
        shown = ask(path)
        if shown["State"] == "Failed":
            assert shown["InstanceMetrics"]["FailedCount"], "no instance to blame"
            return "Failed"
        if shown["State"] == "Finished":
            return "Finished"
    raise GaveUpError(shown["State"])


def wait_for_vms(url: str) -> str:
    groups = {"g": {"DesiredVMCount": 1}}
    cluster = {"Name": "c", "ImageId": "img-ubuntu", "InstanceType": "ecs.sn1.large", "Groups": groups}
    path = f"{url}/clusters/{ask(f'{url}/clusters', cluster)['Id']}/groups/g/instances?MaxItemCount=1"
    for _ in range(10):
        state: str = ask(path)["Items"][0]["State"]
        if state == "Running":
            return state
    raise GaveUpError(state)


def ends(client: Callable[[str], str], fake: FakeBatch) -> str:
    """Return how it ended, or the state that was seen last by a client that gave up."""
    try:
        return client(fake.url)
    except GaveUpError as error:
        return str(error)


@pytest.mark.fakebatch(images=[Image(id="img-ubuntu", type="System")])
@pytest.mark.fakebatch_scenarios("fakebatch:jobs")
def test_a_correct_client_comes_to_know_how_a_job_has_ended(
    fakebatch: FakeBatch, request: pytest.FixtureRequest
) -> None:
    vm = request.node.callspec.id.startswith("vm-")
    assert ends(wait_for_vms if vm else wait_for_job, fakebatch) == fakebatch.expect["state"]


@pytest.mark.fakebatch(images=[Image(id="img-ubuntu", type="System")])
@pytest.mark.fakebatch_scenarios("fakebatch:jobs")
def test_each_scenario_of_a_job_bites_a_client_that_is_not(
    fakebatch: FakeBatch, request: pytest.FixtureRequest
) -> None:
    vm = request.node.callspec.id.startswith("vm-")
    with pytest.raises((GaveUpError, RefusedError, AssertionError, HTTPException)):
        (wait_for_vms if vm else hasty_wait_for_job)(fakebatch.url)


def test_on_a_good_day_all_of_them_end(fakebatch: FakeBatch) -> None:
    assert [client(fakebatch.url) for client in (wait_for_job, hasty_wait_for_job)] == ["Finished"] * 2
    with FakeBatch() as fake:
        assert wait_for_vms(fake.url) == "Running"
