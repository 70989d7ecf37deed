"""Losses against hand-worked examples; baselines and masks of paper and release."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.presets import CaptionerConfig
from training import baselines
from training.objectives.base import TensorBatch
from training.objectives.dr import DiscrepantReward
from training.objectives.dxe import DiscriminativeCrossEntropy
from training.objectives.xe import CrossEntropy

CONFIG = CaptionerConfig(
    vocabulary_size=5, streams=(("s", 3),), pool_size=4, embedding_size=4, hidden_size=4, dropout=0.0, max_length=6
)
RNG = tf.constant([1, 2])


@pytest.fixture(scope="module")
def flat_model() -> CaptionerModel:
    """A model that always says p = softmax(bias): losses can be worked out by hand."""
    model = CaptionerModel(CONFIG)
    weights = {name: np.zeros(v.shape) for name, v in model.variables_by_name().items()}
    weights["logits/bias"] = np.log([0.5, 0.1, 0.1, 0.2, 0.1])
    model.set_weights(weights)
    return model


def batch(labels, consensus=None, sampling=0.0, mixer=1, size=2) -> TensorBatch:
    labels = tf.constant(labels, tf.int32)
    videos, captions, _ = labels.shape
    consensus = np.ones((videos, captions)) if consensus is None else consensus
    schedule = {"sampling_probability": tf.constant(sampling), "mixer_from": tf.constant(mixer)}
    schedule["baseline_size"] = tf.constant(size)
    features = tf.ones([videos, CONFIG.feature_size])
    return TensorBatch(features, labels, tf.constant(consensus, tf.float32), tf.range(videos), schedule)


# Two videos, two captions each: "3", "3 4", nothing, and one clipped at six positions (it has no <end>).
LABELS = [[[1, 3, 0, 0, 0, 0], [1, 3, 4, 0, 0, 0]], [[1, 0, 0, 0, 0, 0], [1, 3, 3, 3, 3, 4]]]
END, THREE, FOUR = -np.log(0.5), -np.log(0.2), -np.log(0.1)


def test_cross_entropy_by_hand(flat_model):
    loss, metrics = CrossEntropy().loss(flat_model, batch(LABELS), RNG)
    total = (THREE + END) + (THREE + FOUR + END) + END + (4 * THREE + FOUR)
    assert abs(float(loss) - total / 11) < 1e-6
    assert float(metrics["tokens"]) == 11 and abs(float(metrics["cross_entropy"]) - total / 11) < 1e-6


def test_discriminative_cross_entropy_by_hand(flat_model):
    loss, _ = DiscriminativeCrossEntropy().loss(flat_model, batch(LABELS, [[2.0, 0.5], [3.0, 0.25]]), RNG)
    total = 2 * (THREE + END) + 0.5 * (THREE + FOUR + END) + 3 * END + 0.25 * (4 * THREE + FOUR)
    assert abs(float(loss) - total / 11) < 1e-6, "the divisor counts tokens, not weights"


def test_release_leaves_the_last_target_out(flat_model):
    loss, metrics = DiscriminativeCrossEntropy(compat=True).loss(flat_model, batch(LABELS), RNG)
    total = (THREE + END) + (THREE + FOUR + END) + END + 4 * THREE
    assert float(metrics["tokens"]) == 10 and abs(float(loss) - total / 10) < 1e-6


def test_weights_of_one_make_dxe_equal_xe(flat_model):
    ours, theirs = (o.loss(flat_model, batch(LABELS), RNG)[0] for o in (DiscriminativeCrossEntropy(), CrossEntropy()))
    assert float(ours) == float(theirs)


def test_gradient_of_the_bias_by_hand(flat_model):
    """d XE / d bias = mean over positions of softmax - onehot(target)."""
    bias = flat_model.variables_by_name()["logits/bias"].value
    with tf.GradientTape() as tape:
        loss, _ = CrossEntropy().loss(flat_model, batch(LABELS), RNG)
    counts = np.array([3, 0, 0, 6, 2]) / 11  # targets: three <end>, six 3, two 4
    np.testing.assert_allclose(tape.gradient(loss, bias), np.array([0.5, 0.1, 0.1, 0.2, 0.1]) - counts, atol=1e-6)


def constant_reward(tokens: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Reward = number of words."""
    return tf.reduce_sum(tf.cast(tokens != 0, tf.float32), axis=1) + 0.0 * tf.cast(rows, tf.float32)


