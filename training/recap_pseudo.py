"""Texts of a teacher for records that lack a level: it reads texts alone, and was taught on the truth of other records.

The reference fine-tunes a large language model for this (fact sheet video-recap, section 9); here the teacher is our
own network with `inputs="text"`, trained on people's texts of the level below (`below="people"`), so that it costs
minutes and no download. What it writes goes to `levels.predicted` and so stays marked as a machine's;
`RecapTraining.pseudo` learns from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from glrg_tf.data.dataset import CaptionDataset, VideoRecord, write_dataset
from glrg_tf.data.levels import LevelText, LevelTexts
from glrg_tf.errors import DataError
from glrg_tf.recap.captioner import RecapCaptioner
from glrg_tf.recap.hierarchy import CLIP, MICROSECONDS
from training.recap import train_recap
from training.recap_config import RecapTraining
from training.recap_data import LongVideo, Told, lower_texts
from training.recap_writing import write_level
from training.reporting import Reporter


def teacher_settings(settings: RecapTraining, dataset: CaptionDataset) -> RecapTraining:
    """The settings of a teacher: texts alone, people's texts below, the levels above clips that somebody described.

    Raises:
        DataError: nobody described any.
    """
    texts = [LevelTexts.from_json(r.levels, r.id) for r in dataset.records() if r.levels and r.split == "train"]
    taught = tuple(
        level for level in settings.levels if level != CLIP and any(one.of(level) for one in texts)
    )  # a teacher of a level needs examples of it
    if not taught:
        raise DataError("no record of split 'train' has a segment's or a whole video's text", where=dataset.folder)
    model = dataclasses.replace(settings.model, inputs="text")
    return dataclasses.replace(settings, levels=taught, model=model, below="people", unified=False, pseudo=False)


def require_lacking(dataset: CaptionDataset, levels: Sequence[str], splits: Sequence[str]) -> None:
    """Sees to it that some record lacks one of `levels` above clips, before anybody trains a teacher for nothing.

    Raises:
        DataError: no record of `splits` does.
    """
    texts = [LevelTexts.from_json(r.levels, r.id) for r in dataset.records() if r.levels and r.split in splits]
    above = [level for level in levels if level != CLIP]
    if all(one.of(level) or one.predicted.get(level) for one in texts for level in above):
        raise DataError("no record lacks a level", where=dataset.folder, remedy="there is nothing to write")


def train_teacher(
    dataset: CaptionDataset,
    out: Path,
    settings: RecapTraining,
    *,
    splits: Sequence[str] = ("train",),
    resume: bool = False,
    reporter: Reporter | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> RecapCaptioner:
    """Trains a teacher, for the records of `splits`, on those that have everything; see `train_recap`."""
    chosen = teacher_settings(settings, dataset)
    require_lacking(dataset, chosen.levels, splits)
    return train_recap(dataset, out, chosen, resume=resume, reporter=reporter, stop=stop)


def add_pseudo_texts(
    dataset: CaptionDataset,
    teacher: RecapCaptioner,
    out: Path,
    splits: Sequence[str] = ("train",),
    progress: Callable[[int], object] | None = None,
) -> dict[str, int]:
    """Writes a copy of a data set whose records have, in `levels.predicted`, what nobody had written of them.

    Args:
        dataset: with texts of clips.
        teacher: reads texts alone.
        out: the new dataset folder; must not exist.
        splits: whose records are looked at; others are copied.
        progress: called with the number of records just done.

    Returns:
        Level -> number of texts written.

    Raises:
        DataError: no record lacks a level that the teacher has.
    """
    counts = dict.fromkeys((level for level in teacher.levels if level != CLIP), 0)
    records = []
    for record in dataset.records():
        if record.split in splits and record.levels:
            record = _completed(record, teacher, counts)
        records.append(record)
        if progress is not None:
            progress(1)
    if not any(counts.values()):
        raise DataError("no record lacks a level", where=dataset.folder, remedy="there is nothing to write")
    _write_copy(dataset, out, records, counts)
    return counts


def _completed(record: VideoRecord, teacher: RecapCaptioner, counts: dict[str, int]) -> VideoRecord:
    texts = LevelTexts.from_json(record.levels, f"video '{record.id}'")
    ends = [text.end for level in (texts.clip, texts.segment, texts.video) for text in level]
    video = LongVideo(record.id, record.split, texts.duration or max(ends, default=0.0), texts)
    if video.duration <= 0:
        return record
    predicted = dict(texts.predicted)
    written: dict[str, dict[str, list[Told]]] = {}
    for level in counts:
        if texts.of(level) or predicted.get(level) or not lower_texts(video, level, written):
            continue
        told = write_level(teacher, level, [video], written)
        kept = [one for one in told[video.id] if one.text.strip()]
        predicted[level] = tuple(
            LevelText(one.start_us / MICROSECONDS, one.end_us / MICROSECONDS, (one.text,)) for one in kept
        )
        written[level] = told
        counts[level] += len(kept)
    return dataclasses.replace(record, levels=dataclasses.replace(texts, predicted=predicted).to_json())


def _write_copy(dataset: CaptionDataset, out: Path, records: Sequence[VideoRecord], counts: dict[str, int]) -> None:
    about: dict[str, Any] = dict(dataset.description)
    told = ", ".join(f"{count} of level '{level}'" for level, count in counts.items())
    write_dataset(
        out,
        records,
        name=dataset.name,
        source=[*map(str, about.get("source", ())), f"pseudo labels: {dataset.folder}"],
        tokenizer=dataset.tokenizer,
        licence=str(about.get("licence", "")),
        notes=[*map(str, about.get("notes", ())), f"texts of a teacher, marked as predicted: {told}"],
    )
