"""Scores of every video of a run, computed once: METEOR and the PTB tokenizer take their time."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glrg_tf.errors import GlrgError
from glrg_tf.io import atomic, documents
from glrg_tf.metrics.coco import CocoScores, score_captions

FILE = "video_scores.json"
_VERSION = 1


def cached_scores(folder: Path, references: Mapping[str, Sequence[str]], predictions: Mapping[str, str]) -> CocoScores:
    """Scores of captions; kept in FOLDER/video_scores.json while neither captions nor references change.

    Args:
        folder: of the phase; where it cannot be written the scores are only returned.
        references: captions of people by video id.
        predictions: a caption for each of the same ids.

    Raises:
        GlrgError: what scoring raises.
    """
    found = _read(folder / FILE, _digest(references, predictions))
    if found is None:
        found = score_captions(references, predictions)
        with contextlib.suppress(OSError):
            keep_scores(folder, references, predictions, found)
    return found


def keep_scores(
    folder: Path, references: Mapping[str, Sequence[str]], predictions: Mapping[str, str], scores: CocoScores
) -> None:
    """Writes FOLDER/video_scores.json, where `cached_scores` finds them."""
    atomic.write_json(folder / FILE, {"sha256": _digest(references, predictions), **_to_json(scores)})


def _digest(references: Mapping[str, Sequence[str]], predictions: Mapping[str, str]) -> str:
    text = json.dumps([_VERSION, {key: list(value) for key, value in references.items()}, dict(predictions)])
    return hashlib.sha256(text.encode()).hexdigest()


def _to_json(scores: CocoScores) -> dict[str, Any]:
    return {
        "ids": list(scores.ids),
        "overall": scores.overall,
        "per_video": {name: values.tolist() for name, values in scores.per_video.items()},
        "statistics": {name: values.tolist() for name, values in scores.statistics.items()},
    }


def _read(file: Path, digest: str) -> CocoScores | None:
    """The cached scores, or None where there are none of these captions or they are damaged (then made again)."""
    try:
        value = documents.read_json(file)
        if value["sha256"] != digest:
            return None
        per_video = {name: np.asarray(values, np.float64) for name, values in value["per_video"].items()}
        statistics = {name: np.asarray(values, np.float64) for name, values in value["statistics"].items()}
        scores = CocoScores(tuple(value["ids"]), dict(value["overall"]), per_video, statistics)
    except (GlrgError, KeyError, TypeError, ValueError):
        return None
    arrays = [*per_video.values(), *statistics.values()]
    return scores if all(len(array) == len(scores.ids) for array in arrays) else None
