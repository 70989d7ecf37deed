"""Beam search one video at a time, candidates ranked in Python, as the released code does.

Two modes. `release_beam` keeps every habit of the release: a finished hypothesis is copied out but stays in the beam,
its score divides by a length that leaves <end> out, and hypotheses that reach the last step are finished by force.
`corrected_beam` is the textbook search: a hypothesis that emits <end> is final, keeps its score and its slot.

In both, log-probabilities add up in float32 and ties go to the better word rank, then the lower beam, so a batched
search that follows the same rules gives the same captions token for token.

Reference: GL-RG `model.py`, `sample_beam`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tests.references import plain_model

MAX_WORDS = plain_model.MAX_WORDS


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """A finished caption.

    Attributes:
        token_ids: words without <start>; ends with 0 where <end> was emitted.
        log_probs: log-probability of each of them.
        total: their float32 sum.
        score: what the result is ranked by, higher is better.
    """

    token_ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    total: float
    score: float

    @property
    def words(self) -> tuple[int, ...]:
        """Token ids up to the first <end>."""
        return self.token_ids[: self.token_ids.index(0)] if 0 in self.token_ids else self.token_ids


class PlainStepper:
    """The step of the beam: h, c and words of K hypotheses in, log-probabilities on the host out.

    Args:
        weights: arrays by the names of `plain_model.WEIGHT_SHAPES`.
    """

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        self.weights = {name: tf.constant(value) for name, value in weights.items()}
        self._step = tf.function(self._advance, reduce_retracing=True)
        self._project = tf.function(lambda x: plain_model.project_video(self.weights, x), reduce_retracing=True)

    def _advance(
        self, words: tf.Tensor, video: tf.Tensor, h: tf.Tensor, c: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        h, c = plain_model.lstm_step(self.weights, words, video, (h, c))
        return plain_model.word_log_probs(self.weights, h), h, c

    def start(self, features: np.ndarray, beams: int) -> None:
        """Projects one video, features float32 (D,), and repeats it for every beam."""
        self.video = tf.repeat(self._project(tf.constant(features[None])), beams, axis=0)
        self.state = plain_model.zero_state(beams, self.weights)

    def advance(self, words: list[int], parents: list[int]) -> np.ndarray:
        """Feeds each beam its word, from the state of its parent; returns log-probabilities float32 (K, V)."""
        h, c = (tf.gather(part, parents) for part in self.state)
        log_probs, h, c = self._step(tf.constant(words, tf.int32), self.video, h, c)
        self.state = (h, c)
        return log_probs.numpy()


@dataclasses.dataclass(frozen=True)
class _Candidate:
    total: np.float32
    rank: int  # place of the word among the best of its beam
    beam: int
    word: int
    log_prob: float
    frozen: bool = False


def _expansions(log_probs: np.ndarray, totals: list[np.float32], beams: list[int], width: int) -> list[_Candidate]:
    """The `width` best words of each of `beams`; word ids break ties inside a beam."""
    found = []
    for beam in beams:
        best = np.argsort(-log_probs[beam], kind="stable")[:width]
        for rank, word in enumerate(best.tolist()):
            log_prob = log_probs[beam, word]
            found.append(_Candidate(np.float32(totals[beam] + log_prob), rank, beam, word, float(log_prob)))
    return found


def _keep(candidates: list[_Candidate], width: int) -> list[_Candidate]:
    return sorted(candidates, key=lambda c: (-c.total, c.rank, c.beam))[:width]


def release_beam(stepper: PlainStepper, features: np.ndarray, beam_size: int = 5) -> list[Hypothesis]:
    """The release's search for one video, features float32 (D,).

    Returns:
        All hypotheses that were finished on the way, lowest perplexity exp(-sum / words) first; score is its negative.
    """
    stepper.start(features, beam_size)
    log_probs = stepper.advance([1] * beam_size, list(range(beam_size)))
    totals = [np.float32(0.0)] * beam_size
    paths: list[tuple[tuple[int, ...], tuple[float, ...]]] = [((), ())] * beam_size
    finished = []
    for t in range(1, MAX_WORDS + 1):
        live = [0] if t == 1 else list(range(beam_size))
        kept = _keep(_expansions(log_probs, totals, live, beam_size), beam_size)
        paths = [((*paths[k.beam][0], k.word), (*paths[k.beam][1], k.log_prob)) for k in kept]
        totals = [k.total for k in kept]
        for candidate, (tokens, each) in zip(kept, paths, strict=True):
            if candidate.word == 0 or t == MAX_WORDS:
                total = float(candidate.total)
                perplexity = math.exp(-total / (t - 1)) if t > 1 else 10_000.0
                finished.append(Hypothesis(tokens, each, total, -perplexity))
        log_probs = stepper.advance([k.word for k in kept], [k.beam for k in kept])
    return sorted(finished, key=lambda hypothesis: -hypothesis.score)


def corrected_beam(
    stepper: PlainStepper, features: np.ndarray, beam_size: int = 5, length_normalisation: float = 0.0
) -> list[Hypothesis]:
    """Textbook search for one video, features float32 (D,).

    A hypothesis that emits <end> is final but keeps its slot, competing with its sum unchanged; the search ends when
    all slots hold final ones or at 28 words.

    Args:
        stepper: the model.
        features: one video.
        beam_size: K.
        length_normalisation: alpha; the result is ranked by sum / length ** alpha, length counting <end>.

    Returns:
        K hypotheses, best first.
    """
    stepper.start(features, beam_size)
    log_probs = stepper.advance([1] * beam_size, list(range(beam_size)))
    totals = [np.float32(0.0)] * beam_size
    paths: list[tuple[tuple[int, ...], tuple[float, ...]]] = [((), ())] * beam_size
    final = [False] * beam_size
    for t in range(1, MAX_WORDS + 1):
        live = [0] if t == 1 else [beam for beam in range(beam_size) if not final[beam]]
        frozen = [_Candidate(totals[beam], 0, beam, 0, 0.0, True) for beam in range(beam_size) if final[beam]]
        kept = _keep(_expansions(log_probs, totals, live, beam_size) + frozen, beam_size)
        paths = [
            paths[k.beam] if k.frozen else ((*paths[k.beam][0], k.word), (*paths[k.beam][1], k.log_prob)) for k in kept
        ]
        totals, final = [k.total for k in kept], [k.word == 0 for k in kept]
        if all(final):
            break
        log_probs = stepper.advance([k.word for k in kept], [k.beam for k in kept])
    scores = [float(s) / len(path[0]) ** length_normalisation for s, path in zip(totals, paths, strict=True)]
    found = [Hypothesis(*path, float(s), score) for path, s, score in zip(paths, totals, scores, strict=True)]
    return sorted(found, key=lambda hypothesis: -hypothesis.score)


def greedy(stepper: PlainStepper, features: np.ndarray) -> tuple[int, ...]:
    """Greedy caption of one video, features float32 (D,): words without <end>."""
    stepper.start(features, 1)
    words = [1]
    while len(words) <= MAX_WORDS:
        word = int(stepper.advance([words[-1]], [0])[0].argmax())
        if word == 0:
            break
        words.append(word)
    return tuple(words[1:])
