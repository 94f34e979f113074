"""Clients that page through images: one that is right, and three that are wrong in ways that are often met.

All list the Self images under a URL, as dicts with the service's field names.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

ListImages = Callable[[str], list[dict[str, Any]]]

PAGE_SIZE = 50
_TRIES = 4
_TROUBLE = (OSError, HTTPException, ValueError)  # a refusal or a lost connection, half a body, and what is no JSON


def fetch(url: str, marker: str, timeout: float = 20.0) -> dict[str, Any]:
    """Return a page."""
    query = urllib.parse.urlencode({"Marker": marker, "MaxItemCount": PAGE_SIZE})
    with urllib.request.urlopen(f"{url}/images?{query}", timeout=timeout) as response:
        return dict(json.loads(response.read()))


def list_images(url: str) -> list[dict[str, Any]]:
    """Follow the service's markers until one is empty, and ask again for a page that went wrong: the right one."""
    images: list[dict[str, Any]] = []
    marker = ""
    while True:
        for attempt in range(1, _TRIES + 1):
            try:
                page = fetch(url, marker)
                break
            except _TROUBLE:
                if attempt == _TRIES:
                    raise
        images += page["Items"]
        marker = page["NextMarker"]
        if not marker:
            return images


def hasty(url: str) -> list[dict[str, Any]]:
    """Never ask twice, wait for no more than a moment, expect plain ASCII, and go on while pages are full."""
    images: list[dict[str, Any]] = []
    marker = ""
    for _ in range(100):
        page = fetch(url, marker, timeout=0.2)
        images += page["Items"]
        if any(not image["Name"].isascii() for image in page["Items"]):
            raise UnicodeError("names are ASCII, are they not?")
        if len(page["Items"]) < PAGE_SIZE:
            return images
        marker = page["NextMarker"]
    raise RecursionError("there is no end to it")


def overlapping(url: str) -> list[dict[str, Any]]:
    """Begin each page at the last image of the one before, and drop what is believed to be that image again."""
    images = fetch(url, "")["Items"]
    while True:
        _, *more = fetch(url, images[-1]["Id"])["Items"]
        images += more
        if len(more) < PAGE_SIZE - 1:
            return list(images)


def restarting(url: str) -> list[dict[str, Any]]:
    """After trouble, begin anew and pass over as many images as there are already."""
    images: list[dict[str, Any]] = []
    for attempt in range(1, _TRIES + 1):
        marker = ""
        passed = 0
        try:
            while True:
                page = fetch(url, marker)
                images += page["Items"][max(0, len(images) - passed) :]
                passed += len(page["Items"])
                marker = page["NextMarker"]
                if not marker:
                    return images
        except _TROUBLE:
            if attempt == _TRIES:
                raise
    raise AssertionError("the last attempt returns or raises")
