"""Captions of many videos: one pure function from a video or a chunk of a feature file to rows of JSON.

`glrg caption` calls it here, workers of an engine call it there (bulk_beam.py), and both get the same rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from glrg_tf.captioner.feature_input import Failure, FeatureInput

if TYPE_CHECKING:
    import numpy as np

    from glrg_tf.captioner.captioner import Caption, Selection, VideoCaptioner
    from glrg_tf.encoders.extract import Outcome

Row = dict[str, Any]  # {"id", "captions": [{"text", "score", "token_ids"}]}; of videos "video", "frames", "warnings"


class Captioned(NamedTuple):
    """One video: its row and what it was made from."""

    row: Row
    features: np.ndarray | None = None  # float32 (D,), where they are at hand
    message: str = ""  # why there are no captions: what, where, remedy


@dataclasses.dataclass(frozen=True)
class CaptionSettings:
    """What is asked of `VideoCaptioner.generate`."""

    beam_size: int
    num_captions: int = 1
    compat: Literal["release"] | None = None
    selection: Selection | None = None

    def generate(self, captioner: VideoCaptioner, features: np.ndarray) -> list[list[Caption]]:
        """Captions of features (N, D)."""
        return captioner.generate(features, **dataclasses.asdict(self))


def caption_outcome(captioner: VideoCaptioner, outcome: Outcome, settings: CaptionSettings) -> Captioned:
    """Captions a video that was encoded, or says why it was not."""
    from glrg_tf.encoders.extract import Failed

    if isinstance(outcome, Failed):
        return failed(Failure(outcome.item.id, outcome.error))
    features = outcome.pooled(captioner.config.stream_names)
    row = _row(outcome.item.id, settings.generate(captioner, features[None])[0])
    row["video"] = str(outcome.item.path)
    row["frames"] = {"expected": outcome.expected, "decoded": outcome.decoded, "used": outcome.used}
    if outcome.warnings:
        row["warnings"] = list(outcome.warnings)
    return Captioned(row, features)


def caption_chunk(
    captioner: VideoCaptioner, source: FeatureInput, first: int, last: int, settings: CaptionSettings
) -> Iterator[Captioned]:
    """Captions the rows from `first` up to `last` of a feature file."""
    for part in source.chunk(first, last):
        if isinstance(part, Failure):
            yield failed(part)
            continue
        ids, features = part
        for video_id, values, captions in zip(ids, features, settings.generate(captioner, features), strict=True):
            yield Captioned(_row(video_id, captions), values)


def failed(failure: Failure) -> Captioned:
    """The row of an input without captions."""
    error = failure.error
    where = error.where if error.where and failure.id not in error.where else None
    message = f"{failure.id}: " + "; ".join(part for part in (error.what, where, error.remedy) if part)
    return Captioned({"id": failure.id, "captions": [], "error": error.what}, message=message)


def _row(video_id: str, captions: list[Caption]) -> Row:
    entries = [{"text": c.text, "score": float(c.score), "token_ids": [int(i) for i in c.token_ids]} for c in captions]
    return {"id": video_id, "captions": entries}
