"""Baselines of the discrepant reward (GL-RG section 3.4), each a function of the video's scores.

Paper and release differ for b1 and b2: the paper averages the Q highest, the release the Q lowest (specs section 8);
they agree when Q is the number of captions, as in every published run.
"""

from __future__ import annotations

import tensorflow as tf


def mean_of_extreme(scores: tf.Tensor, size: tf.Tensor, lowest: bool) -> tf.Tensor:
    """Mean of the `size` highest (or lowest) scores of each video.

    Args:
        scores: float32 (B, G).
        size: int32 (), Q; 0 gives zeros (no baseline).
        lowest: the release's choice.

    Returns:
        float32 (B, 1).
    """
    ordered = tf.sort(scores, axis=1, direction="ASCENDING" if lowest else "DESCENDING")
    chosen = tf.cast(tf.range(tf.shape(scores)[1]) < size, scores.dtype)
    return tf.reduce_sum(ordered * chosen, axis=1, keepdims=True) / tf.maximum(tf.cast(size, scores.dtype), 1.0)


def leave_one_out(rewards: tf.Tensor) -> tf.Tensor:
    """Mean reward of the other samples of a video, float32 (B, G): unbiased, as it does not hold the sample itself."""
    others = tf.cast(tf.shape(rewards)[1] - 1, rewards.dtype)
    return (tf.reduce_sum(rewards, axis=1, keepdims=True) - rewards) / others
