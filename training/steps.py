"""The training step: videos, captions and reward meet here; one `tf.function` with one trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from glrg_tf.captioner.distributions import Shard
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.data.batches import Batch
from training import distribution, execution, loss_scale
from training import optimizer as optimizers
from training.objectives.base import Objective, TensorBatch

SCHEDULED = ("learning_rate", "sampling_probability", "mixer_from", "baseline_size")
_SCHEDULED_TYPES = (tf.float32, tf.float32, tf.int32, tf.int32)

StepFunction = Callable[[Batch, tf.Tensor, dict[str, tf.Tensor]], dict[str, tf.Tensor]]


def build_train_step(
    model: CaptionerModel,
    objective: Objective,
    optimizer: optimizers.FusedAdam,
    *,
    seed: int,
    captions_per_video: int,
    clip_norm: float = 0.25,
    strategy: tf.distribute.Strategy | None = None,
    averaged: list[tf.Variable] | None = None,
    ema_decay: float = 0.0,
    form: execution.Execution = execution.Execution(),  # noqa: B008  (immutable)
    scale: loss_scale.LossScale | None = None,
    videos: int | None = None,
) -> StepFunction:
    """Compiles one optimisation step.

    Args:
        model: networks to train.
        objective: what to minimise.
        optimizer: its slots built on `model.trainable_variables`.
        seed: all randomness of a step is a function of (seed, step, place in the global batch).
        captions_per_video: G, fixed in the signature.
        clip_norm: global norm of the gradient; 0 leaves it alone.
        strategy: replicas share the batch; None is one device.
        averaged: exponential moving averages to update, one a variable.
        ema_decay: their decay.
        form: see `execution.choose`. Static forms are traced once for each bucket of caption lengths.
        scale: of the loss, for float16; `optimizer` is then a `SkippingAdam`.
        videos: in the global batch; needed on several replicas, which share it as `distribution.first_place` says.

    Returns:
        step(batch, step number int64 (), schedule) -> metrics, float32 scalars, `loss` and `gradient_norm` among them.
    """
    strategy = strategy or tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync

    def replica_step(batch: Batch, step: tf.Tensor, schedule: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        context = tf.distribute.get_replica_context()
        shard = Shard()
        if replicas > 1:
            shard = Shard(distribution.first_place(context.replica_id_in_sync_group, replicas, videos), videos)
        rng = tf.random.experimental.stateless_fold_in(tf.constant([seed, 0]), step)
        tensors = TensorBatch(*batch, schedule=schedule, execution=form, shard=shard)
        variables = model.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in variables])
            loss, metrics = objective.loss(model, tensors, rng)
            minimised = loss if scale is None else loss * scale.scale
        gradients = tape.gradient(minimised, [variable.value for variable in variables])
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        if scale is not None:
            gradients = scale.unscaled(gradients)
        gradients, norm = optimizers.global_gradients(gradients, clip_norm)
        if scale is not None:
            gradients, norm, scaling = _guard(scale, gradients, norm)
            metrics = {**metrics, **scaling}
        optimizer.learning_rate.assign(schedule["learning_rate"])
        optimizer.apply(gradients, variables)
        # Young averages forget faster, or a model from scratch would be judged by its random start for epochs.
        done = tf.cast(step, tf.float32)
        decay = tf.minimum(ema_decay, (1.0 + done) / (10.0 + done))
        for average, variable in zip(averaged or [], variables, strict=False):
            average.assign_sub((1.0 - decay) * (average - variable.value))
        return {"loss": loss, "gradient_norm": norm, **metrics}

    if replicas == 1 and form.static:
        compiled = tf.function(replica_step, jit_compile=form.compiled)
        samples = getattr(objective, "samples", False)
        return compiled if samples else execution.bucketed(compiled, model.config.max_length)
    width = model.config.feature_size
    signature = [
        Batch(
            tf.TensorSpec([None, width], tf.float32),
            tf.TensorSpec([None, captions_per_video, model.config.max_length], tf.int32),
            tf.TensorSpec([None, captions_per_video], tf.float32),
            tf.TensorSpec([None], tf.int32),
        ),
        tf.TensorSpec([], tf.int64),
        {name: tf.TensorSpec([], dtype) for name, dtype in zip(SCHEDULED, _SCHEDULED_TYPES, strict=True)},
    ]
    if replicas == 1:
        return tf.function(replica_step, input_signature=signature)

    @tf.function
    def distributed(batch: Any, step: tf.Tensor, schedule: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        metrics = strategy.run(replica_step, args=(batch, step, schedule))
        # Metrics are already sums over the global batch on every replica; the loss is this replica's part of it.
        local = {name: strategy.experimental_local_results(value)[0] for name, value in metrics.items()}
        return {**local, "loss": strategy.reduce(tf.distribute.ReduceOp.SUM, metrics["loss"], axis=None)}

    return distributed


def _guard(
    scale: loss_scale.LossScale, gradients: list[tf.Tensor], norm: tf.Tensor
) -> tuple[list[tf.Tensor], tf.Tensor, dict[str, tf.Tensor]]:
    """Marks gradients that overflowed and moves the scale; a skipped step's norm is told as 0."""
    finite = tf.math.is_finite(norm)
    metrics = {"loss_scale": tf.identity(scale.scale), "skipped": 1.0 - tf.cast(finite, tf.float32)}
    scale.update(finite)
    return loss_scale.spoiled(gradients, finite), tf.where(finite, norm, 0.0), metrics


def schedule_tensors(values: dict[str, float]) -> dict[str, tf.Tensor]:
    """Scheduled values as tensors of the step's signature."""
    return {n: tf.constant(values[n], d) for n, d in zip(SCHEDULED, _SCHEDULED_TYPES, strict=True)}
