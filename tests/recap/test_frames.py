"""Frames of clips: the right ones, from any clip on, in every kind of file; damage never ends a run."""

from __future__ import annotations

import numpy as np
import pytest

from glrg_tf.errors import VideoError
from glrg_tf.recap.frames import ClipFrames, clip_frames, look
from glrg_tf.recap.hierarchy import Hierarchy
from glrg_tf.video.sampling import FramePlan
from tests.recap.made import FRAMES, numbered_video
from tests.video.made import make_video, number_of, numbered_frames

HIERARCHY = Hierarchy(clip_seconds=1.0, segment_seconds=5.0)
PLAN = FramePlan(positions=2, short_offset=2, short_frames=3)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return numbered_video(tmp_path_factory.mktemp("numbered") / "a.mp4")


def numbers(clip: ClipFrames, plan: str = "keyframe") -> list[int]:
    pictures = clip.clips[plan]
    return [number_of(picture) for picture in pictures.reshape(-1, *pictures.shape[2:])]


def test_every_clip_shows_the_frames_of_its_plan(video):
    timeline = look(video, HIERARCHY)
    assert timeline.stamps is not None and len(timeline.times) == FRAMES
    assert len(timeline.windows) == 20 and timeline.duration == pytest.approx(20.1)
    clips = list(clip_frames(timeline, PLAN, ("keyframe", "short_range")))
    assert [clip.index for clip in clips] == list(range(20))
    for clip in clips[:-1]:
        assert numbers(clip) == [10 * clip.index + 2, 10 * clip.index + 7]
        assert numbers(clip, "short_range") == [10 * clip.index + k for k in (0, 2, 4, 5, 7, 9)]
        assert number_of(clip.middle) == 10 * clip.index + 4 and clip.clips["short_range"].shape[:2] == (2, 3)
    assert numbers(clips[-1]) == [192, 198]  # the last clip holds the rest: 11 frames
    assert not any(clip.replaced or clip.damaged for clip in clips)


@pytest.mark.parametrize("jump", [True, False])
def test_starting_late_shows_the_same(video, jump):
    timeline = look(video, HIERARCHY)
    whole = list(clip_frames(timeline, PLAN, ("keyframe",)))
    for first in (1, 7, 19, 20):
        late = list(clip_frames(timeline, PLAN, ("keyframe",), first=first, jump=jump))
        assert [clip.index for clip in late] == list(range(first, 20))
        for a, b in zip(whole[first:], late, strict=True):
            np.testing.assert_array_equal(a.clips["keyframe"], b.clips["keyframe"])


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mpeg4"), ("a.mkv", "libx264"), ("a.gif", "gif")])
def test_other_containers(tmp_path, name, codec):
    form = "rgb8" if codec == "gif" else "yuv420p"
    video = make_video(tmp_path / name, numbered_frames(60), rate=RATE_OF[codec], codec=codec, pixel_format=form)
    timeline = look(video, HIERARCHY)
    assert (timeline.stamps is None) == (codec != "libx264")
    late = list(clip_frames(timeline, PLAN, ("keyframe",), first=2))
    rate = RATE_OF[codec]
    assert numbers(late[0]) == [2 * rate + rate // 4, 2 * rate + 3 * rate // 4]


RATE_OF = {"mpeg4": 20, "libx264": 20, "gif": 20}


def test_clips_shorter_than_a_frame_see_the_nearest(tmp_path):
    video = make_video(tmp_path / "slow.mp4", numbered_frames(4), rate=1)
    timeline = look(video, Hierarchy(clip_seconds=0.5, segment_seconds=2))
    seen = [numbers(clip) for clip in clip_frames(timeline, PLAN, ("keyframe",))]
    assert len(seen) == 8 and seen[0] == [0, 0] and seen[2] == [1, 1] and seen[-1] == [3, 3]


def test_a_damaged_video_is_shown_as_far_as_it_goes(video, tmp_path):
    data = bytearray(video.read_bytes())
    start = data.index(b"mdat")
    for place in range(start + len(data) // 3, start + len(data) // 3 + 600):
        data[place] ^= 0x5A
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(bytes(data))
    timeline = look(broken, HIERARCHY)
    whole = list(clip_frames(timeline, PLAN, ("keyframe",)))
    assert len(whole) == len(timeline.windows) == 20
    assert whole[-1].damaged and numbers(whole[0]) == [2, 7]
    late = list(clip_frames(timeline, PLAN, ("keyframe",), first=12, jump=False))
    for a, b in zip(whole[12:], late, strict=True):
        np.testing.assert_array_equal(a.clips["keyframe"], b.clips["keyframe"])


def test_a_cut_video_and_no_video(video, tmp_path):
    mkv = numbered_video(tmp_path / "a.mkv")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(mkv.read_bytes()[: mkv.stat().st_size // 2])
    timeline = look(cut, HIERARCHY)
    assert 5 < len(list(clip_frames(timeline, PLAN, ("keyframe",)))) == len(timeline.windows) < 16
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(VideoError):
        look(text, HIERARCHY)
