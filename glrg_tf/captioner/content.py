"""What a video's captions should hold, foretold from its features: n-grams that steer the search and choose its result.

The mean tf-idf vector of a video's captions is what CIDEr-D compares a caption with. `ContentPrior` foretells that
vector of an unseen video by ridge regression on the training videos: a weighted vote of all of them instead of that of
the nearest few, which is the special case of weights 1/k and 0. It is used in two places:
- `word_bias`: each step's logits gain a multiple of log(foretold weight / usual weight) of each word;
- `expected_gain`: the beam's captions are ranked by the CIDEr-D they may expect, that is by the product of their own
  vectors with the foretold one.

Departures from CIDEr-D with references: neither the length penalty nor the clipping of repeated n-grams is applied (the
beam's captions are alike in length, and an n-gram counts once however often it recurs); n-grams of one training video
alone are foretold for nobody.

Only core operations, so SavedModel, ONNX and LiteRT carry it. The arrays hold float16 values: files that store halves
lose nothing. Fitted by training/content.py; measured in docs/glrg-plus.md.

Reference: captions chosen by those of similar images are Devlin et al. 2015, "Exploring nearest neighbor approaches for
image captioning"; the vote of all videos is ours.
"""

from __future__ import annotations

import dataclasses
import functools
import os

import numpy as np
import tensorflow as tf

from glrg_tf.captioner.decoding import Decoded
from glrg_tf.captioner.minimum_risk import NgramWeights, find, repeats, squared_idf
from glrg_tf.errors import CheckpointError, DataError
from glrg_tf.io import hdf5
from glrg_tf.metrics import ngrams
from glrg_tf.metrics.ciderd_graph import packed_keys, word_counts
from glrg_tf.metrics.ciderd_tables import SCALE

MOST_ODDS = 16.0  # a word is foretold at most so many times, and no less than one such part, as often as usual


