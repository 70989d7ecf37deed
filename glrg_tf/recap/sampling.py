"""Which rows of many are read, in whole numbers (the reference's floats return a row too many for some lengths)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glrg_tf.errors import ConfigError


def uniform_rows(count: int, wanted: int) -> NDArray[np.int64]:
    """Rows floor(k·S/(n+1)), k = 1..n, of S: int64 (n,); rows repeat where S is below n.

    Raises:
        ConfigError: either number is below 1.
    """
    if count < 1 or wanted < 1:
        raise ConfigError(f"sampling needs at least 1 row, not {count} and {wanted}", where="sampling")
    return np.arange(1, wanted + 1, dtype=np.int64) * count // (wanted + 1)


def sample_rows(rows: np.ndarray, wanted: int, how: str) -> tuple[np.ndarray, np.ndarray]:
    """Brings rows to at most `wanted`.

    Args:
        rows: float32 (S, D); S may be 0.
        wanted: n.
        how: "masking": all of them where they are few enough, else n of them; "uniform": always n of them, repeated
            where they are few; "mean": means over n equal stretches where they are too many.

    Returns:
        float32 (m, D), m <= n, and the places int64 (m,) in 0..n-1 that they take among all.

    Raises:
        ConfigError: no such way.
    """
    count = len(rows)
    if how not in ("masking", "uniform", "mean"):
        raise ConfigError(f"rows are not sampled by '{how}'", where="sampling", remedy="masking, uniform or mean")
    if count == 0 or (count <= wanted and how != "uniform"):
        return rows, np.arange(count)
    if how == "mean":
        borders = np.arange(wanted + 1, dtype=np.int64) * count // wanted
        sums = np.add.reduceat(rows.astype(np.float64), borders[:-1], axis=0)
        return (sums / np.diff(borders)[:, None]).astype(np.float32), np.arange(wanted)
    return rows[uniform_rows(count, wanted)], np.arange(wanted)


def spread(count: int, wanted: int) -> NDArray[np.int64]:
    """`wanted` of `count` things, evenly and in order, the first and last kept where there are two: int64 (m,)."""
    if wanted >= count:
        return np.arange(count, dtype=np.int64)
    if wanted <= 1:
        return np.zeros(max(wanted, 0), np.int64)
    return np.arange(wanted, dtype=np.int64) * (count - 1) // (wanted - 1)


def resize_queries(queries: np.ndarray, wanted: int) -> np.ndarray:
    """Learned queries of another network: rows floor(k·N/(M+1)) as the reference takes them; (N, W) -> (M, W)."""
    return queries if len(queries) == wanted else queries[uniform_rows(len(queries), wanted)]
