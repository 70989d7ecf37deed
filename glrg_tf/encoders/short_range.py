"""The short-range encoder: actions seen in the frames around a moment (GL-RG section 3.1, "short-range").

A 2D CNN looks at each frame, a 3D ResNet at all of them together; what both found is stacked and a dense layer gives
the J action probabilities. The paper's 3D network is 3D-ResNet-18; the frames are t-10..t+10.

Ours, where the paper says nothing: differences of successive frames beside the frames (nano; what moves is seen at
once), the 2D network (the paper preset takes ResNet-18), its features averaged over the frames, stacking as
concatenation.
"""

from __future__ import annotations

import keras

from glrg_tf.encoders import layers
from glrg_tf.encoders.presets import StreamSpec


def build_short_range(spec: StreamSpec) -> keras.Model:
    """The network: float32 (N, k, h, w, 3) RGB 0..255 -> (N, J) probabilities."""
    frames = layers.frames_input(spec)
    x = layers.normalise(frames, spec.normalise)
    if spec.preset == "paper":
        from glrg_tf.encoders.pretrained import clip_features

        moving = clip_features(x)
    else:
        moving = _nano_motion(x)
    if spec.preset == "paper" or spec.backbone:
        from glrg_tf.encoders.pretrained import frame_map, takes_pixels

        still = frame_map(layers.fold_frames(frames if takes_pixels(spec) else x), spec)
        still = keras.ops.mean(still, axis=(1, 2))
    else:
        still = _nano_frames(layers.fold_frames(x))
    still = keras.ops.mean(layers.unfold_frames(still, spec.frames), axis=1)
    stacked = keras.layers.Concatenate(name="stacked")([still, moving])
    stacked = keras.layers.Dropout(0.2, seed=1, name="dropout")(stacked)
    return keras.Model(frames, layers.head(stacked, spec), name=spec.name)


def _nano_motion(x: keras.KerasTensor) -> keras.KerasTensor:
    """A small 3D ResNet over frames and their differences, in which what stands still is zero: -> (N, 128)."""
    before = keras.ops.concatenate([x[:, :1], x[:, :-1]], axis=1)
    x = keras.layers.Concatenate(name="motion_input")([x, 2.0 * (x - before)])  # (N, k, h, w, 6)
    x = layers.convolve(x, 12, "motion_stem", kernel=(3, 5, 5), strides=(1, 4, 4))
    x = layers.residual(x, 16, "motion1")
    x = layers.residual(x, 32, "motion2", strides=(2, 2, 2))
    x = layers.residual(x, 64, "motion3", strides=(2, 2, 2))
    return layers.pooled(x, "motion_pooled")


def _nano_frames(x: keras.KerasTensor) -> keras.KerasTensor:
    """A small 2D CNN: (N*k, h, w, 3) -> (N*k, 32)."""
    for filters, name in ((12, "still1"), (24, "still2"), (32, "still3")):
        x = layers.convolve(x, filters, name, strides=2)
    return keras.ops.mean(x, axis=(1, 2))
