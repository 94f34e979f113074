"""How near a step that never acted came to acting: what was asked, and what it waits for.

Knows nothing of how a step acts.
"""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from ..errors import printable
from ..state.calls import Call
from .registry import ANY
from .script import Step, text_of

_MOST_VALUES = 5
"""How many values are shown of those that were seen."""


class _Condition(NamedTuple):
    """One of the things that a step wants of a call beside its operation."""

    text: str
    value: Callable[[Call], str]
    holds: Callable[[str], bool]


def _conditions(step: Step) -> list[_Condition]:
    conditions = [_Condition(f"with {name}={wanted}", _value_of(name), wanted.__eq__) for name, wanted in step.where]
    if step.account is not None:
        conditions.append(_Condition(f"by {step.account}", lambda call: call.access_key_id, step.account.__eq__))
    if step.host is not None:
        pattern = step.host.lower()
        conditions.append(
            _Condition(f"for {step.host}", lambda call: call.host, lambda host: fnmatchcase(host.lower(), pattern))
        )
    return conditions


def _value_of(name: str) -> Callable[[Call], str]:
    return lambda call: text_of(call.parameters.get(name, ""))


def near_miss(step: Step, seen: int, calls: Iterable[Call], since: str = "") -> str:
    """Return why a step has not acted, as a person would say it.

    `seen` is how many calls it has counted, `calls` are those that were recorded, and `since` says since when, if that
    is not from the beginning on.
    """
    name = "the fake" if step.operation == ANY else step.operation
    conditions = _conditions(step)
    all_of_it = " and ".join(condition.text for condition in conditions)
    if seen:
        return (
            f"{name} was called {_times(seen)} {all_of_it}".rstrip() + f"{since}, the step waits for {_numbers(step)}"
        )
    asked = [call for call in calls if call.operation and step.operation in (ANY, call.operation)]
    if not asked:
        return f"{name} was never called{since}"
    called = f"{name} was called {_times(len(asked))}{since}"
    for condition in conditions:
        values = [condition.value(call) for call in asked]
        if not any(map(condition.holds, values)):
            shown = [printable(value) or '""' for value in values[-_MOST_VALUES:]]
            shown[:0] = ["..."] if len(values) > _MOST_VALUES else []
            return f"{called}, never {condition.text} (seen: {', '.join(shown)})"
    if not any(all(condition.holds(condition.value(call)) for condition in conditions) for call in asked):
        return f"{called}, never {all_of_it} at once"
    return f"{called}, before the step was made"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _numbers(step: Step) -> str:
    """Return the numbers of the calls at which a step acts."""
    ranges = step.calls or ()
    texts = [f"{first}" if first == last else f"{first}-{last}".removesuffix("inf") for first, last in ranges]
    return f"call{'s' if len(texts) > 1 or '-' in texts[0] else ''} {', '.join(texts)}"
