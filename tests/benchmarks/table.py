"""What a run says: a row for each comparison, with the target that the figure has to meet."""

import operator
import statistics
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from peers import FAKEBATCH

_RELATIONS = {"<": operator.lt, "<=": operator.le, ">=": operator.ge}
_COLUMNS = ("figure", "fakebatch", "quartiles", "peer", "its figure", "its quartiles", "ratio", "target", "met")


class Sample(NamedTuple):
    """The median of several rounds, and between which figures their middle half lies."""

    median: float
    quartiles: tuple[float, float] | None = None

    @classmethod
    def of(cls, figures: Iterable[float], unit: float = 1) -> "Sample":
        """Return the sample of these rounds, multiplied with `unit`: 1e6 makes microseconds of seconds."""
        scaled = [figure * unit for figure in figures]
        if len(scaled) < 2:
            return cls(scaled[0])
        first, median, third = statistics.quantiles(scaled, n=4, method="inclusive")
        return cls(median, (first, third))


class Row(NamedTuple):
    """A line of the table.

    `target` is what meets it, as in `<= 0.9`; empty where none was set. It is of the ratio if there is a peer, and of
    the figure itself if there is none.
    """

    figure: str
    ours: Sample
    peer: str = ""
    theirs: Sample | None = None
    target: str = ""

    @property
    def ratio(self) -> float | None:
        """How often the peer's figure goes into ours."""
        return None if self.theirs is None else self.ours.median / self.theirs.median

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if not self.target:
            return None
        relation, number = self.target.split()
        reached = self.ours.median if self.ratio is None else self.ratio
        return bool(_RELATIONS[relation](reached, float(number)))

    def __str__(self) -> str:
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        met = {None: "", True: "yes", False: "no"}[self.met]
        cells = (self.figure, *_shown(self.ours), self.peer, *_shown(self.theirs), ratio, self.target, met)
        return f"| {' | '.join(cells)} |"


def _shown(sample: Sample | None) -> tuple[str, str]:
    if sample is None:
        return "", ""
    quartiles = "" if sample.quartiles is None else "{:,.1f} to {:,.1f}".format(*sample.quartiles)
    return f"{sample.median:,.1f}", quartiles


def compared(
    figure: str, samples: Mapping[str, Sample], targets: Mapping[str, str], ours: str = FAKEBATCH
) -> Iterator[Row]:
    """Return a row for each peer that was measured, with its target if it has one."""
    for peer, theirs in samples.items():
        if peer != ours:
            yield Row(figure, samples[ours], peer, theirs, targets.get(peer, ""))


def heading() -> str:
    """Return the first two lines of the table."""
    return f"| {' | '.join(_COLUMNS)} |\n|---|---:|---:|---|---:|---:|---:|---|---|"
