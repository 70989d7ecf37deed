"""Neighbours of clips and words, and the picture of the vocabulary."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pytest

from glrg_tf.errors import ConfigError, DataError
from glrg_tf.semantic import neighbours, plot, thumbnails
from glrg_tf.semantic.embedding import VisualGlove
from glrg_tf.semantic.stack_sources import open_stacks
from tests.semantic.conftest import WORDS_A_TOPIC, planted_tokens


def test_nearest_clips_have_the_topic(glove: VisualGlove, stacks_folder: pathlib.Path) -> None:
    tokens, _ = planted_tokens(60, 25)
    row = neighbours.find_row(glove.clips, "v011", 4)
    found = neighbours.nearest_clips(glove, glove.clips, row, 60, other_videos=True)
    assert len(found) == 60
    topics = [tokens[neighbours.find_row(glove.clips, clip.id, clip.position)] // WORDS_A_TOPIC for clip in found]
    assert np.mean(np.array(topics) == tokens[row] // WORDS_A_TOPIC) >= 0.95
    assert all(clip.id != "v011" and clip.distance is None for clip in found)
    similarities = [clip.similarity for clip in found]
    assert similarities == sorted(similarities, reverse=True)
    with open_stacks([stacks_folder]) as stacks:
        near = neighbours.nearest_clips(glove, glove.clips, row, 12, stacks=stacks)
    assert ("v011", 4) not in [(clip.id, clip.position) for clip in near]
    own = [clip.distance for clip in near if clip.word == glove.clips.words[row]]
    assert own == sorted(own)


def test_nearest_words(glove: VisualGlove) -> None:
    found = neighbours.nearest_words(glove, 3, 5)
    unit = glove.vectors / np.linalg.norm(glove.vectors, axis=1, keepdims=True)
    similarity = unit @ unit[3]
    similarity[3] = -np.inf
    assert [word for word, _ in found] == np.argsort(-similarity)[:5].tolist()
    blind = dataclasses.replace(glove, seen=np.arange(48) != found[0][0])
    assert neighbours.nearest_words(blind, 3, 1)[0][0] == found[1][0]


def test_unknown_clips_and_words(glove: VisualGlove) -> None:
    for name, position in (("nobody", 0), ("v001", 10_000), ("v001", -1)):
        with pytest.raises(ConfigError):
            neighbours.find_row(glove.clips, name, position)
    with pytest.raises(ConfigError, match="there is no word 48"):
        neighbours.nearest_words(glove, 48)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_the_picture_keeps_topics_together(glove: VisualGlove, method: str, tmp_path: pathlib.Path) -> None:
    words, places = plot.project(glove, method, seed=3)
    np.testing.assert_array_equal(places, plot.project(glove, method, seed=3)[1])
    assert words.tolist() == list(range(48))
    videos = plot.words_of_videos(glove, ["v001", "v002"])
    pictures = {int(words[i]): np.full((20, 30, 3), 90, np.uint8) for i in plot.spread_words(places, 4)}
    assert len(pictures) == 4
    plot.draw(tmp_path / "words.png", words, places, videos=videos, thumbnails=pictures, title="words")
    assert (tmp_path / "words.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    with pytest.raises(ConfigError, match="no video 'x'"):
        plot.words_of_videos(glove, ["x"])


def test_thumbnails_come_from_the_nearest_clip(glove: VisualGlove, tmp_path: pathlib.Path, monkeypatch) -> None:
    from glrg_tf.video.writer import write_video

    with pytest.raises(DataError, match="no videos"):
        thumbnails.find_videos(tmp_path)
    video_id, position = glove.clips.locate(int(glove.clips.representatives[7]))
    clips = int(np.diff(glove.clips.offsets)[glove.clips.ids.index(video_id)])
    shades = np.repeat(np.linspace(30, 220, clips), 2)  # two frames a clip
    frames = (np.full((32, 48, 3), shade, np.uint8) for shade in shades)
    write_video(tmp_path / f"{video_id}.mp4", frames, 10.0)
    (tmp_path / "other.mp4").write_bytes(b"no video")
    pictures, problems = thumbnails.thumbnails(glove, [7], thumbnails.find_videos(tmp_path))
    assert problems == []
    assert abs(float(pictures[7].mean()) - shades[2 * position + 1]) < 12
    (tmp_path / f"{video_id}.mp4").write_bytes(b"no video")
    assert thumbnails.thumbnails(glove, [7], thumbnails.find_videos(tmp_path))[0] == {}
