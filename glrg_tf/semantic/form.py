"""In which form clips' embeddings are handed on: whole or their main directions, by clip or smoothed, raw or small.

The published form is a word's whole vector e = w + w̃ for every clip, and that is the default. Departures one may ask
for, none of which takes a label (docs/visual-glove.md has what each is worth):
- `components`: the directions in which the training clips' embeddings vary most. Vectors fit all co-occurrences, of
  which most tell apart words of one place; what many words have in common lies in the first few directions.
- several trainings on the same clips, of different seeds: their embeddings side by side, and the main directions of
  that. Where a word of one codebook holds clips of two places, the other codebooks outvote it.
- `smooth`: the mean over neighbouring clips of the same video. What is seen changes more slowly than clips do.
- `unit`: small enough for a captioner that reads probabilities beside them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from glrg_tf.errors import ConfigError
from glrg_tf.semantic.embedding import VisualGlove


@dataclasses.dataclass(frozen=True)
class Form:
    """What to make of embeddings."""

    components: int = 0  # directions kept, the one of most variance first; 0 keeps the vectors as they are
    smooth: int = 0  # clips on each side over which a clip's embedding is averaged
    unit: bool = False  # absolute values of a training clip's embedding sum to 1 on average, as probabilities do


class ClipEmbeddings:
    """The embeddings of clips in one form: the sum of a vector for its word in every codebook.

    Args:
        gloves: one training, or several on the same clips.
        form: what to make of them.

    Attributes:
        tables: for every training float32 (V, d'), a vector for each of its words.
        scale: the factor in them.
        form: as asked for.

    Raises:
        ConfigError: more components than dimensions; several trainings without components or on different clips.
    """

    def __init__(self, gloves: Sequence[VisualGlove], form: Form | None = None) -> None:
        self.form = form or Form()
        if len(gloves) > 1 and not self.form.components:
            what = f"the embeddings of {len(gloves)} trainings have no width of their own"
            raise ConfigError(what, where="components", remedy="say how many main directions to keep: --components 8")
        tables = main_directions(gloves, self.form.components) if self.form.components else [gloves[0].vectors]
        self.scale = 1.0
        if self.form.unit:
            self.scale = unit_scale(_sum(tables, [glove.clips.words for glove in gloves]))
        self.tables = [table * np.float32(self.scale) for table in tables]

    @property
    def width(self) -> int:
        """d', width of an embedding."""
        return int(self.tables[0].shape[1])

    def of(self, words: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the embeddings of one video's clips.

        Args:
            words: for every training int (T,), the whole video's words: smoothing needs the neighbours.

        Returns:
            float32 (T, d').
        """
        return smoothed(_sum(self.tables, words), self.form.smooth)


def main_directions(gloves: Sequence[VisualGlove], count: int) -> list[np.ndarray]:
    """Returns tables whose sum over the codebooks is a clip's embedding in the main directions of the training clips.

    In every training the clips' mean is taken away (it is what all have in common) and words are brought to length 1;
    words without an embedding stay 0. Clips then have these vectors side by side, and the directions are those of the
    most variance around 0 over all training clips. Only counts of words that fall together are needed, not the clips.

    Args:
        gloves: one training, or several on the same clips.
        count: of directions.

    Returns:
        For every training float32 (V, count).

    Raises:
        ConfigError: more directions than dimensions; trainings on different clips.
    """
    width = sum(glove.dimensions for glove in gloves)
    if not 1 <= count <= width:
        what = f"{count} components of embeddings that are {width} wide"
        raise ConfigError(what, where="components", remedy=f"1 to {width}")
    first = gloves[0].clips
    for glove in gloves[1:]:
        if glove.clips.ids != first.ids or not np.array_equal(glove.clips.offsets, first.offsets):
            remedy = "train them on the same clips, with different --seed"
            raise ConfigError("these Visual GloVes were trained on different clips", where="--with", remedy=remedy)
    vectors = [_centred(glove) for glove in gloves]
    blocks = [
        [left.T @ _together(one, other) @ right for other, right in zip(gloves, vectors, strict=True)]
        for one, left in zip(gloves, vectors, strict=True)
    ]
    directions = np.linalg.eigh(np.block(blocks))[1][:, ::-1][:, :count]
    largest = directions[np.abs(directions).argmax(axis=0), np.arange(count)]
    directions = directions * np.sign(largest)  # a direction's sign is free: fixed here, the same on every machine
    edges = np.cumsum([glove.dimensions for glove in gloves])[:-1]
    parts = np.split(directions, edges)
    return [(own @ part).astype(np.float32) for own, part in zip(vectors, parts, strict=True)]


def _centred(glove: VisualGlove) -> np.ndarray:
    """Every word's embedding less the training clips' mean, at length 1: float64 (V, d)."""
    shares = glove.clips.counts * glove.seen
    vectors = glove.vectors.astype(np.float64)
    vectors = (vectors - shares @ vectors / max(1, shares.sum())) * glove.seen[:, None]
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _together(one: VisualGlove, other: VisualGlove) -> np.ndarray:
    """The share of training clips that have word i of one codebook and word j of the other, float64 (V, V')."""
    words, others = one.codebook.words, other.codebook.words
    cells = one.clips.words.astype(np.int64) * others + other.clips.words
    counts = np.bincount(cells, minlength=words * others).reshape(words, others)
    return counts / max(1, len(cells))


def _sum(tables: Sequence[np.ndarray], words: Sequence[np.ndarray]) -> np.ndarray:
    total = tables[0][words[0]]
    for table, own in zip(tables[1:], words[1:], strict=True):
        total = total + table[own]
    return total


def unit_scale(embeddings: np.ndarray) -> float:
    """Returns the factor that makes the absolute values of a clip's embedding sum to 1 on average.

    That is the size of a row of softmax probabilities, in the measure training feels: Adam moves every weight by about
    the same step, so what a stream changes of the captioner in a step is the sum of its absolute values. At a Euclidean
    length of 1 an embedding of 64 numbers sums to 7, and a captioner learns its noise by heart before it has learnt the
    other streams (docs/visual-glove.md).

    Args:
        embeddings: float32 (N, d), of the training clips.
    """
    mean = float(np.abs(embeddings).sum(axis=1).mean(dtype=np.float64))
    return 1.0 / mean if mean > 0 else 1.0


def smoothed(embeddings: np.ndarray, reach: int) -> np.ndarray:
    """Returns the mean of every clip and up to `reach` clips on each side, (T, d); fewer at the ends."""
    if reach <= 0:
        return embeddings
    sums = np.zeros((len(embeddings) + 1, embeddings.shape[1]))
    np.cumsum(embeddings, axis=0, dtype=np.float64, out=sums[1:])
    position = np.arange(len(embeddings))
    first, last = np.maximum(position - reach, 0), np.minimum(position + reach + 1, len(embeddings))
    return ((sums[last] - sums[first]) / (last - first)[:, None]).astype(embeddings.dtype)
