"""What is normal while boosting: a panel over the sampled rewards, and warnings when something is not.

Reinforcement training fails quietly: the reward stops rising, samples become all alike, captions shrink or never end.
Each of these shows in a number that the loop measures anyway; this module says how to read it. It only reads the
epochs' metrics and prints nothing itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

Epochs = Sequence[dict[str, float]]

NORMAL_REWARD = "rises slowly (about 0.1 in 15 epochs at lr 1e-4), single epochs wobble"
_WINDOW = 5  # epochs whose means are compared: single epochs wobble


class Reading(NamedTuple):
    """One row of the panel."""

    name: str
    now: float
    before: float  # mean of the first epochs of this phase
    normal: str
    verdict: str  # "normal", or what is wrong

    def sentence(self) -> str:
        """The row in words."""
        return f"{self.name} {self.now:.3g} (was {self.before:.3g}): {self.verdict}; normal: {self.normal}"


def read(epochs: Epochs) -> list[Reading]:
    """The panel after these epochs of boosting (at least one); rows whose metric is missing are left out."""
    readings = []
    for name, metric, normal, judge in _ROWS:
        values = [_value(row, metric) for row in epochs]
        if not any(math.isnan(value) for value in values):
            before, now = _mean(values[:_WINDOW]), _mean(values[-_WINDOW:])
            readings.append(Reading(name, now, before, normal, judge(before, now, len(values)) or "normal"))
    return readings


def abnormal(epochs: Epochs) -> list[Reading]:
    """The rows of the panel that are not normal."""
    return [reading for reading in read(epochs) if reading.verdict != "normal"]


def _value(row: dict[str, float], metric: str) -> float:
    if metric == "spread":
        return math.sqrt(row["advantage_square"]) if "advantage_square" in row else math.nan
    return row.get(metric, math.nan)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _reward(before: float, now: float, epochs: int) -> str | None:
    if epochs > 2 * _WINDOW and now < before - 0.02:
        return "it has fallen: lower dr.learning_rate"
    return None


def _spread(before: float, now: float, epochs: int) -> str | None:
    return "the samples of a video are all alike: nothing is left to learn from" if now < 0.02 else None


def _ended(before: float, now: float, epochs: int) -> str | None:
    return "captions run on without an end" if epochs >= _WINDOW and now < 0.8 else None


def _length(before: float, now: float, epochs: int) -> str | None:
    if now < 0.6 * before or now < 2.0:
        return "captions are shrinking"
    return "captions are growing" if now > 1.6 * before else None


def _distinct(before: float, now: float, epochs: int) -> str | None:
    return "one caption is given to nearly all videos" if epochs >= _WINDOW and now < max(2.0, 0.2 * before) else None


_ROWS: tuple[tuple[str, str, str, Callable[[float, float, int], str | None]], ...] = (
    ("sampled reward", "reward", NORMAL_REWARD, _reward),
    ("spread of the advantage", "spread", "falls slowly, stays above 0.1", _spread),
    ("samples that end", "ended", "above 0.95 after a few epochs", _ended),
    ("words a sample", "length", "near the length of the captions, steady", _length),
    ("distinct val captions", "val_distinct", "fewer than after seeding, not a handful", _distinct),
)
