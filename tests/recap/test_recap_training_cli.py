"""`glrg recap train|evaluate|pseudo`, as a user calls them."""

from __future__ import annotations

import json

import pytest

from glrg_cli.main import main
from glrg_tf.data.dataset import CaptionDataset, write_dataset
from glrg_tf.data.levels import LevelTexts
from glrg_tf.recap.captioner import RecapCaptioner
from tests.recap.made_recap import make_dataset
from training.recap_data import load_videos
from training.recap_evaluator import evaluate_recap

SMALL = [
    "--clip-seconds", "4", "--segment-seconds", "12", "--steps", "3", "--set", "model.width=16", "--set",
    "model.heads=2", "--set", "model.mapper_layers=1", "--set", "model.decoder_layers=1", "--set", "batch_size=4",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("cli")
    make_dataset(place)
    return place


def test_train_and_evaluate(folder, capsys):
    data, features, run = (str(folder / name) for name in ("data", "features", "run"))
    words = ["recap", "train", "--data", data, "--features", features, "--out", run, "--levels", "segment", *SMALL]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["levels"] == ["segment"] and told["parameters"]["segment"] > 1000
    assert main(words) == 2 and "exists" in capsys.readouterr().err
    assert main([*words, "--resume", "--quiet"]) == 0
    out = folder / "scores.json"
    words = ["recap", "evaluate", run, "--data", data, "--features", features, "--out", str(out)]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads(out.read_text())
    assert [one["level"] for one in found] == ["segment"] and len(found[0]["texts"]) == 4
    assert set(found[0]["scores"]) == {"CIDEr", "ROUGE_L", "METEOR"}
    assert main(["recap", "evaluate", run, "--data", data, "--split", "tset"]) == 2
    assert main(["recap", "train", "--data", data, "--out", str(folder / "x"), "--levels", "film"]) == 2
    assert main(["recap", "train", "--data", data, "--out", str(folder / "x"), "--gpt2", "none"]) == 2


def test_pseudo_writes_what_records_lack(folder, capsys):
    records = CaptionDataset.load(folder / "data").records()
    levels = LevelTexts.from_json(records[0].levels, "")
    poor = [records[0].__class__(**{**vars(records[0]), "levels": LevelTexts(levels.clip, duration=24.0).to_json()})]
    write_dataset(folder / "poor", [*poor, *records[1:]], name="poor", source=["made"])
    words = ["recap", "pseudo", "--data", str(folder / "poor"), "--out", str(folder / "full"), *SMALL]
    assert main(words) == 2 and "teacher" in capsys.readouterr().err
    assert main([*words, "--teacher-out", str(folder / "teacher"), "--set", "steps=[3,60,3]", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    full = CaptionDataset.load(folder / "full").records()
    found = LevelTexts.from_json(full[0].levels, "")
    assert not found.segment and len(found.predicted["segment"]) == told["written"]["segment"] == 2
    assert full[0].captions == records[0].captions and full[1].levels == records[1].levels
    assert "predicted" in CaptionDataset.load(folder / "full").description["notes"][-1]
    teacher = RecapCaptioner.load(folder / "teacher")  # it reads texts alone
    videos = load_videos(CaptionDataset.load(folder / "data"), teacher.hierarchy, None, ("val",))
    scored = evaluate_recap(teacher, videos, metrics=("ROUGE_L",))
    assert [one.level for one in scored] == ["segment", "video"] and teacher.row_width == 0
    assert len(scored[0].written[0][0].below) == 3 and len(scored[1].written[0][0].below) == 2
    again = ["recap", "pseudo", "--data", str(folder / "data"), "--out", str(folder / "y")]
    assert main([*again, "--teacher", str(folder / "teacher")]) == 4 and not (folder / "y").exists()
    assert main([*again, "--teacher-out", str(folder / "z")]) == 4  # before a teacher is trained for nothing
    assert "no record lacks a level" in capsys.readouterr().err and not (folder / "z").exists()
