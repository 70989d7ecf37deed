"""Square roots of probabilities as the captioner's input: the same networks on other numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from glrg_tf.captioner.captioner import VideoCaptioner
from glrg_tf.captioner.model import CaptionerModel


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
