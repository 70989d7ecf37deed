"""Finds the video file of every record in a folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from glrg_tf.data.importers.common import mention
from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import AnnotationError

SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("avi", "mp4", "mkv", "webm", "mov", "gif", "m4v", "mpg", "mpeg"),
        *("3gp", "flv", "mts", "ogv", "ts", "vob", "wmv"),
    )
)


def is_video_name(name: str) -> bool:
    """Whether `name` ends like a video file."""
    return Path(name).suffix.lower() in SUFFIXES


def attach(
    records: Sequence[VideoRecord], folder: Path | None, aliases: Mapping[str, Sequence[str]], notes: list[str]
) -> list[VideoRecord]:
    """Returns `records` with the path of their video in `folder`: a file named like the id or one of its aliases.

    Records that know their file keep it.

    Raises:
        AnnotationError: no such folder, or no record has a file.
    """
    if folder is None:
        return list(records)
    if not folder.is_dir():
        raise AnnotationError("no such folder of videos", where=folder, remedy="check --videos")
    files: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and is_video_name(file.name):
            files.setdefault(file.stem, file.resolve())
    attached, missing = [], []
    for record in records:
        names = (record.id, *aliases.get(record.id, ()))
        found = next((files[name] for name in names if name in files), None)
        if found and record.video is None:
            record = dataclasses.replace(record, video=str(found))
        if record.video is None:
            missing.append(record.id)
        attached.append(record)
    if missing and len(missing) == len(records):
        what = f"none of the {len(records)} videos has a file there ({mention(missing)})"
        raise AnnotationError(
            what, where=folder, remedy="files are named like the ids; check --videos, or leave it out"
        )
    if missing:
        notes.append(f"{len(missing)} videos have no file in {folder} ({mention(missing)})")
    return attached
