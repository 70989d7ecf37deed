"""`--engine beam` writes what the local engine writes. The pipelines run where Beam is: `make test-beam`."""

from __future__ import annotations

import json
import os
import pathlib
import sys

import numpy as np
import pytest

from glrg_cli.main import main

sys.path.append(str(pathlib.Path(__file__).parent / "encoders"))
from made_videos import write_clips

try:
    import apache_beam
except ImportError:
    if os.environ.get("GLRG_BEAM_MUST_WORK") == "1":
        raise
    apache_beam = None

needs_beam = pytest.mark.skipif(apache_beam is None, reason="Apache Beam is not installed; `make test-beam`")
BEAM = ["--engine", "beam", "--engine-options", "runner=DirectRunner"]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> pathlib.Path:
    """Five clips, one of them broken, an encoder, and an untrained captioner of it."""
    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.captioner.model import CaptionerModel
    from glrg_tf.captioner.presets import CaptionerConfig
    from glrg_tf.encoders.bundle import EncoderBundle
    from glrg_tf.encoders.presets import EncoderConfig, nano_spec
    from glrg_tf.text.vocabulary import Vocabulary
    from glrg_tf.video.sampling import FramePlan

    folder = tmp_path_factory.mktemp("beam")
    write_clips(folder / "clips", 5)
    (folder / "clips" / "clip02.mp4").write_bytes(b"no video")
    bundle = EncoderBundle.from_config(EncoderConfig(FramePlan(positions=2), (nano_spec("keyframe", width=12),)))
    vocabulary = Vocabulary(("<end>", "<start>", "<unk>", "a", "man", "cat", "runs", "sits"))
    config = CaptionerConfig(8, bundle.widths, pool_size=8, embedding_size=8, hidden_size=8)
    VideoCaptioner(CaptionerModel(config, seed=3), vocabulary, encoders=bundle).save_to_preset(folder / "captioner")
    return folder


@needs_beam
def test_beam_and_the_local_engine_write_the_same(root, tmp_path, monkeypatch):
    from glrg_tf.captioner import feature_input

    captioner, clips = str(root / "captioner"), str(root / "clips")
    for engine, options in (("local", ["--workers", "1"]), ("beam", BEAM)):
        features = str(tmp_path / f"{engine}.h5")
        assert main(["extract", clips, "--out", features, "--encoder", captioner, "--quiet", *options]) == 3
    assert (tmp_path / "beam.h5").read_bytes() == (tmp_path / "local.h5").read_bytes()
    monkeypatch.setattr(feature_input, "CHUNK", 3)  # the file's four videos are two elements
    for engine, options in (("local", []), ("beam", BEAM)):
        inputs = [str(tmp_path / "nothing.h5"), clips, str(tmp_path / "local.h5")]
        out = ["--out", str(tmp_path / f"{engine}.jsonl")]
        assert main(["caption", captioner, *inputs, "--n", "2", "--beam", "3", *out, "--quiet", *options]) == 3
    text = (tmp_path / "beam.jsonl").read_text()
    assert text == (tmp_path / "local.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    assert [len(row["captions"]) for row in rows] == [0, 2, 2, 0, 2, 2, 2, 2, 2, 2]
    assert sorted(path.name for path in tmp_path.iterdir() if "beam" in path.name and path.is_dir()) == []


@needs_beam
def test_a_pipeline_that_cannot_be_or_fails_is_told(root, tmp_path, capsys, monkeypatch):
    from glrg_tf.captioner import bulk_beam

    words = ["caption", str(root / "captioner"), str(root / "clips"), "--out", str(tmp_path / "o.jsonl"), "--quiet"]
    assert main([*words, "--engine", "beam", "--engine-options", "runner=NoSuchRunner"]) == 2
    assert "NoSuchRunner" in capsys.readouterr().err

    def fail(*inputs, **options):
        raise OSError("the disk is full")

    monkeypatch.setattr(bulk_beam, "caption_to_file", fail)
    assert main([*words, *BEAM]) == 2
    assert "the disk is full" in capsys.readouterr().err and not (tmp_path / "o.jsonl").exists()


def test_an_element_gives_the_rows_of_the_local_engine(root, tmp_path):
    """The pipelines' function without a pipeline."""
    from glrg_tf.captioner import bulk, bulk_beam
    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.captioner.feature_input import FeatureInput
    from glrg_tf.data.feature_store import write_features
    from glrg_tf.encoders.extract_items import VideoItem

    captioner, settings = VideoCaptioner.from_preset(root / "captioner"), bulk.CaptionSettings(2)
    values = np.random.default_rng(0).normal(size=(3, 12)).astype(np.float32)
    write_features(tmp_path / "f.h5", ["a", "b", "c"], {"keyframe": values}, {})
    wanted = list(bulk.caption_chunk(captioner, FeatureInput(tmp_path / "f.h5", captioner.config), 1, 3, settings))
    chunk = bulk_beam.Chunk(tmp_path / "f.h5", 1, 3)
    bulk_beam.caption_to_file(captioner, str(tmp_path / "p.json"), chunk, settings=settings)
    found = json.loads((tmp_path / "p.json").read_text())
    assert found == [[captioned.row, ""] for captioned in wanted] and [row["id"] for row, _ in found] == ["b", "c"]
    broken = VideoItem("x", root / "clips" / "clip02.mp4")
    bulk_beam.caption_to_file(captioner, str(tmp_path / "q.json"), broken, settings=settings)
    ((row, message),) = json.loads((tmp_path / "q.json").read_text())
    assert row["captions"] == [] and row["error"] in message


def test_a_feature_file_is_opened_once_for_all_its_chunks(root, tmp_path, monkeypatch):
    from glrg_tf.captioner import bulk, bulk_beam
    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.data.feature_store import write_features

    captioner, opened = VideoCaptioner.from_preset(root / "captioner"), []
    make = bulk_beam.FeatureInput
    monkeypatch.setattr(bulk_beam, "FeatureInput", lambda *of: opened.append(of) or make(*of))
    for value in (0.0, 0.5):
        write_features(tmp_path / "f.h5", ["a", "b"], {"keyframe": np.full((2, 12), value, np.float32)}, {})
        for row in range(2):
            chunk = bulk_beam.Chunk(tmp_path / "f.h5", row, row + 1)
            bulk_beam.caption_to_file(captioner, str(tmp_path / "p.json"), chunk, settings=bulk.CaptionSettings(1))
    assert len(opened) == 2  # the file was written anew once


def test_what_does_not_go_together_is_refused(root, tmp_path, capsys):
    words = ["caption", str(root / "captioner"), str(root / "clips")]
    assert main([*words, "--engine-options=--runner=DirectRunner"]) == 2
    assert "add --engine beam" in capsys.readouterr().err
    assert main([*words, "--engine", "beam"]) == 2
    assert "--out" in capsys.readouterr().err


@pytest.mark.skipif(apache_beam is not None, reason="Apache Beam is installed")
@pytest.mark.parametrize("command", ["caption", "extract"])
def test_without_beam_the_command_says_what_to_do(root, tmp_path, capsys, command):
    words = [str(root / "captioner")] if command == "caption" else []
    out = tmp_path / "out"
    assert main([command, *words, str(root / "clips"), "--out", str(out), *BEAM]) == 2
    assert "requirements-beam.txt" in capsys.readouterr().err and not out.exists()
