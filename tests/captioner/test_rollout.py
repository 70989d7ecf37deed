"""The shared-prefix rollout against the plain step: same numbers, same gradients, whatever is shared."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.captioner.distributions import draw, dropout_mask
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.captioner.rollout import Rollout, RolloutInputs, rollout

B, G, L, V = 3, 4, 7, 11
CONFIG = CaptionerConfig(
    vocabulary_size=V,
    streams=(("long_range", 5), ("short_range", 4)),
    pool_size=6,
    embedding_size=5,
    hidden_size=8,
    dropout=0.0,
    max_length=L,
)


@pytest.fixture(scope="module")
def model() -> CaptionerModel:
    model = CaptionerModel(CONFIG, seed=3)
    rng = np.random.default_rng(0)
    # The released initial weights are near zero; larger ones make every path matter.
    model.set_weights({name: rng.normal(0, 0.7, v.shape) for name, v in model.variables_by_name().items()})
    return model


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(B, 9)).astype(np.float32)


def make_labels(seed: int = 0) -> np.ndarray:
    """Captions that share beginnings, among them an empty, a clipped and a repeated one."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((B * G, L), np.int32)
    labels[:, 0] = 1
    for row in labels:
        length = rng.integers(1, L - 1)
        row[1 : 1 + length] = rng.integers(2, 5, length)
    labels[1] = [1, 0, 0, 0, 0, 0, 0]
    labels[2] = [1, 3, 4, 2, 3, 4, 2]
    labels[3] = labels[0]
    return labels


def plain_log_probs(model: CaptionerModel, features: np.ndarray, inputs: np.ndarray) -> tf.Tensor:
    """Log-probabilities (N, T, V) of the functional decoder, one caption a row, inputs (N, T) given."""
    gates = tf.repeat(model.encode(features), G, axis=0)
    hidden = cell = tf.zeros([len(inputs), CONFIG.hidden_size])
    steps = []
    for t in range(inputs.shape[1]):
        out = model.decoder([tf.constant(inputs[:, t]), hidden, cell, gates])
        hidden, cell = out["hidden"], out["cell"]
        steps.append(out["log_probs"])
    return tf.stack(steps, axis=1)


def run(model: CaptionerModel, features: np.ndarray, labels: np.ndarray, **changes: object) -> Rollout:
    values = {"draws": None, "free": False, "steps": L - 1, "captions_per_video": G, "dropout": 0.0, "seed": None}
    return rollout(
        model.decoder_weights(), model.encode(features), RolloutInputs(tf.constant(labels), **values | changes)
    )


def assert_finite_differences(loss, variables, seed: int) -> None:
    """The gradient of `loss` along one random direction of every variable, against central differences."""
    with tf.GradientTape() as tape:
        value = loss()
    rng = np.random.default_rng(seed)
    for variable, gradient in zip(variables, tape.gradient(value, variables), strict=True):
        start, direction = variable.numpy(), rng.normal(size=variable.shape).astype(np.float32)
        step, sides = 1e-2 / np.linalg.norm(direction), []
        for sign in (1, -1):
            variable.assign(start + sign * step * direction)
            sides.append(float(loss()))
        variable.assign(start)
        slope, wanted = (sides[0] - sides[1]) / (2 * step), float(np.sum(direction * gradient.numpy()))
        assert abs(slope - wanted) < 2e-2 * max(1.0, abs(wanted)), (slope, wanted)


