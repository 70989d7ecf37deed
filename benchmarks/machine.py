"""What this machine can do: its matrix-product rate, and how much memory a process has touched."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from benchmarks.timing import measure

# (rows, inner, columns) of the products that dominate a training step: the recurrent kernel, the logits, a square one.
_SHAPES = ((640, 512, 2048), (4096, 512, 2048), (2048, 2048, 2048))


def gemm_rate(budget_s: float = 0.4) -> float:
    """The best float32 matrix-product rate seen over typical shapes, FLOP/s, with the threads TensorFlow has now."""
    import tensorflow as tf

    best = 0.0
    for rows, inner, columns in _SHAPES:
        left, right = tf.random.normal([rows, inner]), tf.random.normal([inner, columns])
        # One element comes back, so a run on a device ends when the product does.
        timing = measure(lambda a=left, b=right: tf.matmul(a, b)[0, 0].numpy(), budget_s=budget_s / len(_SHAPES))
        best = max(best, 2.0 * rows * inner * columns / timing.minimum)
    return best


def peak_rss_mb() -> float:
    """Most resident memory this process has had, MiB (`VmHWM`; where there is no /proc, `getrusage`)."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def describe() -> dict[str, object]:
    """Processor, cores and how busy the machine is, for the head of a report."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"processor": model, "cores": os.cpu_count(), "load": load, "python": platform.python_version()}


def thread_environment(threads: int) -> dict[str, str]:
    """Environment that holds TensorFlow, numpy and OpenMP to `threads`; must be set before they are imported."""
    count = str(threads)
    names = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**dict.fromkeys(names, count), "TF_NUM_INTEROP_THREADS": "1"}
