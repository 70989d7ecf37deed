"""The residual networks: equal to a plain NumPy network and to torchvision, stage by stage; shapes, names, exports."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.convert.torchvision_backbones import key_table, place
from glrg_tf.encoders.backbones import grouped_convolution
from glrg_tf.encoders.backbones.architectures import ARCHITECTURES, architecture
from glrg_tf.encoders.backbones.describe import describe, stage_rows
from glrg_tf.encoders.backbones.grouped_convolution import GroupedConv2D
from glrg_tf.encoders.backbones.load import assign_weights, build_backbone
from glrg_tf.encoders.backbones.nano import build_nano, nano_config
from glrg_tf.encoders.backbones.resnet import resnet_maps, stage_model
from glrg_tf.encoders.backbones.resnet_config import ResNetConfig, weight_shapes
from glrg_tf.errors import CheckpointError, ConfigError
from tests.encoders import plain_resnet
from tests.encoders.made_backbones import TINY, normal, state, tensor

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARAMETERS = {
    "resnext101_32x8d": 88_791_336,
    "resnext50_32x4d": 25_028_904,
    "resnet18": 11_689_512,
    "r3d_18": 33_371_472,
}


@pytest.fixture
def tiny(monkeypatch):
    for name, entry in TINY.items():
        monkeypatch.setitem(ARCHITECTURES, name, entry)


def weighted(arch, tensors=None, **options):
    """A model with the golden rule's weights."""
    model = build_backbone(arch, **options)
    tensors = tensors or state(arch)
    assign_weights(model, {row.target: place(row, tensors[row.source]) for row in key_table(arch)})
    return model


def channels_first(value):
    return np.moveaxis(np.asarray(value), -1, 1)


# === Equality ===


@pytest.mark.parametrize(
    ("arch", "shape", "options"),
    [
        ("tiny_resnext", (2, 3, 37, 34), {"stem_stride": (2, 2), "groups": 4, "pool": True}),
        ("tiny_r3d", (2, 3, 5, 18, 21), {"stem_stride": (1, 2, 2)}),
    ],
)
def test_every_stage_equals_the_plain_network(tiny, arch, shape, options):
    """Odd and even sizes: the padding of strided convolutions and of the maximum differs between frameworks."""
    tensors, x = state(arch), normal("input", shape)
    wanted = plain_resnet.forward({key: value.astype(np.float64) for key, value in tensors.items()}, x, **options)
    found = stage_model(weighted(arch), list(wanted))(np.moveaxis(x, 1, -1), training=False)
    for name, value in wanted.items():
        ours = channels_first(found[name])
        assert ours.shape == value.shape, name
        np.testing.assert_allclose(ours, value, rtol=1e-4, atol=1e-5 * np.abs(value).max(), err_msg=name)


@pytest.mark.parametrize("arch", ["resnet18", "r3d_18", "resnext101_32x8d"])
def test_every_stage_equals_torchvision(shared, arch):
    golden = json.loads((shared / "data/golden/torchvision_backbones.json").read_text("utf-8"))["models"][arch]
    assert [(row.source, list(row.source_shape)) for row in key_table(arch)] == [
        (name, shape) for name, shape in golden["tensors"]
    ]
    model = weighted(arch, {name: tensor(name, shape) for name, shape in golden["tensors"]})
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == golden["parameters"]
    frames = tf.constant(np.moveaxis(normal("input", golden["input_shape"]), 1, -1))
    stages = stage_model(model, [*golden["taps"], "fc"])
    found = tf.function(lambda x: stages(x, training=False))(frames)
    for name, tap in golden["taps"].items():
        value = channels_first(found[name])
        assert list(value.shape) == tap["shape"][: value.ndim], name
        flat = value.astype(np.float64).ravel()
        assert flat.mean() == pytest.approx(tap["mean"], rel=1e-4), name
        assert flat.std(ddof=1) == pytest.approx(tap["std"], rel=1e-4), name
        for part, values in ((flat[:8], tap["first_8"]), (flat[-8:], tap["last_8"])):
            np.testing.assert_allclose(part, values, rtol=1e-4, atol=1e-4 * tap["std"], err_msg=name)
    output = np.asarray(golden["output"]).ravel()
    np.testing.assert_allclose(found["fc"][0], output, rtol=1e-4, atol=1e-4 * output.std())


