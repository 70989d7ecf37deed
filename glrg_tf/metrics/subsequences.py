"""Longest common subsequences by the bits of long integers, and the ROUGE-L score made of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

ROUGE_BETA = 1.2  # weight of recall, as in coco-caption's `rouge.py`


class CommonSubsequences:
    """Compares one sentence with G others at once.

    The others stand side by side in one long integer, a bit a word and a clear bit between them, and are compared
    word by word (bit-parallel, Hyyrö 2004): an addition's carry dies in the clear bit.

    Args:
        sentences: the G others.
    """

    def __init__(self, sentences: Sequence[Sequence[Hashable]]) -> None:
        self._places: dict[Hashable, int] = {}
        self._body = 0
        self._parts: list[tuple[int, int]] = []  # first bit and bits of each sentence
        position = 0
        for words in sentences:
            bits = ((1 << len(words)) - 1) << position
            self._body |= bits
            self._parts.append((position, bits >> position))
            for word in words:
                self._places[word] = self._places.get(word, 0) | 1 << position
                position += 1
            position += 1

    def lengths(self, words: Sequence[Hashable]) -> np.ndarray:
        """Length of the longest common subsequence of `words` with each sentence, int64 (G,)."""
        remaining = self._body
        for word in words:
            matches = self._places.get(word, 0)
            met = remaining & matches
            remaining = ((remaining + met) | (remaining & ~matches)) & self._body
        taken = self._body & ~remaining
        return np.array([(taken >> start & bits).bit_count() for start, bits in self._parts], np.int64)


def rouge_l_score(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """ROUGE-L of the best precision and the best recall over the references; 0 where both are 0."""
    weighted = recall + ROUGE_BETA**2 * precision
    score = (1 + ROUGE_BETA**2) * precision * recall
    return np.divide(score, weighted, out=np.zeros_like(score), where=weighted != 0)
