"""Windows by whole numbers: the published lengths, rests, borders, and every text in exactly one parent."""

from __future__ import annotations

import random

import pytest

from glrg_tf.errors import ConfigError
from glrg_tf.recap.hierarchy import LEVELS, Hierarchy, Window, children, microseconds, parent


@pytest.mark.parametrize(
    ("seconds", "clips", "segments"),
    [
        (0, 0, 0),
        (0.04, 1, 1),
        (4, 1, 1),
        (180, 45, 1),
        (180.04, 45, 1),
        (184, 46, 1),  # four seconds are a clip, but no segment
        (202.4, 51, 1),
        (202.5, 51, 2),  # a rest of an eighth of a segment is one
        (708.03, 177, 4),  # the reference's demo video: its 178th clip was one unreadable frame
        (708.5, 178, 4),
        (3600, 900, 20),
    ],
)
def test_counts(seconds, clips, segments):
    hierarchy = Hierarchy()
    assert len(hierarchy.clip_windows(seconds)) == clips
    assert len(hierarchy.segment_windows(seconds)) == segments
    assert len(hierarchy.video_windows(seconds)) == (clips > 0)


def test_a_rest_can_be_a_clip_of_its_own():
    windows = Hierarchy(rest_parts=1000).clip_windows(708.03)
    assert len(windows) == 178
    assert (windows[-1].start, windows[-1].end) == (708.0, 708.03)


def test_the_last_full_clip_takes_the_short_rest():
    last = Hierarchy().clip_windows(708.03)[-1]
    assert (last.start_us, last.end_us) == (704_000_000, 708_030_000)


def test_no_drift_in_a_day():
    windows = Hierarchy(clip_seconds=0.1, segment_seconds=0.7).clip_windows(24 * 3600)
    assert len(windows) == 864_000
    assert windows[-1].start_us == 863_999 * 100_000


def test_clips_of_segments_where_lengths_do_not_divide():
    hierarchy = Hierarchy(clip_seconds=4, segment_seconds=10)
    # middles at 2 6 | 10 14 18 | 22 26: the clip [8, 12) has its middle on the border and belongs to the later
    assert hierarchy.clips_of_segments(28) == [range(0, 2), range(2, 5), range(5, 7)]


def test_every_clip_has_exactly_one_segment_whatever_the_lengths():
    chance = random.Random(1)
    for _ in range(300):
        clip = round(chance.uniform(0.2, 9), 1 + chance.randrange(4))
        hierarchy = Hierarchy(clip, round(clip * chance.uniform(1, 9), 3) + 0.001, chance.choice((1, 2, 8, 1000)))
        seconds = chance.choice((clip, 1.0, 59.94, 708.03)) * chance.uniform(0.2, 3)
        clips, segments = hierarchy.clip_windows(seconds), hierarchy.segment_windows(seconds)
        for windows in (clips, segments):
            assert windows[0].start_us == 0
            assert windows[-1].end_us == microseconds(seconds)
            assert all(a.end_us == b.start_us for a, b in zip(windows, windows[1:], strict=False))
        members = hierarchy.clips_of_segments(seconds)
        assert len(members) == len(segments)
        assert all(members)
        assert [index for own in members for index in own] == list(range(len(clips)))


def test_parents_of_free_texts():
    segments = Hierarchy().segment_windows(540)
    times = [(0, 10), (175, 184), (176, 184), (179.9, 179.9), (180, 180), (100, 400), (530, 700), (900, 901)]
    texts = [Window("clip", i, microseconds(a), microseconds(b)) for i, (a, b) in enumerate(times)]
    assert [parent(text.start_us, text.end_us, segments) for text in texts] == [0, 0, 1, 0, 1, 1, 2, 2]
    assert children(segments, texts) == [[0, 1, 3], [2, 4, 5], [6, 7]]


def test_windows_by_name():
    for level in LEVELS:
        assert {window.level for window in Hierarchy().windows(level, 400)} == {level}
    with pytest.raises(ConfigError, match="no level is called"):
        Hierarchy().windows("chapter", 400)


@pytest.mark.parametrize("values", [{"clip_seconds": 0}, {"segment_seconds": 3}, {"rest_parts": 0}])
def test_lengths_that_cannot_be(values):
    with pytest.raises(ConfigError):
        Hierarchy(**values)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_times_that_cannot_be(seconds):
    with pytest.raises(ConfigError, match="no time"):
        Hierarchy().clip_windows(seconds)


def test_parents_are_needed():
    with pytest.raises(ConfigError, match="no windows"):
        parent(0, 1, [])
