"""The caption dataset on disk: what every importer writes and everything downstream reads.

    DATASET/
      dataset.json            name, source, tokenizer, splits with counts, licence note, sha256 of the files
      captions.jsonl          one video a line: id, split, captions, and more where known (record.py)
      features.h5             optional (feature_store.py)
      release_vocabulary.json optional: the word list that came with the captions

A caption and its scores travel in one record, so they can never be misaligned.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glrg_tf.data.feature_layout import FeatureTable, write_features
from glrg_tf.data.feature_store import FeatureStore
from glrg_tf.data.record import VideoRecord, check_records
from glrg_tf.errors import AnnotationError, ConfigError, DataError, FeatureError
from glrg_tf.io import atomic, documents
from glrg_tf.text.tokenizer import get_tokenizer
from glrg_tf.text.vocabulary import Vocabulary

__all__ = ["CaptionDataset", "VideoRecord", "write_dataset"]

DESCRIPTION, CAPTIONS, FEATURES, VOCABULARY = (
    "dataset.json",
    "captions.jsonl",
    "features.h5",
    "release_vocabulary.json",
)
FORMAT = "glrg-captions"
OWN_SHA256 = "description_sha256"
_SPLIT_ORDER = ("train", "val", "test")


@dataclass(frozen=True)
class CaptionDataset:
    """Captioned videos by split, with their features.

    Attributes:
        folder: where it lies.
        name: of the data set, such as "msrvtt".
        tokenizer: name of the tokenizer its captions are meant for.
        splits: names, train, val and test first.
        description: the content of `dataset.json`.

    Example:
        >>> dataset = CaptionDataset.load("data/msrvtt")
        >>> dataset.records("val")[0].captions[0]
        'a man is walking'
    """

    folder: Path
    name: str
    tokenizer: str
    splits: tuple[str, ...]
    description: Mapping[str, Any]
    _records: tuple[VideoRecord, ...]

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> CaptionDataset:
        """Reads a dataset folder; features are opened on first use.

        Raises:
            DataError: missing folder or file, malformed or inconsistent content.
        """
        root = Path(folder)
        description = read_description(root)
        captions = root / CAPTIONS
        _check_file(captions, description)
        records = tuple(read_records(captions))
        problems = check_records(records)
        if problems:
            raise DataError(problems[0], where=captions, remedy=f"see `glrg data verify {root}`; import it again")
        return cls(root, description["name"], description["tokenizer"], split_names(records), description, records)

    def records(self, split: str | None = None) -> list[VideoRecord]:
        """Returns the videos of `split` (all of them without), in the order of the file.

        Raises:
            ConfigError: no such split.
        """
        if split is None:
            return list(self._records)
        if split not in self.splits:
            near = difflib.get_close_matches(split, self.splits, n=1)
            remedy = f"did you mean '{near[0]}'?" if near else "splits here: " + ", ".join(self.splits)
            raise ConfigError(f"no split '{split}'", where=self.folder, remedy=remedy)
        return [record for record in self._records if record.split == split]

    @functools.cached_property
    def features(self) -> FeatureStore | None:
        """The features, None where the dataset has none.

        Raises:
            FeatureError: `features.h5` is damaged.
        """
        path = self.folder / FEATURES
        return FeatureStore(path) if path.is_file() else None

    @functools.cached_property
    def release_vocabulary(self) -> Vocabulary | None:
        """The word list that came with the captions, None where there was none.

        Raises:
            DataError: the file is damaged.
        """
        path = self.folder / VOCABULARY
        if not path.is_file():
            return None
        _check_file(path, self.description)
        return Vocabulary.load(path)


def write_dataset(
    folder: str | os.PathLike[str],
    records: Iterable[VideoRecord],
    *,
    name: str,
    source: Sequence[str],
    tokenizer: str = "release",
    features: FeatureTable | None = None,
    licence: str = "",
    notes: Sequence[str] = (),
    vocabulary: Vocabulary | None = None,
    replace: bool = False,
) -> dict[str, Any]:
    """Writes a dataset folder, whole or not at all, and returns the content of its `dataset.json`.

    Args:
        folder: must not exist, unless `replace`.
        records: the videos, any order; it is kept.
        name: of the data set.
        source: what it was made from, for people.
        tokenizer: name of the tokenizer for these captions.
        features: of some or all videos.
        licence: a note on who may use the data.
        notes: what was dropped or changed on the way, and why.
        vocabulary: the word list that came with the captions.
        replace: whether an existing folder is swapped out.

    Raises:
        DataError: no records; duplicate ids, empty captions and the like; features of unknown videos.
        ConfigError: unknown tokenizer; the folder exists.
    """
    get_tokenizer(tokenizer)
    records = list(records)
    problems = check_records(records)
    if problems:
        raise DataError(problems[0], where=", ".join(source) or name, remedy=f"mend it ({len(problems)} like this)")
    known = {record.id for record in records}
    featured = set(features.ids) if features else set()
    if featured - known:
        raise FeatureError(
            f"features of '{min(featured - known)}', which has no captions", where=name, remedy="leave them out"
        )
    with atomic.new_folder(folder, replace=replace) as scratch:
        atomic.write_json_lines(scratch / CAPTIONS, (record.to_json() for record in records))
        if features:
            write_features(scratch / FEATURES, *features)
        if vocabulary:
            vocabulary.save(scratch / VOCABULARY)
        description = {
            "format": FORMAT,
            "version": 1,
            "name": name,
            "source": list(source),
            "tokenizer": tokenizer,
            "splits": count_splits(records, featured),
            "streams": {stream: array_width(array) for stream, array in features.values.items()} if features else {},
            "licence": licence,
            "notes": list(notes),
            "files": {
                file.name: {"sha256": atomic.sha256_file(file), "bytes": file.stat().st_size}
                for file in sorted(scratch.iterdir())
            },
        }
        write_description(scratch, description)
    return description


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Writes `dataset.json` with the sha256 of its own content."""
    description[OWN_SHA256] = _own_sha256(description)
    atomic.write_json(folder / DESCRIPTION, description)


