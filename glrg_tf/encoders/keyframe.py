"""The keyframe encoder: what is in one frame (GL-RG section 3.1, "local-keyframe": ResNeXt onto M classes).

The last layer can be asked about each cell of the last map (`classify_cells`), which is what saliency needs: with the
large backbones a class logit is the mean of the cells' logits (their pooling is a mean and the layer linear), in the
nano network it is their soft maximum.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from glrg_tf.encoders import layers
from glrg_tf.encoders.presets import StreamSpec


def build_keyframe(spec: StreamSpec) -> keras.Model:
    """The network: float32 (N, 1, h, w, 3) RGB 0..255 -> (N, M) probabilities; its last map is the layer "map"."""
    frames = layers.frames_input(spec)
    x = layers.fold_frames(layers.normalise(frames, spec.normalise))
    if spec.preset == "paper" or spec.backbone:
        from glrg_tf.encoders.pretrained import frame_map

        x = frame_map(x, spec)
    else:
        x = layers.convolve(x, 16, "stem", strides=2)
        x = layers.convolve(x, 24, "reduce", strides=2)
        x = layers.residual(x, 48, "block1", strides=2)
        x = layers.residual(x, 64, "block2")
    x = keras.layers.Identity(name="map")(x)
    if spec.preset == "nano" and not spec.backbone:
        cells = keras.layers.Dense(spec.width, name="head")(x)  # (N, h', w', M)
        return keras.Model(frames, layers.probabilities(layers.strongest(cells), spec), name=spec.name)
    x = keras.layers.GlobalAveragePooling2D(name="pooled")(x)
    return keras.Model(frames, layers.head(x, spec), name=spec.name)


def feature_map(model: keras.Model) -> keras.Model:
    """The keyframe network up to its last map: float32 (N, 1, h, w, 3) -> (N, h', w', C)."""
    return keras.Model(model.input, model.get_layer("map").output, name=f"{model.name}_map")


def classify_cells(model: keras.Model, cells: tf.Tensor, activation: str) -> tf.Tensor:
    """The class probabilities of each cell of a map: float32 (N, h', w', C) -> (N, h', w', M).

    The logits of the whole frame are the mean of the logits of its cells, or their soft maximum (nano).
    """
    last = model.get_layer("head")
    logits = tf.tensordot(cells, tf.convert_to_tensor(last.kernel), 1) + tf.convert_to_tensor(last.bias)
    return tf.nn.softmax(logits) if activation == "softmax" else tf.sigmoid(logits)
