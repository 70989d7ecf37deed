"""Where a captioner lies: a folder, the best checkpoint of a run, or a preset by its name."""

from __future__ import annotations

import difflib
import importlib
import os
from pathlib import Path

from glrg_tf.captioner.presets import PRESET_PROVIDERS
from glrg_tf.errors import CheckpointError


def resolve(name_or_path: str | os.PathLike[str]) -> Path:
    """The captioner folder behind a folder, a run or a preset name.

    Raises:
        CheckpointError: nothing of that name.
    """
    path = Path(name_or_path)
    if (path / "model.weights.h5").is_file():
        return path
    for pointer in (path / "best", path / "latest"):
        if pointer.is_file():
            named = (path / pointer.read_text("utf-8").strip()).resolve()
            if named.is_relative_to(path.resolve()) and (named / "model.weights.h5").is_file():
                return named
    near: list[str] = []
    if not path.exists():
        for provider in map(importlib.import_module, PRESET_PROVIDERS):
            if str(name_or_path) in provider.NAMES:
                return provider.resolve(str(name_or_path))
            near += difflib.get_close_matches(str(name_or_path), provider.NAMES, n=1)
    if not path.exists() and path.parent.is_dir():
        beside = [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
        near += [str(path.parent / name) for name in difflib.get_close_matches(path.name, beside, n=1)]
    known = "a run folder of `glrg train`, a captioner folder, or a preset name"
    remedy = f"did you mean '{near[0]}'?" if near else f"pass {known}"
    what = "no captioner there" if path.exists() else "not found"
    what = "this is a dataset, not a captioner" if (path / "dataset.json").is_file() else what
    raise CheckpointError(what, where=path, remedy=remedy)
