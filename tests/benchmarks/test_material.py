"""What the benchmarks run on: made-up captions resemble real ones, and relabelling changes no meaning."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks import floor, material
from glrg_tf.errors import ConfigError
from tests.references import plain_model


@pytest.fixture(scope="module")
def made() -> material.Material:
    return material.make(300, videos=24, seed=3)


def test_made_captions_have_the_lengths_and_beginnings_of_real_ones():
    positions = floor.count_positions(material.make(1944, videos=60).token_ids)
    assert 9.2 < positions.valid / (60 * 20) < 11.2  # MSR-VTT: 10.2
    assert 0.68 < positions.distinct / positions.valid < 0.80  # MSR-VTT: 0.73


def test_label_rows_are_well_formed(made):
    rows = made.token_ids.reshape(-1, 30)
    assert (rows[:, 0] == 1).all() and rows.max() < 300 and (rows[:, -1] == 0).all()
    assert not (np.diff((rows == 0).astype(int), axis=1) < 0).any(), "nothing follows a zero"
    assert made.references()[0][0] == [w for w in made.token_ids[0, 0, 1:] if w]


def test_relabelling_keeps_captions_and_likely_words(made):
    weights = plain_model.initial_weights(300, feature_width=8, hidden_size=4)
    small = dataclasses.replace(made, weights=weights)
    large = material.relabel(small, 1000, seed=1)
    assert large.token_ids.max() < 1000 and (large.token_ids[:, :, 0] == 1).all()
    assert floor.count_positions(large.token_ids) == floor.count_positions(made.token_ids)
    new_id = dict(zip(made.token_ids.ravel().tolist(), large.token_ids.ravel().tolist(), strict=True))
    for old, new in new_id.items():
        np.testing.assert_array_equal(large.weights["logits/kernel"][:, new], weights["logits/kernel"][:, old])
        assert large.weights["logits/bias"][new] == weights["logits/bias"][old]
    assert (np.sort(large.weights["logits/bias"])[:700] < -2.9).all(), "the others are rarer"


def test_a_vocabulary_smaller_than_the_captions_is_refused(made):
    with pytest.raises(ConfigError, match="300 words"):
        material.relabel(made, 299)


def test_saving_and_loading(made, tmp_path):
    weighted = dataclasses.replace(made, weights={"logits/bias": np.arange(3.0)})
    material.save(weighted, tmp_path / "m.npz")
    loaded = material.load(tmp_path / "m.npz")
    assert (loaded.source, loaded.vocabulary) == ("made", 300)
    np.testing.assert_array_equal(loaded.token_ids, made.token_ids)
    np.testing.assert_array_equal(loaded.weights["logits/bias"], np.arange(3.0))


def test_real_material(shared, monkeypatch):
    monkeypatch.setenv("GLRG_SHARED", str(shared))
    found = material.find(2461)
    assert found.source == "msrvtt" and found.token_ids.shape == (347, 20, 30) and found.weights is not None
    assert found.weights["logits/kernel"].shape == (512, 2461)
    assert 0.4 < found.consensus.mean() < 0.7


def test_rows_repeat_only_when_there_are_too_few(made):
    assert len(set(made.rows(24))) == 24
    assert len(made.rows(50)) == 50
