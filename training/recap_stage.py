"""One stage of the curriculum: some levels of one network, a batch of each in turn, checkpoints, exact resume."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from glrg_tf.config import to_dict
from glrg_tf.errors import CheckpointError
from glrg_tf.recap.captioner import RecapCaptioner
from glrg_tf.recap.model import RecapNetwork
from training import optimizer as optimizers
from training.checkpoints import CheckpointFolder, TrainingState
from training.recap_batches import LevelBatches
from training.recap_config import RecapTraining, learning_rate
from training.recap_steps import build_loss, build_step
from training.reporting import Reporter

_DROPOUT = 3  # stream of random numbers


@dataclasses.dataclass
class Stage:
    """A stage.

    Args:
        name: of the level that is new in it.
        folder: of its checkpoints.
        captioner: what its checkpoints hold; its networks are trained.
        network: the one that is trained.
        batches: level -> training data, in the order in which levels take turns.
        checks: level -> held-out data; may be empty.
        settings: of the run.
        reporter: who is told.
        stop: asked after every step; True saves and raises KeyboardInterrupt.
    """

    name: str
    folder: Path
    captioner: RecapCaptioner
    network: RecapNetwork
    batches: Mapping[str, LevelBatches]
    checks: Mapping[str, LevelBatches]
    settings: RecapTraining
    reporter: Reporter = dataclasses.field(default_factory=Reporter)
    stop: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        """Makes the optimiser and a step for each level."""
        self.total = self.settings.stage_steps(self.name)
        self.checkpoints = CheckpointFolder(self.folder, keep=1)
        self.optimizer = optimizers.build(self.settings.learning_rate, self.network.trainable_variables)
        self.steps = {n: build_step(self.network, n, self.optimizer, self.settings) for n in self.batches}
        self.losses = {level: build_loss(self.network, level) for level in self.checks}
        self.done = 0
        self.history: list[dict[str, float]] = []

    def run(self) -> dict[str, float]:
        """Trains what is missing of the stage; returns its last metrics.

        Raises:
            CheckpointError: training diverged, or a checkpoint cannot be written.
        """
        self.checkpoints.clear_begun()
        self._restore()
        self.reporter.phase_started(self.name, self.done, self.total, min(self.settings.checkpoint_steps, self.total))
        while self.done < self.total:
            metrics = self._stretch()
            self.history.append(metrics)
            self._save()
            self.reporter.epoch_done(self.name, metrics)
            if self.stop() and self.done < self.total:
                raise KeyboardInterrupt
        self.reporter.phase_finished(self.name, "all steps done", self.history[-1])
        return self.history[-1]

    def _stretch(self) -> dict[str, float]:
        """Steps up to the next checkpoint, or until asked to stop."""
        every, started, first = self.settings.checkpoint_steps, time.perf_counter(), self.done
        last = min(self.total, (self.done // every + 1) * every)
        sums = dict.fromkeys(self.batches, 0.0)
        while self.done < last:
            self._seed_dropout()
            rate = tf.constant(learning_rate(self.settings, self.done, self.total), tf.float32)
            words = 0
            for level, batches in self.batches.items():
                batch = batches.batch(self.done)
                loss = float(self.steps[level](_tensors(batch), rate))
                if not np.isfinite(loss):
                    raise CheckpointError(
                        f"the loss of level '{level}' is {loss} at step {self.done}",
                        where=self.folder,
                        remedy="lower learning_rate and train into a new --out",
                    )
                sums[level] += loss
                words += int((batch["labels"] >= 0).sum())
            self.done += 1
            self.reporter.step_done(self.name, self.done, words)
            if self.stop():
                break
        count = self.done - first
        metrics = {"step": float(self.done), "epoch": float(-(-self.done // every))}
        metrics |= {f"{level}_loss": total / count for level, total in sums.items()}
        metrics |= {f"{level}_val_loss": self._held_out(level) for level in self.checks}
        metrics["loss"] = metrics[f"{self.name}_loss"]
        metrics["seconds"] = time.perf_counter() - started
        metrics["tokens_per_second"] = 0.0
        return metrics

    def _held_out(self, level: str) -> float:
        batches, total, count = self.checks[level], 0.0, 0.0
        for step in range(batches.steps_per_pass):
            loss, words = self.losses[level](_tensors(batches.plain(step)))
            total, count = total + float(loss) * float(words), count + float(words)
        return total / max(count, 1.0)

    def _seed_dropout(self) -> None:
        """Makes dropout a function of the seed and the step, so that a resumed run is the run."""
        for number, state in enumerate(self.network.random_states):
            rng = np.random.default_rng([self.settings.seed, _DROPOUT, number, self.done])
            state.assign(rng.integers(0, 2**31, state.shape).astype(np.uint32))

    # === Checkpoints ===
    def _slots(self) -> dict[str, Any]:
        moved = {f"weights/{_flat(name)}": variable for name, variable in self.network.variables.items()}
        for number, variable in enumerate(self.optimizer.variables):
            if str(variable.dtype).startswith("float") and variable.path.rpartition("/")[2] != "learning_rate":
                moved[f"optimizer/{number:04d}"] = variable
        return moved

    def _save(self) -> None:
        values = {name: np.asarray(variable.value) for name, variable in self._slots().items()}
        values["optimizer/iterations"] = np.asarray(float(self.optimizer.iterations.numpy()))
        about = json.loads(json.dumps(to_dict(self.settings)))
        state = TrainingState(self.done, self.settings.seed, tuple(self.history), about, values)
        self.checkpoints.save(self.captioner, state, best=self.done == self.total)  # type: ignore[arg-type]

    def _restore(self) -> None:
        found = self.checkpoints.restore()
        if found is None:
            return
        state, folder = found
        if state.settings != to_dict(self.settings):
            raise CheckpointError("the checkpoint is of other settings", where=folder, remedy="train into a new --out")
        for name, variable in self._slots().items():
            value = state.slots.get(name)
            if value is None or tuple(value.shape) != tuple(variable.shape):
                raise CheckpointError(f"'{name}' is missing or of another shape", where=folder)
            variable.assign(value)
        self.optimizer.iterations.assign(int(state.slots["optimizer/iterations"]))
        self.done, self.history = state.step, list(state.history)


def _flat(name: str) -> str:
    return name.replace("/", "|")


def _tensors(batch: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(array) for name, array in batch.items()}
