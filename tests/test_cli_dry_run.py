"""`--dry-run`: what would happen, how much and how long, and that nothing does."""

from __future__ import annotations

import json

import numpy as np
import pytest

from glrg_cli.dry_run import about, megabytes
from glrg_cli.main import main
from glrg_tf.video.writer import write_video
from tests.training.conftest import write_world

SMALL = ["model.pool_size=8", "model.embedding_size=8", "model.hidden_size=8", "min_count=1", "decoding_beam=2"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("dry") / "dataset")


def ask(capsys, *words):
    assert main([*map(str, words), "--dry-run", "--json"]) == 0
    captured = capsys.readouterr()
    return json.loads(captured.out), captured.err


def test_training(world, tmp_path, capsys):
    changes = [word for change in SMALL for word in ("--set", change)]
    words = ["train", "--data", world, "--out", tmp_path / "run", "--phases", "dxe,dr", "--epochs", 3, *changes]
    plan, said = ask(capsys, *words)
    assert set(plan["seconds"]) == {"dxe", "dr"} and all(value > 0 for value in plan["seconds"].values())
    assert (
        plan["steps"]["dxe"]["epochs"] == 3 and plan["steps"]["dxe"]["steps"] == 4 and plan["steps"]["dxe"]["val_s"] > 0
    )
    assert "takes about" in said and "nothing was written" in said and not (tmp_path / "run").exists()
    assert not (world / "consensus").exists()


def test_validation_is_timed_as_it_is_done(world, tmp_path, capsys, monkeypatch):
    from glrg_tf.captioner import content

    monkeypatch.setattr(content, "expected_gain", None)  # epochs are judged without it, whatever the captioner does
    changes = [*SMALL, "decoding_selection=content", "decoding_word_bias=0.5"]
    words = ["train", "--data", world, "--out", tmp_path / "run", "--phases", "dxe", "--epochs", 1]
    plan, _ = ask(capsys, *words, *(word for change in changes for word in ("--set", change)))
    assert plan["steps"]["dxe"]["val_s"] > 0


def test_a_study(world, tmp_path, capsys):
    changes = [word for change in SMALL for word in ("--set", change)]
    words = ["ablate", "entrance", "--data", world, "--out", tmp_path / "study", "--recipe", "world", "--epochs", 2]
    plan, said = ask(capsys, *words, *changes, "--rows", "dxe", "--jobs", 2)
    assert plan["jobs"] == plan["missing"] == 3 and plan["seconds"] > 0
    assert "side by side" in said and not (tmp_path / "study").exists()


def test_extraction(tmp_path, capsys):
    for name in ("a", "b"):
        write_video(tmp_path / "clips" / f"{name}.mp4", np.zeros((12, 32, 48, 3), np.uint8), 8)
    plan, said = ask(capsys, "extract", tmp_path / "clips", "--out", tmp_path / "f.h5", "--workers", 1)
    assert plan["to_extract"] == plan["videos"] == 2 and plan["bytes"] == 2 * 4 * 157 and plan["seconds"] > 0
    assert "takes about" in said and not list(tmp_path.glob("f*"))


def test_export(tmp_path, capsys):
    words = ["export", "world-nano", "--format", "saved_model,onnx", "--quantize", "int8", "--out", tmp_path / "e"]
    plan, said = ask(capsys, *words)
    assert [entry["path"] for entry in plan["files"]] == ["saved_model", "captioner.onnx", "captioner.int8.onnx"]
    assert plan["files"][2]["bytes"] * 4 == plan["files"][1]["bytes"] and plan["seconds"] > 0
    assert "about" in said and not (tmp_path / "e").exists()


def test_a_recap(tmp_path, capsys):
    write_video(tmp_path / "long.mp4", np.zeros((24, 32, 48, 3), np.uint8), 2)
    words = ["recap", "run", "world-nano", tmp_path / "long.mp4", "--out", tmp_path / "r", "--segment-seconds", "8"]
    plan, said = ask(capsys, *words, "--beam", "1")
    assert (plan["clips"], plan["segments"]) == (3, 2) and plan["seconds"] > 0
    assert "tells clips only" in said and not (tmp_path / "r").exists()


def test_as_exact_as_it_deserves():
    assert [about(seconds) for seconds in (0, 41.7, 600, 9000)] == ["0 s", "42 s", "10 min", "2.5 h"]
    assert [megabytes(size) for size in (4e5, 1.2e8, 3e9)] == ["0.4 MB", "120 MB", "3,000 MB"]
