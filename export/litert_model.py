"""Writes a captioner as LiteRT (TensorFlow Lite) files of built-in operations, for phones and boards."""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf

from export.signatures import CaptionModule, features_spec, frames_spec
from glrg_tf.errors import ExportError
from glrg_tf.io import atomic


def write_litert(
    module: CaptionModule, path: str | os.PathLike[str], signature: str = "beam", float16: bool = False
) -> Path:
    """Writes one signature of a module (built with `word_table=False`) as a LiteRT file.

    Args:
        module: what to convert.
        path: the file.
        signature: "beam" (input `features`) or "beam_from_frames" (input `frames`); the outputs are `scores`,
            `token_ids` and `token_log_probs`. The number of videos is dynamic.
        float16: whether weights are stored as float16; arithmetic stays float32.

    Raises:
        ExportError: an operation that is not built into LiteRT.
    """

    @tf.function(input_signature=[features_spec(module)], autograph=False)
    def from_features(features: tf.Tensor) -> dict[str, tf.Tensor]:
        return module.named(module.decode(features, module.beam_size))

    @tf.function(input_signature=[frames_spec()], autograph=False)
    def from_frames(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        return module.named(module.decode(module.features_of(frames), module.beam_size))

    function = from_features if signature == "beam" else from_frames
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
