"""What the server runs: the signatures of a captioner or of a SavedModel, as functions of arrays.

A captioner is served through the very functions that `glrg export` writes, so what `glrg serve` answers is what
TF Serving would. They are traced once, when the server starts, for batches of every size.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from export.serving.predict import DEFAULT_SIGNATURE, Signature, TensorSpec
from glrg_tf.errors import CheckpointError, ExportError

Arrays = Mapping[str, np.ndarray]
BEAM = "beam"
REFUSED = -1e30  # score of a video whose features the network cannot work with (`export.signatures`)


class Engine(Protocol):
    """Signatures that can be run, from one thread at a time."""

    signatures: dict[str, Signature]
    streams: tuple[tuple[str, int], ...]  # names and widths of the vocabularies, empty where they are not known

    def run(self, signature: str, inputs: Arrays) -> dict[str, np.ndarray]:
        """Outputs of a signature for inputs (rows, ...) that fit it."""
        ...


class GraphEngine:
    """TensorFlow functions, one a signature.

    Args:
        functions: signature name -> concrete function.
        streams: names and widths of the vocabularies in column order.
        kept: whatever must live as long as the functions (their variables).
    """

    def __init__(
        self, functions: Mapping[str, Any], streams: tuple[tuple[str, int], ...] = (), kept: object = None
    ) -> None:
        self._functions, self.streams, self._kept = dict(functions), streams, kept
        self.signatures = {name: _signature(function) for name, function in functions.items()}

    def run(self, signature: str, inputs: Arrays) -> dict[str, np.ndarray]:
        """Outputs of a signature for inputs (rows, ...) that fit it."""
        import tensorflow as tf

        outputs = self._functions[signature](**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    def warm_up(self, largest: int = 32) -> None:
        """Runs every signature that takes features, one video alone and the largest batch.

        First calls are slow, and memory for the largest batch is best taken before the first client comes.
        """
        videos = np.random.default_rng(0)
        for name, signature in self.signatures.items():
            if [spec.name for spec in signature.inputs] == ["features"]:
                for rows in (1, largest, largest):
                    self.run(name, {"features": videos.random((rows, signature.inputs[0].shape[1] or 1), np.float32)})


def captioner_engine(captioner: Any, beam: int | None = None) -> GraphEngine:
    """Serves a `VideoCaptioner`; `beam` None takes its default."""
    from export.signatures import CaptionModule, build_signatures

    module = CaptionModule(captioner, beam)
    return GraphEngine(build_signatures(module), captioner.config.streams, module)


def saved_model_engine(folder: str | os.PathLike[str]) -> GraphEngine:
    """Serves a SavedModel, or the newest version in a folder of versions.

    Raises:
        CheckpointError: no SavedModel there.
        ExportError: one that cannot be loaded, or without the signature `serving_default` on features.
    """
    import tensorflow as tf

    path = newest_version(folder)
    if path is None:
        raise CheckpointError("no SavedModel there", where=folder, remedy="`glrg export` writes one")
    try:
        loaded = tf.saved_model.load(str(path))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise ExportError(f"the SavedModel cannot be loaded ({str(error)[:200]})", where=path) from error
    if DEFAULT_SIGNATURE not in loaded.signatures:
        raise ExportError(f"the SavedModel has no signature '{DEFAULT_SIGNATURE}'", where=path)
    return GraphEngine(dict(loaded.signatures), kept=loaded)


def newest_version(folder: str | os.PathLike[str]) -> Path | None:
    """The SavedModel folder that TF Serving would take from `folder`: itself, or its highest number; None without."""
    root = Path(folder)
    if (root / "saved_model.pb").is_file():
        return root
    if not root.is_dir():
        return None
    versions = [path for path in root.iterdir() if path.name.isdecimal() and (path / "saved_model.pb").is_file()]
    return max(versions, key=lambda path: int(path.name), default=None)


def _signature(function: Any) -> Signature:
    positional, named = function.structured_input_signature
    specs = {spec.name: spec for spec in positional} | dict(named)
    return Signature(_specs(specs), _specs(function.structured_outputs))


def _specs(tensors: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    from tensorflow.core.framework import types_pb2

    return tuple(
        TensorSpec(name, types_pb2.DataType.Name(tensor.dtype.as_datatype_enum), tuple(tensor.shape.as_list()))
        for name, tensor in sorted(tensors.items())
    )
