"""CIDEr-D in static shapes, for steps compiled by XLA: nothing is dropped, all is masked.

The library's searchsorted hardly ends under XLA and lists of what is there have no static shape: here the searches are
unrolled and every n-gram of the padded batch walks through as many postings as the fullest pair has.
"""

from __future__ import annotations

import tensorflow as tf

from glrg_tf.metrics import ngrams
from glrg_tf.metrics.ciderd_graph import packed_keys, without_start, word_counts
from glrg_tf.metrics.ciderd_tables import SCALE, SIGMA


def score(
    tables: dict[str, tf.Tensor], most_postings: int, token_ids: tf.Tensor, video_rows: tf.Tensor, use_eos: bool
) -> tf.Tensor:
    """Returns float32 (N,) CIDEr-D; see `CiderD.compiled`."""
    words = without_start(tf.cast(token_ids, tf.int32))
    lengths = word_counts(words, use_eos)
    keys = packed_keys(words)  # (4, N, T)
    size = tf.shape(words)[1]
    left = lengths[:, None] - tf.range(size)
    inside = tf.stack([left > n for n in range(ngrams.MAX_ORDER)])
    before = tf.range(size)[:, None] > tf.range(size)
    equal = (keys[..., :, None] == keys[..., None, :]) & before
    rank = 1.0 + tf.reduce_sum(tf.cast(equal, tf.float32), -1)

    last = tables["ngram_keys"].shape[0] - 1
    index = _search(tables["ngram_keys"], keys)
    index = tf.where(tf.gather(tables["ngram_keys"], index) == keys, index, last)
    squares = (2.0 * rank - 1.0) * tf.gather(tables["squared_idf"], index)
    norms = tf.sqrt(tf.reduce_sum(tf.where(inside, squares, 0.0), -1))  # (4, N)

    pair_key = tf.cast(video_rows, tf.int64)[:, None] * (last + 1) + tf.cast(index, tf.int64)
    pair = _search(tables["pair_keys"], pair_key)
    met = inside & (tf.gather(tables["pair_keys"], pair) == pair_key)
    start = tf.gather(tables["pair_starts"], pair)
    limit = tf.where(met, tf.gather(tables["pair_starts"], pair + 1), start)
    bigrams = tf.cast(tf.maximum(lengths - 1, 0), tf.float32)[:, None]

    def add_posting(step: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        posting = tf.minimum(start + step, tables["posting_values"].shape[0] - 1)
        difference = bigrams - tf.gather(tables["posting_lengths"], posting)
        shared = tf.gather(tables["posting_values"], posting) * tf.exp(tf.square(difference) * (-0.5 / SIGMA**2))
        counts = (start + step < limit) & (rank <= tf.gather(tables["posting_counts"], posting))
        return step + 1, total + tf.where(counts, shared, 0.0)

    _, products = tf.while_loop(lambda step, _: step < most_postings, add_posting, (0, tf.zeros_like(rank)))
    cosines = tf.math.divide_no_nan(tf.reduce_sum(products, -1), norms)
    references = tf.cast(tf.gather(tables["reference_counts"], video_rows), tf.float32)
    return SCALE / ngrams.MAX_ORDER * tf.reduce_sum(cosines, 0) / references


def _search(table: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Index int32 of the last entry of the sorted `table` that is not above the key; 0 where all are."""
    size = table.shape[0]
    index = tf.zeros(tf.shape(keys), tf.int32)
    for bit in reversed(range((size - 1).bit_length())):
        probe = tf.minimum(index + (1 << bit), size - 1)
        index = tf.where(tf.gather(table, probe) <= keys, probe, index)
    return index
