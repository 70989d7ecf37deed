"""Frames by tensorflow-io against the default reader, bit for bit. Runs where tensorflow-io is: `make test-tfio`."""

from __future__ import annotations

import os

import numpy as np
import pytest

av = pytest.importorskip("av")

from glrg_tf.errors import ConfigError, VideoError  # noqa: E402
from glrg_tf.video import tfio_reader  # noqa: E402
from glrg_tf.video.reader import read_frames  # noqa: E402
from glrg_tf.video.writer import write_video  # noqa: E402


def works() -> bool:
    """Whether it can; where it must and cannot, the reason fails the test."""
    if os.environ.get("GLRG_TFIO_MUST_WORK") == "1":
        assert tfio_reader.problem() is None, tfio_reader.problem()
    return tfio_reader.problem() is None


def clip(path, width=96):
    frames = np.random.default_rng(1).integers(0, 256, (20, 48, width, 3)).astype(np.uint8)
    write_video(path, np.repeat(frames, 2, axis=0), 10)
    return path


@pytest.mark.parametrize("width", [64, 96, 160])
def test_the_same_frames(tmp_path, width):
    if not works():
        pytest.skip(f"{tfio_reader.problem()}; `make test-tfio`")
    path = clip(tmp_path / "a.mp4", width)
    wanted = [0, 7, 8, 39]
    ours = read_frames(path, lambda count: np.array(wanted))
    theirs = read_frames(path, lambda count: np.array(wanted), backend="tfio")
    assert theirs.images.tobytes() == ours.images.tobytes() and theirs.images.shape == ours.images.shape
    np.testing.assert_array_equal(theirs.timestamps, ours.timestamps)
    assert (theirs.expected, theirs.decoded, theirs.used, theirs.probe.path) == (40, 40, 4, ours.probe.path)


def test_what_it_cannot_be_trusted_with_is_refused(tmp_path):
    if not works():
        pytest.skip(f"{tfio_reader.problem()}; `make test-tfio`")
    with pytest.raises(VideoError, match="multiples of 32"):
        read_frames(clip(tmp_path / "a.mp4", 90), np.array([0]), backend="tfio")
    (tmp_path / "b.mp4").write_text("no video")
    with pytest.raises(VideoError, match="not a video"):
        read_frames(tmp_path / "b.mp4", np.array([0]), backend="tfio")


def test_elsewhere_it_says_so(tmp_path):
    if works():
        pytest.skip("tensorflow-io reads videos here")
    with pytest.raises(ConfigError, match="tensorflow-io") as refusal:
        read_frames(clip(tmp_path / "a.mp4"), np.array([0]), backend="tfio")
    assert "FFmpeg 4" in refusal.value.remedy


def test_other_choices_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="unknown video backend"):
        read_frames(tmp_path / "a.mp4", np.array([0]), backend="tfoi")
    with pytest.raises(ConfigError, match="does not shrink"):
        read_frames(tmp_path / "a.mp4", np.array([0]), max_side=8, backend="tfio")
