"""Frame plans: worked examples, bounds for every length, and chance that depends on the generator only."""

from __future__ import annotations

import numpy as np
import pytest

from glrg_tf.errors import ConfigError
from glrg_tf.video.sampling import STREAMS, FramePlan, uniform_positions


def test_positions_are_the_centres_of_equal_parts():
    assert uniform_positions(16, 4).tolist() == [2, 6, 10, 14]
    assert uniform_positions(100, 1).tolist() == [50]
    assert uniform_positions(3, 6).tolist() == [0, 0, 1, 1, 2, 2]  # short videos repeat
    assert uniform_positions(1, 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize("frame_count", [*range(1, 60), 97, 1000, 199_999])
def test_every_plan_stays_inside_the_video(frame_count):
    plan = FramePlan()
    shapes = {"keyframe": (16, 1), "short_range": (16, 8), "long_range": (16, 3)}
    for stream in STREAMS:
        frames = plan.frames_of(stream, frame_count)
        assert frames.dtype == np.int64
        assert frames.shape == shapes[stream]
        assert frames.min() >= 0 and frames.max() < frame_count
    wanted = plan.wanted(frame_count)
    assert (np.diff(wanted) > 0).all()
    assert set(wanted.tolist()) == {int(i) for stream in STREAMS for i in plan.frames_of(stream, frame_count).ravel()}


def test_ranges_around_a_key_frame():
    plan = FramePlan(positions=1)
    assert plan.keyframes(200).tolist() == [100]
    assert plan.long_range(200).tolist() == [[74, 100, 126]]
    short = plan.short_range(200)[0]
    assert short[0] == 90 and short[-1] == 110
    assert short.tolist() == [90, 93, 96, 99, 101, 104, 107, 110]
    assert FramePlan(positions=1, short_frames=2).short_range(200).tolist() == [[90, 110]]
    assert FramePlan(positions=1, short_frames=21).short_range(200).tolist() == [list(range(90, 111))]
    assert plan.short_range(5).min() == 0 and plan.short_range(5).max() == 4


def test_only_the_streams_asked_for_are_wanted():
    plan = FramePlan(positions=2)
    assert plan.wanted(100, ["keyframe"]).tolist() == [25, 75]
    assert plan.wanted(100, []).size == 0


def test_training_draws_anywhere_and_far_enough():
    plan = FramePlan()
    drawn = plan.draw("long_range", 2000, np.random.default_rng(3), positions=4000)
    inner = drawn[(drawn[:, 0] > 0) & (drawn[:, 2] < 1999)]
    distances = inner[:, 1] - inner[:, 0]
    assert (inner[:, 2] - inner[:, 1] == distances).all()
    assert distances.min() == 26 and distances.max() > 500  # n > 25, and not always the same
    assert drawn[:, 1].min() < 20 and drawn[:, 1].max() > 1980
    again = plan.draw("long_range", 2000, np.random.default_rng(3), positions=4000)
    assert np.array_equal(drawn, again)
    assert plan.draw("keyframe", 9, np.random.default_rng(0)).shape == (16, 1)
    short = plan.draw("short_range", 9, np.random.default_rng(0), positions=5)
    assert short.shape == (5, 8) and short.min() >= 0 and short.max() <= 8


@pytest.mark.parametrize(
    "settings",
    [{"positions": 0}, {"long_offset": 25}, {"short_frames": 1}, {"short_offset": 0}, {"positions": 2.5}],
)
def test_plans_that_cannot_be_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        FramePlan(**settings)


def test_unknown_streams_and_empty_videos_are_refused():
    plan = FramePlan()
    with pytest.raises(ConfigError, match="nonsense"):
        plan.frames_of("nonsense", 10)
    with pytest.raises(ConfigError, match="nonsense"):
        plan.draw("nonsense", 10, np.random.default_rng(0))
    with pytest.raises(ConfigError):
        plan.keyframes(0)
    with pytest.raises(ConfigError):
        uniform_positions(10, 0)
