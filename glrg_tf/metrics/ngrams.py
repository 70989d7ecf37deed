"""N-grams as numbers and as counts: what CIDEr-D, BLEU and the consensus scores share.

An n-gram of up to four token ids fits one int64 exactly (15 bits an id, two bits for its order), so
scorers compare numbers: no hashing, no collisions.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np

MAX_ORDER = 4
ID_BITS = 15
ID_LIMIT = 1 << ID_BITS  # token ids that may be packed are below this
ORDER_SHIFT = MAX_ORDER * ID_BITS


def count_ngrams(tokens: Sequence, max_order: int = MAX_ORDER) -> Counter[tuple]:
    """Counts the n-grams of one sentence.

    Args:
        tokens: words or ids, in order.
        max_order: highest order counted.

    Returns:
        Occurrences by n-gram tuple, orders 1..max_order.
    """
    counts: Counter[tuple] = Counter()
    for order in range(1, max_order + 1):
        counts.update(tuple(tokens[i : i + order]) for i in range(len(tokens) - order + 1))
    return counts


def pack_ngram(ids: Sequence[int]) -> int | None:
    """Returns the int64 key of one n-gram of 1..4 ids, or None when an id does not fit `ID_BITS`."""
    key = len(ids) - 1
    key <<= ORDER_SHIFT - len(ids) * ID_BITS
    for token in ids:
        if not 0 <= token < ID_LIMIT:
            return None
        key = key << ID_BITS | token
    return key


def pack_columns(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Packs n-grams given position by position.

    Args:
        columns: n int64 arrays of one shape; column i holds the i-th id of every n-gram.

    Returns:
        int64 keys of that shape; -1 where an id does not fit.
    """
    order = len(columns)
    keys = np.full_like(columns[0], order - 1) << (ORDER_SHIFT - order * ID_BITS)
    fits = np.ones(keys.shape, bool)
    for column in columns:
        keys = keys << ID_BITS | column
        fits &= (column >= 0) & (column < ID_LIMIT)
    return np.where(fits, keys, -1)


def flatten(sentences: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Lays sentences end to end.

    Args:
        sentences: R id lists.

    Returns:
        (ids int64 (ΣL,), lengths int64 (R,)).
    """
    lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
    ids = np.fromiter(itertools.chain.from_iterable(sentences), np.int64, int(lengths.sum()))
    return ids, lengths


def distinct(values: np.ndarray) -> np.ndarray:
    """Returns the sorted distinct values (`np.unique` hashes first, which takes ten times as long on these keys)."""
    values = np.sort(values)
    return values[np.concatenate([[True], values[1:] != values[:-1]])[: len(values)]]
