"""Which visual words stand near each other in time: sparse counts that are exact and can be merged in any order.

For every clip i and every other clip j of the same video with |i - j| <= W the pair (word of i, word of j) gains
1 / |i - j| (GloVe). `compat="reference"` gains 1 / max(|j - 1|, 1) as the published code does: there a pair counts by
where it stands in the video, not by its distance, and X is not symmetric (specs/visual-glove.md, section 4).

Weights are unit fractions, so pairs are counted by denominator in whole numbers and only the finished table is turned
into fractions, in a fixed order: any split of the videos over workers or machines gives the same bits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from glrg_tf.errors import ConfigError, DataError
from glrg_tf.io import npy
from glrg_tf.semantic.settings import Compat

_MOST_FILLED = 2**25  # pairs when those that never meet are filled in: 5792 words
_SHARD_CLIPS = 2**17  # clips counted at once: with W = 5 ten times as many pairs


@dataclass(frozen=True)
class PairCounts:
    """How often each pair of words occurs with each denominator.

    Args:
        words: V.
        keys: int64 (n,), rising: (denominator * V + row) * V + column.
        counts: int64 (n,).
    """

    words: int
    keys: np.ndarray
    counts: np.ndarray

    @classmethod
    def empty(cls, words: int) -> PairCounts:
        """No pairs."""
        return cls(words, np.empty(0, np.int64), np.empty(0, np.int64))

    @classmethod
    def merge(cls, parts: Sequence[PairCounts]) -> PairCounts:
        """Returns the sum of counts of different videos.

        Raises:
            ConfigError: of different vocabularies.
        """
        if len({part.words for part in parts}) != 1:
            raise ConfigError("counts of different vocabularies cannot be merged", remedy="use one codebook")
        keys = np.concatenate([part.keys for part in parts])
        return cls(parts[0].words, *_sum_by_key(keys, np.concatenate([part.counts for part in parts])))

    def table(self) -> Cooccurrence:
        """Returns X, pairs in the order of (row, column)."""
        cells = self.keys % (self.words * self.words)
        denominators = self.keys // (self.words * self.words)
        order = np.argsort(cells, kind="stable")  # within a cell denominators keep rising
        cells, fractions = cells[order], (self.counts / np.maximum(denominators, 1))[order]
        starts = _starts(cells)
        values = np.add.reduceat(fractions, starts) if len(cells) else fractions
        rows, columns = np.divmod(cells[starts], self.words)
        return Cooccurrence(self.words, rows.astype(np.int32), columns.astype(np.int32), values)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the counts as `.npz`, to be merged elsewhere."""
        npy.write_npz(path, {"words": np.array([self.words]), "keys": self.keys, "counts": self.counts})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PairCounts:
        """Reads what `save` wrote.

        Raises:
            DataError: damaged or inconsistent file.
        """
        arrays = npy.read_npz(path, {"words": ("iu", 1), "keys": ("iu", 1), "counts": ("iu", 1)})
        words, keys, counts = arrays["words"], arrays["keys"].astype(np.int64), arrays["counts"].astype(np.int64)
        sound = len(words) == 1 and 2 <= words[0] <= 65536 and len(keys) == len(counts)
        if not sound or (np.diff(keys) <= 0).any() or (keys < 0).any() or (counts < 1).any():
            raise DataError("these are no sound counts of pairs", where=path, remedy="count again")
        return cls(int(words[0]), keys, counts)