@pytest.mark.parametrize("baseline", ["none", "b1", "b2", "loo", "scst"])
def test_discrepant_reward_is_the_weighted_log_likelihood(flat_model, baseline):
    """Loss from the metrics' own samples: -(1 / tokens) sum advantage * log p, and the advantage by definition."""
    consensus = np.array([[1.0, 3.0], [2.0, 5.0]])
    objective = DiscrepantReward(constant_reward, baseline)
    seen = {}

    def spy(tokens, rows):
        value = constant_reward(tokens, rows)
        seen.setdefault("tokens", tokens.numpy())
        return value

    loss, metrics = dataclasses.replace(objective, reward=spy).loss(flat_model, batch(LABELS, consensus), RNG)
    tokens = seen["tokens"]
    rewards = (tokens != 0).sum(axis=1).reshape(2, 2).astype(float)
    expected = {
        "none": 0.0,
        "b1": consensus.mean(axis=1, keepdims=True),
        "b2": rewards.mean(axis=1, keepdims=True),
        "loo": rewards[:, ::-1],
        "scst": 0.0,  # the greedy caption of this model is empty
    }[baseline]
    advantage = (rewards - expected).reshape(-1)
    log_p = np.log([0.5, 0.1, 0.1, 0.2, 0.1])
    total, count = 0.0, 0
    for row, weight in zip(tokens, advantage, strict=True):
        length = int((row != 0).argmin()) if (row == 0).any() else len(row)
        read = [*row[:length], 0][: len(row)]
        total += weight * log_p[read].sum()
        count += len(read)
    assert abs(float(loss) + total / count) < 1e-5
    assert float(metrics["tokens"]) == count
    assert abs(float(metrics["reward"]) - rewards.mean()) < 1e-6
    assert abs(float(metrics["advantage_square"]) - (advantage**2).mean()) < 1e-5


def test_release_trains_on_what_follows_the_end(flat_model):
    """Its mask opens wherever the token before is not 0, after the first <end> too."""
    seen = {}

    def spy(tokens, rows):
        seen["tokens"] = tokens.numpy()
        return constant_reward(tokens, rows)

    objective = DiscrepantReward(spy, "none", compat=True)
    labels = np.tile(np.array(LABELS, np.int32), (1, 10, 1))
    _, metrics = objective.loss(flat_model, batch(labels), RNG)
    tokens = seen["tokens"]
    mask = np.concatenate([np.ones((len(tokens), 1)), tokens[:, :-1] != 0], axis=1)
    reopened = (np.cumsum(tokens == 0, axis=1)[:, :-1] > 0) & (tokens[:, 1:] != 0)
    assert reopened.any() and float(metrics["tokens"]) == mask.sum()
    _, ours = DiscrepantReward(constant_reward, "none").loss(flat_model, batch(labels), RNG)
    assert float(ours["tokens"]) < mask.sum()


def test_mixer_keeps_the_ground_truth_prefix(flat_model):
    seen = {}

    def spy(tokens, rows):
        seen["tokens"] = tokens.numpy()
        return constant_reward(tokens, rows)

    labels = np.tile(np.array([[[1, 3, 4, 3, 4, 0]]], np.int32), (2, 8, 1))
    DiscrepantReward(spy, "none").loss(flat_model, batch(labels, mixer=3), RNG)
    assert (seen["tokens"][:, :2] == [3, 4]).all(), "inputs at steps 1 and 2 are read from the caption"
    assert len({tuple(row) for row in seen["tokens"][:, 2:]}) > 1


def test_b1_and_b2_average_the_highest_and_the_release_the_lowest():
    scores = tf.constant([[3.0, 1.0, 2.0]])
    assert baselines.mean_of_extreme(scores, tf.constant(2), lowest=False).numpy().tolist() == [[2.5]]
    assert baselines.mean_of_extreme(scores, tf.constant(2), lowest=True).numpy().tolist() == [[1.5]]
    assert baselines.mean_of_extreme(scores, tf.constant(3), lowest=True).numpy().tolist() == [[2.0]]
    assert baselines.mean_of_extreme(scores, tf.constant(0), lowest=False).numpy().tolist() == [[0.0]]


def test_leave_one_out_is_the_mean_of_the_others():
    np.testing.assert_allclose(baselines.leave_one_out(tf.constant([[3.0, 1.0, 2.0]])), [[1.5, 2.5, 2.0]])


def test_dropout_repeats_with_the_seed_and_changes_with_it():
    config = dataclasses.replace(CONFIG, dropout=0.5)
    model = CaptionerModel(config, seed=1)
    losses = [float(CrossEntropy().loss(model, batch(LABELS), tf.constant(s))[0]) for s in ([1, 2], [1, 2], [1, 3])]
    assert losses[0] == losses[1] != losses[2]
