"""The jobs of a world as a test has them: a live collection, whose jobs can be moved by hand."""

from collections.abc import Callable

from ...state.collection import Collection
from ..progress import Present
from .course import ENDED, Course
from .records import Job, moved


class Jobs(Collection[Job]):
    """The jobs, by Id. What is read of one is what the last poll, and the time, have made of it.

    Each method that moves a job returns what has become of it. It raises KeyError, with the nearest Id, if there is
    none, and ValueError if the job has ended.
    """

    def advance(self, job_id: str) -> Job:
        """Take a job over its next change: to its first tasks, from layer to layer, to its end."""
        return self._move(job_id, Course.advance)

    def finish(self, job_id: str) -> Job:
        """Let a job be Finished, whatever else was to become of it."""
        return self._move(job_id, Course.finish)

    def fail(self, job_id: str, message: str = "") -> Job:
        """Let a job fail. What runs of it fails with this message, what waits is stopped."""
        if not isinstance(message, str):
            raise TypeError(f"message is a text, not {message!r}")
        return self._move(job_id, lambda course, now: course.fail(now, message))

    def stop(self, job_id: str) -> Job:
        """Let somebody else stop a job."""
        return self._move(job_id, Course.stop)

    def _move(self, job_id: str, move: Callable[[Course, int], None]) -> Job:
        def act(job: Job, present: Present) -> Job:
            if job.state in ENDED:
                raise ValueError(f"job {job_id!r} is {job.state}, and goes nowhere from there")
            return moved(job, present, move)

        return self.change(job_id, act)
