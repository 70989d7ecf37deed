"""GloVe over visual words: scores, weighted squared loss, and Adagrad on the rows that a batch touches.

s_ij = w_i · w̃_j + b_i + b̃_j and loss = mean f(X_ij) (s_ij − ln X_ij)², f(x) = min(1, (x / x_max)^α) (Pennington et al.
2014, eq. 8 and 9; the mean over a batch is the published code's).

Departures:
- Keras' Adagrad adds epsilon under the root and begins at 0.1; here, as in the published code's optimizer, the sum of
  squares begins at 0 and epsilon 1e-10 is added to its root.
- Gradients are added up by row before they are squared, so a sparse step equals the dense one: a row that no pair of
  the batch mentions has gradient 0 and would not move.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from glrg_tf.semantic.settings import GloveConfig
from glrg_tf.semantic.weights import GloveWeights

_EPSILON = 1e-10


class Glove(tf.Module):
    """Parameters of V visual words with their Adagrad state.

    A word's vector and bias lie side by side in one row, (V, d + 1): one gather and one update a side.

    Args:
        words: V.
        config: settings.
        seed: of the start values, uniform within ±`start_range`; biases begin at 0.
    """

    def __init__(self, words: int, config: GloveConfig, seed: int = 0) -> None:
        super().__init__(name="glove")
        self.words, self.config = words, config
        random = np.random.default_rng((seed, words))
        spread = config.start_range or 0.5 / config.dimensions
        for side in ("centre", "context"):
            start = np.zeros((words, config.dimensions + 1), np.float32)
            start[:, :-1] = random.uniform(-spread, spread, (words, config.dimensions))
            setattr(self, side, tf.Variable(start, name=side))
            setattr(self, f"{side}_squares", tf.Variable(tf.zeros_like(start), trainable=False, name=f"{side}_squares"))

    def loss(self, rows: tf.Tensor, columns: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        """Mean loss of a batch of pairs, float32 scalar.

        Args:
            rows: int32 (n,), centre words.
            columns: int32 (n,), context words.
            values: float32 (n,), X_ij > 0.
        """
        centre, context = tf.gather(self.centre, rows), tf.gather(self.context, columns)
        errors = _scores(centre, context) - tf.math.log(values)
        return tf.reduce_mean(self.pair_weights(values) * errors * errors)

    def pair_weights(self, values: tf.Tensor) -> tf.Tensor:
        """f(X), float32 (n,)."""
        if self.config.x_max == 0:
            return tf.ones_like(values)
        return tf.minimum(1.0, (values / self.config.x_max) ** self.config.alpha)

    def step(self, rows: tf.Tensor, columns: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        """One Adagrad step on a batch of pairs (see `loss`); returns its loss before the step.

        The gradient is written out: through a tape a step takes twice as long.
        """
        centre, context = tf.gather(self.centre, rows), tf.gather(self.context, columns)
        errors = _scores(centre, context) - tf.math.log(values)
        weighted = self.pair_weights(values) * errors
        slopes = (2.0 * weighted / tf.cast(tf.size(errors), tf.float32))[:, None]  # of the scores
        self._descend(self.centre, self.centre_squares, rows, slopes * _with_one(context))
        self._descend(self.context, self.context_squares, columns, slopes * _with_one(centre))
        return tf.reduce_mean(weighted * errors)

    def weights(self) -> GloveWeights:
        """The parameters now."""
        centre, context = self.centre.numpy(), self.context.numpy()
        return GloveWeights(centre[:, :-1].copy(), context[:, :-1].copy(), centre[:, -1].copy(), context[:, -1].copy())

    def _descend(self, table: tf.Variable, squares: tf.Variable, words: tf.Tensor, gradient: tf.Tensor) -> None:
        distinct, position = tf.unique(words)
        summed = tf.math.unsorted_segment_sum(gradient, position, tf.size(distinct))
        accumulated = tf.gather(squares, distinct) + summed * summed
        squares.scatter_update(tf.IndexedSlices(accumulated, distinct))
        change = -self.config.learning_rate * summed / (tf.sqrt(accumulated) + _EPSILON)
        table.scatter_add(tf.IndexedSlices(change, distinct))


def _scores(centre: tf.Tensor, context: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(centre[:, :-1] * context[:, :-1], axis=1) + centre[:, -1] + context[:, -1]


def _with_one(rows: tf.Tensor) -> tf.Tensor:
    """The slope of a score by the other side's row: this side's vector, and 1 for the bias."""
    return tf.concat([rows[:, :-1], tf.ones_like(rows[:, -1:])], axis=1)
