"""What the objectives share: the batch as tensors, random streams, masks, sums over replicas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import tensorflow as tf

from glrg_tf.captioner.distributions import Shard, dropout_mask
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.rollout import Rollout, RolloutInputs, rollout
from glrg_tf.captioner.static_rollout import static_rollout
from training.execution import Execution

Metrics = dict[str, tf.Tensor]

# Streams of the step's seed; the rollout takes its own numbers below one of them.
_VIDEO_DROPOUT, _ROLLOUT, _COINS, BASELINE = 1, 2, 3, 4


class TensorBatch(NamedTuple):
    """One batch on the device, with the scheduled values of its epoch."""

    features: tf.Tensor  # float32 (B, D)
    token_ids: tf.Tensor  # int32 (B, G, L)
    consensus: tf.Tensor  # float32 (B, G)
    video_rows: tf.Tensor  # int32 (B,)
    schedule: Mapping[str, tf.Tensor]  # scalars: sampling_probability, mixer_from, baseline_size
    execution: Execution = Execution()  # in which form the step is computed
    shard: Shard = Shard()  # which videos of the global batch these are


class Objective(Protocol):
    """One training objective."""

    name: str

    def loss(self, model: CaptionerModel, batch: TensorBatch, rng: tf.Tensor) -> tuple[tf.Tensor, Metrics]:
        """Loss and metrics of one batch.

        Args:
            model: the captioner's networks.
            batch: see `TensorBatch`.
            rng: int32 (2,), seed of everything random in this step.

        Returns:
            float32 () loss, whose sum over replicas is the loss of the global batch; float32 () metrics, sums with
            their divisors already applied over the global batch.
        """
        ...


def video_gates(
    model: CaptionerModel,
    features: tf.Tensor,
    rng: tf.Tensor,
    dropout: float | None = None,
    shard: Shard = Shard(),  # noqa: B008  (immutable)
) -> tf.Tensor:
    """The video's part of the gates float32 (B, 4H), with dropout on the video embedding (specs 5.4)."""
    rate = model.config.dropout if dropout is None else dropout
    embedding = model.encoder(features)
    if rate:
        videos, width = tf.unstack(tf.shape(embedding))
        mask = dropout_mask([shard.of_all(videos), width], rate, stream(rng, _VIDEO_DROPOUT))
        embedding *= shard.take(mask, videos)
    return model.video_projection(embedding)


def teacher_forced(
    model: CaptionerModel,
    batch: TensorBatch,
    rng: tf.Tensor,
    *,
    steps: int,
    scheduled_sampling: bool,
    mask_per_caption: bool,
) -> Rollout:
    """Log-probabilities of the captions' own words, some inputs drawn from the model if scheduled."""
    captions = tf.shape(batch.token_ids)[1]
    labels = tf.reshape(batch.token_ids, [-1, batch.token_ids.shape[2]])
    draws = None
    if scheduled_sampling:
        count, length = tf.unstack(tf.shape(labels))
        coins = tf.random.stateless_uniform([batch.shard.of_all(count, captions), length], stream(rng, _COINS))
        draws = batch.shard.take(coins, count, captions) < batch.schedule["sampling_probability"]
    inputs = RolloutInputs(
        labels,
        draws,
        False,
        steps,
        captions,
        model.config.dropout,
        stream(rng, _ROLLOUT),
        mask_per_caption=mask_per_caption,
        shard=batch.shard,
    )
    return _decoded(model, batch, rng, inputs)


def sampled(model: CaptionerModel, batch: TensorBatch, rng: tf.Tensor, *, steps: int, stop_at_end: bool) -> Rollout:
    """Captions drawn from the model, from step `mixer_from` on; before it they read the ground truth (MIXER)."""
    captions = tf.shape(batch.token_ids)[1]
    labels = tf.reshape(batch.token_ids, [-1, batch.token_ids.shape[2]])
    drawn = tf.range(tf.shape(labels)[1]) >= batch.schedule["mixer_from"]
    draws = tf.broadcast_to(drawn[None], tf.shape(labels))
    seed = stream(rng, _ROLLOUT)
    inputs = RolloutInputs(
        labels, draws, True, steps, captions, model.config.dropout, seed, stop_at_end, shard=batch.shard
    )
    return _decoded(model, batch, rng, inputs)


def _decoded(model: CaptionerModel, batch: TensorBatch, rng: tf.Tensor, inputs: RolloutInputs) -> Rollout:
    """The rollout in the form that the step's execution asks for."""
    weights, gates = model.decoder_weights(), video_gates(model, batch.features, rng, shard=batch.shard)
    if not batch.execution.static:
        return rollout(weights, gates, inputs)
    # Labels may have been cut to the longest caption's bucket: what lies beyond is padding.
    inputs = inputs._replace(steps=min(inputs.steps, batch.token_ids.shape[2] - 1))
    return static_rollout(weights, gates, inputs, batch.execution.product)


def stream(rng: tf.Tensor, number: int) -> tf.Tensor:
    """An independent seed of the step's seed."""
    return tf.random.experimental.stateless_fold_in(rng, number)


def replica_sum(value: tf.Tensor) -> tf.Tensor:
    """Sum of a scalar over all replicas; the value itself outside of a strategy's replicas."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def token_mean(rollouts: Rollout, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """-sum(weights * log p) / tokens of the global batch, and that number of tokens.

    Args:
        rollouts: positions P; those that are not valid count nowhere (their log-probability is 0).
        weights: float32 (P,), constants; a position of weight 0 still counts in the divisor, as in the release.
    """
    valid = rollouts.valid
    count = tf.size(rollouts.log_probs) if valid is None else tf.reduce_sum(tf.cast(valid, tf.int32))
    tokens = replica_sum(tf.cast(count, tf.float32))
    return -tf.reduce_sum(tf.stop_gradient(weights) * rollouts.log_probs) / tokens, tokens


def teacher_metrics(rollouts: Rollout, tokens: tf.Tensor) -> Metrics:
    """Metrics of a teacher-forced step: cross-entropy a token, tokens, share of prefixes computed."""
    nll = -tf.stop_gradient(tf.reduce_sum(rollouts.log_probs)) / tokens
    return {"cross_entropy": replica_sum(nll), "tokens": tokens}