@dataclasses.dataclass(frozen=True)
class ContentPrior:
    """A linear map from features to the expected tf-idf vector of C n-grams: `(x - center) P Q + mean`."""

    center: np.ndarray  # float32 (D,), mean features of the training videos
    projection: np.ndarray  # float32 (D, R), P: features to R components
    components: np.ndarray  # float32 (R, C), Q: n-grams of each component
    mean: np.ndarray  # float32 (C,), the training videos' mean vector
    columns: np.ndarray  # int32 (W+1,), column of each n-gram of the `NgramWeights`, C where it has none

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes an HDF5 file, whole or not at all."""
        with hdf5.new_file(path) as file:
            for name in _FLOATS:
                file[name] = getattr(self, name).astype(np.float16)
            file["columns"] = self.columns

    @classmethod
    def load(cls, path: str | os.PathLike[str], feature_size: int, weights: NgramWeights) -> ContentPrior:
        """Reads what `save` wrote.

        Args:
            path: the file.
            feature_size: D of the captioner.
            weights: of the captioner.

        Raises:
            CheckpointError: not such a file, or not this captioner's.
        """
        try:
            with hdf5.open_file(path) as file:
                found = {n: hdf5.read_array(hdf5.dataset(file, n, kinds="f", ndim=d)) for n, d in _FLOATS.items()}
                columns = hdf5.read_array(hdf5.dataset(file, "columns", kinds="i", ndim=1))
        except DataError as error:
            raise CheckpointError(error.what, where=path, remedy=error.remedy) from error
        prior = cls(**{name: values.astype(np.float32) for name, values in found.items()}, columns=columns)
        rank, size = prior.components.shape
        shapes = (prior.center.shape, prior.projection.shape, prior.mean.shape, columns.shape)
        fits = shapes == ((feature_size,), (feature_size, rank), (size,), weights.keys.shape)
        fine = fits and size and np.isfinite([np.abs(values).max(initial=0) for values in found.values()]).all()
        if not fine or columns.min() < 0 or columns.max() > size:
            raise CheckpointError("a content prior that is not this captioner's", where=path, remedy="copy it again")
        return dataclasses.replace(prior, columns=columns.astype(np.int32))

    def word_columns(self, weights: NgramWeights, vocabulary_size: int) -> np.ndarray:
        """Column of each word of the vocabulary, int32 (V,); C where it has none or occurs with every video."""
        words = np.arange(vocabulary_size)
        place = np.searchsorted(weights.keys, words)
        listed = (weights.keys[place] == words) & (words > 2)  # ids 0 to 2 are no words
        columns = np.where(listed, self.columns[place], len(self.mean))
        return np.where(np.append(self.mean, 0.0)[columns] > 0, columns, len(self.mean)).astype(np.int32)


_FLOATS = {"center": 1, "projection": 2, "components": 2, "mean": 1}  # with their dimensions


def foretell(prior: ContentPrior, features: tf.Tensor) -> tf.Tensor:
    """The expected vectors float32 (B, C+1) of features (B, D); the last column is that of all other n-grams, zero."""
    components = tf.matmul(features - prior.center, _halves(prior.projection))
    vectors = tf.matmul(components, _halves(prior.components)) + prior.mean
    return tf.pad(vectors, [[0, 0], [0, 1]])


def _halves(values: np.ndarray) -> tf.Tensor:
    """A constant that graphs hold in half the bytes."""
    return tf.cast(tf.constant(values.astype(np.float16)), tf.float32)


def word_bias(
    prior: ContentPrior, weights: NgramWeights, foretold: tf.Tensor, vocabulary_size: int, strength: float
) -> tf.Tensor:
    """What the words' logits gain, float32 (B, V): `strength` times the logarithm of the words' foretold odds.

    Args:
        prior: what foretold.
        weights: its n-grams.
        foretold: float32 (B, C+1).
        vocabulary_size: V.
        strength: exponent of the odds, rounded to float16.
    """
    columns = prior.word_columns(weights, vocabulary_size)
    known = columns < len(prior.mean)
    # Factors that float16 holds exactly: converters make them of quotients anyway, and some then round.
    unusual = np.minimum(1.0 / np.append(prior.mean, 1.0)[np.where(known, columns, len(prior.mean))], 60000.0)
    odds = tf.gather(foretold, tf.constant(columns), axis=1) * unusual.astype(np.float16).astype(np.float32)
    odds = tf.minimum(tf.maximum(odds, 1.0 / MOST_ODDS), MOST_ODDS)
    return tf.math.log(odds) * tf.constant(np.where(known, np.float16(strength), 0.0).astype(np.float32))


def choose(decoded: Decoded, gains: tf.Tensor, num_captions: int) -> Decoded:
    """The `num_captions` hypotheses of the highest gain (B, K), best first.

    Scores stay what the search gave them (log-probabilities), so they need not fall.
    """
    _, order = tf.math.top_k(less_by_rank(gains), num_captions)
    return Decoded(*(tf.gather(values, order, batch_dims=1) for values in decoded))


def less_by_rank(gains: tf.Tensor) -> tf.Tensor:
    """Gains (B, K) less a trifle a place in the search's order.

    Captions of the same words in another order may have the very same gain: the more probable is then preferred by more
    than the rounding that would otherwise decide.
    """
    return gains - 1e-5 * tf.range(gains.shape[1], dtype=tf.float32)


def expected_gain(token_ids: tf.Tensor, foretold: tf.Tensor, prior: ContentPrior, weights: NgramWeights) -> tf.Tensor:
    """The CIDEr-D that each hypothesis may expect.

    Args:
        token_ids: int32 (B, K, T), words, then zeros.
        foretold: float32 (B, C+1).
        prior: what foretold it.
        weights: of the n-grams.

    Returns:
        float32 (B, K).
    """
    beams, width = token_ids.shape[1], len(prior.mean) + 1
    words = tf.reshape(token_ids, [-1, tf.shape(token_ids)[2]])  # (BK, T)
    lengths = word_counts(words, use_eos=False)
    words = words[:, : tf.maximum(tf.reduce_max(lengths), 1)]
    places, keys = tf.range(tf.shape(words)[1]), packed_keys(words)
    video = tf.range(tf.shape(words)[0]) // beams
    flat = tf.reshape(foretold, [-1])
    gain = functools.partial(_gain_of_order, weights, tf.constant(prior.columns), flat, (video * width)[:, None])
    total = sum(gain(keys[n], places < lengths[:, None] - n, places) for n in range(ngrams.MAX_ORDER))
    return tf.reshape(SCALE / ngrams.MAX_ORDER * total, [-1, beams])


def _gain_of_order(
    weights: NgramWeights,
    columns: tf.Tensor,
    foretold: tf.Tensor,
    first: tf.Tensor,
    keys: tf.Tensor,
    inside: tf.Tensor,
    places: tf.Tensor,
) -> tf.Tensor:
    """Products float32 (BK,) of unit vectors of one order with the foretold ones, `first` (BK, 1) their first entry."""
    index = find(weights, keys)
    squared = tf.where(inside, squared_idf(weights, index), 0.0)
    rank = repeats(tf.where(inside, keys, -1), places)
    norms = tf.sqrt(tf.reduce_sum((2.0 * rank - 1.0) * squared, axis=1))
    held = tf.gather(foretold, first + tf.gather(columns, index))
    held = tf.where(tf.logical_and(inside, rank < 1.5), held, 0.0)
    return tf.math.divide_no_nan(tf.reduce_sum(held, axis=1), norms)
