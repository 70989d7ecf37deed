"""Final scores: captions of a split judged by coco-caption (PTB tokens, BLEU, METEOR, ROUGE-L, CIDEr)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from glrg_tf.captioner.captioner import Caption, Selection, VideoCaptioner
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.metrics import coco
from training import material
from training.shared_captions import caption_shared

if TYPE_CHECKING:
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of one captioner on one split."""

    scores: coco.CocoScores  # overall (0-1) and per video
    predictions: dict[str, Caption]  # best caption by video id

    def predictions_json(self) -> list[dict[str, str]]:
        """`[{"id", "caption"}]`, the interface's form."""
        return [{"id": video, "caption": caption.text} for video, caption in self.predictions.items()]


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The best captions of one split, and what they are judged by."""

    captions: dict[str, Caption]  # by video id
    references: dict[str, list[str]]

    def score(self) -> Evaluation:
        """The scores of coco-caption."""
        found = {video: caption.text for video, caption in self.captions.items()}
        return Evaluation(coco.score_captions(self.references, found), self.captions)


def predict_split(
    captioner: VideoCaptioner,
    dataset: CaptionDataset,
    split: str,
    *,
    beam_size: int | None = None,
    compat: Literal["release"] | None = None,
    selection: Selection | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> Predictions:
    """Captions a split on one device, or on all of a strategy: the same captions for any number of them.

    Args:
        captioner: who captions.
        dataset: references and features.
        split: its name.
        beam_size: None takes the captioner's default.
        compat: "release" decodes as the released code does.
        selection: which hypotheses are best; None takes the captioner's default.
        strategy: devices and workers that share the videos; every worker calls this and gets all captions.

    Raises:
        DataError: the split is missing, empty or without features.
    """
    videos = material.open_split(dataset, split, captioner.config)
    captions = caption_shared(
        captioner, videos.features(), strategy, beam_size=beam_size, compat=compat, selection=selection
    )
    best = {record.id: caption for record, caption in zip(videos.records, captions, strict=True)}
    return Predictions(best, {record.id: list(record.captions) for record in videos.records})


def evaluate_captioner(captioner: VideoCaptioner, dataset: CaptionDataset, split: str, **options: Any) -> Evaluation:
    """Captions a split (see `predict_split`) and scores the captions against its references.

    Raises:
        DataError: the split is missing, empty or without features.
    """
    return predict_split(captioner, dataset, split, **options).score()
