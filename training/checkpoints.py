"""Checkpoints: a folder each, a sha256 manifest, an atomic pointer; restoring is all or nothing.

RUN/
  checkpoints/000123/     a captioner folder (captioner.py) and beside it
    training.h5           weights as trained (the captioner's may be averages), optimizer slots
    state.json            step, history of validation, seed, phase settings
    manifest.json         sha256 of everything
  latest, best            text files: "checkpoints/000123"

A save that fails or is killed leaves the checkpoints before it and their pointers as they were; what it had begun is
a hidden folder that the next run clears away.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from glrg_tf.captioner.captioner import VideoCaptioner, read_weights, write_weights
from glrg_tf.errors import CheckpointError
from glrg_tf.io import atomic

LATEST, BEST = "latest", "best"
_BEGUN = (".*.part", ".*.old")  # what an interrupted save leaves (io/atomic.py)


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
        keep: newest checkpoints kept beside the best one.
    """

    def __init__(self, run: Path, keep: int = 2) -> None:
        self.run = run
        self.keep = keep
        self.refused: list[CheckpointError] = []  # what `restore` passed over

    def save(self, captioner: VideoCaptioner, state: TrainingState, *, best: bool, card: str = "") -> Path:
        """Writes a checkpoint, then moves the pointers; an interrupted save leaves the last good one in place.

        Raises:
            CheckpointError: the disk is full, the folder may not be written to.
        """
        try:
            return self._save(captioner, state, best, card)
        except OSError as error:
            last = self._latest_or_none()
            after = f"{last.relative_to(self.run.resolve())} is whole; " if last is not None else ""
            raise CheckpointError(
                f"the checkpoint of step {state.step} could not be written ({_reason(error)})",
                where=self.run,
                remedy=f"{after}free space or mend the rights, then resume",
            ) from error

    def _save(self, captioner: VideoCaptioner, state: TrainingState, best: bool, card: str) -> Path:
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
        try:
            folder = (self.run / file.read_text("utf-8").strip()).resolve()
        except (UnicodeError, ValueError, OSError) as error:
            raise CheckpointError(f"'{name}' is damaged ({error})", where=file) from None
        if not folder.is_relative_to(self.run.resolve()):
            raise CheckpointError(f"'{name}' points out of the run", where=file)
        return folder if folder.is_dir() else None

    def restore(self) -> tuple[TrainingState, Path] | None:
        """The newest checkpoint that verifies, None if there is no checkpoint at all; `refused` tells what did not.

        Raises:
            CheckpointError: checkpoints exist and none is whole.
        """
        candidates = [self._latest_or_none()]
        candidates += sorted((self.run / "checkpoints").glob("[0-9]*"), reverse=True)
        self.refused = failures = []
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

    def clear_begun(self) -> None:
        """Removes what interrupted saves left behind; only for the process that holds the run."""
        for place in (self.run, self.run / "checkpoints"):
            for left in [found for pattern in _BEGUN for found in place.glob(pattern)]:
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)

    def _latest_or_none(self) -> Path | None:
        try:
            return self.pointer(LATEST)
        except CheckpointError:
            return None

    def _prune(self) -> None:
        keep = {path.resolve() for path in (self.pointer(LATEST), self.pointer(BEST)) if path is not None}
        folders = sorted((self.run / "checkpoints").glob("[0-9]*"))
        for folder in folders[: -self.keep]:
            if folder.resolve() not in keep:
                # Renamed first: a removal that is killed half way must not leave what looks like a checkpoint.
                doomed = folder.with_name(f".{folder.name}.old")
                with contextlib.suppress(OSError):
                    os.replace(folder, doomed)
                shutil.rmtree(doomed, ignore_errors=True)


def _reason(error: OSError) -> str:
    """Why the operating system refused; HDF5 hides the number in its text."""
    text = str(error)
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO):
        if error.errno == number or f"errno = {number}," in text:
            return os.strerror(number).lower()
    return (error.strerror or text)[:200]
