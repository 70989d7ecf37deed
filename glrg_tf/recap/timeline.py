"""The texts of a whole video at three levels, with times: what a run brings, and `recap.json`.

    {"format": "glrg-recap-texts", "version": 1,
     "video": {"name", "bytes", "sha256", "duration", "frames", "frame_rate"},
     "captioner": {"name", "fingerprint", "levels": ["clip", "segment", "video"]},
     "hierarchy": {"clip_seconds", "segment_seconds", "rest_parts"},
     "summary":  {"start", "end", "text", "source", "check"} or null,
     "segments": [{"index", "start", "end", "text", "source", "check", "clips": [first, one past the last]}, …],
     "clips":    [{"index", "start", "end", "text", "source", "check", "segment"}, …],
     "notes": ["…"]}

Times are seconds. `source` is "captioner", "user" for an edited text, or "clips" for a chapter of a captioner that
tells clips only: its text is then the one most frequent among its clips. `check` is the beginning of the sha256 of the
text as it was written: where the two differ, somebody has edited the text in this file.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from glrg_tf.recap.hierarchy import CLIP, SEGMENT, VIDEO, Window

FORMAT = "glrg-recap-texts"
VERSION = 1
CAPTIONER, USER, CLIPS = "captioner", "user", "clips"


@dataclasses.dataclass(frozen=True)
class Told:
    """One window with its text."""

    window: Window
    text: str  # may be empty: an edit that takes a text away
    source: str  # CAPTIONER, USER or CLIPS


@dataclasses.dataclass(frozen=True)
class Recap:
    """All texts of one video."""

    video: Mapping[str, Any]  # facts of the file, as in `recap.json`
    captioner: Mapping[str, Any]  # name, fingerprint, levels
    hierarchy: Mapping[str, Any]  # settings of the windows
    clips: tuple[Told, ...]
    segments: tuple[Told, ...]
    summary: Told | None  # None: the captioner tells none
    members: tuple[range, ...]  # clips of each segment
    notes: tuple[str, ...] = ()  # what the user should know

    def told(self) -> list[Told]:
        """Every text, the highest level first."""
        return [*([self.summary] if self.summary else []), *self.segments, *self.clips]

    def to_json(self) -> dict[str, Any]:
        """Returns the value of `recap.json`."""
        segment_of = {clip: number for number, own in enumerate(self.members) for clip in own}
        segments = [
            {"index": number, **_entry(told), "clips": [own.start, own.stop]}
            for number, (told, own) in enumerate(zip(self.segments, self.members, strict=True))
        ]
        clips = [{"index": i, **_entry(told), "segment": segment_of[i]} for i, told in enumerate(self.clips)]
        return {
            "format": FORMAT,
            "version": VERSION,
            "video": dict(self.video),
            "captioner": dict(self.captioner),
            "hierarchy": dict(self.hierarchy),
            "summary": _entry(self.summary) if self.summary else None,
            "segments": segments,
            "clips": clips,
            "notes": list(self.notes),
        }


def _entry(told: Told) -> dict[str, Any]:
    window = told.window
    times = {"start": round(window.start, 6), "end": round(window.end, 6)}
    return {**times, "text": told.text, "source": told.source, "check": check_of(told.text)}


def check_of(text: str) -> str:
    """Eight hex digits that tell whether a text is still the one that was written."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def one_line(text: str) -> str:
    """Text with single blanks between its words."""
    return " ".join(text.split())


def most_frequent(texts: Sequence[str]) -> str:
    """The text that occurs most often, the first of several; empty without any."""
    counts = Counter(text for text in texts if text)
    return max(counts, key=lambda text: counts[text]) if counts else ""


def clock(seconds: float) -> str:
    """Hours, minutes and seconds for people, as "1:02:03"; rounded down."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


LEVEL_KEYS = {CLIP: "clips", SEGMENT: "segments", VIDEO: "summary"}  # of `recap.json`
