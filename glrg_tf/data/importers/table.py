"""A table of a user's own captions: csv, tsv or jsonl with the columns `video`, `caption` and, if known, `split`.

One row a caption; in jsonl `captions` may hold a list. `video` is an id, or the path of a video file, looked for beside
the table or in --videos; its id is then its name without the ending. Rows of one video need not be neighbours. Optional
columns `start` and `end` (seconds) and `category` describe the video; other columns are ignored.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from glrg_tf.data.importers import splits
from glrg_tf.data.importers.common import Annotations, CaptionCollector, ImportOptions, find_files, mention, require
from glrg_tf.data.importers.videos import is_video_name
from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import AnnotationError
from glrg_tf.io import documents

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_LINES = (".jsonl", ".ndjson")
_KNOWN = ("video", "caption", "captions", "split", "start", "end", "category")
_SECONDS = ("start", "end")


def read(sources: Sequence[Path], options: ImportOptions) -> Annotations:
    """Reads the tables among `sources`.

    Raises:
        AnnotationError: missing or malformed files or columns, empty captions, a video in two splits, no rows.
    """
    files, feature_files = find_files(sources, (*_DELIMITERS, *_LINES))
    collector = CaptionCollector(options.drop_empty)
    drafts: dict[str, VideoRecord] = {}
    ignored: Counter[str] = Counter()
    missing: list[str] = []
    for file in files:
        for where, row in _rows(file):
            ignored.update(key for key in row if key not in _KNOWN)
            name = str(require(row, "video", (str, int), where)).strip()
            if not name:
                raise AnnotationError("the cell 'video' is empty", where=where, remedy="fill it in or remove the row")
            draft = _draft(name, row, where)
            if drafts.setdefault(name, draft) != draft:
                what = f"the rows of video '{name}' differ in split, start, end or category"
                raise AnnotationError(what, where=where, remedy="make them equal: captions of a video stay together")
            captions = (
                row["captions"] if isinstance(row.get("captions"), list) else [require(row, "caption", str, where)]
            )
            for caption in captions:
                collector.add(name, caption, where)
    if not drafts:
        raise AnnotationError("the table has no rows", where=files[0], remedy="one row a caption: video, caption")
    ids = _ids(list(drafts))
    notes = [f"the column '{column}' is ignored" for column in ignored]
    silent = collector.split_off(list(drafts), notes)
    records = []
    for name, draft in drafts.items():
        if name in silent:
            continue
        video = _find(name, [file.parent for file in files], options.videos) if is_video_name(name) else None
        if is_video_name(name) and video is None:
            missing.append(name)
        captions = tuple(collector.captions[name])
        records.append(dataclasses.replace(draft, id=ids[name], captions=captions, video=video))
    if missing and options.videos is None:
        notes.append(
            f"{len(missing)} video files were not found beside the table ({mention(missing)}); --videos names a folder"
        )
    name = options.name or files[0].stem
    return Annotations(name, records, [str(file) for file in files], "", notes, feature_files)


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if file.suffix.lower() in _LINES:
        for number, row in documents.read_json_lines(file, error=AnnotationError):
            yield f"{file}: line {number}", row
        return
    if file.suffix.lower() not in _DELIMITERS:
        raise AnnotationError("a table ends in .csv, .tsv or .jsonl", where=file, remedy="rename or convert it")
    text = io.StringIO(documents.read_text(file, error=AnnotationError), newline="")
    reader = csv.DictReader(text, delimiter=_DELIMITERS[file.suffix.lower()], strict=True)
    try:
        for column in ("video", "caption"):
            if column not in (reader.fieldnames or ()):
                found = ", ".join(reader.fieldnames or ()) or "no header line"
                what = f"the column '{column}' is missing (found {found})"
                other = next((mark for mark in ";\t|" if mark in found), None) if file.suffix != ".tsv" else None
                remedy = "the first line names the columns: video,caption,split"
                remedy += f" (separated by commas, not by {other!r})" if other else ""
                raise AnnotationError(what, where=file, remedy=remedy)
        for cells in reader:
            where = f"{file}: line {reader.line_num}"
            if None in cells or None in cells.values():
                raise AnnotationError(
                    "the row has too few or too many cells", where=where, remedy='put captions with commas in "quotes"'
                )
            yield where, {key: value for key, value in cells.items() if value or key in ("video", "caption")}
    except csv.Error as error:
        where = f"{file}: line {reader.line_num}"
        raise AnnotationError(f"not valid csv ({error})", where=where, remedy="wrong file or delimiter?") from None


def _draft(name: str, row: dict[str, Any], where: str) -> VideoRecord:
    split, category = row.get("split") or "", row.get("category")
    if not isinstance(split, str) or not isinstance(category, str | int | None):
        raise AnnotationError("'split' or 'category' has a wrong type", where=where, remedy="mend the row")
    seconds: dict[str, float | None] = dict.fromkeys(_SECONDS)
    for key in _SECONDS:
        try:
            seconds[key] = None if row.get(key) is None else float(row[key])
        except (TypeError, ValueError, OverflowError):
            seconds[key] = math.nan
        if seconds[key] is not None and not math.isfinite(seconds[key] or 0.0):
            raise AnnotationError(f"'{key}' is no number of seconds", where=where, remedy="mend the row")
    return VideoRecord(
        name, splits.normal_name(split), (), start=seconds["start"], end=seconds["end"], category=category
    )


def _ids(names: Sequence[str]) -> dict[str, str]:
    """Returns an id for every name: a file's stem where that is unique, else its path without the ending."""
    stems = {name: PurePosixPath(name.replace("\\", "/")).stem if is_video_name(name) else name for name in names}
    count = Counter(stems.values())
    return {
        name: stem if count[stem] == 1 else str(PurePosixPath(name).with_suffix("")) for name, stem in stems.items()
    }


def _find(name: str, folders: Sequence[Path], videos: Path | None) -> str | None:
    for folder in (*([videos] if videos else []), *folders):
        if (folder / name).is_file():
            return str((folder / name).resolve())
    return None
