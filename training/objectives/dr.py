"""Discrepant reward (GL-RG eq. 9-10): REINFORCE on sampled captions, reward minus a baseline of the video.

Departures from the release (`compat` restores its behaviour):
- sampling stops at the first <end>; the release draws on and trains on what follows (specs section 15.2);
- b1 and b2 average the Q highest scores, the release the lowest (specs section 8);
- the self-critical baseline is the greedy caption without dropout; the release decodes it with dropout on.
Sampling, reward, baseline and gradient are one graph; the activations of the sampling carry the gradient.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import ClassVar, Literal

import tensorflow as tf

from glrg_tf.captioner import decoding
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.static_rollout import static_greedy
from training import baselines
from training.objectives import base

Reward = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # token_ids (N, T), video_rows (N,) -> float32 (N,)


@dataclasses.dataclass(frozen=True)
class DiscrepantReward:
    """DR with its baseline.

    `loss` reads `video_rows` (B,), `consensus` (B, G; only b1), `token_ids` (B, G, L; only under MIXER),
    `schedule["mixer_from"]` and `schedule["baseline_size"]`.
    """

    reward: Reward
    baseline: Literal["b1", "b2", "scst", "loo", "none"] = "b2"
    compat: bool = False  # the release's behaviour where it differs (see above)
    name: str = "dr"
    samples: ClassVar[bool] = True  # captions are drawn: the labels' length says nothing about theirs

    @property
    def compilable(self) -> bool:
        """Whether XLA can compile the reward."""
        return hasattr(self.reward, "compiled")

    def loss(self, model: CaptionerModel, batch: base.TensorBatch, rng: tf.Tensor) -> tuple[tf.Tensor, base.Metrics]:
        """See `base.Objective.loss`."""
        steps = model.config.max_length - 2
        videos, captions = tf.shape(batch.token_ids)[0], tf.shape(batch.token_ids)[1]
        rollout = base.sampled(model, batch, rng, steps=steps, stop_at_end=not self.compat)
        tokens = rollout.token_ids(videos * captions, steps)
        rewards = tf.stop_gradient(self._score(batch, tokens, tf.repeat(batch.video_rows, captions)))
        rewards = tf.reshape(rewards, [videos, captions])
        baseline = tf.stop_gradient(self._baseline(model, batch, rewards, rng))
        advantage = rewards - baseline
        weights = tf.gather(tf.reshape(advantage, [-1]), rollout.captions)
        if self.compat:
            loss, count = self._release_loss(rollout, weights, tokens)
        else:
            loss, count = base.token_mean(rollout, weights)
        share = 1.0 / base.replica_sum(tf.cast(videos * captions, tf.float32))
        ended = tf.reduce_any(tf.equal(tokens, 0), axis=1)
        sums = {
            "reward": tf.reduce_sum(rewards),
            "baseline": tf.reduce_sum(tf.broadcast_to(baseline, tf.shape(rewards))),
            "advantage_square": tf.reduce_sum(advantage**2),
            "length": tf.reduce_sum(tf.cast(tf.not_equal(tokens, 0), tf.float32)),
            "ended": tf.reduce_sum(tf.cast(ended, tf.float32)),
        }
        metrics = {name: base.replica_sum(value * share) for name, value in sums.items()}
        return loss, {**metrics, "tokens": count}

    def _baseline(
        self, model: CaptionerModel, batch: base.TensorBatch, rewards: tf.Tensor, rng: tf.Tensor
    ) -> tf.Tensor:
        """Baseline float32, (B, 1) or (B, G)."""
        size = batch.schedule["baseline_size"]
        if self.baseline == "none":
            return tf.zeros_like(rewards[:, :1])
        if self.baseline == "b1":
            return baselines.mean_of_extreme(batch.consensus, size, lowest=self.compat)
        if self.baseline == "b2":
            return baselines.mean_of_extreme(rewards, size, lowest=self.compat)
        if self.baseline == "loo":
            return baselines.leave_one_out(rewards)
        dropout = None if self.compat else 0.0
        gates = base.video_gates(model, batch.features, base.stream(rng, base.BASELINE), dropout, batch.shard)
        weights, steps = model.decoder_weights(), model.config.max_length - 2
        if batch.execution.static:
            tokens = static_greedy(weights, gates, steps, batch.execution.product)
        else:
            tokens = decoding.greedy(weights, gates, steps).token_ids[:, 0]
        return self._score(batch, tokens, batch.video_rows)[:, None]

    def _score(self, batch: base.TensorBatch, tokens: tf.Tensor, video_rows: tf.Tensor) -> tf.Tensor:
        """Rewards float32 (N,) of captions (N, T), in the form that the step's execution asks for."""
        reward = self.reward.compiled if batch.execution.compiled else self.reward
        return reward(tokens, video_rows)

    @staticmethod
    def _release_loss(rollout: base.Rollout, weights: tf.Tensor, tokens: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The release's mask: a position counts if it is the first or the token before it is not 0."""
        before = tf.gather_nd(tokens, tf.stack([rollout.captions, tf.maximum(rollout.steps - 1, 0)], axis=1))
        mask = tf.cast(tf.logical_or(tf.equal(rollout.steps, 0), tf.not_equal(before, 0)), tf.float32)
        count = base.replica_sum(tf.reduce_sum(mask))
        return -tf.reduce_sum(tf.stop_gradient(weights) * mask * rollout.log_probs) / count, count
