"""Training steps: XE, DXE and the reinforcement step with each baseline, Adam included.

Both sides start from the same trained weights and use a learning rate of 0, so every run does the same work (samples
of a trained model are short and begin alike; those of a fresh one run to the limit). Plain form: `PlainTrainer`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import floor
from benchmarks.case import Case, Options, Work
from benchmarks.material import CAPTIONS, Material
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.data.batches import Batch
from glrg_tf.metrics.ciderd import CiderD
from tests.references import plain_ciderd, plain_steps
from training import optimizer as optimizers
from training import steps
from training.objectives import base
from training.objectives.dr import DiscrepantReward
from training.objectives.dxe import DiscriminativeCrossEntropy
from training.objectives.xe import CrossEntropy

NAMES = ("xe_step", "dxe_step", "dr_b1_step", "dr_b2_step", "scst_step")
_SCHEDULE = {"learning_rate": 0.0, "sampling_probability": 0.0, "mixer_from": 1, "baseline_size": CAPTIONS}
_SEED = 7


def build(options: Options, material: Material) -> Case:
    """The case of one of `NAMES`."""
    model = CaptionerModel(CaptionerConfig(vocabulary_size=material.vocabulary))
    model.set_weights(material.weights)
    rows = material.rows(options.batch)
    batch = Batch(material.features[rows], material.token_ids[rows], material.consensus[rows], rows)
    tensors = Batch(*(tf.constant(part) for part in batch))
    objective = _objective(options.name, material)
    sizes = floor.Sizes(material.vocabulary, material.features.shape[1], model.config.hidden_size)

    def flops() -> float:
        if not options.name.endswith(("xe_step", "dxe_step")):
            return _reinforcement_flops(options.name, model, tensors, sizes)
        return floor.training_flops(floor.count_positions(batch.token_ids), sizes)

    return Case(
        ours=shipped_step(model, objective, tensors),
        build_reference=lambda: _plain_step(options.name, material, batch),
        flops=flops,
    )


def shipped_step(model: CaptionerModel, objective: base.Objective, batch: Batch) -> Work:
    """The training loop's step on one batch; returns its loss."""
    optimizer = optimizers.build(0.0, model.trainable_variables)
    step = steps.build_train_step(model, objective, optimizer, seed=_SEED, captions_per_video=CAPTIONS)
    schedule = steps.schedule_tensors(_SCHEDULE)
    number = iter(range(1 << 30))
    return lambda: float(step(batch, tf.constant(next(number), tf.int64), schedule)["loss"])


def _objective(name: str, material: Material) -> base.Objective:
    if name == "xe_step":
        return CrossEntropy()
    if name == "dxe_step":
        return DiscriminativeCrossEntropy()
    reward = CiderD.from_references(material.references())
    return DiscrepantReward(reward, _baseline(name))


def _baseline(name: str) -> Any:
    return name.removesuffix("_step").removeprefix("dr_")


def _plain_step(name: str, material: Material, batch: Batch) -> Work:
    features, token_ids = tf.constant(batch.features), tf.constant(batch.token_ids)
    scorer = None
    if name not in ("xe_step", "dxe_step"):
        # As the release calls it: references are cut into n-grams again for every caption.
        scorer = plain_ciderd.PlainCiderD(material.references(), cache="nothing")
    trainer = plain_steps.PlainTrainer(material.weights, CAPTIONS, learning_rate=0.0, scorer=scorer)
    if name == "xe_step":
        return lambda: float(trainer.xe_step(features, token_ids))
    if name == "dxe_step":
        scores = tf.constant(batch.consensus)
        return lambda: float(trainer.dxe_step(features, token_ids, scores))
    baseline = _baseline(name)
    return lambda: float(trainer.reinforcement_step(features, batch.video_rows, baseline, batch.consensus))


def _reinforcement_flops(name: str, model: CaptionerModel, batch: Batch, sizes: floor.Sizes) -> float:
    """The floor of captions the model draws now; other draws differ by a few per cent."""
    sampled = draw_captions(model, batch)
    flops = floor.training_flops(floor.count_positions(sampled), sizes)
    if name == "scst_step":
        from glrg_tf.captioner import decoding

        decoded = decoding.greedy(model.decoder_weights(), model.encode(batch.features))
        steps_taken = np.count_nonzero(decoded.token_ids.numpy(), axis=2) + 1
        flops += floor.decoding_flops(int(steps_taken.sum()), len(batch.features), sizes)
    return flops


def draw_captions(model: CaptionerModel, batch: Batch) -> np.ndarray:
    """Label rows int32 (B, G, 30) of captions drawn as a reinforcement step draws them."""
    schedule = steps.schedule_tensors(_SCHEDULE)

    @tf.function
    def draw() -> tf.Tensor:
        rollout = base.sampled(
            model, base.TensorBatch(*batch, schedule=schedule), tf.constant([_SEED, 0]), steps=28, stop_at_end=True
        )
        return rollout.token_ids(tf.size(batch.consensus), 28)

    words = draw().numpy().reshape(*batch.consensus.shape, 28)
    return np.pad(np.pad(words, [(0, 0), (0, 0), (1, 0)], constant_values=1), [(0, 0), (0, 0), (0, 1)])
