"""Batched beam search, its whole state in tensors, in two modes.

- `beam_search` (default): a hypothesis that emits <end> keeps its place in the beam with its score frozen;
  ranking by the sum of log-probabilities divided by length ** length_normalization (0: no division).
- `release_beam_search` reproduces the released sampler (specs of the release, section 11): finished hypotheses are
  copied to a list and keep competing, the list is ranked by perplexity with the word count as divisor.
"""

from __future__ import annotations

import tensorflow as tf

from glrg_tf.captioner.decoder import DecoderWeights
from glrg_tf.captioner.decoding import Decoded, step, word_table_for
from glrg_tf.captioner.distributions import BLOCK
from glrg_tf.captioner.rollout import START_ID

_NEVER = -1e30  # a finite "minus infinity": sums of it stay finite, unlike -inf - -inf


def beam_search(
    weights: DecoderWeights,
    video_gates: tf.Tensor,
    beam_size: int = 5,
    num_captions: int = 1,
    max_words: int = 28,
    length_normalization: float = 0.0,
    table: tf.Tensor | None = None,
    static_shapes: bool = False,
    word_bias: tf.Tensor | None = None,
) -> Decoded:
    """The `num_captions` best hypotheses of each video.

    Without length normalisation the search stops as soon as the first `num_captions` places of every video are
    finished: scores only fall, so nothing can overtake them. Ties go to the lower word rank, then the lower beam.

    Args:
        weights: the decoder's tensors.
        video_gates: float32 (B, 4H).
        beam_size: K; at least `num_captions`.
        num_captions: how many to return, best first.
        max_words: most words.
        length_normalization: exponent of the length (words and <end>) that divides the score in the final ranking.
        table: `word_table(weights)` when it is already at hand.
        static_shapes: compute every hypothesis at every step, as compilers for other machines want it; otherwise
            only those that can still change the result. The captions are the same.
        word_bias: float32 (B, V), added to the logits of every step of a video (content.py).

    Returns:
        `Decoded` with K = num_captions; a score is the (normalised) sum of log-probabilities, <end> included.
    """
    batch = tf.shape(video_gates)[0]
    table = word_table_for(weights, batch * beam_size) if table is None else table

    def body(t, tokens, log_probs, scores, live, rows, source, hidden, cell):
        last = tf.where(t > 0, tf.gather(tf.reshape(tokens[:, :, tf.maximum(t - 1, 0)], [-1]), rows), START_ID)
        gates = tf.gather(video_gates, rows // beam_size)
        bias = None if word_bias is None else tf.gather(word_bias, rows // beam_size)
        words, picked, hidden, cell = _best_words(weights, table, last, hidden, cell, gates, beam_size, source, bias)
        words, picked = _continuations(rows, live, words, picked)
        scores, word, parent, gained = _select(scores[:, :, None] + picked, words, picked, beam_size)
        tokens, log_probs = _append(tokens, log_probs, parent, word, gained, t)
        live = tf.logical_and(tf.gather(live, parent, batch_dims=1), word != 0)
        if not length_normalization:
            live = tf.logical_and(live, tf.reduce_any(live[:, :num_captions], axis=1, keepdims=True))
        place, rows = _next_rows(rows, parent, live, static_shapes)
        distinct, source = (place, tf.range(tf.size(place))) if static_shapes else tf.unique(place)
        return t + 1, tokens, log_probs, scores, live, rows, source, tf.gather(hidden, distinct), tf.gather(cell, place)

    def more(t, tokens, log_probs, scores, live, *_):
        return tf.logical_and(t < max_words, tf.reduce_any(live))

    # At first only beam 0 stands.
    first = tf.tile(tf.range(beam_size)[None] == 0, [batch, 1])
    rows = tf.range(batch * beam_size) if static_shapes else tf.range(batch) * beam_size
    state = (0, *_start(batch, beam_size, max_words), first, rows, tf.range(tf.size(rows)))
    state += _zero_state(weights, tf.size(rows))
    end = tf.while_loop(more, body, state, shape_invariants=_shapes(weights, beam_size, max_words, release=False))
    _, tokens, log_probs, scores, live, *_ = end
    if length_normalization:
        scores = scores / _lengths(tokens, live) ** length_normalization
    scores, order = tf.math.top_k(scores, num_captions)
    return Decoded(tf.gather(tokens, order, batch_dims=1), scores, tf.gather(log_probs, order, batch_dims=1))


def release_beam_search(
    weights: DecoderWeights,
    video_gates: tf.Tensor,
    beam_size: int = 5,
    max_words: int = 28,
    table: tf.Tensor | None = None,
) -> Decoded:
    """Every hypothesis the released sampler would finish, best (lowest perplexity) first.

    Returns:
        `Decoded` with K = max_words * beam_size; the score is minus the release's perplexity
        exp(-S / words), `-1e30` where nothing was finished. `token_ids` keep what follows the first <end>
        (the text ends there), because the release scores it too.
    """
    batch = tf.shape(video_gates)[0]
    table = word_table_for(weights, batch * beam_size) if table is None else table
    gates = tf.repeat(video_gates, beam_size, axis=0)

    def body(t, tokens, log_probs, scores, source, hidden, cell, done, done_tokens, done_log_probs):
        last = tf.reshape(tf.where(t > 0, tokens[:, :, tf.maximum(t - 1, 0)], START_ID), [-1])
        words, picked, hidden, cell = _best_words(weights, table, last, hidden, cell, gates, beam_size, source)
        shape = [batch, beam_size, beam_size]
        words, picked = tf.reshape(words, shape), tf.reshape(picked, shape)
        scores, word, parent, gained = _select(scores[:, :, None] + picked, words, picked, beam_size)
        tokens, log_probs = _append(tokens, log_probs, parent, word, gained, t)
        ended = tf.logical_or(word == 0, t == max_words - 1)
        # Here t counts from 0 where the release counts from 1: its divisor t - 1 is our t.
        perplexity = tf.where(t > 0, tf.exp(-scores / tf.cast(tf.maximum(t, 1), tf.float32)), 10000.0)
        done = done.write(t, tf.where(ended, -perplexity, _NEVER))
        place = tf.reshape(parent + beam_size * tf.range(batch)[:, None], [-1])
        distinct, source = tf.unique(place)
        hidden, cell = tf.gather(hidden, distinct), tf.gather(cell, place)
        stores = done, done_tokens.write(t, tokens), done_log_probs.write(t, log_probs)
        return t + 1, tokens, log_probs, scores, source, hidden, cell, *stores

    stores = [tf.TensorArray(tf.float32, max_words, element_shape=[None, beam_size])]
    stores += [tf.TensorArray(d, max_words, element_shape=[None, beam_size, max_words]) for d in (tf.int32, tf.float32)]
    state = (0, *_start(batch, beam_size, max_words), tf.range(batch * beam_size))
    state += (*_zero_state(weights, batch * beam_size), *stores)
    shapes = (*_shapes(weights, beam_size, max_words, release=True), *(tf.TensorShape(None),) * 3)
    end = tf.while_loop(lambda t, *_: t < max_words, body, state, shape_invariants=shapes)
    # (T, B, K, ...) -> (B, T * K, ...): steps in order, beams in order, so ties go to the earlier one.
    scores = tf.reshape(tf.transpose(end[7].stack(), [1, 0, 2]), [batch, max_words * beam_size])
    tokens, log_probs = (
        tf.reshape(tf.transpose(store.stack(), [1, 0, 2, 3]), [batch, max_words * beam_size, max_words])
        for store in end[8:10]
    )
    scores, order = tf.math.top_k(scores, max_words * beam_size)
    return Decoded(tf.gather(tokens, order, batch_dims=1), scores, tf.gather(log_probs, order, batch_dims=1))


def _start(batch: tf.Tensor, beam_size: int, max_words: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Empty tokens and log-probabilities (B, K, T); scores (B, K) that leave only beam 0 standing."""
    scores = tf.where(tf.range(beam_size) == 0, 0.0, _NEVER)
    shape = [batch, beam_size, max_words]
    return tf.zeros(shape, tf.int32), tf.zeros(shape), tf.tile(scores[None], [batch, 1])


def _zero_state(weights: DecoderWeights, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    zeros = tf.zeros([rows, weights.recurrent_kernel.shape[0]])
    return zeros, zeros


def _shapes(weights: DecoderWeights, beam_size: int, max_words: int, release: bool) -> tuple[tf.TensorShape, ...]:
    width = weights.recurrent_kernel.shape[0]
    shapes = [[], [None, beam_size, max_words], [None, beam_size, max_words], [None, beam_size]]
    shapes += [[None]] if release else [[None, beam_size], [None], [None]]
    return tuple(tf.TensorShape(s) for s in [*shapes, [None, width], [None, width]])


def _best_words(weights, table, last, hidden, cell, gates, beam_size, source=None, bias=None):
    """The K best next words of R hypotheses: ids and log-probabilities (R, K), and their new state (R, H)."""
    logits, hidden, cell = step(weights, table, last, hidden, cell, gates, source)
    if bias is not None:
        logits += bias
    best, words = _top_words(logits, beam_size)
    return words, best - tf.reduce_logsumexp(logits, axis=1, keepdims=True), hidden, cell


def _continuations(rows, live, words, picked):
    """Continuations (B, K, K) of all hypotheses from those computed, words and log-probabilities (R, K) at `rows`.

    One that is not live has a single continuation: itself, its score unchanged.
    """
    shape = [*tf.unstack(tf.shape(live)), words.shape[1]]
    itself = tf.broadcast_to(tf.where(tf.range(words.shape[1]) == 0, 0.0, _NEVER), [shape[0] * shape[1], shape[2]])
    computed = tf.reshape(live, [-1, 1])
    words = tf.where(computed, tf.scatter_nd(rows[:, None], words, tf.shape(itself)), 0)
    picked = tf.where(computed, tf.tensor_scatter_nd_update(itself, rows[:, None], picked), itself)
    return tf.reshape(words, shape), tf.reshape(picked, shape)


def _next_rows(rows, parent, live, static_shapes):
    """Where the parents of the hypotheses to compute next are among `rows`, and those hypotheses' flat numbers."""
    batch, beam_size = tf.unstack(tf.shape(parent))
    place = tf.scatter_nd(rows[:, None], tf.range(tf.size(rows)), [batch * beam_size])
    following = tf.range(batch * beam_size)
    if not static_shapes:
        following = tf.boolean_mask(following, tf.reshape(live, [-1]))
    parents = tf.reshape(parent + beam_size * tf.range(batch)[:, None], [-1])
    return tf.gather(place, tf.gather(parents, following)), following


def _lengths(tokens, live):
    """Words of each hypothesis and, unless it is still live, its <end>: float32 (B, K), at least 1."""
    words = tf.reduce_sum(tf.cast(tokens != 0, tf.float32), axis=2)
    return tf.maximum(words + tf.cast(tf.logical_not(live), tf.float32), 1.0)


def _top_words(logits: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor]:
    """`tf.math.top_k` of float32 (R, V), lower ids first among equals, several times faster on wide rows.

    The best `count` words lie in the `count` blocks with the best maxima; only those are searched.
    """
    size = logits.shape[1]
    if size < 4 * BLOCK * count:
        return tf.math.top_k(logits, count)
    padded = tf.pad(logits, [[0, 0], [0, -size % BLOCK]], constant_values=_NEVER)
    blocks = tf.reshape(padded, [-1, padded.shape[1] // BLOCK, BLOCK])
    chosen = tf.sort(tf.math.top_k(tf.reduce_max(blocks, axis=2), count).indices, axis=1)
    candidates = tf.reshape(tf.gather(blocks, chosen, batch_dims=1), [-1, count * BLOCK])
    best, place = tf.math.top_k(candidates, count)
    return best, tf.gather(chosen, place // BLOCK, batch_dims=1) * BLOCK + place % BLOCK


def _select(candidates, words, picked, beam_size):
    """The K best of K x K candidates (B, beam, word rank): score, word, parent beam and log-probability (B, K)."""

    def ranked(values):  # word rank first, then beam: the release's stable order
        return tf.reshape(tf.transpose(values, [0, 2, 1]), [-1, beam_size * beam_size])

    scores, place = tf.math.top_k(ranked(candidates), beam_size)
    word = tf.gather(ranked(words), place, batch_dims=1)
    gained = tf.gather(ranked(picked), place, batch_dims=1)
    return scores, word, place % beam_size, gained


def _append(tokens, log_probs, parent, word, gained, t):
    here = tf.equal(tf.range(tf.shape(tokens)[2]), t)  # an equality mask: one_hot on a scalar index breaks ONNX
    tokens = tf.where(here, word[:, :, None], tf.gather(tokens, parent, batch_dims=1))
    log_probs = tf.where(here, gained[:, :, None], tf.gather(log_probs, parent, batch_dims=1))
    return tokens, log_probs