@dataclass(frozen=True)
class Cooccurrence:
    """X, the nonzero cells only.

    Args:
        words: V.
        rows: int32 (n,), centre words.
        columns: int32 (n,), context words.
        values: float64 (n,), positive.
    """

    words: int
    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        """Returns the number of cells."""
        return len(self.values)

    def dense(self) -> np.ndarray:
        """Returns X as float64 (V, V)."""
        matrix = np.zeros((self.words, self.words))
        matrix[self.rows, self.columns] = self.values
        return matrix

    def filled(self, value: float) -> Cooccurrence:
        """Returns X with `value` added to every pair of words that occur at all, those that never meet among them.

        GloVe looks at the pairs that were counted, so nothing drives words of different places apart that never stand
        near each other; a small value does.

        Raises:
            ConfigError: too many pairs of words.
        """
        known = np.flatnonzero(self.seen)
        if len(known) ** 2 > _MOST_FILLED:
            what = f"{len(known)} words make {len(known) ** 2:,} pairs, too many to fill"
            raise ConfigError(what, where="unseen", remedy="unseen 0, or fewer words")
        full = np.full((len(known), len(known)), float(value))
        place = np.cumsum(self.seen) - 1
        full[place[self.rows], place[self.columns]] += self.values
        rows, columns = np.repeat(known, len(known)), np.tile(known, len(known))
        return Cooccurrence(self.words, rows.astype(np.int32), columns.astype(np.int32), full.ravel())

    @property
    def seen(self) -> np.ndarray:
        """Whether a word occurs in any pair, bool (V,)."""
        seen = np.zeros(self.words, bool)
        seen[self.rows] = seen[self.columns] = True
        return seen


def count_pairs(tokens: np.ndarray, offsets: np.ndarray, words: int, window: int, compat: Compat = "off") -> PairCounts:
    """Counts the pairs of some videos.

    Args:
        tokens: int (N,), the clips' words, video after video.
        offsets: int (videos + 1,): video i owns clips offsets[i] to offsets[i + 1].
        words: V.
        window: W; it never crosses videos.
        compat: see the top of this file.
    """
    tokens = np.asarray(tokens, np.int64)
    lengths = np.diff(offsets)
    video = np.repeat(np.arange(len(lengths)), lengths)
    position = np.arange(len(tokens)) - np.repeat(np.asarray(offsets[:-1]), lengths)
    parts = []
    for distance in range(1, min(window, int(lengths.max(initial=0)) - 1) + 1):
        first = np.flatnonzero(video[:-distance] == video[distance:])
        second = first + distance
        for centre, context in ((first, second), (second, first)):
            if compat == "reference":
                denominator = np.maximum(np.abs(position[context] - 1), 1)
            else:
                denominator = np.full(len(centre), distance, np.int64)
            keys = (denominator * words + tokens[centre]) * words + tokens[context]
            parts.append(_sum_by_key(keys, np.ones(len(keys), np.int64)))
    if not parts:
        return PairCounts.empty(words)
    return PairCounts.merge([PairCounts(words, *part) for part in parts])


def count_all(
    tokens: np.ndarray,
    offsets: np.ndarray,
    words: int,
    window: int,
    compat: Compat = "off",
    *,
    workers: int | None = None,
    progress: Callable[[int], None] = lambda clips: None,
) -> PairCounts:
    """`count_pairs` of many videos, in shards by several threads; the same for any number of them."""
    edges = [0]
    for video in range(1, len(offsets)):
        if offsets[video] - offsets[edges[-1]] >= _SHARD_CLIPS or video == len(offsets) - 1:
            edges.append(video)
    shards = list(zip(edges[:-1], edges[1:], strict=True))

    def work(shard: tuple[int, int]) -> tuple[int, PairCounts]:
        own = offsets[shard[0] : shard[1] + 1]
        return int(own[-1] - own[0]), count_pairs(tokens[own[0] : own[-1]], own - own[0], words, window, compat)

    merged = PairCounts.empty(words)
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for clips, counts in pool.map(work, shards):
            merged = PairCounts.merge([merged, counts])
            progress(clips)
    return merged


def _sum_by_key(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    starts = _starts(keys)
    return keys[starts], np.add.reduceat(counts, starts) if len(keys) else counts


def _starts(values: np.ndarray) -> np.ndarray:
    """Where runs of equal values begin."""
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])[: len(values)])
