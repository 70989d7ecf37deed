"""Stories of the sample world (`glrg world --stories`): `stories.jsonl`, the truth at three levels.

A story is a record: its beats' captions are level "clip", its segments' descriptions level "segment", its summary level
"video"; several wordings of one text are references of one entry.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glrg_tf.data.importers.common import Annotations, ImportOptions, find_files, mention, require
from glrg_tf.data.levels import LevelText, LevelTexts, record_of, seconds
from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import AnnotationError
from glrg_tf.io import documents

FILE = "stories.jsonl"
_LICENCE = "rendered by this project, as free as its code"


def read(sources: Sequence[Path], options: ImportOptions) -> Annotations:
    """Reads the files of stories among `sources`; in folders, those called stories.jsonl.

    Raises:
        AnnotationError: missing or malformed files, a story twice.
    """
    files, _ = find_files(sources, (".jsonl",))
    files = [file for file in files if file in sources or file.name == FILE]
    records: dict[str, VideoRecord] = {}
    for file in files:
        for line, row in documents.read_json_lines(file, error=AnnotationError):
            record = _with_video(story_record(row, f"{file}: line {line}"), row, file.parent)
            if records.setdefault(record.id, record) is not record:
                raise AnnotationError(f"the story '{record.id}' occurs twice", where=file, remedy="keep it once")
    if not records:
        raise AnnotationError("no stories", where=mention(list(sources)), remedy="`glrg world --stories N` makes them")
    name = options.name or "stories"
    return Annotations(name, list(records.values()), list(map(str, files)), _LICENCE)


def story_record(row: Mapping[str, Any], where: str) -> VideoRecord:
    """The record of one line of `stories.jsonl`.

    Raises:
        AnnotationError: of another form.
    """
    duration = seconds(require(row, "duration", (int, float), where), where)
    levels = LevelTexts(
        clip=_texts(row, "clips", "captions", where),
        segment=_texts(row, "segments", "descriptions", where),
        video=(LevelText(0.0, duration, _wordings(row, "summaries", where)),),
        duration=duration,
    )
    return record_of(str(require(row, "id", str, where)), str(row.get("split") or "train"), levels)


def _with_video(record: VideoRecord, row: Mapping[str, Any], folder: Path) -> VideoRecord:
    """The record with its rendered video, if that lies where the story says."""
    name = row.get("video")
    video = folder / name if isinstance(name, str) and name else None
    return dataclasses.replace(record, video=str(video.resolve())) if video is not None and video.is_file() else record


def _texts(row: Mapping[str, Any], key: str, wordings: str, where: str) -> tuple[LevelText, ...]:
    texts = []
    for number, entry in enumerate(require(row, key, list, where)):
        place = f"{where}: {key} {number}"
        start, end = (seconds(require(entry, name, (int, float), place), place) for name in ("start", "end"))
        texts.append(LevelText(start, end, _wordings(entry, wordings, place)))
    return tuple(texts)


def _wordings(row: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    texts = require(row, key, list, where)
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise AnnotationError(f"'{key}' must be texts that are not blank", where=where, remedy="render it again")
    return tuple(texts)
