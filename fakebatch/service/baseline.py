"""What fixture files amount to: the description of a world, and so the baseline to which `reset()` returns."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from .images import Account, Image
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
