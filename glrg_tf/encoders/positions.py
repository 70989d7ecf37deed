"""Frame plans inside a graph: the integers of `glrg_tf.video.sampling`, from a frame count known only at run time."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from glrg_tf.video.sampling import LONG_RANGE, SHORT_RANGE, FramePlan


def offsets(plan: FramePlan, which: str) -> np.ndarray:
    """int64 (k,): where the frames of one position lie relative to its keyframe."""
    if which == LONG_RANGE:
        return plan.long_offsets
    return plan.short_offsets if which == SHORT_RANGE else np.zeros(1, np.int64)


def frame_indices(plan: FramePlan, which: str, frame_count: tf.Tensor) -> tf.Tensor:
    """The frames of every position of a video, as `FramePlan.frames_of`.

    Args:
        plan: how many positions, and how far around each.
        which: "long_range", "short_range" or "keyframe".
        frame_count: integer scalar F >= 1.

    Returns:
        int64 (P, k), each in 0..F-1: positions are the centres of P equal parts, floor((2i + 1) F / 2P).
    """
    # floor(odd F / 2P) in two parts, whose products stay below F and (2P)**2: 32 bits are enough for any plan in use,
    # and LiteRT divides no others.
    parts = 2 * plan.positions
    number = tf.int32 if parts <= 2**15 else tf.int64
    count = tf.cast(frame_count, number)
    odd = tf.constant(np.arange(1, parts, 2), number)
    centres = odd * (count // parts) + odd * (count % parts) // parts
    frame_count = tf.cast(frame_count, tf.int64)
    centres = tf.minimum(tf.cast(centres, tf.int64), frame_count - 1)
    rows = centres[:, tf.newaxis] + tf.constant(offsets(plan, which))[tf.newaxis, :]
    return tf.clip_by_value(rows, 0, frame_count - 1)
