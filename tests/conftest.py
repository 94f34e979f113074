"""What the tests share: worlds, and a client that calls one with no socket."""

import pytest
from checkout import FIXTURES
from werkzeug.test import Client

from fakebatch import FakeBatch, Image


@pytest.fixture
def paging() -> FakeBatch:
    """120 Self images, not served."""
    return FakeBatch(FIXTURES / "paging.yaml")


@pytest.fixture
def client() -> Client:
    """A WSGI client of the documented images."""
    return Client(FakeBatch())


@pytest.fixture
def empty() -> FakeBatch:
    """A world without images, not served."""
    fake = FakeBatch(Image(id="img-only"))
    fake.images.remove("img-only")
    return fake
