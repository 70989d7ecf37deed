"""The writer: what is read back, equal bytes, odd sizes, and nothing left behind when it refuses."""

from __future__ import annotations

import av
import numpy as np
import pytest

from glrg_tf.errors import ConfigError, VideoError
from glrg_tf.video.reader import read_frames
from glrg_tf.video.writer import write_video
from tests.video.made import number_of, numbered_frames


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi"])
@pytest.mark.parametrize("codec", ["h264", "mpeg4"])
def test_frames_come_back(tmp_path, suffix, codec):
    frames = numbered_frames(12)
    path = tmp_path / f"clip{suffix}"
    write_video(path, frames, 12.5, codec)
    read = read_frames(path, np.arange(12))
    assert [number_of(image) for image in read.images] == list(range(12))
    assert np.abs(read.images.astype(int) - frames).mean() < 4  # the codec loses a little, colours stay
    assert read.probe.frame_rate == pytest.approx(12.5, rel=0.01)
    assert np.allclose(read.timestamps, np.arange(12) / 12.5, atol=0.002)
    assert read.probe.pixel_format == "yuv420p"
    if codec == "h264" and "libx264" in av.codecs_available:
        assert read.probe.codec == "h264"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_equal_frames_give_equal_bytes(tmp_path, suffix):
    frames = numbered_frames(30)
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    write_video(first, frames, 15)
    write_video(second, (frame for frame in frames), 15)
    assert first.read_bytes() == second.read_bytes()


def test_odd_sizes_are_padded_by_the_last_row_and_column(tmp_path):
    frames = numbered_frames(4)[:, :63, :95]
    path = tmp_path / "odd.mp4"
    write_video(path, frames, 25)
    images = read_frames(path, np.arange(4)).images
    assert images.shape == (4, 64, 96, 3)
    assert np.abs(images[:, 63].astype(int) - images[:, 62]).mean() < 6


def test_refusals_leave_nothing_behind(tmp_path):
    good = numbered_frames(3)
    with pytest.raises(VideoError, match="no frames"):
        write_video(tmp_path / "none.mp4", [], 25)
    with pytest.raises(VideoError, match="frame 1 has another size"):
        write_video(tmp_path / "sizes.mp4", [good[0], good[1][:32]], 25)
    with pytest.raises(VideoError, match="not uint8"):
        write_video(tmp_path / "floats.mp4", good.astype(np.float32), 25)
    with pytest.raises(ConfigError, match="container"):
        write_video(tmp_path / "clip.txt", good, 25)
    with pytest.raises(ConfigError, match="codec"):
        write_video(tmp_path / "clip.mp4", good, 25, "nonsense")
    for rate in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="frame rate"):
            write_video(tmp_path / "clip.mp4", good, rate)

    def breaks():
        yield good[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "interrupted.mp4", breaks(), 25)
    assert list(tmp_path.iterdir()) == []
