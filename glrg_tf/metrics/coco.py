"""BLEU, METEOR, ROUGE-L and CIDEr of a corpus by pycocoevalcap, with what an interval over videos needs.

The numbers are coco-caption's (PTB tokenizer; BLEU "closest"; METEOR of the corpus, not the mean). Departs
from its `COCOEvalCap` only in how Java is run (see `ptb.py` and `meteor.py`) and in refusing what it dies of.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from glrg_tf.errors import AnnotationError, ConfigError
from glrg_tf.metrics import meteor, ptb

K = TypeVar("K", bound=Hashable)  # video ids
METRICS = ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr")
BLEU = METRICS[:4]


@dataclass(frozen=True)
class CocoScores:
    """Scores of N videos, as fractions (0.5, not 50).

    Attributes:
        ids: the videos, in the order of every array below.
        overall: metric -> score of the corpus.
        per_video: metric -> float64 (N,).
        statistics: "Bleu" -> float64 (N, 10): hypothesis and closest reference length, n-grams and matched
            n-grams of orders 1..4; "METEOR" -> float64 (N, 23). Their sums give the corpus score.
    """

    ids: tuple[Hashable, ...]
    overall: dict[str, float]
    per_video: dict[str, np.ndarray]
    statistics: dict[str, np.ndarray] = field(default_factory=dict)


def score_captions(
    references: Mapping[K, Sequence[str]],
    predictions: Mapping[K, str],
    metrics: Sequence[str] = METRICS,
    tokenizer: str = "ptb",
) -> CocoScores:
    """Scores one caption a video against its references.

    Args:
        references: video id -> captions.
        predictions: video id -> caption, for exactly the same ids.
        metrics: which of `METRICS` to compute.
        tokenizer: "ptb" as coco-caption, or "none": the words are what blanks separate.

    Raises:
        AnnotationError: ids that do not match, a video without references, references without any word.
        ConfigError: an unknown metric or tokenizer; no Java.
        JavaError: the tokenizer or METEOR failed.
    """
    _check(references, predictions, metrics, tokenizer)
    if "METEOR" in metrics:
        meteor.start()
    ids = tuple(references)
    hypotheses = [predictions[video] for video in ids]
    sizes = [len(references[video]) for video in ids]
    captions = [caption for video in ids for caption in references[video]]
    if tokenizer == "ptb":
        tokenized = ptb.tokenize(captions + hypotheses)
    else:
        tokenized = [" ".join(caption.split()) for caption in captions + hypotheses]
    captions, hypotheses = tokenized[: len(captions)], tokenized[len(captions) :]
    if not any(captions):
        raise AnnotationError("no reference holds a word", remedy="check that the captions are text")
    groups = [list(group) for group in _split(captions, sizes)]
    return _score(ids, hypotheses, groups, metrics)


def bleu_from_statistics(totals: np.ndarray) -> np.ndarray:
    """Corpus BLEU-1..4 of added-up statistics, as `bleu_scorer.py` of coco-caption computes it.

    Args:
        totals: float64 (..., 10), see `CocoScores.statistics`.

    Returns:
        float64 (..., 4).
    """
    small, tiny = 1e-9, 1e-15
    precision = (totals[..., 6:10] + tiny) / (totals[..., 2:6] + small)
    means = np.cumprod(precision, -1) ** (1 / np.arange(1, 5))
    ratio = (totals[..., 0] + tiny) / (totals[..., 1] + small)
    penalty = np.exp(np.minimum(0.0, 1 - 1 / ratio))
    return means * penalty[..., None]


def bootstrap_interval(
    scores: CocoScores, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of the corpus scores over videos drawn with replacement.

    BLEU and METEOR are recomputed from added-up statistics; ROUGE-L and CIDEr are means over videos (the
    document frequencies of CIDEr stay those of the whole corpus).

    Args:
        scores: what `score_captions` returned.
        resamples: corpora drawn.
        seed: of the draws; the same seed draws the same videos for any system of as many videos.
        level: mass inside the interval.

    Returns:
        metric -> (low, high).
    """
    tails = [(1 - level) / 2, (1 + level) / 2]
    intervals = {}
    for metric, values in resample(scores, resamples, seed).items():
        low, high = np.quantile(values, tails)
        intervals[metric] = (float(low), float(high))
    return intervals


def resample(scores: CocoScores, resamples: int = 1000, seed: int = 0) -> dict[str, np.ndarray]:
    """Corpus scores float64 (resamples,) of every metric over videos drawn with replacement; see `bootstrap_interval`.

    The same seed draws the same videos for any system of as many videos: differences of two systems are paired.
    """
    count = len(scores.ids)
    rng = np.random.default_rng(seed)
    draws = np.stack([np.bincount(rng.integers(count, size=count), minlength=count) for _ in range(resamples)])
    found = {}
    for metric in scores.overall:
        if metric in BLEU:
            found[metric] = bleu_from_statistics(draws @ scores.statistics["Bleu"])[:, BLEU.index(metric)]
        elif metric == "METEOR":
            found[metric] = meteor.corpus_score(draws @ meteor.addable(scores.statistics["METEOR"]))
        else:
            found[metric] = draws @ scores.per_video[metric] / count
    return found


