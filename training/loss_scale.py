"""Dynamic loss scaling for float16 gradients, and the Adam that leaves everything as it was after an overflow.

The scale doubles after `INTERVAL` steps without overflow and halves at each. Whether a step overflowed is read off the
norm of the gradient summed over all replicas, so all of them skip together (Keras' LossScaleOptimizer lets each decide
for itself). A skipped step still counts in the step number and in Adam's bias correction, which keeps both functions
of the step alone.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from training.optimizer import FusedAdam

START, SMALLEST, LARGEST = 2.0**15, 1.0, 2.0**24
INTERVAL = 200  # good steps before the scale doubles


class LossScale:
    """The scale and how many steps it has held; make it under the strategy's scope."""

    def __init__(self) -> None:
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA  # all replicas compute the same
        self.scale = tf.Variable(START, trainable=False, name="loss_scale", aggregation=first)
        self.good_steps = tf.Variable(0.0, trainable=False, name="loss_scale_good_steps", aggregation=first)

    def slots(self) -> dict[str, tf.Variable]:
        """What a checkpoint must hold."""
        return {"loss_scale/scale": self.scale, "loss_scale/good_steps": self.good_steps}

    def unscaled(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """Gradients of the loss from those of the scaled loss."""
        return [gradient / self.scale for gradient in gradients]

    def update(self, finite: tf.Tensor) -> None:
        """Moves the scale; `finite` bool (): the gradient of the global batch was."""
        held = tf.where(finite, self.good_steps + 1.0, 0.0)
        grown = held >= INTERVAL
        scale = tf.where(finite, tf.where(grown, 2.0 * self.scale, self.scale), 0.5 * self.scale)
        self.scale.assign(tf.clip_by_value(scale, SMALLEST, LARGEST))
        self.good_steps.assign(tf.where(grown, 0.0, held))


def spoiled(gradients: list[tf.Tensor], finite: tf.Tensor) -> list[tf.Tensor]:
    """The gradients, all NaN unless `finite`: what `SkippingAdam` understands."""
    poison = tf.where(finite, 0.0, float("nan"))
    return [gradient + poison for gradient in gradients]


class SkippingAdam(FusedAdam):
    """Adam that moves neither weights nor moments for a gradient that is not finite; no branch, so XLA takes it."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one variable."""
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        gradient = tf.convert_to_tensor(gradient)
        finite = tf.reduce_all(tf.math.is_finite(gradient))
        gradient = tf.where(finite, gradient, 0.0)
        step = tf.cast(self.iterations + 1, tf.float32)
        rate = tf.cast(learning_rate, tf.float32) * tf.sqrt(1.0 - self.beta_2**step) / (1.0 - self.beta_1**step)
        new_momentum = momentum + (gradient - momentum) * (1.0 - self.beta_1)
        new_velocity = velocity + (tf.square(gradient) - velocity) * (1.0 - self.beta_2)
        moved = variable - rate * new_momentum / (tf.sqrt(new_velocity) + self.epsilon)
        for target, value in ((momentum, new_momentum), (velocity, new_velocity), (variable, moved)):
            self.assign(target, tf.where(finite, value, target))
