"""Checkpoints: a folder each, a sha256 manifest, an atomic pointer; restoring is all or nothing.

RUN/
  checkpoints/000123/     a captioner folder (captioner.py) and beside it
    training.h5           weights as trained (the captioner's may be averages), optimizer slots
    state.json            step, history of validation, seed, phase settings
    manifest.json         sha256 of everything
  latest, best            text files: "checkpoints/000123"
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from glrg_tf.captioner.captioner import VideoCaptioner, read_weights, write_weights
from glrg_tf.errors import CheckpointError
from glrg_tf.io import atomic

LATEST, BEST = "latest", "best"
_KEEP = 2  # newest checkpoints kept beside the best one


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """Everything a run needs to go on as if it had never stopped."""

    step: int  # optimisation steps done
    seed: int  # all randomness is a function of (seed, step)
    history: tuple[dict[str, float], ...]  # validation of each epoch, in order
    settings: dict[str, Any]  # of the phase, to refuse a resume under others
    slots: dict[str, np.ndarray]  # optimizer and averages by name


class CheckpointFolder:
    """The checkpoints of one phase.

    Args:
        run: the phase's run folder.
    """

    def __init__(self, run: Path) -> None:
        self.run = run

    def save(self, captioner: VideoCaptioner, state: TrainingState, *, best: bool, card: str = "") -> Path:
        """Writes a checkpoint, then moves the pointers; an interrupted save leaves the last good one in place."""
        name = f"checkpoints/{state.step:06d}"
        with atomic.new_folder(self.run / name, replace=True) as folder:
            captioner.write(folder, card=card, extra={"step": state.step})
            write_weights(folder / "training.h5", state.slots)
            values = dataclasses.asdict(state)
            values.pop("slots")
            atomic.write_json(folder / "state.json", values)
            atomic.write_manifest(folder)
        atomic.write_text(self.run / LATEST, name + "\n")
        if best:
            atomic.write_text(self.run / BEST, name + "\n")
        self._prune()
        return self.run / name

    def pointer(self, name: str) -> Path | None:
        """The folder that `latest` or `best` names, None if there is none."""
        file = self.run / name
        if not file.is_file():
            return None
        folder = (self.run / file.read_text("utf-8").strip()).resolve()
        if not folder.is_relative_to(self.run.resolve()):
            raise CheckpointError(f"'{name}' points out of the run", where=file)
        return folder if folder.is_dir() else None

    def restore(self) -> tuple[TrainingState, Path] | None:
        """The newest checkpoint that verifies, None if there is no checkpoint at all.

        Raises:
            CheckpointError: checkpoints exist and none is whole.
        """
        candidates = [self.pointer(LATEST)]
        candidates += sorted((self.run / "checkpoints").glob("[0-9]*"), reverse=True)
        failures = []
        for folder in dict.fromkeys(path.resolve() for path in candidates if path is not None):
            try:
                return self._load(folder), folder
            except CheckpointError as error:
                failures.append(error)
        if failures:
            raise CheckpointError(
                f"no checkpoint is whole: {failures[0].what}", where=self.run, remedy="train again into another --out"
            )
        return None

    def _load(self, folder: Path) -> TrainingState:
        atomic.verify_manifest(folder)
        try:
            values = json.loads((folder / "state.json").read_text("utf-8"))
            history = tuple(dict(row) for row in values["history"])
            slots = read_weights(folder / "training.h5")
            return TrainingState(int(values["step"]), int(values["seed"]), history, dict(values["settings"]), slots)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"state.json is damaged ({error})", where=folder) from error

    def _prune(self) -> None:
        keep = {path.resolve() for path in (self.pointer(LATEST), self.pointer(BEST)) if path is not None}
        folders = sorted((self.run / "checkpoints").glob("[0-9]*"))
        for folder in folders[:-_KEEP]:
            if folder.resolve() not in keep:
                shutil.rmtree(folder, ignore_errors=True)
