"""What an encoder should say about a video: labels, and from which frame to which each holds.

Three sources: the captions of a dataset (long range), a table of a user's own (CSV or JSON lines), and the truth of the
rendered sample world. All become `LabelledVideo`s.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.data.importers.videos import is_video_name
from glrg_tf.data.world import names, truth
from glrg_tf.encoders import words
from glrg_tf.errors import AnnotationError, DataError
from glrg_tf.io import documents

_MAX_TABLE = 2**28  # bytes
_KEYS = ("id", "video", "label", "labels", "split", "start", "end")


@dataclasses.dataclass(frozen=True)
class Span:
    """A label that holds from `start` up to, not including, `end`."""

    label: int  # index
    start: float = 0.0
    end: float = math.inf
    seconds: bool = False  # whether the two are seconds of the video; else frames
    weight: float = 1.0  # the target, 0..1


@dataclasses.dataclass(frozen=True)
class LabelledVideo:
    """One video with what is true of it.

    Attributes:
        id: unique.
        path: the file.
        split: "train", "val", "test".
        spans: its labels.
        start: seconds into the file where the clip begins; None at its beginning.
        end: seconds into the file where it ends; None at its end.
    """

    id: str
    path: Path
    split: str
    spans: tuple[Span, ...]
    start: float | None = None
    end: float | None = None

    def targets(self, frames: np.ndarray, frame_rate: float, width: int) -> np.ndarray:
        """The labels at some frames.

        Args:
            frames: int64 (n,), numbered from the beginning of the clip.
            frame_rate: frames a second.
            width: number of labels D.

        Returns:
            float32 (n, D).
        """
        values = np.zeros((len(frames), width), np.float32)
        for span in self.spans:
            scale = frame_rate if span.seconds else 1.0
            holds = (frames >= span.start * scale) & (frames < span.end * scale)
            values[holds, span.label] = np.maximum(values[holds, span.label], np.float32(span.weight))
        return values


@dataclasses.dataclass(frozen=True)
class LabelledVideos:
    """The material of an encoder's training."""

    labels: tuple[str, ...]
    videos: tuple[LabelledVideo, ...]

    def split(self, name: str) -> list[LabelledVideo]:
        """The videos of a split."""
        return [video for video in self.videos if video.split == name]


def from_captions(
    dataset: CaptionDataset, folder: Path | None, count: int, *, chosen: Sequence[str] = (), targets: str = "any"
) -> LabelledVideos:
    """Words of the captions of each video; they hold throughout.

    Args:
        dataset: videos with captions.
        folder: where the video files lie, searched by id; None takes the files that the dataset names.
        count: K, most words.
        chosen: the words, where the user names them; else they are chosen from the captions of "train".
        targets: "any" (a word is there if any caption has it) or "share" (by the share of the captions).

    Raises:
        DataError: no video files, or no words.
    """
    texts = [record.captions for record in dataset.records("train")] if "train" in dataset.splits else []
    labels = tuple(chosen) or words.choose_words(texts, count, tokenizer=dataset.tokenizer)
    if not labels:
        remedy = "more captions, or --word-list FILE" if texts else "the dataset needs a train split"
        raise DataError("no words to train on: none occurs often enough", where=dataset.folder, remedy=remedy)
    files = video_files(folder) if folder else {}
    videos = []
    for record in dataset.records():
        path = files.get(record.id) or (dataset.folder / record.video if record.video else None)
        if path is None:
            continue
        shares = words.word_shares(record.captions, labels, dataset.tokenizer)
        spans = tuple(
            Span(index, weight=share if targets == "share" else 1.0) for index, share in enumerate(shares) if share > 0
        )
        videos.append(LabelledVideo(record.id, Path(path), record.split, spans, record.start, record.end))
    return _checked(labels, videos, dataset.folder, "give the folder of the files with --videos DIR")


def from_world(folder: Path, kind: str) -> LabelledVideos:
    """The truth of a rendered world: actions ("short_range") or what is in each frame ("keyframe")."""
    labels = names.ACTIONS if kind == "short_range" else names.KEYFRAME_LABELS
    index = {label: number for number, label in enumerate(labels)}
    videos = []
    for clip in truth.load_truth(folder):
        if kind == "short_range":
            events = [event for event in clip.events if event.type == "action"]
            spans = [Span(index[event.name], event.start, event.end) for event in events]
        else:
            seen = [frozenset(clip.keyframe_labels(frame)) for frame in range(clip.frames)]
            spans = [Span(index[label], *run) for label in labels for run in _runs([label in frame for frame in seen])]
        videos.append(LabelledVideo(clip.id, folder / clip.video, clip.split, tuple(spans)))
    return _checked(labels, videos, folder, "render the world again")


