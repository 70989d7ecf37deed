"""`glrg train` and `glrg evaluate` on a small made-up world: runs, refusals, resume, interruption."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest

from glrg_cli.main import main
from tests import grammar_world

ROOT = pathlib.Path(__file__).resolve().parents[1]
SMALL = ["model.pool_size=32", "model.embedding_size=32", "model.hidden_size=32", "train.batch_size=8"]
SMALL = [word for setting in SMALL for word in ("--set", setting)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> pathlib.Path:
    """A dataset folder of 24 + 6 + 6 made-up videos, through the table importer."""
    root = tmp_path_factory.mktemp("world")
    grammar_world.write_source(root / "source", 5, {"train": 24, "val": 6, "test": 6})
    source = [root / "source" / "captions.jsonl", "--features", root / "source" / "features.h5"]
    assert main(["data", "import", "table", *map(str, source), "--out", str(root / "dataset"), "--quiet"]) == 0
    return root / "dataset"


def document(capsys, *words: object, expect: int = 0) -> dict:
    code = main([*map(str, words), "--json"])
    captured = capsys.readouterr()
    assert code == expect, captured.err
    return json.loads(captured.out) if captured.out else {"errors": captured.err}


@pytest.mark.slow
def test_the_curriculum_ends_with_scores_and_the_run_is_a_captioner(dataset, capsys, tmp_path):
    run = tmp_path / "run"
    words = ["train", "--data", dataset, "--out", run, "--phases", "dr,xe,dxe", "--epochs", 2, *SMALL]
    final = document(capsys, *words)["final"]
    assert final["split"] == "test"
    assert list(final["phases"]) == ["xe", "dxe", "dr"]
    for phase in final["phases"].values():
        for metric in ("Bleu_4", "METEOR", "ROUGE_L", "CIDEr"):
            low, high = phase["intervals"][metric]
            assert low <= phase["scores"][metric] + 1e-9
            assert high >= phase["scores"][metric] - 1e-9
    for name in ("config.json", "vocabulary.json", "scores.json", "predictions_test.json"):
        assert (run / name).is_file()
        assert (run / "phases" / "dxe" / name).is_file()
    assert len((run / "phases" / "xe" / "metrics.jsonl").read_text().splitlines()) == 2
    assert "<h2>Differences</h2>" in (run / "report.html").read_text("utf-8")
    assert (run / "phases" / "dxe" / "video_scores.json").is_file()

    scored = document(capsys, "evaluate", run, "--data", dataset, "--split", "test", "--out", tmp_path / "s.json")
    assert scored["scores"] == pytest.approx(final["phases"]["dr"]["scores"])
    assert json.loads((tmp_path / "s.json").read_text()) == scored
    assert {row["id"] for row in scored["predictions"]} == {f"test{i:04d}" for i in range(30, 36)}
    assert len(document(capsys, "caption", run, dataset, "--n", 2)) == 36

    for words in (["--recipe", "dr-b1"], ["--recipe", "scst"]):
        out = tmp_path / words[-1]
        more = document(
            capsys, "train", "--data", dataset, "--out", out, *words, "--epochs", 1, "--start", run / "phases" / "xe"
        )
        assert list(more["final"]["phases"]) == ["dr"]


def test_dry_run_shows_the_plan_and_writes_nothing(dataset, capsys, tmp_path):
    plan = document(
        capsys, "train", "--data", dataset, "--out", tmp_path / "run", "--dry-run", "--set", "dr.baseline=loo"
    )
    assert plan["phases"] == ["dxe", "dr"]
    assert plan["settings"]["dr"]["baseline"] == "loo"
    assert plan["splits"]["train"] == {"videos": 24, "captions": 240}
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["--set", "train.learnin_rate=1"], 2, "train.learning_rate"),
        (["--set", "train.learning_rate"], 2, "key=value"),
        (["--set", "train.learning_rate=fast"], 2, "wants a number"),
        (["--set", "dr.baseline=b3"], 2, "one of: b1, b2"),
        (["--recipe", "glrq"], 2, "did you mean 'glrg'"),
        (["--phases", "xe,dx"], 2, "did you mean"),
        (["--recipe", "dr-b2"], 2, "--start"),
        (["--recipe", "dr-b2", "--start", "nowhere"], 5, "nowhere"),
        (["--epochs", "0"], 2, "at least 1"),
        (["--resume"], 2, "no run to resume"),
        (["--strategy", "mirored"], 2, "did you mean 'mirrored'"),
        (["--set", 'model.streams=[["keyframe", 999]]'], 4, "999"),
        (["--data", "nowhere"], 4, "glrg data import"),
    ],
)
def test_refusals_leave_nothing_behind(dataset, capsys, tmp_path, words, code, hint):
    assert main(["train", "--data", str(dataset), "--out", str(tmp_path / "run"), *words]) == code
    text = capsys.readouterr().err
    assert hint in text
    assert "Traceback" not in text
    assert os.listdir(tmp_path) == []


def test_bad_features_leave_nothing_behind(dataset, capsys, tmp_path):
    import shutil

    shutil.copytree(dataset, tmp_path / "bad")
    with h5py.File(tmp_path / "bad" / "features.h5", "r+") as file:
        file["streams/keyframe/values"][3, 5] = np.nan
    assert main(["train", "--data", str(tmp_path / "bad"), "--out", str(tmp_path / "run")]) == 4
    assert "not finite" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["bad"]


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["nowhere", "--split", "val"], 5, "nowhere"),
        (["nowhere", "--split", "vall"], 2, "did you mean 'val'"),
        (["nowhere", "--data", "nowhere"], 4, "no such dataset"),
    ],
)
def test_evaluate_refuses(dataset, capsys, words, code, hint):
    assert main(["evaluate", "--data", str(dataset), *words]) == code
    assert hint in capsys.readouterr().err


@pytest.mark.slow
def test_an_interrupted_run_resumes_to_the_same_weights(dataset, tmp_path):
    epochs = ["--epochs", "4", *SMALL, "--recipe", "xe", "--set", "train.patience=0"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    def command(run: pathlib.Path, *words: str) -> list[str]:
        return [sys.executable, "-m", "glrg_cli", "train", "--data", str(dataset), "--out", str(run), *words]

    subprocess.run(command(whole, *epochs), check=True, cwd=ROOT, capture_output=True)
    with subprocess.Popen(command(broken, *epochs), cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        seen = []
        for line in process.stderr:
            seen.append(line)
            if line.startswith("xe epoch 2"):
                process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    assert code == 130, seen
    assert "state saved; go on with `glrg train" in seen[-1]
    assert not any(line.startswith("xe epoch 4") for line in seen)
    subprocess.run(command(broken, "--resume"), check=True, cwd=ROOT, capture_output=True)

    def weights(run: pathlib.Path) -> dict[str, np.ndarray]:
        found = {}
        folder = run / (run / "latest").read_text().strip()
        with h5py.File(folder / "model.weights.h5") as file:
            file.visititems(
                lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        return found

    expected, resumed = weights(whole), weights(broken)
    assert expected.keys() == resumed.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(value, resumed[name], err_msg=name)
    lines = [
        [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in (whole, broken)
    ]
    assert len(lines[0]) == len(lines[1]) == 4
