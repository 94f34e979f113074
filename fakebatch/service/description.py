"""What a world is made of: its baseline, from whatever a person hands over.

Knows nothing of how fixture files are read: `baseline` does, and takes a parser of YAML with it.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..state.collection import a
from .accounts import Account
from .progress import Rule
from .records import check_record
from .registry import RESOURCES, resource_of
from .script import Step


class Baseline(NamedTuple):
    """The sections of fixture files, merged and validated. Never changed."""

    records: Mapping[str, Sequence[Any]] = {}
    """The records of each resource, by its name, in ascending order of their keys, each key once."""
    accounts: Sequence[Account] = ()
    """Each access key Id once. With none, requests need no signature."""
    progress: Sequence[Rule] = ()
    """The first rule that matches counts."""
    script: Sequence[Step] = ()
    quotas: Mapping[str, Any] = {}
    """What the section says that differs from the service's own quotas."""
    expect: Any = None
    """Free data for the test."""
    files: tuple[Path, ...] = ()
    """Every file that was read for it."""


CATALOGUE = Baseline({resource.name: resource.catalogue for resource in RESOURCES})
"""What there is if nothing is said: what the service's reference prints. [doc]"""


def _load(paths: Sequence[str | os.PathLike[str]]) -> Baseline:
    if not paths:
        return Baseline()
    from .baseline import load

    return load(*paths)


def _checked(accounts: object) -> list[Account]:
    """Return accounts as a list. Raises TypeError for what is none; its text may be a secret, and is not shown."""
    if isinstance(accounts, str | Mapping) or not isinstance(accounts, Iterable):
        given = a(type(accounts).__name__)
        raise TypeError(f'accounts is a list such as [Account("an-id", "a-secret")], not {given}')
    checked = list(accounts)
    for account in checked:
        if not isinstance(account, Account):
            raise TypeError(f"expected an Account, got {a(type(account).__name__)}")
        check_record(account, Account)
    return checked


def describe(
    fixtures: Iterable[str | os.PathLike[str] | msgspec.Struct] | None, accounts: Iterable[Account] = ()
) -> Baseline:
    """Return the baseline that fixture files, records and accounts make up. Without fixtures (None): `CATALOGUE`.

    Raises FixtureError for files that do not load, ValueError for an Id or an access key that is there twice, and
    TypeError for what is neither a path nor a record.
    """
    paths, records = [], []
    for fixture in fixtures or ():
        if isinstance(fixture, msgspec.Struct) and (resource := resource_of(fixture)):
            resource.check(fixture)
            records.append((resource, fixture))
        elif isinstance(fixture, str | os.PathLike):
            paths.append(fixture)
        else:
            kinds = " or ".join(a(resource.record.__name__) for resource in RESOURCES)
            raise TypeError(f"expected the path of a fixture file or {kinds}, got {fixture!r}")
    baseline = CATALOGUE if fixtures is None else _load(paths)
    if records:
        merged = {
            resource.name: {resource.key_of(record): record for record in baseline.records.get(resource.name, ())}
            for resource in RESOURCES
        }
        for resource, written in records:
            taken = merged[resource.name]
            record, _ = resource.with_key(written, taken.__contains__)
            key = resource.key_of(record)
            if merged[resource.name].setdefault(key, record) is not record:
                raise ValueError(f"there is {a(resource.noun)} {key!r} already; each Id must be unique")
        baseline = baseline._replace(
            records={name: tuple(found[key] for key in sorted(found)) for name, found in merged.items()}
        )
    accounts = _checked(accounts)
    if accounts:
        all_accounts = (*baseline.accounts, *accounts)
        if len({account.access_key_id for account in all_accounts}) < len(all_accounts):
            raise ValueError("two accounts have the same access key Id; each must be unique")
        baseline = baseline._replace(accounts=all_accounts)
    return baseline
