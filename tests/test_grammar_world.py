"""The demo's world: a function of its seed, in the released layout, and learnable from the features."""

from __future__ import annotations

import numpy as np

from tests import grammar_world

SIZES = {"train": 60, "test": 20}


def test_the_same_seed_is_the_same_world():
    videos = grammar_world.make_videos(3, SIZES)
    assert videos == grammar_world.make_videos(3, SIZES)
    assert videos != grammar_world.make_videos(4, SIZES)
    for stream, values in grammar_world.make_features(3, videos).items():
        np.testing.assert_array_equal(values, grammar_world.make_features(3, videos)[stream])


def test_layout_is_the_released_one():
    videos = grammar_world.make_videos(3, SIZES)
    features = grammar_world.make_features(3, videos)
    widths = {name: values.shape for name, values in features.items()}
    assert widths == {"long_range": (80, 300), "short_range": (80, 400), "keyframe": (80, 1000)}
    assert all(values.dtype == np.float32 for values in features.values())
    assert len({video.id for video in videos}) == 80
    assert all(len(video.captions) == grammar_world.CAPTIONS_PER_VIDEO for video in videos)


def test_features_tell_the_scene():
    videos = grammar_world.make_videos(3, SIZES)
    features = grammar_world.make_features(3, videos)
    train = [i for i, video in enumerate(videos) if video.split == "train"]
    right = 0
    for i, video in enumerate(videos):
        if video.split == "test":
            distances = np.linalg.norm(features["long_range"][train] - features["long_range"][i], axis=1)
            right += videos[train[int(np.argmin(distances))]].action == video.action
    assert right >= 18  # of 20: the nearest neighbour does the same


def test_captions_mostly_say_what_is_there():
    videos = grammar_world.make_videos(3, SIZES)
    said = [
        any(words in caption for words in grammar_world.ACTION[video.action])
        for video in videos
        for caption in video.captions
    ]
    assert 0.85 < np.mean(said) < 1.0
