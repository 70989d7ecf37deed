"""The captioner written the slow, plain way: one step at a time, as the released code does.

Truth for the equality tests and the right-hand side of the benchmarks, so it favours being obviously right over being
fast: the word and the video are concatenated at every step, logits are computed at every position of every caption,
padding included, and no work is shared among the captions of a video. It imports nothing of `glrg_tf`.

Weights are a dictionary of arrays by the names of `WEIGHT_SHAPES`; any float type works (float64 for gradient checks).

Symbols: B videos, G captions a video, N = B*G, L = 30 label positions, S steps, V words, D feature width, H = 512.

Reference: GL-RG, `model.py`, class `CaptionModel`, model type "concat".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

Weights = Mapping[str, tf.Tensor]

LABEL_LENGTH = 30
MAX_WORDS = 28

WEIGHT_SHAPES: dict[str, Callable[[int, int, int], tuple[int, ...]]] = {
    "feature_pool/kernel": lambda v, d, h: (d, h),
    "feature_pool/bias": lambda v, d, h: (h,),
    "video_gates/kernel": lambda v, d, h: (h, 4 * h),
    "word_embedding/embeddings": lambda v, d, h: (v, h),
    "lstm/word_kernel": lambda v, d, h: (h, 4 * h),
    "lstm/recurrent_kernel": lambda v, d, h: (h, 4 * h),
    "logits/kernel": lambda v, d, h: (h, v),
    "logits/bias": lambda v, d, h: (v,),
}


def initial_weights(
    vocabulary_size: int, feature_width: int = 1700, hidden_size: int = 512, seed: int = 0, dtype: str = "float32"
) -> dict[str, np.ndarray]:
    """Draws weights as the release does: uniform within a bound of each tensor's own, bias 0."""
    generator = np.random.default_rng(seed)
    bounds = {"feature_pool": feature_width**-0.5, "word_embedding": 0.1, "logits": 0.1}
    weights = {}
    for name, shape_of in WEIGHT_SHAPES.items():
        bound = 0.0 if name == "logits/bias" else bounds.get(name.split("/")[0], hidden_size**-0.5)
        shape = shape_of(vocabulary_size, feature_width, hidden_size)
        weights[name] = generator.uniform(-bound, bound, shape).astype(dtype)
    return weights


def project_video(weights: Weights, features: tf.Tensor, video_mask: tf.Tensor | None = None) -> tf.Tensor:
    """v = dropout(ReLU(W x + b)).

    Args:
        weights: see `WEIGHT_SHAPES`.
        features: float (B, D).
        video_mask: float (B, H), the dropout mask divided by the keep rate; None for no dropout.

    Returns:
        float (B, H).
    """
    video = tf.nn.relu(tf.matmul(features, weights["feature_pool/kernel"]) + weights["feature_pool/bias"])
    return video if video_mask is None else video * video_mask


