"""One benchmark in a process of its own, so that its peak memory is its own: options as JSON in, a row as JSON out.

    python -m benchmarks.worker '{"name": "xe_step", ...}'

Prints the row on the last line of standard output. Run by `benchmarks.suite`.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import machine, material, timing
from benchmarks.case import Case, Options

# Entry -> the module whose `build` makes its case. The modules import TensorFlow; this one must not before `main`.
MODULES = {
    **dict.fromkeys(("xe_step", "dxe_step", "dr_b1_step", "dr_b2_step", "scst_step"), "benchmarks.steps"),
    **dict.fromkeys(("greedy", "beam5", "beam5_normalized", "beam5_release", "caption_latency"), "benchmarks.decode"),
    **dict.fromkeys(("export_saved_model", "export_onnx", "export_onnx_int8", "export_litert"), "benchmarks.export"),
    "input_batch": "benchmarks.inputs",
    "reward_ciderd": "benchmarks.reward",
    **dict.fromkeys(("extract_serial", "extract", "extract_workers"), "benchmarks.extract"),
}


def run(options: Options) -> dict[str, Any]:
    """Measures one entry; columns as in `suite`."""
    module = importlib.import_module(MODULES[options.name])
    started = time.perf_counter()
    data = material.load(Path(options.material))
    case = module.build(options, data)
    built = time.perf_counter()
    first_s = timing.clock(case.ours).minimum  # traces and compiles
    case.ours()
    peak = machine.peak_rss_mb()
    reference = case.build_reference() if options.reference and case.build_reference else None
    if reference is not None and case.pairs:
        reference()  # one that takes seconds warms up in its first turn instead: the minimum counts
    found = timing.compare(case.ours, reference, pairs=case.pairs or options.pairs)
    row = _row(options, case, found)
    row |= {
        "peak_rss_mb": round(peak, 1),
        "setup_s": round(built - started, 3),
        "compile_s": round(max(0.0, first_s - found.ours.median), 3),
        "material": data.source,
        "threads": options.threads,
        **case.extra(),
    }
    return row


def _row(options: Options, case: Case, found: timing.Comparison) -> dict[str, Any]:
    unit, scale = 1.0 / case.repeats, 1.0 / case.reference_share
    ours, ours_processor = unit * found.ours.minimum, unit * found.ours.minimum_processor
    plain = None if found.reference is None else found.reference.minimum * scale
    plain_processor = None if found.reference is None else found.reference.minimum_processor * scale
    return {
        "name": options.name,
        "vocabulary": options.vocabulary,
        "batch": options.batch,
        "ours_s": ours,
        "reference_s": plain,
        "ratio": None if plain is None else plain / ours,
        "ratio_spread": [scale * case.repeats * end(found.pair_ratios) for end in (min, max)] if plain else None,
        "ours_median_s": unit * found.ours.median,
        "ours_processor_s": ours_processor,
        "reference_processor_s": plain_processor,
        "ratio_processor": None if plain_processor is None else plain_processor / ours_processor,
        "flops": case.flops() if case.flops else None,
        "gemm_gflops": machine.gemm_rate() / 1e9,
    }


def main(text: str) -> None:
    """Runs what `text` describes and prints the row."""
    print(json.dumps(run(Options(**json.loads(text)))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
