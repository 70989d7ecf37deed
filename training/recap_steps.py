"""One step of training a network of long video: cross-entropy, the mean over tokens.

Departs from the reference: labels beyond a text are -1 and take no part, neither in the sum nor in its divisor.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from glrg_tf.recap.model import RecapNetwork
from training.optimizer import FusedAdam, global_gradients
from training.recap_config import RecapTraining

Step = Callable[[dict[str, tf.Tensor], tf.Tensor], tf.Tensor]


def token_mean(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Cross-entropy in nats, the mean over the labels that are not -1, and their number.

    Args:
        logits: float32 (B, T, V).
        labels: int32 (B, T).
    """
    counted = tf.cast(labels >= 0, tf.float32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits)
    number = tf.reduce_sum(counted)
    return tf.math.divide_no_nan(tf.reduce_sum(losses * counted), number), number


def build_step(network: RecapNetwork, level: str, optimizer: FusedAdam, settings: RecapTraining) -> Step:
    """A step of one level: (arrays of a batch, learning rate) -> loss before the step."""
    model, variables = network.training_model(level), network.trainable_variables

    @tf.function(autograph=False, input_signature=[_signature(network, level), tf.TensorSpec([], tf.float32)])
    def step(batch: dict[str, tf.Tensor], rate: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss, _ = token_mean(model(_read(batch), training=True), batch["labels"])
        found = tape.gradient(loss, [variable.value for variable in variables])
        # What other levels alone read takes no part: neither moments nor decay of it move.
        pairs = [(g, v) for g, v in zip(found, variables, strict=True) if g is not None]
        gradients, _ = global_gradients([gradient for gradient, _ in pairs], settings.clip_norm)
        _apply(optimizer, gradients, [variable for _, variable in pairs], rate, settings.weight_decay)
        return loss

    return step


def _apply(
    optimizer: FusedAdam, gradients: list[tf.Tensor], variables: list[keras.Variable], rate: tf.Tensor, decay: float
) -> None:
    """Adam by TensorFlow's fused kernel, with decoupled decay of matrices: few operations to trace and run."""
    powers = optimizer.powers()
    for gradient, variable in zip(gradients, variables, strict=True):
        value = variable.value
        if decay and len(variable.shape) > 1:
            tf.raw_ops.ResourceApplyGradientDescent(var=value.handle, alpha=rate * decay, delta=value)
        optimizer.move(gradient, variable, rate, powers)
    optimizer.iterations.assign_add(1)


def build_loss(network: RecapNetwork, level: str) -> Callable[[dict[str, tf.Tensor]], tuple[tf.Tensor, tf.Tensor]]:
    """Arrays of a batch -> mean loss without dropout, and the number of tokens."""
    model = network.training_model(level)

    @tf.function(autograph=False, input_signature=[_signature(network, level)])
    def loss(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        return token_mean(model(_read(batch), training=False), batch["labels"])

    return loss


def _signature(network: RecapNetwork, level: str) -> dict[str, tf.TensorSpec]:
    """The arrays of a batch with free lengths: one trace, whatever comes."""
    inputs = network.training_model(level).input
    specs = {name: tf.TensorSpec(tensor.shape, tensor.dtype) for name, tensor in inputs.items()}
    return specs | {"labels": specs["token_ids"]}


def _read(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {name: tensor for name, tensor in batch.items() if name != "labels"}
