"""Training steps in plain form: forward, tape, clip, Adam; for reinforcement the Python scorer between the two.

What a reader of the release would write in TensorFlow, one objective a function. Each returns the loss (and changes
the variables); `gradients` gives what the equality tests compare. Dropout is drawn by `draw_masks`, or given.

Reference: GL-RG `train.py`, `utils.py` (`CrossEntropyCriterion`, `RewardCriterion`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tests.references import plain_model

Scorer = Callable[[np.ndarray, np.ndarray], np.ndarray]
Masks = tuple[tf.Tensor, tf.Tensor] | tuple[None, None]


@dataclasses.dataclass
class PlainAdam:
    """Adam (0.9, 0.999, 1e-8) after clipping the global norm, as `torch.optim.Adam` writes it."""

    learning_rate: float = 3e-4
    clip_norm: float = 0.25

    def __post_init__(self) -> None:
        self.step = tf.Variable(0.0)
        self.moments: dict[str, tuple[tf.Variable, tf.Variable]] = {}

    def build(self, weights: Mapping[str, tf.Variable]) -> None:
        """Makes the moments, zero, one pair for each variable."""
        self.moments = {n: (tf.Variable(tf.zeros_like(w)), tf.Variable(tf.zeros_like(w))) for n, w in weights.items()}

    def apply(self, weights: Mapping[str, tf.Variable], gradients: Mapping[str, tf.Tensor]) -> None:
        """Clips by the norm of all gradients together, then moves every variable."""
        norm = tf.linalg.global_norm(list(gradients.values()))
        scale = tf.minimum(1.0, tf.cast(self.clip_norm, norm.dtype) / norm)
        self.step.assign_add(1.0)
        for name, weight in weights.items():
            gradient = gradients[name] * scale
            first, second = self.moments[name]
            first.assign(0.9 * first + 0.1 * gradient)
            second.assign(0.999 * second + 0.001 * gradient**2)
            step = tf.cast(self.step, gradient.dtype)
            mean = first / (1.0 - tf.cast(0.9, step.dtype) ** step)
            spread = tf.sqrt(second / (1.0 - tf.cast(0.999, step.dtype) ** step)) + 1e-8
            weight.assign_sub(tf.cast(self.learning_rate, step.dtype) * mean / spread)


def draw_masks(videos: tf.Tensor, captions: int, hidden_size: int, rate: float) -> Masks:
    """Dropout masks, already divided by the keep rate: (B, H) and (29, N, H); none for rate 0."""
    if rate == 0.0:
        return None, None
    ones = tf.ones([videos, hidden_size])
    outputs = tf.ones([plain_model.LABEL_LENGTH - 1, videos * captions, hidden_size])
    return tf.nn.dropout(ones, rate), tf.nn.dropout(outputs, rate)


def gradients(
    weights: Mapping[str, tf.Tensor], loss_of: Callable[[Mapping[str, tf.Tensor]], tf.Tensor]
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """The loss and its dense gradient by name.

    The embedding's gradient arrives as slices with repeated rows, whose norm is not the norm of the sum: it is made
    dense before anything looks at it.
    """
    with tf.GradientTape() as tape:
        watched = {name: tf.convert_to_tensor(value) for name, value in weights.items()}
        for value in watched.values():
            tape.watch(value)
        loss = loss_of(watched)
    found = tape.gradient(loss, watched)
    return loss, {name: tf.convert_to_tensor(value) for name, value in found.items()}


def caption_gradients(
    weights: Mapping[str, tf.Tensor],
    features: tf.Tensor,
    token_ids: tf.Tensor,
    caption_weights: tf.Tensor | None = None,
    masks: Masks = (None, None),
    columns: int = plain_model.LABEL_LENGTH - 1,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Loss and gradients of XE (`caption_weights` None), DXE or the policy gradient under teacher forcing.

    Args:
        weights: see `plain_model.WEIGHT_SHAPES`.
        features: float (B, D).
        token_ids: int32 (B, G, 30) label rows.
        caption_weights: float (B, G): consensus scores, or reward minus baseline.
        masks: see `draw_masks`.
        columns: see `plain_model.weighted_cross_entropy`.
    """

    def loss_of(watched: Mapping[str, tf.Tensor]) -> tf.Tensor:
        log_probs = plain_model.teacher_forced(watched, features, token_ids, *masks)
        if caption_weights is None:
            return plain_model.cross_entropy(log_probs, token_ids)
        return plain_model.weighted_cross_entropy(log_probs, token_ids, caption_weights, columns)

    return gradients(weights, loss_of)


