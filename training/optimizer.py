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
        unfit = self.amsgrad or not hasattr(_inner(variable), "handle")
        if unfit or tf.distribute.get_strategy().num_replicas_in_sync > 1:
            super().update_step(gradient, variable, learning_rate)
            return
        self.move(gradient, variable, learning_rate, self.powers())

    def powers(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The two betas to the power of the step that is being made, float32 ()."""
        step = tf.cast(self.iterations + 1, tf.float32)
        return tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)

    def move(self, gradient: Any, variable: Any, rate: Any, powers: tuple[tf.Tensor, tf.Tensor]) -> None:
        """Moves one variable by the fused kernel; `powers` of this step may serve all variables."""
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=_inner(variable).handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=powers[0],
            beta2_power=powers[1],
            lr=tf.cast(rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.convert_to_tensor(gradient),
        )


def _inner(variable: Any) -> Any:
    """The tf.Variable itself: Keras hands over its own variable or, from `apply`, what is inside."""
    return variable.value if isinstance(variable, keras.Variable) else variable


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
