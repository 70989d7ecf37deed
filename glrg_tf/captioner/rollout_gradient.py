"""Gradient of `rollout`, written by hand.

Differences from what automatic differentiation would do: every weight's gradient is one product after the loop over
all rows; the loop itself only carries d loss / d state from rows to their sources; and the embedding's gradient is
dense, since a global norm over slices with repeated rows would be another number. Tests hold it against automatic
differentiation of the plain step.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from glrg_tf.captioner.decoder import DecoderWeights

_FEW_VIDEOS = 64  # up to this many, summing rows by video is faster as a product with a one-hot matrix


class Kept(NamedTuple):
    """What the forward pass leaves for the gradient. R rows in all, P positions, Q head rows (R, or P if spread)."""

    levels: dict[str, tf.TensorArray]  # activations and indices, one entry a level
    level_count: tf.Tensor  # int32 ()
    videos: tf.Tensor  # int32 (), B
    head: DecoderWeights  # with padded vocabulary
    rows: tf.Tensor  # int32 (P,)
    head_rows: tf.Tensor  # int32 (P,)
    row_count: tf.Tensor  # int32 (), R
    targets: tf.Tensor  # int32 (P,)
    dropped: tf.Tensor  # float32 (Q, H), what the logits were made from
    probabilities: tf.Tensor  # float32 (Q, V padded)
    mask: tf.Tensor | None  # float32 (P, H), dropout drawn for each position; None: for each row, or none


def gradients(weights: DecoderWeights, kept: Kept, upstream: tf.Tensor) -> list[tf.Tensor]:
    """Gradients of (video_gates, *weights) from d loss / d log_probs.

    Args:
        weights: the decoder's tensors.
        kept: of the forward pass.
        upstream: float32 (P,).

    Returns:
        Dense tensors, in the order of `video_gates` and `DecoderWeights`.
    """
    size = weights.logits_bias.shape[0]
    d_logits = _through_softmax(kept, upstream)
    d_hidden = tf.matmul(d_logits, kept.head.logits_kernel, transpose_b=True)
    d_kernel = tf.matmul(kept.dropped, d_logits, transpose_a=True)
    d_bias = tf.matmul(tf.ones([1, tf.shape(d_logits)[0]]), d_logits)[0]  # a product sums columns faster than a sum
    if kept.mask is not None:
        d_hidden = tf.math.unsorted_segment_sum(d_hidden * kept.mask, kept.rows, kept.row_count)
    d_gates, d_source_gates = _through_time(weights.recurrent_kernel, kept, d_hidden)
    levels = kept.levels
    distinct, d_table = _sum_by_token(d_gates, levels["token"].concat())
    d_words = tf.matmul(d_table, weights.word_kernel, transpose_b=True)
    return [
        _sum_by_video(d_source_gates, levels["source_video"].concat(), kept.videos),
        tf.scatter_nd(distinct[:, None], d_words, tf.shape(weights.embedding)),
        tf.matmul(tf.gather(weights.embedding, distinct), d_table, transpose_a=True),
        tf.matmul(levels["source_hidden"].concat(), d_source_gates, transpose_a=True),
        d_kernel[:, :size],
        d_bias[:size],
    ]


def _through_softmax(kept: Kept, upstream: tf.Tensor) -> tf.Tensor:
    """The gradient at the logits float32 (Q, V padded): one-hot minus probabilities, summed over a row's positions."""
    row_weight = tf.math.unsorted_segment_sum(upstream, kept.head_rows, tf.shape(kept.probabilities)[0])
    where = tf.stack([kept.head_rows, kept.targets], axis=1)
    return tf.tensor_scatter_nd_add(kept.probabilities * -row_weight[:, None], where, upstream)


def _through_time(recurrent: tf.Tensor, kept: Kept, d_hidden: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradient at the gates of all rows float32 (R, 4H) and, summed over siblings, of all sources (M, 4H).

    Args:
        recurrent: float32 (H, 4H).
        kept: of the forward pass.
        d_hidden: float32 (R, H), d loss / d (masked) hidden state through the logits.
    """
    levels, width = kept.levels, recurrent.shape[0]
    transposed = tf.transpose(recurrent)  # once: a level's product with it is 10-60 % faster than one that transposes

    def body(t, end, source_row, dh_source, dc_source, gates_store, source_store):
        names = ("source", "tanh", "output", "input", "forget", "candidate", "old_cell")
        source, tanh_cell, output, input_gate, forget, candidate, old_cell = (levels[n].read(t) for n in names)
        start = end - tf.shape(source)[0]
        dh = d_hidden[start:end] * levels["mask"].read(t) if "mask" in levels else d_hidden[start:end]
        dh = tf.tensor_scatter_nd_add(dh, source_row[:, None], dh_source)
        dc = tf.raw_ops.TanhGrad(y=tanh_cell, dy=dh * output)
        dc = tf.tensor_scatter_nd_add(dc, source_row[:, None], dc_source)
        d_gates = tf.concat(
            [
                tf.raw_ops.SigmoidGrad(y=input_gate, dy=dc * candidate),
                tf.raw_ops.SigmoidGrad(y=forget, dy=dc * old_cell),
                tf.raw_ops.TanhGrad(y=candidate, dy=dc * input_gate),
                tf.raw_ops.SigmoidGrad(y=output, dy=dh * tanh_cell),
            ],
            axis=1,
        )
        d_source = tf.math.segment_sum(d_gates, source)
        return (
            t - 1,
            start,
            levels["source_row"].read(t),
            tf.matmul(d_source, transposed),
            tf.math.segment_sum(dc * forget, source),
            gates_store.write(t, d_gates),
            source_store.write(t, d_source),
        )

    stores = [
        tf.TensorArray(tf.float32, kept.level_count, element_shape=[None, 4 * width], infer_shape=False)
        for _ in range(2)
    ]
    nothing = tf.zeros([0, width])
    loop = (kept.level_count - 1, kept.row_count, tf.zeros([0], tf.int32), nothing, nothing, *stores)
    shapes = [[], [], [None], [None, width], [None, width], None, None]
    end = tf.while_loop(lambda t, *_: t >= 0, body, loop, shape_invariants=tuple(map(tf.TensorShape, shapes)))
    return end[5].concat(), end[6].concat()


def _sum_by_token(values: tf.Tensor, tokens: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Distinct tokens (W,) and the sum of the rows of each (W, C); sorted first, which halves the time."""
    order = tf.argsort(tokens)
    distinct, place = tf.unique(tf.gather(tokens, order))
    return distinct, tf.sparse.segment_sum(values, order, place)


def _sum_by_video(values: tf.Tensor, video: tf.Tensor, videos: tf.Tensor) -> tf.Tensor:
    """Sum of the rows (M, C) of each video, (B, C)."""
    return tf.cond(
        videos <= _FEW_VIDEOS,
        lambda: tf.matmul(tf.one_hot(video, videos, axis=0), values),
        lambda: tf.math.unsorted_segment_sum(values, video, videos),
    )
