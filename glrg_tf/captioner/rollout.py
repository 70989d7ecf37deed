"""Training-time decoding with shared prefixes: one row of work per distinct (video, prefix).

The captions of a video begin alike ("a man is ..."), and under teacher forcing or sampling the LSTM state is a
function of (video, prefix) alone. Each step therefore advances the distinct prefixes only (a trie, built in the
graph level by level), and captions point at rows. Finished captions leave; padding costs nothing.

Departures from the release:
- the dropout mask on the LSTM output belongs to the row, so captions of one video share it while they share a prefix;
- gradients are written by hand (the recurrent weight's gradient is one product after the loop); tests hold them
  against automatic differentiation of the plain step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from glrg_tf.captioner.decoder import DecoderWeights, lstm_cell, vocabulary_logits

_FULL_TABLE_LIMIT = 3000  # up to this vocabulary, projecting every word once is cheaper than the words met at each step
START_ID = 1


class RolloutInputs(NamedTuple):
    """Which token each caption reads at each step. N = B * G captions, video-major order."""

    labels: tf.Tensor  # int32 (N, T + 1): <start>, words, 0, 0, ... (ground truth; ignored where drawn)
    draws: tf.Tensor | None  # bool (N, T + 1): input at that step is drawn from the model; None: never
    free: bool  # True: a target is the next input (sampling); False: targets stay the labels (scheduled sampling)
    steps: int  # T, the most steps to take
    captions_per_video: int  # G
    dropout: float  # rate on the LSTM output
    seed: tf.Tensor | None  # int32 (2,): dropout masks and draws; None: neither
    stop_at_end: bool = True  # False: keep decoding after <end>, as the released sampler does
    mask_per_caption: bool = False  # LSTM output dropout drawn for each caption, not for each shared prefix


class Rollout(NamedTuple):
    """What was read and predicted: P positions, one for each (caption, step) that has a target."""

    log_probs: tf.Tensor  # float32 (P,), log p(target); carries the gradient
    captions: tf.Tensor  # int32 (P,), caption of the position, 0..N-1
    steps: tf.Tensor  # int32 (P,), step of the position, 0..T-1
    targets: tf.Tensor  # int32 (P,)
    rows: tf.Tensor  # int32 (P,), distinct prefix of the position, 0..R-1
    row_count: tf.Tensor  # int32 (), R: how many distinct prefixes were computed

    def token_ids(self, caption_count: tf.Tensor, steps: int) -> tf.Tensor:
        """Targets as a matrix int32 (N, T), zero where a caption has ended."""
        where = tf.stack([self.captions, self.steps], axis=1)
        return tf.scatter_nd(where, self.targets, tf.stack([caption_count, steps]))


def rollout(weights: DecoderWeights, video_gates: tf.Tensor, inputs: RolloutInputs) -> Rollout:
    """Decodes all captions of a batch and returns the log-probabilities of their targets.

    Args:
        weights: the decoder's tensors.
        video_gates: float32 (B, 4H), the video's part of the gates.
        inputs: what to read (see `RolloutInputs`).

    Returns:
        A `Rollout`; `log_probs` is differentiable in every weight and in `video_gates`.
    """

    @tf.custom_gradient
    def run(video: tf.Tensor, *tensors: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], Callable[..., list[tf.Tensor]]]:
        engine = _Engine(DecoderWeights(*tensors), video, inputs)
        outputs = engine.forward()

        def gradient(upstream: tf.Tensor, *_: tf.Tensor) -> list[tf.Tensor]:
            return engine.backward(upstream)

        return outputs, gradient

    log_probs, captions, steps, targets, rows, count = run(video_gates, *weights)
    return Rollout(log_probs, *(tf.stop_gradient(x) for x in (captions, steps, targets, rows, count)))


class _Engine:
    """One forward pass and, from what it kept, one backward pass."""

    def __init__(self, weights: DecoderWeights, video_gates: tf.Tensor, inputs: RolloutInputs) -> None:
        self.weights, self.video_gates, self.inputs = weights, video_gates, inputs
        self.hidden_size = weights.recurrent_kernel.shape[0]
        self.vocabulary_size = weights.embedding.shape[0]
        self.caption_count = tf.shape(inputs.labels)[0]
        self.keeps_logits = inputs.draws is not None and inputs.free  # every row's logits are needed to draw
        # Sampled captions have left their shared prefixes after two or three words: nothing to spread there.
        self.spreads = bool(inputs.mask_per_caption and inputs.dropout and not self.keeps_logits)
        self.word_gates = self._word_projection()

    # --- forward -----------------------------------------------------------------------------------------------

    def forward(self) -> tuple[tf.Tensor, ...]:
        inputs, videos = self.inputs, tf.shape(self.video_gates)[0]
        captions = tf.range(self.caption_count)
        if inputs.draws is not None:
            self.uniforms = tf.random.stateless_uniform([self.caption_count, inputs.steps], self._seed(1))
        names = ["hidden", "cell", "input", "forget", "candidate", "output", "tanh", "mask"]
        names += ["logits"] * self.keeps_logits
        widths = dict.fromkeys(names, self.hidden_size) | {"logits": self.vocabulary_size}
        arrays = {n: _array(tf.float32, [None, widths[n]]) for n in names}
        arrays |= {
            n: _array(tf.int32, [None]) for n in ("token", "parent", "video", "caption", "row", "target", "step")
        }
        order = list(arrays)
        zeros = tf.zeros([videos, self.hidden_size])

        def body(t, caption, row, token, parent, video, hidden, cell, base, *stores):
            store = dict(zip(order, stores, strict=True))
            gates = self.word_gates(token) + tf.gather(self.video_gates, video)
            gates += tf.matmul(tf.gather(hidden, parent), self.weights.recurrent_kernel)
            state = lstm_cell(gates, tf.gather(cell, parent))
            mask = self._dropout_mask(tf.shape(token)[0], t)
            dropped = state.hidden if mask is None else state.hidden * mask
            kept = dict(zip(names[:7], state, strict=True))
            kept["mask"] = tf.zeros([0, self.hidden_size]) if mask is None else mask
            read = self._next_inputs(t, caption, row, dropped, kept)
            target = read if inputs.free else tf.gather_nd(inputs.labels, tf.stack([caption, _fill(t + 1, caption)], 1))
            kept |= {"token": token, "parent": parent, "video": video, "caption": caption, "row": row + base}
            kept |= {"target": target, "step": _fill(t, caption)}
            stores = [store[name].write(t, kept[name]) for name in order]
            alive = tf.not_equal(target, 0) if inputs.stop_at_end else tf.ones_like(target, tf.bool)
            survivors = tf.reshape(tf.where(alive), [-1])
            key = tf.gather(row, survivors) * self.vocabulary_size + tf.gather(read, survivors)
            distinct, new_row = tf.unique(key)
            new_parent = distinct // self.vocabulary_size
            return (
                t + 1,
                tf.gather(caption, survivors),
                new_row,
                distinct % self.vocabulary_size,
                new_parent,
                tf.gather(video, new_parent),
                state.hidden,
                state.cell,
                base + tf.shape(token)[0],
                *stores,
            )

        def more(t, caption, *_):
            return tf.logical_and(t < inputs.steps, tf.size(caption) > 0)

        start = (0, captions, captions // inputs.captions_per_video, tf.fill([videos], START_ID))
        start += (tf.range(videos), tf.range(videos), zeros, zeros, 0)
        shapes = [tf.TensorShape(s) for s in ([], [None], [None], [None], [None], [None])]
        shapes += [tf.TensorShape([None, self.hidden_size])] * 2 + [tf.TensorShape([])]
        shapes += [tf.TensorShape(None)] * len(order)
        result = tf.while_loop(more, body, (*start, *arrays.values()), shape_invariants=tuple(shapes))
        self.levels, self.arrays = result[0], dict(zip(order, result[9:], strict=True))
        return self._head(row_count=result[8])

    def _head(self, row_count: tf.Tensor) -> tuple[tf.Tensor, ...]:
        arrays = self.arrays
        self.rows, self.targets = arrays["row"].concat(), arrays["target"].concat()
        self.dropped = arrays["hidden"].concat()
        self.head_rows = self.rows  # row of the logits that each position reads
        if self.spreads:
            self.dropped = tf.gather(self.dropped, self.rows)
            self.head_rows = tf.range(tf.size(self.rows))
            self.mask = dropout_mask([tf.size(self.rows), self.hidden_size], self.inputs.dropout, self._seed(0))
            self.dropped *= self.mask
        elif self.inputs.dropout:
            self.mask = arrays["mask"].concat()
            self.dropped *= self.mask
        logits = arrays["logits"].concat() if self.keeps_logits else vocabulary_logits(self.dropped, self.weights)
        normaliser = tf.reduce_logsumexp(logits, axis=1)
        picked = tf.gather_nd(logits, tf.stack([self.head_rows, self.targets], axis=1))
        log_probs = picked - tf.gather(normaliser, self.head_rows)
        self.logits, self.normaliser, self.row_count = logits, normaliser, row_count
        captions, steps = arrays["caption"].concat(), arrays["step"].concat()
        return log_probs, captions, steps, self.targets, self.rows, row_count

    def _next_inputs(self, t, caption, row, dropped, kept):
        """The token each living caption reads at step t + 1."""
        where = tf.stack([caption, _fill(t + 1, caption)], axis=1)
        labels = tf.gather_nd(self.inputs.labels, where)
        if self.inputs.draws is None:
            return labels
        chosen = tf.gather_nd(self.inputs.draws, where)
        uniforms = tf.gather_nd(self.uniforms, tf.stack([caption, _fill(t, caption)], axis=1))
        if self.keeps_logits:
            kept["logits"] = vocabulary_logits(dropped, self.weights)
            return tf.where(chosen, draw(kept["logits"], row, uniforms), labels)
        # Scheduled sampling: only the rows where a coin fell need a distribution.
        fallen = tf.reshape(tf.where(chosen), [-1])
        needed, local = tf.unique(tf.gather(row, fallen))
        drawn = draw(vocabulary_logits(tf.gather(dropped, needed), self.weights), local, tf.gather(uniforms, fallen))
        return tf.tensor_scatter_nd_update(labels, fallen[:, None], drawn)

    def _word_projection(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """A function from token ids (R,) to their part of the gates (R, 4H), sharing work between equal words."""
        weights = self.weights
        if self.inputs.draws is None:
            distinct, _ = tf.unique(tf.reshape(self.inputs.labels, [-1]))
            table = tf.matmul(tf.gather(weights.embedding, distinct), weights.word_kernel)
            place = tf.scatter_nd(distinct[:, None], tf.range(tf.size(distinct)), [self.vocabulary_size])
            return lambda token: tf.gather(table, tf.gather(place, token))
        if self.vocabulary_size <= _FULL_TABLE_LIMIT:
            table = tf.matmul(weights.embedding, weights.word_kernel)
            return lambda token: tf.gather(table, token)

        def project(token: tf.Tensor) -> tf.Tensor:
            distinct, place = tf.unique(token)
            return tf.gather(tf.matmul(tf.gather(weights.embedding, distinct), weights.word_kernel), place)

        return project

    def _dropout_mask(self, rows: tf.Tensor, t: tf.Tensor) -> tf.Tensor | None:
        if not self.inputs.dropout:
            return None
        return dropout_mask([rows, self.hidden_size], self.inputs.dropout, self._seed(2 + t))

    def _seed(self, stream: int | tf.Tensor) -> tf.Tensor:
        return tf.random.experimental.stateless_fold_in(self.inputs.seed, stream)

    # --- backward ----------------------------------------------------------------------------------------------

    def backward(self, upstream: tf.Tensor) -> list[tf.Tensor]:
        """Gradients of (video_gates, *weights) from d loss / d log_probs, float32 (P,)."""
        weights = self.weights
        row_weight = tf.math.unsorted_segment_sum(upstream, self.head_rows, tf.size(self.normaliser))
        probabilities = tf.exp(self.logits - self.normaliser[:, None])
        where = tf.stack([self.head_rows, self.targets], axis=1)
        d_logits = tf.tensor_scatter_nd_add(probabilities * -row_weight[:, None], where, upstream)
        d_hidden = tf.matmul(d_logits, weights.logits_kernel, transpose_b=True)
        if self.inputs.dropout:
            d_hidden *= self.mask
        if self.spreads:
            d_hidden = tf.math.unsorted_segment_sum(d_hidden, self.rows, self.row_count)
        d_gates = self._backward_through_time(d_hidden)
        arrays = self.arrays
        token, video = arrays["token"].concat(), arrays["video"].concat()
        distinct, place = tf.unique(token)
        d_table = tf.math.unsorted_segment_sum(d_gates, place, tf.size(distinct))
        word_rows = tf.gather(weights.embedding, distinct)
        d_words = tf.matmul(d_table, weights.word_kernel, transpose_b=True)
        d_embedding = tf.scatter_nd(distinct[:, None], d_words, tf.shape(weights.embedding))
        return [
            tf.math.unsorted_segment_sum(d_gates, video, tf.shape(self.video_gates)[0]),
            d_embedding,  # dense: a global norm over repeated IndexedSlices would be another number
            tf.matmul(word_rows, d_table, transpose_a=True),
            tf.matmul(self._parent_states(), d_gates, transpose_a=True),
            tf.matmul(self.dropped, d_logits, transpose_a=True),
            tf.reduce_sum(d_logits, axis=0),
        ]

    def _parent_states(self) -> tf.Tensor:
        """Hidden state each row started from, float32 (R, H); zero on the first level."""
        hidden, parent = self.arrays["hidden"], self.arrays["parent"]
        first = tf.zeros([tf.shape(self.video_gates)[0], self.hidden_size])

        def body(t, store):
            return t + 1, store.write(t, tf.gather(hidden.read(t - 1), parent.read(t)))

        store = _array(tf.float32, [None, self.hidden_size]).write(0, first)
        return tf.while_loop(lambda t, _: t < self.levels, body, (1, store))[1].concat()

    def _backward_through_time(self, d_hidden: tf.Tensor) -> tf.Tensor:
        """D loss / d gates float32 (R, 4H) from d loss / d hidden (R, H) of the heads."""
        arrays, recurrent, width = self.arrays, self.weights.recurrent_kernel, self.hidden_size

        def body(t, end, dh_next, dc_next, store):
            parent, tanh_cell, output = arrays["parent"].read(t), arrays["tanh"].read(t), arrays["output"].read(t)
            input_gate, forget, candidate = (arrays[n].read(t) for n in ("input", "forget", "candidate"))
            above = tf.maximum(t - 1, 0)
            cell_above = arrays["cell"].read(above)
            old_cell = tf.where(t > 0, 1.0, 0.0) * tf.gather(cell_above, parent)
            start = end - tf.shape(parent)[0]
            dh = d_hidden[start:end] + dh_next
            dc = dc_next + dh * output * (1.0 - tanh_cell * tanh_cell)
            d_gates = tf.concat(
                [
                    dc * candidate * input_gate * (1.0 - input_gate),
                    dc * old_cell * forget * (1.0 - forget),
                    dc * input_gate * (1.0 - candidate * candidate),
                    dh * tanh_cell * output * (1.0 - output),
                ],
                axis=1,
            )
            rows_above = tf.shape(cell_above)[0]
            d_previous = tf.matmul(d_gates, recurrent, transpose_b=True)
            return (
                t - 1,
                start,
                tf.math.unsorted_segment_sum(d_previous, parent, rows_above),
                tf.math.unsorted_segment_sum(dc * forget, parent, rows_above),
                store.write(t, d_gates),
            )

        last = self.levels - 1
        zeros = tf.zeros_like(arrays["cell"].read(last))
        store = tf.TensorArray(tf.float32, self.levels, element_shape=[None, 4 * width], infer_shape=False)
        shapes = [tf.TensorShape([]), tf.TensorShape([])] + [tf.TensorShape([None, width])] * 2 + [tf.TensorShape(None)]
        loop = (last, tf.shape(d_hidden)[0], zeros, zeros, store)
        return tf.while_loop(lambda t, *_: t >= 0, body, loop, shape_invariants=tuple(shapes))[4].concat()


def draw(logits: tf.Tensor, rows: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    """Draws one token for each caption from its row's distribution by inverting the cumulative sum.

    A caption's draw depends on its own uniform number alone, so sharing rows changes nothing.

    Args:
        logits: float32 (R, V).
        rows: int32 (n,), the row each caption stands on.
        uniforms: float32 (n,) in [0, 1).

    Returns:
        int32 (n,) token ids.
    """
    size = logits.shape[1]
    cumulative = tf.cumsum(tf.nn.softmax(logits), axis=1)
    flat = tf.reshape(cumulative, [-1])
    base = rows * size
    wanted = uniforms * tf.gather(flat, base + size - 1)
    low, high = tf.zeros_like(rows), tf.fill(tf.shape(rows), size - 1)
    for _ in range((size - 1).bit_length()):
        middle = (low + high) // 2
        beyond = tf.gather(flat, base + middle) > wanted
        low, high = tf.where(beyond, low, middle + 1), tf.where(beyond, middle, high)
    return tf.minimum(low, size - 1)


def dropout_mask(shape: list[int | tf.Tensor], rate: float, seed: tf.Tensor) -> tf.Tensor:
    """Inverted dropout mask float32 `shape`: 0 with probability `rate`, else 1 / (1 - rate); a function of `seed`."""
    keep = tf.random.stateless_uniform(shape, seed) >= rate
    return tf.cast(keep, tf.float32) / (1.0 - rate)


def _array(dtype: tf.DType, element_shape: list[int | None]) -> tf.TensorArray:
    return tf.TensorArray(
        dtype, 0, dynamic_size=True, element_shape=element_shape, infer_shape=False, clear_after_read=False
    )


def _fill(value: int | tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    return tf.zeros_like(like) + value
