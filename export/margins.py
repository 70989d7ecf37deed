"""How close a beam search came to deciding otherwise: a plain float64 search that keeps the narrowest margin.

Two correct programs add float32 numbers in different orders, so where two hypotheses differ by less than their
rounding they may rightly choose differently. This tells such ties from mistakes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from glrg_tf.captioner import content, minimum_risk
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
        next in rank (with minimum risk, or by content: in expected gain).
    """
    weights = {name: value.astype(np.float64) for name, value in captioner.model.get_weights().items()}
    gates = captioner.model.encode(features[None]).numpy().astype(np.float64)[0]
    alpha = captioner.decoding.length_normalization if beam_size > 1 else 0.0
    settings = captioner.decoding
    if settings.word_bias:
        weights["logits/bias"] = weights["logits/bias"] + _word_bias(captioner, features)
    zeros = np.zeros(weights["lstm/recurrent_kernel"].shape[0])
    beam = [_Hypothesis(0.0, (), zeros, zeros)]
    margin = np.inf
    for _ in range(captioner.decoding.max_words):
        if all(hypothesis.ended for hypothesis in beam):
            break
        candidates = [hypothesis for hypothesis in beam if hypothesis.ended]
        for hypothesis in beam:
            if not hypothesis.ended:
                candidates += _continuations(weights, gates, hypothesis, beam_size + 1)
        candidates.sort(key=lambda candidate: -candidate.score)
        if len(candidates) > beam_size:
            margin = min(margin, candidates[beam_size - 1].score - candidates[beam_size].score)
        beam = candidates[:beam_size]
    ranks = [hypothesis.score / max(len(hypothesis.words), 1) ** alpha for hypothesis in beam]
    beam = [beam[place] for place in np.argsort(-np.array(ranks), kind="stable")]
    if settings.selection != "probability" and beam_size > 1:
        ranks = _gains(captioner, features, [hypothesis.words for hypothesis in beam])
    return float(min([margin, *np.diff(sorted(ranks))]))


class _Hypothesis(NamedTuple):
    score: float  # sum of log-probabilities
    words: tuple[int, ...]  # <end> included
    hidden: np.ndarray
    cell: np.ndarray

    @property
    def ended(self) -> bool:
        return bool(self.words) and self.words[-1] == Vocabulary.END


def _continuations(
    weights: dict[str, np.ndarray], gates: np.ndarray, hypothesis: _Hypothesis, count: int
) -> list[_Hypothesis]:
    """A hypothesis with each of its `count` best next words."""
    last = hypothesis.words[-1] if hypothesis.words else Vocabulary.START
    log_probs, hidden, cell = _step(weights, gates, last, hypothesis.hidden, hypothesis.cell)
    best = np.argsort(-log_probs)[:count]
    return [_Hypothesis(hypothesis.score + log_probs[i], (*hypothesis.words, int(i)), hidden, cell) for i in best]


def _word_bias(captioner: VideoCaptioner, features: np.ndarray) -> np.ndarray:
    """What the words' logits gain, (V,)."""
    prior, size = captioner.content_prior, captioner.config.vocabulary_size
    foretold = content.foretell(prior, tf.constant(features[None]))
    return content.word_bias(prior, captioner.ngram_weights, foretold, size, captioner.decoding.word_bias).numpy()[0]


def _gains(captioner: VideoCaptioner, features: np.ndarray, captions: list[tuple[int, ...]]) -> list[float]:
    """The expected gain of each of the K captions of one video."""
    ids = np.zeros((1, len(captions), max(map(len, captions), default=1)), np.int32)
    for place, words in enumerate(captions):
        ids[0, place, : len(words)] = words
    prior, weights = captioner.content_prior, captioner.ngram_weights
    if captioner.decoding.selection == "minimum_risk":
        gains = minimum_risk.expected_gain(tf.constant(ids), weights)
    else:
        foretold = content.foretell(prior, tf.constant(features[None]))
        gains = content.less_by_rank(content.expected_gain(tf.constant(ids), foretold, prior, weights))
    return gains.numpy()[0].astype(float).tolist()


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
