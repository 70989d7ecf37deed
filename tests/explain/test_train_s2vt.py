"""Training of an S2VT captioner from a dataset, by the command."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from glrg_cli import main as cli
from glrg_cli.common import Console
from glrg_tf.data.dataset import write_dataset
from glrg_tf.data.feature_layout import FeatureTable
from glrg_tf.data.record import VideoRecord
from glrg_tf.explain.captioners import load_captioner
from tests.explain import squares


def made(folder, positions: bool):
    rows, _ = squares.lessons()
    names = [tuple(name for name, seen in zip(squares.COLOURS, row, strict=True) if seen > 0.5) for row in rows]
    records, values = [], []
    for number in range(18):
        shown = names[number % 6]
        captions = tuple(f"a {colour} square" for colour in (shown[0], shown[-1]))
        records.append(VideoRecord(f"v{number}", "val" if number >= 12 else "train", captions))
        values.append(np.repeat(rows[number % 6][None], 3, axis=0))
    table = {"keyframe": values if positions else np.stack(values)[:, 0]}
    write_dataset(folder, records, name="made", source=["made"], features=FeatureTable([r.id for r in records], table))
    return folder


def test_command(tmp_path):
    data, output = made(tmp_path / "data", positions=True), io.StringIO()
    words = ["--data", str(data), "--out", str(tmp_path / "run"), "--hidden", "12", "--epochs", "2", "--json"]
    console = Console(json_output=True, quiet=True, output=output)
    assert cli.run_command("train-s2vt", [*words, "--learning-rate", "0.02"], console) == 0
    found = json.loads(output.getvalue())
    assert found["epochs"] == 2 and 0 < found["val_loss"] < 2.5
    captioner = load_captioner(tmp_path / "run")
    assert captioner.config.streams == squares.STREAMS and captioner.config.hidden_size == 12


@pytest.mark.parametrize(("words", "code"), [([], 4), (["--streams", "sound"], 2)])
def test_refusals(words, code, tmp_path, capsys):
    data = made(tmp_path / "data", positions=False)
    line = ["train-s2vt", "--data", str(data), "--out", str(tmp_path / "run"), *words]
    assert cli.main(line) == code
    assert "Traceback" not in capsys.readouterr().err and not (tmp_path / "run").exists()
