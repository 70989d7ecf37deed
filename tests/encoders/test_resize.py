"""Resizing: the same numbers in NumPy, TensorFlow and TensorFlow's own antialiased resize."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.encoders.resize import resize_frames, resize_frames_numpy


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 37, 50, 3)).astype(np.uint8)


@pytest.mark.parametrize("size", [(16, 24), (37, 50), (64, 40)])
def test_agrees_with_tensorflows_antialiased_resize(frames, size):
    theirs = tf.image.resize(frames, size, antialias=True).numpy()
    np.testing.assert_allclose(resize_frames(frames, size).numpy(), theirs, atol=5e-3)


@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_numpy_and_graph_agree(frames, fit):
    graph = resize_frames(frames, (16, 24), fit).numpy()
    np.testing.assert_allclose(resize_frames_numpy(frames, (16, 24), fit), graph, atol=1e-3)


def test_same_size_is_the_identity(frames):
    np.testing.assert_array_equal(resize_frames(frames, (37, 50)).numpy(), frames.astype(np.float32))


def test_crop_takes_the_centre():
    wide = np.zeros((1, 20, 60, 3), np.uint8)
    wide[:, :, 20:40] = 200  # exactly the centred square
    np.testing.assert_allclose(resize_frames(wide, (20, 20), "crop").numpy(), 200)
    assert resize_frames(wide, (20, 20)).numpy().mean() < 100


def test_leading_axes_are_kept(frames):
    stacked = frames.reshape(1, 2, 1, 37, 50, 3)
    assert resize_frames(stacked, (16, 16)).shape == (1, 2, 1, 16, 16, 3)
    assert resize_frames_numpy(stacked, (16, 16)).shape == (1, 2, 1, 16, 16, 3)
