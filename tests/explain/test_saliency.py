"""Saliency of both captioners on squares whose cells are known; queries; the rules of log-probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.errors import CheckpointError, ConfigError, FeatureError
from glrg_tf.explain.captioners import load_captioner, own_caption, scorer_of
from glrg_tf.explain.cells import CellReader, MapNetwork, mirrored
from glrg_tf.explain.concepts import concept_effects
from glrg_tf.explain.query import parse_query
from glrg_tf.explain.saliency import saliency
from tests.explain import squares

SENTENCE = "a red square"


@pytest.fixture(scope="module", params=["glrg", "s2vt"])
def captioner(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def scorer(captioner):
    return scorer_of(captioner)


def ids(sentence: str) -> np.ndarray:
    return parse_query(sentence, squares.VOCABULARY).token_ids


def test_the_words_point_at_their_squares(captioner, scorer):
    places = np.random.default_rng(3).permutation(squares.CELLS**2)[:24].reshape(12, 2)
    hits, network = 0, MapNetwork(captioner.encoders, squares.STREAMS)
    for first, second in places:
        cells = [divmod(int(place), squares.CELLS) for place in (first, second)]
        image = squares.frame(("red", *cells[0]), ("blue", *cells[1]))
        reader = CellReader(network, np.zeros(3))
        (items,) = reader.read(image[None])
        for colour, cell in zip(("red", "blue"), cells, strict=True):
            raw = saliency(scorer, items, ids(f"a {colour} square"))[0, ..., 1]
            hits += np.unravel_index(int(raw.argmax()), raw.shape) == cell
    assert hits == 24


def test_what_it_says(captioner):
    assert own_caption(captioner, np.array([[0.02, 0.98, 0.02]] * 2, np.float32)) == "a green square"


def test_log_probs_are_those_of_the_distributions(scorer):
    items = np.random.default_rng(0).random((5, 2, 3)).astype(np.float32)
    picked = scorer.log_probs(items, ids(SENTENCE))
    assert picked.shape == (5, 3) and picked.max() <= 0
    for item, row in zip(items, picked, strict=True):
        table = scorer.distributions(item, ids(SENTENCE))
        np.testing.assert_allclose(np.log(np.exp(table).sum(axis=1)), 0, atol=1e-5)
        np.testing.assert_allclose(table[np.arange(3), ids(SENTENCE)], row, atol=1e-5)


def test_divergence_by_hand(scorer):
    items = np.random.default_rng(1).random((4, 1, 3)).astype(np.float32)
    reference = scorer.distributions(items[0], ids(SENTENCE))
    found = scorer.divergences(items, ids(SENTENCE), reference)
    for item, row in zip(items, found, strict=True):
        other = scorer.distributions(item, ids(SENTENCE))
        np.testing.assert_allclose((np.exp(reference) * (reference - other)).sum(axis=1), row, atol=1e-5)
    np.testing.assert_allclose(found[0], 0, atol=1e-6)


def test_modes(scorer):
    items = np.random.default_rng(2).random((3, 4, 3)).astype(np.float32)
    whole = items.reshape(-1, 3)
    plain = saliency(scorer, items, ids(SENTENCE))
    gain = saliency(scorer, items, ids(SENTENCE), "gain", whole)
    assert plain.shape == (3, 4, 3)
    np.testing.assert_allclose(plain - gain, (plain - gain)[0, 0][None, None].repeat(3, 0).repeat(4, 1), atol=1e-5)
    assert saliency(scorer, items, ids(SENTENCE), "kl", whole).max() <= 0
    for mode, more in (("kl", None), ("sum", whole)):
        with pytest.raises(ConfigError):
            saliency(scorer, items, ids(SENTENCE), mode, more)
    with pytest.raises(ConfigError, match="width 4"):
        saliency(scorer, np.zeros((2, 4)), ids(SENTENCE))


def test_many_items_in_parts_are_the_same(scorer, monkeypatch):
    items = np.random.default_rng(4).random((200, 1, 3)).astype(np.float32)
    whole = scorer.log_probs(items, ids(SENTENCE))
    monkeypatch.setattr("glrg_tf.explain.scorer._LOGITS_AT_ONCE", 1)
    np.testing.assert_allclose(scorer.log_probs(items, ids(SENTENCE)), whole, atol=1e-6)
    assert scorer.log_probs(items[:0], ids(SENTENCE)).shape == (0, 3)


def test_scores_are_the_captioners_own(glrg):
    features = np.random.default_rng(5).random((4, 3)).astype(np.float32)
    labels = np.tile(np.append(ids(SENTENCE), 0), (4, 1))
    expected = glrg.score(features, labels)[:, :3]
    np.testing.assert_allclose(scorer_of(glrg).log_probs(features[:, None], ids(SENTENCE)), expected, atol=1e-5)


def test_the_order_of_descriptors_matters_to_s2vt_alone(glrg, s2vt):
    items = np.array([[[0.9, 0.1, 0.1], [0.1, 0.1, 0.9]]], np.float32)
    for captioner, same in ((glrg, True), (s2vt, False)):
        scorer = scorer_of(captioner)
        there, back = scorer.log_probs(items, ids(SENTENCE)), scorer.log_probs(items[:, ::-1], ids(SENTENCE))
        assert np.allclose(there, back, atol=1e-5) == same


def test_concepts(captioner, scorer):
    row = np.array([0.98, 0.02, 0.98], np.float32)
    labels = {"keyframe": tuple(squares.COLOURS)}
    for how in ("removed", "alone"):
        single, streams = concept_effects(scorer, row, ids("a blue square"), squares.STREAMS, labels, how)
        assert single.top(1, 1)[0][0] == "keyframe:blue" and single.top(1, 1)[0][1] > 0
        assert streams.names == ("keyframe",) and streams.effects.shape == (1, 3)
    with pytest.raises(ConfigError):
        concept_effects(scorer, row, ids(SENTENCE), squares.STREAMS, labels, "both")


def test_queries():
    query = parse_query("  A RED, (zebra) square!! zebra", squares.VOCABULARY)
    assert query.words == ("a", "red", "zebra", "square", "zebra")
    assert query.known.tolist() == [True, True, False, True, False]
    assert query.unknown == ("zebra",) and "zebra" in query.warnings[0]
    assert parse_query("a red", squares.VOCABULARY).warnings == ()
    for sentence, match in (("", "no words"), (" .,! ", "no words"), ("zebra lion", "knows none"), ("a " * 101, "101")):
        with pytest.raises(ConfigError, match=match):
            parse_query(sentence, squares.VOCABULARY)


def test_cells(glrg):
    frames = np.stack([squares.frame(("red", 0, 5)), *[squares.frame()] * 39])
    network, row = MapNetwork(glrg.encoders, squares.STREAMS), np.array([0.5, 0.6, 0.7], np.float32)
    parts = list(CellReader(network, row).read(frames))
    assert [len(part) for part in parts] == [16, 16, 8] and parts[0].shape[1:] == (6, 6, 3)
    assert parts[0][0, 0, 5, 0] > 0.9 and parts[0][1].max() < 0.1
    boxed = np.concatenate(list(CellReader(network, row, box=3).read(frames)))
    assert boxed[2].max() < 0.1 < boxed[1, 0, 5, 0] < boxed[0, 0, 5, 0]  # frame -1 is frame 0 again
    np.testing.assert_array_equal(mirrored(np.array([-2, -1, 0, 3, 4]), 4), [1, 0, 0, 3, 3])


def test_other_streams_are_kept_or_dropped(glrg):
    network = MapNetwork(glrg.encoders, (("words", 2), ("keyframe", 3)))
    row = np.arange(5, dtype=np.float32)
    for others, expected in (("pooled", [0.0, 1.0]), ("none", [0.0, 0.0])):
        (items,) = CellReader(network, row, others).read(squares.frame()[None])
        assert items.shape[-1] == 5 and items[0, 0, 0, :2].tolist() == expected
    with pytest.raises(ConfigError, match="map"):
        MapNetwork(glrg.encoders, (("words", 2),))
    with pytest.raises(ConfigError, match="no choice"):
        CellReader(network, row, "some")


def test_s2vt_folder(s2vt, tmp_path):
    type(s2vt)(s2vt.model, s2vt.vocabulary).save_to_preset(tmp_path / "run")
    again = load_captioner(tmp_path / "run")
    descriptors = np.random.default_rng(6).random((3, 3)).astype(np.float32)
    assert type(again) is type(s2vt) and again.generate([descriptors]) == s2vt.generate([descriptors])
    assert again.encoders is None
    with pytest.raises(FeatureError):
        again.generate([np.zeros((2, 4))])
    with pytest.raises(CheckpointError):
        (tmp_path / "run" / "vocabulary.json").write_text("{}")
        load_captioner(tmp_path / "run")


def test_s2vt_start_word_reads_as_zeros(s2vt):
    weights = s2vt.model.decoder_weights()
    assert not np.any(weights.embedding[1]) and np.any(weights.embedding[3])
    hidden, cell, gates = s2vt.model.start(tf.zeros([2, 3, 3]))
    assert hidden.shape == cell.shape == (2, 16) and gates.shape == (2, 64)
