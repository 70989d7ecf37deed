"""Classifiers of keras.applications: their own preprocessing, other numbers of classes, weights from a file."""

from __future__ import annotations

import h5py
import keras
import numpy as np
import pytest

from glrg_tf.encoders.backbones.applications import applications_backbone, applications_names
from glrg_tf.errors import CheckpointError, ConfigError

SIZE = (32, 32)


@pytest.fixture(scope="module")
def mobile():
    keras.utils.set_random_seed(1)
    return applications_backbone("MobileNet", SIZE, 5)


def pixels():
    return np.random.default_rng(0).uniform(0, 255, (2, *SIZE, 3)).astype(np.float32)


def test_pixels_in_probabilities_out(mobile):
    probabilities = mobile(pixels()).numpy()
    assert probabilities.shape == (2, 5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    network = next(layer for layer in mobile.layers if isinstance(layer, keras.Model))
    np.testing.assert_allclose(network(pixels() / 127.5 - 1), probabilities, rtol=1e-4, atol=1e-6)


def test_without_a_last_layer_and_in_its_own_colours():
    """VGG16 takes blue first and subtracts means."""
    model = applications_backbone("VGG16", SIZE, None)
    assert model.output_shape == (None, 1, 1, 512)
    network = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    mean = np.array([103.939, 116.779, 123.68], np.float32)
    np.testing.assert_allclose(model(pixels()), network(pixels()[..., ::-1] - mean), rtol=1e-3, atol=1e-3)


def test_weights_from_a_file(mobile, tmp_path):
    network = next(layer for layer in mobile.layers if isinstance(layer, keras.Model))
    network.save_weights(tmp_path / "mobile.weights.h5")
    again = applications_backbone("MobileNet", SIZE, 5, tmp_path / "mobile.weights.h5")
    np.testing.assert_array_equal(again(pixels()), mobile(pixels()))
    with pytest.raises(CheckpointError, match="do not fit"):
        applications_backbone("MobileNet", SIZE, 6, tmp_path / "mobile.weights.h5")


def test_a_file_with_a_link_out_of_it(tmp_path):
    with h5py.File(tmp_path / "linked.weights.h5", "w") as file:
        file["layers/elsewhere"] = h5py.ExternalLink("/etc/hosts", "/x")
    with pytest.raises(CheckpointError, match="link"):
        applications_backbone("MobileNet", SIZE, 5, tmp_path / "linked.weights.h5")


def test_refusals(tmp_path):
    assert "EfficientNetV2B0" in applications_names()
    with pytest.raises(ConfigError, match="no classifier 'efficientnetv2b0'"):
        applications_backbone("efficientnetv2b0", SIZE)
    with pytest.raises(ConfigError, match="at least 75x75"):
        applications_backbone("InceptionV3", SIZE, 5)
    (tmp_path / "empty.weights.h5").write_bytes(b"")
    for name in ("missing.weights.h5", "empty.weights.h5", "weights.pkl"):
        with pytest.raises(CheckpointError):
            applications_backbone("MobileNet", SIZE, 5, tmp_path / name)


def test_imagenet_weights_without_a_network(monkeypatch):
    def unreachable(*_, **__):
        raise Exception("URL fetch failure on https://storage.googleapis.com/x: None -- no route")  # noqa: TRY002

    monkeypatch.setattr(keras.utils, "get_file", unreachable)
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", unreachable)
    with pytest.raises(CheckpointError, match="cannot be had"):
        applications_backbone("MobileNet", SIZE, 5, "imagenet")
