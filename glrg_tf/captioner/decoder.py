"""The decoder's ONE step: word and video in, next-word distribution out (specs of the release, step 5.3).

Teacher forcing, sampling, greedy, beam, saliency and export all go through `word_gates`, `lstm_cell` and
`vocabulary_logits` below; the Keras functional model of `build_decoder` is the same three functions as layers.
The LSTM has no bias; gate order is i, f, c, o (the same in PyTorch and Keras).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.captioner.products import Product


class DecoderWeights(NamedTuple):
    """The decoder's tensors, read once at the head of a graph function."""

    embedding: tf.Tensor  # float32 (V, E)
    word_kernel: tf.Tensor  # float32 (E, 4H)
    recurrent_kernel: tf.Tensor  # float32 (H, 4H)
    logits_kernel: tf.Tensor  # float32 (H, V)
    logits_bias: tf.Tensor  # float32 (V,)


class Activations(NamedTuple):
    """What one LSTM step leaves behind; the hand-written gradient needs all of it. Each float32 (R, H)."""

    hidden: tf.Tensor
    cell: tf.Tensor
    input_gate: tf.Tensor
    forget_gate: tf.Tensor
    candidate: tf.Tensor
    output_gate: tf.Tensor
    tanh_cell: tf.Tensor


def lstm_cell(gates: tf.Tensor, cell: tf.Tensor) -> Activations:
    """One LSTM update from pre-activations.

    Args:
        gates: float32 (R, 4H), word + video + recurrent parts summed, order i, f, c, o.
        cell: float32 (R, H), previous cell state.
    """
    hidden_size = cell.shape[-1]
    input_gate = tf.sigmoid(gates[:, :hidden_size])
    forget_gate = tf.sigmoid(gates[:, hidden_size : 2 * hidden_size])
    candidate = tf.tanh(gates[:, 2 * hidden_size : 3 * hidden_size])
    output_gate = tf.sigmoid(gates[:, 3 * hidden_size :])
    new_cell = forget_gate * cell + input_gate * candidate
    tanh_cell = tf.tanh(new_cell)
    return Activations(output_gate * tanh_cell, new_cell, input_gate, forget_gate, candidate, output_gate, tanh_cell)


def vocabulary_logits(hidden: tf.Tensor, weights: DecoderWeights, product: Product = tf.matmul) -> tf.Tensor:
    """Unnormalised log-probabilities float32 (R, V) of the next word from hidden states (R, H)."""
    return product(hidden, weights.logits_kernel) + weights.logits_bias


@keras.saving.register_keras_serializable("glrg_tf")
class LSTMStep(keras.layers.Layer):
    """`lstm_cell` as a layer that owns the word and recurrent kernels.

    Inputs: word embedding (N, E), hidden (N, H), cell (N, H), video gates (N, 4H). Outputs: hidden, cell (N, H).
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: Any) -> None:
        bound = 1.0 / math.sqrt(self.units)
        for name, rows in (("word_kernel", input_shape[0][-1]), ("recurrent_kernel", self.units)):
            uniform = keras.initializers.RandomUniform(-bound, bound)
            setattr(self, name, self.add_weight((rows, 4 * self.units), initializer=uniform, name=name))
        super().build(input_shape)

    def call(self, inputs: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        words, hidden, cell, video_gates = inputs
        gates = tf.matmul(words, self.word_kernel) + video_gates + tf.matmul(hidden, self.recurrent_kernel)
        state = lstm_cell(gates, cell)
        return state.hidden, state.cell

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, Any]:
        """Shapes of hidden and cell."""
        return (input_shape[1], input_shape[2])

    def get_config(self) -> dict[str, Any]:
        """Settings for `from_config`."""
        return {**super().get_config(), "units": self.units}


def build_decoder(config: CaptionerConfig) -> keras.Model:
    """Functional step: token_ids (N,), hidden (N, H), cell (N, H), video_gates (N, 4H) -> log_probs (N, V), state."""
    width = config.hidden_size
    # === Layers ===
    embedding = keras.layers.Embedding(
        config.vocabulary_size,
        config.embedding_size,
        embeddings_initializer=keras.initializers.RandomUniform(-0.1, 0.1),
        name="word_embedding",
    )
    lstm = LSTMStep(width, name="lstm")
    logits = keras.layers.Dense(
        config.vocabulary_size, kernel_initializer=keras.initializers.RandomUniform(-0.1, 0.1), name="logits"
    )
    # === Functional Model ===
    token_ids = keras.Input((), dtype="int32", name="token_ids")
    hidden = keras.Input((width,), name="hidden")
    cell = keras.Input((width,), name="cell")
    video_gates = keras.Input((4 * width,), name="video_gates")
    new_hidden, new_cell = lstm([embedding(token_ids), hidden, cell, video_gates])
    log_probs = keras.layers.Activation("log_softmax", name="log_probs")(logits(new_hidden))
    return keras.Model(
        [token_ids, hidden, cell, video_gates],
        {"log_probs": log_probs, "hidden": new_hidden, "cell": new_cell},
        name="decoder",
    )
