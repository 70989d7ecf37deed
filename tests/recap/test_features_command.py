"""`glrg recap features`: every clip of every video once, in the form that training reads."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from glrg_cli.main import main
from glrg_tf.data.world.story_video import make_stories


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return make_stories(tmp_path_factory.mktemp("stories") / "s", 2, 24.0, 12.0, frame_rate=4) / "videos"


def test_features_of_clips(videos, tmp_path, capsys):
    from glrg_tf.encoders.bundle import EncoderBundle
    from training.recap_data import FeatureFolder

    folder, out = tmp_path / "videos", tmp_path / "features"
    shutil.copytree(videos, folder)
    (folder / "bad.mp4").write_text("no video")
    words = ["recap", "features", str(folder), "--out", str(out), "--positions", "2", "--json"]
    assert main(words) == 3
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert len(result["extracted"]) == 2 and len(result["failed"]) == 1 and "bad" in printed.err
    name = result["extracted"][0]
    dense, rows = FeatureFolder(out).read(name)
    assert dense is not None and rows is not None
    assert dense.shape[:2] == (6, 2) and rows.shape == (6, dense.shape[2]) and np.isfinite(dense).all()
    encoder = EncoderBundle.load(out / "encoder")
    assert (
        encoder.plan.positions == 2
        and encoder.fingerprint == json.loads((out / "features.json").read_text())["encoder"]
    )
    before = (out / "dense" / f"{name}.npy").read_bytes()
    assert main(words) == 3
    assert json.loads(capsys.readouterr().out)["kept"] == result["extracted"]
    assert (out / "dense" / f"{name}.npy").read_bytes() == before
    assert main([*words[:-3], "--positions", "3"]) == 2
    assert "differ in encoder, positions" in capsys.readouterr().err


def test_two_videos_are_never_one_file(videos, tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        (tmp_path / "videos" / name / "clip.mp4").write_bytes(next(videos.iterdir()).read_bytes())
    assert main(["recap", "features", str(tmp_path / "videos"), "--out", str(tmp_path / "out")]) == 4
    assert "a/clip and b/clip would both be clip.npy" in capsys.readouterr().err
    assert not (tmp_path / "out" / "dense").exists()
