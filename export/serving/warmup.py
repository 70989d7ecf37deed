"""Warm-up requests for TF Serving: a SavedModel's first calls build kernels and take seconds; these run at loading.

`assets.extra/tf_serving_warmup_requests` inside a version's folder is a TFRecord file of PredictionLog messages.
Source: https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from export.serving.clients.grpc_client import MESSAGES, message_classes, predict_request, to_array
from export.serving.engine import saved_model_engine
from export.serving.predict import Signature
from glrg_tf.errors import ExportError

FILE = Path("assets.extra") / "tf_serving_warmup_requests"
BATCHES = (1, 8)  # videos in a warm-up request: one alone, and enough of them for the kernels of batches
_FRAMES = (6, 64, 96)  # F, H, W of the made-up video
_CLASSES = message_classes(
    MESSAGES
    | {
        "PredictLog": {"request": (1, "PredictRequest"), "response": (2, "PredictResponse")},
        "PredictionLog": {"predict_log": (6, "PredictLog")},  # number 6 of a choice of logs
    }
)


def write_warmup(version: str | os.PathLike[str], model: str = "captioner") -> Path:
    """Writes the warm-up requests of a SavedModel, reads them back and runs them.

    Args:
        version: the folder with `saved_model.pb`.
        model: name of the model in the requests.

    Returns:
        The file.

    Raises:
        ExportError: the requests cannot be read back or do not run.
    """
    import tensorflow as tf

    path = Path(version) / FILE
    path.parent.mkdir(exist_ok=True)
    engine = saved_model_engine(version)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, signature in engine.signatures.items():
            for inputs in _inputs(signature):
                log = _CLASSES["PredictionLog"]()
                log.predict_log.request.CopyFrom(predict_request(inputs, model, name, _CLASSES))
                writer.write(log.SerializeToString())
    for name, inputs in read_warmup(path):
        try:
            engine.run(name, inputs)
        except (KeyError, TypeError, ValueError, tf.errors.OpError) as error:
            raise ExportError(f"a warm-up request does not run ({str(error)[:200]})", where=path) from error
    return path


def read_warmup(path: str | os.PathLike[str]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Signature and inputs of each warm-up request.

    Raises:
        ExportError: not a file of such requests.
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            request = _CLASSES["PredictionLog"].FromString(record).predict_log.request
            yield request.model_spec.signature_name, {entry.key: to_array(entry.value) for entry in request.inputs}
    except (DecodeError, StopIteration, tf.errors.OpError) as error:
        raise ExportError("not a file of warm-up requests", where=path) from error


def _inputs(signature: Signature) -> Iterator[dict[str, np.ndarray]]:
    """Made-up inputs of a signature that takes features or frames; none for others."""
    names = {spec.name: spec for spec in signature.inputs}
    made: dict[str, Any] = {
        "features": lambda rows: np.full((rows, names["features"].shape[1] or 1), 0.1, np.float32),
        "frames": lambda rows: np.full((rows, *_FRAMES, 3), 128, np.uint8),
    }
    if set(names) <= set(made):
        for rows in BATCHES if "features" in names else BATCHES[:1]:
            yield {name: made[name](rows) for name in names}
