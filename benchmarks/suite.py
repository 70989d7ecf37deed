"""The suites of `glrg bench`: which entries, each in a process of its own, gathered into one list of rows."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.case import Options
from glrg_tf.errors import ConfigError, GlrgError

ROOT = Path(__file__).resolve().parents[1]
TRAINING_BATCH = 32

# Suite -> entries with their batch sizes.
SUITES: dict[str, tuple[tuple[str, int], ...]] = {
    "steps": (
        ("xe_step", TRAINING_BATCH),
        ("dxe_step", TRAINING_BATCH),
        ("dr_b1_step", TRAINING_BATCH),
        ("dr_b2_step", TRAINING_BATCH),
        ("scst_step", TRAINING_BATCH),
        ("input_batch", TRAINING_BATCH),
    ),
    "reward": (("reward_ciderd", TRAINING_BATCH),),
    "decode": (
        *(("greedy", batch) for batch in (1, 32, 256)),
        *(("beam5", batch) for batch in (1, 32, 256)),
        ("beam5_normalized", 32),
        ("beam5_release", 32),
        ("caption_latency", 1),
    ),
    "extract": (("extract_serial", 16), ("extract", 16), ("extract_workers", 16)),
    "export": tuple((f"export_{kind}", b) for kind in ("saved_model", "onnx", "onnx_int8", "litert") for b in (1, 32)),
}
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Request:
    """What to run.

    Attributes:
        suite: a key of `SUITES`, or "all".
        vocabulary: V.
        threads: threads of one operation; 1 makes ratios comparable between machines.
        pairs: turns of ours and the plain form.
        reference: whether the plain form runs.
        peer: an outside command for the same work, or None (see `run_peer`).
        only: entries to keep; empty keeps all.
    """

    suite: str
    vocabulary: int = 2461
    threads: int = 1
    pairs: int = 2
    reference: bool = True
    peer: str | None = None
    only: tuple[str, ...] = ()

    def entries(self) -> list[tuple[str, int]]:
        """Entries and batch sizes of the suite.

        Raises:
            ConfigError: no such suite, or an entry that it does not have.
        """
        if self.suite != "all" and self.suite not in SUITES:
            raise ConfigError(f"no suite '{self.suite}'", remedy="one of: " + ", ".join([*SUITES, "all"]))
        suites = SUITES.values() if self.suite == "all" else [SUITES[self.suite]]
        found = [entry for suite in suites for entry in suite]
        unknown = set(self.only) - {name for name, _ in found}
        if unknown:
            known = ", ".join(dict.fromkeys(name for name, _ in found))
            raise ConfigError(f"no entry '{sorted(unknown)[0]}' in '{self.suite}'", where="--only", remedy=known)
        return [entry for entry in found if not self.only or entry[0] in self.only]


def run(request: Request, report: Callable[[str], None]) -> list[Row]:
    """One row an entry.

    Columns: name, vocabulary, batch; ours_s, reference_s (minima of wall time) and ratio; ratio_spread over the turns;
    floor_s (unavoidable FLOPs over the best product rate seen in the suite) and fraction_of_floor = floor_s / ours_s;
    peak_rss_mb (before the plain form was built); ours_median_s; *_processor* (the same from processor time);
    setup_s (model and data, after imports), compile_s (tracing: first call less a usual one); material, threads,
    gemm_gflops, flops; peer_s and peer_ratio with a peer; and what an entry adds.

    Args:
        request: what to run.
        report: told what is going on.

    Raises:
        ConfigError: see `Request.entries`.
        GlrgError: a benchmark or the peer failed.
    """
    entries, rows = request.entries(), []
    with tempfile.TemporaryDirectory(prefix="glrg-bench-") as folder:
        data = Path(folder) / "material.npz"
        report("preparing videos, captions and weights")
        _python(["-m", "benchmarks.prepare", str(request.vocabulary), str(data)], request.threads)
        for name, batch in entries:
            report(f"{name}, batch {batch}, vocabulary {request.vocabulary}")
            options = Options(
                name,
                batch,
                request.vocabulary,
                request.threads,
                request.pairs,
                str(data),
                request.reference,
                folder,
            )
            row = json.loads(_worker(options).splitlines()[-1])
            if request.peer:
                row["peer_s"] = run_peer(request.peer, options)
                row["peer_ratio"] = row["peer_s"] / row["ours_s"]
            rows.append(row)
    return with_floor(rows)


def with_floor(rows: list[Row]) -> list[Row]:
    """Adds floor_s and fraction_of_floor, at the best rate any row saw: noise only ever lowers a rate."""
    rate = max(row["gemm_gflops"] for row in rows) * 1e9
    for row in rows:
        row["gemm_gflops"] = rate / 1e9
        row["floor_s"] = row["flops"] / rate if row["flops"] else None
        row["fraction_of_floor"] = row["floor_s"] / row["ours_s"] if row["floor_s"] else None
    return rows


def run_peer(command: str, options: Options) -> float:
    """Seconds that an outside command takes for the same work.

    The command is started without a shell, with the work described in its environment: GLRG_BENCH_NAME, _BATCH,
    _VOCABULARY, _THREADS and _MATERIAL (the .npz file of `material.save`). It should print, on its last line,
    {"seconds": S}; if it prints nothing of the kind its own run time is taken, start-up included.

    Raises:
        GlrgError: the command cannot be started or fails.
    """
    described = {
        f"GLRG_BENCH_{n.upper()}": str(getattr(options, n)) for n in ("name", "batch", "vocabulary", "threads")
    }
    environment = {**os.environ, **machine.thread_environment(options.threads), **described}
    environment["GLRG_BENCH_MATERIAL"] = options.material
    started = time.perf_counter()
    try:
        done = subprocess.run(shlex.split(command), env=environment, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        detail = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1:]
        raise GlrgError(f"the peer failed on {options.name}: {''.join(detail)}", where=command) from error
    elapsed = time.perf_counter() - started
    try:
        return float(json.loads(done.stdout.strip().splitlines()[-1])["seconds"])
    except (IndexError, KeyError, TypeError, ValueError):
        return elapsed


def _worker(options: Options) -> str:
    return _python(["-m", "benchmarks.worker", json.dumps(dataclasses.asdict(options))], options.threads)


def _python(arguments: list[str], threads: int) -> str:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, **machine.thread_environment(threads), "PYTHONPATH": path}
    done = subprocess.run([sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise GlrgError(f"a benchmark failed: {last}", where=" ".join(arguments)[:120])
    return done.stdout
