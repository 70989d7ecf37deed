"""Cross-entropy (GL-RG eq. 7): the mean of -log p over the words of all captions and their <end>.

Matches `CrossEntropyCriterion` of the release: a token mean over the whole batch, not one over captions. Departs from
it in one thing: captions share their dropout mask while they share a prefix (`compat` draws one a caption).
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from glrg_tf.captioner.model import CaptionerModel
from training.objectives import base


@dataclasses.dataclass(frozen=True)
class CrossEntropy:
    """XE, with scheduled sampling if asked.

    `loss` reads `token_ids` (B, G, L) and `schedule["sampling_probability"]`.
    """

    scheduled_sampling: bool = False  # whether inputs may be drawn from the model
    compat: bool = False  # a dropout mask a caption, as the release
    name: str = "xe"

    def loss(self, model: CaptionerModel, batch: base.TensorBatch, rng: tf.Tensor) -> tuple[tf.Tensor, base.Metrics]:
        """See `base.Objective.loss`."""
        steps = model.config.max_length - 1
        rollout = base.teacher_forced(
            model,
            batch,
            rng,
            steps=steps,
            scheduled_sampling=self.scheduled_sampling,
            mask_per_caption=self.compat,
        )
        loss, tokens = base.token_mean(rollout, tf.ones_like(rollout.log_probs))
        return loss, base.teacher_metrics(rollout, tokens)