def test_teacher_forcing_equals_the_plain_step(model, features):
    labels = make_labels()
    result = run(model, features, labels)
    plain = plain_log_probs(model, features, labels[:, :-1]).numpy()
    found = {
        (int(n), int(t)): float(lp) for n, t, lp in zip(result.captions, result.steps, result.log_probs, strict=True)
    }
    wanted = {
        (n, t): plain[n, t, labels[n, t + 1]] for n in range(B * G) for t in range(L - 1) if t == 0 or labels[n, t]
    }
    assert found.keys() == wanted.keys()
    assert all(abs(found[key] - wanted[key]) < 1e-5 for key in wanted)
    distinct = {(n // G, tuple(labels[n, : t + 1])) for n, t in wanted}
    assert int(result.row_count) == len(distinct) < len(wanted)


@pytest.mark.parametrize("drawn", [False, True])
def test_gradients_equal_automatic_differentiation(model, features, drawn):
    """Hand-written gradient against the tape through the plain step, on the tokens that were read."""
    labels = make_labels(1)
    weights = np.random.default_rng(2).normal(size=(B * G, L)).astype(np.float32)
    variables = [v.value for v in model.trainable_variables]
    seed = tf.constant([4, 5])
    draws = tf.constant(np.arange(L) >= 2)[None] & tf.ones([B * G, 1], tf.bool) if drawn else None
    with tf.GradientTape() as tape:
        result = run(model, features, labels, draws=draws, free=drawn, seed=seed)
        where = tf.stack([result.captions, result.steps], axis=1)
        loss = tf.reduce_sum(tf.gather_nd(weights, where) * result.log_probs)
    ours = tape.gradient(loss, variables)
    targets = result.token_ids(tf.constant(B * G), L - 1).numpy()
    inputs = np.concatenate([np.ones((B * G, 1), np.int32), targets[:, :-1]], axis=1)
    with tf.GradientTape() as tape:
        log_probs = tf.gather(plain_log_probs(model, features, inputs), targets, axis=2, batch_dims=2)
        plain = tf.reduce_sum(tf.gather_nd(weights, where) * tf.gather_nd(log_probs, where))
    theirs = [tf.convert_to_tensor(g) for g in tape.gradient(plain, variables)]
    np.testing.assert_allclose(loss, plain, rtol=1e-5)
    for name, a, b in zip(model.variables_by_name(), ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=name)


def test_gradient_against_finite_differences(model, features):
    """A few entries of every weight, central differences, with dropout on (the masks repeat with the seed)."""
    labels = make_labels(2)

    def loss() -> tf.Tensor:
        return tf.reduce_sum(run(model, features, labels, dropout=0.4, seed=tf.constant([1, 2])).log_probs)

    assert_finite_differences(loss, [v.value for v in model.trainable_variables], seed=0)


def test_vanishing_probabilities_keep_their_logarithms(features):
    model = CaptionerModel(CONFIG, seed=3)
    weights = model.variables_by_name()
    model.set_weights({name: np.full(v.shape, 0.01) for name, v in weights.items()})
    bias = next(name for name, v in weights.items() if name.endswith("bias") and tuple(v.shape) == (V,))
    model.set_weights({name: v.numpy() for name, v in weights.items()} | {bias: np.linspace(0, 400, V)})
    labels = make_labels()
    result = run(model, features, labels)
    plain = plain_log_probs(model, features, labels[:, :-1]).numpy()
    expected = plain[result.captions.numpy(), result.steps.numpy(), result.targets.numpy()]
    assert expected.min() < -300
    np.testing.assert_allclose(result.log_probs, expected, rtol=1e-6)


def test_batch_of_one_equals_batch_of_many(model, features):
    labels = make_labels()
    together = run(model, features, labels).log_probs.numpy()
    result = run(model, features, labels)
    for video in range(B):
        alone = run(model, features[video : video + 1], labels[video * G : (video + 1) * G])
        mine = np.asarray(result.captions) // G == video
        order = np.lexsort((result.steps.numpy()[mine], result.captions.numpy()[mine]))
        own = np.lexsort((alone.steps, alone.captions))
        np.testing.assert_allclose(together[mine][order], alone.log_probs.numpy()[own], rtol=1e-5, atol=1e-6)


def test_padding_changes_nothing(model, features):
    labels = make_labels()[:, : L - 2]
    labels[:, -1] = 0
    padded = np.pad(labels, ((0, 0), (0, 5)))
    short, long = (run(model, features, x, steps=x.shape[1] - 1) for x in (labels, padded))
    np.testing.assert_array_equal(short.log_probs, long.log_probs)
    assert int(short.row_count) == int(long.row_count)


def test_draws_follow_the_distribution():
    logits = tf.math.log([[0.1, 0.2, 0.0, 0.7], [0.25, 0.25, 0.25, 0.25]])
    rows = tf.repeat([0, 1], 20000)
    tokens = draw(logits, rows, tf.random.stateless_uniform([40000], [1, 2])).numpy()
    for row, wanted in enumerate([[0.1, 0.2, 0.0, 0.7], [0.25] * 4]):
        share = np.bincount(tokens[row * 20000 : (row + 1) * 20000], minlength=4) / 20000
        np.testing.assert_allclose(share, wanted, atol=0.015)
    assert tokens[:20000].tolist().count(2) == 0


def test_draws_at_the_edges_stay_inside():
    logits = tf.constant([[0.0, 1.0, 2.0]])
    tokens = draw(logits, tf.constant([0, 0]), tf.constant([0.0, 0.99999994]))
    assert tokens.numpy().tolist() == [0, 2]


def test_sampling_equals_drawing_caption_by_caption(model, features):
    """Sharing rows changes no sample: a caption's draws depend on its own uniforms alone."""
    seed = tf.constant([7, 8])
    labels = make_labels()
    result = run(model, features, labels, draws=tf.ones(labels.shape, tf.bool), free=True, seed=seed)
    tokens = result.token_ids(tf.constant(B * G), L - 1).numpy()
    uniforms = tf.random.stateless_uniform([B * G, L - 1], tf.random.experimental.stateless_fold_in(seed, 1)).numpy()
    gates = np.repeat(model.encode(features).numpy(), G, axis=0)
    for n in range(B * G):
        token, hidden, cell, drawn = 1, tf.zeros([1, 8]), tf.zeros([1, 8]), []
        for t in range(L - 1):
            out = model.decoder([tf.constant([token]), hidden, cell, tf.constant(gates[n : n + 1])])
            hidden, cell = out["hidden"], out["cell"]
            cumulative = np.cumsum(np.exp(out["log_probs"].numpy()[0]))
            token = int(np.argmax(cumulative > uniforms[n, t] * cumulative[-1]))
            drawn.append(token)
            if token == 0:
                break
        assert tokens[n, : len(drawn)].tolist() == drawn
        assert not tokens[n, len(drawn) :].any()


def test_scheduled_sampling_keeps_targets_and_replaces_inputs(model, features):
    labels = make_labels(3)
    coins = np.zeros(labels.shape, bool)
    coins[:, 2] = True
    result = run(model, features, labels, draws=tf.constant(coins), seed=tf.constant([1, 1]))
    uniforms = tf.random.stateless_uniform([B * G, L - 1], tf.random.experimental.stateless_fold_in([1, 1], 1)).numpy()
    first = plain_log_probs(model, features, labels[:, :-1]).numpy()
    inputs = labels[:, :-1].copy()
    for n in range(B * G):
        cumulative = np.cumsum(np.exp(first[n, 1]))
        inputs[n, 2] = np.argmax(cumulative > uniforms[n, 1] * cumulative[-1])
    wanted = plain_log_probs(model, features, inputs).numpy()
    living = [(n, t) for n in range(B * G) for t in range(L - 1) if t == 0 or labels[n, t]]
    found = {
        (int(n), int(t)): float(lp) for n, t, lp in zip(result.captions, result.steps, result.log_probs, strict=True)
    }
    assert set(found) == set(living)
    for n, t in living:
        assert abs(found[n, t] - wanted[n, t, labels[n, t + 1]]) < 1e-5
    assert (result.targets.numpy() == labels[result.captions.numpy(), result.steps.numpy() + 1]).all()


def test_released_sampler_goes_on_after_the_end(model, features):
    labels = make_labels()
    draws = tf.ones(labels.shape, tf.bool)
    result = run(model, features, labels, draws=draws, free=True, seed=tf.constant([7, 8]), stop_at_end=False)
    assert result.log_probs.shape[0] == B * G * (L - 1)


def test_a_mask_a_caption_spreads_shared_rows(model, features):
    """The release's masks: equal captions get unequal masks, gradients still flow into the shared state."""
    labels = make_labels()
    labels[3] = labels[0]
    options = {"dropout": 0.5, "seed": tf.constant([1, 2])}
    shared, spread = (run(model, features, labels, **options, mask_per_caption=flag) for flag in (False, True))

    def of(result, caption):
        return result.log_probs.numpy()[result.captions.numpy() == caption]

    np.testing.assert_array_equal(of(shared, 0), of(shared, 3))
    assert (of(spread, 0) != of(spread, 3)).all()

    def loss() -> tf.Tensor:
        return tf.reduce_sum(run(model, features, labels, **options, mask_per_caption=True).log_probs)

    assert_finite_differences(loss, [v.value for v in model.trainable_variables], seed=1)


def test_dropout_mask_is_a_function_of_its_seed():
    masks = [dropout_mask([50, 40], 0.25, tf.constant(s)).numpy() for s in ([1, 2], [1, 2], [1, 3])]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert (masks[0] != masks[2]).any()
    assert set(np.unique(masks[0])) == {0.0, np.float32(1 / 0.75)}
    assert abs(masks[0].mean() - 1.0) < 0.05
