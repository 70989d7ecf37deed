"""The least time a training step can take on a named GPU, from its arithmetic and its memory traffic.

    least time = max(FLOPs / peak rate, bytes / memory bandwidth)

FLOPs are the matrix products of the step (see `floor.py`); `static_flops` counts those that the static form does,
padding included. Bytes are what no implementation avoids: every weight and both of Adam's moments read and written
once (24 bytes a parameter) and the batch read once; activations could stay on the chip. The floor knows nothing of
latency: a caption's steps follow one another, 2 T products of N rows that a large GPU does not fill, so small models
stay well above it.

Rates are the makers' published peaks for dense matrices (no sparsity), not measured here.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from benchmarks.floor import Positions, Sizes

ADAM_BYTES = 24  # a parameter: weight and two moments, read and written


@dataclasses.dataclass(frozen=True)
class Gpu:
    """Published peaks of a GPU.

    Attributes:
        name: as sold.
        flops: dense matrix products by factor type, FLOP/s.
        bandwidth: of its memory, bytes/s.
        source: the sheet.
    """

    name: str
    flops: dict[str, float]
    bandwidth: float
    source: str


GPUS = {
    "H200": Gpu("H200 SXM", {"tf32": 494.5e12, "bfloat16": 989.5e12}, 4.8e12, "NVIDIA H200 data sheet, halved sparse"),
    "H100": Gpu("H100 SXM", {"tf32": 494.5e12, "bfloat16": 989.5e12}, 3.35e12, "NVIDIA H100 data sheet, halved sparse"),
    "A100": Gpu("A100 SXM 80 GB", {"tf32": 156e12, "bfloat16": 312e12}, 2.039e12, "NVIDIA A100 data sheet"),
}


def least_seconds(flops: float, moved: float, gpu: Gpu, precision: str) -> tuple[float, str]:
    """The floor and what sets it, "arithmetic" or "memory"."""
    arithmetic, memory = flops / gpu.flops[precision], moved / gpu.bandwidth
    return (arithmetic, "arithmetic") if arithmetic >= memory else (memory, "memory")


def static_flops(videos: int, captions: int, steps: int, sizes: Sizes, *, samples: bool = False) -> float:
    """FLOPs of one training step in static form.

    Args:
        videos: B.
        captions: G, of each.
        steps: T, bucketed.
        sizes: of the captioner.
        samples: whether captions are drawn, which makes the logits once more.
    """
    rows = videos * captions * steps
    positions = Positions(rows, rows, rows, sizes.vocabulary, videos)
    from benchmarks.floor import training_flops

    again = rows * 2.0 * sizes.hidden * sizes.vocabulary if samples else 0.0
    return training_flops(positions, sizes) + again


def parameter_count(sizes: Sizes) -> int:
    """Weights of the released architecture, one linear map over all features."""
    hidden, vocabulary = sizes.hidden, sizes.vocabulary
    pool = (sizes.features + 1) * hidden
    return pool + 3 * hidden * 4 * hidden + vocabulary * hidden + (hidden + 1) * vocabulary


def floors(
    flops: float, parameters: int, batch_bytes: float, gpus: tuple[str, ...] = ("H200",)
) -> list[dict[str, Any]]:
    """The floor of a step on GPUs in both precisions, as rows of a manifest."""
    rows = []
    for name in gpus:
        for precision in GPUS[name].flops:
            seconds, bound = least_seconds(flops, ADAM_BYTES * parameters + batch_bytes, GPUS[name], precision)
            peaks = {"peak_flops": GPUS[name].flops[precision], "bandwidth": GPUS[name].bandwidth}
            row = {"gpu": GPUS[name].name, "precision": precision, "least_s": seconds, "bound": bound}
            rows.append({**row, **peaks, "source": GPUS[name].source})
    return rows
