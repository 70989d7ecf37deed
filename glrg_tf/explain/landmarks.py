"""Scores many cells by the exact scores of some: landmarks, and an interpolation between them that checks itself.

The score of a cell is a smooth function of its descriptor, and the cells of a video look alike: sky, grass, the same
thing a frame later. So the cells that lie farthest apart are scored by the captioner (k-centre clustering, Gonzalez
1985), and the others get the value of a radial interpolation through them (kriging with a Matérn 3/2 kernel). Each
further set of landmarks is foretold before it is scored. As they are the cells least like all before, their errors
bound what the others can be expected to have; when they are small enough, no more are scored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

Score = Callable[[np.ndarray], np.ndarray]  # descriptors float32 (K, D) -> float32 (K, n)

_FIRST = (192, 384)  # fewest and most landmarks of the first round
_FIRST_SHARE = 8  # between them, one in so many cells
_GROWTH = 1.5  # landmarks after a round, as a multiple of those before
_MOST = 0.5  # share of the cells beyond which all are scored
_TOGETHER = 96  # landmarks that are picked from one list of far cells
_POOL = 4  # length of that list, in multiples of them
_REACH = 4.0  # length scale of the kernel, in root mean square distances of the cells from their mean
_NUGGET = 1e-5  # keeps the system regular where two landmarks nearly coincide
_LEAST = 1e-7  # -ln q that float32 still tells from 0
_PERCENTILE = 90  # of the errors of a round
_BLOCK = 512  # cells that are interpolated together: what the cache holds


@dataclasses.dataclass(frozen=True)
class Scored:
    """Scores of all cells.

    Attributes:
        values: float32 (M, n).
        exact: how many cells the captioner scored.
        error: of the last landmarks, foretold from those before: 90 of 100 had no word farther off, in nats; 0 where
            all were scored.
    """

    values: np.ndarray
    exact: int
    error: float


def score_by_landmarks(score: Score, cells: np.ndarray, tolerance: float) -> Scored:
    """Scores cells, most of them by interpolation.

    Args:
        score: the captioner.
        cells: float32 (M, D).
        tolerance: error in nats at which no further landmarks are scored; 0 scores every cell.
    """
    spread = _Spread(cells) if tolerance > 0 and len(cells) > 2 * _FIRST[0] else None
    if spread is None:
        return Scored(score(cells), len(cells), 0.0)
    if not spread.reach:  # all cells are alike
        return Scored(np.repeat(score(cells[:1]), len(cells), axis=0), 1, 0.0)
    chosen = spread.take(int(np.clip(len(cells) // _FIRST_SHARE, *_FIRST)))
    values = score(cells[chosen])
    while True:
        surface = _Surface(spread.points[chosen], to_odds(values), spread.reach)
        further = spread.take(int(len(chosen) * (_GROWTH - 1.0)))
        if not len(further):
            error = 0.0  # every cell equals a landmark
            break
        if len(chosen) + len(further) > _MOST * len(cells):
            rest = np.setdiff1d(np.arange(len(cells)), chosen)
            whole = np.empty((len(cells), values.shape[1]), np.float32)
            whole[chosen], whole[rest] = values, score(cells[rest])
            return Scored(whole, len(cells), 0.0)
        found = score(cells[further])
        error = float(
            np.percentile(np.abs(from_odds(surface(spread.points[further])) - found).max(axis=1), _PERCENTILE)
        )
        chosen, values = np.concatenate([chosen, further]), np.concatenate([values, found])
        if error <= tolerance:
            surface = _Surface(spread.points[chosen], to_odds(values), spread.reach)
            break
    whole = from_odds(surface(spread.points))
    whole[chosen] = values
    return Scored(whole, len(chosen), error)


def to_odds(values: np.ndarray) -> np.ndarray:
    """From ln q to ln(q / (1 - q)): where a word is nearly certain, cells that differ by little still lie apart."""
    values = np.minimum(np.asarray(values, np.float64), -_LEAST)
    return values - np.log(-np.expm1(values))


def from_odds(odds: np.ndarray) -> np.ndarray:
    """The inverse of `to_odds`, float32, at most 0."""
    return -np.logaddexp(np.float32(0.0), -odds).astype(np.float32)


class _Spread:
    """Picks cells far from all those picked before.

    Attributes:
        points: float32 (M, d), the columns in which cells differ, about their mean.
        reach: length scale of the kernel.
    """

    def __init__(self, cells: np.ndarray) -> None:
        varying = cells.max(axis=0) > cells.min(axis=0)
        self.points = cells[:, varying] - cells[:, varying].mean(axis=0)
        self._squares = np.einsum("ij,ij->i", self.points, self.points)
        self.reach = _REACH * float(np.sqrt(self._squares.mean()))
        self._nearest = self._squares.copy()  # squared distance to the nearest one picked; at first to the mean

    def take(self, count: int) -> np.ndarray:
        """The next cells, int64 (k,): fewer than `count` where all others equal one that was picked."""
        picked: list[int] = []
        while len(picked) < count:
            size = min(_TOGETHER, count - len(picked))
            farthest = np.argpartition(-self._nearest, min(_POOL * size, len(self._nearest) - 1))[: _POOL * size]
            new = self._greedy(farthest, size)
            if not new:
                break
            picked += new
            self._nearest = np.minimum(self._nearest, self._apart(new, slice(None)).min(axis=0))
            self._nearest[new] = 0.0
        return np.array(picked, np.int64)

    def _greedy(self, places: np.ndarray, count: int) -> list[int]:
        """At most `count` of some cells, each the farthest from those before."""
        apart, nearest, picked = self._apart(places, places), self._nearest[places], []
        for _ in range(count):
            best = int(nearest.argmax())
            if nearest[best] <= 1e-7 * self.reach**2:
                break
            picked.append(int(places[best]))
            nearest = np.minimum(nearest, apart[best])
            nearest[best] = 0.0
        return picked

    def _apart(self, some: np.ndarray | list[int], others: np.ndarray | slice) -> np.ndarray:
        """Squared distances, (len(some), len(others))."""
        found = (self.points[some] * -2.0) @ self.points[others].T
        found += self._squares[some][:, None]
        found += self._squares[others]
        return found


class _Surface:
    """The smooth function through the landmarks."""

    def __init__(self, points: np.ndarray, values: np.ndarray, reach: float) -> None:
        self._points, self._reach, self._mean = points, reach, values.mean(axis=0)
        self._squares = np.einsum("ij,ij->i", points, points)
        system = self._kernel(points).astype(np.float64)
        system[np.diag_indices(len(points))] += _NUGGET
        self._weights = np.linalg.solve(system, (values - self._mean).astype(np.float64)).astype(np.float32)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Foretold values float32 (m, n)."""
        parts = [
            self._kernel(points[first : first + _BLOCK]) @ self._weights for first in range(0, len(points), _BLOCK)
        ]
        return np.concatenate(parts) + self._mean

    def _kernel(self, points: np.ndarray) -> np.ndarray:
        """Matérn 3/2: (1 + r) exp(-r), r the distance times the root of 3 over the reach; float32 (m, K)."""
        scale = np.float32(np.sqrt(3.0) / self._reach)
        distance = (points * -2.0 * scale**2) @ self._points.T
        distance += (np.einsum("ij,ij->i", points, points) * scale**2)[:, None]
        distance += self._squares * scale**2
        np.sqrt(np.maximum(distance, 0.0, out=distance), out=distance)
        decay = np.exp(-distance)
        distance += 1.0
        distance *= decay
        return distance
