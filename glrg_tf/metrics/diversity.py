"""How varied captions are: different words, word pairs and captions, what was never said in training, growth."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Words = Sequence[str]


@dataclass(frozen=True)
class Diversity:
    """Of one set of captions, one a video.

    Attributes:
        captions: how many.
        distinct: different ones.
        distinct_1: different words, by words in all (Li et al., arXiv 1510.03055).
        distinct_2: different pairs of neighbouring words, by pairs in all.
        vocabulary: different words.
        novel: share of the captions that are no training caption; None where those are unknown.
        lengths: int64 (captions,) words of each.
    """

    captions: int
    distinct: int
    distinct_1: float
    distinct_2: float
    vocabulary: int
    novel: float | None
    lengths: np.ndarray


def measure(captions: Sequence[Words], training: Collection[tuple[str, ...]] | None = None) -> Diversity:
    """Measures one set of captions.

    Args:
        captions: the words of each.
        training: words of every training caption, as a set of tuples.
    """
    sentences = [tuple(caption) for caption in captions]
    words = [word for sentence in sentences for word in sentence]
    pairs = [pair for sentence in sentences for pair in zip(sentence, sentence[1:], strict=False)]
    novel = None
    if training is not None and sentences:
        novel = sum(sentence not in training for sentence in sentences) / len(sentences)
    return Diversity(
        len(sentences),
        len(set(sentences)),
        len(set(words)) / max(1, len(words)),
        len(set(pairs)) / max(1, len(pairs)),
        len(set(words)),
        novel,
        np.array([len(sentence) for sentence in sentences], np.int64),
    )


def vocabulary_growth(captions: Iterable[Words]) -> np.ndarray:
    """Different words after each caption, int64 (captions,)."""
    known: set[str] = set()
    sizes = []
    for caption in captions:
        known.update(caption)
        sizes.append(len(known))
    return np.array(sizes, np.int64)
