"""The images of a world: a live, thread-safe collection in Id order that can return to its baseline.

Knows nothing of pages' wire form, of accounts beyond their number, or of HTTP.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from heapq import merge
from operator import attrgetter

from ..service.images import Image, check_image

_by_id = attrgetter("id")


class Images:
    """The images, ascending by Id, compared as Unicode strings. [choice]

    Looked up by Id: `images["img-a"]`, `"img-a" in images`. Iterating sees one moment, whatever is changed meanwhile.
    """

    def __init__(self, baseline: Iterable[Image], *, by_owner: bool, lock: threading.RLock) -> None:
        self._by_owner = by_owner
        self._lock = lock
        self._images: dict[str, Image] = {}
        # One sorted list for each set of images that a ListImages can ask for: in it, a page is a binary search and a
        # slice.
        self._shelves: dict[str | int, list[Image]] = {}
        for image in baseline:
            self._images[image.id] = image
            self._shelves.setdefault(self._shelf(image.type, image.owner_id), []).append(image)
        # What each changed Id was at the baseline (None: absent): a reset costs what was changed, not what there is.
        self._before: dict[str, Image | None] = {}

    def _shelf(self, image_type: str, owner_id: int | None) -> str | int:
        return owner_id if image_type == "Self" and self._by_owner and owner_id is not None else image_type

    def page(self, image_type: str, owner_id: int | None, marker: str, count: int) -> tuple[list[Image], str]:
        """Return up to `count` images from `marker` (inclusive) on, and the Id of the first image behind them or `""`.

        A marker that names no image begins at the first Id that is greater, so that a walk neither repeats an image nor
        misses one that was there all the time. [choice]

        `owner_id` is that of the caller, if there are accounts: their Self images are apart from each other.
        """
        with self._lock:
            shelf = self._shelves.get(self._shelf(image_type, owner_id), [])
            start = bisect_left(shelf, marker, key=_by_id) if marker else 0
            items = shelf[start : start + count + 1]
        return items[:count], items[count].id if len(items) > count else ""

    def add(self, image: Image) -> None:
        """Add an image. Raises ValueError if its Id is there already, and TypeError for anything but a valid Image."""
        with self._lock:
            if image.id in self._images:
                raise ValueError(f"there is an image {image.id!r} already; remove it first")
            self.put(image)

    def put(self, image: Image) -> None:
        """Add an image, in the place of the one with its Id if there is one. Raises TypeError for an invalid Image."""
        check_image(image)
        with self._lock:
            self._set(image.id, image)

    def remove(self, id: str) -> None:  # noqa: A002 - the API's own name for it
        """Remove an image. Raises KeyError if there is none of this Id."""
        with self._lock:
            self._set(self[id].id, None)

    def discard(self, image_id: str) -> None:
        """Remove an image if it is there."""
        with self._lock:
            if image_id in self._images:
                self._set(image_id, None)

    def _set(self, image_id: str, image: Image | None) -> None:
        """Make `image` the one of this Id (None: make it absent), and remember what the baseline had.

        The lock is held.
        """
        present = self._images.pop(image_id, None)
        self._before.setdefault(image_id, present)
        if present:
            shelf = self._shelves[self._shelf(present.type, present.owner_id)]
            del shelf[bisect_left(shelf, image_id, key=_by_id)]
        if image:
            self._images[image_id] = image
            shelf = self._shelves.setdefault(self._shelf(image.type, image.owner_id), [])
            shelf.insert(bisect_left(shelf, image_id, key=_by_id), image)

    def reset(self) -> None:
        """Return to the baseline."""
        with self._lock:
            before, self._before = self._before, {}
            for image_id, image in before.items():
                self._set(image_id, image)
            self._before = {}

    def __getitem__(self, image_id: str) -> Image:
        try:
            return self._images[image_id]
        except KeyError:
            near = get_close_matches(str(image_id), list(self._images)[:10_000], n=1)
            raise KeyError(f"no image {image_id!r}" + (f"; the nearest is {near[0]!r}" if near else "")) from None

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._images

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[Image]:
        with self._lock:
            shelves = [shelf.copy() for shelf in self._shelves.values()]
        return iter(shelves[0]) if len(shelves) == 1 else merge(*shelves, key=_by_id)

    def __repr__(self) -> str:
        return f"<{len(self)} images>"
