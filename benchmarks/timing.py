"""Time two ways of doing the same work fairly: warmed up, in one process, in turns (A B A B), ratios pair by pair.

A machine shared with others drifts; two measurements taken in turns drift together. The minimum is reported because
noise only ever adds time. Beside wall time the process' own processor time is kept: where it is much smaller, others
were using the processor, and ratios of processor time are the ones to trust.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Timing:
    """Repeated runs of one piece of work.

    Attributes:
        seconds: wall time of each run.
        processor: processor time of each run, seconds: all threads of this process, and of children that have ended.
    """

    seconds: tuple[float, ...]
    processor: tuple[float, ...]

    @property
    def minimum(self) -> float:
        """Wall time of the fastest run."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """Wall time of the middle run."""
        return statistics.median(self.seconds)

    @property
    def minimum_processor(self) -> float:
        """The least processor time of any run."""
        return min(self.processor)

    def __add__(self, other: Timing) -> Timing:
        """The runs of both."""
        return Timing(self.seconds + other.seconds, self.processor + other.processor)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Both sides of one benchmark, measured in turns.

    Attributes:
        ours: what is shipped.
        reference: the plain form; None where there is none.
        pair_ratios: reference over ours of each turn, wall time.
    """

    ours: Timing
    reference: Timing | None
    pair_ratios: tuple[float, ...] = ()


def clock(work: Callable[[], object]) -> Timing:
    """One run; `work` must not return before its result is there."""
    wall, processor = time.perf_counter(), _processor_seconds()
    work()
    return Timing((time.perf_counter() - wall,), (_processor_seconds() - processor,))


def _processor_seconds() -> float:
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


def measure(work: Callable[[], object], *, budget_s: float = 1.0, at_least: int = 3, at_most: int = 200) -> Timing:
    """Repeats `work` until `budget_s` is used up, within the bounds on the number of runs."""
    runs = clock(work)
    while len(runs.seconds) < at_least or (sum(runs.seconds) < budget_s and len(runs.seconds) < at_most):
        runs += clock(work)
    return runs


def compare(ours: Callable[[], object], reference: Callable[[], object] | None, *, pairs: int = 2) -> Comparison:
    """Runs both sides in turns, ours for about a second a turn and at most ten times.

    Args:
        ours: warmed-up work.
        reference: warmed-up work; None to time ours alone.
        pairs: turns.
    """
    nothing = Timing((), ())
    ours_runs, reference_runs, ratios = nothing, nothing, []
    for _ in range(pairs):
        run = measure(ours, budget_s=1.0, at_least=2, at_most=10)
        ours_runs += run
        if reference is not None:
            plain = clock(reference)
            reference_runs += plain
            ratios.append(plain.minimum / run.minimum)
    return Comparison(ours_runs, reference_runs if reference else None, tuple(ratios))
