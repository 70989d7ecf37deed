"""Training-time decoding in static shapes, for steps compiled by XLA: one row a caption, every step to the end.

The same meaning as `rollout.py`, and the same step (`lstm_cell`, `vocabulary_logits`, word + video + recurrent gates),
without what XLA cannot lower well: no shared prefixes, no lists of what is still alive. Positions beyond a caption's
end are computed and then masked (`Rollout.valid`). On a GPU this is the faster form, on a CPU by far the slower one.

How many steps: as many as the batch's longest caption has, rounded up to a multiple of `STEP_BUCKET`
(`bucketed_steps`), so that labels of length 30 compile at most 8 times.

Differences from `rollout.py`:
- dropout on the LSTM output is drawn for each caption and step, as the release does, not for each shared prefix;
- the logits of sampled captions are made twice, one step at a time to draw and all at once for the gradient;
- stateless random numbers are others under XLA than outside of it (and may differ between devices).

Only the recurrence has a gradient written by hand: its weight's gradient is one product after the loop instead of one
a step. The rest is automatic.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from glrg_tf.captioner.decoder import DecoderWeights, lstm_cell, vocabulary_logits
from glrg_tf.captioner.distributions import draw_from, dropout_mask, padded_head
from glrg_tf.captioner.products import Product
from glrg_tf.captioner.rollout import START_ID, Rollout, RolloutInputs, uniforms

STEP_BUCKET = 4  # steps are rounded up to a multiple of it
_STATES = ("hidden", "cell", "input_gate", "forget_gate", "candidate", "output_gate")


def bucketed_steps(longest: int, max_length: int) -> int:
    """Steps to compile for captions of at most `longest` words, <end> to be predicted too; at most max_length - 1."""
    return min(-(-(longest + 1) // STEP_BUCKET) * STEP_BUCKET, max_length - 1)


def static_rollout(
    weights: DecoderWeights, video_gates: tf.Tensor, inputs: RolloutInputs, product: Product = tf.matmul
) -> Rollout:
    """Decodes all captions of a batch; see `rollout.rollout`.

    Args:
        weights: the decoder's tensors.
        video_gates: float32 (B, 4H).
        inputs: `steps` is a Python integer; `mask_per_caption` is always on here.
        product: matrix product, of low precision perhaps.

    Returns:
        A `Rollout` of all P = T * N positions, step by step, with `valid`; `log_probs` is zero where it is not.
    """
    count = _size(inputs.labels, 0)
    masks = _masks(inputs, count, weights.recurrent_kernel.shape[0])
    labels = tf.transpose(inputs.labels[:, : inputs.steps + 1])  # (T + 1, N)
    if inputs.draws is None:
        hidden, following = _recurrence(weights, video_gates, inputs, product, lambda t, _: labels[t + 1])
    else:
        hidden, following = _recurrence(weights, video_gates, inputs, product, _Draws(weights, inputs, masks, product))
    targets = following if inputs.free else labels[1:]
    valid = _before_end(targets) if inputs.stop_at_end else tf.ones_like(targets, tf.bool)
    if masks is not None:
        hidden *= masks
    logits = vocabulary_logits(tf.reshape(hidden, [-1, hidden.shape[2]]), weights, product)
    targets = tf.reshape(tf.where(valid, targets, 0), [-1])
    log_probs = -tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    valid = tf.reshape(valid, [-1])
    captions = tf.tile(tf.range(count), [inputs.steps])
    steps = tf.repeat(tf.range(inputs.steps), count)
    positions = tf.range(inputs.steps * count)
    log_probs = tf.where(valid, log_probs, 0.0)
    return Rollout(log_probs, captions, steps, targets, positions, tf.reduce_sum(tf.cast(valid, tf.int32)), valid)


def static_greedy(
    weights: DecoderWeights, video_gates: tf.Tensor, steps: int, product: Product = tf.matmul
) -> tf.Tensor:
    """The most probable words, int32 (B, T), zero from the first <end> on; no gradient. See `decoding.greedy`."""
    count = _size(video_gates, 0)

    def best(t: tf.Tensor, hidden: tf.Tensor) -> tf.Tensor:
        return tf.argmax(vocabulary_logits(hidden, weights, product), axis=1, output_type=tf.int32)

    inputs = RolloutInputs(tf.zeros([count, steps + 1], tf.int32), None, True, steps, 1, 0.0, None)
    _, tokens = _recurrence(weights, video_gates, inputs, product, best)
    return tf.stop_gradient(tf.transpose(tf.where(_before_end(tokens), tokens, 0)))


class _Draws:
    """What each caption reads after step t: its label, or where `draws` says so a word drawn from the model."""

    def __init__(
        self, weights: DecoderWeights, inputs: RolloutInputs, masks: tf.Tensor | None, product: Product
    ) -> None:
        self.head, self.inputs, self.masks, self.product = padded_head(weights), inputs, masks, product
        self.count = _size(inputs.labels, 0)
        seed = tf.random.experimental.stateless_fold_in(inputs.seed, 1)
        # The same numbers as in `rollout.py`, so that outside of XLA both draw the same captions.
        self.uniforms = uniforms(inputs, seed)

    def __call__(self, t: tf.Tensor | int, hidden: tf.Tensor) -> tf.Tensor:
        if self.masks is not None:
            hidden *= self.masks[t]
        probabilities = tf.nn.softmax(vocabulary_logits(hidden, self.head, self.product))
        drawn = draw_from(probabilities, tf.range(self.count), self.uniforms[:, t])
        return tf.where(self.inputs.draws[:, t + 1], drawn, self.inputs.labels[:, t + 1])


def _masks(inputs: RolloutInputs, count: int | tf.Tensor, width: int) -> tf.Tensor | None:
    """Dropout masks of the LSTM output float32 (T, N, H)."""
    if not inputs.dropout:
        return None
    seed = tf.random.experimental.stateless_fold_in(inputs.seed, 0)
    captions = inputs.shard.of_all(count, inputs.captions_per_video)
    mask = dropout_mask([inputs.steps * captions, width], inputs.dropout, seed)
    mask = tf.reshape(mask, [inputs.steps, captions, width])
    first = inputs.shard.first * inputs.captions_per_video
    return mask if inputs.shard.videos is None else mask[:, first : first + count]


def _before_end(targets: tf.Tensor) -> tf.Tensor:
    """Whether no <end> was predicted before each of the targets (T, N)."""
    living = tf.cast(tf.not_equal(targets, 0), tf.int32)
    return tf.math.cumprod(living, axis=0, exclusive=True) > 0


def _recurrence(
    weights: DecoderWeights,
    video_gates: tf.Tensor,
    inputs: RolloutInputs,
    product: Product,
    choose: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Hidden states float32 (T, N, H) and the words int32 (T, N) that `choose` (step, hidden (N, H)) reads next."""
    # Once for each word: one product over the vocabulary is cheaper than one over all positions.
    table = product(weights.embedding, weights.word_kernel)

    @tf.custom_gradient
    def run(
        table: tf.Tensor, video: tf.Tensor, kernel: tf.Tensor
    ) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable[..., list[tf.Tensor]]]:
        stores = _forward(table, video, kernel, inputs, product, choose)
        hidden, tokens = stores["hidden"], stores["token"]

        def gradient(d_hidden: tf.Tensor, _: tf.Tensor) -> list[tf.Tensor]:
            d_gates = _backward(kernel, stores, d_hidden, inputs.steps, product)
            flat = tf.reshape(d_gates, [-1, d_gates.shape[2]])
            videos = _size(video, 0)
            d_video = tf.reduce_sum(tf.reshape(d_gates, [inputs.steps, videos, -1, d_gates.shape[2]]), axis=[0, 2])
            before = tf.reshape(tf.concat([tf.zeros_like(hidden[:1]), hidden[:-1]], axis=0), [-1, hidden.shape[2]])
            d_table = tf.math.unsorted_segment_sum(flat, tf.reshape(tokens, [-1]), table.shape[0])
            return [d_table, d_video, product(tf.transpose(before), flat)]

        return (hidden, stores["following"]), gradient

    hidden, following = run(table, video_gates, weights.recurrent_kernel)
    return hidden, tf.stop_gradient(following)


