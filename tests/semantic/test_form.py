"""Forms of embeddings: main directions, smoothing, size."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pytest

from glrg_tf.errors import ConfigError
from glrg_tf.semantic.codebook import Codebook
from glrg_tf.semantic.embedding import ClipIndex, VisualGlove
from glrg_tf.semantic.form import ClipEmbeddings, Form, main_directions, smoothed
from glrg_tf.semantic.outputs import write_folder
from glrg_tf.semantic.stack_sources import open_stacks
from tests.semantic.conftest import CODEBOOK, GLOVE, TOPICS, WORDS_A_TOPIC, topics_within
from training.glove import train


def test_without_a_form_clips_get_their_words_vectors(glove: VisualGlove) -> None:
    plain = ClipEmbeddings([glove])
    words = glove.clips.words[:40]
    np.testing.assert_array_equal(plain.of([words]), glove.vectors[words])
    assert (plain.width, plain.scale) == (glove.dimensions, 1.0)


def test_smoothing_is_the_mean_of_the_neighbours_there_are() -> None:
    rows = np.random.default_rng(0).random((9, 3)).astype(np.float32)
    np.testing.assert_array_equal(smoothed(rows, 0), rows)
    found = smoothed(rows, 2)
    assert found.dtype == np.float32
    for position in range(9):
        np.testing.assert_allclose(found[position], rows[max(0, position - 2) : position + 3].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(smoothed(rows, 50), np.tile(rows.mean(axis=0), (9, 1)), rtol=1e-6)


def test_main_directions_hold_the_topics(glove: VisualGlove) -> None:
    main = main_directions([glove], TOPICS - 1)[0]  # as many as tell the topics apart
    assert main.shape == (glove.codebook.words, TOPICS - 1)
    topics = nearest_topics(glove)
    assert topics_within(main, topics, WORDS_A_TOPIC - 1) >= 0.95
    clips = main[glove.clips.words].astype(np.float64)
    spread = (clips**2).mean(axis=0)
    assert (np.diff(spread) <= 1e-6).all()  # the direction of most variance first
    # All directions keep all angles between centred embeddings.
    every = main_directions([glove], glove.dimensions)[0].astype(np.float64)
    centred = glove.vectors - glove.vectors[glove.clips.words].mean(axis=0, dtype=np.float64)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(every @ every.T, unit @ unit.T, atol=1e-5)


def nearest_topics(glove: VisualGlove) -> np.ndarray:
    """The topic of every visual word: groups of words that stand in the same videos' runs."""
    similarity = glove.vectors @ glove.vectors.T
    topics = np.full(len(similarity), -1)
    for number in range(TOPICS):
        first = int(np.flatnonzero(topics < 0)[0])
        order = [word for word in np.argsort(-similarity[first]) if topics[word] < 0]
        topics[order[:WORDS_A_TOPIC]] = number
    return topics


def test_words_without_a_vector_stay_zero_and_few_words_are_enough(glove: VisualGlove) -> None:
    seen = np.arange(glove.codebook.words) != 5
    assert not main_directions([dataclasses.replace(glove, seen=seen)], 4)[0][5].any()
    few = dataclasses.replace(
        glove,
        codebook=Codebook(glove.codebook.centroids[:3]),
        weights=glove.weights._replace(centre=glove.weights.centre[:3], context=glove.weights.context[:3]),
        seen=np.ones(3, bool),
        clips=ClipIndex(("a",), np.array([0, 4]), np.array([0, 1, 2, 2], np.int32), np.array([0, 1, 2])),
    )
    main = main_directions([few], 10)[0]
    assert main.shape == (3, 10)
    np.testing.assert_allclose(main[:, 3:], 0, atol=1e-6)
    with pytest.raises(ConfigError, match="components"):
        main_directions([glove], glove.dimensions + 1)


def test_several_trainings_are_the_main_directions_of_their_vectors_side_by_side(
    glove: VisualGlove, stacks_folder: pathlib.Path
) -> None:
    with open_stacks([stacks_folder]) as stacks:
        config = dataclasses.replace(GLOVE, epochs=20)
        second = train(stacks, dataclasses.replace(CODEBOOK, words=40), config, seed=2)
    words = [glove.clips.words, second.clips.words]
    found = ClipEmbeddings([glove, second], Form(components=6)).of(words)
    sides = []
    for each in (glove, second):
        vectors = each.vectors - each.vectors[each.clips.words].mean(axis=0, dtype=np.float64)
        sides.append((vectors / np.linalg.norm(vectors, axis=1, keepdims=True))[each.clips.words])
    clips = np.concatenate(sides, axis=1)
    left, sizes, _ = np.linalg.svd(clips, full_matrices=False)
    wanted = left[:, :6] * sizes[:6]
    np.testing.assert_allclose(found @ found[:50].T, wanted @ wanted[:50].T, atol=1e-4)  # signs are free
    with pytest.raises(ConfigError, match="no width of their own"):
        ClipEmbeddings([glove, second])
    shorter = dataclasses.replace(second.clips, offsets=second.clips.offsets[:-1], ids=second.clips.ids[:-1])
    with pytest.raises(ConfigError, match="different clips"):
        ClipEmbeddings([glove, dataclasses.replace(second, clips=shorter)], Form(components=6))


def test_a_small_form_sums_to_one(glove: VisualGlove) -> None:
    small = ClipEmbeddings([glove], Form(components=4, unit=True))
    assert np.abs(small.of([glove.clips.words])).sum(axis=1).mean() == pytest.approx(1.0, abs=1e-4)


def test_the_folder_holds_the_form_asked_for(
    glove: VisualGlove, stacks_folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    form = Form(components=3, smooth=2)
    with open_stacks([stacks_folder]) as stacks:
        made = write_folder(glove, stacks, tmp_path / "out", concatenation="rgb", form=form)
        words = glove.words(stacks.rows(*stacks.span(7)))
    assert (made["components"], made["smooth"]) == (3, 2)
    embedded = np.load(tmp_path / "out/embeddings/v007.npy")
    np.testing.assert_array_equal(embedded, smoothed(main_directions([glove], 3)[0][words], 2))
    np.testing.assert_array_equal(np.load(tmp_path / "out/concatenated/v007_rgb.npy")[:, -3:], embedded)
