"""A world as the fixture file that it amounts to, and such data as YAML.

Knows nothing of any resource.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from .registry import RESOURCES
from .world import World

ACCOUNTS = "x-accounts"
"""The key of accounts without their secrets: nothing that is loaded."""
REMARKS = "x-remarks"
"""The key of what a fixture file can't say of the world: nothing that is loaded."""

_PLAIN = re.compile(r"[A-Za-z_][\w/-]*(?:[ .][\w/-]+)*", re.ASCII)
"""Texts that mean themselves in YAML, but for the words below, whoever reads it."""
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
_NOT_PRINTABLE = re.compile("[^\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029]")
"""What YAML has escaped."""


def fixture_of(world: World, *, secrets: bool) -> dict[str, Any]:
    """Return a world as a fixture file that loads again: its records, script and progress as they are now.

    Counters are not in it: a loaded job, cluster or step begins to count. Accounts are in it with `secrets`; without,
    it loads as a world where nobody has to sign. [choice]
    """
    baseline = world.baseline
    remarks: list[str] = []
    data: dict[str, Any] = {
        resource.name: [resource.written(record) for record in world.collections[resource.name]]
        for resource in RESOURCES
    }
    accounts = [msgspec.to_builtins(account) for account in baseline.accounts]
    if secrets:
        data["accounts"] = accounts
    elif accounts:
        remarks.append("accounts are left out, so that no secret is shown, and nobody has to sign; ask with ?secrets=1")
        data[ACCOUNTS] = [{key: account[key] for key in ("AccessKeyId", "OwnerId")} for account in accounts]
    with world.lock:
        rules, script = world.rules, world.script.copy()
    for section, parts in (("progress", rules), ("script", [step.step for step in script])):
        entries = [(part, part.written()) for part in parts]
        data[section] = [entry for _, entry in entries if entry]
        remarks += [f"{section}: no file can hold this: {part}" for part, entry in entries if not entry]
    data["quotas"] = dict(baseline.quotas)
    data["expect"] = baseline.expect
    data[REMARKS] = remarks
    return {name: section for name, section in data.items() if section or (name == "expect" and section is not None)}


def yaml_text(data: Any) -> str:
    """Return data as YAML that is read alike by readers of its versions 1.1 and 1.2: what is in doubt is quoted."""
    return "\n".join(_lines(data, "")) + "\n"


def _lines(data: Any, indent: str) -> Iterator[str]:
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from _item(f"{indent}{_scalar(key)}:", value, indent + "  ")
    elif isinstance(data, list) and data:
        for value in data:
            if isinstance(value, dict) and value:
                first, *rest = _lines(value, indent + "  ")
                yield f"{indent}- {first.lstrip(' ')}"
                yield from rest
            else:
                yield from _item(f"{indent}-", value, indent + "  ")
    else:
        yield f"{indent}{_scalar(data)}"


def _item(start: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield start
        yield from _lines(value, indent)
    else:
        yield f"{start} {_scalar(value)}"


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return _NOT_PRINTABLE.sub(lambda found: f"\\U{ord(found[0]):08x}", quoted)
