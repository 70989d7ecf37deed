"""CIDEr-D by TensorFlow operations: padding is dropped first, then two searches and segment sums."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from glrg_tf.metrics import ngrams
from glrg_tf.metrics.ciderd_tables import END, SCALE, SIGMA, START, ReferenceTables


def tensors(tables: ReferenceTables) -> dict[str, tf.Tensor]:
    """Copies the tables into tensors (float32 values, counts and lengths)."""
    floats = ("squared_idf", "posting_values", "posting_counts", "posting_lengths")
    return {
        name: tf.constant(array.astype(np.float32) if name in floats else array) for name, array in vars(tables).items()
    }


def score(tables: dict[str, tf.Tensor], token_ids: tf.Tensor, video_rows: tf.Tensor, use_eos: bool) -> tf.Tensor:
    """Returns float32 (N,) CIDEr-D; see `CiderD.__call__`."""
    words = without_start(tf.cast(token_ids, tf.int32))
    lengths = word_counts(words, use_eos)
    words = words[:, : tf.reduce_max(tf.concat([lengths, [0]], 0))]
    count = tf.shape(words)[0]
    segment, caption, keys, rank = _occurrences(words, lengths)

    index = tf.searchsorted(tables["ngram_keys"], keys, out_type=tf.int32)
    last = tf.size(tables["ngram_keys"]) - 1
    index = tf.where(tf.gather(tables["ngram_keys"], index) == keys, index, last)
    squares = (2.0 * rank - 1.0) * tf.gather(tables["squared_idf"], index)
    norms = tf.sqrt(tf.math.unsorted_segment_sum(squares, segment, ngrams.MAX_ORDER * count))

    video_rows = tf.cast(video_rows, tf.int64)
    pair_key = tf.gather(video_rows * tf.cast(last + 1, tf.int64), caption) + tf.cast(index, tf.int64)
    pair = tf.searchsorted(tables["pair_keys"], pair_key, out_type=tf.int32)
    met = tf.where(tf.gather(tables["pair_keys"], pair) == pair_key)[:, 0]
    pair, segment, rank = tf.gather(pair, met), tf.gather(segment, met), tf.gather(rank, met)
    bigrams = tf.gather(tf.cast(tf.maximum(lengths - 1, 0), tf.float32), tf.gather(caption, met))

    row, posting = _expand(tf.gather(tables["pair_starts"], pair), tf.gather(tables["pair_starts"], pair + 1))
    difference = tf.gather(bigrams, row) - tf.gather(tables["posting_lengths"], posting)
    shared = tf.gather(tables["posting_values"], posting) * tf.exp(tf.square(difference) * (-0.5 / SIGMA**2))
    enough = tf.gather(rank, row) <= tf.gather(tables["posting_counts"], posting)
    shared = tf.where(enough, shared, 0.0)
    products = tf.math.unsorted_segment_sum(shared, tf.gather(segment, row), ngrams.MAX_ORDER * count)
    cosines = tf.reshape(tf.math.divide_no_nan(products, norms), [ngrams.MAX_ORDER, count])
    references = tf.cast(tf.gather(tables["reference_counts"], video_rows), tf.float32)
    return SCALE / ngrams.MAX_ORDER * tf.reduce_sum(cosines, 0) / references


def without_start(token_ids: tf.Tensor) -> tf.Tensor:
    """Moves the other tokens over start tokens, to the left, and closes those rows with -1: int32 (N, T)."""
    is_start = token_ids == START

    def compact() -> tf.Tensor:
        order = tf.argsort(tf.cast(is_start, tf.int32), axis=1, stable=True)
        return tf.gather(tf.where(is_start, -1, token_ids), order, batch_dims=1)

    return tf.cond(tf.reduce_any(is_start), compact, lambda: token_ids)


def word_counts(words: tf.Tensor, use_eos: bool) -> tf.Tensor:
    """Words of each caption up to its first end token, that included with `use_eos`: int32 (N,)."""
    size = tf.shape(words)[1]
    places = tf.range(size)
    first_end = tf.reduce_min(tf.where(words == END, places, size), axis=1)
    closed = tf.reduce_min(tf.where(words < 0, places, size), axis=1)
    return tf.minimum(closed, first_end + 1 if use_eos else first_end)


def packed_keys(words: tf.Tensor) -> tf.Tensor:
    """Keys int64 (4, N, T) of the n-grams that begin at each place; those that leave the caption mean nothing."""
    size = tf.shape(words)[1]
    ids = tf.pad(tf.cast(words, tf.int64), [[0, 0], [0, ngrams.MAX_ORDER - 1]])
    packed = ids[:, :size]
    keys = [packed]
    for n in range(1, ngrams.MAX_ORDER):
        packed = packed * ngrams.ID_LIMIT + ids[:, n : n + size]
        keys.append(packed + (n << ngrams.ORDER_SHIFT))
    return tf.stack(keys)


def _occurrences(words: tf.Tensor, lengths: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Lists the M n-grams that lie inside their captions.

    Returns:
        segment int32 (M,) = (n - 1) · N + caption, rising; caption int32 (M,); key int64 (M,);
        occurrence number 1.. of the n-gram in its caption, float32 (M,).
    """
    count, size = tf.shape(words)[0], tf.shape(words)[1]
    flat_keys = tf.reshape(packed_keys(words), [-1])  # (4NL)
    left = lengths[:, None] - tf.range(size)  # (N, L) tokens from here to the end
    inside = tf.where(tf.reshape(tf.stack([left > n for n in range(ngrams.MAX_ORDER)]), [-1]))[:, 0]
    earlier = tf.gather(_earlier_occurrences(words, left > 0, flat_keys), inside)
    keys_inside = tf.gather(flat_keys, inside)
    segment = tf.cast(inside, tf.int32) // size
    return segment, segment % count, keys_inside, 1.0 + earlier


def _earlier_occurrences(words: tf.Tensor, valid: tf.Tensor, flat_keys: tf.Tensor) -> tf.Tensor:
    """Counts, for each of the 4NL n-grams, the equal ones before it in its caption: float32 (4NL,).

    An n-gram recurs only where its first word does, which is rare: the pairs of equal words are listed once.
    """
    count, size = tf.shape(words)[0], tf.shape(words)[1]
    before = tf.range(size)[:, None] > tf.range(size)
    equal = (words[:, :, None] == words[:, None, :]) & before & valid[:, :, None]
    pairs = tf.cast(tf.where(tf.reshape(equal, [-1])), tf.int32)  # (P, 1) of N·L·L
    later = pairs // size
    earlier = later // size * size + pairs % size
    orders = tf.range(ngrams.MAX_ORDER) * count * size
    same = tf.gather(flat_keys, later + orders) == tf.gather(flat_keys, earlier + orders)  # (P, 4)
    return tf.math.unsorted_segment_sum(tf.cast(same, tf.float32), later + orders, ngrams.MAX_ORDER * count * size)


def _expand(starts: tf.Tensor, limits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Lists the members of the ranges [start, limit): (number of the range, member), int32 (ΣK,) each."""
    splits, members = tf.raw_ops.RaggedRange(starts=starts, limits=limits, deltas=1, Tsplits=tf.int32)
    closed = tf.math.bincount(splits[1:-1], minlength=tf.size(members), maxlength=tf.size(members))
    return tf.cumsum(closed), members
