"""Prepares the material of a suite once, in a process of its own: `python -m benchmarks.prepare VOCABULARY FILE`.

Made-up material comes without weights; a model is then trained on it for some steps, so that it speaks: it ends its
captions and begins them alike, which is what the shared work of the fast path depends on.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np

from benchmarks import material
from benchmarks.material import CAPTIONS, Material

TRAINING_STEPS = 60
_LEARNING_RATE = 2e-3


def short_training(data: Material, training_steps: int = TRAINING_STEPS) -> dict[str, np.ndarray]:
    """Weights after a few cross-entropy steps on `data`."""
    import tensorflow as tf

    from glrg_tf.captioner.model import CaptionerModel
    from glrg_tf.captioner.presets import CaptionerConfig
    from glrg_tf.data.batches import CaptionBatches
    from training import optimizer as optimizers
    from training import steps
    from training.objectives.xe import CrossEntropy

    model = CaptionerModel(CaptionerConfig(vocabulary_size=data.vocabulary))
    optimizer = optimizers.build(_LEARNING_RATE, model.trainable_variables)
    step = steps.build_train_step(model, CrossEntropy(), optimizer, seed=0, captions_per_video=CAPTIONS)
    schedule = {"learning_rate": _LEARNING_RATE, "sampling_probability": 0.0, "mixer_from": 1, "baseline_size": 0}
    tensors = steps.schedule_tensors(schedule)
    batches = CaptionBatches(
        lambda rows: data.features[rows], list(data.token_ids), list(data.consensus), 32, CAPTIONS, 0
    )
    for number in range(training_steps):
        step(batches.batch(number), tf.constant(number, tf.int64), tensors)
    return model.get_weights()


def main(vocabulary: str, path: str) -> None:
    """Writes the material of a vocabulary size to `path`."""
    data = material.find(int(vocabulary))
    if data.weights is None:
        data = dataclasses.replace(data, weights=short_training(data))
    material.save(data, Path(path))


if __name__ == "__main__":
    main(*sys.argv[1:])
