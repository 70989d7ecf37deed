"""The normalisation chain against the fact sheet's numbers and against SciPy."""

from __future__ import annotations

import numpy as np
import pytest

from glrg_tf.errors import ConfigError
from glrg_tf.explain.normalise import (
    REFERENCE,
    Normalisation,
    box_filter,
    normalise,
    smooth,
    time_chart,
    time_mass,
    to_unit,
)


def maps(values) -> np.ndarray:
    """Values of one word as frames of one cell."""
    return np.asarray(values, np.float32).reshape(-1, 1, 1, 1)


def test_word_scale_and_threshold():
    only_words = Normalisation(frames=False, sigma=(0, 0, 0))
    np.testing.assert_allclose(normalise(maps([0, 1, 2, 3]), only_words).ravel(), [0, 0, 1 / 6, 0.5], atol=1e-6)


def test_frame_scale():
    frame = np.array([0, 0, 1 / 6, 0.5], np.float32).reshape(1, 1, 2, 2)
    only_frames = Normalisation(words=False, threshold=False, frames=True, sigma=(0, 0, 0))
    np.testing.assert_allclose(normalise(frame, only_frames).ravel(), [0, 0, 1 / 3, 1], atol=1e-6)


def test_box_filter_repeats_the_edge():
    np.testing.assert_allclose(box_filter(np.array([3.0, 0.0, 0.0]), 3), [2, 1, 0])
    np.testing.assert_allclose(box_filter(np.array([3.0]), 3), [3])


@pytest.mark.parametrize("frames", [1, 3, 40])
def test_smoothing_is_scipys(frames):
    scipy = pytest.importorskip("scipy.ndimage")
    values = np.random.default_rng(0).random((frames, 2, 5, 7)).astype(np.float32)
    expected = np.stack([scipy.gaussian_filter(values[:, word], (2, 1, 1)) for word in range(2)], axis=1)
    np.testing.assert_allclose(smooth(values, (2.0, 1.0, 1.0)), expected, atol=1e-5)


def test_constant_words_and_frames_become_zero():
    found = normalise(np.full((3, 2, 4, 4), -2.5, np.float32), REFERENCE)
    assert np.isfinite(found).all() and not found.any()


def test_the_chain_stays_within_0_and_1():
    found = normalise(-np.random.default_rng(1).gamma(2.0, 3.0, (9, 4, 6, 6)), REFERENCE)
    assert found.min() >= 0 and found.max() <= 1 and found.dtype == np.float32


def test_logprob_and_gain_give_the_same_maps():
    raw = -np.random.default_rng(2).random((5, 3, 4, 4)).astype(np.float32)
    gain = raw - np.array([-1.0, -0.2, -3.0], np.float32)[None, :, None, None]
    np.testing.assert_allclose(normalise(raw, REFERENCE), normalise(gain, REFERENCE), atol=1e-5)


def test_time():
    raw = np.array([[-4.0, 0.0], [-2.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(time_chart(raw), [[0, 0], [0.5, 0], [1, 0]])
    np.testing.assert_allclose(time_mass(raw), [[0, 1 / 3], [0, 1 / 3], [1, 1 / 3]], atol=1e-6)
    np.testing.assert_allclose(to_unit(np.zeros(3)), 0)


def test_settings_without_meaning_are_refused():
    for wrong in ({"box": 2}, {"box": 0}, {"sigma": (1.0, -1.0, 1.0)}):
        with pytest.raises(ConfigError):
            Normalisation(**wrong)