def _own_sha256(description: Mapping[str, Any]) -> str:
    content = {key: value for key, value in description.items() if key != OWN_SHA256}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()


def _check_file(file: Path, description: Mapping[str, Any]) -> None:
    """Holds a file against its size and sha256 in `dataset.json`; that it is there is for others to see."""
    if not file.is_file():
        return
    entry = description["files"].get(file.name, {})
    if file.stat().st_size != entry.get("bytes"):
        what = f"{file.name} has {file.stat().st_size} bytes, {DESCRIPTION} says {entry.get('bytes')}"
    elif atomic.sha256_file(file) != entry.get("sha256"):
        what = f"{file.name} differs from its sha256 in {DESCRIPTION}"
    else:
        return
    raise DataError(what, where=file, remedy="the copy is incomplete or was edited: copy or import it again")


def read_description(root: Path) -> dict[str, Any]:
    """Returns the content of `dataset.json` after checking its types.

    Raises:
        DataError: not a dataset folder, or the file is malformed.
    """
    path = root / DESCRIPTION
    if not path.is_file():
        what = "no such dataset folder" if not root.exists() else f"not a dataset folder: it has no {DESCRIPTION}"
        raise DataError(what, where=root, remedy="make one with `glrg data import`")
    value = documents.read_json(path)
    types = {"name": str, "tokenizer": str, "splits": dict, "files": dict, "version": int}
    for key, kind in types.items():
        if not isinstance(value, dict) or not isinstance(value.get(key), kind):
            raise DataError(f"'{key}' is missing or no {kind.__name__}", where=path, remedy="import the dataset again")
    if value.get("format") != FORMAT or value["version"] != 1:
        raise DataError("a dataset of another format or version", where=path, remedy="import the dataset again")
    if not all(isinstance(entry, dict) for table in ("splits", "files") for entry in value[table].values()):
        raise DataError("'splits' or 'files' is malformed", where=path, remedy="import the dataset again")
    if OWN_SHA256 in value and value[OWN_SHA256] != _own_sha256(value):
        remedy = f"it is damaged: import the dataset again; or remove '{OWN_SHA256}', if you edited it on purpose"
        raise DataError(f"{DESCRIPTION} differs from its own sha256", where=path, remedy=remedy)
    try:
        get_tokenizer(value["tokenizer"])
    except ConfigError as error:
        raise DataError(error.what, where=path, remedy=error.remedy) from None
    return value


def read_records(path: Path) -> list[VideoRecord]:
    """Returns the videos of a `captions.jsonl`, each of sound types (`check_records` looks at the whole).

    Raises:
        AnnotationError: missing, not utf-8 JSON lines, keys missing, unknown or of a wrong type.
    """
    rows = documents.read_json_lines(path, error=AnnotationError)
    return [VideoRecord.from_json(row, f"{path}: line {line}") for line, row in rows]


def split_names(records: Iterable[VideoRecord]) -> tuple[str, ...]:
    """Returns the splits of `records`: train, val, test, then others by name."""
    found = {record.split for record in records}
    return (*(split for split in _SPLIT_ORDER if split in found), *sorted(found - set(_SPLIT_ORDER)))


def count_splits(records: Sequence[VideoRecord], featured: set[str]) -> dict[str, dict[str, int]]:
    """Returns by split the numbers of videos, of captions and of videos with features."""
    videos = Counter(record.split for record in records)
    captions = Counter[str]()
    features = Counter[str]()
    for record in records:
        captions[record.split] += len(record.captions)
        features[record.split] += record.id in featured
    return {
        split: {"videos": videos[split], "captions": captions[split], "features": features[split]}
        for split in split_names(records)
    }


def array_width(values: Any) -> int:
    """Returns D of pooled (N, D) values or of a sequence of (F, D) arrays."""
    return int(values.shape[1] if hasattr(values, "shape") else values[0].shape[1])
