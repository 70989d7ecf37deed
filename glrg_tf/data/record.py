"""One captioned video, and what makes a list of them sound."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from glrg_tf.errors import AnnotationError

MAX_ID_LENGTH = 1000  # four utf-8 bytes each stay below what a feature file may hold as one id
_SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_REQUIRED = ("id", "split", "captions")
_OPTIONAL = ("scores", "video", "start", "end", "category", "levels")


@dataclass(frozen=True)
class VideoRecord:
    """One video with its captions.

    Args:
        id: unique in the data set.
        split: "train", "val", "test" or a name of its own.
        captions: raw text, as the source has it; no blank ones.
        scores: imported consensus scores m(S) by metric ("CIDEr", …): entry j belongs to captions[j]. A source that
            scored only the first captions of a video gives shorter tuples.
        video: path of the video file.
        start: seconds into `video` where the clip begins, None = at its beginning.
        end: seconds into `video` where the clip ends, None = at its end.
        category: the source's own class of the video.
        levels: further captions of a hierarchy (segments, summaries), as plain JSON.
    """

    id: str
    split: str
    captions: tuple[str, ...]
    scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    video: str | None = None
    start: float | None = None
    end: float | None = None
    category: int | str | None = None
    levels: Any = None

    def to_json(self) -> dict[str, Any]:
        """Returns the record as one line of `captions.jsonl`, without what it does not have."""
        row: dict[str, Any] = {"id": self.id, "split": self.split, "captions": list(self.captions)}
        if self.scores:
            row["scores"] = {metric: list(values) for metric, values in self.scores.items()}
        optional = {key: getattr(self, key) for key in _OPTIONAL[1:]}
        return row | {key: value for key, value in optional.items() if value is not None}

    @classmethod
    def from_json(cls, row: Mapping[str, Any], where: str) -> VideoRecord:
        """Reads what `to_json` wrote.

        Raises:
            AnnotationError: keys missing or unknown, values of a wrong type.
        """
        for key in _REQUIRED:
            if key not in row:
                raise AnnotationError(
                    f"'{key}' is missing", where=where, remedy="every line has " + ", ".join(_REQUIRED)
                )
        unknown = sorted(set(row) - {*_REQUIRED, *_OPTIONAL})
        if unknown:
            known = ", ".join((*_REQUIRED, *_OPTIONAL))
            raise AnnotationError(f"unknown key '{unknown[0]}'", where=where, remedy=f"known: {known}")
        scores = row.get("scores") or {}
        sound = {
            "id": isinstance(row["id"], str),
            "split": isinstance(row["split"], str),
            "captions": isinstance(row["captions"], list) and all(isinstance(text, str) for text in row["captions"]),
            "scores": isinstance(scores, dict) and all(_are_numbers(values) for values in scores.values()),
            "video": isinstance(row.get("video"), str | None),
            "start": _is_number(row.get("start", 0.0)),
            "end": _is_number(row.get("end", 0.0)),
            "category": isinstance(row.get("category"), int | str | None),
        }
        for key, fits in sound.items():
            if not fits:
                raise AnnotationError(f"'{key}' has a wrong type", where=where, remedy="import the source again")
        fields = dict(row) | {
            "captions": tuple(row["captions"]),
            "scores": {metric: tuple(map(float, values)) for metric, values in scores.items()},
        }
        return cls(**fields)


def check_records(records: Sequence[VideoRecord]) -> list[str]:
    """Returns what is wrong with `records`, one sentence a problem; nothing for a sound list."""
    if not records:
        return ["there are no videos"]
    problems: list[str] = []
    seen: set[str] = set()
    for record in records:
        if record.id in seen:
            problems.append(f"the id '{record.id}' occurs twice")
        seen.add(record.id)
        problems += _check_record(record)
    return problems


def _check_record(record: VideoRecord) -> list[str]:
    name = f"video '{record.id}'"
    problems = []
    if not record.id.strip() or not record.id.isprintable() or len(record.id) > MAX_ID_LENGTH:
        problems.append(f"the id {record.id[:80]!a} is blank, longer than {MAX_ID_LENGTH} characters or not printable")
    if not _SPLIT.fullmatch(record.split):
        problems.append(f"{name} has the split {record.split!r}, no name")
    if not record.captions:
        problems.append(f"{name} has no captions")
    others = json.dumps([record.video, record.category, record.levels], ensure_ascii=False)
    if not all(map(_is_utf8, (record.id, *record.captions, others))):
        problems.append(f"video {record.id!a} has text with half a surrogate pair, which utf-8 cannot hold")
    blank = [number for number, text in enumerate(record.captions, start=1) if not text.strip()]
    if blank:
        problems.append(f"caption {blank[0]} of {name} is empty")
    for metric, values in record.scores.items():
        if len(values) > len(record.captions):
            problems.append(f"{name} has {len(values)} {metric} scores for {len(record.captions)} captions")
        if not all(map(math.isfinite, values)):
            problems.append(f"{name} has a {metric} score that is not finite")
    times = [time for time in (record.start, record.end) if time is not None]
    if not all(math.isfinite(time) and time >= 0 for time in times) or (len(times) == 2 and times[0] >= times[1]):
        problems.append(f"{name} starts at {record.start} s and ends at {record.end} s")
    return problems


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(map(_is_number, values))


def _is_utf8(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
