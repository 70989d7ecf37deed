"""Extraction: the right numbers, the same for any number of workers, after a kill, and with bad files between."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import h5py
import numpy as np
import pytest
from made_videos import FakeBundle, write_clips

from glrg_tf.data.feature_store import FeatureStore
from glrg_tf.encoders import extract as extraction
from glrg_tf.encoders.extract import Encoded, Failed, VideoItem, encode_videos, list_videos
from glrg_tf.encoders.extract_file import extract
from glrg_tf.encoders.extract_journal import partial_folder
from glrg_tf.encoders.resize import resize_frames_numpy
from glrg_tf.errors import ConfigError
from glrg_tf.video.reader import read_frames

HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> pathlib.Path:
    """Ten clips, and between them an empty file, a text and a cut clip."""
    folder = tmp_path_factory.mktemp("videos")
    paths = write_clips(folder, 10)
    (folder / "clip03a.mp4").write_bytes(b"")
    (folder / "clip05a.mp4").write_text("not a video")
    (folder / "clip07a.mp4").write_bytes(paths[7].read_bytes()[:600])
    (folder / "notes.txt").write_text("left alone")
    return folder


@pytest.fixture(scope="module")
def reference(clips, tmp_path_factory) -> pathlib.Path:
    """What an uninterrupted run in this process writes."""
    out = tmp_path_factory.mktemp("reference") / "features.h5"
    extract(FakeBundle(), list_videos(clips), out, workers=0, isolated=False)
    return out


def test_the_numbers_are_those_of_the_plan_and_the_resize(clips):
    bundle = FakeBundle()
    (outcome,) = encode_videos(bundle, [VideoItem("a", clips / "clip04.mp4")], workers=0, isolated=False)
    wanted = bundle.plan.long_range(12)
    frames = read_frames(clips / "clip04.mp4", lambda count: np.unique(wanted))
    images = resize_frames_numpy(frames.at(wanted), (16, 16))
    assert np.array_equal(outcome.streams["long_range"], bundle.streams["long_range"].encode(images))
    assert outcome.streams["keyframe"].shape == (3, 6)
    assert (outcome.expected, outcome.decoded) == (12, 12)
    assert outcome.used == len(np.unique(np.append(wanted, bundle.plan.keyframes(12))))


def test_any_number_of_workers_gives_the_same_bytes(clips, reference, tmp_path):
    for workers in (1, 3):
        report = extract(FakeBundle(), list_videos(clips), tmp_path / f"{workers}.h5", workers=workers)
        assert (tmp_path / f"{workers}.h5").read_bytes() == reference.read_bytes()
        assert (report.extracted, len(report.failed), report.reused) == (10, 3, 0)
        assert not partial_folder(tmp_path / f"{workers}.h5").exists()


def test_outcomes_come_in_the_order_of_the_list_with_bad_files_in_their_places(clips):
    items = list_videos(clips)
    seen: list[str] = []
    outcomes = list(
        encode_videos(FakeBundle(), items, workers=2, progress=lambda outcome: seen.append(outcome.item.id))
    )
    assert [outcome.item for outcome in outcomes] == items
    assert seen == [item.id for item in items]
    bad = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    assert [outcome.item.id for outcome in bad] == ["clip03a", "clip05a", "clip07a"]
    assert "empty" in bad[0].error.what
    assert "moov" in bad[2].error.what


def test_the_file_has_the_layout_and_says_what_made_it(clips, reference):
    with FeatureStore(reference) as store:
        assert store.ids == tuple(f"clip{number:02d}" for number in range(10))
        assert store.streams == {"long_range": 6, "keyframe": 6}
        assert store.attributes["producer"] == "glrg extract"
        assert store.attributes["weights_sha256"] == "fake"
        assert json.loads(store.attributes["frame_plan"])["positions"] == 3
        assert json.loads(store.stream_attributes["keyframe"]["labels"]) == list("abcdef")
    rows = [json.loads(line) for line in reference.with_suffix(".errors.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["clip03a", "clip05a", "clip07a"]
    assert rows[0]["video"] == str(clips / "clip03a.mp4") and rows[0]["remedy"]


def test_positions_are_kept_on_request_and_pool_to_the_same(clips, reference, tmp_path):
    extract(FakeBundle(), list_videos(clips), tmp_path / "p.h5", workers=0, isolated=False, per_position=True)
    with FeatureStore(tmp_path / "p.h5") as store, FeatureStore(reference) as pooled:
        assert store.has_positions("keyframe") and store.positions("clip01", "keyframe").shape == (3, 6)
        assert np.array_equal(store.read(store.ids), pooled.read(store.ids))


@pytest.mark.parametrize("kill_at", [2, 6])
def test_killed_and_resumed_gives_the_same_file_and_redoes_only_what_was_in_flight(clips, reference, tmp_path, kill_at):
    out = tmp_path / "features.h5"
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parents[1]}"}
    command = [sys.executable, str(HERE / "made_videos.py"), str(clips), str(out), str(kill_at)]
    assert subprocess.run(command, env=environment).returncode == -9
    assert not out.exists()
    torn = partial_folder(out) / "rows.jsonl"
    torn.write_bytes(torn.read_bytes() + b'{"id": "clip0')  # a line that was being written
    bundle = FakeBundle()
    report = extract(bundle, list_videos(clips), out, workers=1)
    assert out.read_bytes() == reference.read_bytes()
    whole_groups = (kill_at - 1) // 2  # each group of four calls two networks
    assert bundle.calls == 2 * (4 - whole_groups)
    assert report.reused == [0, 3, 6][whole_groups]  # the fourth and seventh place hold bad files
    assert len(report.failed) == 3


def test_a_finished_file_gets_only_what_it_does_not_have(clips, tmp_path):
    out, items = tmp_path / "features.h5", [item for item in list_videos(clips) if not item.id.endswith("a")]
    extract(FakeBundle(), items[:4], out, workers=0, isolated=False)
    bundle = FakeBundle()
    report = extract(bundle, items[2:], out, workers=0, isolated=False)
    assert (report.reused, report.extracted, bundle.calls) == (2, 6, 4)
    with FeatureStore(out) as store:
        assert store.ids == tuple(item.id for item in items)
    before = out.read_bytes()
    report = extract(bundle, items, out, workers=0, isolated=False)
    assert (report.reused, report.extracted, out.read_bytes()) == (10, 0, before)


def test_other_encoders_and_forms_are_not_mixed(clips, tmp_path):
    items, out = list_videos(clips)[:2], tmp_path / "features.h5"
    extract(FakeBundle(), items, out, workers=0, isolated=False)
    with pytest.raises(ConfigError, match="weights_sha256"):
        extract(FakeBundle("other"), items, out, workers=0, isolated=False)
    with pytest.raises(ConfigError, match="per_position"):
        extract(FakeBundle(), items, out, workers=0, isolated=False, per_position=True)
    out.unlink()
    partial_folder(out).mkdir()
    (partial_folder(out) / "header.json").write_text('{"weights_sha256": "other"}')
    with pytest.raises(ConfigError, match="begun here differs"):
        extract(FakeBundle(), items, out, workers=0, isolated=False)


def test_nothing_is_written_where_every_file_is_bad(clips, tmp_path):
    out = tmp_path / "features.h5"
    report = extract(FakeBundle(), list_videos(clips / "clip03a.mp4"), out, workers=1)
    assert len(report.failed) == 1 and not out.exists() and report.errors_file.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["features.errors.jsonl"]


def test_a_clip_of_a_file_is_read_by_its_seconds(clips, tmp_path):
    whole = VideoItem("a", clips / "clip01.mp4")
    late = VideoItem("b", clips / "clip01.mp4", 0.6, 1.0)
    past = VideoItem("c", clips / "clip01.mp4", 7.0)
    outcomes = list(encode_videos(FakeBundle(), [whole, late, past], workers=1))
    assert isinstance(outcomes[1], Encoded) and isinstance(outcomes[2], Failed)
    assert outcomes[1].streams["keyframe"].min() != outcomes[0].streams["keyframe"].min()
    frames = read_frames(clips / "clip01.mp4", lambda count: np.array([6, 8, 9]))
    means = resize_frames_numpy(frames.images[:, None], (24, 16), "crop").mean(axis=(1, 2, 3)) / 255
    assert np.allclose(outcomes[1].streams["keyframe"][:, :3], means, atol=1e-6)
    assert "ends at 1.2 s" in outcomes[2].error.what


def test_a_file_that_crashes_its_decoder_costs_that_file_only(clips, tmp_path, monkeypatch):
    """The child is made to die on one name, as a decoder with a bug would."""
    from glrg_tf.encoders import extract_pool

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text(
        "import os, json\n"
        "real = json.loads\n"
        "def loads(text, **more):\n"
        "    value = real(text, **more)\n"
        "    if isinstance(value, dict) and 'clip02' in str(value.get('path')):\n"
        "        os.kill(os.getpid(), 11)\n"
        "    return value\n"
        "json.loads = loads\n"
    )
    items = list_videos(clips)[:4]
    outcomes = list(encode_videos(FakeBundle(), items, workers=1))
    assert [isinstance(outcome, Encoded) for outcome in outcomes] == [True, True, False, True]
    assert "crashed" in outcomes[2].error.what
    assert extract_pool.default_workers() >= 1


def test_unknown_streams_are_refused():
    with pytest.raises(ConfigError, match="no stream 'nothing'"):
        extraction.check_streams(FakeBundle(), ["nothing"])


def test_the_release_layout_is_read_by_plain_h5py(reference):
    with h5py.File(reference) as handle:
        assert handle["ids"][0] == b"clip00"
        assert handle["streams/keyframe/values"].shape == (10, 6)
