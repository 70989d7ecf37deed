"""Grouped 2D convolution that runs, trains and exports on any device.

Keras' own `Conv2D(groups=...)` sends grouped convolutions through XLA on every device. On a processor that takes 2 to 4
times as long as TensorFlow's own kernel forward and 150 to 400 times as long backward (docs/backbones.md), and
tf2onnx cannot convert it. TensorFlow's `Conv2D` op itself takes groups (channels in / kernel's channels in), also on a
processor; what its build without oneDNN lacks is the gradient. There, one small convolution a group takes its place.
"""

from __future__ import annotations

import functools

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("glrg_tf")
class GroupedConv2D(keras.layers.Layer):
    """2D convolution without bias or padding in groups of channels, channels last.

    Output channels `o * i .. o * (i + 1)` see input channels `c * i .. c * (i + 1)` of group i alone, as in PyTorch.

    Args:
        filters: output channels, a multiple of `groups`.
        kernel_size: height and width.
        groups: how many.
        strides: height and width.
        padding: "valid" or "same".

    Example:
        >>> GroupedConv2D(256, (3, 3), 32)(keras.ops.ones((1, 58, 58, 256))).shape
        (1, 56, 56, 256)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: tuple[int, int],
        groups: int,
        strides: tuple[int, int] = (1, 1),
        padding: str = "valid",
        **options: object,
    ) -> None:
        super().__init__(**options)
        self.filters, self.groups = filters, groups
        self.kernel_size, self.strides, self.padding = tuple(kernel_size), tuple(strides), padding

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights: kernel float32 (kh, kw, channels / groups, filters)."""
        channels = input_shape[-1]
        if channels is None or channels % self.groups or self.filters % self.groups:
            raise ValueError(f"{self.groups} groups do not divide {channels} channels into {self.filters} filters")
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer="he_normal")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolves float (N, H, W, C) into (N, H', W', filters)."""
        kernel, padding = tf.cast(self.kernel, inputs.dtype), self.padding.upper()
        if _native_kernels():
            return tf.nn.conv2d(inputs, kernel, self.strides, padding)
        parts = zip(tf.split(inputs, self.groups, -1), tf.split(kernel, self.groups, -1), strict=True)
        return tf.concat([tf.nn.conv2d(x, k, self.strides, padding) for x, k in parts], -1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Shape of the output of inputs (N, H, W, C)."""
        sides = []
        for side, kernel, stride in zip(input_shape[1:3], self.kernel_size, self.strides, strict=True):
            spare = 1 if self.padding == "same" else kernel
            sides.append(None if side is None else (side - spare) // stride + 1)
        return (input_shape[0], *sides, self.filters)

    def get_config(self) -> dict[str, object]:
        """What rebuilds the layer."""
        names = ("filters", "kernel_size", "groups", "strides", "padding")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@functools.cache
def _native_kernels() -> bool:
    """Whether this build has the gradients of grouped convolutions; asked once, with the smallest one there is."""
    with tf.init_scope():  # tapes are paused in here, so the gradient's ops are called by name
        images, kernel, outputs = tf.ones((1, 1, 1, 4)), tf.ones((1, 1, 2, 4)), tf.ones((1, 1, 1, 4))
        options = {"out_backprop": outputs, "strides": [1, 1, 1, 1], "padding": "VALID"}
        try:
            tf.raw_ops.Conv2DBackpropInput(input_sizes=[1, 1, 1, 4], filter=kernel, **options)
            tf.raw_ops.Conv2DBackpropFilter(input=images, filter_sizes=[1, 1, 2, 4], **options)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return False
    return True
