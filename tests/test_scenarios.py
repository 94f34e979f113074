"""The scenarios of `fixtures/scenarios`: a correct client survives them all, and those that are not do not."""

from pathlib import Path
from typing import Any

import pytest
from checkout import SCENARIOS
from paging_clients import ListImages, hasty, list_images, overlapping, restarting

from fakebatch import FakeBatch


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


@pytest.mark.fakebatch_scenarios("../fixtures/scenarios/*.yaml", strict=False)
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


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
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
    from checkout import FIXTURES

    with FakeBatch(FIXTURES / "paging.yaml") as fake:
        assert [image["Id"] for image in client(fake.url)] == [image.id for image in fake.images]


def test_there_are_at_least_ten_and_each_says_what_goes_wrong_in_real_life() -> None:
    paths = list(SCENARIOS.glob("*.yaml"))
    assert len(paths) >= 10
    assert all(path.read_text(encoding="utf-8").startswith("# ") for path in paths)
