"""Final scores: captions of a split judged by coco-caption (PTB tokens, BLEU, METEOR, ROUGE-L, CIDEr)."""

from __future__ import annotations

import dataclasses
from typing import Literal

from glrg_tf.captioner.captioner import Caption, Selection, VideoCaptioner
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.metrics import coco
from training import material


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of one captioner on one split."""

    scores: coco.CocoScores  # overall (0-1) and per video
    predictions: dict[str, Caption]  # best caption by video id

    def predictions_json(self) -> list[dict[str, str]]:
        """`[{"id", "caption"}]`, the interface's form."""
        return [{"id": video, "caption": caption.text} for video, caption in self.predictions.items()]


def evaluate_captioner(
    captioner: VideoCaptioner,
    dataset: CaptionDataset,
    split: str,
    *,
    beam_size: int | None = None,
    compat: Literal["release"] | None = None,
    selection: Selection | None = None,
) -> Evaluation:
    """Captions a split and scores the captions against its references.

    Args:
        captioner: who captions.
        dataset: references and features.
        split: its name.
        beam_size: None takes the captioner's default.
        compat: "release" decodes as the released code does.
        selection: which hypotheses are best; None takes the captioner's default.

    Raises:
        DataError: the split is missing, empty or without features.
    """
    videos = material.open_split(dataset, split, captioner.config)
    captions = captioner.generate(videos.features(), beam_size, 1, compat, selection)
    predictions = {record.id: best[0] for record, best in zip(videos.records, captions, strict=True)}
    references = {record.id: list(record.captions) for record in videos.records}
    scores = coco.score_captions(references, {video: caption.text for video, caption in predictions.items()})
    return Evaluation(scores, predictions)
