"""The codebook: clip features clustered into V visual words by mini-batch k-means (scikit-learn).

Departures from the reference (visualglove's clustering): clips are streamed, not stacked in memory; epochs continue one
fit instead of starting again; a clip between two equally near words gets the lower one, decided in float64, so that
words do not depend on how many clips were looked at together or by how many workers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from glrg_tf.errors import ConfigError
from glrg_tf.semantic.settings import CodebookConfig
from glrg_tf.semantic.shuffling import shuffled_batches
from glrg_tf.semantic.stacks import Stacks

Progress = Callable[[int], None]
_BLOCK_ROWS = 4096  # clips read at once
_PRODUCT_ROWS = 1024  # clips compared at once: 1024 × 1500 distances stay in a processor's cache
_SAMPLED_A_WORD = 5  # clips a word among which the first words are chosen
_MONITORED = 8192  # clips whose mean distance tells how an epoch went


@dataclass(frozen=True)
class Codebook:
    """V visual words.

    Args:
        centroids: float32 (V, D).
    """

    centroids: np.ndarray

    @property
    def words(self) -> int:
        """V, the number of words."""
        return len(self.centroids)

    @property
    def width(self) -> int:
        """D, the width of a clip's features."""
        return int(self.centroids.shape[1])

    @property
    def fingerprint(self) -> str:
        """Hex sha256 of the centroids: vectors belong to one codebook and to no other."""
        return hashlib.sha256(np.ascontiguousarray(self.centroids, "<f4").tobytes()).hexdigest()

    def nearest(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the nearest word of every clip and the squared Euclidean distance to it.

        Args:
            rows: float32 (n, D).

        Returns:
            int32 (n,) and float32 (n,).
        """
        words, squares = np.empty(len(rows), np.int32), np.empty(len(rows), np.float32)
        norms = np.einsum("vd,vd->v", self.centroids, self.centroids)
        for start in range(0, len(rows), _PRODUCT_ROWS):
            part = slice(start, start + _PRODUCT_ROWS)
            words[part], squares[part] = self._nearest(rows[part], norms)
        return words, squares

    def _nearest(self, rows: np.ndarray, norms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # ‖x − c‖² = ‖x‖² − 2 x·c + ‖c‖²; the first term is the same for every word.
        scores = rows @ self.centroids.T
        scores *= -2.0
        scores += norms
        words = scores.argmin(axis=1)
        least = scores[np.arange(len(rows)), words]
        row_norms = np.einsum("nd,nd->n", rows, rows)
        # float32 products err by a few units of 1e-6 of the terms: whatever is that near is compared exactly.
        slack = 1e-5 * (row_norms + norms.max())
        near = scores <= (least + slack)[:, None]
        for row in np.flatnonzero(np.count_nonzero(near, axis=1) > 1):
            candidates = np.flatnonzero(near[row])
            gaps = self.centroids[candidates].astype(np.float64) - rows[row].astype(np.float64)
            words[row] = candidates[np.argmin((gaps * gaps).sum(axis=1))]
        return words.astype(np.int32), np.maximum(least + row_norms, 0.0)


@dataclass(frozen=True)
class CodebookFit:
    """A codebook and how it came about.

    Attributes:
        codebook: the words.
        distances: mean Euclidean distance of some clips to their words, before the first epoch and after each.
    """

    codebook: Codebook
    distances: list[float] = field(default_factory=list)


def fit_codebook(
    stacks: Stacks,
    config: CodebookConfig,
    *,
    seed: int = 0,
    progress: Progress = lambda rows: None,
    epoch_done: Callable[[int, float], None] = lambda epoch, distance: None,
) -> CodebookFit:
    """Clusters all clips of `stacks` in passes over them in random order; the best pass is kept.

    How good a pass is, is told by clips that no first word was taken from, where there are enough: a word lies on the
    clip it was taken from, which makes the start look better than it is. It is never kept.

    Greedy k-means++ on a random sample of clips chooses the first words (the reference: on 3 batches, 3 starts).

    Args:
        stacks: the clips, any number of them.
        config: sizes.
        seed: of sample, order and k-means.
        progress: told how many more clips have been learnt from.
        epoch_done: told the epoch (0 = the start) and the mean distance after it.

    Raises:
        ConfigError: fewer clips than words.
        FeatureError: a value is not finite, or a file has changed.
    """
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    check_clips(stacks, config.words)
    random = np.random.default_rng(seed)
    chosen_among = min(len(stacks), _SAMPLED_A_WORD * config.words)
    wanted = min(len(stacks), chosen_among + _MONITORED)
    sample = stacks.take(random.choice(len(stacks), wanted, replace=False))
    # Many short products: on a busy machine several threads would wait for each other longer than they work.
    with threadpool_limits(1, "blas"):
        best = Codebook(first_words(sample[:chosen_among], config.words, random))
        others = sample[chosen_among:]
        sample = (others if len(others) >= config.words else sample[-_MONITORED:]).copy()
        distances = [_mean_distance(best, sample)]
        epoch_done(0, distances[0])
        means = MiniBatchKMeans(
            config.words,
            init=best.centroids,
            n_init=1,
            batch_size=config.batch_rows,
            random_state=seed,
            compute_labels=False,
        )
        for epoch in range(1, config.epochs + 1):
            buffer_bytes = config.buffer_mib * 2**20
            for batch in shuffled_batches(stacks, config.batch_rows, seed=seed, epoch=epoch, buffer_bytes=buffer_bytes):
                means.partial_fit(batch)
                progress(len(batch))
            now = Codebook(means.cluster_centers_.astype(np.float32))
            distances.append(_mean_distance(now, sample))
            epoch_done(epoch, distances[-1])
            if distances[-1] <= min(distances[1:]):
                best = now
            if config.tolerance and epoch > 1 and distances[-1] > distances[-2] * (1 - config.tolerance):
                break
    return CodebookFit(best, distances)


def check_clips(stacks: Stacks, words: int) -> None:
    """Raises ConfigError where there are fewer clips than words."""
    if len(stacks) < words:
        what = f"{words} visual words need as many clips, there are {len(stacks)}"
        remedy = f"--words {max(2, len(stacks) // 20)}, or more clips"
        raise ConfigError(what, where=stacks.source["path"], remedy=remedy)


def first_words(sample: np.ndarray, words: int, random: np.random.Generator) -> np.ndarray:
    """Chooses clips far from each other: greedy k-means++ as scikit-learn's, in float32 (several times faster).

    Args:
        sample: float32 (n, D), n >= words.
        words: V.
        random: draws the candidates.

    Returns:
        float32 (V, D).

    Reference:
        Arthur and Vassilvitskii, "k-means++", 2007, section 2.2 and the greedy form of its conclusion.
    """
    trials = 2 + int(np.log(words))
    norms = np.einsum("nd,nd->n", sample, sample)

    def squares(rows: np.ndarray) -> np.ndarray:
        found = sample[rows] @ sample.T  # (trials, n)
        found *= -2.0
        found += norms[rows][:, None]
        found += norms
        return np.maximum(found, 0.0, out=found)

    chosen = [int(random.integers(len(sample)))]
    gaps = squares(np.array(chosen))[0]
    for _ in range(1, words):
        mass = np.cumsum(gaps, dtype=np.float64)
        drawn = np.searchsorted(mass, random.random(trials) * mass[-1], side="right")
        candidates = np.minimum(drawn, len(sample) - 1)
        nearer = np.minimum(squares(candidates), gaps)
        best = int(np.argmin(nearer.sum(axis=1, dtype=np.float64)))
        chosen.append(int(candidates[best]))
        gaps = nearer[best]
        gaps[chosen[-1]] = 0.0
    return sample[chosen]


def assign(
    codebook: Codebook, stacks: Stacks, *, workers: int | None = None, progress: Progress = lambda rows: None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the word of every clip and the squared distance to it; the same for any number of workers.

    Args:
        codebook: the words.
        stacks: N clips.
        workers: threads; None takes one a processor.
        progress: told how many more clips are done.

    Returns:
        int32 (N,) and float32 (N,).

    Raises:
        FeatureError: another width than the codebook's; a value that is not finite.
    """
    from threadpoolctl import threadpool_limits

    words, squares = np.empty(len(stacks), np.int32), np.empty(len(stacks), np.float32)

    def work(first: int) -> int:
        last = min(first + _BLOCK_ROWS, len(stacks))
        words[first:last], squares[first:last] = codebook.nearest(stacks.rows(first, last))
        return last - first

    # One product thread a worker: comparing and reading then run beside other workers' products.
    with threadpool_limits(1), ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for rows in pool.map(work, range(0, len(stacks), _BLOCK_ROWS)):
            progress(rows)
    return words, squares


def _mean_distance(codebook: Codebook, rows: np.ndarray) -> float:
    return float(np.sqrt(codebook.nearest(rows)[1], dtype=np.float64).mean())
