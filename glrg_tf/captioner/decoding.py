"""Test-time drivers of the one step: greedy and sampling here, beam search in `beam.py`.

All are batched graph functions whose state lives in tensors and which stop when all captions have ended. Large
batches project each vocabulary word once (`word_table`), small ones the words they read (`word_table_for`).
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from glrg_tf.captioner.decoder import DecoderWeights, lstm_cell, vocabulary_logits
from glrg_tf.captioner.distributions import draw
from glrg_tf.captioner.rollout import START_ID

# Rows of one step that repay projecting the whole vocabulary, as a share of it: a caption takes about 10 steps and a
# step reads a third to a half as many distinct words as it has rows.
_TABLE_SHARE = 4


class Decoded(NamedTuple):
    """Captions of B videos, K each, best first."""

    token_ids: tf.Tensor  # int32 (B, K, T), words then zeros; <start> is not included
    scores: tf.Tensor  # float32 (B, K); what they mean is said by the driver
    token_log_probs: tf.Tensor  # float32 (B, K, T), log p of each token, <end> included, zero after it


def word_table(weights: DecoderWeights) -> tf.Tensor:
    """The words' part of the gates for the whole vocabulary, float32 (V, 4H)."""
    return tf.matmul(weights.embedding, weights.word_kernel)


def word_table_for(weights: DecoderWeights, rows: tf.Tensor | int) -> tf.Tensor:
    """`word_table` where decoding `rows` hypotheses repays it, else an empty one (0, 4H), which `step` does without."""
    size = weights.embedding.shape[0]
    empty = tf.zeros([0, weights.word_kernel.shape[1]])
    return tf.cond(rows * _TABLE_SHARE > size, lambda: word_table(weights), lambda: empty)


def step(
    weights: DecoderWeights,
    table: tf.Tensor,
    token_ids: tf.Tensor,
    hidden: tf.Tensor,
    cell: tf.Tensor,
    video_gates: tf.Tensor,
    source: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """One decoding step without dropout: logits float32 (R, V), hidden and cell (R, H).

    With `source` int32 (R,) the rows of `hidden` are distinct states and row r goes on from state `source[r]`, so that
    hypotheses with one parent share its recurrent product.
    """
    recurrent = tf.matmul(hidden, weights.recurrent_kernel)
    if source is not None:
        recurrent = tf.gather(recurrent, source)
    gates = _word_gates(weights, table, token_ids) + video_gates + recurrent
    state = lstm_cell(gates, cell)
    return vocabulary_logits(state.hidden, weights), state.hidden, state.cell


def _word_gates(weights: DecoderWeights, table: tf.Tensor, token_ids: tf.Tensor) -> tf.Tensor:
    """The words' part of the gates float32 (R, 4H), from the table unless it is empty."""

    def project() -> tf.Tensor:
        distinct, place = tf.unique(token_ids)
        return tf.gather(tf.matmul(tf.gather(weights.embedding, distinct), weights.word_kernel), place)

    if table.shape[0] is not None:
        return tf.gather(table, token_ids) if table.shape[0] else project()
    return tf.cond(tf.shape(table)[0] > 0, lambda: tf.gather(table, token_ids), project)


def greedy(
    weights: DecoderWeights,
    video_gates: tf.Tensor,
    max_words: int = 28,
    state: tuple[tf.Tensor, tf.Tensor] | None = None,
) -> Decoded:
    """The most probable word at each step.

    Args:
        weights: the decoder's tensors.
        video_gates: float32 (B, 4H).
        max_words: most words, as in the release 28.
        state: hidden and cell float32 (B, H) to begin from; None begins at zero.

    Returns:
        `Decoded` with K = 1; the score is the sum of log-probabilities, <end> included.
    """
    return _one_path(weights, video_gates, max_words, None, 1.0, state)


def sample(
    weights: DecoderWeights, video_gates: tf.Tensor, seed: tf.Tensor, temperature: float = 1.0, max_words: int = 28
) -> Decoded:
    """One caption a row drawn from the model; a pure function of `seed` int32 (2,). Scores as `greedy`."""
    rows = tf.shape(video_gates)[0]
    return _one_path(weights, video_gates, max_words, tf.random.stateless_uniform([rows, max_words], seed), temperature)


def _one_path(
    weights: DecoderWeights,
    video_gates: tf.Tensor,
    max_words: int,
    uniforms: tf.Tensor | None,
    temperature: float,
    state: tuple[tf.Tensor, tf.Tensor] | None = None,
) -> Decoded:
    rows, width = tf.shape(video_gates)[0], weights.recurrent_kernel.shape[0]
    table = word_table_for(weights, rows)

    def body(t, token, alive, hidden, cell, tokens, log_probs):
        logits, hidden, cell = step(weights, table, token, hidden, cell, video_gates)
        if uniforms is None:
            chosen = tf.argmax(logits, axis=1, output_type=tf.int32)
        else:
            chosen = draw(logits / temperature, tf.range(rows), uniforms[:, t])
        picked = tf.gather(logits, chosen, batch_dims=1) - tf.reduce_logsumexp(logits, axis=1)
        chosen = tf.where(alive, chosen, 0)
        tokens = tokens.write(t, chosen)
        log_probs = log_probs.write(t, tf.where(alive, picked, 0.0))
        return t + 1, chosen, tf.logical_and(alive, chosen != 0), hidden, cell, tokens, log_probs

    hidden, cell = state if state is not None else (tf.zeros([rows, width]),) * 2
    stores = [tf.TensorArray(d, max_words, element_shape=[None]) for d in (tf.int32, tf.float32)]
    # Steps that early stopping skips must read as <end>.
    stores = [s.unstack(tf.zeros([max_words, rows], s.dtype)) for s in stores]
    start = (0, tf.fill([rows], START_ID), tf.ones([rows], tf.bool), hidden, cell, *stores)
    shapes = (tf.TensorShape([]), tf.TensorShape([None]), tf.TensorShape([None]))
    shapes += (tf.TensorShape([None, width]),) * 2 + (tf.TensorShape(None),) * 2
    end = tf.while_loop(
        lambda t, token, alive, *_: tf.logical_and(t < max_words, tf.reduce_any(alive)),
        body,
        start,
        shape_invariants=shapes,
    )
    tokens, log_probs = (tf.transpose(store.stack())[:, None, :] for store in end[5:7])
    return Decoded(tokens, tf.reduce_sum(log_probs, axis=2), log_probs)
