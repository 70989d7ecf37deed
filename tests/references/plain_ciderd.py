"""CIDEr-D over dictionaries, written as the usual Python scorer is: the opponent of the in-graph reward.

Reference: plsang/cider `ciderD_scorer.py` (the scorer GL-RG trains with).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

Ngram = tuple[str, ...]
Vectors = tuple[list[defaultdict[Ngram, float]], list[float], int]

SIGMA = 6.0
ORDERS = 4


def caption_string(token_ids: Sequence[int], use_eos: bool = True) -> str:
    """Ids as the release writes captions for its scorer: <start> skipped, the first 0 kept as a word or not."""
    words = []
    for token in token_ids:
        if token == 1:
            continue
        if token == 0:
            if use_eos:
                words.append("0")
            break
        words.append(str(int(token)))
    return " ".join(words)


def count_ngrams(text: str) -> Counter[Ngram]:
    """Counts of all n-grams of 1 to 4 words."""
    words = text.split()
    counts: Counter[Ngram] = Counter()
    for order in range(1, ORDERS + 1):
        for start in range(len(words) - order + 1):
            counts[tuple(words[start : start + order])] += 1
    return counts


class PlainCiderD:
    """Scores one caption after the other against the references of its video.

    Args:
        references: for each video its captions as token ids, without or with <start> and padding.
        use_eos: whether the first 0 counts as a word.
        cache: what is kept of the references between calls. "nothing": each caption makes the n-grams of its
            references again, as the release does. "counts": n-grams are kept, weights are made again, as the usual
            scorer does when it is given cooked references. "vectors": all of it is kept.
        document_frequency: n-gram to number of videos; from `references` when None.
        num_documents: number of videos behind `document_frequency`.
    """

    def __init__(
        self,
        references: Sequence[Sequence[Sequence[int]]],
        *,
        use_eos: bool = True,
        cache: Literal["nothing", "counts", "vectors"] = "counts",
        document_frequency: Mapping[Ngram, float] | None = None,
        num_documents: int | None = None,
    ) -> None:
        self.use_eos, self.cache = use_eos, cache
        self.texts = [[caption_string([*caption, 0], use_eos) for caption in video] for video in references]
        self.counts = [[count_ngrams(text) for text in video] for video in self.texts]
        self.log_documents = math.log(num_documents or len(references))
        self.frequency = document_frequency or self._document_frequency()
        self.vectors = [[self._vectors(c) for c in video] for video in self.counts] if cache == "vectors" else []

    def _document_frequency(self) -> Mapping[Ngram, float]:
        frequency: defaultdict[Ngram, float] = defaultdict(float)
        for video in self.counts:
            for ngram in {ngram for counts in video for ngram in counts}:
                frequency[ngram] += 1.0
        return frequency

    def _vectors(self, counts: Counter[Ngram]) -> Vectors:
        vectors: list[defaultdict[Ngram, float]] = [defaultdict(float) for _ in range(ORDERS)]
        norms, length = [0.0] * ORDERS, 0
        for ngram, count in counts.items():
            order = len(ngram) - 1
            rarity = self.log_documents - np.log(max(1.0, self.frequency.get(ngram, 0.0)))
            vectors[order][ngram] = float(count) * rarity
            norms[order] += pow(vectors[order][ngram], 2)
            if order == 1:
                length += count  # the length of the penalty is the number of bigrams
        return vectors, [np.sqrt(norm) for norm in norms], length

    def _references(self, video_row: int) -> list[Vectors]:
        if self.cache == "vectors":
            return self.vectors[video_row]
        if self.cache == "counts":
            return [self._vectors(counts) for counts in self.counts[video_row]]
        return [self._vectors(count_ngrams(text)) for text in self.texts[video_row]]

    def score(self, token_ids: Sequence[int], video_row: int) -> float:
        """CIDEr-D of one caption, 0 to 10."""
        hypothesis = self._vectors(count_ngrams(caption_string(token_ids, self.use_eos)))
        references = self._references(video_row)
        total = np.zeros(ORDERS)
        for reference in references:
            total += similarity(hypothesis, reference)
        return float(np.mean(total) / len(references) * 10.0)

    def __call__(self, token_ids: np.ndarray, video_rows: np.ndarray) -> np.ndarray:
        """Float64 (N,) scores of int (N, T) captions against the references of int (N,) video rows."""
        pairs = zip(token_ids.tolist(), video_rows, strict=True)
        return np.array([self.score(row, int(video)) for row, video in pairs])


def similarity(hypothesis: Vectors, reference: Vectors) -> np.ndarray:
    """Clipped cosine times the length penalty, float64 (4,), one number an order."""
    vectors, norms, length = hypothesis
    other_vectors, other_norms, other_length = reference
    penalty = np.e ** (-((length - other_length) ** 2) / (2 * SIGMA**2))
    values = np.zeros(ORDERS)
    for order in range(ORDERS):
        for ngram, weight in vectors[order].items():
            other = other_vectors[order].get(ngram, 0.0)
            values[order] += min(weight, other) * other
        if norms[order] != 0 and other_norms[order] != 0:
            values[order] /= norms[order] * other_norms[order]
        values[order] *= penalty
    return values
