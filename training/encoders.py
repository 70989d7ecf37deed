"""Trains one encoder: random positions of labelled videos, one compiled step, checkpoints that a run goes on from.

RUN/
  config.json       kind, settings, labels, seed
  checkpoints/, latest, best    as in checkpoints.py; each is an encoder folder and training.h5, state.json
  metrics.jsonl     one line an epoch
  encoder/          the best epoch's encoder, what `EncoderBundle.load(RUN)` gives
  report.json, report.png       per label: AUC and AP (encoder_report.py)
"""

from __future__ import annotations

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
from glrg_tf.io import atomic
from glrg_tf.video.sampling import FramePlan
from training import encoder_scores
from training.checkpoints import CheckpointFolder, TrainingState
from training.encoder_config import EncoderTraining, learning_rate
from training.encoder_frames import Draws, FrameSource, fixed_batches
from training.encoder_labels import LabelledVideos
from training.encoder_progress import EncoderReporter, SilentReporter, best_row, epoch_line


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
    ) -> None:
        if not isinstance(stream.model, keras.Model):
            raise ConfigError("a classifier file cannot be trained further", where=stream.spec.name)
        self.stream, self.material, self.settings, self.plan = stream, material, settings, plan
        self.run, self.seed, self.stop, self.extra = Path(run), seed, stop, dict(extra or {})
        self.reporter = reporter or SilentReporter()
        self.model = stream.model
        self._logits = keras.Model(self.model.input, self.model.get_layer("logits").output)
        self._random = [layer.seed_generator for layer in self.model.layers if hasattr(layer, "seed_generator")]
        self._optimizer = _optimizer(settings)
        self._optimizer.build(self.model.trainable_variables)
        self._checkpoints = CheckpointFolder(self.run)
        self.validation: FrameSource  # the prepared validation videos, once training has begun
        shape = (settings.batch_size, stream.spec.frames, *stream.spec.input_size, 3)
        self._step = tf.function(
            self._train_step,
            input_signature=[tf.TensorSpec(shape, tf.uint8), tf.TensorSpec((shape[0], stream.spec.width), tf.float32)],
            autograph=False,
        )

    # === One step ===
    def _train_step(self, clips: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = self._loss(self._logits(tf.cast(clips, tf.float32), training=True), targets)
        gradients = tape.gradient(loss, self.model.trainable_variables)
        if self.settings.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.settings.clip_norm)
        self._optimizer.apply(gradients, self.model.trainable_variables)
        return loss

    def _loss(self, logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Binary cross-entropy, mean over labels; or cross-entropy, rows without a label counting nothing."""
        if self.stream.spec.activation == "sigmoid":
            return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits))
        total = tf.reduce_sum(targets, axis=1, keepdims=True)
        wanted = targets / tf.maximum(total, 1e-6)
        smooth = self.settings.label_smoothing
        wanted = (1 - smooth) * wanted + smooth / self.stream.spec.width
        losses = tf.nn.softmax_cross_entropy_with_logits(labels=wanted, logits=logits)
        labelled = tf.cast(total[:, 0] > 0, tf.float32)
        return tf.reduce_sum(losses * labelled) / tf.maximum(tf.reduce_sum(labelled), 1.0)

    # === The run ===
    def train(self, *, resume: bool = False) -> Trained:
        """Trains to the end, or until validation gets no better.

        Raises:
            ConfigError: the run folder exists and `resume` is false, or the run was made with other settings.
            CheckpointError: no checkpoint to go on from is whole.
            DataError: no video can be read.
            KeyboardInterrupt: `stop` said so; the state is saved.
        """
        history, first = self._begin(resume)
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
            for generator in self._random:  # dropout is a function of (seed, step), so a resumed run is the same run
                generator.state.assign(np.array([self.seed, step], np.uint32))
            self._optimizer.learning_rate.assign(learning_rate(self.settings, step, total))
            losses.append(float(self._step(batch.clips, batch.targets)))
            step += 1
            self.reporter.advance(1, epoch=f"{epoch + 1}/{self.settings.epochs}", loss=losses[-1])
            if not np.isfinite(losses[-1]):
                raise ConfigError(
                    f"the loss is {losses[-1]} at step {step}", where=self.run, remedy="lower the learning rate"
                )
            if self.stop():
                self._save(step, self._history, best=False)
                raise KeyboardInterrupt
        row = {"epoch": float(epoch + 1), "loss": float(np.mean(losses)), "steps": float(step)}
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
        rows = [
            (self.stream.encode(batch.clips.astype(np.float32)), batch.targets, owners)
            for batch, owners in fixed_batches(source, plan, self.stream.spec, 4 * self.settings.batch_size)
        ]
        probabilities, targets, owners = (np.concatenate(part) for part in zip(*rows, strict=True))
        if self.stream.spec.plan != "long_range":
            return probabilities, targets
        count = np.bincount(owners)[:, None]
        pooled = np.zeros((len(count), probabilities.shape[1]), np.float32)
        np.add.at(pooled, owners, probabilities)
        return pooled / count, targets[np.searchsorted(owners, np.arange(len(count)))]

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
        again = len(train) + len(val) - train.kept - val.kept
        if again:
            self.reporter.message(
                f"{again} videos do not fit into {self.settings.memory_mb} MB and are decoded for every draw"
            )
        return train, val

    def _draws(self, train: FrameSource) -> Draws:
        chosen = self.settings
        return Draws(
            train, self.plan, self.stream.spec, chosen.batch_size, chosen.draws, chosen.shift, chosen.flip, self.seed
        )

    def _begin(self, resume: bool) -> tuple[list[dict[str, float]], int]:
        description = self._description()
        file = self.run / "config.json"
        self._history: list[dict[str, float]] = []
        if not resume:
            if self.run.exists() and any(self.run.iterdir()):
                raise ConfigError("the run folder exists", where=self.run, remedy="choose another --out, or --resume")
            self.run.mkdir(parents=True, exist_ok=True)
            atomic.write_json(file, description)
            return self._history, 0
        saved = read_run(self.run)
        if saved != description:
            different = [key for key in description if saved.get(key) != description[key]]
            raise ConfigError(
                f"the run was made with other {', '.join(different)}", where=file, remedy="resume with the same options"
            )
        restored = self._checkpoints.restore()
        if restored is None:
            return self._history, 0
        state, folder = restored
        model_weights.read(folder / self.stream.file_name, self.model)
        self._restore_optimizer(state.slots, folder)
        self._history = [dict(row) for row in state.history]
        return self._history, state.step

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
        slots = {f"optimizer/{i:04d}": np.asarray(v, np.float64) for i, v in enumerate(self._optimizer.variables)}
        state = TrainingState(step, self.seed, tuple(history), to_dict(self.settings), slots)
        self._checkpoints.save(_Checkpoint(self._bundle(history)), state, best=best)  # type: ignore[arg-type]

    def _restore_optimizer(self, slots: dict[str, np.ndarray], folder: Path) -> None:
        for number, variable in enumerate(self._optimizer.variables):
            value = slots.get(f"optimizer/{number:04d}")
            if value is None or value.shape != tuple(variable.shape):
                raise CheckpointError("the optimizer's state does not fit", where=folder, remedy="train again")
            variable.assign(value.astype(str(variable.dtype)))

    def _bundle(self, history: list[dict[str, float]]) -> EncoderBundle:
        trained = {"seed": self.seed, "settings": to_dict(self.settings), "epochs": len(history)}
        trained["scores"] = best_row(history) if history else {}
        return EncoderBundle(self.plan, {self.stream.spec.name: self.stream}, {"training": trained})

    def _log(self, row: dict[str, float]) -> None:
        self.reporter.message(epoch_line(row, self.settings.epochs) + (" *" if best_row(self._history) is row else ""))
        atomic.write_json_lines(self.run / "metrics.jsonl", self._history)

    def _is_over(self, history: list[dict[str, float]]) -> bool:
        since = len(history) - 1 - history.index(best_row(history))
        return bool(self.settings.patience) and since >= self.settings.patience and "val_loss" in history[-1]

    def _finish(self, history: list[dict[str, float]], reason: str) -> Trained:
        folder = self._checkpoints.pointer("best") or self._checkpoints.pointer("latest")
        if folder is None:
            raise CheckpointError("the run has no checkpoint", where=self.run, remedy="train again")
        model_weights.read(folder / self.stream.file_name, self.model)
        self._bundle(history).save(self.run / "encoder")
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


def _optimizer(settings: EncoderTraining) -> keras.optimizers.Optimizer:
    optimizer = keras.optimizers.AdamW(settings.learning_rate, weight_decay=settings.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
