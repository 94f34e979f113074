"""Accounts: who signs requests, and owns what it creates. Knows nothing of signatures or of resources."""

from typing import Annotated

import msgspec
from msgspec import Meta

from .records import EXAMPLE_OWNER, LARGEST_OWNER, RecordType


class Account(msgspec.Struct, metaclass=RecordType, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """Someone who signs requests. The secret is left out of its repr."""

    access_key_id: Annotated[str, Meta(min_length=1, description="The public half of the key.")]
    access_key_secret: Annotated[
        str,
        # An editor, and the errors of fixture files, show no value that is written only.
        Meta(min_length=1, description="The half that signs.", extra_json_schema={"writeOnly": True}),
    ]
    owner_id: Annotated[
        int, Meta(ge=1, le=LARGEST_OWNER, description="The account number that its images carry as OwnerId.")
    ] = EXAMPLE_OWNER

    def __repr__(self) -> str:
        return f"Account(access_key_id={self.access_key_id!r}, access_key_secret=..., owner_id={self.owner_id})"
