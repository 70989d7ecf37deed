"""Word distributions of shared rows: the padded head, log-probabilities of targets, draws; and dropout masks.

All randomness is a pure function of a seed or of given uniform numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from glrg_tf.captioner.decoder import DecoderWeights

BLOCK = 32  # words summed together by `draw`; also what the vocabulary is padded to, which matrix products like
_WIDE = 512  # words, a multiple that the product over words likes better still
_LITTLE = 0.02  # share of the vocabulary that may be added for it
_IMPOSSIBLE = -1e30  # logit of the words that pad the vocabulary
_TINY = 1e-30  # probabilities above it have an exact logarithm


class Shard(NamedTuple):
    """Which videos of the global batch a replica holds.

    Random numbers are drawn for the places of the global batch and each replica takes those of its own videos, so that
    a video meets the same numbers however many replicas share the batch.
    """

    first: int | tf.Tensor = 0  # place of the first video in the global batch
    videos: int | None = None  # videos in the global batch; None: those at hand are all

    def of_all(self, rows: int | tf.Tensor, each: int | tf.Tensor = 1) -> int | tf.Tensor:
        """Rows of the global batch, `each` a video; `rows` of them are here."""
        return rows if self.videos is None else self.videos * each

    def take(self, drawn: tf.Tensor, rows: int | tf.Tensor, each: int | tf.Tensor = 1) -> tf.Tensor:
        """The `rows` rows that are here, of `drawn` (rows of the global batch, ...)."""
        return drawn if self.videos is None else drawn[self.first * each : self.first * each + rows]


def dropout_mask(
    shape: list[int | tf.Tensor], rate: float, seed: tf.Tensor, rows: tf.Tensor | None = None
) -> tf.Tensor:
    """Inverted dropout mask float32 (rows, width): 0 with probability `rate`, else 1 / (1 - rate).

    A byte decides each entry (a quarter of the random numbers that floats would take), so `rate` is rounded to the
    next 256th; a function of `seed` int32 (2,). Of the drawn mask only `rows` int32 (n,) are made, if given.
    """
    count, width = shape
    words = -(-width // 8)
    drawn = tf.random.stateless_uniform([count, words], seed, None, None, tf.uint64)
    if rows is not None:
        drawn, count = tf.gather(drawn, rows), -1
    dropped = min(round(256 * rate), 255)
    keep = tf.reshape(tf.bitcast(drawn, tf.uint8), [count, 8 * words])[:, :width] >= tf.constant(dropped, tf.uint8)
    return tf.cast(keep, tf.float32) * (256.0 / (256 - dropped))


def draw(logits: tf.Tensor, rows: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    """Draws one token for each caption from its row's distribution.

    Args:
        logits: float32 (R, V).
        rows: int32 (n,), the row each caption stands on.
        uniforms: float32 (n,) in [0, 1).

    Returns:
        int32 (n,) token ids.
    """
    padding = [[0, 0], [0, -logits.shape[1] % BLOCK]]
    return draw_from(tf.pad(tf.nn.softmax(logits), padding), rows, uniforms)


def draw_from(probabilities: tf.Tensor, rows: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    """`draw` from probabilities float32 (R, V), V a multiple of `BLOCK`, by inverting their cumulative sum.

    A caption's draw depends on its own uniform number alone, so sharing rows changes nothing. The sum is taken in two
    levels, over blocks of words and inside the block that is hit: a full cumulative sum costs as much as the logits.
    """
    blocks = probabilities.shape[1] // BLOCK
    split = tf.reshape(probabilities, [-1, blocks, BLOCK])
    ends = tf.gather(tf.cumsum(tf.reduce_sum(split, axis=2), axis=1), rows)  # (n, blocks)
    wanted = uniforms * ends[:, -1]
    block = tf.minimum(_count(ends <= wanted[:, None]), blocks - 1)
    before = tf.where(block > 0, tf.gather(ends, tf.maximum(block - 1, 0), batch_dims=1), 0.0)
    inside = tf.gather(tf.reshape(split, [-1, BLOCK]), rows * blocks + block)  # (n, BLOCK)
    place = _count(tf.cumsum(inside, axis=1) <= (wanted - before)[:, None])
    # Rounding may leave the wanted sum just beyond the block's own: then the likeliest word of the block.
    place = tf.where(place < BLOCK, place, tf.argmax(inside, axis=1, output_type=tf.int32))
    return block * BLOCK + place


def padded_head(weights: DecoderWeights) -> DecoderWeights:
    """The head with words that never occur up to a multiple of `BLOCK`: draws need it, matrix products like it.

    Up to a multiple of `_WIDE` where that adds little: the product that sums over words is 13 % faster then.
    """
    size = weights.logits_bias.shape[0]
    extra = -size % _WIDE if -size % _WIDE <= _LITTLE * size else -size % BLOCK
    if not extra:
        return weights
    kernel = tf.pad(weights.logits_kernel, [[0, 0], [0, extra]])
    bias = tf.pad(weights.logits_bias, [[0, extra]], constant_values=_IMPOSSIBLE)
    return weights._replace(logits_kernel=kernel, logits_bias=bias)


def target_log_probs(
    probabilities: tf.Tensor, rows: tf.Tensor, targets: tf.Tensor, make_logits: Callable[[], tf.Tensor]
) -> tf.Tensor:
    """Log p of the targets float32 (P,); where a probability vanishes, from the logits.

    They are then made again: logits kept for that rare case would need their own memory beside the probabilities,
    which otherwise take their place.
    """
    where = tf.stack([rows, targets], axis=1)
    picked = tf.gather_nd(probabilities, where)

    def from_logits() -> tf.Tensor:
        logits = make_logits()
        return tf.gather_nd(logits, where) - tf.gather(tf.reduce_logsumexp(logits, axis=1), rows)

    return tf.cond(tf.reduce_min(picked) > _TINY, lambda: tf.math.log(picked), from_logits)


def _count(true: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(true, tf.int32), axis=1)
