"""Training-time decoding with shared prefixes: one row of work per distinct (video, prefix).

The captions of a video begin alike ("a man is ..."), and under teacher forcing or sampling the LSTM state is a
function of (video, prefix) alone. Each step therefore advances the distinct prefixes only (a trie, built in the
graph level by level), and captions point at rows. Finished captions leave; padding costs nothing. Rows with the same
parent share its recurrent product, which is made once for each row that has children (a *source* of the next level).

Departures from the release:
- the dropout mask on the LSTM output belongs to the row, so captions of one video share it while they share a prefix
  (`mask_per_caption` gives each its own, at the price of logits for every position);
- gradients are written by hand (`rollout_gradient.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from glrg_tf.captioner.decoder import DecoderWeights, lstm_cell, vocabulary_logits
from glrg_tf.captioner.distributions import Shard, draw_from, dropout_mask, padded_head, target_log_probs
from glrg_tf.captioner.rollout_gradient import Kept, gradients

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
    shard: Shard = Shard()  # which videos of the global batch these are


class Rollout(NamedTuple):
    """What was read and predicted: P positions, one for each (caption, step) that has a target."""

    log_probs: tf.Tensor  # float32 (P,), log p(target); carries the gradient
    captions: tf.Tensor  # int32 (P,), caption of the position, 0..N-1
    steps: tf.Tensor  # int32 (P,), step of the position, 0..T-1
    targets: tf.Tensor  # int32 (P,)
    rows: tf.Tensor  # int32 (P,), distinct prefix of the position, 0..R-1
    row_count: tf.Tensor  # int32 (), R: how many distinct prefixes were computed
    valid: tf.Tensor | None = None  # bool (P,), False beyond a caption's end (static_rollout.py); None: all are valid

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
        forward = _Forward(DecoderWeights(*tensors), video, inputs)
        outputs, kept = forward.run()

        def gradient(upstream: tf.Tensor, *_: tf.Tensor) -> list[tf.Tensor]:
            return gradients(DecoderWeights(*tensors), kept, upstream)

        return outputs, gradient

    log_probs, captions, steps, targets, rows, count = run(video_gates, *weights)
    return Rollout(log_probs, *(tf.stop_gradient(x) for x in (captions, steps, targets, rows, count)))


class _Level(NamedTuple):
    """The rows of one step, n of them, with the captions that stand on them and the m sources they come from."""

    caption: tf.Tensor  # int32 (c,), captions still alive
    row: tf.Tensor  # int32 (c,), the row each stands on
    token: tf.Tensor  # int32 (n,), what the row reads
    parent: tf.Tensor  # int32 (n,), its row in the level above
    source: tf.Tensor  # int32 (n,), its parent's place among the sources; rises from row to row
    video: tf.Tensor  # int32 (n,)
    source_row: tf.Tensor  # int32 (m,), row of each source in the level above
    source_video: tf.Tensor  # int32 (m,)
    source_hidden: tf.Tensor  # float32 (m, H)
    source_gates: tf.Tensor  # float32 (m, 4H), recurrent product and video part
    cell: tf.Tensor  # float32 (n above, H)


_KEPT_INTEGERS = ("token", "parent", "source", "source_row", "source_video", "caption", "row", "target", "step")


class _Forward:
    """One forward pass, level by level, keeping what the gradient needs."""

    def __init__(self, weights: DecoderWeights, video_gates: tf.Tensor, inputs: RolloutInputs) -> None:
        self.weights, self.video_gates, self.inputs = weights, video_gates, inputs
        self.hidden_size = weights.recurrent_kernel.shape[0]
        self.vocabulary_size = weights.embedding.shape[0]
        self.caption_count = tf.shape(inputs.labels)[0]
        self.head = padded_head(weights)
        self.draws_everywhere = inputs.draws is not None and inputs.free  # every row's distribution is needed
        # Sampled captions have left their shared prefixes after two or three words: nothing to spread there.
        self.spreads = bool(inputs.mask_per_caption and inputs.dropout and not self.draws_everywhere)
        self.masks_rows = bool(inputs.dropout) and not self.spreads
        if inputs.draws is not None:
            self.uniforms = uniforms(inputs, self._seed(1))

    def run(self) -> tuple[tuple[tf.Tensor, ...], Kept]:
        """Outputs of `Rollout` and what the gradient needs."""
        arrays = self._arrays()
        self.words = self._words()
        names = list(arrays)

        def body(t, base, level, *stores):
            written, level = self._step(t, base, level)
            stores = [store.write(t, written[name]) for name, store in zip(names, stores, strict=True)]
            return t + 1, base + tf.shape(written["token"])[0], level, *stores

        def more(t, base, level, *_):
            return tf.logical_and(t < self.inputs.steps, tf.size(level.caption) > 0)

        loop = (0, 0, self._first_level(), *arrays.values())
        end = tf.while_loop(more, body, loop, shape_invariants=_shapes(loop))
        levels, row_count, stores = end[0], end[1], dict(zip(names, end[3:], strict=True))
        return self._head(stores, levels, row_count)

    # --- levels ------------------------------------------------------------------------------------------------

    def _arrays(self) -> dict[str, tf.TensorArray]:
        names = ["source_hidden", "old_cell", "input", "forget", "candidate", "output", "tanh", "dropped"]
        names += ["mask"] * self.masks_rows
        arrays = {name: _array(tf.float32, [None, self.hidden_size]) for name in names}
        arrays |= {name: _array(tf.int32, [None]) for name in _KEPT_INTEGERS}
        if self.draws_everywhere:
            arrays["probabilities"] = _array(tf.float32, [None, self.head.logits_bias.shape[0]])
            arrays["log_prob"] = _array(tf.float32, [None])
        return arrays

    def _first_level(self) -> _Level:
        videos = tf.shape(self.video_gates)[0]
        captions, each = tf.range(self.caption_count), tf.range(videos)
        zeros = tf.zeros([videos, self.hidden_size])
        start, row = tf.fill([videos], START_ID), captions // self.inputs.captions_per_video
        return _Level(captions, row, start, each, each, each, each, each, zeros, self.video_gates, zeros)

    def _step(self, t, base, level: _Level):
        old_cell = tf.gather(level.cell, level.parent)
        state = lstm_cell(self._word_gates(level.token) + tf.gather(level.source_gates, level.source), old_cell)
        dropped = state.hidden
        written = level._asdict() | {"old_cell": old_cell, "tanh": state.tanh_cell, "output": state.output_gate}
        written |= {"input": state.input_gate, "forget": state.forget_gate, "candidate": state.candidate}
        if self.masks_rows:
            written["mask"] = self._row_mask(t, level.video)
            dropped *= written["mask"]
        read = self._next_inputs(t, level, dropped, written)
        target = read if self.inputs.free else self._labels(t + 1, level.caption)
        written |= {"dropped": dropped, "row": level.row + base, "target": target, "step": _fill(t, target)}
        alive = tf.not_equal(target, 0) if self.inputs.stop_at_end else tf.ones_like(target, tf.bool)
        survivors = tf.reshape(tf.where(alive), [-1])
        key = tf.gather(level.row, survivors) * self.vocabulary_size + tf.gather(read, survivors)
        return written, self._next_level(level, tf.gather(level.caption, survivors), key, state)

    def _row_mask(self, t, video):
        """Dropout of the rows float32 (n, H): drawn for (place among its video's rows, video of the global batch)."""
        videos = tf.shape(self.video_gates)[0]
        place = tf.range(tf.size(video)) - tf.gather(tf.searchsorted(video, tf.range(videos)), video)
        shard, most = self.inputs.shard, tf.reduce_max(place) + 1
        size = [most * shard.of_all(videos), self.hidden_size]
        rows = place * shard.of_all(videos) + shard.first + video
        return dropout_mask(size, self.inputs.dropout, self._seed(2 + t), rows)

    def _next_level(self, level: _Level, caption, key, state) -> _Level:
        distinct, place = tf.unique(key)
        order = tf.argsort(distinct)  # rows in the order of their parents: sums over siblings are then runs
        distinct = tf.gather(distinct, order)
        parent = distinct // self.vocabulary_size
        source_row, source = tf.unique(parent)
        source_video = tf.gather(level.video, source_row)
        source_hidden = tf.gather(state.hidden, source_row)
        gates = tf.matmul(source_hidden, self.weights.recurrent_kernel) + tf.gather(self.video_gates, source_video)
        return _Level(
            caption,
            tf.gather(tf.math.invert_permutation(order), place),
            distinct % self.vocabulary_size,
            parent,
            source,
            tf.gather(source_video, source),
            source_row,
            source_video,
            source_hidden,
            gates,
            state.cell,
        )

    def _next_inputs(self, t, level: _Level, dropped, written):
        """The token each living caption reads at step t + 1."""
        labels = self._labels(t + 1, level.caption)
        if self.inputs.draws is None:
            return labels
        chosen = tf.gather_nd(self.inputs.draws, tf.stack([level.caption, _fill(t + 1, labels)], axis=1))
        uniforms = tf.gather_nd(self.uniforms, tf.stack([level.caption, _fill(t, labels)], axis=1))
        if self.draws_everywhere:
            written["probabilities"] = probabilities = self._probabilities(dropped)
            read = tf.where(chosen, draw_from(probabilities, level.row, uniforms), labels)
            written["log_prob"] = self._target_log_probs(probabilities, level.row, read, dropped)
            return read
        # Scheduled sampling: only the rows where a coin fell need a distribution.
        fallen = tf.reshape(tf.where(chosen), [-1])
        needed, local = tf.unique(tf.gather(level.row, fallen))
        probabilities = self._probabilities(tf.gather(dropped, needed))
        drawn = draw_from(probabilities, local, tf.gather(uniforms, fallen))
        return tf.tensor_scatter_nd_update(labels, fallen[:, None], drawn)

    def _labels(self, t, caption):
        return tf.gather_nd(self.inputs.labels, tf.stack([caption, _fill(t, caption)], axis=1))

    # --- words -------------------------------------------------------------------------------------------------

    def _words(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The words' part of the gates for all words of the labels: place of each word or -1 (V,), table (W, 4H)."""
        weights = self.weights
        distinct, _ = tf.unique(tf.reshape(self.inputs.labels, [-1]))
        table = tf.matmul(tf.gather(weights.embedding, distinct), weights.word_kernel)
        unmet = tf.fill([self.vocabulary_size], -1)
        return tf.tensor_scatter_nd_update(unmet, distinct[:, None], tf.range(tf.size(distinct))), table

    def _word_gates(self, token: tf.Tensor) -> tf.Tensor:
        """The words' part of the gates float32 (n, 4H); drawn words that no label holds are projected here."""
        place, table = self.words
        place = tf.gather(place, token)
        gates = tf.gather(table, tf.maximum(place, 0))
        if self.inputs.draws is None:
            return gates
        unmet = tf.where(place < 0)  # (u, 1)
        distinct, which = tf.unique(tf.gather_nd(token, unmet))
        projected = tf.matmul(tf.gather(self.weights.embedding, distinct), self.weights.word_kernel)
        return tf.tensor_scatter_nd_update(gates, unmet, tf.gather(projected, which))

    # --- head --------------------------------------------------------------------------------------------------

    def _head(self, stores: dict[str, tf.TensorArray], levels, row_count) -> tuple[tuple[tf.Tensor, ...], Kept]:
        rows, targets, dropped = (stores[name].concat() for name in ("row", "target", "dropped"))
        head_rows, mask = rows, None  # head_rows: row of the logits that each position reads
        if self.spreads:
            head_rows = tf.range(tf.size(rows))
            shard, each = self.inputs.shard, self.inputs.captions_per_video
            count = shard.of_all(self.caption_count, each)
            place = stores["step"].concat() * count + shard.first * each + stores["caption"].concat()
            size = [levels * count, self.hidden_size]
            mask = dropout_mask(size, self.inputs.dropout, self._seed(0), place)
            dropped = tf.gather(dropped, rows) * mask
        if self.draws_everywhere:
            probabilities, log_probs = stores["probabilities"].concat(), stores["log_prob"].concat()
        else:
            probabilities = self._probabilities(dropped)
            log_probs = self._target_log_probs(probabilities, head_rows, targets, dropped)
        outputs = log_probs, stores["caption"].concat(), stores["step"].concat(), targets, rows, row_count
        videos = tf.shape(self.video_gates)[0]
        kept = Kept(
            stores, levels, videos, self.head, rows, head_rows, row_count, targets, dropped, probabilities, mask
        )
        return outputs, kept

    def _probabilities(self, hidden: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(vocabulary_logits(hidden, self.head))

    def _target_log_probs(self, probabilities, rows, targets, hidden) -> tf.Tensor:
        return target_log_probs(probabilities, rows, targets, lambda: vocabulary_logits(hidden, self.head))

    def _seed(self, stream: int | tf.Tensor) -> tf.Tensor:
        return tf.random.experimental.stateless_fold_in(self.inputs.seed, stream)


def uniforms(inputs: RolloutInputs, seed: tf.Tensor) -> tf.Tensor:
    """What decides the draws, float32 (N, T) in [0, 1)."""
    captions, each, shard = tf.shape(inputs.labels)[0], inputs.captions_per_video, inputs.shard
    drawn = tf.random.stateless_uniform([shard.of_all(captions, each), inputs.steps], seed)
    return shard.take(drawn, captions, each)


def _array(dtype: tf.DType, element_shape: list[int | None]) -> tf.TensorArray:
    return tf.TensorArray(
        dtype, 0, dynamic_size=True, element_shape=element_shape, infer_shape=False, clear_after_read=False
    )


def _fill(value: int | tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    return tf.zeros_like(like) + value


def _shapes(loop):
    """Shape invariants: every row count may change, widths stay."""

    def loosen(value):
        if isinstance(value, tf.TensorArray) or not hasattr(value, "shape"):
            return tf.TensorShape(None) if isinstance(value, tf.TensorArray) else tf.TensorShape([])
        return tf.TensorShape([None, *value.shape[1:]]) if value.shape.rank else value.shape

    return tf.nest.map_structure(loosen, loop)
