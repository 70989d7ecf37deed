"""The long-range encoder: caption words seen in three distant frames (GL-RG section 3.1, "long-range").

Each of the frames t-n, t, t+n (n > 25) passes the same 2D convolutions; their maps are stacked in time and a 3D CNN
reads them together; a dense layer gives K independent word probabilities.

Ours, where the paper says nothing: the number and width of the layers, mean and maximum pooling before the dense
layer, batch normalisation.
"""

from __future__ import annotations

import keras

from glrg_tf.encoders import layers
from glrg_tf.encoders.presets import StreamSpec


def build_long_range(spec: StreamSpec) -> keras.Model:
    """The network: float32 (N, 3, h, w, 3) RGB 0..255 -> (N, K) probabilities."""
    frames = layers.frames_input(spec)
    x = layers.fold_frames(layers.normalise(frames, spec.normalise))
    widths: tuple[int, int]
    if spec.preset == "paper" or spec.backbone:
        from glrg_tf.encoders.pretrained import frame_map

        x, widths = frame_map(x, spec), (256, 256)
    else:
        for filters, name in ((16, "frame1"), (32, "frame2"), (48, "frame3")):
            x = layers.convolve(x, filters, name, strides=2)
        widths = (64, 96)
    x = layers.unfold_frames(x, spec.frames)  # (N, 3, h', w', c)
    x = layers.convolve(x, widths[0], "time1")
    x = layers.convolve(x, widths[1], "time2", strides=(1, 2, 2))
    x = keras.layers.Dropout(0.2, seed=1, name="dropout")(layers.pooled(x, "pooled"))
    return keras.Model(frames, layers.head(x, spec), name=spec.name)
