"""Idempotent tokens: the same question twice is answered once. Knows nothing of what is asked."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

Answer = TypeVar("Answer")


class MismatchError(Exception):
    """A token was used before, for something else."""


class Tokens:
    """What was answered to whom, by operation, owner and token."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, int, str], tuple[object, Any]] = {}

    def once(self, operation: str, owner: int, token: str, asked: object, answer: Callable[[], Answer]) -> Answer:
        """Return what `answer` returns or, if this token was used for the same question before, what it returned then.

        Without a token (`""`) each question is a new one. Raises MismatchError if the question was another.
        """
        if not token:
            return answer()
        key = (operation, owner, token)
        if key not in self._answers:
            self._answers[key] = (asked, answer())
        asked_before, answered = self._answers[key]
        if asked_before != asked:
            raise MismatchError
        return cast("Answer", answered)

    def clear(self) -> None:
        """Forget all tokens."""
        self._answers.clear()
