"""HiREST: `all_data_{train,val,test}.json`, `{goal: {"ID.mp4": {"v_duration", "steps", "bounds", …}}}`.

A video is a record. Level "video" is the goal that people searched for ("Make a Plaster Mask"). Where the video has a
moment that reaches the goal (`clip`), that stretch is the one text of level "segment", in the words of the goal: HiREST
has no others for it. Its steps with their headings (19 s on average) are texts of level "clip".

Left out, and counted in a note: videos that are not relevant to their goal, and those without steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from glrg_tf.data.importers import splits
from glrg_tf.data.importers.common import Annotations, ImportOptions, find_files, mention, require
from glrg_tf.data.importers.level_tools import Drops, clean
from glrg_tf.data.levels import LevelText, LevelTexts, collected, record_of, seconds
from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import AnnotationError
from glrg_tf.io import documents

_LICENCE = "HiREST (Zala et al. 2023): annotations under MIT; the videos (HowTo100M) belong to their owners"
_KEYS = {"v_duration", "steps"}


def read(sources: Sequence[Path], options: ImportOptions) -> Annotations:
    """Reads the annotation files among `sources`; in folders, JSON files of other content are passed over.

    Raises:
        AnnotationError: missing or malformed files, a video under two goals.
    """
    files, feature_files = find_files(sources, (".json",))
    drops, notes, read_from = Drops(options.drop_empty), [], []
    records: dict[str, VideoRecord] = {}
    for file in files:
        value = documents.read_json(file, error=AnnotationError)
        if file not in sources and not _is_hirest(value):
            notes.append(f"no HiREST annotations, passed over: {file}")
            continue
        if not isinstance(value, dict) or not value:
            raise AnnotationError("expected a JSON object of goals", where=file, remedy="all_data_train.json of HiREST")
        for record in _read_file(value, file, drops):
            if records.setdefault(record.id, record) is not record:
                what = f"the video '{record.id}' occurs twice"
                raise AnnotationError(what, where=file, remedy="keep it under one goal, in one split")
        read_from.append(file)
    if not records:
        raise AnnotationError("no relevant video with steps", where=mention(files), remedy="wrong file or format?")
    name = options.name or "hirest"
    return Annotations(
        name, list(records.values()), list(map(str, read_from)), _LICENCE, notes + drops.notes(), feature_files
    )


def _read_file(value: dict[str, Any], file: Path, drops: Drops) -> list[VideoRecord]:
    split = splits.from_path(file)
    records = []
    for goal, videos in value.items():
        if not isinstance(videos, dict) or not clean(goal):
            raise AnnotationError(
                "expected videos by name under a goal", where=f"{file}: {goal[:80]}", remedy="mend it"
            )
        for name, row in videos.items():
            video = PurePosixPath(name).stem
            levels = _levels(clean(goal), row, f"{file}: {goal[:80]}: {name}", drops)
            if levels is None or not row.get("relevant", True):
                drops.count("videos that are not relevant or have no steps: left out", video)
            else:
                records.append(record_of(video, split, levels))
    return records


def _levels(goal: str, row: Any, where: str, drops: Drops) -> LevelTexts | None:
    duration = seconds(require(row, "v_duration", (int, float), where), where)
    steps = []
    for number, step in enumerate(require(row, "steps", list, where)):
        place = f"{where}: step {number}"
        text = drops.text(require(step, "heading", str, place), place)
        start, end = drops.times(require(step, "absolute_bounds", list, place), place)
        if text:
            steps.append(LevelText(start, end, (text,)))
    if not steps:
        return None
    moment: tuple[LevelText, ...] = ()
    if row.get("clip"):
        start, end = drops.times(require(row, "bounds", list, where), where)
        moment = (LevelText(start, end, (goal,)),)
    return LevelTexts(collected(steps), moment, (LevelText(0.0, duration, (goal,)),), duration=duration)


def _is_hirest(value: Any) -> bool:
    if not isinstance(value, dict) or not value:
        return False
    first = next(iter(value.values()))
    return isinstance(first, dict) and all(isinstance(row, dict) and set(row) >= _KEYS for row in first.values())
