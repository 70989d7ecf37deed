"""The captioners that can be explained: what saliency needs of each, said once.

A new kind of captioner is explained by adding how its decoder starts from visual descriptors (`scorer_of`) and how it
captions a video (`own_caption`).
"""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from glrg_tf.captioner.captioner import VideoCaptioner
from glrg_tf.captioner.locate import resolve
from glrg_tf.captioner.s2vt_captioner import S2VTCaptioner, is_s2vt
from glrg_tf.explain.scorer import DecoderScorer

Captioner = VideoCaptioner | S2VTCaptioner


def load_captioner(name_or_path: str | os.PathLike[str]) -> Captioner:
    """Loads a captioner of either kind.

    Raises:
        CheckpointError: not found or damaged.
    """
    if is_s2vt(resolve(name_or_path)):
        return S2VTCaptioner.from_preset(name_or_path)
    return VideoCaptioner.from_preset(name_or_path)


def own_caption(captioner: Captioner, positions: np.ndarray) -> str:
    """The captioner's sentence for a video of descriptors float32 (P, D)."""
    if isinstance(captioner, S2VTCaptioner):
        return captioner.generate([positions])[0]
    pooled = positions.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    return captioner.generate(pooled)[0][0].text


def scorer_of(captioner: Captioner) -> DecoderScorer:
    """The captioner as a scorer.

    GL-RG pools several descriptors of one input by their mean, as it does with the positions of a video; S2VT reads
    them one after the other.
    """
    model = captioner.model
    if isinstance(captioner, S2VTCaptioner):
        return DecoderScorer(
            captioner.vocabulary, captioner.config.feature_size, model.decoder_weights, captioner.model.start
        )

    def start(items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        gates = model.encode(tf.reduce_mean(items, axis=1))
        zeros = tf.zeros([tf.shape(items)[0], captioner.config.hidden_size])
        return zeros, zeros, gates

    return DecoderScorer(captioner.vocabulary, captioner.config.feature_size, model.decoder_weights, start)
