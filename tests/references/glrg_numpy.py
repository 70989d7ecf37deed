"""GL-RG's decoder in plain NumPy, straight from the fact sheet of the release (sections 5 and 11), float32.

Independent of `glrg_tf` and of TensorFlow: it takes the seven tensors under PyTorch's names and layouts, never
transposes or renames them ahead of use, and works on one video at a time. It is the other side of the parity
proof for converted checkpoints.

Symbols: T steps, V words, K beams, H = 512.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

END, START = 0, 1
LABEL_LENGTH = 30
MAX_WORDS = 28


@dataclasses.dataclass(frozen=True)
class BeamCaption:
    """The caption that the release's beam search returns.

    Attributes:
        token_ids: words up to the first end token.
        word_log_probs: log-probability of each of those words.
        perplexity: what the search minimised; its sum includes the end token, its divisor does not.
    """

    token_ids: list[int]
    word_log_probs: list[float]
    perplexity: float


class NumpyCaptioner:
    """The released model at test time (no dropout).

    Args:
        tensors: the checkpoint's `model` dictionary.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        self.embed = tensors["embed.weight"]  # (V, 512)
        self.logit_weight, self.logit_bias = tensors["logit.weight"], tensors["logit.bias"]
        self.pool_weight = tensors["feat_pool.feat_list.0.0.weight"]  # (512, D)
        self.pool_bias = tensors["feat_pool.feat_list.0.0.bias"]
        self.weight_ih, self.weight_hh = tensors["core.rnn.weight_ih_l0"], tensors["core.rnn.weight_hh_l0"]
        self.hidden_size = self.weight_hh.shape[1]

    def video(self, features: np.ndarray) -> np.ndarray:
        """v = ReLU(W x + b), float32 (512,), of one video's features (D,)."""
        return np.maximum(self.pool_weight @ features + self.pool_bias, 0)

    def step(
        self, words: np.ndarray, video: np.ndarray, state: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """One step: words int (K,), video (512,), state h and c (K, H) -> log-probabilities (K, V), state."""
        h, c = state
        x = np.concatenate([self.embed[words], np.tile(video, (len(words), 1))], axis=1)
        gates = x @ self.weight_ih.T + h @ self.weight_hh.T
        i, f, g, o = np.split(gates, 4, axis=1)  # PyTorch's row blocks
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return log_softmax(h @ self.logit_weight.T + self.logit_bias), (h, c)

    def zero_state(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """h and c of zeros, (rows, H)."""
        return np.zeros((rows, self.hidden_size), np.float32), np.zeros((rows, self.hidden_size), np.float32)

    def forward(self, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Teacher forcing over one video's captions.

        Args:
            features: float32 (D,).
            labels: int (G, 30), position 0 is <start>.

        Returns:
            Log-probabilities float32 (G, T, V), T <= 29; step t consumes labels[:, t] and predicts labels[:, t + 1].
            The loop ends once all inputs of a step are 0.
        """
        video, state, outputs = self.video(features), self.zero_state(len(labels)), []
        for t in range(LABEL_LENGTH - 1):
            words = labels[:, t]
            if not words.any():
                break
            log_probs, state = self.step(words, video, state)
            outputs.append(log_probs)
        return np.stack(outputs, axis=1)

    def greedy(self, features: np.ndarray) -> tuple[list[int], list[float]]:
        """Words before <end>, at most 28, and their log-probabilities."""
        video, state = self.video(features), self.zero_state(1)
        words, scores, last = [], [], START
        for _ in range(MAX_WORDS):
            log_probs, state = self.step(np.array([last]), video, state)
            last = int(log_probs[0].argmax())
            if last == END:
                break
            words.append(last)
            scores.append(float(log_probs[0, last]))
        return words, scores

    def beam(self, features: np.ndarray, size: int = 5) -> BeamCaption:
        """The release's beam search for one video (section 11); finished hypotheses go on competing."""
        video = self.video(features)
        log_probs, state = self.step(np.full(size, START), video, self.zero_state(size))
        sums = np.zeros(size, np.float32)
        tokens = np.zeros((size, 0), int)
        scores = np.zeros((size, 0), np.float32)
        best: tuple[float, np.ndarray, np.ndarray] | None = None
        for t in range(1, MAX_WORDS + 1):
            candidates = []
            ranked = np.argsort(-log_probs, axis=1, kind="stable")
            for rank in range(size):
                for beam in range(size if t > 1 else 1):
                    word = ranked[beam, rank]
                    candidates.append((sums[beam] + log_probs[beam, word], beam, word))
            candidates.sort(key=lambda candidate: -candidate[0])  # stable: word rank first, then beam
            kept = candidates[:size]
            beams = np.array([beam for _, beam, _ in kept])
            words = np.array([word for _, _, word in kept])
            tokens = np.concatenate([tokens[beams], words[:, None]], axis=1)
            scores = np.concatenate([scores[beams], log_probs[beams, words][:, None]], axis=1)
            sums = np.array([total for total, _, _ in kept], np.float32)
            for k in range(size):
                if words[k] == END or t == MAX_WORDS:
                    perplexity = float(np.exp(-sums[k] / (t - 1))) if t > 1 else 10_000.0
                    if best is None or perplexity < best[0]:
                        best = perplexity, tokens[k], scores[k]
            log_probs, state = self.step(words, video, (state[0][beams], state[1][beams]))
        if best is None:
            raise AssertionError("the last step finishes every hypothesis")
        perplexity, found, each = best
        length = int(np.argmax(found == END)) if (found == END).any() else len(found)
        return BeamCaption(found[:length].tolist(), each[:length].tolist(), perplexity)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Logistic function, written so that it never overflows."""
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x)))).astype(x.dtype)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
