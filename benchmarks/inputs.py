"""Input pipeline: how long one training batch takes to make, beside how long a step takes to use it."""

from __future__ import annotations

from typing import Any

from benchmarks import steps
from benchmarks.case import Case, Options
from benchmarks.material import CAPTIONS, Material
from benchmarks.timing import measure
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.data.batches import CaptionBatches
from training.objectives.xe import CrossEntropy

NAMES = ("input_batch",)
_BATCHES = 32  # taken in one run: the few that wait in the prefetch buffer would look free


def build(options: Options, material: Material) -> Case:
    """A batch from the stream of `CaptionBatches`; the further columns say what share of an XE step it is.

    The loop prefetches, so a batch costs the step nothing while it takes less time than the step.
    """
    batches = CaptionBatches(
        lambda rows: material.features[rows],
        list(material.token_ids),
        list(material.consensus),
        options.batch,
        CAPTIONS,
        0,
    )
    stream = iter(batches.dataset(0, 1 << 20))

    def take() -> None:
        for _ in range(_BATCHES):
            next(stream)

    def share_of_step() -> dict[str, Any]:
        model = CaptionerModel(CaptionerConfig(vocabulary_size=material.vocabulary))
        model.set_weights(material.weights)
        step = steps.shipped_step(model, CrossEntropy(), batches.batch(0))
        step()
        step_s = measure(step, budget_s=1.0).minimum
        batch_s = measure(take, budget_s=0.2).minimum / _BATCHES
        return {"xe_step_s": step_s, "share_of_xe_step": batch_s / step_s}

    return Case(take, repeats=_BATCHES, extra=share_of_step)
