"""Scores of every level of a captioner of long video, each level reading what the one below has written.

CIDEr, ROUGE-L and METEOR as in the paper, but against all references of a text (the paper scores one at a time).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from glrg_tf.errors import DataError
from glrg_tf.metrics.coco import score_captions
from glrg_tf.recap.captioner import RecapCaptioner
from glrg_tf.recap.hierarchy import CLIP
from training.recap_data import Example, LongVideo, examples, lower_texts
from training.recap_writing import Texts, write_examples, write_level

METRICS = ("CIDEr", "ROUGE_L", "METEOR")


@dataclasses.dataclass(frozen=True)
class LevelScores:
    """One level's scores.

    Attributes:
        level: its name.
        scores: metric -> fraction (CIDEr may pass 1).
        written: the examples scored, with what was written of them.
    """

    level: str
    scores: dict[str, float]
    written: tuple[tuple[Example, str], ...]


def evaluate_recap(
    captioner: RecapCaptioner,
    videos: Sequence[LongVideo],
    levels: Sequence[str] = (),
    metrics: Sequence[str] = METRICS,
    progress: Callable[[str], object] | None = None,
) -> list[LevelScores]:
    """Writes and scores every level that the captioner has and that people described.

    Args:
        captioner: whose texts are scored.
        videos: of the split.
        levels: scored; all by default.
        metrics: of coco-caption.
        progress: called with each level's name before its turn.

    Raises:
        DataError: there is nothing to score.
    """
    written: dict[str, Texts] = {}
    found = []
    for level in captioner.levels:
        if progress is not None:
            progress(level)
        if level == CLIP and all(video.dense is None for video in videos):
            continue  # texts alone: clips are read as the data set has them
        if not levels or level in levels:
            scored = score_level(captioner, level, videos, written, metrics)
            found += [scored] if scored is not None else []
        if level != captioner.levels[-1]:
            written[level] = write_level(captioner, level, videos, written)
    if not found:
        raise DataError("nothing to score: no level of the captioner is described there", remedy="choose another split")
    return found


def score_level(
    captioner: RecapCaptioner,
    level: str,
    videos: Sequence[LongVideo],
    written: dict[str, Texts],
    metrics: Sequence[str] = METRICS,
) -> LevelScores | None:
    """Scores one level on the stretches that people described; None where there are none."""
    wanted: list[Example] = []
    for video in videos:
        below = () if level == CLIP else lower_texts(video, level, written)
        wanted += [e for e in examples(video, level, captioner.hierarchy, below) if e.references]
    if not wanted:
        return None
    told = write_examples(captioner, level, wanted)
    # nlg-eval, which the paper's numbers are of, lower-cases and strips both sides.
    references = {number: [text.lower().strip() for text in e.references] for number, e in enumerate(wanted)}
    predictions = {number: text.lower().strip() for number, text in enumerate(told)}
    scores = score_captions(references, predictions, metrics)
    return LevelScores(level, dict(scores.overall), tuple(zip(wanted, told, strict=True)))
