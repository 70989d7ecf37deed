"""The static rollout against the shared-prefix one: same log-probabilities, same gradients, same draws."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.captioner import decoding
from glrg_tf.captioner.products import make_product
from glrg_tf.captioner.rollout import RolloutInputs, rollout
from glrg_tf.captioner.static_rollout import bucketed_steps, static_greedy, static_rollout
from tests.captioner import test_rollout
from tests.captioner.test_rollout import CONFIG, B, G, L, V, make_labels

STEPS = L - 1
model, features = test_rollout.model, test_rollout.features  # the fixtures


def inputs_for(labels, **changes):
    values = {"draws": None, "free": False, "steps": STEPS, "captions_per_video": G, "dropout": 0.0, "seed": None}
    return RolloutInputs(tf.constant(labels), **values | changes)


def as_table(result):
    """Log-probabilities and targets by (caption, step)."""
    valid = np.ones(len(result.log_probs), bool) if result.valid is None else result.valid.numpy()
    columns = (result.captions, result.steps, result.log_probs, result.targets)
    rows = np.stack([np.asarray(column, float) for column in columns], axis=1)[valid]
    return {(int(n), int(t)): (log_prob, int(target)) for n, t, log_prob, target in rows}


def loss_and_gradients(model, features, function, weights_of):
    variables = [v.value for v in model.trainable_variables]
    with tf.GradientTape() as tape:
        result = function(model.decoder_weights(), model.encode(features))
        loss = tf.reduce_sum(result.log_probs * weights_of(result))
    return float(loss), [tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, variables)]


def position_weights(result):
    """A weight a position, the same in both forms."""
    return tf.sin(tf.cast(result.captions * 7 + result.steps * 3, tf.float32))


@pytest.mark.parametrize("compiled", [False, True])
def test_teacher_forcing_equals_shared_prefixes(model, features, compiled):
    inputs = inputs_for(make_labels())
    static = tf.function(lambda w, v: static_rollout(w, v, inputs), jit_compile=compiled)
    slow = static(model.decoder_weights(), model.encode(features))
    fast = rollout(model.decoder_weights(), model.encode(features), inputs)
    found, wanted = as_table(slow), as_table(fast)
    assert found.keys() == wanted.keys()
    for key, (log_prob, target) in wanted.items():
        assert abs(found[key][0] - log_prob) < 1e-5 and found[key][1] == target
    ends = slow.token_ids(B * G, STEPS).numpy()
    np.testing.assert_array_equal(ends, fast.token_ids(B * G, STEPS))
    value, gradients = loss_and_gradients(model, features, static, position_weights)
    plain_value, plain = loss_and_gradients(model, features, lambda w, v: rollout(w, v, inputs), position_weights)
    assert abs(value - plain_value) < 1e-5 * max(1.0, abs(plain_value))
    for one, other in zip(gradients, plain, strict=True):
        assert np.linalg.norm(one - other) <= 1e-4 * np.linalg.norm(other)


def test_padding_gets_no_gradient_and_no_weight(model, features):
    labels = make_labels()[:, : L - 2]
    labels[:, -1] = 0
    short, long = labels, np.pad(labels, ((0, 0), (0, 4)))
    results = []
    for x in (short, long):
        inputs = inputs_for(x, steps=x.shape[1] - 1)
        results.append(
            loss_and_gradients(model, features, lambda w, v, i=inputs: static_rollout(w, v, i), position_weights)
        )
    assert abs(results[0][0] - results[1][0]) < 1e-5
    for one, other in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stop", [True, False])
def test_sampling_draws_what_shared_prefixes_draw(model, features, stop):
    """Without XLA both read the same uniform numbers; the gradient flows as under the drawn tokens given."""
    labels = make_labels()
    inputs = inputs_for(
        labels, draws=tf.ones(labels.shape, tf.bool), free=True, seed=tf.constant([7, 8]), stop_at_end=stop
    )
    value, gradients = loss_and_gradients(model, features, lambda w, v: static_rollout(w, v, inputs), position_weights)
    fast_value, fast = loss_and_gradients(model, features, lambda w, v: rollout(w, v, inputs), position_weights)
    one, other = (f(model.decoder_weights(), model.encode(features), inputs) for f in (static_rollout, rollout))
    assert as_table(one).keys() == as_table(other).keys()
    np.testing.assert_array_equal(one.token_ids(B * G, STEPS), other.token_ids(B * G, STEPS))
    assert abs(value - fast_value) < 1e-4
    for x, y in zip(gradients, fast, strict=True):
        assert np.linalg.norm(x - y) <= 1e-4 * np.linalg.norm(y)


def test_scheduled_sampling_equals_shared_prefixes(model, features):
    labels = make_labels(3)
    coins = tf.random.stateless_uniform(labels.shape, [3, 4]) < 0.5
    inputs = inputs_for(labels, draws=coins, seed=tf.constant([1, 1]))
    one, other = (f(model.decoder_weights(), model.encode(features), inputs) for f in (static_rollout, rollout))
    found, wanted = as_table(one), as_table(other)
    assert found.keys() == wanted.keys()
    assert all(abs(found[key][0] - wanted[key][0]) < 1e-5 for key in wanted)


def test_compiled_samples_follow_the_model(model, features):
    """Random streams differ under XLA: first words are counted, and log-probabilities are those of the tokens given."""
    copies = 400
    labels = np.tile([[1, *[0] * (L - 1)]], (B * copies, 1)).astype(np.int32)
    inputs = inputs_for(
        labels,
        draws=tf.ones(labels.shape, tf.bool),
        free=True,
        captions_per_video=copies,
        seed=tf.constant([5, 6]),
        steps=3,
    )
    compiled = tf.function(lambda w, v: static_rollout(w, v, inputs), jit_compile=True)
    sampled = compiled(model.decoder_weights(), model.encode(features))
    tokens = sampled.token_ids(B * copies, 3).numpy()
    given = np.concatenate([labels[:, :1], tokens], axis=1)
    forced = rollout(
        model.decoder_weights(), model.encode(features), inputs_for(given, captions_per_video=copies, steps=3)
    )
    found, wanted = as_table(sampled), as_table(forced)
    assert found.keys() == wanted.keys()
    assert all(abs(found[key][0] - wanted[key][0]) < 1e-4 for key in wanted)
    start = tf.ones([B], tf.int32)
    zeros = tf.zeros([B, CONFIG.hidden_size])
    first = model.decoder([start, zeros, zeros, model.encode(features)])["log_probs"].numpy()
    for video in range(B):
        share = np.bincount(tokens[video * copies : (video + 1) * copies, 0], minlength=V) / copies
        np.testing.assert_allclose(share, np.exp(first[video]), atol=4 * 0.5 / np.sqrt(copies))


@pytest.mark.parametrize("compiled", [False, True])
def test_dropout_masks_repeat_with_the_seed(model, features, compiled):
    def run(seed):
        inputs = inputs_for(make_labels(), dropout=0.5, seed=seed)
        return static_rollout(model.decoder_weights(), model.encode(features), inputs).log_probs

    function = tf.function(run, jit_compile=compiled)
    first, again, other = (function(tf.constant(seed)).numpy() for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("compiled", [False, True])
def test_greedy_equals_the_decoder(model, features, compiled):
    function = tf.function(lambda w, v: static_greedy(w, v, 6), jit_compile=compiled)
    tokens = function(model.decoder_weights(), model.encode(features)).numpy()
    wanted = decoding.greedy(model.decoder_weights(), model.encode(features), 6).token_ids[:, 0].numpy()
    np.testing.assert_array_equal(tokens, wanted)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("compiled", [False, True])
def test_low_products_round_factors_and_sum_in_float32(precision, compiled):
    rng = np.random.default_rng(0)
    left, right = (tf.constant(rng.normal(size=s), tf.float32) for s in ((4, 300), (300, 5)))
    product = make_product(precision, compiled)

    def run(a, b):
        with tf.GradientTape() as tape:
            tape.watch([a, b])
            value = product(a, b)
            loss = tf.reduce_sum(tf.sin(value))
        return value, *tape.gradient(loss, [a, b])

    value, d_left, d_right = tf.function(run, jit_compile=compiled)(left, right)
    low = {"bfloat16": tf.bfloat16, "float16": tf.float16}[precision]
    a, b = (tf.cast(tf.cast(x, low), tf.float32).numpy() for x in (left, right))
    np.testing.assert_allclose(value, a @ b, rtol=1e-4, atol=1e-4)
    upstream = tf.cast(tf.cast(np.cos(value.numpy()), low), tf.float32).numpy()
    for found, wanted in ((d_left, upstream @ b.T), (d_right, a.T @ upstream)):
        # The upstream gradient may sit on a rounding edge: one unit of the low type in one factor.
        np.testing.assert_allclose(found, wanted, rtol=1e-2, atol=2e-2)


def test_buckets_bound_the_compilations():
    assert [bucketed_steps(longest, 30) for longest in (0, 3, 4, 11, 27, 28, 29)] == [4, 4, 8, 12, 28, 29, 29]
    assert len({bucketed_steps(longest, 30) for longest in range(30)}) == 8
