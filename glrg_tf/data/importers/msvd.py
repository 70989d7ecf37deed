"""MSVD: the description corpus csv with youtube_mapping.txt, or a list of lines `vid text`.

Rules of the release (`build_msvd_annotation`): rows in English; name = VideoID_Start_End; missing descriptions
dropped; non-ASCII characters, CR and LF deleted; text before the first full stop. Splits by the number K of "vidK":
1–1200 train, 1201–1300 val, 1301–1970 test. Differs from the release: a caption of which nothing is left is dropped,
not kept empty.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from glrg_tf.data.importers.common import Annotations, ImportOptions, find_files, mention
from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import AnnotationError
from glrg_tf.io import documents

LICENCE = "MSVD (Microsoft Research Video Description Corpus): for research only; see the data set's own terms"
_COLUMNS = ("VideoID", "Start", "End", "Language", "Description")
_MISSING = frozenset(("", "NA", "N/A", "NULL", "NaN", "None", "n/a", "nan", "null", "<NA>", "#N/A"))  # as pandas reads
_NUMBERED = re.compile(r"vid([1-9][0-9]*)")
_LAST = {"train": 1200, "val": 1300, "test": 1970}


def read(sources: Sequence[Path], options: ImportOptions) -> Annotations:
    """Reads the corpus csv or list among `sources`, and the mapping where names are YouTube's.

    Raises:
        AnnotationError: missing or malformed files, no mapping where one is needed, no caption left.
    """
    files, feature_files = find_files(sources, (".csv", ".txt"))
    mappings = [file for file in files if file.suffix.lower() != ".csv" and _is_mapping(file)]
    captioned = [file for file in files if file not in mappings and (file in sources or _is_captioned(file))]
    if not captioned:
        raise AnnotationError(
            "no MSVD captions were found",
            where=", ".join(map(str, sources)),
            remedy=f"name a csv with the columns {', '.join(_COLUMNS)}, or a text file of lines `vid text`",
        )
    numbers: dict[str, str] = {}
    for file in mappings:
        numbers.update(_read_mapping(file))
    dropped: Counter[str] = Counter()
    captions: dict[str, list[str]] = {}
    for file in captioned:
        rows = _read_corpus(file, dropped) if file.suffix.lower() == ".csv" else _read_list(file, options.drop_empty)
        for name, text in rows:
            video_id = name if _NUMBERED.fullmatch(name) else numbers.get(name)
            if video_id is None:
                dropped["of videos that the mapping does not list"] += 1
                continue
            caption = clean(text)
            if not caption:
                dropped["of which nothing is left before the first full stop"] += 1
                continue
            captions.setdefault(video_id, []).append(caption)
    if not captions:
        why = "; ".join(f"{count} {reason}" for reason, count in dropped.items()) or "the files are empty"
        remedy = "pass youtube_mapping.txt as well" if not mappings else "do captions and mapping belong together?"
        raise AnnotationError(f"no caption is left: {why}", where=captioned[0], remedy=remedy)
    return _annotations(captions, numbers, dropped, [*captioned, *mappings], feature_files, options)


def clean(text: str) -> str:
    """Returns a description as the release keeps it."""
    ascii_only = text.encode("ascii", "ignore").decode("ascii")
    return ascii_only.replace("\n", "").replace("\r", "").split(".")[0].strip()


def _annotations(
    captions: dict[str, list[str]],
    numbers: dict[str, str],
    dropped: Counter[str],
    files: Sequence[Path],
    feature_files: tuple[Path, ...],
    options: ImportOptions,
) -> Annotations:
    notes = [f"{count} descriptions {reason}: dropped" for reason, count in dropped.items()]
    outside = [video_id for video_id in captions if _split(video_id) is None]
    if outside and options.splits is None:
        notes.append(f"{len(outside)} videos beyond vid1970 belong to no split: dropped ({mention(outside)})")
    silent = sorted(set(numbers.values()) - set(captions), key=_number)
    if silent:
        notes.append(f"{len(silent)} videos of the mapping have no captions: dropped ({mention(silent)})")
    records = [
        VideoRecord(video_id, _split(video_id) or "", tuple(captions[video_id]))
        for video_id in sorted(captions, key=_number)
        if options.splits is not None or _split(video_id)
    ]
    aliases = {video_id: (name,) for name, video_id in numbers.items()}
    return Annotations("msvd", records, [str(file) for file in files], LICENCE, notes, feature_files, aliases)


def _number(video_id: str) -> int:
    found = _NUMBERED.fullmatch(video_id)
    return int(found[1][:18]) if found else 0


def _split(video_id: str) -> str | None:
    return next((split for split, last in _LAST.items() if _number(video_id) <= last), None)


def _is_mapping(file: Path) -> bool:
    first = next(_lines(file), (0, ""))[1].split()
    return len(first) == 2 and _NUMBERED.fullmatch(first[1]) is not None


def _is_captioned(file: Path) -> bool:
    if file.suffix.lower() == ".csv":
        return set(_COLUMNS) <= set(
            documents.read_text(file, error=AnnotationError).split("\n", 1)[0].strip().split(",")
        )
    first = next(_lines(file), (0, ""))[1].split()
    return len(first) > 2 and re.fullmatch(r"vid\d+|[\w-]{11}_\d+_\d+", first[0]) is not None


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(documents.read_text(file, error=AnnotationError).split("\n"), start=1):
        if line.strip() and not line.startswith("#"):
            yield number, line.strip()


def _read_mapping(file: Path) -> dict[str, str]:
    numbers: dict[str, str] = {}
    for number, line in _lines(file):
        cells = line.split()
        if len(cells) != 2 or not _NUMBERED.fullmatch(cells[1]):
            raise AnnotationError("expected a name and vidK", where=f"{file}: line {number}", remedy="mend the line")
        if cells[0] in numbers:
            raise AnnotationError(f"'{cells[0]}' is mapped twice", where=f"{file}: line {number}", remedy="keep one")
        numbers[cells[0]] = cells[1]
    if len(set(numbers.values())) != len(numbers):
        raise AnnotationError("two names map to one vidK", where=file, remedy="take the original mapping")
    return numbers


def _read_list(file: Path, drop_empty: bool) -> Iterator[tuple[str, str]]:
    for number, line in _lines(file):
        name, _, text = line.partition(" " if " " in line else "\t")
        if not text.strip() and not drop_empty:
            remedy = "fill it in, or pass --drop-empty to leave empty captions out"
            raise AnnotationError("a caption is empty", where=f"{file}: line {number}", remedy=remedy)
        yield name, text


def _read_corpus(file: Path, dropped: Counter[str]) -> Iterator[tuple[str, str]]:
    reader = csv.DictReader(io.StringIO(documents.read_text(file, error=AnnotationError), newline=""))
    absent = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
    if absent:
        raise AnnotationError(
            f"the column '{absent[0]}' is missing", where=file, remedy=f"columns: {', '.join(_COLUMNS)}"
        )
    try:
        for row in reader:
            if any(row[column] is None for column in _COLUMNS):
                raise AnnotationError(
                    "cells are missing", where=f"{file}: line {reader.line_num}", remedy="mend the row"
                )
            if row["Language"] != "English":
                dropped["in other languages than English"] += 1
            elif row["Description"] in _MISSING:
                dropped["without text"] += 1
            else:
                yield f"{row['VideoID']}_{row['Start']}_{row['End']}", row["Description"]
    except csv.Error as error:
        raise AnnotationError(
            f"not valid csv ({error})", where=f"{file}: line {reader.line_num}", remedy="wrong file?"
        ) from None
