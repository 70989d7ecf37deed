"""Trains one encoder: random positions of labelled videos, one compiled step, checkpoints that a run goes on from.

RUN/
  config.json       kind, settings, labels, seed
  checkpoints/, latest, best    as in checkpoints.py; each is an encoder folder and training.h5, state.json
  metrics.jsonl     one line an epoch
  encoder/          the best epoch's encoder, what `EncoderBundle.load(RUN)` gives
  report.json, report.png       per label: AUC and AP (encoder_report.py)
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from glrg_tf.config import to_dict
from glrg_tf.encoders import model_weights
from glrg_tf.encoders.bundle import EncoderBundle
from glrg_tf.encoders.stream import StreamEncoder
from glrg_tf.errors import CheckpointError, ConfigError
from glrg_tf.io import atomic, lock
from glrg_tf.video.sampling import FramePlan
from training import encoder_scores
from training.checkpoints import CheckpointFolder, TrainingState
from training.distribution import Workers
from training.encoder_config import EncoderTraining, learning_rate
from training.encoder_frames import Draws, FrameSource, fixed_batches
from training.encoder_labels import LabelledVideos
from training.encoder_progress import EncoderReporter, SilentReporter, best_row, epoch_line
from training.encoder_step import EncoderStep


@dataclasses.dataclass(frozen=True)
class Trained:
    """The result of a run."""

    folder: Path  # RUN/encoder
    history: tuple[dict[str, float], ...]  # a row an epoch
    best: dict[str, float]  # the row of the epoch that is kept
    reason: str  # why it ended


class _Checkpoint:
    """An encoder with the interface of a captioner towards `CheckpointFolder`."""

    def __init__(self, bundle: EncoderBundle) -> None:
        self._bundle = bundle

    def write(self, folder: Path, *, card: str = "", extra: dict[str, Any] | None = None) -> None:
        self._bundle.write(folder)


class EncoderTrainer:
    """Trains one stream.

    Args:
        stream: the network, its weights being where training begins.
        material: labelled videos with the stream's labels.
        settings: how.
        plan: the frames around a key frame.
        run: the run folder.
        seed: data order, draws and dropout are functions of it.
        reporter: told of progress.
        stop: asked after every step whether to save and stop (KeyboardInterrupt follows).
        extra: further entries of the run's description; not of the encoder's, for they may name folders.
        strategy: replicas share every batch and workers the validation, and the numbers stay those of one device
            (encoder_step.py); the first worker writes. None is one device.
    """

    def __init__(
        self,
        stream: StreamEncoder,
        material: LabelledVideos,
        settings: EncoderTraining,
        plan: FramePlan,
        run: Path,
        *,
        seed: int = 1,
        reporter: EncoderReporter | None = None,
        stop: Callable[[], bool] = lambda: False,
        extra: dict[str, Any] | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        if not isinstance(stream.model, keras.Model):
            raise ConfigError("a classifier file cannot be trained further", where=stream.spec.name)
        self.stream, self.material, self.settings, self.plan = stream, material, settings, plan
        self.run, self.seed, self.stop, self.extra = Path(run), seed, stop, dict(extra or {})
        self.reporter = reporter or SilentReporter()
        self.model = stream.model
        self.workers = Workers(strategy)
        self.step = EncoderStep(stream, settings, seed, strategy)
        self._checkpoints = CheckpointFolder(self.run)
        self.validation: FrameSource  # the prepared validation videos, once training has begun

    # === The run ===
    def train(self, *, resume: bool = False) -> Trained:
        """Trains to the end, or until validation gets no better.

        Raises:
            ConfigError: the run folder exists and `resume` is false, or the run was made with other settings.
            CheckpointError: no checkpoint to go on from is whole.
            DataError: no video can be read.
            KeyboardInterrupt: `stop` said so; the state is saved.
        """
        with contextlib.ExitStack() as held:
            history, first = self._begin(resume, held)
            return self._train(history, first)

    def _train(self, history: list[dict[str, float]], first: int) -> Trained:
        train, self.validation = self._sources()
        steps = self._draws(train).steps
        step, total = first, steps * self.settings.epochs
        reason = "all epochs done"
        if history and self._is_over(history):
            step, reason = total, "validation got no better"
        self.reporter.work(f"training {self.stream.spec.name}", max(total - step, 0), "steps")
        while step < total:
            epoch = step // steps
            row, step = self._epoch(self._draws(train), epoch, step, total)
            history.append(row)
            self._save(step, history, best=best_row(history) is row)
            self._log(row)
            if self._is_over(history):
                reason = "validation got no better"
                break
        return self._finish(history, reason)

    def _epoch(self, draws: Draws, epoch: int, step: int, total: int) -> tuple[dict[str, float], int]:
        """Trains the rest of an epoch and validates; returns its row and the number of the next step."""
        begun, losses, first = time.monotonic(), [], step - epoch * draws.steps
        for batch in draws.epoch(epoch, first, self.settings.workers):
            losses.append(self.step(batch, step, learning_rate(self.settings, step, total)))
            step += 1
            self.reporter.advance(1, epoch=f"{epoch + 1}/{self.settings.epochs}", loss=losses[-1])
            if not np.isfinite(losses[-1]):
                raise ConfigError(
                    f"the loss is {losses[-1]} at step {step}", where=self.run, remedy="lower the learning rate"
                )
            if self.workers.any(self.stop()):  # all stop after the same step
                self._save(step, self._history, best=False)
                raise KeyboardInterrupt
        row = {"epoch": float(epoch + 1), "loss": float(np.mean(losses)), "steps": float(step)}
        self.step.export()
        row |= {f"val_{name}": value for name, value in self.validate().items()}
        row["seconds"] = time.monotonic() - begun
        return row, step

    def validate(self) -> dict[str, float]:
        """Loss, AUC, AP and accuracy on the fixed positions of the validation videos; nothing without any."""
        if not len(self.validation):
            return {}
        probabilities, targets = self.predict(self.validation)
        clipped = np.clip(probabilities, 1e-7, 1 - 1e-7)
        if self.stream.spec.activation == "sigmoid":
            loss = -np.mean(targets * np.log(clipped) + (1 - targets) * np.log(1 - clipped))
        else:
            wanted = targets / np.maximum(targets.sum(axis=1, keepdims=True), 1e-6)
            loss = -np.mean(np.sum(wanted * np.log(clipped), axis=1))
        figures = {"loss": float(loss), **encoder_scores.summary(probabilities, targets)}
        return {name: value for name, value in figures.items() if not np.isnan(value)}

    def predict(self, source: FrameSource) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities and targets of the fixed positions: float32 (n, D) each; long range: means over a video."""
        plan = dataclasses.replace(self.plan, positions=self.settings.val_positions)
        mine, spec = self.workers.mine(len(source)), self.stream.spec
        shape = (len(source), plan.positions, spec.width)
        probabilities, targets = np.zeros(shape), np.zeros(shape)
        for batch, owners in fixed_batches(source, plan, spec, 4 * self.settings.batch_size, mine):
            videos = np.unique(owners)
            probabilities[videos] = self.stream.encode(batch.clips.astype(np.float32)).reshape(-1, *shape[1:])
            targets[videos] = batch.targets.reshape(-1, *shape[1:])
        probabilities, targets = (self.workers.total(part).astype(np.float32) for part in (probabilities, targets))
        if spec.plan == "long_range":
            return probabilities.mean(axis=1, dtype=np.float32), targets[:, 0]
        return probabilities.reshape(-1, spec.width), targets.reshape(-1, spec.width)

    def source(self, split: str) -> FrameSource:
        """The prepared videos of a split."""
        videos = self.material.split(split)
        memory = self.settings.memory_mb * 2**20
        # Training videos are read again and again, validation once an epoch.
        share = memory * 3 // 4 if split == "train" else memory // 4
        source = FrameSource(videos, self.stream.spec, share, self.settings.workers)
        self.reporter.work(f"decoding {split}", len(videos), "videos")
        source.prepare(self.reporter.advance)
        for name, error in source.failed:
            self.reporter.message(f"left out: video '{name}': {error.what}")
        return source

    # === Parts ===
    def _sources(self) -> tuple[FrameSource, FrameSource]:
        train, val = self.source("train"), self.source("val")
        self.workers.agree_on(train.frames + val.frames, "videos", self.run)
        again = len(train) + len(val) - train.kept - val.kept
        if again:
            self.reporter.message(
                f"{again} videos do not fit into {self.settings.memory_mb} MB and are decoded for every draw"
            )
        return train, val

    def _draws(self, train: FrameSource) -> Draws:
        chosen = self.settings
        size, shift, flip = chosen.batch_size, chosen.shift, chosen.flip
        return Draws(
            train, self.plan, self.stream.spec, size, chosen.draws, shift, flip, self.seed, places=self.step.places
        )

    def _begin(self, resume: bool, held: contextlib.ExitStack) -> tuple[list[dict[str, float]], int]:
        description = self._description()
        file = self.run / "config.json"
        self._history: list[dict[str, float]] = []
        if not resume:
            self.workers.on_chief(lambda: self._make_folder(description, held))
            return self._history, 0
        saved = read_run(self.run)
        if saved != description:
            different = [key for key in description if saved.get(key) != description[key]]
            raise ConfigError(
                f"the run was made with other {', '.join(different)}", where=file, remedy="resume with the same options"
            )
        self.workers.on_chief(lambda: held.enter_context(lock.only_one(self.run)))
        restored = self._checkpoints.restore()
        self.workers.agree_on(restored[0].step if restored else 0, "checkpoint", self.run)
        if restored is None:
            return self._history, 0
        state, folder = restored
        model_weights.read(folder / self.stream.file_name, self.model)
        self.step.adopt()
        self.step.restore(state.slots, folder)
        self._history = [dict(row) for row in state.history]
        return self._history, state.step

    def _make_folder(self, description: dict[str, Any], held: contextlib.ExitStack) -> None:
        if self.run.exists() and any(self.run.iterdir()):
            raise ConfigError("the run folder exists", where=self.run, remedy="choose another --out, or --resume")
        held.enter_context(lock.only_one(self.run))
        atomic.write_json(self.run / "config.json", description)

    def _description(self) -> dict[str, Any]:
        return {
            "format": "glrg-encoder-run",
            "stream": {k: v for k, v in to_dict(self.stream.spec).items() if k != "labels"},
            "labels": list(self.stream.spec.labels),
            "plan": to_dict(self.plan),
            "settings": to_dict(self.settings),
            "seed": self.seed,
            **self.extra,
        }

    def _save(self, step: int, history: list[dict[str, float]], *, best: bool) -> None:
        self.step.export()
        state = TrainingState(step, self.seed, tuple(history), to_dict(self.settings), self.step.slots())
        checkpoint: Any = _Checkpoint(self._bundle(history))
        self.workers.on_chief(lambda: self._checkpoints.save(checkpoint, state, best=best))

    def _bundle(self, history: list[dict[str, float]]) -> EncoderBundle:
        trained = {"seed": self.seed, "settings": to_dict(self.settings), "epochs": len(history)}
        trained["scores"] = best_row(history) if history else {}
        return EncoderBundle(self.plan, {self.stream.spec.name: self.stream}, {"training": trained})

    def _log(self, row: dict[str, float]) -> None:
        self.reporter.message(epoch_line(row, self.settings.epochs) + (" *" if best_row(self._history) is row else ""))
        self.workers.on_chief(lambda: atomic.write_json_lines(self.run / "metrics.jsonl", self._history))

    def _is_over(self, history: list[dict[str, float]]) -> bool:
        since = len(history) - 1 - history.index(best_row(history))
        return bool(self.settings.patience) and since >= self.settings.patience and "val_loss" in history[-1]

    def _finish(self, history: list[dict[str, float]], reason: str) -> Trained:
        folder = self._checkpoints.pointer("best") or self._checkpoints.pointer("latest")
        if folder is None:
            raise CheckpointError("the run has no checkpoint", where=self.run, remedy="train again")
        model_weights.read(folder / self.stream.file_name, self.model)
        self.workers.on_chief(lambda: self._bundle(history).save(self.run / "encoder"))
        return Trained(self.run / "encoder", tuple(history), best_row(history), reason)


def read_run(run: Path) -> dict[str, Any]:
    """What `config.json` of an encoder run says.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    try:
        values = json.loads((run / "config.json").read_text("utf-8"))
        if values["format"] != "glrg-encoder-run":
            raise ValueError(f"format {values['format']!r}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"no encoder run there ({error})"[:200], where=run, remedy="check --out") from error
    return values