def test_pixels_are_normalised_by_the_model(tiny):
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 37, 34, 3)).astype(np.float32)
    plain, whole = weighted("tiny_resnext"), weighted("tiny_resnext", include_preprocessing=True)
    known = architecture("tiny_resnext")
    normalised = (pixels / 255 - np.float32(known.mean)) / np.float32(known.deviation)
    np.testing.assert_allclose(whole(pixels), plain(normalised), rtol=1e-4, atol=1e-5)


# === Names and shapes ===


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_parameter_counts(arch):
    shapes = weight_shapes(architecture(arch).config, architecture(arch).classes)
    trained = {name: shape for name, shape in shapes.items() if "moving_" not in name}
    assert sum(int(np.prod(shape)) for shape in trained.values()) == PARAMETERS[arch]
    assert list(shapes) == [row.target for row in key_table(arch)]


def test_the_plan_and_the_model_agree(tiny):
    for arch in TINY:
        model = build_backbone(arch)
        ours = {f"{layer.name}/{v.name}": tuple(v.shape) for layer in model.layers for v in layer.weights}
        assert ours == weight_shapes(architecture(arch).config, architecture(arch).classes)


def test_without_top_and_with_other_classes(tiny):
    assert build_backbone("tiny_resnext", include_top=False).output_shape == (None, 5, 5, 64)
    assert build_backbone("tiny_resnext", classes=3).output_shape == (None, 3)
    assert build_backbone("tiny_resnext", input_shape=(None, None, 3)).output_shape == (None, 7)
    assert build_backbone("tiny_r3d", include_top=False).output_shape == (None, None, 5, 6, 12)


def test_a_model_without_top_takes_the_weights_of_a_whole_one(tiny):
    x = np.moveaxis(normal("input", (1, 3, 37, 34)), 1, -1)
    whole, bare = weighted("tiny_resnext"), weighted("tiny_resnext", include_top=False)
    np.testing.assert_array_equal(bare(x), stage_model(whole, ["layer2"])(x)["layer2"])


def test_two_networks_in_one_model(tiny):
    config = TINY["tiny_resnext"].config
    inputs = keras.Input((37, 34, 3))
    maps = [resnet_maps(inputs, config, prefix=prefix)["layer2"] for prefix in ("left_", "right_")]
    model = keras.Model(inputs, maps)
    tensors = state("tiny_resnext")
    weights = {row.target: place(row, tensors[row.source]) for row in key_table("tiny_resnext")}
    assign_weights(model, weights, prefix="left_")
    x = np.moveaxis(normal("input", (1, 3, 37, 34)), 1, -1)
    left, right = model(x)
    np.testing.assert_array_equal(left, weighted("tiny_resnext", include_top=False)(x))
    assert np.abs(left - right).max() > 1e-3


def test_weights_that_do_not_fit(tiny):
    model = build_backbone("tiny_resnext", classes=3)
    tensors = state("tiny_resnext")
    weights = {row.target: place(row, tensors[row.source]) for row in key_table("tiny_resnext")}
    before = model.get_layer("stem_conv").kernel.numpy()
    with pytest.raises(CheckpointError, match="fc/kernel"):
        assign_weights(model, weights)
    np.testing.assert_array_equal(model.get_layer("stem_conv").kernel, before)
    with pytest.raises(CheckpointError, match="no such weight"):
        assign_weights(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]), weights)


def test_tables_of_layers():
    rows = describe("resnet18")
    assert sum(row.parameters for row in rows) == PARAMETERS["resnet18"]
    stages = {row.name: (row.output, row.parameters) for row in stage_rows(rows)}
    assert stages["maxpool"] == ((56, 56, 64), 0) and stages["layer4"][0] == (7, 7, 512)
    assert stages["fc"] == ((1000,), 513_000)
    assert sum(parameters for _, parameters in stages.values()) == PARAMETERS["resnet18"]


