"""Classifiers of a user's own as streams, and the config files that name them."""

from __future__ import annotations

import json
import zipfile

import keras
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from glrg_tf.encoders import classifier
from glrg_tf.encoders.bundle import EncoderBundle
from glrg_tf.encoders.classifier_files import dequantise, quantise
from glrg_tf.encoders.presets import StreamSpec
from glrg_tf.errors import CheckpointError, ConfigError, ExportError

CLASSES = 4  # background and three


def linear_weights() -> np.ndarray:
    """A class is as likely as its mixture of channel means is bright: float32 (3, CLASSES)."""
    return np.random.default_rng(0).normal(0, 3, (3, CLASSES)).astype(np.float32)


def write_onnx(path, *, channels_first: bool, softmax: bool = False, external: bool = False):
    shape, axes = (["n", 3, 24, 32], [2, 3]) if channels_first else (["n", 24, 32, 3], [1, 2])
    weights = numpy_helper.from_array(linear_weights(), "w")
    if external:
        onnx.external_data_helper.set_external_data(weights, "elsewhere.bin")
        weights.data_location = TensorProto.EXTERNAL
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["m"], keepdims=0),
        helper.make_node("MatMul", ["m", "w"], ["y" if not softmax else "z"]),
        *([helper.make_node("Softmax", ["z"], ["y"])] if softmax else []),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CLASSES])],
        [weights, numpy_helper.from_array(np.array(axes, np.int64), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def write_keras(path, *extra: keras.layers.Layer):
    pixels = keras.Input((24, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(pixels)
    for layer in extra:
        x = layer(x)
    model = keras.Model(pixels, keras.layers.Dense(CLASSES, use_bias=False, name="classes")(x))
    model.get_layer("classes").set_weights([linear_weights()])
    model.save(path)
    return path


def write_config(folder, stream, **more):
    path = folder / "encoder.json"
    path.write_text(json.dumps({"streams": [{"name": "things", **stream}], "plan": {"positions": 3}, **more}))
    return path


def expected(clips: np.ndarray) -> np.ndarray:
    """What the linear classifier should say of clips of its own size: softmax over the three that are not dropped."""
    means = (clips.astype(np.float32) / 127.5 - 1).mean(axis=(2, 3))[:, 0]
    logits = (means @ linear_weights())[:, 1:]
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)


CLIPS = np.random.default_rng(1).integers(0, 256, (3, 1, 24, 32, 3)).astype(np.uint8)
CLIPS[1, ..., 0] //= 4


@pytest.mark.parametrize("channels_first", [False, True])
def test_onnx_logits_in_either_layout(tmp_path, channels_first):
    write_onnx(tmp_path / "c.onnx", channels_first=channels_first)
    bundle = EncoderBundle.load(write_config(tmp_path, {"file": "c.onnx", "drop_first": True}))
    spec = bundle.streams["things"].spec
    assert spec.logits and spec.width == 3 and spec.input_size == (24, 32) and bundle.plan.positions == 3
    np.testing.assert_allclose(bundle.encode({"keyframe": CLIPS})["things"], expected(CLIPS), atol=1e-5)


def test_probabilities_are_divided_by_what_dropping_leaves(tmp_path):
    write_onnx(tmp_path / "c.onnx", channels_first=False, softmax=True)
    bundle = EncoderBundle.load(write_config(tmp_path, {"file": "c.onnx", "drop_first": True}))
    assert not bundle.streams["things"].spec.logits
    np.testing.assert_allclose(bundle.encode({"keyframe": CLIPS})["things"], expected(CLIPS), atol=1e-5)


def test_keras_file_in_the_graph(tmp_path):
    write_keras(tmp_path / "c.keras")
    bundle = EncoderBundle.load(write_config(tmp_path, {"file": "c.keras", "drop_first": True}))
    assert bundle.exportable
    np.testing.assert_allclose(bundle.encode({"keyframe": CLIPS})["things"], expected(CLIPS), atol=1e-5)
    frames = np.repeat(CLIPS[:1, 0], 5, axis=0)[None]  # five equal frames
    np.testing.assert_allclose(bundle.frames_model()(frames).numpy()[0], expected(CLIPS)[0], atol=1e-5)


def test_saved_folder_carries_the_file(tmp_path):
    write_onnx(tmp_path / "c.onnx", channels_first=False)
    config = write_config(tmp_path, {"file": "c.onnx", "drop_first": True, "labels": ["none", "a", "b", "c"]})
    bundle = EncoderBundle.load(config)
    bundle.save(tmp_path / "saved")
    (tmp_path / "c.onnx").unlink()
    loaded = EncoderBundle.load(tmp_path / "saved")
    assert loaded.fingerprint == bundle.fingerprint
    assert loaded.streams["things"].spec.labels == ("a", "b", "c")
    clips = {"keyframe": CLIPS}
    np.testing.assert_array_equal(loaded.encode(clips)["things"], bundle.encode(clips)["things"])
    with pytest.raises(ExportError, match="outside TensorFlow"):
        loaded.frames_model()


def test_toml_and_streams_from_other_encoders(tmp_path):
    write_onnx(tmp_path / "c.onnx", channels_first=False)
    EncoderBundle.load(write_config(tmp_path, {"file": "c.onnx"})).save(tmp_path / "one")
    (tmp_path / "both.toml").write_text(
        'streams = [{name = "x", from = "one", stream = "things"}, {name = "y", file = "c.onnx", fit = "stretch"}]\n'
    )
    bundle = EncoderBundle.load(tmp_path / "both.toml")
    assert bundle.widths == (("x", CLASSES), ("y", CLASSES)) and bundle.plan.positions == 3


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        ({"file": "gone.onnx"}, "no such classifier"),
        ({"file": "c.onnx", "labels": ["a"]}, "1 labels for 4 outputs"),
        ({"file": "c.onnx", "labels": "gone.txt"}, "no such file"),
        ({"file": "c.onnx", "colour": 1}, "unknown setting 'colour'"),
        ({"file": "c.onnx", "normalise": "odd"}, "not a value"),
        ({"file": "c.pb"}, "no classifier file"),
        ({}, "'file'"),
        ({"from": "nowhere"}, "no such encoder"),
    ],
)
def test_wrong_configs_are_refused(tmp_path, stream, message):
    write_onnx(tmp_path / "c.onnx", channels_first=False)
    (tmp_path / "c.pb").write_bytes(b"x")
    with pytest.raises((ConfigError, CheckpointError), match=message):
        EncoderBundle.load(write_config(tmp_path, stream))


@pytest.mark.parametrize("text", ["{", "[]", '{"streams": []}', '{"streams": [1]}', '{"stream": []}'])
def test_malformed_configs_are_refused(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ConfigError):
        EncoderBundle.load(tmp_path / "c.json")


def test_files_that_are_no_classifiers_are_refused(tmp_path):
    for name in ("a.onnx", "a.tflite", "a.keras"):
        (tmp_path / name).write_bytes(b"TFL3 nonsense " * 20)
        with pytest.raises(CheckpointError):
            classifier.describe(tmp_path / name, "unit")
    with pytest.raises(CheckpointError, match="outside itself"):
        classifier.describe(write_onnx(tmp_path / "e.onnx", channels_first=False, external=True), "unit")


def test_keras_files_with_code_are_refused(tmp_path):
    path = write_keras(tmp_path / "c.keras", keras.layers.Lambda(lambda x: x))
    with pytest.raises(CheckpointError, match="may run code"):
        classifier.describe(path, "unit")


def test_keras_files_with_foreign_classes_are_refused(tmp_path):
    path = write_keras(tmp_path / "c.keras")
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content["config.json"] = content["config.json"].replace(b'"module": "keras.layers"', b'"module": "os"')
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    with pytest.raises(CheckpointError, match="may run code"):
        classifier.describe(path, "unit")


def test_quantisation_by_scale_and_zero_point():
    details = {"dtype": np.uint8, "quantization": (0.5, 10)}
    np.testing.assert_array_equal(quantise(np.array([-9.0, 0.0, 0.74, 1e9]), details), [0, 10, 11, 255])
    np.testing.assert_array_equal(dequantise(np.array([0, 10, 12], np.uint8), details), [-5.0, 0.0, 1.0])


def test_mobilenet_as_the_keyframe_stream(shared, tmp_path):
    """1001 outputs, background first, quantised: 1000 ImageNet classes in their usual order."""
    weights = shared / "data" / "weights"
    stream = {"file": str(weights / "mobilenet_v2_1.0_224_quant.tflite"), "drop_first": True}
    stream |= {"labels": str(weights / "imagenet_labels.txt"), "name": "keyframe"}
    bundle = EncoderBundle.load(write_config(tmp_path, stream))
    spec: StreamSpec = bundle.streams["keyframe"].spec
    assert spec.width == 1000 and not spec.logits and spec.input_size == (224, 224)
    assert spec.labels[0].startswith("tench") and spec.labels[-1].startswith("toilet tissue")

    from glrg_tf.video.reader import read_frames

    clips = {"msvd_ufFT2BWh3BQ_0_8.avi": "giant panda", "msvd_TZ860P4iTaM_15_28.avi": "grand piano"}
    for name, label in clips.items():
        frames = read_frames(shared / "data" / "clips" / name, bundle.plan.keyframes)
        rows = bundle.encode({"keyframe": frames.at(bundle.plan.keyframes(frames.decoded))[:, None]})["keyframe"]
        np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-4)
        assert spec.labels[rows.mean(axis=0).argmax()].startswith(label)
