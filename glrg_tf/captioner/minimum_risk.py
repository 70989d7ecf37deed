"""Minimum-risk decoding: of a beam's hypotheses, the one the others agree with most.

The most probable caption is often a generic one; the caption with the highest mean CIDEr-D against the other
hypotheses is the one that loses least whichever of them is right (minimum Bayes risk, Kumar and Byrne 2004, with the
hypotheses as references). The n-gram weights are those of the training captions; they travel with the captioner.

Only core operations in static orders, so SavedModel and ONNX carry it; equal to `CiderD` with the hypotheses as
references (tests/captioner/test_minimum_risk.py).
"""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import tensorflow as tf

from glrg_tf.captioner.decoding import Decoded
from glrg_tf.errors import CheckpointError, DataError
from glrg_tf.io import hdf5
from glrg_tf.metrics import ngrams
from glrg_tf.metrics.ciderd_graph import packed_keys, word_counts
from glrg_tf.metrics.ciderd_tables import SCALE, SENTINEL, SIGMA, ReferenceTables


@dataclasses.dataclass(frozen=True)
class NgramWeights:
    """Squared inverse document frequencies of n-grams of token ids.

    N-grams of a single training video weigh as much as those of none, so only the others are listed.
    """

    keys: np.ndarray  # int64 (W+1,), sorted, closed by SENTINEL; packed as in metrics/ngrams.py
    squared_idf: np.ndarray  # float32 (W+1,), the last is that of every n-gram not listed

    @classmethod
    def from_tables(cls, tables: ReferenceTables, vocabulary_size: int) -> NgramWeights:
        """The weights behind a CIDEr-D of the training references.

        Args:
            tables: of the training references, end tokens not counted.
            vocabulary_size: V; n-grams with a word outside of it cannot occur in a caption and are left out.
        """
        words = np.stack([tables.ngram_keys >> shift & (ngrams.ID_LIMIT - 1) for shift in (0, 15, 30, 45)])
        kept = (tables.squared_idf < tables.squared_idf[-1]) & (words < vocabulary_size).all(0)
        kept[-1] = True
        return cls(tables.ngram_keys[kept], tables.squared_idf[kept].astype(np.float32))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes an HDF5 file, whole or not at all."""
        with hdf5.new_file(path) as file:
            file["keys"], file["squared_idf"] = self.keys, self.squared_idf

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NgramWeights:
        """Reads what `save` wrote.

        Raises:
            CheckpointError: not such a file, or values no weights can have.
        """
        try:
            with hdf5.open_file(path) as file:
                keys = hdf5.read_array(hdf5.dataset(file, "keys", kinds="i", ndim=1))
                squared = hdf5.read_array(hdf5.dataset(file, "squared_idf", kinds="f", ndim=1))
        except DataError as error:
            raise CheckpointError(error.what, where=path, remedy=error.remedy) from error
        fine = keys.size and keys.shape == squared.shape and keys[-1] == SENTINEL and (np.diff(keys) > 0).all()
        if not fine or not (np.isfinite(squared) & (squared >= 0)).all():
            raise CheckpointError("n-gram weights that no captions can have", where=path, remedy="copy the file again")
        return cls(keys.astype(np.int64), squared.astype(np.float32))


def choose(decoded: Decoded, weights: NgramWeights, num_captions: int) -> Decoded:
    """The `num_captions` hypotheses with the highest mean CIDEr-D against the others, best first.

    Scores stay what the search gave them (log-probabilities), so they need not fall. Ties go to the more probable.
    """
    if decoded.token_ids.shape[1] == 1:
        return decoded
    _, order = tf.math.top_k(expected_gain(decoded.token_ids, weights), num_captions)
    return Decoded(*(tf.gather(values, order, batch_dims=1) for values in decoded))


def expected_gain(token_ids: tf.Tensor, weights: NgramWeights) -> tf.Tensor:
    """Mean CIDEr-D of each hypothesis against the K - 1 others of its video.

    Args:
        token_ids: int32 (B, K, T), words, then zeros.
        weights: of the n-grams.

    Returns:
        float32 (B, K).
    """
    beams = token_ids.shape[1]
    words = tf.reshape(token_ids, [-1, tf.shape(token_ids)[2]])  # (BK, T)
    lengths = word_counts(words, use_eos=False)
    words = words[:, : tf.maximum(tf.reduce_max(lengths), 1)]
    places = tf.range(tf.shape(words)[1])
    keys = packed_keys(words)
    bigrams = tf.reshape(tf.cast(tf.maximum(lengths - 1, 0), tf.float32), [-1, beams])
    closeness = tf.exp(tf.square(bigrams[:, :, None] - bigrams[:, None, :]) * (-0.5 / SIGMA**2))  # (B, K, K)
    total = tf.zeros_like(closeness)
    for order in range(ngrams.MAX_ORDER):
        inside = places < lengths[:, None] - order  # (BK, T)
        # What leaves its caption meets nothing: -1 never equals -2.
        mine, theirs = tf.where(inside, keys[order], -1), tf.where(inside, keys[order], -2)
        idf = tf.where(inside, squared_idf(weights, find(weights, keys[order])), 0.0)
        total += _cosines(mine, theirs, idf, places, beams)
    gains = SCALE / ngrams.MAX_ORDER * total * closeness
    others = 1.0 - tf.eye(beams)
    return tf.reduce_sum(gains * others, axis=2) / max(beams - 1, 1)


def repeats(keys: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Which occurrence of its n-gram in its caption each of the keys int64 (N, T) is, float32 from 1 on."""
    before = places[:, None] > places
    equal = tf.expand_dims(keys, 2) == tf.expand_dims(keys, 1)  # not [:, :, None]: LiteRT has none of int64
    return 1.0 + tf.reduce_sum(tf.cast(equal & before, tf.float32), axis=2)


