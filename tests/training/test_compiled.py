"""Compiled and low-precision steps train as the plain one does; an overflow of float16 changes nothing."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.errors import ConfigError
from tests.training.conftest import CONFIG, MODEL, PHASE
from training import checkpoints, curriculum, execution, loss_scale, material, steps
from training import optimizer as optimizers
from training.objectives.dr import DiscrepantReward
from training.objectives.dxe import DiscriminativeCrossEntropy
from training.objectives.xe import CrossEntropy

SCHEDULE = {"learning_rate": 1e-2, "sampling_probability": 0.0, "mixer_from": 1, "baseline_size": 4}


@dataclasses.dataclass
class Trainer:
    """Steps of one phase on the made world without the loop around them."""

    split: material.Split
    vocabulary: object
    scores: list

    def build(self, objective, form, dropout=0.0):
        """A model, its step and its loss scale."""
        model = CaptionerModel(dataclasses.replace(MODEL, vocabulary_size=len(self.vocabulary), dropout=dropout), 3)
        scale = loss_scale.LossScale() if form.precision == "float16" else None
        adam = loss_scale.SkippingAdam if scale is not None else optimizers.FusedAdam
        step = steps.build_train_step(
            model,
            objective,
            optimizers.build(1e-2, model.trainable_variables, adam),
            seed=1,
            captions_per_video=4,
            form=form,
            scale=scale,
        )
        return model, step, scale

    def run(self, step, count, **schedule):
        """Metrics of `count` steps, float64 (count,) each."""
        batches = material.build_batches(self.split, self.vocabulary, self.scores, PHASE, MODEL.max_length, 1)
        values = steps.schedule_tensors(SCHEDULE | schedule)
        rows = [step(batch, tf.constant(n, tf.int64), values) for n, batch in enumerate(batches.dataset(0, count))]
        assert step.experimental_get_tracing_count() == 1  # one bucket: every batch has a caption of five words
        return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


@pytest.fixture(scope="module")
def trainer(world):
    dataset = CaptionDataset.load(world)
    split = material.open_split(dataset, "train", MODEL)
    scores = material.consensus_scores(dataset, split, "CIDEr")
    return Trainer(split, material.build_vocabulary(dataset, split, 1), scores)


@pytest.fixture(scope="module")
def plain_xe(trainer):
    """Fifty plain XE steps: their metrics and the weights they end at."""
    model, step, _ = trainer.build(CrossEntropy(), PLAIN)
    return trainer.run(step, 50), model.get_weights()


PLAIN, XLA = execution.Execution(), execution.Execution(compiled=True)


def assert_equal_runs(plain, compiled):
    np.testing.assert_allclose(plain["loss"], compiled["loss"], atol=1e-4)
    for name, values in plain.items():
        np.testing.assert_allclose(compiled[name], values, rtol=1e-3, atol=1e-3, err_msg=name)


def test_xla_equals_the_plain_step_in_xe(trainer, plain_xe):
    _, step, _ = trainer.build(CrossEntropy(), XLA)
    assert_equal_runs({name: values[:20] for name, values in plain_xe[0].items()}, trainer.run(step, 20))


def test_xla_equals_the_plain_step_in_dxe(trainer):
    sides = [trainer.build(DiscriminativeCrossEntropy(), form) for form in (PLAIN, XLA)]
    assert_equal_runs(*(trainer.run(step, 20) for _, step, _ in sides))
    wanted = sides[0][0].get_weights()
    for name, value in sides[1][0].get_weights().items():
        np.testing.assert_allclose(value, wanted[name], atol=1e-3, err_msg=name)


def test_xla_equals_the_plain_step_in_dr(trainer, plain_xe):
    """First over the labels (MIXER), exactly; then over samples, whose random stream is another, on average.

    480 captions at a standing model; a reward's standard deviation is about 1.2, four errors of the difference are 0.3.
    """
    reward = material.build_ciderd(trainer.split, trainer.vocabulary, use_eos=True, shared_unknown=False)
    sides = [trainer.build(DiscrepantReward(reward, "scst"), form) for form in (PLAIN, XLA)]
    for model, *_ in sides:
        model.set_weights(plain_xe[1])
    assert_equal_runs(*(trainer.run(step, 20, mixer_from=99, learning_rate=1e-3) for _, step, _ in sides))
    for model, *_ in sides:
        model.set_weights(plain_xe[1])
    plain, compiled = (trainer.run(step, 20, learning_rate=0.0) for _, step, _ in sides)
    assert plain["reward"].mean() > 0.5
    for name, tolerance in (("reward", 0.3), ("baseline", 0.05), ("length", 0.3), ("ended", 0.05)):
        assert abs(plain[name].mean() - compiled[name].mean()) < tolerance, name


@pytest.mark.parametrize(
    "form",
    [
        execution.Execution(precision="bfloat16"),
        execution.Execution(precision="float16"),
        execution.Execution(compiled=True, precision="bfloat16"),
    ],
)
def test_low_precision_follows_the_float32_curve(trainer, plain_xe, form):
    """Fifty XE steps.

    bfloat16 keeps 8 bits: a factor is off by up to 2^-9, a logit of size 4 by about 0.01, and steps of Adam carry that
    on; 3 % of the first loss covers it four times over. float16 keeps 11 bits and must be four times as close.
    """
    wanted = plain_xe[0]["loss"]
    _, step, _ = trainer.build(CrossEntropy(), form)
    metrics = trainer.run(step, 50)
    difference = np.abs(metrics["loss"] - wanted).max()
    assert 0 < difference < (0.03 if form.precision == "bfloat16" else 0.0075) * wanted[0]
    assert wanted[-1] < 0.5 * wanted[0]
    if form.precision == "float16":
        assert not metrics["skipped"].any() and (metrics["loss_scale"] == loss_scale.START).all()


@pytest.mark.parametrize("compiled", [False, True])
def test_an_overflow_skips_the_step_and_halves_the_scale(trainer, compiled):
    form = execution.Execution(compiled, "float16")
    model, step, scale = trainer.build(CrossEntropy(), form)
    scale.scale.assign(1e30)  # float16 ends at 65504
    before = model.get_weights()
    batches = material.build_batches(trainer.split, trainer.vocabulary, trainer.scores, PHASE, MODEL.max_length, 1)
    batch = next(iter(batches.dataset(0, 1)))
    metrics = step(batch, tf.constant(0, tf.int64), steps.schedule_tensors(SCHEDULE))
    assert metrics["skipped"] == 1.0 and metrics["gradient_norm"] == 0.0 and np.isfinite(metrics["loss"])
    assert all((before[name] == value).all() for name, value in model.get_weights().items())
    assert float(scale.scale) == loss_scale.LARGEST
    scale.scale.assign(8.0)
    metrics = step(batch, tf.constant(1, tf.int64), steps.schedule_tensors(SCHEDULE))
    assert metrics["skipped"] == 0.0 and float(scale.good_steps) == 1.0
    assert any((before[name] != value).any() for name, value in model.get_weights().items())


def test_the_scale_doubles_after_good_steps_and_halves_after_bad():
    scale = loss_scale.LossScale()
    for _ in range(loss_scale.INTERVAL):
        assert float(scale.scale) == loss_scale.START
        scale.update(tf.constant(True))
    assert float(scale.scale) == 2 * loss_scale.START and float(scale.good_steps) == 0
    scale.update(tf.constant(True))
    scale.update(tf.constant(False))
    assert float(scale.scale) == loss_scale.START and float(scale.good_steps) == 0


def test_skipping_adam_equals_the_fused_one():
    rng = np.random.default_rng(0)
    start = rng.normal(size=(4, 3)).astype(np.float32)
    sides = []
    for adam in (optimizers.FusedAdam, loss_scale.SkippingAdam):
        variable = keras.Variable(start)
        optimizer = optimizers.build(1e-2, [variable], adam)
        gradients = np.random.default_rng(1)
        for _ in range(20):
            optimizer.apply([tf.constant(gradients.normal(size=start.shape), tf.float32)], [variable])
        sides.append(variable.numpy())
    np.testing.assert_allclose(*sides, rtol=1e-5, atol=1e-6)


def test_resume_in_float16_is_bit_identical(world, tmp_path):
    phase = dataclasses.replace(PHASE, epochs=2, precision="float16", ema_decay=0.9)
    config = dataclasses.replace(CONFIG, xe=phase)
    whole, cut, done = tmp_path / "whole", tmp_path / "cut", []
    curriculum.train(curriculum.make_plan(world, whole, config, ("xe",)))
    with pytest.raises(KeyboardInterrupt):
        plan = curriculum.make_plan(world, cut, config, ("xe",))
        curriculum.train(plan, stop=lambda: bool(done.append(1)) or len(done) == 4)
    curriculum.train(curriculum.make_plan(world, cut, config, ("xe",), resume=True), resume=True)
    one, other = (checkpoints.CheckpointFolder(folder).restore()[0] for folder in (whole, cut))
    assert "loss_scale/good_steps" in one.slots and float(one.slots["loss_scale/good_steps"]) == 6
    for name, value in one.slots.items():
        np.testing.assert_array_equal(value, other.slots[name], err_msg=name)


def test_what_is_chosen_and_refused(monkeypatch):
    host_reward = DiscrepantReward(lambda tokens, rows: tokens)
    assert execution.choose("auto", "float32", CrossEntropy(), 1) == PLAIN
    assert execution.choose("xla", "bfloat16", CrossEntropy(), 1) == execution.Execution(True, "bfloat16")
    with pytest.raises(ConfigError, match="CIDEr-D"):
        execution.choose("xla", "float32", host_reward, 1)
    with pytest.raises(ConfigError, match="replicas"):
        execution.choose("xla", "float32", CrossEntropy(), 2)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    assert execution.choose("auto", "float32", CrossEntropy(), 1) == XLA
    assert execution.choose("auto", "float32", host_reward, 1) == PLAIN
    assert execution.choose("off", "float32", CrossEntropy(), 1) == PLAIN


def test_labels_are_cut_to_the_bucket():
    labels = np.zeros((2, 3, 30), np.int32)
    labels[:, :, 0] = 1
    labels[1, 2, 1:7] = 5
    assert execution.cut_labels(labels, 30).shape == (2, 3, 9)  # six words and <end>: eight steps
    labels[0, 0, 1:] = 5
    assert execution.cut_labels(labels, 30).shape == (2, 3, 30)


TWO_REPLICAS = """
import dataclasses, json, sys
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.data.batches import Batch
from tests.training.conftest import MODEL
from training import execution, loss_scale, steps
from training import optimizer as optimizers
from training.objectives.xe import CrossEntropy
from tests.training.test_compiled import SCHEDULE

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    model = CaptionerModel(dataclasses.replace(MODEL, vocabulary_size=12, dropout=0.0), 3)
    scale = loss_scale.LossScale()
    optimizer = optimizers.build(1e-2, model.trainable_variables, loss_scale.SkippingAdam)