def lstm_step(
    weights: Weights, token_ids: tf.Tensor, video: tf.Tensor, state: tuple[tf.Tensor, tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """One step of the LSTM without bias on [word ; video]; gate order i, f, c, o.

    Args:
        weights: see `WEIGHT_SHAPES`.
        token_ids: int (N,).
        video: float (N, H), already repeated for each caption.
        state: h and c, float (N, H) each.

    Returns:
        The new h and c.
    """
    h, c = state
    kernel = tf.concat([weights["lstm/word_kernel"], weights["video_gates/kernel"]], axis=0)  # (2H, 4H)
    words = tf.gather(weights["word_embedding/embeddings"], token_ids)
    gates = tf.matmul(tf.concat([words, video], axis=1), kernel) + tf.matmul(h, weights["lstm/recurrent_kernel"])
    i, f, g, o = tf.split(gates, 4, axis=1)
    c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
    return tf.sigmoid(o) * tf.tanh(c), c


def word_log_probs(weights: Weights, h: tf.Tensor) -> tf.Tensor:
    """log_softmax(W_o h + b_o), float (N, V)."""
    return tf.nn.log_softmax(tf.matmul(h, weights["logits/kernel"]) + weights["logits/bias"])


def zero_state(rows: tf.Tensor | int, weights: Weights) -> tuple[tf.Tensor, tf.Tensor]:
    """h0 = c0 = 0, float (rows, H) each."""
    kernel = tf.convert_to_tensor(weights["lstm/recurrent_kernel"])
    zeros = tf.zeros([rows, kernel.shape[0]], kernel.dtype)
    return zeros, zeros


def teacher_forced(
    weights: Weights,
    features: tf.Tensor,
    token_ids: tf.Tensor,
    video_mask: tf.Tensor | None = None,
    output_mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """Log-probabilities of every word at every position, each caption fed its own words.

    Like the release the loop ends where every caption of the batch has ended, and no earlier for any of them.

    Args:
        weights: see `WEIGHT_SHAPES`.
        features: float (B, D).
        token_ids: int (B, G, L) label rows: <start>, words, zeros.
        video_mask: float (B, H) or None, see `project_video`.
        output_mask: float (L - 1, N, H) or None: dropout mask on h before the logits, divided by the keep rate.

    Returns:
        float (S, N, V); row t is the distribution of label position t + 1.
    """
    videos, captions, length = tf.unstack(tf.shape(token_ids))
    tokens = tf.reshape(token_ids, [videos * captions, length])
    video = tf.repeat(project_video(weights, features, video_mask), captions, axis=0)
    h, c = zero_state(videos * captions, weights)
    steps = tf.reduce_max(tf.math.count_nonzero(tokens[:, :-1], axis=1, dtype=tf.int32))
    log_probs = tf.TensorArray(h.dtype, size=steps)
    for t in tf.range(steps):
        h, c = lstm_step(weights, tokens[:, t], video, (h, c))
        log_probs = log_probs.write(t, word_log_probs(weights, h if output_mask is None else h * output_mask[t]))
    return log_probs.stack()


def sample(
    weights: Weights,
    features: tf.Tensor,
    copies: int,
    video_mask: tf.Tensor | None = None,
    output_mask: tf.Tensor | None = None,
    *,
    greedy: bool = False,
) -> tf.Tensor:
    """The captions of `sample_with_log_probs`, int32 (N, 28)."""
    return sample_with_log_probs(weights, features, copies, video_mask, output_mask, greedy=greedy)[0]


def sample_with_log_probs(
    weights: Weights,
    features: tf.Tensor,
    copies: int,
    video_mask: tf.Tensor | None = None,
    output_mask: tf.Tensor | None = None,
    *,
    greedy: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Captions drawn (or, greedy, the likeliest words) step by step; after <end> everything is 0.

    Args:
        weights: see `WEIGHT_SHAPES`.
        features: float (B, D).
        copies: G, captions drawn for each video.
        video_mask: as in `teacher_forced`.
        output_mask: as in `teacher_forced`.
        greedy: take the likeliest word instead of a draw.

    Returns:
        token_ids int32 (N, 28), block order (all copies of video 0, then of video 1), and the log-probability of each,
        float (N, 28), 0 where every caption has ended.
    """
    video = tf.repeat(project_video(weights, features, video_mask), copies, axis=0)
    rows = tf.shape(video)[0]
    h, c = zero_state(rows, weights)
    fed = tf.ones([rows], tf.int32)
    alive = tf.ones([rows], tf.int32)
    drawn = tf.TensorArray(tf.int32, size=0, dynamic_size=True, element_shape=[None])
    chosen = tf.TensorArray(h.dtype, size=0, dynamic_size=True, element_shape=[None])
    for t in tf.range(MAX_WORDS):
        if tf.reduce_all(alive == 0):
            break
        h, c = lstm_step(weights, fed, video, (h, c))
        log_probs = word_log_probs(weights, h if output_mask is None else h * output_mask[t])
        if greedy:
            words = tf.argmax(log_probs, axis=1, output_type=tf.int32)
        else:
            words = tf.random.categorical(log_probs, 1, dtype=tf.int32)[:, 0]
        fed = words * alive
        alive = tf.cast(fed > 0, tf.int32)
        drawn = drawn.write(t, fed)
        chosen = chosen.write(t, tf.gather(log_probs, fed, batch_dims=1))
    padding = [[0, 0], [0, MAX_WORDS - drawn.size()]]
    return tf.pad(tf.transpose(drawn.stack()), padding), tf.pad(tf.transpose(chosen.stack()), padding)


def label_rows(sampled: tf.Tensor, captions: int) -> tf.Tensor:
    """Sampled captions int32 (N, 28) as label rows int32 (B, G, 30): <start> before, a zero after."""
    rows = tf.pad(tf.pad(sampled, [[0, 0], [1, 0]], constant_values=1), [[0, 0], [0, 1]])
    return tf.reshape(rows, [-1, captions, LABEL_LENGTH])


def token_log_probs(log_probs: tf.Tensor, token_ids: tf.Tensor) -> tf.Tensor:
    """Log-probability of each label, float (S, N), from `teacher_forced` and the label rows (B, G, L)."""
    tokens = tf.reshape(token_ids, [-1, tf.shape(token_ids)[-1]])
    targets = tf.transpose(tokens)[1 : 1 + tf.shape(log_probs)[0]]
    return tf.gather(log_probs, targets, batch_dims=2)


def cross_entropy(log_probs: tf.Tensor, token_ids: tf.Tensor) -> tf.Tensor:
    """XE: the token mean over words and one <end> of each caption."""
    ones = tf.ones_like(token_ids[..., 0], dtype=log_probs.dtype)
    return weighted_cross_entropy(log_probs, token_ids, ones)


def weighted_cross_entropy(
    log_probs: tf.Tensor, token_ids: tf.Tensor, weights: tf.Tensor, columns: int = LABEL_LENGTH - 1
) -> tf.Tensor:
    """DXE and the policy gradient: each caption's log-probabilities times its weight, over the count of tokens.

    Args:
        log_probs: float (S, N, V) of `teacher_forced`.
        token_ids: int (B, G, L) label rows.
        weights: float (B, G): consensus scores (DXE) or reward minus baseline (RL); no gradient flows into them.
        columns: how many of the L - 1 targets count; the release never trains the last one (28).

    Returns:
        A float scalar. The divisor counts tokens, not weights.
    """
    tokens = tf.reshape(token_ids, [-1, tf.shape(token_ids)[-1]])
    steps = tf.shape(log_probs)[0]
    # Position 1 always counts; a later one counts while the word before it is none of the padding.
    counted = tf.math.cumprod(tf.cast(tokens[:, :-1] > 0, log_probs.dtype), axis=1)[:, : tf.minimum(steps, columns)]
    mask = tf.transpose(counted)  # (steps, N)
    chosen = token_log_probs(log_probs, token_ids)[: tf.shape(mask)[0]]
    weight = tf.cast(tf.stop_gradient(tf.reshape(weights, [1, -1])), log_probs.dtype)
    return -tf.reduce_sum(chosen * mask * weight) / tf.reduce_sum(mask)
