"""The fused Adam is Keras' Adam; clipping is by the norm of all gradients together."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from training import optimizer as optimizers


def test_fused_adam_equals_keras():
    rng = np.random.default_rng(0)
    start = [rng.normal(size=s).astype(np.float32) for s in ((4, 3), (5,))]
    ours, theirs = ([keras.Variable(x) for x in start] for _ in range(2))
    fused = optimizers.build(1e-2, ours)
    plain = keras.optimizers.Adam(1e-2, beta_1=0.9, beta_2=0.999, epsilon=1e-8)
    plain.build(theirs)
    for _ in range(20):
        gradients = [tf.constant(rng.normal(size=x.shape), tf.float32) for x in start]
        fused.apply(gradients, ours)
        plain.apply(gradients, theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)
    assert int(fused.iterations.numpy()) == 20


def test_clipping_by_the_global_norm():
    gradients = [tf.constant([3.0, 0.0]), tf.constant([[4.0]])]
    clipped, norm = optimizers.global_gradients(gradients, 0.25)
    assert float(norm) == 5.0
    np.testing.assert_allclose(clipped[0], [0.15, 0.0], rtol=1e-6)
    np.testing.assert_allclose(clipped[1], [[0.2]], rtol=1e-6)
    untouched, _ = optimizers.global_gradients(gradients, 0.0)
    assert untouched[0].numpy().tolist() == [3.0, 0.0]
