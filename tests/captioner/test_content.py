"""Foretold content: the search it steers and the caption it chooses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.captioner import content
from glrg_tf.captioner.captioner import DecodingConfig, VideoCaptioner
from glrg_tf.captioner.content import ContentPrior
from glrg_tf.captioner.decoding import Decoded
from glrg_tf.captioner.minimum_risk import NgramWeights
from glrg_tf.errors import CheckpointError, ConfigError
from glrg_tf.metrics import ngrams

END = np.iinfo(np.int64).max


def of_few_ngrams() -> NgramWeights:
    """Words 3 to 6 and two pairs of words recur in the training captions."""
    keys = [3, 4, 5, 6, ngrams.pack_ngram([4, 5]), ngrams.pack_ngram([5, 6])]
    return NgramWeights(np.array([*keys, END]), np.array([0.0, 0.5, 0.7, 0.3, 1.1, 1.3, 2.5], np.float32))


def make_prior(columns: int = 9, seed: int = 3) -> ContentPrior:
    rng = np.random.default_rng(seed)

    def halves(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.5, shape).astype(np.float16).astype(np.float32)

    mean = np.array([0.0, 0.5, 0.25, 0.125, 0.5], np.float32)
    return ContentPrior(
        halves(columns), halves(columns, 2), halves(2, 5), mean, np.array([0, 1, 2, 3, 5, 4, 5], np.int32)
    )


@pytest.fixture(scope="module")
def prior():
    return make_prior()


@pytest.fixture(scope="module")
def weights():
    return of_few_ngrams()


@pytest.fixture(scope="module")
def plus(captioner, prior, weights):
    settings = DecodingConfig(beam_size=5, length_normalization=1.0, selection="content", word_bias=0.5)
    return VideoCaptioner(captioner.model, captioner.vocabulary, settings, ngram_weights=weights, content_prior=prior)


def plain_gain(ids: list[int], foretold: np.ndarray, prior: ContentPrior, weights: NgramWeights) -> float:
    """The gain of one caption by the definition: 10/4 times the sum over orders of <caption, foretold> / |caption|."""
    words, total = [int(i) for i in ids if i], 0.0
    columns = dict(zip(weights.keys.tolist(), prior.columns.tolist(), strict=True))
    squared = dict(zip(weights.keys.tolist(), weights.squared_idf.tolist(), strict=True))
    for order in range(1, 5):
        held = [ngrams.pack_ngram(words[i : i + order]) for i in range(len(words) - order + 1)]
        norm = sum(held.count(key) ** 2 * squared.get(key, squared[END]) for key in set(held)) ** 0.5
        value = sum(foretold[columns.get(key, len(prior.mean))] for key in set(held))
        total += value / norm if norm else 0.0
    return 2.5 * total


def test_foretold_vectors_are_a_linear_map(prior, videos):
    found = content.foretell(prior, tf.constant(videos)).numpy()
    expected = (videos - prior.center) @ prior.projection @ prior.components + prior.mean
    np.testing.assert_allclose(found[:, :-1], expected, rtol=1e-5, atol=1e-5)
    assert (found[:, -1] == 0).all()


def test_gain_is_the_product_with_the_foretold_vector(prior, weights):
    rng = np.random.default_rng(1)
    ids = rng.integers(2, 9, (4, 3, 9)).astype(np.int32)
    ids[..., 4:8] = ids[..., :4]  # n-grams that recur
    ids = np.where(np.arange(9) < rng.integers(0, 10, (4, 3))[..., None], ids, 0).astype(np.int32)
    foretold = np.pad(rng.random((4, 5)), [[0, 0], [0, 1]]).astype(np.float32)
    found = tf.function(lambda x, y: content.expected_gain(x, y, prior, weights))(ids, foretold).numpy()
    expected = [[plain_gain(list(h), foretold[v], prior, weights) for h in ids[v]] for v in range(4)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_bias_is_the_logarithm_of_the_odds_and_bounded(prior, weights):
    foretold = np.array([[9.0, 0.5, 0.5, -3.0, 0.0, 0.0], [9.0, 50.0, 0.25, 0.125, 0.0, 0.0]], np.float32)
    found = content.word_bias(prior, weights, tf.constant(foretold), 8, 0.5).numpy()
    least = -np.log(content.MOST_ODDS) / 2
    # Word 3 is in every caption, words 0 to 2 are none, 7 does not recur.
    np.testing.assert_allclose(found[0], [0, 0, 0, 0, 0, np.log(2) / 2, least, 0], atol=1e-6)
    np.testing.assert_allclose(found[1], [0, 0, 0, 0, -least, 0, 0, 0], atol=1e-6)


def test_the_best_gain_is_chosen_and_ties_keep_their_order():
    decoded = Decoded(tf.constant([[[4], [5], [6]]]), tf.constant([[-1.0, -2.0, -3.0]]), tf.zeros([1, 3, 1]))
    assert content.choose(decoded, tf.constant([[0.1, 0.2, 0.3]]), 2).token_ids.numpy().ravel().tolist() == [6, 5]
    assert content.choose(decoded, tf.constant([[0.0, 1e-7, -1e-7]]), 3).scores.numpy().tolist() == [[-1.0, -2.0, -3.0]]


def test_a_captioner_steers_and_chooses_by_content(captioner, plus, videos):
    foretold = content.foretell(plus.content_prior, tf.constant(videos))
    beams = plus.generate(videos, num_captions=5, selection="probability")
    assert any(a[0].text != b[0].text for a, b in zip(beams, captioner.generate(videos), strict=True))
    chosen = plus.generate(videos)
    assert any(a[0].text != b[0].text for a, b in zip(chosen, beams, strict=True))
    for video, beam in enumerate(beams):
        args = foretold[video].numpy(), plus.content_prior, plus.ngram_weights
        gains = [plain_gain(list(caption.token_ids), *args) for caption in beam]
        assert max(gains) - gains[[c.token_ids for c in beam].index(chosen[video][0].token_ids)] < 1e-5


def test_neither_the_batch_nor_the_number_asked_for_matters(plus, videos):
    whole = plus.generate(videos)
    assert [plus.generate(videos[i : i + 1])[0][0].text for i in range(5)] == [c[0].text for c in whole[:5]]
    assert [c[0].text for c in plus.generate(videos, num_captions=5)] == [c[0].text for c in whole]


def test_one_path_is_steered_too(captioner, plus, videos):
    steered, greedy = plus.generate(videos, 1), captioner.generate(videos, 1)
    assert any(a[0].text != b[0].text for a, b in zip(steered, greedy, strict=True))


@pytest.mark.parametrize("beam", [1, 3])
def test_the_release_is_not_steered(captioner, plus, videos, beam):
    found, expected = (
        [[caption.text for caption in captions] for captions in one.generate(videos, beam, compat="release")]
        for one in (plus, captioner)
    )
    assert found == expected


def test_the_prior_travels_with_the_captioner(plus, videos, tmp_path):
    plus.save_to_preset(tmp_path / "c")
    again = VideoCaptioner.from_preset(tmp_path / "c")
    assert again.decoding == plus.decoding
    assert again.generate(videos, num_captions=3) == plus.generate(videos, num_captions=3)


@pytest.mark.parametrize("damage", ["columns", "rank", "features", "not finite", "no file"])
def test_a_prior_that_cannot_be_is_refused(prior, weights, tmp_path, damage):
    path, width = tmp_path / "content.h5", 9
    if damage == "columns":
        prior = dataclasses.replace(prior, columns=prior.columns + 1)
    elif damage == "rank":
        prior = dataclasses.replace(prior, components=prior.components[:1])
    elif damage == "features":
        width = 8
    elif damage == "not finite":
        prior = dataclasses.replace(prior, mean=np.full_like(prior.mean, np.nan))
    prior.save(path)
    if damage == "no file":
        path.write_bytes(b"words")
    with pytest.raises(CheckpointError):
        ContentPrior.load(path, width, weights)


def test_without_a_prior_the_remedy_is_named(captioner, videos):
    with pytest.raises(ConfigError, match="content prior"):
        captioner.generate(videos, selection="content")
    with pytest.raises(ConfigError, match="word_bias"):
        DecodingConfig(word_bias=-1.0)
