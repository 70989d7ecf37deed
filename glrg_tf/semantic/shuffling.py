"""Clips in random order from a collection that does not fit in memory.

Pieces of consecutive rows are drawn in random order into a buffer and shuffled there, so the disk is read in stretches.
The order is a pure function of (seed, epoch). The next buffer is read while the caller works on this one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from glrg_tf.semantic.stacks import Stacks

PIECE_ROWS = 256  # 1 MiB of 1024 float32: long enough for a disk, short enough to mix


def shuffled_batches(
    stacks: Stacks, batch_rows: int, *, seed: int, epoch: int, buffer_bytes: int = 256 * 2**20
) -> Iterator[np.ndarray]:
    """Yields every row once, float32 (n, D), in batches of about equal size n <= `batch_rows`.

    Args:
        stacks: the clips.
        batch_rows: most rows of a batch.
        seed: of the order.
        epoch: number of the pass.
        buffer_bytes: memory to shuffle in; at least one batch. Twice this is held while the next part is read.

    Raises:
        FeatureError: a value is not finite, or a file has changed.
    """
    order = np.random.default_rng((seed, epoch))
    starts = order.permutation(np.arange(0, len(stacks), PIECE_ROWS))
    buffer_rows = max(batch_rows, buffer_bytes // (4 * stacks.width))
    parts = np.array_split(starts, min(len(starts), math.ceil(len(stacks) / buffer_rows)))
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(_gather, stacks, parts[0])
        for number in range(1, len(parts) + 1):
            gathered = coming.result()
            if number < len(parts):
                coming = reader.submit(_gather, stacks, parts[number])
            mixed = order.permutation(len(gathered))
            for chosen in np.array_split(mixed, math.ceil(len(mixed) / batch_rows)):
                yield gathered[chosen]


def _gather(stacks: Stacks, starts: np.ndarray) -> np.ndarray:
    pieces = [(int(start), min(int(start) + PIECE_ROWS, len(stacks))) for start in starts]
    values = np.empty((sum(last - first for first, last in pieces), stacks.width), np.float32)
    filled = 0
    for first, last in pieces:
        values[filled : filled + last - first] = stacks.rows(first, last)
        filled += last - first
    return values
