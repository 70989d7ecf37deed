"""Minimum-risk decoding against CIDEr-D with the hypotheses as references."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.captioner import minimum_risk
from glrg_tf.captioner.captioner import DecodingConfig, VideoCaptioner
from glrg_tf.captioner.decoding import Decoded
from glrg_tf.captioner.minimum_risk import NgramWeights
from glrg_tf.errors import CheckpointError, ConfigError
from glrg_tf.metrics.ciderd import CiderD, caption_words

V = 12


@pytest.fixture(scope="module")
def training():
    rng = np.random.default_rng(0)
    # Words 12.. are beyond the vocabulary: they count in the frequencies of the metric, never in a caption.
    references = [[list(rng.integers(2, V + 3, rng.integers(1, 9))) for _ in range(4)] for _ in range(9)]
    return CiderD.from_references(references, use_eos=False)


@pytest.fixture(scope="module")
def weights(training):
    return NgramWeights.from_tables(training.tables, V)


def hypotheses(videos: int, beams: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ids = rng.integers(2, V, (videos, beams, 10)).astype(np.int32)
    ids[..., 5:] = ids[..., :5]  # n-grams that recur
    lengths = rng.integers(0, 11, (videos, beams))
    lengths[0, 0] = 0
    return np.where(np.arange(10) < lengths[..., None], ids, 0).astype(np.int32)


def plain_gain(ids: np.ndarray, training: CiderD) -> np.ndarray:
    """One hypothesis after another against each of the others."""
    tables, frequency = training.tables, {}
    documents = float(np.exp(np.sqrt(tables.squared_idf[-1])))
    for key, squared in zip(tables.ngram_keys[:-1].tolist(), tables.squared_idf[:-1].tolist(), strict=True):
        order = (key >> 60) + 1
        frequency[tuple(key >> 15 * i & 32767 for i in reversed(range(order)))] = documents / np.exp(np.sqrt(squared))
    gains = np.zeros(ids.shape[:2])
    for video, beams in enumerate(ids):
        for i, hypothesis in enumerate(beams):
            others = [caption_words(other) for j, other in enumerate(beams) if j != i]
            scored = [
                CiderD.from_references(
                    [[other]], document_frequency=frequency, num_documents=documents + 1e-9, use_eos=False
                ).score_numpy(hypothesis[None], np.array([0]))[0]
                for other in others
                if other
            ]
            gains[video, i] = sum(scored) / len(others)
    return gains


def test_gain_is_ciderd_against_the_other_hypotheses(training, weights):
    ids = hypotheses(4, 5, 1)
    found = tf.function(lambda x: minimum_risk.expected_gain(x, weights))(ids).numpy()
    np.testing.assert_allclose(found, plain_gain(ids, training), rtol=1e-4, atol=1e-5)


def test_batch_does_not_matter(weights):
    ids = hypotheses(6, 4, 2)
    whole = minimum_risk.expected_gain(ids, weights).numpy()
    for row in range(6):
        np.testing.assert_allclose(minimum_risk.expected_gain(ids[row : row + 1], weights)[0], whole[row], rtol=1e-5)


def test_the_hypothesis_that_others_repeat_is_chosen(weights):
    shared = [2, 3, 4, 5, 6]
    ids = np.zeros((1, 4, 8), np.int32)
    ids[0, 0, :5] = [7, 8, 9, 10, 11]  # the most probable, alone in what it says
    ids[0, 1, :5], ids[0, 2, :5], ids[0, 3, :5] = shared, [*shared[:4], 7], [8, *shared[1:]]
    decoded = Decoded(tf.constant(ids), tf.constant([[-1.0, -2.0, -3.0, -4.0]]), tf.zeros([1, 4, 8]))
    chosen = minimum_risk.choose(decoded, weights, 2)
    assert chosen.token_ids.numpy()[0, 0, :5].tolist() == shared
    assert chosen.scores.numpy()[0, 0] == -2.0
    assert chosen.token_ids.shape[1] == 2


def test_equal_gains_keep_the_order_of_the_search(weights):
    ids = np.zeros((1, 3, 4), np.int32)
    ids[0, :, 0] = [4, 5, 6]  # nothing in common
    decoded = Decoded(tf.constant(ids), tf.constant([[-1.0, -2.0, -3.0]]), tf.zeros([1, 3, 4]))
    assert minimum_risk.choose(decoded, weights, 3).scores.numpy().tolist() == [[-1.0, -2.0, -3.0]]


def test_weights_keep_what_recurs_and_fits(training, weights):
    tables = training.tables
    assert 1 < len(weights.keys) < len(tables.ngram_keys)
    assert weights.squared_idf[-1] == pytest.approx(tables.squared_idf[-1])
    assert (weights.squared_idf[:-1] < weights.squared_idf[-1]).all()
    assert ((weights.keys[:-1] & 32767) < V).all()


def test_weights_survive_a_file(weights, tmp_path):
    weights.save(tmp_path / "w.h5")
    again = NgramWeights.load(tmp_path / "w.h5")
    np.testing.assert_array_equal(again.keys, weights.keys)
    np.testing.assert_array_equal(again.squared_idf, weights.squared_idf)


@pytest.mark.parametrize("damage", ["unsorted", "negative", "open", "short"])
def test_weights_that_cannot_be_are_refused(weights, tmp_path, damage):
    keys, squared = weights.keys.copy(), weights.squared_idf.copy()
    if damage == "unsorted":
        keys[:2] = keys[1::-1]
    elif damage == "negative":
        squared[0] = -1
    elif damage == "open":
        keys, squared = keys[:-1], squared[:-1]
    else:
        squared = squared[:-1]
    NgramWeights(keys, squared).save(tmp_path / "w.h5")
    with pytest.raises(CheckpointError):
        NgramWeights.load(tmp_path / "w.h5")


def test_something_else_is_refused(tmp_path):
    (tmp_path / "w.h5").write_bytes(b"words")
    with pytest.raises(CheckpointError):
        NgramWeights.load(tmp_path / "w.h5")


def of_two_words() -> NgramWeights:
    """Words 4 and 5 recur in the training captions, the rest is rare."""
    return NgramWeights(np.array([4, 5, np.iinfo(np.int64).max]), np.array([0.1, 0.2, 2.0], np.float32))


@pytest.fixture
def minimum_risk_captioner(captioner):
    settings = DecodingConfig(beam_size=5, selection="minimum_risk")
    return VideoCaptioner(captioner.model, captioner.vocabulary, settings, ngram_weights=of_two_words())


def test_a_captioner_chooses_by_minimum_risk(captioner, minimum_risk_captioner, videos):
    chosen = minimum_risk_captioner.generate(videos)
    beams = captioner.generate(videos, beam_size=5, num_captions=5)
    assert any(one[0].text != beam[0].text for one, beam in zip(chosen, beams, strict=True))
    ids = np.zeros((len(beams), 5, 28), np.int32)
    for video, beam in enumerate(beams):
        for place, caption in enumerate(beam):
            ids[video, place, : len(caption.token_ids)] = caption.token_ids
    gains = minimum_risk.expected_gain(ids, of_two_words()).numpy()
    for video, beam in enumerate(beams):
        assert chosen[video][0].text == beam[int(np.argmax(gains[video]))].text
    probable = minimum_risk_captioner.generate(videos, selection="probability")
    assert [c[0].text for c in probable] == [c[0].text for c in beams]


def test_weights_travel_with_the_captioner(minimum_risk_captioner, videos, tmp_path):
    minimum_risk_captioner.save_to_preset(tmp_path / "c")
    again = VideoCaptioner.from_preset(tmp_path / "c")
    assert again.decoding.selection == "minimum_risk"
    assert again.generate(videos, num_captions=3) == minimum_risk_captioner.generate(videos, num_captions=3)


def test_without_weights_the_remedy_is_named(captioner, videos):
    with pytest.raises(ConfigError, match="n-gram weights"):
        captioner.generate(videos, selection="minimum_risk")
