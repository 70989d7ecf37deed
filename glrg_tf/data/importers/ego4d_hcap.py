"""Ego4D-HCap (Video ReCap): `clips_*.pkl`, `segments_*.pkl`, `videos_*.json`, and `features/{segments,videos}/ID.npy`.

A video is a record; what the files say of it is gathered whatever their order:
- clips: (video id, start, end, caption) -> level "clip".
- segments: `segment_description` -> level "segment"; its `captions_gt` -> "clip"; its `captions_pred` -> "predicted".
- videos: `video_summary` -> level "video"; its `segment_descriptions` (and `…_pred`) -> "segment" (and "predicted").

Several people's descriptions or summaries of the very same stretch are references of one entry: the 8,267 summaries
are of 4,492 videos. Targets of files with "pseudo" in their name are a machine's, and go to "predicted".
Descriptions inside a summary's record have no times in some files; they are then placed evenly, which a note counts.
Records of "version" v1 hold their descriptions as the text of one Python list; its brackets and quotes are taken off.

Pickles pass through the allow-list reader, which takes files up to 96 MiB; the same rows as .json are taken too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from glrg_tf.data.importers import splits
from glrg_tf.data.importers.common import Annotations, ImportOptions, find_files, mention, require
from glrg_tf.data.importers.level_tools import Drops
from glrg_tf.data.levels import LEVELS, LevelText, LevelTexts, collected, record_of
from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import AnnotationError
from glrg_tf.io import documents, foreign

_LICENCE = "Ego4D-HCap (Islam et al. 2024): under the Ego4D licence, which each user signs"
_SEGMENT, _SUMMARY = "segment_description", "video_summary"
_FEATURES = {"segment": "segments", "video": "videos"}  # folders below features/
_UNTIMED = "records with descriptions without times: placed evenly"


@dataclasses.dataclass
class _Video:
    """What has been read of one video."""

    split: str
    people: dict[str, list[LevelText]] = dataclasses.field(default_factory=lambda: {level: [] for level in LEVELS})
    machine: dict[str, list[LevelText]] = dataclasses.field(default_factory=lambda: {level: [] for level in LEVELS})

    def levels(self) -> LevelTexts:
        clip, segment, video = (collected(self.people[level]) for level in LEVELS)
        predicted = {level: collected(found) for level, found in self.machine.items() if found}
        return LevelTexts(clip, segment, video, predicted)


def read(sources: Sequence[Path], options: ImportOptions) -> Annotations:
    """Reads the annotation files among `sources`; in folders, files of other content are passed over.

    Raises:
        AnnotationError: missing, malformed or hostile files, a video in two splits.
    """
    files, _ = find_files(sources, (".pkl", ".pickle", ".json"))
    drops, notes, read_from = Drops(options.drop_empty), [], []
    videos: dict[str, _Video] = {}
    for file in files:
        rows = _load(file)
        if file not in sources and not _is_hcap(rows):
            notes.append(f"no Ego4D-HCap records, passed over: {file}")
            continue
        if not isinstance(rows, list) or not rows:
            what = f"expected a list of records, found {type(rows).__name__ if rows else 'nothing in it'}"
            raise AnnotationError(what, where=file, remedy="clips_*.pkl, segments_*.pkl or videos_*.json")
        reader = _Reader(file, videos, drops, options.splits is not None)
        for number, row in enumerate(rows):
            reader.add(row, f"{file}: record {number}")
        read_from.append(file)
    if not videos:
        raise AnnotationError("no Ego4D-HCap records", where=mention(files), remedy="wrong files or format?")
    records = list(_records(videos, drops))
    name = options.name or "ego4d-hcap"
    return Annotations(name, records, list(map(str, read_from)), _LICENCE, notes + drops.notes())


class _Reader:
    """Puts the records of one file where they belong."""

    def __init__(self, file: Path, videos: dict[str, _Video], drops: Drops, may_differ: bool) -> None:
        self._file, self._videos, self._drops, self._may_differ = file, videos, drops, may_differ
        self._split = splits.from_path(file)
        self._pseudo = "pseudo" in file.stem.lower()
        self._folder = file.parent / "features"

    def add(self, row: Any, where: str) -> None:
        """Adds one record.

        Raises:
            AnnotationError: of no known form.
        """
        if isinstance(row, list | tuple):
            video, text = self._quadruple(row, where)
            if text:
                (self._of(video, where).machine if self._pseudo else self._of(video, where).people)["clip"].append(text)
        elif isinstance(row, dict) and _SEGMENT in row:
            self._segment(row, where)
        elif isinstance(row, dict) and _SUMMARY in row:
            self._summary(row, where)
        else:
            what = f"a record is neither a clip, nor has it '{_SEGMENT}' or '{_SUMMARY}'"
            raise AnnotationError(what, where=where, remedy="wrong file or format?")

    def _segment(self, row: dict[str, Any], where: str) -> None:
        video = self._target(row, "segment", _SEGMENT, str(row.get("sid") or ""), where)
        for key, texts in (("captions_gt", video.people), ("captions_pred", video.machine)):
            for caption in _list(row, key, where):
                if text := self._quadruple(caption, f"{where}: {key}")[1]:
                    texts["clip"].append(text)

    def _summary(self, row: dict[str, Any], where: str) -> None:
        video = self._target(row, "video", _SUMMARY, "", where)
        span = self._span(row, where)
        for key, texts in (("segment_descriptions", video.people), ("segment_descriptions_pred", video.machine)):
            found = row.get(key)
            told = [found.strip(" []'\"")] if isinstance(found, str) else _list(row, key, where)
            plain = [text for text in told if isinstance(text, str)]
            if len(plain) > 1:
                self._drops.count(_UNTIMED, where)
            for number, text in enumerate(told):
                if isinstance(text, str):
                    step = (span[1] - span[0]) / len(told)
                    times = (span[0] + number * step, span[0] + (number + 1) * step)
                    entry = self._text(*times, text, f"{where}: {key}") if text or not isinstance(found, str) else None
                else:
                    entry = self._quadruple(text, f"{where}: {key}")[1]
                if entry:
                    texts["segment"].append(entry)

    def _target(self, row: dict[str, Any], level: str, key: str, own_id: str, where: str) -> _Video:
        """Files the text that a record is about; returns its video."""
        name = str(require(row, "vid", (str, int), where))
        video = self._of(name, where)
        entry = self._text(*self._span(row, where), require(row, key, str, where), where)
        if entry:
            rows = self._folder / _FEATURES[level] / f"{Path(own_id or name).name}.npy"
            features = str(rows.resolve()) if rows.is_file() else None  # the dataset is read from other folders
            texts = video.machine if self._pseudo else video.people
            texts[level].append(dataclasses.replace(entry, features=features))
        return video

    def _span(self, row: dict[str, Any], where: str) -> tuple[float, float]:
        numbers = (int, float)
        return self._drops.times(
            [require(row, "start_sec", numbers, where), require(row, "end_sec", numbers, where)], where
        )

    def _quadruple(self, row: Any, where: str) -> tuple[str, LevelText | None]:
        if not isinstance(row, list | tuple) or len(row) != 4 or not isinstance(row[0], str):
            raise AnnotationError(
                "expected (video id, start, end, caption)", where=where, remedy="wrong file or format?"
            )
        return row[0], self._text(*self._drops.times(row[1:3], where), row[3], where)

    def _text(self, start: float, end: float, caption: Any, where: str) -> LevelText | None:
        text = self._drops.text(caption, where)
        return LevelText(start, end, (text,)) if text else None

    def _of(self, name: str, where: str) -> _Video:
        video = self._videos.setdefault(name, _Video(self._split))
        if video.split != self._split and not self._may_differ:
            what = f"video '{name}' is in '{video.split or 'no split'}' and in '{self._split or 'no split'}'"
            raise AnnotationError(what, where=where, remedy="keep it in one, or pass --splits")
        return video


def _records(videos: dict[str, _Video], drops: Drops) -> Iterator[VideoRecord]:
    for name, video in videos.items():
        levels = video.levels()
        if levels.highest or levels.predicted:
            yield record_of(name, video.split, levels)
        else:
            drops.count("videos without a text: dropped", name)


def _load(file: Path) -> Any:
    if file.suffix.lower() == ".json":
        return documents.read_json(file, error=AnnotationError)
    return foreign.read_pickle(file, AnnotationError)


def _is_hcap(rows: Any) -> bool:
    if not isinstance(rows, list) or not rows:
        return False
    first = rows[0]
    return isinstance(first, list | tuple) or (isinstance(first, dict) and bool({_SEGMENT, _SUMMARY} & set(first)))


def _list(row: dict[str, Any], key: str, where: str) -> list[Any]:
    value = row.get(key)
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise AnnotationError(f"'{key}' is {type(value).__name__}, not a list", where=where, remedy="wrong file?")
    return list(value)