def _forward(
    table: tf.Tensor,
    video: tf.Tensor,
    kernel: tf.Tensor,
    inputs: RolloutInputs,
    product: Product,
    choose: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> dict[str, tf.Tensor]:
    """Activations by name, each (T, N, H); `token` and `following` (T, N), the words read at and after each step."""
    count, width = _size(inputs.labels, 0), kernel.shape[0]
    video = tf.repeat(video, count // _size(video, 0), axis=0)

    def body(t: tf.Tensor, token: tf.Tensor, hidden: tf.Tensor, cell: tf.Tensor, *stores: tf.TensorArray) -> tuple:
        state = lstm_cell(tf.gather(table, token) + video + product(hidden, kernel), cell)
        following = choose(t, state.hidden)
        written = [*(getattr(state, name) for name in _STATES), token, following]
        stores = [store.write(t, value) for store, value in zip(stores, written, strict=True)]
        return t + 1, following, state.hidden, state.cell, *stores

    shapes = [tf.TensorShape([inputs.labels.shape[0], width])] * len(_STATES) + [inputs.labels.shape[:1]] * 2
    types = [tf.float32] * len(_STATES) + [tf.int32] * 2
    arrays = [tf.TensorArray(d, inputs.steps, element_shape=s) for d, s in zip(types, shapes, strict=True)]
    zeros = tf.zeros([count, width])
    loop = (0, tf.fill([count], START_ID), zeros, zeros, *arrays)
    end = tf.while_loop(lambda t, *_: t < inputs.steps, body, loop, maximum_iterations=inputs.steps)
    return {name: store.stack() for name, store in zip([*_STATES, "token", "following"], end[4:], strict=True)}


def _backward(
    kernel: tf.Tensor, stores: dict[str, tf.Tensor], d_hidden: tf.Tensor, steps: int, product: Product
) -> tf.Tensor:
    """The gradient at the gates float32 (T, N, 4H) from d loss / d hidden states (T, N, H)."""
    transposed = tf.transpose(kernel)
    cells_before = tf.concat([tf.zeros_like(stores["cell"][:1]), stores["cell"][:-1]], axis=0)

    def body(i: tf.Tensor, dh: tf.Tensor, dc: tf.Tensor, store: tf.TensorArray) -> tuple:
        t = steps - 1 - i
        input_gate, forget, candidate, output = (stores[name][t] for name in _STATES[2:])
        tanh_cell = tf.tanh(stores["cell"][t])
        dh += d_hidden[t]
        dc += dh * output * (1.0 - tanh_cell * tanh_cell)
        d_gates = tf.concat(
            [
                dc * candidate * input_gate * (1.0 - input_gate),
                dc * cells_before[t] * forget * (1.0 - forget),
                dc * input_gate * (1.0 - candidate * candidate),
                dh * tanh_cell * output * (1.0 - output),
            ],
            axis=1,
        )
        return i + 1, product(d_gates, transposed), dc * forget, store.write(t, d_gates)

    shape = tf.TensorShape([d_hidden.shape[1], 4 * kernel.shape[0]])
    array = tf.TensorArray(tf.float32, steps, element_shape=shape)
    zeros = tf.zeros_like(d_hidden[0])
    loop = (0, zeros, zeros, array)
    return tf.while_loop(lambda i, *_: i < steps, body, loop, maximum_iterations=steps)[3].stack()


def _size(tensor: tf.Tensor, axis: int) -> int | tf.Tensor:
    """A dimension, as a Python integer where it is static."""
    return tensor.shape[axis] if tensor.shape[axis] is not None else tf.shape(tensor)[axis]
