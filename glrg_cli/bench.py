"""`glrg bench`: our speed against the plain form of the same work, and against the machine's arithmetic."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from glrg_cli.common import Console
from glrg_tf.errors import ConfigError
from glrg_tf.io import atomic

HELP = "measure our speed against the plain form"
DESCRIPTION = """\
Runs what is shipped and the same work in plain form in turns, in one process, on one thread, and compares both with
the time that the unavoidable matrix products take on this machine. Minima are reported; "ratio" is plain over ours."""
EXAMPLES = """\
examples:
  glrg bench steps
  glrg bench decode --vocabulary 10547 --json
  glrg bench extract                       (plain: decoding alone plus the networks alone)
  glrg bench steps --only xe_step,dr_b2_step --plot bench.png
  glrg bench serve --requests 2000
  glrg bench steps --only xe_step --peer "python my_xe.py"   (work described in GLRG_BENCH_* variables)"""

_COLUMNS = ("ours ms", "plain ms", "ratio", "(spread)", "cpu ratio", "floor ms", "of floor", "peak MiB", "compile s")
_BUSY = 1.15  # wall over processor time above which a single-threaded run was disturbed
_SUITES = ("steps", "reward", "decode", "extract", "export", "serve", "all")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `glrg bench`."""
    parser.add_argument("suite", choices=_SUITES, help="what to measure")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of an operation (default 1)")
    parser.add_argument("--vocabulary", type=int, default=2461, metavar="V", help="words of the model (default 2461)")
    parser.add_argument(
        "--pairs", type=int, default=2, metavar="N", help="turns of ours and the plain form (default 2)"
    )
    parser.add_argument("--only", default="", metavar="NAMES", help="entries to run, with commas")
    parser.add_argument("--no-reference", action="store_true", help="leave the plain form out")
    parser.add_argument("--peer", metavar="CMD", help="an outside command for the same work, timed beside ours")
    parser.add_argument(
        "--requests", type=int, default=20000, metavar="N", help="of `serve`, at each level of load (default 20000)"
    )
    parser.add_argument("--captioner", metavar="CAP", help="of `serve`: what is served (default: a made one)")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="write a picture")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write the rows (also printed with --json)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Measures, prints the table, writes what was asked for."""
    if min(args.threads, args.pairs) < 1 or args.vocabulary < 4:
        raise ConfigError("--threads and --pairs are at least 1, --vocabulary at least 4")
    if args.suite == "serve":
        return _serve(args, console)
    suite = _benchmarks("suite")
    request = suite.Request(
        suite=args.suite,
        vocabulary=args.vocabulary,
        threads=args.threads,
        pairs=args.pairs,
        reference=not args.no_reference,
        peer=args.peer,
        only=tuple(filter(None, args.only.split(","))),
    )
    request.entries()
    facts = _benchmarks("machine").describe()
    console.info(f"{facts['processor']}, {facts['cores']} cores, load {facts['load']:.1f}, {args.threads} thread(s)")
    rows = suite.run(request, console.info)
    _print(rows, console)
    if args.out:
        atomic.write_json(args.out, rows)
    if args.plot:
        _benchmarks("plot").write(rows, args.plot)
    console.result(rows)
    return 0


def _serve(args: argparse.Namespace, console: Console) -> int:
    """A server under load; not part of `all`, which compares two forms of one piece of work."""
    if args.requests < 1:
        raise ConfigError("--requests is at least 1")
    rows = _benchmarks("serve").run(args.captioner, args.vocabulary, args.requests, 256, console.info)
    table = []
    for row in rows:
        latency = row.get("latency_s") or {}
        cells = [row["name"], row["requests"], _number(row.get("requests_per_s"))]
        cells += [_milliseconds(latency.get(name)) for name in ("p50", "p95", "p99")]
        table.append([*cells, row.get("wrong", ""), row.get("errors", ""), row.get("refused", "")])
    columns = ("load", "requests", "requests/s", "p50 ms", "p95 ms", "p99 ms", "other captions", "errors", "refused")
    console.table("one server process, captions compared with the offline ones", columns, table)
    growth = rows[0].get("memory_growth_second_half")
    if growth is not None:
        console.info(f"memory over the second half: {100 * growth:+.2f} %, at most {rows[0]['peak_rss_mb']:.0f} MiB")
    if args.out:
        atomic.write_json(args.out, rows)
    console.result(rows)
    return 0


def _benchmarks(name: str) -> ModuleType:
    """A module of `benchmarks/`, which lives in the repository and is not installed with the package."""
    root = Path(__file__).resolve().parents[1]
    if not (root / "benchmarks" / "suite.py").is_file():
        raise ConfigError(
            "the benchmarks are not part of the installed package",
            where=root,
            remedy="run from a clone of the repository, installed with `pip install -e .`",
        )
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return importlib.import_module(f"benchmarks.{name}")


def _print(rows: list[dict[str, Any]], console: Console) -> None:
    peer = any("peer_s" in row for row in rows)
    columns = ["benchmark", "batch", *_COLUMNS, *(["peer ms", "peer ratio"] if peer else [])]
    table = []
    for row in rows:
        spread = row["ratio_spread"]
        cells = [row["name"], row["batch"], _milliseconds(row["ours_s"]), _milliseconds(row["reference_s"])]
        cells += [_number(row["ratio"]), f"{spread[0]:.1f}-{spread[1]:.1f}" if spread else ""]
        cells += [_number(row["ratio_processor"])]
        cells += [_milliseconds(row["floor_s"]), _number(row["fraction_of_floor"]), f"{row['peak_rss_mb']:.0f}"]
        cells += [_number(row["compile_s"])]
        table.append(cells + ([_milliseconds(row["peer_s"]), _number(row["peer_ratio"])] if peer else []))
    first = rows[0]
    title = f"vocabulary {first['vocabulary']}, {first['threads']} thread(s), {first['material']} captions"
    sides = [(row[f"{side}_s"], row[f"{side}_processor_s"]) for row in rows for side in ("ours", "reference")]
    if any(wall and wall > _BUSY * processor for wall, processor in sides):
        console.warning("the processor was shared with others: trust the ratios by processor time (cpu ratio)")
    console.table(f"{title}, products at {max(r['gemm_gflops'] for r in rows):.0f} GFLOP/s", columns, table)


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1000 * seconds:.1f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