def paired_differences(
    scores: CocoScores, other: CocoScores, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, tuple[float, float, float]]:
    """How much higher `scores` are than `other`, with percentile intervals over videos drawn for both alike.

    Args:
        scores: of one system.
        other: of another on the same videos.
        resamples: corpora drawn.
        seed: of the draws.
        level: mass inside the interval.

    Returns:
        metric -> (difference, low, high).

    Raises:
        ConfigError: the two are of different videos.
    """
    if scores.ids != other.ids:
        raise ConfigError("scores of different videos cannot be paired", remedy="score both on the same split")
    mine, theirs = resample(scores, resamples, seed), resample(other, resamples, seed)
    found = {}
    for metric in (name for name in mine if name in theirs):  # in their order, which a set of them would lose
        low, high = np.quantile(mine[metric] - theirs[metric], [(1 - level) / 2, (1 + level) / 2])
        found[metric] = (scores.overall[metric] - other.overall[metric], float(low), float(high))
    return found


def _check(references: Mapping, predictions: Mapping, metrics: Sequence[str], tokenizer: str) -> None:
    for metric in metrics:
        if metric not in METRICS:
            raise ConfigError(f"unknown metric '{metric}'", remedy=f"one of: {', '.join(METRICS)}")
    if tokenizer not in ("ptb", "none"):
        raise ConfigError(f"unknown tokenizer '{tokenizer}'", remedy="ptb or none")
    _refuse_ids([v for v in predictions if v not in references], "predicted but without references", "remove them")
    if not references:
        raise AnnotationError("there is nothing to score: no references")
    _refuse_ids([v for v in references if v not in predictions], "without a prediction", "predict a caption for each")
    _refuse_ids([v for v, captions in references.items() if not captions], "with an empty list of references", "")


def _refuse_ids(ids: Sequence[Hashable], what: str, remedy: str) -> None:
    if ids:
        named = ", ".join(map(str, ids[:5])) + (", …" if len(ids) > 5 else "")
        raise AnnotationError(
            f"{len(ids)} video{'s' if len(ids) > 1 else ''} {what}", where=named, remedy=remedy or None
        )


def _split(captions: Sequence[str], sizes: Sequence[int]) -> list[Sequence[str]]:
    ends = np.cumsum(sizes).tolist()
    return [captions[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def _score(
    ids: tuple[Hashable, ...], hypotheses: list[str], references: list[list[str]], metrics: Sequence[str]
) -> CocoScores:
    scores = CocoScores(ids, {}, {})
    for metric in metrics:
        if metric in BLEU:
            if "Bleu" not in scores.statistics:
                scores.statistics["Bleu"] = _bleu_statistics(hypotheses, references)
            order = BLEU.index(metric)
            statistics = scores.statistics["Bleu"]
            scores.per_video[metric] = bleu_from_statistics(statistics)[:, order]
            scores.overall[metric] = float(bleu_from_statistics(statistics.sum(0))[order])
        elif metric == "METEOR":
            computed = meteor.score(hypotheses, references)
            scores.statistics["METEOR"] = computed.statistics
            scores.overall[metric], scores.per_video[metric] = computed.corpus, computed.segments
        else:
            scores.overall[metric], scores.per_video[metric] = _mean_metric(metric, hypotheses, references)
    return scores


def _bleu_statistics(hypotheses: list[str], references: list[list[str]]) -> np.ndarray:
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer

    scorer = BleuScorer(n=4)
    for hypothesis, captions in zip(hypotheses, references, strict=True):
        scorer += (hypothesis, captions)
    rows = []
    for counts in scorer.ctest:
        length = counts["testlen"]
        closest = min((abs(reference - length), reference) for reference in counts["reflen"])[1]
        rows.append([length, closest, *counts["guess"], *counts["correct"]])
    return np.array(rows, np.float64)


def _mean_metric(metric: str, hypotheses: list[str], references: list[list[str]]) -> tuple[float, np.ndarray]:
    if metric == "CIDEr":
        from pycocoevalcap.cider.cider import Cider as Scorer
    else:
        from pycocoevalcap.rouge.rouge import Rouge as Scorer
    mean, values = Scorer().compute_score(dict(enumerate(references)), {i: [h] for i, h in enumerate(hypotheses)})
    return float(mean), np.asarray(values, np.float64)
