"""Exported captioners beside Keras: beam 5 from features to five captions with scores, in batches of 1 and 32.

"Ours" is the artefact in its own runtime, from NumPy to NumPy; the plain form is `VideoCaptioner.generate` on the same
videos, in turns in the same process. Ranked by the sum of log-probabilities over the length, the default of training
runs. The floor counts the best captions' steps only, as in `decode`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import floor
from benchmarks.case import Case, Options
from benchmarks.decode import make_captioner
from benchmarks.material import Material
from export import runners
from export.litert_model import write_litert
from export.onnx_int8 import write_int8
from export.onnx_model import write_onnx
from export.saved_model import write_saved_model
from export.signatures import CaptionModule
from glrg_tf.captioner.captioner import VideoCaptioner

BEAM = 5
_SINGLE_VIDEOS = 8  # as in `decode`: captions differ in length, one video would decide


def build(options: Options, material: Material) -> Case:
    """The case of one of `FORMATS`; a batch of 1 is timed over several videos, each in a call of its own."""
    captioner = make_captioner(material, length_normalization=1.0)
    singles = _SINGLE_VIDEOS if options.batch == 1 else 1
    features = material.features[material.rows(options.batch * singles)]
    parts = np.split(features, singles)
    with tempfile.TemporaryDirectory(prefix="glrg-bench-export-") as folder:
        run, size = FORMATS[options.name](captioner, Path(folder), options.threads)

    def flops() -> float:
        captions = captioner.generate(features, beam_size=BEAM)
        sizes = floor.Sizes(material.vocabulary, material.features.shape[1], captioner.config.hidden_size)
        rows = BEAM * sum(len(found[0].token_log_probs) for found in captions)
        return floor.decoding_flops(rows, len(features), sizes) / singles

    return Case(
        lambda: [run(part) for part in parts],
        lambda: lambda: [captioner.generate(part, BEAM, BEAM) for part in parts],
        flops,
        repeats=singles,
        reference_share=singles,
        pairs=5,
        extra=lambda: {"videos_a_call": options.batch, "artefact_bytes": size},
    )


def _saved_model(captioner: VideoCaptioner, folder: Path, threads: int) -> tuple[runners.Run, int]:
    path = write_saved_model(captioner, folder / "model", BEAM)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return runners.open_saved_model(path)["beam"], size  # threads: set for TensorFlow by the worker's environment


def _onnx(captioner: VideoCaptioner, folder: Path, threads: int) -> tuple[runners.Run, int]:
    path = write_onnx(CaptionModule(captioner, BEAM, word_table=False), folder / "captioner.onnx")
    return runners.open_onnx(path, threads), path.stat().st_size


def _onnx_int8(captioner: VideoCaptioner, folder: Path, threads: int) -> tuple[runners.Run, int]:
    plain = write_onnx(CaptionModule(captioner, BEAM, word_table=False), folder / "captioner.onnx")
    path = write_int8(plain, folder / "captioner.int8.onnx")
    return runners.open_onnx(path, threads), path.stat().st_size


def _litert(captioner: VideoCaptioner, folder: Path, threads: int) -> tuple[runners.Run, int]:
    path = write_litert(CaptionModule(captioner, BEAM, word_table=False), folder / "captioner.tflite")
    return runners.open_litert(path, threads), path.stat().st_size


FORMATS: dict[str, Callable[[VideoCaptioner, Path, int], tuple[runners.Run, int]]] = {
    "export_saved_model": _saved_model,
    "export_onnx": _onnx,
    "export_onnx_int8": _onnx_int8,
    "export_litert": _litert,
}
