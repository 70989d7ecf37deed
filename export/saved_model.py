"""Writes a captioner as a SavedModel in TF Serving's versioned layout, of core TensorFlow operations only."""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf

from export.core_ops import check_operations
from export.signatures import CaptionModule, Storage, build_signatures
from glrg_tf.captioner.captioner import VideoCaptioner
from glrg_tf.encoders.bundle import FramesModel


def write_saved_model(
    captioner: VideoCaptioner,
    folder: str | os.PathLike[str],
    beam: int | None = None,
    frames_model: FramesModel | None = None,
    storage: Storage = "float32",
    version: int = 1,
) -> Path:
    """Writes `folder`/`version`/ with every signature this captioner has (see `signatures`).

    Args:
        captioner: what to export.
        folder: the model's base folder, what TF Serving calls `base_path`.
        beam: hypotheses kept; None takes the captioner's default.
        frames_model: adds `from_frames` (see `CaptionModule`).
        storage: type of the weights on disk.
        version: number of the subfolder.

    Returns:
        The folder of the SavedModel, for `tf.saved_model.load`.

    Raises:
        ExportError: an operation that is not a core one.
    """
    module = CaptionModule(captioner, beam, frames_model, storage)
    signatures = build_signatures(module)
    for name, function in signatures.items():
        check_operations(function.graph.as_graph_def(), where=f"signature {name}")
    # What TF Serving loads: signatures and variables. The module's Python attributes stay behind.
    holder = tf.Module(name="captioner")
    holder.weights = module.stored
    target = Path(folder) / str(version)
    tf.saved_model.save(holder, str(target), signatures=signatures)
    return target
