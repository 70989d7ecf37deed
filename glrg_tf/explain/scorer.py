"""How well a captioner predicts each word of a sentence from given visual descriptors, with the sentence forced.

Saliency asks nothing else of a captioner: any object with the methods of `SentenceScorer` can be explained. The
scorers here drive the captioners' one decoding step (captioner/decoding.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from glrg_tf.captioner import decoding
from glrg_tf.captioner.decoder import DecoderWeights
from glrg_tf.text.vocabulary import Vocabulary

_LOGITS_AT_ONCE = 2**22  # floats of one step's logits: bounds memory whatever the caller passes


class SentenceScorer(Protocol):
    """A captioner as saliency sees it."""

    vocabulary: Vocabulary
    item_size: int  # width D of a visual descriptor

    def log_probs(self, items: np.ndarray, token_ids: np.ndarray) -> np.ndarray:
        """Log-probabilities ln q(w_t | w_<t, items) of each word.

        Args:
            items: float32 (M, L, D), M visual inputs of L descriptors each.
            token_ids: int32 (n,), one sentence for all of them.

        Returns:
            float32 (M, n).
        """
        ...

    def distributions(self, item: np.ndarray, token_ids: np.ndarray) -> np.ndarray:
        """Log-probabilities over the vocabulary, ln p(k | w_<t, item): float32 (L, D), (n,) -> (n, V)."""
        ...

    def divergences(self, items: np.ndarray, token_ids: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """KL(p_t || q_t) against given ln p_t float32 (n, V): (M, L, D) -> (M, n)."""
        ...


class DecoderScorer:
    """Scores by the decoding step; a captioner adds how its decoder starts from visual descriptors.

    Args:
        vocabulary: the captioner's.
        item_size: D.
        weights: gives the decoder's tensors.
        start: descriptors float32 (M, L, D) -> hidden (M, H), cell (M, H), gates (M, 4H).
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        item_size: int,
        weights: Callable[[], DecoderWeights],
        start: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]],
    ) -> None:
        self.vocabulary, self.item_size = vocabulary, item_size
        self._weights, self._start = weights, start
        items = tf.TensorSpec([None, None, item_size], tf.float32)
        words, table = tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, None], tf.float32)
        self._picked = tf.function(self._picked_graph, input_signature=[items, words], autograph=False)
        self._whole = tf.function(self._whole_graph, input_signature=[items, words], autograph=False)
        self._divergence = tf.function(self._divergence_graph, input_signature=[items, words, table], autograph=False)

    def log_probs(self, items: np.ndarray, token_ids: np.ndarray) -> np.ndarray:
        """See `SentenceScorer.log_probs`."""
        return self._in_parts(self._picked, items, token_ids)

    def distributions(self, item: np.ndarray, token_ids: np.ndarray) -> np.ndarray:
        """See `SentenceScorer.distributions`."""
        return self._whole(np.asarray(item, np.float32)[None], np.asarray(token_ids, np.int32)).numpy()[0]

    def divergences(self, items: np.ndarray, token_ids: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """See `SentenceScorer.divergences`."""
        return self._in_parts(self._divergence, items, token_ids, np.asarray(reference, np.float32))

    def _in_parts(self, function: Any, items: np.ndarray, token_ids: np.ndarray, *more: np.ndarray) -> np.ndarray:
        size = max(64, _LOGITS_AT_ONCE // len(self.vocabulary))
        token_ids = np.asarray(token_ids, np.int32)
        parts = [
            function(np.asarray(items[first : first + size], np.float32), token_ids, *more).numpy()
            for first in range(0, len(items), size)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, len(token_ids)), np.float32)

    # === Graphs ===
    def _picked_graph(self, items: tf.Tensor, token_ids: tf.Tensor) -> tf.Tensor:
        def picked(t: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
            return logits[:, token_ids[t]] - tf.reduce_logsumexp(logits, axis=1)

        return tf.transpose(self._forced(items, token_ids, picked, [None]))

    def _whole_graph(self, items: tf.Tensor, token_ids: tf.Tensor) -> tf.Tensor:
        taken = self._forced(items, token_ids, lambda _, logits: tf.nn.log_softmax(logits), [None, None])
        return tf.transpose(taken, [1, 0, 2])

    def _divergence_graph(self, items: tf.Tensor, token_ids: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
        shares = tf.exp(reference)

        def divergence(t: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
            # Equal distributions must not come out a rounding error below zero.
            return tf.maximum(tf.reduce_sum(shares[t] * (reference[t] - tf.nn.log_softmax(logits)), axis=1), 0.0)

        return tf.transpose(self._forced(items, token_ids, divergence, [None]))

    def _forced(
        self,
        items: tf.Tensor,
        token_ids: tf.Tensor,
        take: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
        shape: list[int | None],
    ) -> tf.Tensor:
        """The sentence forced on every row; what `take(t, logits (M, V))` gives, stacked over steps (n, M, …)."""
        weights = self._weights()
        hidden, cell, gates = self._start(items)
        count = tf.size(token_ids)
        # All rows read the same word: one row of gates a step, from a table of the sentence's words alone.
        inputs = tf.concat([[Vocabulary.START], token_ids], axis=0)
        table = tf.matmul(tf.gather(weights.embedding, inputs), weights.word_kernel)
        width = tf.TensorShape([None, weights.recurrent_kernel.shape[0]])

        def body(t: tf.Tensor, hidden: tf.Tensor, cell: tf.Tensor, taken: tf.TensorArray) -> tuple[Any, ...]:
            logits, hidden, cell = decoding.step(weights, table, tf.reshape(t, [1]), hidden, cell, gates)
            return t + 1, hidden, cell, taken.write(t, take(t, logits))

        taken = tf.TensorArray(tf.float32, count, element_shape=shape)
        end = tf.while_loop(
            lambda t, *_: t < count,
            body,
            (0, hidden, cell, taken),
            shape_invariants=(tf.TensorShape([]), width, width, tf.TensorShape(None)),
        )
        return end[3].stack()