step = steps.build_train_step(
    model, CrossEntropy(), optimizer, seed=1, captions_per_video=2, strategy=strategy,
    form=execution.Execution(precision="float16"), scale=scale, videos=4,
)
labels = np.zeros((4, 2, MODEL.max_length), np.int32)
labels[:, :, :4] = [1, 5, 6, 7]
features = np.random.default_rng(0).normal(size=(4, MODEL.feature_size)).astype(np.float32)

def run(number, features):
    batch = Batch(features, labels, np.ones((4, 2), np.float32), np.arange(4, dtype=np.int32))
    data = tf.data.Dataset.from_tensors(batch).unbatch().batch(4)
    batch = next(iter(strategy.experimental_distribute_dataset(data)))
    metrics = step(batch, tf.constant(number, tf.int64), steps.schedule_tensors(SCHEDULE))
    copies = [[p.numpy() for p in strategy.experimental_local_results(v.value)] for v in model.trainable_variables]
    return {
        "skipped": float(metrics["skipped"]),
        "replicas_agree": all((a == b).all() for a, b in copies),
        "size": float(sum(np.abs(a).sum() for a, _ in copies)),
        "scale": float(scale.scale.numpy()),
    }

spoiled = features.copy()
spoiled[3] = np.nan  # only the second replica's gradient overflows
print("RESULT " + json.dumps([run(0, features), run(1, spoiled), run(2, features)]))
"""


def test_replicas_skip_together():
    """A gradient that overflows on one of two replicas moves neither; then both go on alike."""
    done = subprocess.run([sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True, timeout=300)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, done.stderr[-3000:]
    good, bad, after = json.loads(lines[0][7:])
    assert [row["skipped"] for row in (good, bad, after)] == [0.0, 1.0, 0.0]
    assert good["replicas_agree"] and bad["replicas_agree"] and after["replicas_agree"]
    assert bad["size"] == good["size"] != after["size"]
    assert bad["scale"] == after["scale"] == loss_scale.START / 2
