"""Which video belongs to which split: the source's word, a file of the user's, or a hash of the id.

A splits file is JSON `{"train": [ids], …}` or `{id: split}`, or a csv/tsv/text file of lines `id split` (a header
`video,split` is fine).
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from glrg_tf.data.importers.common import mention
from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import AnnotationError
from glrg_tf.io import documents

_NAMES = {
    "training": "train",
    "validate": "val",
    "validation": "val",
    "valid": "val",
    "dev": "val",
    "testing": "test",
}
_IN_NAME = re.compile(r"(?<![a-z])(train|training|val|validate|validation|valid|dev|test|testing)(?![a-z])")
_SHARES = (("train", 0.8), ("val", 0.9), ("test", 1.0))  # upper ends on [0, 1)


def normal_name(split: str) -> str:
    """Returns our name of a split: MSR-VTT's "validate" is "val"."""
    name = split.strip()
    return _NAMES.get(name.lower(), name.lower() if name.lower() in ("train", "val", "test") else name)


def from_path(path: Path) -> str:
    """Returns the split that a file's name tells, else its folder's; "" where neither does."""
    for name in (path.stem, path.parent.name):
        found = set(map(normal_name, _IN_NAME.findall(name.lower())))
        if len(found) == 1:
            return found.pop()
    return ""


def assign(
    records: Sequence[VideoRecord],
    splits_file: Path | None,
    notes: list[str],
    aliases: Mapping[str, Sequence[str]] | None = None,
) -> list[VideoRecord]:
    """Returns `records` with a split each; without a splits file those that have none get one by the hash of their id.

    Args:
        records: any order; it is kept.
        splits_file: decides over everything else.
        notes: gains what was dropped.
        aliases: by id, other names that the splits file may use (an event's video).

    Raises:
        AnnotationError: the splits file is malformed or knows none of the videos.
    """
    if splits_file is not None:
        return _from_file(records, read_splits(splits_file), splits_file, notes, aliases or {})
    without = [record.id for record in records if not record.split]
    if not without:
        return list(records)
    chosen = by_hash(without)
    count = Counter(chosen.values())
    counts = ", ".join(f"{count[split]} {split}" for split, _ in _SHARES)
    notes.append(f"{len(without)} videos had no split: split by the hash of their id ({counts}); --splits decides else")
    return [record if record.split else dataclasses.replace(record, split=chosen[record.id]) for record in records]


def by_hash(ids: Sequence[str]) -> dict[str, str]:
    """Returns a split for every id, about 80 : 10 : 10, that does not change when other videos are added.

    Where that leaves val or test empty (few videos), the ids nearest to it are moved there.
    """
    position = {name: int(hashlib.sha256(name.encode("utf-8")).hexdigest()[:12], 16) / 16**12 for name in ids}
    chosen = {name: next(split for split, end in _SHARES if position[name] < end) for name in ids}
    for split, end in _SHARES[:0:-1]:
        counts = Counter(chosen.values())
        if not counts[split] and len(position) >= len(_SHARES):
            crowded = [name for name in position if counts[chosen[name]] > 1]
            chosen[min(crowded, key=lambda name: abs(position[name] - end))] = split
    return chosen


def read_splits(path: Path) -> dict[str, str]:
    """Returns the split of every id in a splits file.

    Raises:
        AnnotationError: missing or malformed file, an id in two splits.
    """
    pairs = _from_json(path) if path.suffix.lower() == ".json" else _from_lines(path)
    chosen: dict[str, str] = {}
    for video_id, split in pairs:
        if chosen.setdefault(video_id, split) != split:
            what = f"video '{video_id}' is in the splits '{chosen[video_id]}' and '{split}'"
            raise AnnotationError(what, where=path, remedy="keep it in one")
    if not chosen:
        raise AnnotationError("the splits file is empty", where=path, remedy="give every video a split")
    return chosen


def _from_json(path: Path) -> list[tuple[str, str]]:
    value = documents.read_json(path, error=AnnotationError)
    pairs: list[tuple[str, str]] = []
    for key, entry in value.items() if isinstance(value, dict) else ():
        if isinstance(entry, str):
            pairs.append((key, normal_name(entry)))
        elif isinstance(entry, list) and all(isinstance(name, str | int) for name in entry):
            pairs += [(str(name), normal_name(key)) for name in entry]
        else:
            raise AnnotationError(f"'{key}' is neither a split nor a list of ids", where=path, remedy="see the manual")
    return pairs


def _from_lines(path: Path) -> list[tuple[str, str]]:
    pairs = []
    for number, line in enumerate(documents.read_text(path, error=AnnotationError).split("\n"), start=1):
        cells = [cell.strip().strip('"') for cell in re.split(r"[,\t]", line.strip())]
        cells = line.split() if len(cells) == 1 else cells
        if not cells or line.startswith("#") or (number == 1 and cells[1:2] == ["split"]):
            continue
        if len(cells) != 2 or not all(cells):
            raise AnnotationError("expected an id and a split", where=f"{path}: line {number}", remedy="mend the line")
        pairs.append((cells[0], normal_name(cells[1])))
    return pairs


def _from_file(
    records: Sequence[VideoRecord],
    chosen: dict[str, str],
    path: Path,
    notes: list[str],
    aliases: Mapping[str, Sequence[str]],
) -> list[VideoRecord]:
    kept, used = [], set()
    for record in records:
        name = next((name for name in (record.id, *aliases.get(record.id, ())) if name in chosen), None)
        if name is not None:
            used.add(name)
            kept.append(dataclasses.replace(record, split=chosen[name]))
    if not kept:
        what = f"no video of the captions is in the splits file (captions: {mention([r.id for r in records])})"
        raise AnnotationError(what, where=path, remedy="use the same ids in both")
    if len(kept) < len(records):
        there = {record.id for record in kept}
        left_out = [record.id for record in records if record.id not in there]
        notes.append(f"{len(left_out)} videos are not in the splits file: dropped ({mention(left_out)})")
    unknown = sorted(set(chosen) - used)
    if unknown:
        notes.append(f"{len(unknown)} ids of the splits file have no captions: ignored ({mention(unknown)})")
    return kept
