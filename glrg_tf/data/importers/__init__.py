"""Importers: one file per foreign format, all of them ending in the one caption dataset of dataset.py.

Every importer module has `read(sources, options) -> Annotations`; `import_dataset` does what is the same for all:
splits, video files, features, and the folder that is written whole or not at all.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glrg_tf.data.dataset import write_dataset
from glrg_tf.data.importers import features, splits, videos
from glrg_tf.data.importers.common import Annotations, ImportOptions, check_text, mention
from glrg_tf.errors import ConfigError

__all__ = ["FORMATS", "Annotations", "ImportOptions", "ImportReport", "import_dataset", "register_importer"]

FORMATS = {
    "msrvtt": "MSR-VTT: videodatainfo.json (single, or the split files), or a folder of them",
    "msvd": "MSVD: the description corpus csv with youtube_mapping.txt, or a `vid text` list",
    "coco": "COCO captions json, one or several",
    "activitynet": "ActivityNet Captions: train.json, val_1.json, val_2.json; every event a record with start and end",
    "activitynet-paragraphs": "the same files; every video a record, events and paragraphs as two levels",
    "ego4d-hcap": "Ego4D-HCap (Video ReCap): clips_*.pkl, segments_*.pkl, videos_*.json; three levels",
    "hirest": "HiREST: all_data_{train,val}.json; goals, moments and steps as three levels",
    "youcook2": "YouCook2: annotations_trainval.json [label_foodtype.csv]; steps and the recipe",
    "stories": "stories of the sample world: stories.jsonl of `glrg world --stories`; three levels",
    "table": "your own captions: csv, tsv or jsonl with the columns video, caption[, split]",
    "glrg-release": "the files of the GL-RG release: metadata and feature folders",
}

Read = Callable[[Sequence[Path], ImportOptions], Annotations]
_OWN: dict[str, Read] = {}


def register_importer(name: str, meaning: str, read: Read) -> None:
    """Makes a format of one's own known, to `import_dataset` and `glrg data import` in this process.

    Args:
        name: of the format.
        meaning: one line for the help.
        read: files or folders and options to what they say.

    Raises:
        ConfigError: the name is taken by a built-in format.
    """
    if name in FORMATS and name not in _OWN:
        raise ConfigError(f"'{name}' is a built-in format", where="register_importer", remedy="choose another name")
    FORMATS[name], _OWN[name] = meaning, read


@dataclass(frozen=True)
class ImportReport:
    """What an import made.

    Attributes:
        folder: the dataset folder.
        description: the content of its `dataset.json`; `description["notes"]` says what was dropped and why.
    """

    folder: Path
    description: dict[str, Any]


def import_dataset(
    format_name: str,
    sources: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    options: ImportOptions | None = None,
) -> ImportReport:
    """Imports captions, with the features and videos at hand, into the new folder `out`.

    Args:
        format_name: one of `FORMATS`.
        sources: files or folders of that format.
        out: the dataset folder to write; must not exist.
        options: feature files, video folder, splits, tokenizer, name.

    Raises:
        DataError: an input is refused; nothing has been written.
        ConfigError: unknown format or tokenizer, `out` exists.
    """
    if format_name not in FORMATS:
        raise ConfigError(f"unknown format '{format_name}'", remedy="known: " + ", ".join(FORMATS))
    if Path(out).exists():
        raise ConfigError("the output already exists", where=out, remedy="choose another --out or remove it")
    options = options or ImportOptions()
    annotations = _reader(format_name)([Path(source) for source in sources], options)
    notes = list(annotations.notes)
    records = splits.assign(annotations.records, options.splits, notes, annotations.aliases)
    check_text(records, options.tokenizer, mention(annotations.sources), notes)
    records = videos.attach(records, options.videos, annotations.aliases, notes)
    files = options.features or features.usable(annotations.feature_files, notes)
    table, records = features.join(files, records, options.drop_missing, notes)
    description = write_dataset(
        out,
        records,
        name=options.name or annotations.name,
        source=[f"{format_name}: {source}" for source in annotations.sources],
        tokenizer=options.tokenizer,
        features=table,
        licence=annotations.licence,
        notes=notes,
        vocabulary=annotations.vocabulary,
    )
    return ImportReport(Path(out), description)


def _reader(format_name: str) -> Read:
    if format_name in _OWN:
        return _OWN[format_name]
    read: Read = importlib.import_module(f"glrg_tf.data.importers.{format_name.replace('-', '_')}").read
    return read
