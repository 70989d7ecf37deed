"""Matrix products in low precision: factors rounded to bfloat16 or float16, sums and results float32.

Everything between the products (gates, states, logits, softmax, loss) stays float32, and so do the weights: what is
low here are only the factors, which is what tensor cores read. The same holds for the two products of the gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import tensorflow as tf

Precision = Literal["float32", "bfloat16", "float16"]
Product = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # (n, k), (k, m) -> (n, m), all float32

_TYPES = {"bfloat16": tf.bfloat16, "float16": tf.float16}


def make_product(precision: Precision, compiled: bool) -> Product:
    """The product of a training step.

    Args:
        precision: type that the factors are rounded to.
        compiled: whether the caller is compiled by XLA, which knows products of low factors with float32 results.
            TensorFlow's own kernels do not: there the rounded factors are multiplied as float32, for equal results.
    """
    if precision == "float32":
        return tf.matmul
    low = _TYPES[precision]

    def dot(left: tf.Tensor, right: tf.Tensor, adjoint_left: bool = False, adjoint_right: bool = False) -> tf.Tensor:
        left, right = tf.cast(left, low), tf.cast(right, low)
        if compiled:
            return tf.raw_ops.BatchMatMulV3(x=left, y=right, Tout=tf.float32, adj_x=adjoint_left, adj_y=adjoint_right)
        left, right = tf.cast(left, tf.float32), tf.cast(right, tf.float32)
        return tf.matmul(left, right, transpose_a=adjoint_left, transpose_b=adjoint_right)

    @tf.custom_gradient
    def product(left: tf.Tensor, right: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor, tf.Tensor]]]:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return dot(upstream, right, adjoint_right=True), dot(left, upstream, adjoint_left=True)

        return dot(left, right), gradient

    return product