def _cosines(mine: tf.Tensor, theirs: tf.Tensor, idf: tf.Tensor, places: tf.Tensor, beams: int) -> tf.Tensor:
    """Clipped cosines (B, K, K) of the n-grams of one order: [b, i, j] of hypothesis i against reference j."""
    rank = repeats(mine, places)
    norms = tf.reshape(tf.sqrt(tf.reduce_sum((2.0 * rank - 1.0) * idf, axis=1)), [-1, beams])  # (B, K)
    size = tf.shape(places)[0]
    mine, theirs = tf.reshape(mine, [-1, beams * size]), tf.reshape(theirs, [-1, beams * size])
    met = tf.cast(tf.expand_dims(mine, 2) == tf.expand_dims(theirs, 1), tf.float32)  # (B, KT, KT)
    counts = tf.reduce_sum(tf.reshape(met, [-1, beams, size, beams, size]), axis=4)  # of i's n-grams in j
    shape = [-1, beams, size, 1]
    shared = tf.where(tf.reshape(rank, shape) <= counts, counts * tf.reshape(idf, shape), 0.0)
    return tf.math.divide_no_nan(tf.reduce_sum(shared, axis=2), norms[:, :, None] * norms[:, None, :])


def find(weights: NgramWeights, keys: tf.Tensor) -> tf.Tensor:
    """Places int32 of packed n-grams in the list, the last place where they are not in it.

    An unrolled binary search, which converts where `searchsorted` does not.
    """
    table = tf.constant(weights.keys)
    last = len(weights.keys) - 1
    index = tf.zeros(tf.shape(keys), tf.int32)
    for bit in reversed(range(last.bit_length())):
        probe = tf.minimum(index + (1 << bit), last)
        index = tf.where(tf.gather(table, probe) <= keys, probe, index)
    return tf.where(tf.gather(table, index) == keys, index, last)


def squared_idf(weights: NgramWeights, index: tf.Tensor) -> tf.Tensor:
    """Weights float32 of the n-grams at places `index`, as sums of two halves: float16 files lose none of them."""
    coarse = weights.squared_idf.astype(np.float16).astype(np.float32)
    rest = (weights.squared_idf - coarse).astype(np.float16).astype(np.float32)
    return tf.gather(tf.constant(coarse), index) + tf.gather(tf.constant(rest), index)
