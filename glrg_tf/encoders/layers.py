"""Blocks the three encoders share."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from glrg_tf.encoders.presets import StreamSpec

# torchvision's channel means and deviations of 0..1 pixels (ImageNet classifiers; Kinetics-400 video models).
CHANNELS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "kinetics": ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)),
}


def frames_input(spec: StreamSpec) -> keras.KerasTensor:
    """The input of every encoder: float32 (N, k, h, w, 3), RGB 0..255."""
    return keras.Input((spec.frames, *spec.input_size, 3), dtype="float32", name="frames")


def normalise(x: keras.KerasTensor, how: str) -> keras.KerasTensor:
    """Pixels 0..255 as a network wants them: -1..1 ("unit"), or by the channel statistics of its training set."""
    if how == "none":
        return x
    if how == "unit":
        return keras.layers.Rescaling(1 / 127.5, -1.0, name="normalise")(x)
    mean, deviation = CHANNELS[how]
    scale = [1 / (255.0 * d) for d in deviation]
    offset = [-m / d for m, d in zip(mean, deviation, strict=True)]
    return keras.layers.Rescaling(scale, offset, name="normalise")(x)


def fold_frames(x: keras.KerasTensor) -> keras.KerasTensor:
    """(N, k, h, w, c) -> (N*k, h, w, c), so that a 2D network sees each frame."""
    return keras.ops.reshape(x, (-1, *x.shape[2:]))


def unfold_frames(x: keras.KerasTensor, frames: int) -> keras.KerasTensor:
    """(N*k, ...) -> (N, k, ...)."""
    return keras.ops.reshape(x, (-1, frames, *x.shape[1:]))


def convolve(
    x: keras.KerasTensor,
    filters: int,
    name: str,
    *,
    kernel: int | tuple[int, ...] = 3,
    strides: int | tuple[int, ...] = 1,
    relu: bool = True,
    padding: str = "same",
) -> keras.KerasTensor:
    """Convolution (2D or 3D by the rank of `x`), batch normalisation and, unless told otherwise, ReLU."""
    layer = keras.layers.Conv3D if len(x.shape) == 5 else keras.layers.Conv2D
    x = layer(filters, kernel, strides, padding, use_bias=False, name=f"{name}_conv")(x)
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x


def residual(x: keras.KerasTensor, filters: int, name: str, *, strides: int | tuple[int, ...] = 1) -> keras.KerasTensor:
    """A basic residual block (He et al. 2016): two convolutions beside the identity or a 1x1 projection."""
    strided = strides != 1
    shortcut = x
    if strided or x.shape[-1] != filters:
        shortcut = convolve(x, filters, f"{name}_shortcut", kernel=1, strides=strides, relu=False)
    x = convolve(x, filters, f"{name}_a", strides=strides)
    x = convolve(x, filters, f"{name}_b", relu=False)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_out")(x)


def pooled(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Mean and maximum of a map side by side (N, 2c): how much of a thing, and whether it is anywhere at all."""
    axes = tuple(range(1, len(x.shape) - 1))
    mean = keras.ops.mean(x, axis=axes)
    peak = keras.ops.max(x, axis=axes)
    return keras.layers.Concatenate(name=name)([mean, peak])


def strongest(cells: keras.KerasTensor) -> keras.KerasTensor:
    """Log-mean-exp over the cells of a map, (N, ..., D) -> (N, D): a soft maximum, so that small things count too."""
    axes = tuple(range(1, len(cells.shape) - 1))
    peak = keras.ops.max(cells, axis=axes, keepdims=True)
    mean = keras.ops.mean(keras.ops.exp(cells - peak), axis=axes)
    return keras.ops.log(mean) + keras.ops.reshape(peak, (-1, cells.shape[-1]))


def head(x: keras.KerasTensor, spec: StreamSpec) -> keras.KerasTensor:
    """The last layer of an encoder: features (N, c) -> float32 (N, D) probabilities."""
    logits = keras.layers.Dense(spec.width, name="head")(x)
    return probabilities(logits, spec)


def probabilities(logits: keras.KerasTensor, spec: StreamSpec) -> keras.KerasTensor:
    """The activation of the stream over the layer "logits", which every encoder has."""
    logits = keras.layers.Identity(name="logits")(logits)
    return keras.layers.Activation(spec.activation, dtype="float32", name="probabilities")(logits)


def initialise(model: keras.Model, seed: int) -> None:
    """Sets random weights that depend on nothing but `seed` and the names of the layers.

    Kernels are normal with variance 2 / fan-in (He et al. 2015), the head's 1 / fan-in; what is not a kernel keeps the
    constant it was built with. Keras' own initialisers would depend on what else the process has built.
    """
    for variable in model.variables:
        if len(variable.shape) < 2:
            continue
        key = np.frombuffer(variable.path.encode("utf-8"), np.uint8)
        generator = np.random.default_rng([seed, *key.tolist()])
        fan_in = float(np.prod(variable.shape[:-1]))
        gain = 1.0 if variable.path.startswith("head/") else 2.0
        values = generator.normal(0.0, np.sqrt(gain / fan_in), variable.shape)
        variable.assign(tf.constant(values, variable.dtype))
