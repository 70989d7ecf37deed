"""MSR-VTT: `videodatainfo.json`, whole or split in train_val and test files, or a folder searched for them.

Its split "validate" becomes "val". `start time` and `end time` are left out: they cut the YouTube video, and the data
set's own files (video6514.mp4) are already cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glrg_tf.data.importers import splits
from glrg_tf.data.importers.common import (
    Annotations,
    CaptionCollector,
    ImportOptions,
    find_files,
    mention,
    require,
)
from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import AnnotationError
from glrg_tf.io import documents

LICENCE = "MSR-VTT: for research only; see the data set's own terms"


def read(sources: Sequence[Path], options: ImportOptions) -> Annotations:
    """Reads the annotation files among `sources`; in folders, JSON files of other content are passed over.

    Raises:
        AnnotationError: missing or malformed files, captions of unknown videos, a video listed twice.
    """
    files, feature_files = find_files(sources, (".json",))
    videos: dict[str, tuple[dict[str, Any], Path]] = {}
    collector = CaptionCollector(options.drop_empty)
    read_from, passed_over = [], []
    for file in files:
        value = documents.read_json(file, error=AnnotationError)
        if file not in sources and not (isinstance(value, dict) and {"videos", "sentences"} <= set(value)):
            passed_over.append(file)
            continue
        _read_file(value, file, videos, collector, needs_split=options.splits is None)
        read_from.append(file)
    if not read_from:
        raise AnnotationError(
            f"no MSR-VTT annotations in {len(files)} JSON files ({mention(files)})",
            where=", ".join(map(str, sources)),
            remedy="they have the keys 'videos' and 'sentences'",
        )
    notes = [f"no MSR-VTT annotations, passed over: {file}" for file in passed_over]
    silent = collector.split_off(list(videos), notes)
    records = [
        VideoRecord(
            id=video_id,
            split=splits.normal_name(row.get("split") or ""),
            captions=tuple(collector.captions[video_id]),
            category=row.get("category"),
        )
        for video_id, (row, _) in videos.items()
        if video_id not in silent
    ]
    return Annotations("msrvtt", records, [str(file) for file in read_from], LICENCE, notes, feature_files)


def _read_file(
    value: Any,
    file: Path,
    videos: dict[str, tuple[dict[str, Any], Path]],
    collector: CaptionCollector,
    needs_split: bool,
) -> None:
    own = set()
    for index, row in enumerate(require(value, "videos", list, file)):
        where = f"{file}: videos[{index}]"
        video_id = require(row, "video_id", str, where)
        if needs_split:
            require(row, "split", str, where)
        if video_id in videos:
            other = videos[video_id][1]
            what = f"video '{video_id}' is listed twice" + ("" if other == file else f", in {other} too")
            raise AnnotationError(what, where=where, remedy="name only one file that holds it")
        if not isinstance(row.get("category"), int | str | None) or not isinstance(row.get("split"), str | None):
            raise AnnotationError("'category' or 'split' has a wrong type", where=where, remedy="wrong file?")
        videos[video_id] = (row, file)
        own.add(video_id)
    for index, row in enumerate(require(value, "sentences", list, file)):
        where = f"{file}: sentences[{index}]"
        video_id = require(row, "video_id", str, where)
        if video_id not in own:
            raise AnnotationError(f"a caption of '{video_id}', which is not listed", where=where, remedy="wrong file?")
        collector.add(video_id, require(row, "caption", object, where), where)
