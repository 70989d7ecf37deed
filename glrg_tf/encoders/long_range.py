"""The long-range encoder: caption words seen in three distant frames (GL-RG section 3.1, "long-range").

Each of the frames t-n, t, t+n (n > 25) passes the same 2D convolutions; their maps are stacked in time and a 3D CNN
reads them together; a dense layer gives K independent word probabilities.

Ours, where the paper says nothing: the number and width of the layers; differences from the middle frame beside the
frames (nano; what has changed is seen at once); the dense layer reads each cell of the last map and a word is as
likely as its most likely cells (a soft maximum, layers.py), for what changes may be small.
"""

from __future__ import annotations

import keras

from glrg_tf.encoders import layers
from glrg_tf.encoders.presets import StreamSpec


def build_long_range(spec: StreamSpec) -> keras.Model:
    """The network: float32 (N, 3, h, w, 3) RGB 0..255 -> (N, K) probabilities."""
    frames = layers.frames_input(spec)
    x = layers.normalise(frames, spec.normalise)
    if spec.preset == "paper" or spec.backbone:
        from glrg_tf.encoders.pretrained import frame_map

        x, widths = frame_map(layers.fold_frames(x), spec), (256, 256)
    else:
        x, widths = _nano_frames(x), (64, 96)
    x = layers.unfold_frames(x, spec.frames)  # (N, 3, h', w', c)
    x = layers.convolve(x, widths[0], "time1")
    x = keras.layers.ZeroPadding3D((0, 1, 1), name="time2_pad")(x)
    x = layers.convolve(x, widths[1], "time2", padding="valid")  # the three frames become one: (N, 1, h', w', c)
    cells = keras.layers.Dense(spec.width, name="head")(keras.layers.Dropout(0.2, seed=1, name="dropout")(x))
    return keras.Model(frames, layers.probabilities(layers.strongest(cells), spec), name=spec.name)


def _nano_frames(x: keras.KerasTensor) -> keras.KerasTensor:
    """Three 2D convolutions of each frame and its difference from the middle one: -> (N*3, h/8, w/8, 48)."""
    x = keras.layers.Concatenate(name="frame_input")([x, 2.0 * (x - x[:, 1:2])])  # (N, 3, h, w, 6)
    x = layers.fold_frames(x)
    for filters, name in ((16, "frame1"), (32, "frame2"), (48, "frame3")):
        x = layers.convolve(x, filters, name, strides=2)
    return x
