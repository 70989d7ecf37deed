"""How close a beam search came to deciding otherwise: a plain float64 search that keeps the narrowest margin.

Two correct programs add float32 numbers in different orders, so where two hypotheses differ by less than their
rounding they may rightly choose differently. This tells such ties from mistakes.
"""

from __future__ import annotations

import numpy as np

from glrg_tf.captioner.captioner import VideoCaptioner
from glrg_tf.text.vocabulary import Vocabulary


def narrowest_margin(captioner: VideoCaptioner, features: np.ndarray, beam_size: int) -> float:
    """The least difference of log-probability between a hypothesis kept and the one it was preferred to.

    Args:
        captioner: weights and decoding settings.
        features: float32 (D,) of one video.
        beam_size: K.

    Returns:
        The least of: at every step the K-th best candidate over the next one; at the end each hypothesis over the
        next in rank.
    """
    weights = {name: value.astype(np.float64) for name, value in captioner.model.get_weights().items()}
    gates = captioner.model.encode(features[None]).numpy().astype(np.float64)[0]
    alpha = captioner.decoding.length_normalization if beam_size > 1 else 0.0
    # A hypothesis: sum of log-probabilities, length, whether it has ended, last word, hidden, cell.
    zeros = np.zeros(weights["lstm/recurrent_kernel"].shape[0])
    beam = [(0.0, 0, False, Vocabulary.START, zeros, zeros)]
    margin = np.inf
    for _ in range(captioner.decoding.max_words):
        if all(ended for _, _, ended, *_ in beam):
            break
        candidates = []
        for score, length, ended, word, hidden, cell in beam:
            if ended:
                candidates.append((score, length, True, word, hidden, cell))
                continue
            log_probs, hidden, cell = _step(weights, gates, word, hidden, cell)
            for best in np.argsort(-log_probs)[: beam_size + 1]:
                candidates.append((score + log_probs[best], length + 1, best == 0, int(best), hidden, cell))
        candidates.sort(key=lambda candidate: -candidate[0])
        if len(candidates) > beam_size:
            margin = min(margin, candidates[beam_size - 1][0] - candidates[beam_size][0])
        beam = candidates[:beam_size]
    ranked = sorted((score / max(length, 1) ** alpha for score, length, *_ in beam), reverse=True)
    return float(min([margin, *(-np.diff(ranked))]))


def _step(
    weights: dict[str, np.ndarray], gates: np.ndarray, word: int, hidden: np.ndarray, cell: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`decoding.step` of one row in float64: log-probabilities (V,), hidden and cell (H,)."""
    total = weights["word_embedding/embeddings"][word] @ weights["lstm/word_kernel"] + gates
    total = total + hidden @ weights["lstm/recurrent_kernel"]
    entry, forget, candidate, output = np.split(total, 4)
    cell = _sigmoid(forget) * cell + _sigmoid(entry) * np.tanh(candidate)
    hidden = _sigmoid(output) * np.tanh(cell)
    logits = hidden @ weights["logits/kernel"] + weights["logits/bias"]
    largest = logits.max()
    return logits - largest - np.log(np.exp(logits - largest).sum()), hidden, cell


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * values))