class PlainTrainer:
    """Holds the variables and the optimizer and makes one step at a time.

    Args:
        weights: arrays by the names of `plain_model.WEIGHT_SHAPES`.
        captions: G, captions a video.
        dropout: rate at both sites.
        learning_rate: Adam's.
        scorer: (N, 28) sampled ids and (N,) video rows to float (N,) rewards, on the host; reinforcement only.
    """

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        captions: int = 20,
        dropout: float = 0.5,
        learning_rate: float = 3e-4,
        scorer: Scorer | None = None,
    ) -> None:
        self.weights = {name: tf.Variable(value, name=name.replace("/", "_")) for name, value in weights.items()}
        self.captions, self.dropout, self.scorer = captions, dropout, scorer
        self.optimizer = PlainAdam(learning_rate)
        self.optimizer.build(self.weights)
        self.update = tf.function(self._update, reduce_retracing=True)
        self.draw = tf.function(self._draw, reduce_retracing=True)

    def masks(self, features: tf.Tensor) -> Masks:
        """Fresh dropout masks for one batch."""
        hidden = self.weights["lstm/recurrent_kernel"].shape[0]
        return draw_masks(tf.shape(features)[0], self.captions, hidden, self.dropout)

    def _update(
        self, features: tf.Tensor, token_ids: tf.Tensor, caption_weights: tf.Tensor | None, masks: Masks, columns: int
    ) -> tf.Tensor:
        loss, found = caption_gradients(self.weights, features, token_ids, caption_weights, masks, columns)
        self.optimizer.apply(self.weights, found)
        return loss

    def _draw(self, features: tf.Tensor, masks: Masks, greedy: bool) -> tf.Tensor:
        return plain_model.sample(self.weights, features, self.captions, *masks, greedy=greedy)

    def xe_step(self, features: tf.Tensor, token_ids: tf.Tensor) -> tf.Tensor:
        """Cross-entropy, every reference alike."""
        return self.update(features, token_ids, None, self.masks(features), plain_model.LABEL_LENGTH - 1)

    def dxe_step(self, features: tf.Tensor, token_ids: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        """Cross-entropy, each reference weighted by its consensus score, float (B, G)."""
        return self.update(features, token_ids, scores, self.masks(features), plain_model.LABEL_LENGTH - 1)

    def reinforcement_step(
        self,
        features: tf.Tensor,
        video_rows: np.ndarray,
        baseline: str,
        consensus: np.ndarray | None = None,
    ) -> tf.Tensor:
        """Samples, scores on the host, subtracts the baseline, then teacher-forces the samples for the gradient.

        Args:
            features: float (B, D).
            video_rows: int (B,) rows of the scorer's references.
            baseline: "b1" (mean consensus score of the references), "b2" (mean reward of the video's samples) or
                "scst" (reward of the greedy caption of every copy, drawn with a fresh mask on the video).
            consensus: float (B, G) scores of the references; b1 only.
        """
        masks = self.masks(features)
        sampled = self.draw(features, masks, greedy=False)
        rows = np.repeat(video_rows, self.captions)
        rewards = self.scorer(sampled.numpy(), rows).reshape(-1, self.captions)
        if baseline == "scst":
            greedy = self.draw(features, (self.masks(features)[0], None), greedy=True)
            subtracted = self.scorer(greedy.numpy(), rows).reshape(-1, self.captions)
        else:
            subtracted = (consensus if baseline == "b1" else rewards).mean(axis=1, keepdims=True)
        advantages = tf.constant(rewards - subtracted, tf.float32)
        labels = plain_model.label_rows(sampled, self.captions)
        return self.update(features, labels, advantages, masks, plain_model.MAX_WORDS)

    def single_pass_step(self, features: tf.Tensor, video_rows: np.ndarray) -> tf.Tensor:
        """The b2 step as the release runs it: the gradient goes through the sampling pass itself, once.

        The same numbers as `reinforcement_step` for the same draws; kept apart because it saves the plain form one
        forward pass and is therefore the fairer opponent of an implementation that reuses its activations.
        """
        return self._single_pass(features, tf.constant(video_rows, tf.int32))

    @tf.function(reduce_retracing=True)
    def _single_pass(self, features: tf.Tensor, video_rows: tf.Tensor) -> tf.Tensor:
        masks = self.masks(features)
        rows = tf.repeat(video_rows, self.captions)

        def loss_of(watched: Mapping[str, tf.Tensor]) -> tf.Tensor:
            sampled, chosen = plain_model.sample_with_log_probs(watched, features, self.captions, *masks)
            rewards = tf.reshape(tf.numpy_function(self.scorer, [sampled, rows], tf.float64), [-1, self.captions])
            advantages = tf.cast(rewards - tf.reduce_mean(rewards, axis=1, keepdims=True), tf.float32)
            alive = tf.concat([tf.ones_like(sampled[:, :1]), tf.cast(sampled[:, :-1] > 0, tf.int32)], axis=1)
            mask = tf.cast(alive, tf.float32)
            return -tf.reduce_sum(chosen * mask * tf.reshape(advantages, [-1, 1])) / tf.reduce_sum(mask)

        loss, found = gradients(self.weights, loss_of)
        self.optimizer.apply(self.weights, found)
        return loss
