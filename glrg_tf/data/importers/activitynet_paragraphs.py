"""ActivityNet Captions as two levels: one record a video, its events below and its paragraphs above.

Events (36 s on average) are texts of level "clip"; events of two people with the very same times are references of one
entry. Level "video" has one text a person: that person's sentences in order of time, which is what the field calls the
paragraph of a video. It is longer than a summary and says nothing that its sentences do not say.

Files and mended times are those of `activitynet.py`, which makes one record an event instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glrg_tf.data.importers import activitynet, splits
from glrg_tf.data.importers.common import Annotations, ImportOptions, find_files, require
from glrg_tf.data.importers.level_tools import Drops
from glrg_tf.data.levels import LevelText, LevelTexts, collected, record_of, seconds
from glrg_tf.errors import AnnotationError
from glrg_tf.io import documents


def read(sources: Sequence[Path], options: ImportOptions) -> Annotations:
    """Reads the caption files among `sources`; in folders, JSON files of other content are passed over.

    Raises:
        AnnotationError: missing or malformed files, a video in two splits.
    """
    files, feature_files = find_files(sources, (".json",))
    drops, notes, read_from = Drops(options.drop_empty), [], []
    mended: Counter[str] = Counter()
    found: dict[str, tuple[str, float, list[list[LevelText]]]] = {}  # video -> split, duration, texts of each person
    for file in files:
        value = documents.read_json(file, error=AnnotationError)
        if not activitynet.is_captions(value):
            if file in sources:
                raise AnnotationError(
                    "no ActivityNet captions", where=file, remedy="train.json, val_1.json, val_2.json"
                )
            notes.append(f"no ActivityNet captions, passed over: {file}")
            continue
        split = splits.from_path(file)
        for video, row in value.items():
            where = f"{file}: {video}"
            duration = seconds(require(row, "duration", (int, float), where), where)
            own = found.setdefault(video, (split, duration, []))
            if own[0] != split and options.splits is None:
                what = f"video '{video}' is in '{own[0] or 'no split'}' and in '{split or 'no split'}'"
                raise AnnotationError(what, where=file, remedy="keep it in one, or pass --splits")
            own[2].append(_events(row, duration, where, drops, mended))
        read_from.append(str(file))
    records = []
    for video, (split, duration, people) in found.items():
        told = [events for events in people if events]
        if not told:
            drops.count("videos without events: dropped", video)
            continue
        whole = max(duration, *(text.end for events in told for text in events))
        paragraphs = tuple(" ".join(text.captions[0] for text in events) for events in told)
        top = LevelText(0.0, whole, tuple(dict.fromkeys(paragraphs)))
        levels = LevelTexts(collected(text for events in told for text in events), (), (top,), duration=whole)
        records.append(record_of(video, split, levels))
    if not records:
        raise AnnotationError("no ActivityNet captions", where=", ".join(map(str, sources)), remedy="wrong files?")
    notes += [f"{count} events {what}" for what, count in sorted(mended.items())]
    aliases = {record.id: (record.id.removeprefix("v_"),) for record in records}
    name = options.name or "activitynet-paragraphs"
    return Annotations(name, records, read_from, activitynet.LICENCE, notes + drops.notes(), feature_files, aliases)


def _events(row: Any, duration: float, where: str, drops: Drops, mended: Counter[str]) -> list[LevelText]:
    """One person's events in order of time."""
    times, sentences = require(row, "timestamps", list, where), require(row, "sentences", list, where)
    if len(times) != len(sentences):
        what = f"{len(times)} timestamps for {len(sentences)} sentences"
        raise AnnotationError(what, where=where, remedy="one pair of seconds a sentence")
    events = []
    for number, (pair, sentence) in enumerate(zip(times, sentences, strict=True)):
        place = f"{where}: event {number}"
        if not isinstance(pair, list) or len(pair) != 2:
            raise AnnotationError(f"timestamp {number} is no pair of seconds", where=where, remedy="[start, end]")
        start, end = activitynet.mend([seconds(time, place) for time in pair], duration, mended)
        text = drops.text(sentence, place)
        if text and start < end:
            events.append(LevelText(start, end, (text,)))
    return sorted(events, key=lambda text: (text.start, text.end))
