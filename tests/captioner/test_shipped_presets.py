"""The captioner that comes with the library: whole, small, and quick to answer on a clip."""

from __future__ import annotations

import json
import pathlib
import time

import numpy as np
import pytest

from glrg_tf.captioner import shipped_presets
from glrg_tf.captioner.captioner import VideoCaptioner
from glrg_tf.data.world.make import clip_script, make_world
from glrg_tf.data.world.phrases import SHAPE
from glrg_tf.errors import CheckpointError
from glrg_tf.io.atomic import verify_manifest


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> pathlib.Path:
    """Ten clips of another world than the one it was trained on."""
    return make_world(tmp_path_factory.mktemp("world") / "w", clips=10, seed=77) / "videos"


def test_it_is_whole_and_small():
    folder = shipped_presets.resolve("world-nano")
    verify_manifest(folder)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 8 * 2**20
    card = (folder / "model_card.md").read_text()
    assert "python -m benchmarks.world_nano" in card and "CIDEr" in card


def test_it_captions_clips_it_never_saw(clips, capsys):
    from glrg_cli.main import main

    begun = time.process_time()
    assert main(["caption", "world-nano", str(clips), "--json", "--workers", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert time.process_time() - begun < 60  # seconds of this process, however busy the machine is
    said = {pathlib.Path(row["id"]).stem: row["captions"][0]["text"] for row in found}
    assert len(said) == 10
    scripts = {f"world{index:05d}": clip_script(77, index) for index in range(10)}
    assert all(4 <= len(text.split()) <= 28 for text in said.values()), said
    known = {word for words in SHAPE.values() for phrase in words for word in phrase.split()}
    assert sum(bool(known & set(text.split())) for text in said.values()) >= 8
    right = [script.actor.colour in said[name].split() for name, script in scripts.items()]
    assert np.mean(right) >= 0.5, said


def test_unknown_names_are_refused(monkeypatch, tmp_path):
    with pytest.raises(CheckpointError, match="not found"):
        VideoCaptioner.from_preset("world-huge")
    monkeypatch.setattr(shipped_presets, "_FOLDER", tmp_path)
    with pytest.raises(CheckpointError, match="not part of this installation"):
        VideoCaptioner.from_preset("world-nano")
