"""Adam with one fused kernel a variable, and the clipping that stays right on many replicas."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class FusedAdam(keras.optimizers.Adam):
    """Keras' Adam whose update is TensorFlow's fused kernel on one device; the same numbers, a fifth of the passes.

    On many replicas the variables are mirrored and Keras' own update is used.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one variable."""
        # Keras hands over its own variable or, from `apply`, the tf.Variable inside.
        value = variable.value if isinstance(variable, keras.Variable) else variable
        if self.amsgrad or not hasattr(value, "handle") or tf.distribute.get_strategy().num_replicas_in_sync > 1:
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, value.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=value.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, value.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, value.dtype), step),
            lr=tf.cast(learning_rate, value.dtype),
            beta1=tf.cast(self.beta_1, value.dtype),
            beta2=tf.cast(self.beta_2, value.dtype),
            epsilon=tf.cast(self.epsilon, value.dtype),
            grad=tf.convert_to_tensor(gradient),
        )


def build(learning_rate: float, variables: list[keras.Variable], adam: type[FusedAdam] = FusedAdam) -> FusedAdam:
    """Adam as the release sets it (0.9, 0.999, 1e-8), its slots made now so that they can be restored."""
    optimizer = adam(learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8)
    optimizer.build(variables)
    return optimizer


def global_gradients(gradients: list[tf.Tensor], clip_norm: float) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Gradients of the global batch, clipped by their norm, ready for `optimizer.apply`; and the norm.

    Keras clips each replica before the sum, which is another step (specs, export-and-distribution). Here replicas are
    summed first; what `apply` will sum again is divided by their number.
    """
    context = tf.distribute.get_replica_context()
    replicas = 1 if context is None else context.num_replicas_in_sync
    if replicas > 1:
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    norm = tf.linalg.global_norm(gradients)
    if clip_norm:
        gradients, _ = tf.clip_by_global_norm(gradients, clip_norm, use_norm=norm)
    if replicas > 1:
        gradients = [gradient / replicas for gradient in gradients]
    return gradients, norm
