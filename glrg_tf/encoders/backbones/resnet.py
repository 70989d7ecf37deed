"""Residual networks over images and clips as functional Keras models, equal to torchvision's to rounding.

What differs between the frameworks, and what is done about it:
  1. PyTorch pads strided convolutions evenly, TensorFlow's "same" does not: strided ones are padded by hand.
  2. PyTorch's maximum pads with minus infinity. The padding here is zero: it follows a ReLU, so every window holds
     something that is not below zero and the maximum is the same.
  3. Batch normalisation adds 1e-5 to the variance, and its averages keep 0.9 of themselves (PyTorch: momentum 0.1).

Layers of interest have the names of torchvision's stages: `stem`, `maxpool`, `layer1` ... `avgpool`, `fc`; within a
stage `layer1_0_conv1`, `layer1_0_bn1`, ... (see resnet_config.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import keras

from glrg_tf.encoders.backbones.grouped_convolution import GroupedConv2D
from glrg_tf.encoders.backbones.resnet_config import Block, Convolution, ResNetConfig, stages, stem

EPSILON = 1e-5


def build_resnet(
    config: ResNetConfig,
    *,
    input_shape: Sequence[int | None],
    classes: int | None = 1000,
    preprocessing: tuple[Sequence[float], Sequence[float]] | None = None,
    name: str = "resnet",
) -> keras.Model:
    """Builds a residual network.

    Args:
        config: its plan.
        input_shape: (H, W, 3) or (T, H, W, 3) without the batch; sizes may be None.
        classes: width of the last layer; None leaves pooling and last layer out.
        preprocessing: mean and deviation of 0..1 channels; then the model takes pixels 0..255, else normalised ones.
        name: of the model.

    Returns:
        A model from float32 (N, [T,] H, W, 3) to logits (N, classes), or to the last map (N, [T',] H', W', C).
    """
    # === Functional Model ===
    inputs = keras.Input(tuple(input_shape), dtype="float32", name="pixels" if preprocessing else "images")
    x = inputs
    if preprocessing:
        mean, deviation = preprocessing
        scale = [1 / (255.0 * d) for d in deviation]
        offset = [-m / d for m, d in zip(mean, deviation, strict=True)]
        x = keras.layers.Rescaling(scale, offset, name="preprocessing")(x)
    x = resnet_maps(x, config)[f"layer{len(config.depths)}"]
    if classes is not None:
        x = _layer("GlobalAveragePooling", config.rank)(name="avgpool")(x)
        x = keras.layers.Dense(classes, name="fc")(x)
    return keras.Model(inputs, x, name=name)


def resnet_maps(x: keras.KerasTensor, config: ResNetConfig, *, prefix: str = "") -> dict[str, keras.KerasTensor]:
    """Applies all convolutions of a network to `x` and returns the maps of its stages.

    Args:
        x: normalised images (N, H, W, 3) or clips (N, T, H, W, 3).
        config: the plan.
        prefix: of every layer's name, for two networks in one model.

    Returns:
        `stem`, `maxpool` (where there is one), `layer1`, ... -> (N, [T',] H', W', C).
    """
    maps = {}
    x = _convolve(x, stem(config), prefix)
    x = maps["stem"] = keras.layers.ReLU(name=f"{prefix}stem")(x)
    if config.stem_pool:
        x = _layer("ZeroPadding", config.rank)(1, name=f"{prefix}maxpool_pad")(x)
        x = maps["maxpool"] = _layer("MaxPooling", config.rank)(3, 2, name=f"{prefix}maxpool")(x)
    for stage, blocks in stages(config).items():
        for block in blocks:
            last = block is blocks[-1]
            x = _residual(x, block, stage if last else block.name, prefix)
        maps[stage] = x
    return maps


def stage_model(model: keras.Model, names: Sequence[str]) -> keras.Model:
    """The same network, giving out the maps of several layers: a dictionary name -> (N, ..., C).

    Raises:
        ValueError: there is no such layer.
    """
    return keras.Model(model.input, {name: model.get_layer(name).output for name in names}, name=f"{model.name}_stages")


# === Layers ===


def _residual(x: keras.KerasTensor, block: Block, out_name: str, prefix: str) -> keras.KerasTensor:
    """One block; its output is the layer `out_name`."""
    shortcut = x if block.shortcut is None else _convolve(x, block.shortcut, prefix)
    for number, unit in enumerate(block.path, start=1):
        x = _convolve(x, unit, prefix)
        if number < len(block.path):
            x = keras.layers.ReLU(name=f"{prefix}{block.name}_relu{number}")(x)
    x = keras.layers.Add(name=f"{prefix}{block.name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{prefix}{out_name}")(x)


def _convolve(x: keras.KerasTensor, unit: Convolution, prefix: str) -> keras.KerasTensor:
    """Padding, convolution and batch normalisation; padded by half a kernel on every side, as in PyTorch."""
    rank, name = len(unit.kernel), prefix + unit.name
    padding = "same"  # even on both sides where the stride is 1
    if max(unit.strides) > 1:
        padding = "valid"
        if max(unit.kernel) > 1:
            x = _layer("ZeroPadding", rank)(tuple(size // 2 for size in unit.kernel), name=f"{name}_pad")(x)
    if unit.groups > 1:
        x = GroupedConv2D(unit.outputs, unit.kernel, unit.groups, unit.strides, padding, name=name)(x)
    else:
        x = _layer("Conv", rank)(
            unit.outputs, unit.kernel, unit.strides, padding, use_bias=False, name=name, kernel_initializer="he_normal"
        )(x)
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=EPSILON, name=prefix + unit.norm)(x)


def _layer(kind: str, rank: int) -> type[keras.layers.Layer]:
    return getattr(keras.layers, f"{kind}{rank}D")
