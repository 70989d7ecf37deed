"""The Beam pipeline against the local pool: the same file, byte for byte. Runs where Beam is: `make test-beam`."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import pytest
from made_videos import FakeBundle, write_clips

from glrg_tf.encoders.beam_pipeline import BeamGroups, encode_to_file, read_part
from glrg_tf.encoders.extract import Encoded, Failed, encode_groups, list_videos
from glrg_tf.encoders.extract_file import extract
from glrg_tf.errors import ConfigError
from glrg_tf.video.reader import Limits

try:
    import apache_beam
except ImportError:
    if os.environ.get("GLRG_BEAM_MUST_WORK") == "1":
        raise
    apache_beam = None

SETTINGS = (4, False, None)
needs_beam = pytest.mark.skipif(apache_beam is None, reason="Apache Beam is not installed; `make test-beam`")


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> pathlib.Path:
    """Six clips, and between them an empty file."""
    folder = tmp_path_factory.mktemp("videos")
    write_clips(folder, 6)
    (folder / "clip03a.mp4").write_bytes(b"")
    return folder


def test_a_group_survives_its_file(clips, tmp_path):
    group = list_videos(clips)[3:6]
    encode_to_file(FakeBundle(), str(tmp_path / "part.npz"), group, SETTINGS)
    (wanted,) = encode_groups(FakeBundle(), [group], workers=0, isolated=False)
    found = read_part(tmp_path / "part.npz", group)
    assert [type(outcome) for outcome in found] == [Encoded, Failed, Encoded]
    for ours, theirs in zip(found, wanted, strict=True):
        if isinstance(ours, Failed):
            assert str(ours.error) == str(theirs.error)
            continue
        assert (ours.expected, ours.decoded, ours.used, ours.warnings) == (
            theirs.expected,
            theirs.decoded,
            theirs.used,
            theirs.warnings,
        )
        assert all(np.array_equal(ours.streams[name], values) for name, values in theirs.streams.items())


def test_a_result_of_other_limits_is_another_file(clips, tmp_path):
    groups, group = BeamGroups([], tmp_path / "parts"), list_videos(clips)[:2]
    names = {groups._part(FakeBundle(), group, 32, limits) for limits in (None, Limits(), Limits(max_frames=5))}
    assert len(names) == 2 and groups._part(FakeBundle(), group, 4, None) not in names


@needs_beam
def test_pipeline_and_pool_write_the_same_bytes(clips, tmp_path):
    items = list_videos(clips)
    local = extract(FakeBundle(), items, tmp_path / "local.h5", workers=2)
    groups = BeamGroups([], tmp_path / "parts", load=FakeBundle)
    report = extract(FakeBundle(), items, tmp_path / "beam.h5", groups=groups)
    assert (tmp_path / "beam.h5").read_bytes() == (tmp_path / "local.h5").read_bytes()
    assert (report.extracted, len(report.failed)) == (local.extracted, len(local.failed)) == (6, 1)
    parts = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").iterdir()}
    extract(FakeBundle(), items, tmp_path / "again.h5", groups=groups)  # finished groups are not done again
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").iterdir()} == parts
    groups.remove()
    assert not (tmp_path / "parts").exists()


@pytest.mark.skipif(apache_beam is not None, reason="Apache Beam is installed")
def test_without_beam_it_says_so(clips, tmp_path):
    with pytest.raises(ConfigError, match="Beam cannot be imported") as refusal:
        extract(FakeBundle(), list_videos(clips), tmp_path / "x.h5", groups=BeamGroups([], tmp_path / "parts"))
    assert "requirements-beam.txt" in refusal.value.remedy
    assert not (tmp_path / "x.h5").exists()
