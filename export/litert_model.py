"""Writes a captioner as LiteRT (TensorFlow Lite) files of built-in operations, for phones and boards."""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf

from export.signatures import CaptionModule, beam_without_text
from glrg_tf.errors import ExportError
from glrg_tf.io import atomic


def write_litert(
    module: CaptionModule, path: str | os.PathLike[str], frames: bool = False, float16: bool = False
) -> Path:
    """Writes a module (built with `word_table=False`) as a LiteRT file. The number of videos is dynamic.

    Args:
        module: what to convert.
        path: the file.
        frames: whether its input is `frames`, not `features`; the outputs are `scores`, `token_ids` and
            `token_log_probs`.
        float16: whether weights are stored as float16; arithmetic stays float32.

    Raises:
        ExportError: an operation that is not built into LiteRT.
    """
    function = beam_without_text(module, frames)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]  # nothing that needs Flex
    if float16:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    try:
        content = converter.convert()
    except Exception as error:  # the converter has errors of its own
        raise ExportError(f"no LiteRT conversion: {_first_line(error)}", where=path) from error
    atomic.write_bytes(path, content)
    return Path(path)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
