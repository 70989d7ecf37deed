"""CIDEr-D over dictionaries, as the usual Python scorer writes it: the opponent of the in-graph reward.

Reference: plsang/cider `ciderD_scorer.py` (the scorer GL-RG trains with).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

Ngram = tuple[str, ...]
Vectors = tuple[list[dict[Ngram, float]], list[float], int]

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
        cache_references: keep the references' vectors; the release makes them again for every caption it scores.
        document_frequency: n-gram to number of videos; from `references` when None.
        num_documents: number of videos behind `document_frequency`.
    """

    def __init__(
        self,
        references: Sequence[Sequence[Sequence[int]]],
        *,
        use_eos: bool = True,
        cache_references: bool = False,
        document_frequency: Mapping[Ngram, float] | None = None,
        num_documents: int | None = None,
    ) -> None:
        self.use_eos = use_eos
        self.texts = [[caption_string([*caption, 0], use_eos) for caption in video] for video in references]
        self.log_documents = math.log(num_documents or len(references))
        self.frequency = document_frequency or self._document_frequency()
        self.cached = [[self._vectors(count_ngrams(t)) for t in video] for video in self.texts]
        if not cache_references:
            self.cached = None

    def _document_frequency(self) -> Mapping[Ngram, float]:
        frequency: defaultdict[Ngram, float] = defaultdict(float)
        for video in self.texts:
            for ngram in {ngram for text in video for ngram in count_ngrams(text)}:
                frequency[ngram] += 1.0
        return frequency

    def _vectors(self, counts: Counter[Ngram]) -> Vectors:
        vectors: list[dict[Ngram, float]] = [{} for _ in range(ORDERS)]
        squares, length = [0.0] * ORDERS, 0
        for ngram, count in counts.items():
            order = len(ngram) - 1
            weight = count * (self.log_documents - math.log(max(1.0, self.frequency.get(ngram, 0.0))))
            vectors[order][ngram] = weight
            squares[order] += weight**2
            if order == 1:
                length += count  # the length of the penalty is the number of bigrams
        return vectors, [math.sqrt(s) for s in squares], length

    def score(self, token_ids: Sequence[int], video_row: int) -> float:
        """CIDEr-D of one caption, 0 to 10."""
        vectors, norms, length = self._vectors(count_ngrams(caption_string(token_ids, self.use_eos)))
        if self.cached is None:
            references = [self._vectors(count_ngrams(text)) for text in self.texts[video_row]]
        else:
            references = self.cached[video_row]
        total = 0.0
        for other_vectors, other_norms, other_length in references:
            penalty = math.exp(-((length - other_length) ** 2) / (2 * SIGMA**2))
            for order in range(ORDERS):
                overlap = 0.0
                for ngram, weight in vectors[order].items():
                    other = other_vectors[order].get(ngram, 0.0)
                    overlap += min(weight, other) * other
                if norms[order] != 0 and other_norms[order] != 0:
                    overlap /= norms[order] * other_norms[order]
                total += overlap * penalty
        return 10.0 * total / (ORDERS * len(references))

    def __call__(self, token_ids: np.ndarray, video_rows: np.ndarray) -> np.ndarray:
        """Float64 (N,) scores of int (N, T) captions against the references of int (N,) video rows."""
        pairs = zip(token_ids.tolist(), video_rows, strict=True)
        return np.array([self.score(row, int(video)) for row, video in pairs])
