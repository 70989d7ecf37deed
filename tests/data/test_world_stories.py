"""Stories of the world: deterministic, told at three levels, and with something that only each level shows."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from glrg_tf.data.world import phrases
from glrg_tf.data.world.script import HEIGHT, WIDTH
from glrg_tf.data.world.stories import BEAT_SECONDS, draw_story
from glrg_tf.data.world.story_text import clip_caption, segment_description, story_summary
from glrg_tf.data.world.story_video import beat_frames, make_stories, story_frames, story_row
from glrg_tf.errors import ConfigError

STORIES = [draw_story(2, index, 720.0) for index in range(30)]
PLACES = {word for forms in phrases.PLACE.values() for words in forms for word in words.split()} - {
    *["a", "the", "in", "on", "at", "under", "house", "among"]
}


def test_times_cover_the_story():
    for story in STORIES:
        beats = story.beats
        assert story.duration == 720.0 and len(story.segments) == 4 and len(beats) == 180
        assert beats[0].start == 0.0
        assert all(a.end == b.start and b.end - b.start == BEAT_SECONDS for a, b in itertools.pairwise(beats))
        assert all(a.end == b.start for a, b in itertools.pairwise(story.segments))
        acts = [segment.act for segment in story.segments]
        assert acts == sorted(acts) and set(acts) == set(range(len(story.acts)))
    assert draw_story(2, 5, 720.0) == STORIES[5] != draw_story(3, 5, 720.0)


def test_captions_never_tell_the_place():
    for story in STORIES:
        for beat in story.beats[::9]:
            assert not PLACES & set(clip_caption(beat).split()), clip_caption(beat)
        for segment in story.segments:
            told = segment_description(story, segment)
            assert phrases.PLACE[story.acts[segment.act].scene][0] in told
            assert (" at night" in told) == story.acts[segment.act].night
        assert ("comes home" in story_summary(story)) == story.homecoming
        assert story.cargo is None or f"carrying a {story.cargo}" in story_summary(story)
    assert 5 < sum(story.homecoming for story in STORIES) < 25


def test_the_pictures_show_what_no_caption_tells():
    story = next(s for s in STORIES if s.cargo and any(act.night for act in s.acts))
    night = next(segment for segment in story.segments if story.acts[segment.act].night)
    dark = next(beat_frames(story, night.act, night.beats[0], [5]))
    assert dark.shape == (HEIGHT, WIDTH, 3) and dark.dtype == np.uint8 and dark.mean() < 110
    whole = list(beat_frames(story, night.act, night.beats[0]))
    assert len(whole) == BEAT_SECONDS * story.frame_rate
    np.testing.assert_array_equal(whole[5], dark)


def test_frames_stream_at_any_rate():
    story = draw_story(1, 0, 48.0, 24.0, frame_rate=2)
    assert sum(1 for _ in story_frames(story)) == 96
    hour = draw_story(1, 0, 3600.0, frame_rate=1)
    assert hour.duration == 3600.0 and len(hour.segments) == 20
    with pytest.raises(ConfigError, match="multiple of 4"):
        draw_story(1, 0, 60.0, 13.0)
    with pytest.raises(ConfigError, match="12 hours"):
        draw_story(1, 0, 1e9)


def test_the_folder_and_the_command(tmp_path, capsys):
    from glrg_cli.main import main

    made = make_stories(tmp_path / "a", 2, 24.0, 12.0, seed=4, frame_rate=3)
    words = ["world", "--out", str(tmp_path / "b"), "--stories", "2", "--minutes", "0.4", "--segment-seconds", "12"]
    assert main([*words, "--frame-rate", "3", "--seed", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stories"] == 2
    for name in ("stories.jsonl", "videos/story0000.mp4", "videos/story0001.mp4"):
        assert (made / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    rows = [json.loads(line) for line in (made / "stories.jsonl").read_text().splitlines()]
    assert [row["split"] for row in rows] == ["train", "test"]
    story = draw_story(4, 0, 24.0, 12.0, 3)
    assert rows[0] == json.loads(json.dumps(story_row(story, "train", "videos/story0000.mp4")))
    assert len(rows[0]["clips"]) == 6 and len(rows[0]["segments"]) == 2 and len(rows[0]["summaries"]) == 2


def test_pictures_can_be_enlarged(tmp_path):
    from glrg_tf.video.reader import probe

    made = make_stories(tmp_path / "a", 1, 24.0, 12.0, frame_rate=1, size=(320, 240))
    found = probe(made / "videos/story0000.mp4")
    assert (found.width, found.height, found.frames) == (320, 240, 24)
    with pytest.raises(ConfigError, match="16 to 4096"):
        make_stories(tmp_path / "b", 1, size=(8, 8))
