"""What the tests share: where the fixture files are, and a client that calls a fake with no socket."""

from pathlib import Path

import pytest
from werkzeug.test import Client

from fakebatch import FakeBatch, Image

FIXTURES = Path(__file__).parent.parent / "fixtures"


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
