"""Fitting the content prior: the ridge's closed form, its bounds, and what it foretells of planted content."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.captioner import content as decoding
from glrg_tf.captioner.minimum_risk import NgramWeights
from glrg_tf.errors import DataError
from glrg_tf.metrics.ciderd import CiderD
from training import content

V, WIDTHS = 16, (6, 3)


@pytest.fixture(scope="module")
def made():
    """40 videos; each stream's columns say which words their captions hold."""
    rng = np.random.default_rng(0)
    features = rng.random((40, 9)).astype(np.float32)
    features[:, 6:] *= 100.0  # streams of different scale
    words = np.argsort(-features[:, :6] - rng.normal(0, 0.02, (40, 6)), axis=1)[:, :2] + 4
    references = [[[3, int(a), int(b)], [3, int(b), int(a)], [int(a), 12]] for a, b in words]
    tables = CiderD.from_references(references, use_eos=False).tables
    return features, references, tables, NgramWeights.from_tables(tables, V)


def test_vectors_are_the_mean_of_unit_captions(made):
    _, references, tables, weights = made
    places = np.searchsorted(tables.ngram_keys, weights.keys[:-1])
    found = content.mean_vectors(tables, places)
    idf = dict(zip(tables.ngram_keys.tolist(), np.sqrt(tables.squared_idf).tolist(), strict=True))
    for video in (0, 7):
        for word in (3, 4, 5, 12):
            total = 0.0
            for caption in references[video]:
                norm = np.sqrt(sum(idf[w] ** 2 for w in caption))
                total += (word in caption) * idf[word] ** 2 / norm / 3
            place = weights.keys[:-1].tolist().index(word)
            assert found[video, place] == pytest.approx(total, rel=1e-5)


def test_the_map_is_ridge_regression(made):
    features, _, tables, weights = made
    prior = content.fit(features, WIDTHS, tables, weights, ridge=0.3)
    vectors = content.mean_vectors(tables, np.searchsorted(tables.ngram_keys, weights.keys[:-1]))
    centred = features.astype(np.float64) - features.mean(axis=0)
    for start, stop in ((0, 6), (6, 9)):
        centred[:, start:stop] /= np.sqrt((centred[:, start:stop] ** 2).sum(axis=1).mean())
    kernel = centred @ centred.T
    expected = kernel @ np.linalg.solve(kernel + 0.3 * np.eye(40), vectors - vectors.mean(axis=0)) + vectors.mean(
        axis=0
    )
    found = decoding.foretell(prior, tf.constant(features)).numpy()[:, :-1]
    np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())


def test_bounds_keep_the_commonest_ngrams_and_strongest_components(made):
    features, _, tables, weights = made
    whole = content.fit(features, WIDTHS, tables, weights)
    small = content.fit(features, WIDTHS, tables, weights, most_ngrams=10, most_components=4)
    assert small.components.shape == (4, 10)
    assert (small.columns == 10).sum() == len(weights.keys) - 10
    kept = small.columns < 10
    assert weights.squared_idf[kept].max() <= weights.squared_idf[:-1][~kept[:-1]].min() + 1e-6
    near = decoding.foretell(small, tf.constant(features)).numpy()[:, :-1]
    full = decoding.foretell(whole, tf.constant(features)).numpy()[:, np.flatnonzero(kept)]
    assert np.corrcoef(near.ravel(), full.ravel())[0, 1] > 0.9


def test_content_of_unseen_videos_is_foretold(made):
    features, _, tables, weights = made
    prior = content.fit(features, WIDTHS, tables, weights)
    unseen = np.random.default_rng(9).random((50, 9)).astype(np.float32)
    ids = np.tile(np.arange(4, 10, dtype=np.int32)[None, :, None], [50, 1, 1])  # one word each
    foretold = decoding.foretell(prior, tf.constant(unseen))
    gains = decoding.expected_gain(tf.constant(ids), foretold, prior, weights).numpy()
    two_best = np.argsort(-unseen[:, :6], axis=1)[:, :2]  # which of the two comes first says nothing here
    assert (gains.argmax(axis=1)[:, None] == two_best).any(axis=1).mean() > 0.8


def test_a_stream_that_never_changes_is_left_out(made):
    features, _, tables, weights = made
    features = features.copy()
    features[:, 6:] = 0.5
    prior = content.fit(features, WIDTHS, tables, weights)
    assert np.isfinite(prior.projection).all()
    assert (prior.projection[6:] == 0).all()


def test_features_that_all_are_alike_foretell_the_mean(made, tmp_path):
    features, _, tables, weights = made
    prior = content.fit(np.full_like(features, 0.5), WIDTHS, tables, weights)
    prior.save(tmp_path / "c.h5")
    again = decoding.ContentPrior.load(tmp_path / "c.h5", 9, weights)
    foretold = decoding.foretell(again, tf.constant(features[:1])).numpy()
    np.testing.assert_array_equal(foretold[0], [*prior.mean, 0.0])


def test_captions_without_a_common_word_are_refused():
    tables = CiderD.from_references([[[3, 4]], [[5, 6]]], use_eos=False).tables
    with pytest.raises(DataError, match="no word occurs in captions of two"):
        content.fit(np.eye(2, 9, dtype=np.float32), WIDTHS, tables, NgramWeights.from_tables(tables, V))


def test_every_array_holds_halves(made):
    features, _, tables, weights = made
    prior = content.fit(features, WIDTHS, tables, weights)
    for name in ("center", "projection", "components", "mean"):
        values = getattr(prior, name)
        np.testing.assert_array_equal(values, values.astype(np.float16).astype(np.float32))


def test_many_videos_and_blocks_give_the_same_map(made, monkeypatch):
    features, _, tables, weights = made
    whole = content.fit(features, WIDTHS, tables, weights)
    monkeypatch.setattr(content, "_BLOCK", 5)
    np.testing.assert_array_equal(content.fit(features, WIDTHS, tables, weights).components, whole.components)
    wide = np.pad(features, [[0, 0], [0, 40]])  # fewer videos than columns: the other decomposition
    padded = content.fit(wide, (*WIDTHS, 40), tables, weights)
    before = decoding.foretell(whole, tf.constant(features)).numpy()
    after = decoding.foretell(padded, tf.constant(wide)).numpy()
    np.testing.assert_allclose(after, before, atol=2e-3 * np.abs(before).max())
