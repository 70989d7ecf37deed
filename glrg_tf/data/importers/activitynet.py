"""ActivityNet Captions: `{"v_ID": {"duration", "timestamps": [[start, end]], "sentences"}}`, one file or several.

Every event becomes a record `v_ID_START_END` with its start and end in seconds. val_1.json and val_2.json describe the
same videos by different people with different times: their events stand side by side, and one that both give with the
very same times is one record with both sentences. A file's split is in its name (train.json, val_1.json); without one
whole videos are split by the hash of their id. `--splits` may name videos or events.

Times are mended where the published files need it, and counted in a note: ends after the video's are cut there, ends
before the start change places with it, and events of no length are dropped.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glrg_tf.data.importers import splits
from glrg_tf.data.importers.common import Annotations, CaptionCollector, ImportOptions, find_files, mention, require
from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import AnnotationError
from glrg_tf.io import documents

_KEYS = {"duration", "timestamps", "sentences"}
LICENCE = "ActivityNet Captions (Krishna et al. 2017): annotations for research; the videos belong to their owners"


@dataclass(frozen=True)
class _Event:
    """One event of a video, without its sentences."""

    video: str
    split: str
    start: float
    end: float

    @property
    def id(self) -> str:
        return f"{self.video}_{_seconds(self.start)}_{_seconds(self.end)}"


def read(sources: Sequence[Path], options: ImportOptions) -> Annotations:
    """Reads the caption files among `sources`; in folders, JSON files of other content are passed over.

    Raises:
        AnnotationError: missing or malformed files, a video in two splits.
    """
    files, feature_files = find_files(sources, (".json",))
    collector = CaptionCollector(options.drop_empty)
    events: dict[str, dict[str, _Event]] = {}
    mended: Counter[str] = Counter()
    read_from, notes = [], []
    for file in files:
        value = documents.read_json(file, error=AnnotationError)
        if file not in sources and not is_captions(value):
            notes.append(f"no ActivityNet captions, passed over: {file}")
            continue
        if not isinstance(value, dict) or not value:
            what = "expected a JSON object of videos"
            raise AnnotationError(
                what, where=file, remedy="train.json, val_1.json or val_2.json of ActivityNet Captions"
            )
        split = splits.from_path(file)
        for video, row in value.items():
            for event in _read_video(video, row, split, f"{file}: {video}", collector, mended):
                _file(events.setdefault(video, {}), event, file, options)
        read_from.append(file)
    if not read_from:
        raise AnnotationError(
            f"no ActivityNet captions in {len(files)} JSON files",
            where=", ".join(map(str, sources)),
            remedy="they have a video's 'duration', 'timestamps' and 'sentences'",
        )
    notes += [f"{count} events {what}" for what, count in sorted(mended.items())]
    _split_by_video(events, options, notes)
    listed = [event for own in events.values() for event in sorted(own.values(), key=lambda e: (e.start, e.end))]
    silent = collector.split_off([event.id for event in listed], notes)
    records = [
        VideoRecord(event.id, event.split, tuple(collector.captions[event.id]), start=event.start, end=event.end)
        for event in listed
        if event.id not in silent
    ]
    # A file may be named by the YouTube id alone.
    aliases = {event.id: (event.video, event.video.removeprefix("v_")) for event in listed}
    name = options.name or "activitynet"
    return Annotations(name, records, list(map(str, read_from)), LICENCE, notes, feature_files, aliases)


def _read_video(
    video: str, row: Any, split: str, where: str, collector: CaptionCollector, mended: Counter[str]
) -> list[_Event]:
    duration = _number(require(row, "duration", (int, float), where), where)
    times = require(row, "timestamps", list, where)
    sentences = require(row, "sentences", list, where)
    if len(times) != len(sentences):
        what = f"{len(times)} timestamps for {len(sentences)} sentences"
        raise AnnotationError(what, where=where, remedy="one pair of seconds a sentence")
    events = []
    for number, (pair, sentence) in enumerate(zip(times, sentences, strict=True)):
        if not isinstance(pair, list) or len(pair) != 2:
            what = f"timestamp {number} is no pair of seconds"
            raise AnnotationError(what, where=where, remedy="[start, end]")
        start, end = mend([_number(time, where) for time in pair], duration, mended)
        if start < end:
            event = _Event(video, split, start, end)
            collector.add(event.id, sentence.strip() if isinstance(sentence, str) else sentence, where)
            events.append(event)
    return events


def mend(pair: list[float], duration: float, mended: Counter[str]) -> tuple[float, float]:
    """Start and end of an event within its video, and a count of what had to be changed."""
    start, end = pair
    if start > end:
        start, end = end, start
        mended["ended before they began: times exchanged"] += 1
    if duration and end > duration:
        end = duration
        mended["ended after their video: cut at its end"] += 1
    start, end = round(max(start, 0.0), 2), round(end, 2)
    if start >= end:
        mended["had no length: dropped"] += 1
    return start, end


def _file(own: dict[str, _Event], event: _Event, file: Path, options: ImportOptions) -> None:
    """Adds an event to its video's.

    Raises:
        AnnotationError: the video is in another split already, and no splits file decides.
    """
    other = next(iter(own.values()), event)
    if other.split != event.split and options.splits is None:
        what = f"video '{event.video}' is in '{other.split or 'no split'}' and in '{event.split or 'no split'}'"
        raise AnnotationError(what, where=file, remedy="keep it in one, or pass --splits")
    own.setdefault(event.id, event)


def _split_by_video(events: dict[str, dict[str, _Event]], options: ImportOptions, notes: list[str]) -> None:
    """Gives videos without a split one by the hash of their id, so that no video stands in two."""
    without = [video for video, own in events.items() if any(not event.split for event in own.values())]
    if not without or options.splits is not None:
        return
    chosen = splits.by_hash(without)
    for video in without:
        events[video] = {
            key: _Event(video, chosen[video], event.start, event.end) for key, event in events[video].items()
        }
    counts = ", ".join(f"{count} {split}" for split, count in sorted(Counter(chosen.values()).items()))
    notes.append(f"{len(without)} videos had no split ({mention(without)}): split by the hash of their id ({counts})")


def is_captions(value: Any) -> bool:
    """Whether a JSON value looks like a file of ActivityNet Captions."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(row, dict) and set(row) >= _KEYS for row in value.values())
    )


def _number(value: Any, where: str) -> float:
    """A number of seconds.

    Raises:
        AnnotationError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise AnnotationError(f"{value!r:.40} is no number of seconds", where=where, remedy="mend the file")
    return float(value)


def _seconds(time: float) -> str:
    return f"{time:.2f}".rstrip("0").rstrip(".")
