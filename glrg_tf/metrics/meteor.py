"""METEOR 1.5 by one Java process that is started once and kept (its start costs many seconds).

The protocol is that of pycocoevalcap's `meteor.py` (same jar, same flags): SCORE lines give the statistics of
a segment, an EVAL line their scores and the score of all of them together. Departs from it in that requests
are pipelined, answers have a time limit, and separators inside captions cannot shift the answers.

`corpus_score` is METEOR's own formula over added-up statistics (Denkowski and Lavie 2014, eq. 1-5, with the
parameters of its English "rank" task), so that a corpus can be resampled without asking Java again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from glrg_tf.metrics import java
from glrg_tf.metrics.ptb import one_line

SECONDS_TO_ANSWER = 300.0  # the first answer waits for the paraphrase table: 10 s, more on a busy machine
STATISTICS = 23  # numbers in an answer to SCORE
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
MATCHER_WEIGHTS = (1.0, 0.6, 0.8, 0.6)  # exact, stem, synonym, paraphrase
PORTION = 200  # segments sent ahead, so that a progress bar moves and an interruption is prompt

_lock = threading.Lock()
_server: tuple[int, java.LineServer] | None = None  # (process that started it, the server)


@dataclass(frozen=True)
class MeteorScores:
    """METEOR of N segments.

    Attributes:
        corpus: score of all segments together (not the mean).
        segments: float64 (N,).
        statistics: float64 (N, 23), see `corpus_score`.
    """

    corpus: float
    segments: np.ndarray
    statistics: np.ndarray


def score(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], progress: Callable[[int], None] | None = None
) -> MeteorScores:
    """Scores tokenised captions.

    Args:
        hypotheses: N captions.
        references: N lists of references.
        progress: called with the number of segments just done; it must not score itself.

    Raises:
        JavaError: METEOR does not start, died, hangs or answers nonsense.
        ConfigError: there is no Java.
    """
    with _lock:
        server = _kept_server()
        answers = list(_score_lines(server, hypotheses, references, progress))
        statistics = np.array([_numbers(answer, STATISTICS) for answer in answers]).reshape(-1, STATISTICS)
        if not answers:
            return MeteorScores(0.0, np.zeros(0), statistics)
        question = "EVAL ||| " + " ||| ".join(answers)
        scores = [_numbers(answer, 1)[0] for answer in server.ask([question], len(answers) + 1)]
    return MeteorScores(scores[-1], np.array(scores[:-1]), statistics)


def start() -> None:
    """Starts METEOR without waiting for it: by the time it is asked, it may be ready.

    Raises:
        JavaError: Java does not start.
        ConfigError: there is no Java.
    """
    with _lock:
        _kept_server()


def close() -> None:
    """Ends the kept process, if there is one."""
    global _server
    with _lock:
        if _server is not None and _server[0] == os.getpid():
            _server[1].close()
        _server = None


def corpus_score(statistics: np.ndarray) -> np.ndarray:
    """METEOR of corpora whose segments' statistics were added up.

    Args:
        statistics: float64 (..., 23), sums of what `addable` returns: lengths and function words of
            hypothesis and reference; for each matcher the matched content words of both and function words of
            both; chunks; matched words of both.

    Returns:
        float64 (...).
    """
    hypothesis_length, reference_length, hypothesis_function, reference_function = np.moveaxis(
        statistics[..., :4], -1, 0
    )
    matches = statistics[..., 4:20].reshape(*statistics.shape[:-1], 4, 4)
    weighted = DELTA * matches[..., :2] + (1 - DELTA) * matches[..., 2:]  # (..., matcher, hypothesis | reference)
    weighted = (np.array(MATCHER_WEIGHTS)[:, None] * weighted).sum(-2)
    precision = _ratio(weighted[..., 0], _weighted_length(hypothesis_length, hypothesis_function))
    recall = _ratio(weighted[..., 1], _weighted_length(reference_length, reference_function))
    mean = _ratio(precision * recall, (1 - ALPHA) * recall + ALPHA * precision)
    fragmentation = _ratio(2 * statistics[..., 20], statistics[..., 21] + statistics[..., 22])
    return mean * (1 - GAMMA * fragmentation**BETA)


def addable(statistics: np.ndarray) -> np.ndarray:
    """Statistics (N, 23) as METEOR adds them: a segment matched whole and in one piece has no chunks."""
    whole = (statistics[:, 21] == statistics[:, 0]) & (statistics[:, 22] == statistics[:, 1]) & (statistics[:, 20] == 1)
    added = statistics.copy()
    added[whole, 20] = 0
    return added


def _kept_server() -> java.LineServer:
    global _server
    if _server is None or _server[0] != os.getpid() or not _server[1].alive:  # a forked child needs its own
        jar = java.carried_file("pycocoevalcap.meteor.meteor", "meteor-1.5.jar")
        # The serial collector halves the memory it takes (0.5 GB).
        arguments = ["-Xmx2G", "-XX:+UseSerialGC", "-jar", str(jar), "-", "-", "-stdio", "-l", "en", "-norm"]
        _server = (os.getpid(), java.LineServer(arguments, SECONDS_TO_ANSWER))
    return _server[1]


def _score_lines(
    server: java.LineServer,
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    progress: Callable[[int], None] | None,
) -> Iterator[str]:
    for start in range(0, len(hypotheses), PORTION):
        pairs = zip(hypotheses[start : start + PORTION], references[start : start + PORTION], strict=True)
        lines = [" ||| ".join(["SCORE", *map(_segment, refs), _segment(hyp).replace("  ", " ")]) for hyp, refs in pairs]
        yield from server.ask(lines, len(lines))
        if progress is not None:
            progress(len(lines))


def _segment(caption: str) -> str:
    return one_line(caption).replace("|||", "")


def _numbers(answer: str, count: int) -> list[float]:
    try:
        numbers = [float(word) for word in answer.split()]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise java.JavaError(f"METEOR answered {answer[:80]!r}")
    return numbers


def _weighted_length(length: np.ndarray, function_words: np.ndarray) -> np.ndarray:
    return DELTA * (length - function_words) + (1 - DELTA) * function_words


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator, float), where=denominator != 0)