def test_unknown_names_and_impossible_sizes():
    with pytest.raises(ConfigError, match="resnet19"):
        build_backbone("resnet19")
    for options in ({"widths": (8,)}, {"groups": 4}, {"stem_kernel": (4, 4)}, {"rank": 3}):
        with pytest.raises(ConfigError):
            ResNetConfig("basic", (1, 1), **options)


# === Grouped convolutions ===


def gradients(layer, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        total = tf.reduce_sum(y * y)
    return y, *tape.gradient(total, [x, layer.kernel])


@pytest.mark.parametrize(("strides", "padding"), [((1, 1), "same"), ((2, 2), "valid"), ((1, 2), "same")])
def test_grouped_convolution_equals_one_convolution_a_group(monkeypatch, strides, padding):
    x = tf.constant(normal("x", (2, 9, 8, 12)))
    layer = GroupedConv2D(8, (3, 3), 4, strides, padding)
    native = gradients(layer, x)
    assert tuple(native[0].shape) == layer.compute_output_shape((2, 9, 8, 12))
    monkeypatch.setattr(grouped_convolution, "_native_kernels", lambda: False)
    for ours, wanted in zip(gradients(layer, x), native, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-5)
    single = tf.nn.conv2d(x[..., 3:6], layer.kernel[..., 2:4], strides, padding.upper())
    np.testing.assert_allclose(native[0][..., 2:4], single, rtol=1e-5, atol=1e-5)


def test_grouped_convolutions_learn_without_onednn():
    """TensorFlow's other kernels have no gradient of them; the layer works all the same."""
    code = (
        "import tensorflow as tf\n"
        "from glrg_tf.encoders.backbones import grouped_convolution as g\n"
        "layer, x = g.GroupedConv2D(8, (3, 3), 4), tf.ones((1, 5, 5, 12))\n"
        "with tf.GradientTape() as tape:\n"
        "    total = tf.reduce_sum(layer(x))\n"
        "assert float(tf.reduce_sum(tape.gradient(total, layer.kernel))) == 9 * 9 * 3 * 8\n"
    )
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr[-2000:]


def test_groups_must_divide_the_channels():
    with pytest.raises(ValueError, match="do not divide"):
        GroupedConv2D(8, (3, 3), 5)(tf.zeros((1, 4, 4, 12)))


# === Nano ===


@pytest.mark.parametrize(("rank", "shape"), [(2, (16, 16, 3)), (3, (4, 16, 16, 3))])
def test_nano_learns(rank, shape):
    """A step against the gradient lowers the loss, and every weight takes part."""
    keras.utils.set_random_seed(1)
    model = build_nano(nano_config(rank, depths=(1, 1), widths=(8, 16)), input_shape=shape, classes=2, pixels=True)
    x, y = np.random.default_rng(0).uniform(0, 255, (6, *shape)).astype(np.float32), np.arange(6) % 2

    def loss():
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x, training=True)))

    with tf.GradientTape() as tape:
        before = loss()
    variables = model.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(before, [v.value for v in variables]), strict=True):
        assert np.abs(gradient).max() > 0, variable.path
        variable.assign_sub(0.05 * gradient)
    assert loss() < before


def test_a_grouped_network_is_saved_and_converted(tmp_path):
    """The grouped convolution goes through Keras' own files and to ONNX."""
    onnxruntime = pytest.importorskip("onnxruntime")
    tf2onnx = pytest.importorskip("tf2onnx")
    config = nano_config(2, depths=(1,), widths=(8,), groups=8)
    model = build_nano(config, input_shape=(16, 16, 3), classes=3, pixels=True)
    x = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
    wanted = model(x).numpy()
    model.save(tmp_path / "nano.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "nano.keras")(x), wanted)
    signature = [tf.TensorSpec([None, 16, 16, 3], tf.float32)]
    function = tf.function(lambda images: model(images, training=False), input_signature=signature)
    graph, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=17)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {session.get_inputs()[0].name: x})[0], wanted, atol=1e-5)
