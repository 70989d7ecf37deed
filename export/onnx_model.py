"""Writes a captioner as ONNX files: features (or frames) in, ids with scores out, by plain ONNX Runtime.

The converter logs errors and goes on to write files that cannot run; here a logged error ends the export.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx

from export.onnx_loops import hoist_invariants
from export.signatures import CaptionModule, beam_without_text
from glrg_tf.errors import ExportError
from glrg_tf.io import atomic

OPSET = 18  # the highest the converter writes


def write_onnx(module: CaptionModule, path: str | os.PathLike[str], frames: bool = False) -> Path:
    """Writes a module (built with `word_table=False`) as an ONNX file.

    Args:
        module: what to convert.
        path: the file.
        frames: whether its input is `frames`, not `features`; the outputs are `scores`, `token_ids` and
            `token_log_probs`.

    Raises:
        ExportError: the converter complains, or its result is not valid ONNX.
    """
    function = beam_without_text(module, frames)
    with converter_errors(path):
        import tf2onnx

        model, _ = tf2onnx.convert.from_function(
            function, list(function.input_signature), opset=OPSET, custom_op_handlers={"SelectV2": (_select, [])}
        )
    hoist_invariants(model.graph)
    model.producer_name, model.producer_version = "glrg-tf", ""
    return save(model, path)


def save(model: onnx.ModelProto, path: str | os.PathLike[str]) -> Path:
    """Writes a model that the ONNX checker accepts, whole or not at all.

    Raises:
        ExportError: it is not valid.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the converted model is not valid ONNX: {error}".splitlines()[0], where=path) from error
    atomic.write_bytes(path, model.SerializeToString())
    return Path(path)


@contextlib.contextmanager
def converter_errors(where: object) -> Iterator[None]:
    """Turns what the converter logs as an error into an `ExportError`, and keeps its chatter off the terminal."""
    logger, complaints = logging.getLogger("tf2onnx"), _Complaints()
    before = logger.propagate, logger.level
    logger.addHandler(complaints)
    logger.propagate = False
    logger.setLevel(logging.ERROR)
    try:
        yield
    except (ValueError, RuntimeError, NotImplementedError, KeyError, AttributeError) as error:
        raise ExportError(f"no ONNX conversion: {error}".splitlines()[0], where=where) from error
    finally:
        logger.removeHandler(complaints)
        logger.propagate, level = before
        logger.setLevel(level)
    if complaints.messages:
        raise ExportError(f"the ONNX converter says: {complaints.messages[0]}".splitlines()[0], where=where)


def _select(context: Any, node: Any, name: str, arguments: Any) -> None:
    """`tf.where` as Where. The converter's own form, c * x + (1 - c) * y, lets a NaN through that was not chosen."""
    if context.get_dtype(node.output[0]) == onnx.TensorProto.BOOL:  # Where has no kernel for it: here nothing is lost
        from tf2onnx.onnx_opset.controlflow import Select

        Select.version_7(context, node)
    else:
        node.type = "Where"


class _Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
