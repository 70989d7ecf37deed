"""In which form clips' embeddings are handed on: whole or their main directions, by clip or smoothed, raw or small.

The published form is a word's whole vector e = w + w̃ for every clip, and that is the default. Departures one may ask
for, none of which takes a label (docs/visual-glove.md has what each is worth):
- `components`: the directions in which the training clips' embeddings vary most. Vectors fit all co-occurrences, of
  which most tell apart words of one place; what many words have in common lies in the first few directions.
- `smooth`: the mean over neighbouring clips of the same video. What is seen changes more slowly than clips do.
- `unit`: small enough for a captioner that reads probabilities beside them.
"""

from __future__ import annotations

import dataclasses

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
    """The embeddings of clips in one form.

    Args:
        glove: trained vectors.
        form: what to make of them.

    Attributes:
        vectors: float32 (V, d'), of every word.
        scale: the factor in them.
        form: as asked for.

    Raises:
        ConfigError: more components than dimensions.
    """

    def __init__(self, glove: VisualGlove, form: Form | None = None) -> None:
        self.form = form or Form()
        vectors = main_directions(glove, self.form.components) if self.form.components else glove.vectors
        self.scale = unit_scale(vectors, glove.clips.words) if self.form.unit else 1.0
        self.vectors = vectors * np.float32(self.scale)

    @property
    def width(self) -> int:
        """d', width of an embedding."""
        return int(self.vectors.shape[1])

    def of(self, words: np.ndarray) -> np.ndarray:
        """Returns the embeddings of one video's clips.

        Args:
            words: int (T,), its visual words, the whole video's: smoothing needs the neighbours.

        Returns:
            float32 (T, d').
        """
        return smoothed(self.vectors[words], self.form.smooth)


def main_directions(glove: VisualGlove, count: int) -> np.ndarray:
    """Returns every word's embedding, at length 1, in the main directions of the training clips.

    The clips' mean is taken away first: it is what all clips have in common. Words without an embedding stay 0.

    Args:
        glove: trained vectors.
        count: of directions.

    Returns:
        float32 (V, count).

    Raises:
        ConfigError: more directions than dimensions.
    """
    if not 1 <= count <= glove.dimensions:
        what = f"{count} components of embeddings that are {glove.dimensions} wide"
        raise ConfigError(what, where="components", remedy=f"1 to {glove.dimensions}")
    shares = glove.clips.counts * glove.seen
    shares = shares / max(1, shares.sum())
    vectors = glove.vectors.astype(np.float64)
    vectors = (vectors - shares @ vectors) * glove.seen[:, None]
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    directions = np.linalg.svd(vectors * np.sqrt(shares)[:, None], full_matrices=False)[2][:count]
    largest = directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)]
    directions *= np.sign(largest)[:, None]  # a direction's sign is free: fixed here, the same on every machine
    main = np.zeros((len(vectors), count), np.float32)  # fewer words than directions: the rest stays 0
    main[:, : len(directions)] = vectors @ directions.T
    return main


def unit_scale(vectors: np.ndarray, words: np.ndarray) -> float:
    """Returns the factor that makes the absolute values of a clip's embedding sum to 1 on average.

    That is the size of a row of softmax probabilities, in the measure training feels: Adam moves every weight by about
    the same step, so what a stream changes of the captioner in a step is the sum of its absolute values. At a Euclidean
    length of 1 an embedding of 64 numbers sums to 7, and a captioner learns its noise by heart before it has learnt the
    other streams (docs/visual-glove.md).

    Args:
        vectors: float32 (V, d).
        words: int32 (N,), of the training clips.
    """
    mean = float(np.abs(vectors).sum(axis=1)[words].mean(dtype=np.float64))
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
