"""YouCook2: `youcookii_annotations_trainval.json`, recipes on video with their steps.

A video is a record. Its steps (19.6 s on average) are texts of level "clip". The published annotations tell nothing of
the whole video but the number of its recipe; with `label_foodtype.csv` beside them the recipe's name ("grilled
cheese") is the text of level "video". There is no level "segment". The recipe's number is the record's `category`.
Without the names a record's `captions` are its steps.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glrg_tf.data.importers import splits
from glrg_tf.data.importers.common import Annotations, ImportOptions, find_files, mention, require
from glrg_tf.data.importers.level_tools import Drops, clean
from glrg_tf.data.levels import LevelText, LevelTexts, collected, record_of, seconds
from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import AnnotationError
from glrg_tf.io import documents

_LICENCE = "YouCook2 (Zhou et al. 2018): annotations for research; the videos belong to their owners"
_NAMES = "label_foodtype"


def read(sources: Sequence[Path], options: ImportOptions) -> Annotations:
    """Reads the annotation files among `sources`, and the names of recipes beside them.

    Raises:
        AnnotationError: missing or malformed files, a video twice.
    """
    files, feature_files = find_files(sources, (".json", ".csv"))
    tables = [file for file in files if file.suffix.lower() == ".csv"]
    documents_ = [file for file in files if file not in tables]
    if not documents_:
        raise AnnotationError("no json file of annotations", where=files[0], remedy="name the annotation file too")
    if not tables:
        found = {file.parent / f"{_NAMES}.csv" for file in documents_}
        tables = sorted(table for table in found if table.is_file())
    names = {number: name for table in tables for number, name in _recipes(table).items()}
    drops, notes, read_from = Drops(options.drop_empty), [], []
    records: dict[str, VideoRecord] = {}
    for file in documents_:
        value = documents.read_json(file, error=AnnotationError)
        if file not in sources and not (isinstance(value, dict) and "database" in value):
            notes.append(f"no YouCook2 annotations, passed over: {file}")
            continue
        for video, row in require(value, "database", dict, file).items():
            record = _record(video, row, names, f"{file}: {video}", drops)
            if record is not None and records.setdefault(video, record) is not record:
                raise AnnotationError(f"the video '{video}' occurs twice", where=file, remedy="name one file a video")
        read_from.append(file)
    if not records:
        raise AnnotationError("no videos with steps", where=mention(documents_), remedy="wrong file or format?")
    if not names:
        notes.append(f"no {_NAMES}.csv: recipes have numbers only, so level 'video' is empty; captions are the steps")
    elif unnamed := [record.id for record in records.values() if record.category not in names]:
        notes.append(f"{len(unnamed)} videos of recipes without a name ({mention(unnamed)})")
    used = [*map(str, read_from), *map(str, tables)]
    name = options.name or "youcook2"
    return Annotations(name, list(records.values()), used, _LICENCE, notes + drops.notes(), feature_files)


def _record(video: str, row: Any, names: dict[str, str], where: str, drops: Drops) -> VideoRecord | None:
    duration = seconds(require(row, "duration", (int, float), where), where)
    recipe = str(require(row, "recipe_type", (str, int), where)).strip()
    split = splits.normal_name(require(row, "subset", str, where))
    steps = []
    for number, step in enumerate(require(row, "annotations", list, where)):
        place = f"{where}: step {number}"
        start, end = drops.times(require(step, "segment", list, place), place)
        text = drops.text(require(step, "sentence", str, place), place)
        if text:
            steps.append(LevelText(start, end, (text,)))
    if not steps:
        drops.count("videos without steps", video)
        return None
    whole = (LevelText(0.0, duration, (names[recipe],)),) if recipe in names else ()
    return record_of(video, split, LevelTexts(clip=collected(steps), video=whole, duration=duration), recipe or None)


def _recipes(table: Path) -> dict[str, str]:
    """Recipe number -> name."""
    text = documents.read_text(table, error=AnnotationError, max_bytes=2**20)
    found = {}
    try:
        for row in csv.reader(io.StringIO(text)):
            if len(row) >= 2 and row[0].strip().isdecimal() and clean(row[1]):
                found[row[0].strip()] = clean(row[1])
    except csv.Error as error:
        raise AnnotationError(f"no csv table ({error})", where=table, remedy="lines of `number,name`") from error
    if not found:
        raise AnnotationError("the table has no line `number,name`", where=table, remedy="wrong file?")
    return found
