"""Suites, peers, and every entry once on small material."""

from __future__ import annotations

import json
import shlex
import sys

import pytest

from benchmarks import material, prepare, suite, worker
from benchmarks.case import Options
from glrg_tf.errors import ConfigError, GlrgError

COLUMNS = {"name", "vocabulary", "batch", "ours_s", "reference_s", "ratio", "peak_rss_mb"}


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> str:
    """Sixteen made-up videos with a model that has seen them a few times."""
    import dataclasses

    made = material.make(60, videos=16)
    path = tmp_path_factory.mktemp("bench") / "material.npz"
    material.save(dataclasses.replace(made, weights=prepare.short_training(made, training_steps=12)), path)
    return str(path)


def options(name: str, path: str, batch: int = 2, reference: bool = True) -> Options:
    return Options(name, batch, 60, 1, 1, path, reference, "")


@pytest.mark.parametrize("name", sorted(worker.MODULES))
def test_every_entry_runs(name, small):
    row = worker.run(options(name, small))
    assert row.keys() >= COLUMNS and row["ours_s"] > 0 and row["peak_rss_mb"] > 50
    if name != "input_batch":
        assert row["ratio"] == pytest.approx(row["reference_s"] / row["ours_s"])
        assert row["ratio_spread"][0] <= row["ratio_spread"][1]
    json.dumps(row, allow_nan=False)


def test_every_entry_of_every_suite_has_a_builder():
    entries = suite.Request("all").entries()
    assert {name for name, _ in entries} == set(worker.MODULES)
    assert {"xe_step", "dxe_step", "dr_b2_step", "scst_step", "reward_ciderd", "beam5", "greedy"} <= set(worker.MODULES)


def test_floor_takes_the_best_rate_of_the_suite():
    rows = [
        {"gemm_gflops": 100.0, "flops": 2e9, "ours_s": 0.04},
        {"gemm_gflops": 80.0, "flops": None, "ours_s": 1.0},
    ]
    first, second = suite.with_floor(rows)
    assert first["floor_s"] == pytest.approx(0.02) and first["fraction_of_floor"] == pytest.approx(0.5)
    assert second["floor_s"] is None and second["fraction_of_floor"] is None


def test_unknown_suites_and_entries_are_refused():
    with pytest.raises(ConfigError, match="no suite"):
        suite.Request("stpes").entries()
    with pytest.raises(ConfigError, match="no entry"):
        suite.Request("decode", only=("xe_step",)).entries()


def peer(script: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(script)}"


def test_peer_is_told_the_work_and_its_answer_is_taken():
    script = "import os, json; print('hello'); print(json.dumps({'seconds': float(os.environ['GLRG_BENCH_BATCH'])}))"
    assert suite.run_peer(peer(script), options("xe_step", "m.npz", batch=32)) == 32.0


def test_a_silent_peer_is_timed():
    assert 0.05 < suite.run_peer(peer("import time; time.sleep(0.05)"), options("xe_step", "m.npz")) < 20


@pytest.mark.parametrize("command", [peer("raise SystemExit('no such model')"), "no-such-program"])
def test_a_failing_peer_is_an_error(command):
    with pytest.raises(GlrgError, match="peer failed on xe_step"):
        suite.run_peer(command, options("xe_step", "m.npz"))


def test_the_command_refuses_nonsense(capsys):
    from glrg_cli.main import main

    assert main(["bench", "steps", "--only", "nonsense"]) == 2
    assert main(["bench", "steps", "--threads", "0"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_plot(tmp_path):
    pytest.importorskip("matplotlib")
    from benchmarks import plot

    row = {"name": "xe_step", "vocabulary": 60, "batch": 2, "threads": 1, "ours_s": 0.1, "reference_s": 0.7}
    plot.write([{**row, "ratio": 7.0, "floor_s": 0.08}, {**row, "reference_s": None}], tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
