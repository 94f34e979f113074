"""What fixture files amount to: the description of a world, and so the baseline to which `reset()` returns."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .images import Account, Image, check_image
from .script import Step


class Description(NamedTuple):
    """The sections of fixture files, merged and validated."""

    images: Sequence[Image] = ()
    """In ascending order of Id, each Id once."""
    accounts: Sequence[Account] = ()
    """Each access key Id once. With none, requests need no signature."""
    script: Sequence[Step] = ()
    expect: Any = None
    """Free data for the test."""
    files: tuple[Path, ...] = ()
    """Every file that was read, those that others include as well."""


Baseline = Description

DEFAULT_CATALOGUE = Path(__file__).parent.parent / "default.yaml"
"""The images that the service's reference prints. [doc]"""


def describe(fixtures: Iterable[str | os.PathLike[str] | Image], accounts: Iterable[Account] = ()) -> Description:
    """Return the description of the world that fixture files, images and accounts make up.

    Raises FixtureError for files that do not load, ValueError for an Id or an access key that is there twice, and
    TypeError for what is neither a path nor an image.
    """
    from ..fixture_files.reading import load

    paths, images = [], []
    for fixture in fixtures:
        if isinstance(fixture, Image):
            check_image(fixture)
            images.append(fixture)
        elif isinstance(fixture, str | os.PathLike):
            paths.append(fixture)
        else:
            raise TypeError(f"expected the path of a fixture file or an Image, got {fixture!r}")
    description = load(*(paths if paths or images else [DEFAULT_CATALOGUE]))
    if images:
        merged = {image.id: image for image in description.images}
        for image in images:
            if merged.setdefault(image.id, image) is not image:
                raise ValueError(f"there is an image {image.id!r} already; each Id must be unique")
        description = description._replace(images=[merged[image_id] for image_id in sorted(merged)])
    if accounts:
        all_accounts = [*description.accounts, *accounts]
        if len({account.access_key_id for account in all_accounts}) < len(all_accounts):
            raise ValueError("two accounts have the same access key Id; each must be unique")
        description = description._replace(accounts=all_accounts)
    return description
