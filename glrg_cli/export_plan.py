"""`glrg export --dry-run`: the files that would be written, their sizes, and how long it takes here."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glrg_cli.common import Console
from glrg_cli.dry_run import about, megabytes

if TYPE_CHECKING:
    from export.exporter import Exporter
    from export.plan import Artefact

# Time of an artefact, conversion and comparison together, by the time of building one beam search here (measured on
# world-nano: 2.6 such times for the slowest form). With encoders the graphs grow: these are then too low.
_FACTORS = {"saved_model": 0.8, "onnx": 1.6, "onnx_text": 2.1, "litert": 1.0}
_SMALLER, _REFERENCE = 0.5, 0.5
_BYTES = {"float32": 4, "float16": 2, "int8": 1}


def show(exporter: Exporter, out: Path, console: Console) -> None:
    """Builds one beam search for its time and prints the plan; nothing is written."""
    from export.plan import artefacts

    captioner, request = exporter.captioner, exporter.request
    features = np.zeros((32, captioner.config.feature_size), np.float32)
    began = time.perf_counter()
    captioner.generate(features, beam_size=exporter.beam)
    unit = time.perf_counter() - began
    plan = artefacts(request)
    seconds = unit * sum(_FACTORS[entry.format] if entry.form == "float32" else _SMALLER for entry in plan)
    seconds += unit * _REFERENCE * len({entry.form for entry in plan})
    sizes = [_size(exporter, entry) for entry in plan]
    rows = [
        (entry.path, "frames" if entry.frames else "features", entry.form, megabytes(size))
        for entry, size in zip(plan, sizes, strict=True)
    ]
    console.table(f"Plan for {out}", ("file", "reads", "weights", "about"), rows)
    if out.exists():
        console.info("the export that is there would be replaced")
    more = "; encoders take longer than that" if request.with_encoder else ""
    console.info(f"beam {exporter.beam}; about {about(seconds)} on this machine as busy as it is now{more}")
    files = [{"path": entry.path, "bytes": int(size)} for entry, size in zip(plan, sizes, strict=True)]
    console.result({"out": str(out), "files": files, "replaces": out.exists(), "seconds": round(seconds, 1)})


def _size(exporter: Exporter, entry: Artefact) -> float:
    """Bytes of the weights; graphs add little."""
    count = sum(weight.size for weight in exporter.captioner.model.get_weights().values())
    if exporter.bundle is not None and (entry.frames or (entry.format, entry.form) == ("saved_model", "float32")):
        models: list[Any] = [getattr(stream, "model", None) for stream in exporter.bundle.streams.values()]
        count += sum(model.count_params() for model in models if hasattr(model, "count_params"))
    return float(count * _BYTES[entry.form])
