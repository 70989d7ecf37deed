"""Square roots of probabilities as the captioner's input: the same networks on other numbers."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from glrg_tf.captioner.captioner import VideoCaptioner
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.presets import CaptionerConfig


@pytest.mark.parametrize("feature_pool", ["joint", "per_stream"])
def test_roots_are_taken_inside_the_captioner(captioner, feature_pool, tmp_path):
    plain = dataclasses.replace(captioner.config, feature_pool=feature_pool)
    models = [CaptionerModel(dataclasses.replace(plain, feature_map=kind), seed=1) for kind in ("identity", "root")]
    models[1].set_weights(models[0].get_weights())
    outside, inside = (VideoCaptioner(model, captioner.vocabulary) for model in models)
    features = np.random.default_rng(0).random((4, 9)).astype(np.float32)
    expected = outside.model.encode(np.sqrt(features)).numpy()
    np.testing.assert_allclose(inside.model.encode(features).numpy(), expected, rtol=1e-6)
    below = inside.model.encode(features - 2).numpy()
    np.testing.assert_array_equal(below, outside.model.encode(np.zeros_like(features)).numpy())
    inside.save_to_preset(tmp_path / "c")
    again = VideoCaptioner.from_preset(tmp_path / "c")
    assert again.config.feature_map == "root"
    assert again.generate(features) == inside.generate(features)


@pytest.mark.parametrize("last", ["semantic", "mine"])
def test_a_further_stream_changes_nothing_at_the_start(last):
    """A captioner with one more stream begins as the one without it: zero weights, every other draw the same."""
    without = CaptionerConfig(20, (("long_range", 5), ("keyframe", 4)), pool_size=8, embedding_size=6, hidden_size=7)
    with_it = dataclasses.replace(without, streams=(*without.streams, (last, 3)))
    one, two = (CaptionerModel(config, 1).get_weights() for config in (without, with_it))
    kernel = two.pop("feature_pool/kernel")
    np.testing.assert_array_equal(kernel[:9], one.pop("feature_pool/kernel"))
    assert not kernel[9:].any() and len(kernel) == 12
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name])
    alone = dataclasses.replace(without, streams=((last, 3), ("other", 2)))
    assert CaptionerModel(alone, 1).get_weights()["feature_pool/kernel"].all()


def test_an_encoder_with_a_further_stream_is_cloned_and_saved(tmp_path):
    config = CaptionerConfig(20, (("keyframe", 4), ("semantic", 3)), pool_size=8, embedding_size=6, hidden_size=7)
    encoder = CaptionerModel(config, 1).encoder
    keras.models.clone_model(encoder)
    encoder.save(tmp_path / "encoder.keras")
    features = np.random.default_rng(0).random((2, 7), np.float32)
    again = keras.models.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(again.predict(features, verbose=0), encoder.predict(features, verbose=0))
