"""Texts of one video at three levels: clips of seconds, segments of minutes, the whole; the `levels` of a record.

In `captions.jsonl`, times in seconds since the video's beginning, all keys optional:

    "levels": {"duration": 241.6,
               "clip":    [{"start": 90, "end": 102, "captions": ["spread margarine on two slices of white bread"]}, …],
               "segment": [{"start": 0, "end": 180, "captions": ["…", "…"], "features": "features/segments/ID.npy"}],
               "video":   [{"start": 0, "end": 241.6, "captions": ["grilled cheese"]}],
               "predicted": {"clip": […], "segment": […], "video": […]}}

Several captions of one entry are references by different people. `predicted` are texts that a machine wrote. A text may
be of a moment (start = end). Entries are sorted by start, then end.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import AnnotationError

LEVELS = ("clip", "segment", "video")  # from the lowest


@dataclasses.dataclass(frozen=True)
class LevelText:
    """The references of one stretch of time."""

    start: float  # seconds
    end: float  # seconds; a moment where equal to `start`
    captions: tuple[str, ...]  # at least one, none blank
    features: str | None = None  # file of feature rows of this stretch

    def to_json(self) -> dict[str, Any]:
        """Returns one entry of a level."""
        row: dict[str, Any] = {"start": self.start, "end": self.end, "captions": list(self.captions)}
        return row if self.features is None else row | {"features": self.features}


@dataclasses.dataclass(frozen=True)
class LevelTexts:
    """All texts of one video."""

    clip: tuple[LevelText, ...] = ()
    segment: tuple[LevelText, ...] = ()
    video: tuple[LevelText, ...] = ()
    predicted: Mapping[str, tuple[LevelText, ...]] = dataclasses.field(default_factory=dict)
    duration: float | None = None  # seconds

    def of(self, level: str) -> tuple[LevelText, ...]:
        """The texts of a level by its name."""
        return {"clip": self.clip, "segment": self.segment, "video": self.video}[level]

    @property
    def highest(self) -> str | None:
        """The highest level that people wrote a text of; None without any."""
        return next((level for level in reversed(LEVELS) if self.of(level)), None)

    def to_json(self) -> dict[str, Any]:
        """Returns the value of `levels`, without what there is not."""
        value: dict[str, Any] = {} if self.duration is None else {"duration": self.duration}
        value |= {level: [text.to_json() for text in self.of(level)] for level in LEVELS if self.of(level)}
        predicted = {level: [text.to_json() for text in texts] for level, texts in self.predicted.items() if texts}
        return value | ({"predicted": predicted} if predicted else {})

    @classmethod
    def from_json(cls, value: Any, where: object) -> LevelTexts:
        """Reads what `to_json` wrote.

        Raises:
            AnnotationError: of another form, or times that cannot be.
        """
        rows = _object(value, where, {*LEVELS, "predicted", "duration"})
        predicted = _object(rows.get("predicted", {}), f"{where}: predicted", set(LEVELS))
        levels = {level: _texts(rows.get(level, []), f"{where}: {level}") for level in LEVELS}
        guessed = {level: _texts(texts, f"{where}: predicted {level}") for level, texts in predicted.items()}
        duration = rows.get("duration")
        return cls(**levels, predicted=guessed, duration=None if duration is None else seconds(duration, where))


def collected(texts: Iterable[LevelText]) -> tuple[LevelText, ...]:
    """Texts sorted by time, those of the very same stretch made one entry with each caption once."""
    found: dict[tuple[float, float], LevelText] = {}
    for text in texts:
        other = found.setdefault((text.start, text.end), text)
        captions = tuple(dict.fromkeys((*other.captions, *text.captions)))
        found[text.start, text.end] = dataclasses.replace(
            other, captions=captions, features=other.features or text.features
        )
    return tuple(sorted(found.values(), key=lambda text: (text.start, text.end)))


def record_of(video_id: str, split: str, levels: LevelTexts, category: int | str | None = None) -> VideoRecord:
    """One record a video; its `captions` are the texts of the highest level it has, for whoever reads only those.

    Raises:
        AnnotationError: the video has no text at any level.
    """
    level = levels.highest
    texts = levels.of(level) if level else next((t for t in reversed(list(levels.predicted.values())) if t), ())
    captions = tuple(dict.fromkeys(caption for text in texts for caption in text.captions))
    if not captions:
        raise AnnotationError(f"video '{video_id}' has no text at any level", remedy="leave it out")
    return VideoRecord(video_id, split, captions, category=category, levels=levels.to_json())


def seconds(value: Any, where: object) -> float:
    """A time in seconds.

    Raises:
        AnnotationError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AnnotationError(f"{value!r:.40} is no number of seconds", where=where, remedy="mend the file")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or number < 0:
        raise AnnotationError(f"{value!r:.40} is no number of seconds", where=where, remedy="mend the file")
    return number


def _texts(value: Any, where: object) -> tuple[LevelText, ...]:
    if not isinstance(value, list):
        raise AnnotationError(f"expected a list, found {type(value).__name__}", where=where, remedy="mend the file")
    return tuple(_text(row, f"{where} {number}") for number, row in enumerate(value))


def _text(value: Any, where: str) -> LevelText:
    row = _object(value, where, {"start", "end", "captions", "features"})
    captions, features = row.get("captions"), row.get("features")
    if not isinstance(captions, list) or not captions or not all(isinstance(c, str) and c.strip() for c in captions):
        raise AnnotationError("'captions' must be a list of texts that are not blank", where=where, remedy="mend it")
    if not isinstance(features, str | None):
        raise AnnotationError("'features' must be the name of a file", where=where, remedy="mend it")
    start, end = seconds(row.get("start"), where), seconds(row.get("end"), where)
    if end < start:
        raise AnnotationError(f"starts at {start:g} s and ends at {end:g} s", where=where, remedy="mend the file")
    return LevelText(start, end, tuple(captions), features)


def _object(value: Any, where: object, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise AnnotationError(f"expected an object, found {type(value).__name__}", where=where, remedy="mend the file")
    unknown = sorted(map(str, set(value) - known))
    if unknown:
        raise AnnotationError(
            f"unknown key '{unknown[0][:80]}'", where=where, remedy="known: " + ", ".join(sorted(known))
        )
    return value
