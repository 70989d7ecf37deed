"""The loop of one phase: batches, steps, validation, checkpoints, early stopping, exact resume.

The ways to start: (1) a run folder with checkpoints and `resume`: exactly where it stopped; (2) `model` with weights
of an entrance model: only they are taken over, optimizer and history are new; (3) a fresh model.

Which checkpoint is best (`selection`):
- `validation`: with few validation videos one epoch's score is noise (50 videos: standard error of a tenth), so the
  score that decides is the mean CIDEr of all hypotheses of the beam (validation.py), averaged over the last
  `selection_window` epochs; `patience` counts epochs without a better one.
- `last`: the phase runs all its epochs and the last one is taken.
- `auto`: `validation`, except for boosting with fewer than 200 validation videos. Its entrance model was chosen by the
  score on those very videos, so that score falls at first whatever boosting does: on 50 videos it fell from 0.42 to
  0.37 and the run stopped at the second epoch, while the score on 100 other unseen videos rises over 50 epochs (LOG).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from glrg_tf import config as settings
from glrg_tf.captioner.captioner import DecodingConfig, VideoCaptioner
from glrg_tf.captioner.content import ContentPrior
from glrg_tf.captioner.minimum_risk import NgramWeights
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.data.batches import CaptionBatches
from glrg_tf.errors import CheckpointError
from glrg_tf.io import atomic
from glrg_tf.text.vocabulary import Vocabulary
from training import distribution, execution, loss_scale, schedules, steps
from training import optimizer as optimizers
from training.checkpoints import BEST, CheckpointFolder, TrainingState
from training.config import PhaseConfig
from training.model_card import model_card
from training.objectives.base import Objective
from training.reporting import Reporter
from training.validation import Validator

FEW_VALIDATION_VIDEOS = 200  # below, boosting is not judged by them (MSR-VTT has 497, MSVD 100)


@dataclasses.dataclass
class PhaseRun:
    """One phase of training.

    Args:
        name: phase name, for messages.
        folder: the phase's run folder.
        model: networks to train, at their entrance weights.
        vocabulary: of the model.
        objective: what to minimise.
        batches: the training data.
        validator: scores the val split after every epoch; None without a val split.
        config: settings of the phase.
        decoding: of validation, and of the captioner that comes out.
        seed: of data order and all randomness.
        strategy: replicas; None is one device.
        reporter: who is told.
        stop: asked after every step; True saves and raises KeyboardInterrupt.
        data: one line on the training data, for the model card.
        workers: the processes of the strategy.
        ngram_weights: of the training captions, for minimum-risk decoding by the captioner that comes out.
        content_prior: what foretells captions' content, for decoding by the captioner that comes out.
    """

    name: str
    folder: Path
    model: CaptionerModel
    vocabulary: Vocabulary
    objective: Objective
    batches: CaptionBatches
    validator: Validator | None
    config: PhaseConfig
    decoding: DecodingConfig
    seed: int
    strategy: tf.distribute.Strategy | None = None
    reporter: Reporter = dataclasses.field(default_factory=Reporter)
    stop: Callable[[], bool] = lambda: False
    data: str = "not recorded"
    workers: distribution.Workers | None = None
    ngram_weights: NgramWeights | None = None
    content_prior: ContentPrior | None = None

    def __post_init__(self) -> None:
        """Builds optimizer, averages and the step under the strategy."""
        self.checkpoints = CheckpointFolder(self.folder, self.config.keep_checkpoints)
        self.workers = self.workers or distribution.Workers(self.strategy)
        self.history: list[dict[str, float]] = []
        self.step = 0
        self.stopping = False
        replicas = self.strategy.num_replicas_in_sync if self.strategy is not None else 1
        form = execution.choose(self.config.compile, self.config.precision, self.objective, replicas)
        with self._scope():
            variables = self.model.trainable_variables
            self.loss_scale = loss_scale.LossScale() if form.precision == "float16" else None
            adam = optimizers.FusedAdam if self.loss_scale is None else loss_scale.SkippingAdam
            self.optimizer = optimizers.build(self.config.learning_rate, variables, adam)
            decay = self.config.ema_decay
            self.averages = [tf.Variable(v.value) for v in variables] if decay else []
        captioning = CaptionerModel(self.model.config) if self.averages else self.model
        self.captioner = VideoCaptioner(
            captioning,
            self.vocabulary,
            self.decoding,
            ngram_weights=self.ngram_weights,
            content_prior=self.content_prior,
        )
        # Epochs are judged by the model alone: what was fitted to the training videos once says nothing about them.
        plain = dataclasses.replace(self.decoding, selection="probability", word_bias=0.0)
        fresh = plain != self.decoding
        self.judged = VideoCaptioner(captioning, self.vocabulary, plain) if fresh else self.captioner
        self.train_step = steps.build_train_step(
            self.model,
            self.objective,
            self.optimizer,
            seed=self.seed,
            captions_per_video=self.config.captions_per_video,
            clip_norm=self.config.clip_norm,
            strategy=self.strategy,
            averaged=self.averages,
            ema_decay=self.config.ema_decay,
            form=form,
            scale=self.loss_scale,
            videos=self.batches.batch_size,
        )

    # --- running -----------------------------------------------------------------------------------------------

    def run(self, resume: bool = False) -> Path:
        """Trains until the last epoch or until patience ends; returns the best checkpoint's folder."""
        if self.workers.chief:
            self.checkpoints.clear_begun()
        if resume:
            self._restore()
        per_epoch = self.batches.steps_per_epoch
        total = self.config.epochs * per_epoch
        self.reporter.phase_started(self.name, self.step, total, per_epoch)
        reason = self._finished()
        with self._metric_files() as write:
            while reason is None:
                metrics = self._epoch(self.step // per_epoch)
                self.history.append(metrics)
                write(metrics)
                self._save(best=self._best_epoch() == len(self.history) - 1)
                self.reporter.epoch_done(self.name, metrics)
                if self.stopping:
                    raise KeyboardInterrupt
                reason = self._finished()
        best = self.checkpoints.pointer(BEST)
        if best is None:
            raise CheckpointError("the phase ended without a checkpoint", where=self.folder)
        self.reporter.phase_finished(self.name, reason, self.history[self._best_epoch()])
        return best

    def _epoch(self, epoch: int) -> dict[str, float]:
        per_epoch = self.batches.steps_per_epoch
        schedule = self.schedule(epoch)
        wanted = (epoch + 1) * per_epoch - self.step
        sums: dict[str, float] = {}
        started, waited = time.perf_counter(), 0.0
        iterator = iter(self.pipeline(self.step, wanted))
        for _ in range(wanted):
            before = time.perf_counter()
            batch = next(iterator)
            waited += time.perf_counter() - before
            schedule["learning_rate"] = schedules.learning_rate(self.config, self.step, epoch)
            metrics = self.train_step(batch, tf.constant(self.step, tf.int64), steps.schedule_tensors(schedule))
            values = {name: float(value) for name, value in metrics.items()}
            self._refuse_nan(values)
            self.step += 1
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value
            self.reporter.step_done(self.name, self.step, values["tokens"])
            # The last step of an epoch is not a place to stop: its validation belongs to the same state.
            self.stopping = self.workers.any(self.stopping or self.stop())  # all stop after the same step
            every = self.config.save_every
            if self.step % per_epoch and (self.stopping or (every and self.step % every == 0)):
                self._save(best=False)
                if self.stopping:
                    raise KeyboardInterrupt
        seconds = time.perf_counter() - started
        means = {name: value / wanted for name, value in sums.items() if name != "tokens"}
        line = {"epoch": float(epoch + 1), "step": float(self.step), **means, **schedule}
        line |= {"tokens_per_second": sums["tokens"] / seconds, "input_wait": waited / seconds, "seconds": seconds}
        return {**line, **self._validate()}

    def _validate(self) -> dict[str, float]:
        self._export_weights()
        return self.validator(self.judged) if self.validator is not None else {}

    def schedule(self, epoch: int) -> dict[str, float]:
        """What the schedules say of an epoch."""
        return {
            "sampling_probability": schedules.sampling_probability(self.config, epoch),
            "mixer_from": schedules.mixer_from(self.config, epoch, self.model.config.max_length),
            "baseline_size": schedules.baseline_size(self.config, epoch),
        }

    def pipeline(self, first_step: int, count: int) -> Any:
        """The batches of `count` steps from `first_step` on."""
        if self.strategy is not None and self.strategy.num_replicas_in_sync > 1:
            return distribution.sharded_batches(self.strategy, self.batches, first_step, count)
        return self.batches.dataset(first_step, count)

    def _refuse_nan(self, values: dict[str, float]) -> None:
        if not np.isfinite(list(values.values())).all():
            bad = next(name for name, value in values.items() if not np.isfinite(value))
            raise CheckpointError(
                f"{bad} is not finite at step {self.step}; training has diverged",
                where=self.folder,
                remedy="lower train.learning_rate; the last checkpoint is whole: glrg train --resume",
            )

    # --- choosing and stopping ---------------------------------------------------------------------------------

    @property
    def judges(self) -> bool:
        """Whether validation chooses the checkpoint and may stop the phase."""
        if self.validator is None or self.config.selection == "last":
            return False
        few = len(self.validator.rows) < FEW_VALIDATION_VIDEOS
        return self.config.selection == "validation" or not (self.name == "dr" and few)

    def selection_scores(self) -> np.ndarray:
        """Mean validation score of the last `selection_window` epochs, for every epoch; epoch numbers for `last`."""
        if not self.judges:
            return np.arange(len(self.history), dtype=float)
        scores = [row["val_beam_cider"] for row in self.history]
        window = self.config.selection_window
        return np.array([np.mean(scores[max(0, i + 1 - window) : i + 1]) for i in range(len(scores))])

    def _best_epoch(self) -> int:
        scores = self.selection_scores()
        return int(len(scores) - 1 - np.argmax(scores[::-1]))  # the latest of equals, as the release's >=

    def _finished(self) -> str | None:
        if len(self.history) >= self.config.epochs:
            return f"all {self.config.epochs} epochs done"
        if self.config.patience and self.history and self.judges:
            since = len(self.history) - 1 - self._best_epoch()
            if since >= self.config.patience:
                return f"no better validation score for {since} epochs"
        return None

    # --- state -------------------------------------------------------------------------------------------------

    def _slots(self) -> dict[str, Any]:
        slots: dict[str, Any] = dict(self.loss_scale.slots()) if self.loss_scale is not None else {}
        names = list(self.model.variables_by_name())
        for index, name in enumerate(names):
            flat = name.replace("/", ".")
            slots[f"weights/{flat}"] = self.model.trainable_variables[index]
            slots[f"momentums/{flat}"] = self.optimizer._momentums[index]
            slots[f"velocities/{flat}"] = self.optimizer._velocities[index]
            if self.averages:
                slots[f"averages/{flat}"] = self.averages[index]
        return slots

    def _export_weights(self) -> None:
        if self.averages:
            names = self.model.variables_by_name()
            self.captioner.model.set_weights(
                {name: average.numpy() for name, average in zip(names, self.averages, strict=True)}
            )

    def _save(self, *, best: bool) -> None:
        self._export_weights()
        state = TrainingState(
            self.step,
            self.seed,
            tuple(self.history),
            settings.to_dict(self.config),
            {name: variable.numpy() for name, variable in self._slots().items()},
        )
        metrics = self.history[-1] if self.history else {}
        card = model_card(self.captioner, self.name, self.config, self.data, metrics, self.seed)
        self.workers.on_chief(lambda: self._write(state, best, card))

    def _write(self, state: TrainingState, best: bool, card: str) -> None:
        self.checkpoints.save(self.captioner, state, best=best, card=card)

    def _restore(self) -> None:
        found = self.checkpoints.restore()
        self.workers.agree_on(found[0].step if found else 0, "checkpoint", self.folder)
        if found is None:
            return
        state, folder = found
        slots = self._slots()
        if state.seed != self.seed or state.slots.keys() != slots.keys():
            raise CheckpointError(
                "the run was started with another seed or model", where=folder, remedy="resume with the same settings"
            )
        for name, variable in slots.items():
            if tuple(variable.shape) != state.slots[name].shape:
                raise CheckpointError(f"{name} has another shape in the checkpoint", where=folder)
        for name, variable in slots.items():
            variable.assign(state.slots[name])
        self.optimizer.iterations.assign(state.step)
        self.step, self.history = state.step, [dict(row) for row in state.history]
        self._export_weights()
        for error in self.checkpoints.refused:
            self.reporter.message(f"a newer checkpoint is damaged and was left out: {error.what} ({error.where})")
        self.reporter.message(f"resumed from {folder.name} (epoch {len(self.history)})")

    def _scope(self) -> contextlib.AbstractContextManager[Any]:
        return self.strategy.scope() if self.strategy is not None else contextlib.nullcontext()

    @contextlib.contextmanager
    def _metric_files(self) -> Iterator[Callable[[dict[str, float]], None]]:
        """A writer of one epoch's metrics to metrics.jsonl and TensorBoard; lines after a resume point are dropped."""
        if not self.workers.chief:
            yield lambda metrics: None
            return
        file = self.folder / "metrics.jsonl"
        atomic.write_json_lines(file, self.history)
        writer = tf.summary.create_file_writer(str(self.folder / "tensorboard"))

        def write(metrics: dict[str, float]) -> None:
            with open(file, "a", encoding="utf-8") as stream:
                stream.write(json.dumps(metrics) + "\n")
            with writer.as_default(step=int(metrics["step"])):
                for name, value in metrics.items():
                    tf.summary.scalar(f"{self.name}/{name}", value)
            writer.flush()

        yield write
        writer.close()
