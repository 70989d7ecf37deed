"""Time two ways of doing the same work fairly: warmed up, in one process, in turns (A B A B), ratios pair by pair.

A machine shared with others drifts; two measurements taken in turns drift together. The minimum is reported because
noise only ever adds time.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of repeated runs of one piece of work."""

    seconds: tuple[float, ...]

    @property
    def minimum(self) -> float:
        """The fastest run."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The middle run."""
        return statistics.median(self.seconds)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Both sides of one benchmark, measured in turns.

    Attributes:
        ours: what is shipped.
        reference: the plain form; None where there is none.
        pair_ratios: reference over ours of each turn.
    """

    ours: Timing
    reference: Timing | None
    pair_ratios: tuple[float, ...] = ()

    @property
    def ratio(self) -> float | None:
        """How many times faster ours is, minimum against minimum."""
        return None if self.reference is None else self.reference.minimum / self.ours.minimum


def clock(work: Callable[[], object]) -> float:
    """Seconds of one run; `work` must not return before its result is there."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(work: Callable[[], object], *, budget_s: float = 1.0, at_least: int = 3, at_most: int = 200) -> Timing:
    """Repeats `work` until `budget_s` is used up, within the bounds on the number of runs."""
    seconds: list[float] = []
    while len(seconds) < at_least or (sum(seconds) < budget_s and len(seconds) < at_most):
        seconds.append(clock(work))
    return Timing(tuple(seconds))


def compare(ours: Callable[[], object], reference: Callable[[], object] | None, *, pairs: int = 2) -> Comparison:
    """Runs both sides in turns, ours about as long as the reference but at most 10 times a turn.

    Args:
        ours: warmed-up work.
        reference: warmed-up work; None to time ours alone.
        pairs: turns.
    """
    ours_runs, reference_runs, ratios = [], [], []
    for _ in range(pairs):
        run = measure(ours, budget_s=1.0, at_least=2, at_most=10)
        ours_runs += run.seconds
        if reference is not None:
            reference_runs.append(clock(reference))
            ratios.append(reference_runs[-1] / run.minimum)
    plain = Timing(tuple(reference_runs)) if reference_runs else None
    return Comparison(Timing(tuple(ours_runs)), plain, tuple(ratios))
