"""The portable step is the training step; what is written is whole and readable without TensorFlow."""

from __future__ import annotations

import ast
import dataclasses
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import floor, gpu_floor, material, portable_step, run_portable
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.data.batches import Batch
from glrg_tf.metrics.ciderd import CiderD
from training import execution, steps
from training import optimizer as optimizers
from training.objectives.dr import DiscrepantReward
from training.objectives.dxe import DiscriminativeCrossEntropy

RECIPE = portable_step.Recipe("dxe", "float32", vocabulary=40, videos=3, dropout=0.0, hidden=8)


@pytest.fixture(scope="module")
def source():
    made = material.make(40, videos=5)
    return dataclasses.replace(made, features=np.ascontiguousarray(made.features[:, :12]))


def model_for(recipe):
    width = recipe.hidden
    config = CaptionerConfig(recipe.vocabulary, (("made", 12),), "joint", width, width, width, recipe.dropout)
    return CaptionerModel(config, seed=1)


@pytest.mark.parametrize("kind", ["dxe", "dr"])
def test_the_pure_step_is_the_training_step(source, kind):
    """One step from fresh moments: the same loss, norm and weights as the step `glrg train` builds."""
    recipe = dataclasses.replace(RECIPE, objective=kind)
    model = model_for(recipe)
    scorer = CiderD.from_references(source.references()) if kind == "dr" else None
    arguments = portable_step.arguments_for(model, recipe, source, scorer)
    arguments["step"] = np.int32(0)
    arguments["velocities"] = arguments["momentums"]
    if kind == "dr":  # the captions' own words (MIXER): draws hang on the seed's path, which is the loop's own
        arguments["schedule"]["mixer_from"] = np.int32(99)
    tensors = tf.nest.map_structure(tf.constant, arguments)
    found = portable_step.step_function(model, recipe, scorer, compiled=False)(tensors)

    objective = DiscriminativeCrossEntropy() if kind == "dxe" else DiscrepantReward(scorer, "b2")
    step = steps.build_train_step(
        model,
        objective,
        optimizers.build(3e-4, model.trainable_variables),
        seed=1,
        captions_per_video=material.CAPTIONS,
        form=execution.Execution(precision="float32"),
    )
    batch = Batch(*(tf.constant(tensors["batch"][n]) for n in ("features", "token_ids", "consensus", "video_rows")))
    labels = np.asarray(batch.token_ids)
    labels = np.pad(labels, ((0, 0), (0, 0), (0, model.config.max_length - labels.shape[2])))
    values = {"learning_rate": 3e-4, "sampling_probability": 0.0, "mixer_from": 99, "baseline_size": 20}
    metrics = step(
        batch._replace(token_ids=tf.constant(labels)), tf.constant(0, tf.int64), steps.schedule_tensors(values)
    )
    assert abs(float(found["a_loss"]) - float(metrics["loss"])) < 1e-5
    assert abs(float(found["b_gradient_norm"]) - float(metrics["gradient_norm"])) < 1e-5
    for name, value in model.get_weights().items():
        # Adam's first step divides a gradient by its own size: where that is rounding noise, so is the quotient.
        close = np.abs(found["weights"][name].numpy() - value) < 1e-5
        assert close.mean() > 0.99, name


def test_what_is_written_can_be_checked_without_tensorflow(source, tmp_path):
    folder = portable_step.write(RECIPE, tmp_path, source)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    text = (folder / "step.mlir").read_text("utf-8")
    assert "stablehlo" in text and "custom_call" not in text and "loc(" not in text
    main = text.index("@main(")
    assert text[main : text.index("->", main)].count("tensor<") == len(manifest["arguments"])
    names = [told["name"] for told in manifest["arguments"]]
    assert names == sorted(names) and "weights.lstm/recurrent_kernel" in names
    assert [told["name"] for told in manifest["results"][:2]] == ["a_loss", "b_gradient_norm"]
    with np.load(folder / "samples.npz", allow_pickle=False) as samples:
        for i, told in enumerate(manifest["arguments"]):
            value = samples[f"argument_{i}"]
            assert list(value.shape) == told["shape"] and str(value.dtype) == told["dtype"]
        for i, told in enumerate(manifest["results"]):
            assert samples[f"result_{i}"].size == -(-np.prod(told["shape"], dtype=int) // told["stride"])
        results = [samples[f"result_{i}"] for i in range(len(manifest["results"]))]
    assert np.isfinite(results[0]).all() and run_portable.largest_difference(results, results) == 0.0
    assert manifest["floors"][0]["gpu"] == "H200 SXM" and manifest["floors"][0]["least_s"] > 0
    if not has_jaxlib():
        return
    row = run_portable.run(folder, "cpu", 2)
    assert row["difference"] < 1e-5 and row["step_s"] > 0


def has_jaxlib() -> bool:
    """Whether jaxlib's client is there to run the step; the project does not require it."""
    try:
        from jaxlib import xla_client
    except ImportError:
        return False
    return hasattr(xla_client, "DeviceList")


def test_running_needs_nothing_of_the_project():
    tree = ast.parse(pathlib.Path(run_portable.__file__).read_text("utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    own = {"numpy", "jaxlib", "jax_plugins", "jax.extend"}
    standard = {"__future__", "argparse", "glob", "json", "os", "pathlib", "time", "typing"}
    assert imported <= own | standard


def test_boolean_constants_are_spelled_out_and_locations_dropped():
    text = '#loc1 = loc("a/b.py":1:0)\n%0 = stablehlo.constant dense<"0x0502"> : tensor<2x5xi1> loc(#loc1)'
    spelled = portable_step.spelled_out(text)
    lists = "[[true, false, true, false, false], [false, false, false, false, true]]"
    assert spelled == f"%0 = stablehlo.constant dense<{lists}> : tensor<2x5xi1>"
    other = 'dense<"0x00000000"> : tensor<2xi16>'
    assert portable_step.spelled_out(other) == other


def test_the_floor_of_a_gpu_by_hand():
    gpu = gpu_floor.GPUS["H200"]
    assert gpu_floor.least_seconds(494.5e12, 4.8e9, gpu, "tf32") == (1.0, "arithmetic")
    assert gpu_floor.least_seconds(1e6, 4.8e12, gpu, "bfloat16") == (1.0, "memory")
    sizes = floor.Sizes(vocabulary=100, features=10, hidden=4)
    model = CaptionerModel(CaptionerConfig(100, (("s", 10),), "joint", 4, 4, 4), seed=0)
    assert gpu_floor.parameter_count(sizes) == sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    gates, logits, rows = 2 * 4 * 16, 2 * 4 * 100, 2 * 3 * 5
    wanted = 2 * (2 * 10 * 4 * 2 + gates * 3) + 3 * (100 * gates + rows * gates + rows * logits)
    assert gpu_floor.static_flops(2, 3, 5, sizes) == wanted
    assert gpu_floor.static_flops(2, 3, 5, sizes, samples=True) == wanted + rows * logits
