"""How long a plan will take on this machine: a few real steps of each phase, timed; nothing is written.

What it cannot know: whether training stops early, and how long the captions of a model become that is not trained yet.
Boosting is timed with captions as long as people's; validation with those of the untrained model, cut to that length.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from glrg_tf.captioner.captioner import VideoCaptioner
from training import phase_setup, schedules, steps
from training.config import PhaseConfig, PhaseName
from training.loop import PhaseRun
from training.phase_setup import Prepared, TrainingPlan

_STEPS = 3  # timed, after the first, which also builds the graph
_VIDEOS = 16  # captioned to time validation


@dataclasses.dataclass(frozen=True)
class PhaseTime:
    """What one phase will take.

    Attributes:
        phase: xe, dxe or dr.
        epochs: at most.
        steps: of an epoch.
        first_step: seconds of the first step, which builds the graph.
        step: seconds of every other.
        validation: seconds after every epoch.
    """

    phase: PhaseName
    epochs: int
    steps: int
    first_step: float
    step: float
    validation: float

    @property
    def seconds(self) -> float:
        """Of the whole phase, if it does not stop early."""
        return self.first_step + self.epochs * (self.steps * self.step + self.validation)


class _Unscored(Prepared):
    """Material whose captions all weigh the same: scores take minutes, are cached, and change no time."""

    def scores(self, config: PhaseConfig) -> list[np.ndarray]:
        """One for every caption."""
        return [np.ones(len(captions)) for captions in self.training.captions]


def estimate(plan: TrainingPlan, told: Callable[[PhaseName], object] = lambda phase: None) -> list[PhaseTime]:
    """Times a few steps of every phase of a plan.

    Args:
        plan: checked and not started.
        told: called before each phase.

    Raises:
        GlrgError: what preparing the phases raises.
    """
    times = []
    with tempfile.TemporaryDirectory() as scratch:
        found = phase_setup.prepare(dataclasses.replace(plan, run=Path(scratch) / "run"))
        ready = _Unscored(**{field.name: getattr(found, field.name) for field in dataclasses.fields(found)})
        stand_in: Path | None = None
        for phase in plan.phases:
            told(phase)
            if phase == "dr" and ready.entrance is None and stand_in is None:
                stand_in = _stand_in(ready, Path(scratch) / "captioner")
            times.append(_time(ready.phase_run(phase, stand_in)))
    return times


def _time(run: PhaseRun) -> PhaseTime:
    schedule = {**run.schedule(0), "learning_rate": schedules.learning_rate(run.config, 0, 0)}
    took = []
    for number, batch in enumerate(run.pipeline(0, _STEPS + 1)):
        began = time.perf_counter()
        metrics = run.train_step(batch, tf.constant(number, tf.int64), steps.schedule_tensors(schedule))
        float(metrics["loss"])  # waits for the device
        took.append(time.perf_counter() - began)
    validation = 0.0
    if run.validator is not None:
        rows = run.validator.rows[:_VIDEOS]
        run.validator.hypotheses(run.judged, rows)  # builds the graph
        began = time.perf_counter()
        run.validator.hypotheses(run.judged, rows)
        validation = (time.perf_counter() - began) * len(run.validator.rows) / max(1, len(rows))
    step = float(np.median(took[1:])) if len(took) > 1 else took[0]
    return PhaseTime(run.name, run.config.epochs, run.batches.steps_per_epoch, took[0], step, validation)  # type: ignore[arg-type]


def _stand_in(ready: Prepared, folder: Path) -> Path:
    """A captioner that has learnt nothing but how long a caption is, for boosting that will start from a seed."""
    from glrg_tf.captioner.model import CaptionerModel

    words = [len(caption.split()) for captions in ready.training.captions for caption in captions]
    model = CaptionerModel(ready.config.model, seed=ready.plan.seed)
    weights = model.get_weights()
    bias = np.zeros(len(ready.vocabulary), np.float32)
    bias[0] = math.log(max(1.0, len(bias) / max(1.0, float(np.mean(words)))))  # <end> once in so many words
    weights["logits/bias"] = bias
    model.set_weights(weights)
    VideoCaptioner(model, ready.vocabulary).save_to_preset(folder)
    return folder
