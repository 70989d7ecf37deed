"""Discriminative cross-entropy (GL-RG eq. 8): the cross-entropy of each reference weighted by how good it is.

m(S) is the reference's consensus score against the video's other references. Matches `RewardCriterion` as the release
uses it for DXE (the divisor counts tokens, not weights) except:
- the 29th target is trained too; `compat` stops at 28 as the release does (specs section 15.6);
- captions share their dropout mask while they share a prefix; `compat` draws one a caption.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from glrg_tf.captioner.model import CaptionerModel
from training.objectives import base


@dataclasses.dataclass(frozen=True)
class DiscriminativeCrossEntropy:
    """DXE, with scheduled sampling if asked.

    `loss` reads `token_ids` (B, G, L), `consensus` (B, G) and `schedule["sampling_probability"]`.
    """

    scheduled_sampling: bool = False  # whether inputs may be drawn from the model
    compat: bool = False  # leave the last target out and draw a mask a caption, as the release
    name: str = "dxe"

    def loss(self, model: CaptionerModel, batch: base.TensorBatch, rng: tf.Tensor) -> tuple[tf.Tensor, base.Metrics]:
        """See `base.Objective.loss`."""
        steps = model.config.max_length - (2 if self.compat else 1)
        rollout = base.teacher_forced(
            model,
            batch,
            rng,
            steps=steps,
            scheduled_sampling=self.scheduled_sampling,
            mask_per_caption=self.compat,
        )
        weights = tf.gather(tf.reshape(batch.consensus, [-1]), rollout.captions)
        loss, tokens = base.token_mean(rollout, weights)
        return loss, base.teacher_metrics(rollout, tokens)
