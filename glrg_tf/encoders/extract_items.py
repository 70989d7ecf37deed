"""What to extract: a folder of videos, a list file, a caption dataset or single files become a list of items.

The id of a video is its name without the ending where that is unique in the list, else its path below the folder that
was named, else that path with the ending. A dataset gives its own ids, and the seconds where a clip begins and ends.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glrg_tf.data.dataset import CAPTIONS, DESCRIPTION, CaptionDataset
from glrg_tf.data.importers.videos import is_video_name
from glrg_tf.errors import AnnotationError, DataError
from glrg_tf.io import documents

LIST_ENDINGS = (".txt", ".lst", ".list", ".jsonl")
_MAX_LIST_BYTES = 2**28
_KNOWN = ("id", "video", "start", "end")


@dataclasses.dataclass(frozen=True)
class VideoItem:
    """One video of the work.

    Attributes:
        id: unique in the list.
        path: the file; whether it exists is found out when it is read.
        start: seconds into the file where the clip begins; None at its beginning.
        end: seconds into the file where the clip ends; None at its end.
    """

    id: str
    path: Path
    start: float | None = None
    end: float | None = None


@dataclasses.dataclass(frozen=True)
class _Found:
    name: str  # path below the folder or list that named it
    item: VideoItem  # its id is "" until all names are known


Source = str | os.PathLike[str]


def list_videos(sources: Source | Sequence[Source]) -> list[VideoItem]:
    """Returns the videos of one or several sources, in a fixed order.

    Args:
        sources: each a folder (searched with its subfolders, by name), a caption dataset, a list file (.txt: a path a
            line, `#` begins a remark; .jsonl: objects with `video` and, if known, `id`, `start` and `end`), or a video.

    Raises:
        DataError: a source does not exist or names no video; two videos of one id.
    """
    listed = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    found = [entry for source in listed for entry in _read_source(Path(source))]
    if not found:
        raise DataError("no videos were named", remedy="name a folder of videos")
    items = [dataclasses.replace(f.item, id=f.item.id or name) for f, name in zip(found, _ids(found), strict=True)]
    twice = [name for name, count in Counter(item.id for item in items).items() if count > 1]
    if twice:
        raise DataError(f"two videos have the id '{twice[0]}'", remedy="name each video once, or give ids in a .jsonl")
    return items


def _read_source(source: Path) -> list[_Found]:
    if source.is_dir():
        is_dataset = (source / DESCRIPTION).is_file() and (source / CAPTIONS).is_file()
        found = _from_dataset(source) if is_dataset else _from_folder(source)
    elif not source.exists():
        raise DataError("no such file or folder", where=source, remedy="check the path")
    elif source.suffix.lower() in LIST_ENDINGS and source.is_file():
        found = _from_list(source)
    else:
        return [_Found(source.name, VideoItem("", source))]
    if not found:
        what = "the list names no video" if source.is_file() else "there are no video files in the folder"
        raise DataError(what, where=source, remedy="a video is known by its ending: .mp4, .mkv, .mov, .avi, .webm, …")
    return found


def _from_folder(folder: Path) -> list[_Found]:
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if not hidden and is_video_name(path.name) and not path.is_dir():
            found.append(_Found(name.as_posix(), VideoItem("", path)))
    return found


def _from_dataset(folder: Path) -> list[_Found]:
    dataset = CaptionDataset.load(folder)
    found = [
        _Found(record.id, VideoItem(record.id, folder / record.video, record.start, record.end))
        for record in dataset.records()
        if record.video is not None
    ]
    if not found:
        raise DataError(
            "no caption of the dataset names its video file",
            where=folder,
            remedy="import it again with --videos DIR, or name the folder of videos",
        )
    return found


def _from_list(path: Path) -> list[_Found]:
    if path.suffix.lower() == ".jsonl":
        return [_row(row, f"{path}: line {number}", path.parent) for number, row in documents.read_json_lines(path)]
    text = documents.read_text(path, max_bytes=_MAX_LIST_BYTES)
    names = [line.strip() for line in text.splitlines()]
    return [_Found(name, VideoItem("", path.parent / name)) for name in names if name and not name.startswith("#")]


def _row(row: dict[str, Any], where: str, folder: Path) -> _Found:
    unknown = sorted(set(row) - {*_KNOWN, "split", "caption", "captions", "category"})
    if unknown:
        raise AnnotationError(f"unknown key '{unknown[0]}'", where=where, remedy="known: " + ", ".join(_KNOWN))
    video, video_id = row.get("video"), row.get("id", "")
    if not isinstance(video, str) or not video or not isinstance(video_id, str):
        raise AnnotationError("'video' is missing or no text", where=where, remedy='write {"video": "clips/a.mp4"}')
    seconds = [row.get("start"), row.get("end")]
    for value in seconds:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and math.isfinite(value) and value >= 0):
            raise AnnotationError("'start' or 'end' is no number of seconds", where=where, remedy="mend the row")
    return _Found(video, VideoItem(video_id, folder / video, *(None if s is None else float(s) for s in seconds)))


def _ids(found: Sequence[_Found]) -> list[str]:
    """A readable id for every video: the shortest of stem, name without ending and name that nobody else has."""
    names = [_readable(f.name) for f in found]
    forms = [[Path(name).stem for name in names], [str(Path(name).with_suffix("")) for name in names], names]
    counts = [Counter(form) for form in forms]
    return [
        next((form[row] for form, count in zip(forms, counts, strict=True) if count[form[row]] == 1), str(f.item.path))
        for row, f in enumerate(found)
    ]


def _readable(name: str) -> str:
    """The name as printable utf-8: file names may hold any bytes."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)
