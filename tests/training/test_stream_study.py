"""The study of streams: which subsets, what a row says, going on after an interruption."""

from __future__ import annotations

import json

import numpy as np
import pytest

from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.data.feature_store import write_features
from glrg_tf.errors import ConfigError, DataError
from training import stream_study
from training.config import PhaseConfig, RunConfig
from training.stream_study import StudyRow, read_study, study_streams, subsets

STREAMS = (("long_range", 4), ("short_range", 3), ("keyframe", 5))
PHASE = PhaseConfig(epochs=1, batch_size=4, captions_per_video=2)
CONFIG = RunConfig(
    model=CaptionerConfig(streams=STREAMS, pool_size=8, embedding_size=8, hidden_size=8), min_count=1, xe=PHASE
)


@pytest.fixture
def dataset(tmp_path):
    from glrg_cli.main import main

    rng = np.random.default_rng(0)
    rows = [
        {"video": f"v{n}", "split": split, "captions": ["a red ball bounces", "the ball jumps"]}
        for n, split in enumerate(["train"] * 6 + ["test"] * 3)
    ]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {name: rng.random((9, width)).astype(np.float32) for name, width in STREAMS}
    write_features(tmp_path / "f.h5", [row["video"] for row in rows], values)
    words = ["data", "import", "table", tmp_path / "c.jsonl", "--features", tmp_path / "f.h5", "--quiet"]
    assert main([*map(str, words), "--out", str(tmp_path / "data")]) == 0
    return tmp_path / "data"


def test_subsets_and_rows():
    names = [name for name, _ in STREAMS]
    chosen = subsets(names)
    assert len(chosen) == 7 and chosen[0] == ("long_range",) and chosen[-1] == tuple(names)
    row = StudyRow(("a",), (1, 2), {"CIDEr": (0.5, 0.7)})
    assert row.mean("CIDEr") == pytest.approx(0.6) and row.spread("CIDEr") == pytest.approx(0.1414, abs=1e-4)


def test_a_study_goes_on_where_it_was(dataset, tmp_path, monkeypatch):
    trained = []

    def train(data, scratch, config, phases, seed, split, reporter):
        names = config.model.stream_names
        assert dict(config.model.streams) == {name: dict(STREAMS)[name] for name in names}
        if len(trained) == 4:
            raise KeyboardInterrupt
        trained.append((names, seed))
        return dict.fromkeys(stream_study.METRICS, 0.1 * len(names) + 0.01 * seed)

    monkeypatch.setattr(stream_study, "_train_and_score", train)
    with pytest.raises(KeyboardInterrupt):
        study_streams(dataset, tmp_path / "study", CONFIG, seeds=(1, 2))
    assert len(read_study(tmp_path / "study")) == 4
    told = []
    trained.append(((), 0))  # past the interruption
    rows = study_streams(dataset, tmp_path / "study", CONFIG, seeds=(1, 2), progress=lambda *of: told.append(of))
    assert len(rows) == 7 and all(row.seeds == (1, 2) for row in rows)
    assert len(set(trained)) == len(trained) == 15
    assert rows[-1].mean("CIDEr") == pytest.approx(0.315)
    assert len(told) == 2 * 10
    with pytest.raises(ConfigError, match="other settings"):
        study_streams(dataset, tmp_path / "study", CONFIG, split="train")
    with pytest.raises(DataError, match="no study"):
        read_study(tmp_path / "nothing")


@pytest.mark.slow
def test_the_command_trains_and_scores(dataset, tmp_path, capsys):
    from glrg_cli.main import main

    small = ["model.pool_size=8", "model.embedding_size=8", "model.hidden_size=8", "min_count=1"]
    words = ["ablate", "streams", "--data", dataset, "--out", tmp_path / "s", "--seeds", "1", "--epochs", "1"]
    changes = [word for change in (*small, "train.batch_size=4") for word in ("--set", change)]
    changes += ["--streams", "keyframe"]
    assert main([*map(str, words), *changes, "--json"]) == 0
    captured = capsys.readouterr()
    (row,) = json.loads(captured.out)
    assert row["streams"] == ["keyframe"] and len(row["scores"]["CIDEr"]) == 1
    assert "keyframe" in captured.err and "±" in captured.err
    assert not (tmp_path / "s" / "keyframe" / "seed1").exists()
    assert main([*map(str, words), *changes, "--seeds", "1,1"]) == 2
    assert main([*map(str, words), "--streams", "sound"]) == 2