def from_table(path: Path, folder: Path | None, splits: dict[str, str] | None = None) -> LabelledVideos:
    """A user's table: a row a video, or a row a label and stretch of time.

    Columns (CSV with a header, or keys of JSON lines): `video` (a file) or `id` (with `folder`), `label` or `labels`
    (a list, or text separated by `|`), and where known `split`, `start`, `end` (seconds in which the labels hold).

    Args:
        path: the table.
        folder: where the video files lie; None takes `video`, relative to the table.
        splits: id -> split, for tables without that column; videos in neither go to "train", every tenth to "val".

    Raises:
        AnnotationError: missing or unknown columns, rows without labels, no video found.
    """
    rows = list(_rows(path))
    counted = Counter(label for row in rows for label in row["labels"])
    labels = tuple(sorted(counted))
    index = {label: number for number, label in enumerate(labels)}
    files = video_files(folder) if folder else {}
    spans: dict[str, list[Span]] = {}
    known: dict[str, tuple[Path | None, str]] = {}
    for row in rows:
        name = row["id"] or Path(row["video"]).stem
        timed = {"start": row["start"] or 0.0, "end": math.inf if row["end"] is None else row["end"], "seconds": True}
        spans.setdefault(name, []).extend(Span(index[label], **timed) for label in row["labels"])
        file = files.get(name) or (path.parent / row["video"] if row["video"] else None)
        known.setdefault(name, (file, row["split"] or (splits or {}).get(name, "")))
    videos = []
    for number, (name, (file, split)) in enumerate(known.items()):
        split = split or ("val" if number % 10 == 9 else "train")
        if file is not None:
            videos.append(LabelledVideo(name, file, split, tuple(spans[name])))
    return _checked(labels, videos, path, "give the folder of the files with --videos DIR")


def video_files(folder: Path) -> dict[str, Path]:
    """Name without ending -> video file, of a folder and its subfolders.

    Raises:
        DataError: no such folder, or no videos in it.
    """
    if not folder.is_dir():
        raise DataError("no such folder of videos", where=folder, remedy="check --videos")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if is_video_name(path.name) and path.is_file():
            found.setdefault(path.stem, path)
    if not found:
        raise DataError("there are no video files in the folder", where=folder, remedy="check --videos")
    return found


def _checked(labels: Sequence[str], videos: list[LabelledVideo], where: Path, remedy: str) -> LabelledVideos:
    if not any(video.split == "train" for video in videos):
        raise DataError("no video file for any training video", where=where, remedy=remedy)
    return LabelledVideos(tuple(labels), tuple(videos))


def _runs(holds: Iterable[bool]) -> Iterator[tuple[int, int]]:
    """Start and end (exclusive) of each stretch of True."""
    start = None
    for number, value in enumerate([*holds, False]):
        if value and start is None:
            start = number
        elif not value and start is not None:
            yield start, number
            start = None


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a table with all keys of `_KEYS`, labels as a list."""
    if path.suffix.lower() in (".jsonl", ".json"):
        rows: Iterable[tuple[int, dict[str, Any]]] = documents.read_json_lines(path, error=AnnotationError)
    else:
        text = documents.read_text(path, error=AnnotationError, max_bytes=_MAX_TABLE)
        rows = enumerate(csv.DictReader(io.StringIO(text), strict=False), start=2)
    count = 0
    for number, row in rows:
        where = f"{path}: line {number}"
        unknown = [key for key in row if key not in _KEYS]
        if unknown:
            raise AnnotationError(f"unknown column '{unknown[0]}'", where=where, remedy="known: " + ", ".join(_KEYS))
        labels = row.get("labels") or row.get("label") or ()
        listed = labels.split("|") if isinstance(labels, str) else labels
        sound = isinstance(listed, list | tuple) and all(isinstance(label, str) for label in listed)
        cleaned = [label.strip() for label in listed if label.strip()] if sound else []
        named = [row.get(key) or "" for key in ("id", "video", "split")]
        if not cleaned or not all(isinstance(value, str) for value in named) or not (named[0] or named[1]):
            raise AnnotationError("a row wants 'id' or 'video', and 'label' or 'labels'", where=where, remedy="mend it")
        count += 1
        times = [_seconds(row.get(key), where) for key in ("start", "end")]
        yield {
            "id": named[0],
            "video": named[1],
            "split": named[2],
            "labels": cleaned,
            "start": times[0],
            "end": times[1],
        }
    if not count:
        raise AnnotationError("the table has no rows", where=path, remedy="it wants a header and a row a video")


def _seconds(value: Any, where: str) -> float | None:
    if value in (None, ""):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise AnnotationError(f"'{value}' is no number of seconds", where=where, remedy="mend 'start' or 'end'")
    return number
