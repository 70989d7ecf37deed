"""GloVe: loss, gradient and Adagrad against plain NumPy, and topics that come out of a planted corpus."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from glrg_tf.errors import ConfigError, DataError
from glrg_tf.semantic.cooccurrence import Cooccurrence, count_all, count_pairs
from glrg_tf.semantic.glove import Glove
from glrg_tf.semantic.settings import GloveConfig
from tests.semantic.conftest import TOPICS, WORDS_A_TOPIC, planted_tokens, topics_within
from tests.semantic.plain_glove import PlainGlove
from training.glove import build_epoch, train_vectors

CONFIG = GloveConfig(dimensions=32, window=5, batch_size=100, x_max=3.0, start_range=0.5)


@pytest.fixture(scope="module")
def pairs() -> Cooccurrence:
    tokens, offsets = planted_tokens(12, 25)
    return count_pairs(tokens, offsets, TOPICS * WORDS_A_TOPIC, 5).table()


def plain_of(model: Glove) -> PlainGlove:
    start = model.weights()
    return PlainGlove(start.centre, start.context, CONFIG.x_max, CONFIG.alpha, CONFIG.learning_rate)


def test_loss_of_every_step_equals_plain_numpy(pairs: Cooccurrence) -> None:
    model = Glove(pairs.words, CONFIG, seed=3)
    plain = plain_of(model)
    run_epoch = build_epoch(model, pairs)
    for epoch in range(3):
        order = np.random.default_rng(epoch).permutation(len(pairs)).astype(np.int32)
        total = 0.0
        for start in range(0, len(order), CONFIG.batch_size):  # the last batch is a partial one
            chosen = order[start : start + CONFIG.batch_size]
            loss = plain.step(pairs.rows[chosen], pairs.columns[chosen], pairs.values[chosen])
            total += loss * len(chosen)
        assert len(order) % CONFIG.batch_size
        assert float(run_epoch(order)) == pytest.approx(total / len(order), rel=1e-5)
    whole = (pairs.rows, pairs.columns, pairs.values)
    ours = model.loss(
        *(tf.constant(part, kind) for part, kind in zip(whole, ("int32", "int32", "float32"), strict=True))
    )
    assert float(ours) == pytest.approx(plain.loss(*whole), rel=1e-5)
    for name, wanted in (("centre", plain.w), ("context", plain.w_tilde), ("centre_bias", plain.b)):
        np.testing.assert_allclose(getattr(model.weights(), name), wanted, atol=2e-4)


def test_the_written_gradient_is_the_tapes(pairs: Cooccurrence) -> None:
    rows, columns = tf.constant([0, 1, 0, 5, 0]), tf.constant([2, 2, 2, 5, 1])  # with repeats
    values = tf.constant([0.5, 4.0, 1.0, 2.0, 30.0])
    model = Glove(pairs.words, CONFIG, seed=1)
    before = model.centre.numpy()
    with tf.GradientTape() as tape:
        loss = model.loss(rows, columns, values)
    gradient = tf.convert_to_tensor(tape.gradient(loss, model.centre)).numpy()
    assert float(model.step(rows, columns, values)) == pytest.approx(float(loss), rel=1e-6)
    np.testing.assert_allclose(model.centre_squares.numpy(), gradient**2, rtol=1e-4, atol=1e-9)
    # Adagrad from 0: the first step is the learning rate in the gradient's direction, and no step without one.
    moved = np.where(np.abs(gradient) > 1e-7, -CONFIG.learning_rate * np.sign(gradient), 0.0)
    np.testing.assert_allclose(model.centre.numpy() - before, moved, atol=1e-4)


def test_weights_of_pairs() -> None:
    weigh = Glove(4, GloveConfig(x_max=20.0, alpha=0.75)).pair_weights(tf.constant([20.0, 21.0, 1e9, 1.25]))
    np.testing.assert_allclose(weigh, [1.0, 1.0, 1.0, (1 / 16) ** 0.75], rtol=1e-6)
    np.testing.assert_array_equal(Glove(4, GloveConfig(x_max=0.0)).pair_weights(tf.constant([0.1, 5.0])), [1.0, 1.0])


def test_a_pass_is_traced_once(pairs: Cooccurrence) -> None:
    run_epoch = build_epoch(Glove(pairs.words, CONFIG), pairs)
    for _ in range(5):
        run_epoch(np.arange(len(pairs), dtype=np.int32))
    assert run_epoch.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("dimensions", [32, 128])
@pytest.mark.parametrize("compat", ["off", "reference"])
def test_topics_of_a_planted_corpus_are_recovered(dimensions: int, compat: str) -> None:
    tokens, offsets = planted_tokens(150, 40, seed=5)
    words = TOPICS * WORDS_A_TOPIC
    table = count_all(tokens, offsets, words, 5, compat, workers=3).table()
    fit = train_vectors(table, GloveConfig(dimensions=dimensions, epochs=60, batch_size=512), seed=2)
    topics = np.arange(words) // WORDS_A_TOPIC
    within = topics_within(fit.weights.centre + fit.weights.context, topics, WORDS_A_TOPIC - 1)
    assert within >= 0.95


def test_what_never_meets_is_driven_apart() -> None:
    tokens = np.tile([0, 1, 0, 1, 2, 3, 2, 3], 30)  # 0 and 1 meet, 2 and 3 meet, in videos of their own
    table = count_pairs(tokens, np.arange(0, len(tokens) + 1, 4), 4, 3).table()

    def apart(pairs: Cooccurrence) -> float:
        fit = train_vectors(pairs, GloveConfig(dimensions=32, epochs=200), seed=1)
        vectors = fit.weights.centre + fit.weights.context
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return float((unit @ unit.T)[:2, 2:].mean())

    assert apart(table.filled(0.1)) < min(-0.2, apart(table))


def test_the_same_seed_gives_the_same_vectors_and_the_best_epoch_is_kept(pairs: Cooccurrence) -> None:
    config = GloveConfig(dimensions=32, epochs=6, batch_size=64)
    told: list[tuple[int, float]] = []
    first = train_vectors(pairs, config, seed=1, epoch_done=lambda *line: told.append(line))
    second = train_vectors(pairs, config, seed=1)
    np.testing.assert_array_equal(first.weights.centre, second.weights.centre)
    assert first.losses == second.losses == [loss for _, loss in told]
    assert first.best_epoch == int(np.argmin(first.losses)) + 1
    other = train_vectors(pairs, config, seed=2)
    assert not np.array_equal(first.weights.centre, other.weights.centre)


def test_training_that_gets_worse_ends_with_the_best(pairs: Cooccurrence, monkeypatch) -> None:
    losses = iter([5.0, 3.0, 4.0, 2.9999, 6.0, 7.0])
    config = GloveConfig(dimensions=32, epochs=6, patience=3, tolerance=0.01)
    kept = []

    def fake(model: Glove, pairs: Cooccurrence):
        def run(order: np.ndarray) -> float:
            model.centre.assign_add(tf.ones_like(model.centre))
            kept.append(model.weights().centre)
            return next(losses)

        return run

    monkeypatch.setattr("training.glove.build_epoch", fake)
    fit = train_vectors(pairs, config)
    assert (fit.best_epoch, len(fit.losses), fit.reason) == (4, 5, "no better loss in 3 epochs")
    np.testing.assert_array_equal(fit.weights.centre, kept[3])


def test_stopping_and_refusals(pairs: Cooccurrence) -> None:
    fit = train_vectors(pairs, GloveConfig(dimensions=32, epochs=50), stop=lambda: True)
    assert (len(fit.losses), fit.reason) == (1, "stopped")
    empty = count_pairs(np.array([0, 1]), np.array([0, 1, 2]), 4, 5).table()
    with pytest.raises(DataError, match="no two clips"):
        train_vectors(empty, GloveConfig())
    for change in ({"dimensions": 8}, {"window": 1}, {"x_max": 101.0}, {"alpha": 1.5}, {"learning_rate": 0.0}):
        with pytest.raises(ConfigError):
            GloveConfig(**change)
