"""Greedy decoding with a cache: keys and values of the text so far are kept, those of the conditioning computed once.

Departs from the reference, which recomputes the whole prefix at every step and drops the last word of the text that
ends last: here a text's words are all before its end token, or all of them where there is none.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from glrg_tf.recap.gated_decoder import GatedDecoder

NOTHING = -1  # where a text has ended


LookedAt = tuple[tf.Tensor, tf.Tensor, tf.Tensor]  # keys, values, and where one may look (gated_decoder.py)


def greedy(
    decoder: GatedDecoder, conditioning: tuple[tf.Tensor, tf.Tensor], start: int, end: int, max_words: int
) -> tf.Tensor:
    """The most probable word, one after the other.

    Args:
        decoder: the layers.
        conditioning: Z float32 (B, n, W), and float32 (B, n), 1 where it holds something.
        start: id that a text begins with.
        end: id that ends it.
        max_words: most words of a text.

    Returns:
        int32 (B, max_words), words and then -1; the end token is not among them.
    """
    batch = tf.shape(conditioning[0])[0]
    looked_at = [unit.look_at(*conditioning) for unit in decoder.units]
    width, heads = decoder.config.width, decoder.config.heads
    empty = tf.zeros([batch, heads, 0, width // heads])
    cache = tuple(empty for _ in range(2 * len(decoder.blocks)))
    shape = tf.TensorShape([None, heads, None, width // heads])

    def running(place: tf.Tensor, alive: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return tf.logical_and(place < max_words, tf.reduce_any(alive))

    def body(
        place: tf.Tensor, alive: tf.Tensor, token: tf.Tensor, words: tf.Tensor, *cache: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        logits, cache = step(decoder, token, place, looked_at, cache)
        token = tf.argmax(logits, axis=-1, output_type=tf.int32)
        alive = tf.logical_and(alive, token != end)
        words = tf.concat([words, tf.where(alive, token, NOTHING)[:, None]], axis=1)
        return (place + 1, alive, token, words, *cache)

    first = (tf.constant(0), tf.ones([batch], tf.bool), tf.fill([batch], start), tf.zeros([batch, 0], tf.int32))
    shapes = (tf.TensorShape([]), tf.TensorShape([None]), tf.TensorShape([None]), tf.TensorShape([None, None]))
    ended = tf.while_loop(running, body, (*first, *cache), (*shapes, *(shape for _ in cache)))
    words = ended[3]
    return tf.pad(words, [[0, 0], [0, max_words - tf.shape(words)[1]]], constant_values=NOTHING)


def step(
    decoder: GatedDecoder,
    token: tf.Tensor,
    place: tf.Tensor,
    looked_at: list[LookedAt],
    cache: tuple[tf.Tensor, ...],
) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
    """One word further.

    Args:
        decoder: the layers.
        token: int32 (B,), the word at `place`.
        place: int32 (), counted from 0.
        looked_at: what each layer has made of the conditioning.
        cache: keys and values of the places before, float32 (B, H, place, d), two a layer.

    Returns:
        Logits float32 (B, V) of the next word, and the longer cache.
    """
    x = decoder.embedding(token[:, None], first=place)
    longer: list[tf.Tensor] = []
    for number, (unit, block) in enumerate(zip(decoder.units, decoder.blocks, strict=True)):
        x = unit.step(x, looked_at[number])
        x, key, value = block.step(x, cache[2 * number], cache[2 * number + 1])
        longer += [key, value]
    return decoder.logits(x)[:, 0], tuple(longer)


def words_of(ids: np.ndarray) -> list[int]:
    """The words of one row of `greedy`."""
    return [int(number) for number in ids if number != NOTHING]
