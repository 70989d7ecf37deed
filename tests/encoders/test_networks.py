"""The three nano networks, and large backbones with published weights in their place."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.encoders import presets, pretrained
from glrg_tf.encoders.backbones.architectures import architecture
from glrg_tf.encoders.backbones.load import build_backbone
from glrg_tf.encoders.backbones.resnet_config import weight_shapes
from glrg_tf.encoders.backbones.weights_file import Origin, write_weights
from glrg_tf.encoders.bundle import EncoderBundle
from glrg_tf.encoders.presets import StreamSpec
from glrg_tf.encoders.stream import StreamEncoder
from glrg_tf.errors import CheckpointError, ConfigError

KINDS = ("long_range", "short_range", "keyframe")


@pytest.fixture(scope="module")
def nano() -> dict[str, StreamEncoder]:
    return {kind: StreamEncoder.build(presets.nano_spec(kind)) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_nano_networks_are_small(nano, kind):
    model, spec = nano[kind].model, nano[kind].spec
    assert model.count_params() < 300_000
    assert model.input_shape == (None, spec.frames, *spec.input_size, 3)
    assert model.output_shape == (None, spec.width)


@pytest.mark.parametrize("kind", ["long_range", "short_range"])
def test_the_order_of_frames_matters(nano, kind):
    stream = nano[kind]
    shape = (2, stream.spec.frames, *stream.spec.input_size, 3)
    clips = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    assert np.abs(stream.encode(clips) - stream.encode(clips[:, ::-1])).max() > 1e-4


def test_cells_of_the_nano_keyframe_make_up_its_logits(nano):
    stream = nano["keyframe"]
    frames = np.random.default_rng(0).integers(0, 256, (2, 1, 96, 96, 3)).astype(np.float32)
    cells = stream.classify_cells(stream.feature_map(frames)).numpy()
    logits = np.log(cells) - np.log1p(-cells)  # of sigmoids
    whole = np.log(np.exp(logits).mean(axis=(1, 2)))
    np.testing.assert_allclose(1 / (1 + np.exp(-whole)), stream.encode(frames), atol=1e-5)


def test_only_keyframes_have_a_map(nano):
    with pytest.raises(ConfigError, match="no class map"):
        _ = nano["long_range"].feature_map


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory):
    """ResNet-18 with random weights of 7 classes, and its weights file."""
    model = build_backbone("resnet18", input_shape=(64, 64, 3), classes=7)
    rng = np.random.default_rng(0)
    for variable in model.variables:  # running means and variances too, or normalisation would hide mistakes
        if len(variable.shape) == 1:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    path = tmp_path_factory.mktemp("weights") / "resnet18.h5"
    weights = {f"{layer.name}/{v.name}": np.asarray(v) for layer in model.layers for v in layer.weights}
    names = weight_shapes(architecture("resnet18").config, 7)
    write_weights(path, [(name, weights[name]) for name in names], Origin("resnet18", 7))
    return model, path


def test_published_weights_make_the_keyframe_stream_the_published_classifier(resnet18):
    model, path = resnet18
    spec = StreamSpec("keyframe", input_size=(64, 64), width=7, preset="paper", activation="softmax")
    spec = presets.with_backbone(spec, "resnet18")
    stream = StreamEncoder.build(spec)
    assert "with its last layer" in pretrained.put_weights(stream.model, spec, path)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3)).astype(np.float32)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    wanted = tf.nn.softmax(model((pixels / 255 - mean) / deviation, training=False)).numpy()
    np.testing.assert_allclose(stream.encode(pixels[:, None]), wanted, atol=1e-5)
    cells = stream.feature_map(pixels[:, None])
    assert stream.classify_cells(cells).shape == (2, 2, 2, 7)


def test_weights_of_another_network_are_refused(resnet18, nano):
    _, path = resnet18
    with pytest.raises(CheckpointError, match="weights of resnet18"):
        pretrained.put_weights(nano["keyframe"].model, nano["keyframe"].spec, path)


def test_backbones_by_name():
    spec = presets.nano_spec("keyframe", width=4)
    with pytest.raises(ConfigError, match="MobileNetV2"):
        presets.with_backbone(spec, "MobilNetV2")
    assert presets.with_backbone(spec, "MobileNetV2").normalise == "none"
    assert presets.with_backbone(presets.nano_spec("short_range"), "resnet18").normalise == "unit"


def test_a_network_of_keras_applications_inside_an_encoder():
    spec = presets.with_backbone(StreamSpec("keyframe", input_size=(32, 32), width=4), "MobileNet")
    stream = StreamEncoder.build(spec)
    assert stream.encode(np.zeros((1, 1, 32, 32, 3), np.uint8)).shape == (1, 4)
    assert stream.feature_map.output_shape[-1] == 1024


def test_a_whole_classifier_of_keras_applications_becomes_the_stream(tmp_path):
    from glrg_tf.encoders.backbones.applications import applications_backbone

    whole = applications_backbone("MobileNetV2", (32, 32))
    next(layer for layer in whole.layers if layer.name.startswith("mobilenetv2")).save_weights(
        tmp_path / "m.weights.h5"
    )
    entry = {"name": "things", "kind": "keyframe", "backbone": "MobileNetV2", "weights": "m.weights.h5"}
    (tmp_path / "c.json").write_text(json.dumps({"streams": [{**entry, "input_size": [32, 32]}]}))
    bundle = EncoderBundle.load(tmp_path / "c.json")
    frames = np.random.default_rng(0).integers(0, 256, (2, 1, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(bundle.encode({"keyframe": frames})["things"], whole(frames[:, 0]), atol=1e-5)
    bundle.save(tmp_path / "saved")
    assert EncoderBundle.load(tmp_path / "saved").fingerprint == bundle.fingerprint


def test_published_weights_without_their_last_layer_are_no_stream(resnet18, tmp_path):
    _, path = resnet18
    entry = {"name": "a", "kind": "keyframe", "backbone": "resnet18", "weights": [str(path)], "input_size": [64, 64]}
    (tmp_path / "c.json").write_text(json.dumps({"streams": [entry]}))
    with pytest.raises(ConfigError, match="the last layer is new"):
        EncoderBundle.load(tmp_path / "c.json")
