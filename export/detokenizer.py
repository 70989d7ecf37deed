"""Token ids to text inside the graph, letter for letter what `Vocabulary.decode` and the tokenizer give."""

from __future__ import annotations

import tensorflow as tf

from glrg_tf.errors import ExportError
from glrg_tf.text.tokenizer import get_tokenizer
from glrg_tf.text.vocabulary import Vocabulary


class Detokenizer:
    """Joins words as the vocabulary's tokenizer does, with core string operations.

    Args:
        vocabulary: words and the tokenizer they belong to.

    Raises:
        ExportError: a tokenizer whose joining cannot be told from pairs of words.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._words = vocabulary.words
        self._joined = joined_without_blank(vocabulary)

    def __call__(self, token_ids: tf.Tensor) -> tf.Tensor:
        """Text of ids int32 (..., T), words up to the first `<end>`: string (...)."""
        # Made inside the function: a captured string would become an input of converted graphs.
        words = tf.gather(tf.constant(self._words), token_ids)
        before_end = tf.cumsum(tf.cast(tf.equal(token_ids, Vocabulary.END), tf.int32), axis=-1) == 0
        shown = tf.logical_and(before_end, tf.not_equal(token_ids, Vocabulary.START))
        blank = tf.cumsum(tf.cast(shown, tf.int32), axis=-1) > 1
        if any(self._joined):
            joined = tf.gather(tf.constant(self._joined), token_ids)
            blank = tf.logical_and(blank, tf.logical_not(tf.logical_and(joined, _of_previous(joined, shown))))
        pieces = tf.where(blank, " ", "") + words
        return tf.strings.reduce_join(tf.where(shown, pieces, ""), axis=-1)


def _of_previous(values: tf.Tensor, shown: tf.Tensor) -> tf.Tensor:
    """The value of the nearest shown place to the left, bool (..., T); False where there is none."""
    places = tf.range(tf.shape(values)[-1])
    earlier = places[None, :] < places[:, None]  # (T, T): column before row
    candidates = tf.where(tf.logical_and(shown[..., None, :], earlier), places, -1)
    previous = tf.reduce_max(candidates, axis=-1)
    found = tf.gather(values, tf.maximum(previous, 0), batch_dims=len(values.shape) - 1)
    return tf.logical_and(found, previous >= 0)


def joined_without_blank(vocabulary: Vocabulary) -> list[bool]:
    """Which words stand without a blank beside another such word (scripts that write none)."""
    tokenizer = get_tokenizer(vocabulary.tokenizer)
    joined = [tokenizer.detokenize([word, word]) == word + word for word in vocabulary.words]
    sample = vocabulary.words[:: max(1, len(vocabulary) // 64)]
    pairs = [(a, b, joined[vocabulary.id_of(a)] and joined[vocabulary.id_of(b)]) for a in sample for b in sample]
    if any(tokenizer.detokenize([a, b]) != a + ("" if together else " ") + b for a, b, together in pairs):
        raise ExportError("this tokenizer joins words in a way that the exported graph cannot repeat")
    return joined
