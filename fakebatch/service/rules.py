"""The rules for the fields of a request's body, as data, and the refusals of those who break them. [doc]

Knows nothing of any resource.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import ApiError

NAME_CHARACTERS = re.compile(r"[a-zA-Z_-][a-zA-Z0-9_-]*", re.ASCII)
"""What names consist of. [doc]"""
_NAME_RULE = "It must only contain characters within [a-zA-Z0-9_-], and must not start with [0-9]."


class Text(NamedTuple):
    """A field that is a text."""

    mandatory: bool = False
    """A mandatory text is not empty either. [choice]"""
    length: tuple[int, int] | None = None
    """In characters, both ends inclusive."""
    name: bool = False
    """It consists of the characters of names."""
    only: Sequence[str] = ()
    """The values that it may have; all if there are none here."""

    def check(self, parameter: str, body: Mapping[str, Any]) -> None:
        """Raise ApiError if the field of a body breaks the rule; of several things that are wrong, the first."""
        if parameter not in body:
            if self.mandatory:
                raise ApiError(f"Missing{parameter}")
            return
        value = body[parameter]
        if problem := self._problem(value):
            raise ApiError(f"Invalid{parameter}", Message=problem)

    def _problem(self, value: object) -> str:
        if not isinstance(value, str):
            return "Its type must be string."
        if self.mandatory and not value:
            return "Its length must be greater than 0."
        if self.length and not self.length[0] <= len(value) <= self.length[1]:
            return f"Its length must be in [{self.length[0]}, {self.length[1]}]."
        if self.name and not NAME_CHARACTERS.fullmatch(value):
            return _NAME_RULE
        if self.only and value not in self.only:
            return f"It must be in [{', '.join(self.only)}]."
        return ""


Rules = Mapping[str, Text]
"""The fields of a body by their names, in the order in which they are checked."""


def check(body: Mapping[str, Any], rules: Rules) -> None:
    """Raise ApiError for the first field that breaks its rule. Fields without a rule are ignored."""
    for parameter, rule in rules.items():
        rule.check(parameter, body)
