"""Checks a dataset folder against its own description: counts, ids, splits, shapes, values and hashes.

Problems make the data wrong; warnings say what is missing. Nothing is changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glrg_tf.data.dataset import (
    CAPTIONS,
    DESCRIPTION,
    FEATURES,
    VOCABULARY,
    count_splits,
    read_description,
    read_records,
)
from glrg_tf.data.feature_store import FeatureStore
from glrg_tf.data.record import VideoRecord, check_records
from glrg_tf.data.verify_videos import undecodable_videos
from glrg_tf.errors import DataError
from glrg_tf.io import atomic
from glrg_tf.text.vocabulary import Vocabulary

_MENTIONED = 3


@dataclass
class VerifyReport:
    """What `verify` found.

    Attributes:
        folder: the dataset.
        name: of the data set, "" where it could not be read.
        splits: by split the numbers of videos, captions and videos with features, as counted.
        streams: width of every feature stream.
        problems: what makes the data wrong, one sentence each.
        warnings: what is missing, one sentence each.
        undecodable: id of every video file that cannot be read, with what is wrong.
    """

    folder: Path
    name: str = ""
    splits: dict[str, dict[str, int]] = field(default_factory=dict)
    streams: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    undecodable: list[tuple[str, str]] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether there are no problems."""
        return not self.problems


def verify(
    folder: str | os.PathLike[str], *, videos: bool = True, progress: Callable[[int, int], None] | None = None
) -> VerifyReport:
    """Checks a dataset folder whole: every caption, every feature, every hash, every video.

    Args:
        folder: the dataset.
        videos: whether video files are opened.
        progress: told (videos looked at, videos in all).

    Raises:
        DataError: `folder` is no dataset folder at all, or its `dataset.json` is malformed.
    """
    report = VerifyReport(Path(folder))
    description = read_description(report.folder)
    report.name = description["name"]
    _check_files(report, description["files"])
    records = _check_captions(report)
    _check_features(report, records, description)
    if (report.folder / VOCABULARY).is_file():
        _keep_problem(report, lambda: Vocabulary.load(report.folder / VOCABULARY))
    if report.splits != description["splits"] and records:
        report.problems.append(f"{DESCRIPTION} counts {description['splits']}, the files hold {report.splits}")
    _check_videos(report, records)
    if videos:
        report.undecodable = undecodable_videos(records, report.folder, progress)
    return report


def _check_files(report: VerifyReport, files: Mapping[str, Any]) -> None:
    for name in (CAPTIONS, FEATURES, VOCABULARY):
        if (report.folder / name).is_file() and name not in files:
            report.problems.append(f"{name} is not listed in {DESCRIPTION}")
    for name, entry in files.items():
        path = report.folder / name
        if Path(name).name != name:
            report.problems.append(f"{DESCRIPTION} lists '{name}', which is not in its folder")
        elif not path.is_file():
            report.problems.append(f"{name} is missing")
        elif path.stat().st_size != entry.get("bytes"):
            report.problems.append(f"{name} has {path.stat().st_size} bytes, {DESCRIPTION} says {entry.get('bytes')}")
        elif atomic.sha256_file(path) != entry.get("sha256"):
            report.problems.append(f"{name} differs from its sha256 in {DESCRIPTION}")


def _check_captions(report: VerifyReport) -> list[VideoRecord]:
    path = report.folder / CAPTIONS
    records = _keep_problem(report, lambda: read_records(path)) if path.is_file() else None
    if records is not None:
        report.problems += check_records(records)
    return records or []


def _check_features(report: VerifyReport, records: Sequence[VideoRecord], description: Mapping[str, Any]) -> None:
    path = report.folder / FEATURES
    store = _keep_problem(report, lambda: FeatureStore(path)) if path.is_file() else None
    featured = set(store.ids) if store is not None else set()
    if store is not None:
        report.streams = store.streams
        report.problems += store.check_values()
        store.close()
        described = description.get("streams", report.streams)
        if report.streams != described:
            report.problems.append(f"the streams are {report.streams}, {DESCRIPTION} says {described}")
        known = {record.id for record in records}
        surplus = [video_id for video_id in store.ids if video_id not in known]
        if surplus:
            report.warnings.append(f"{len(surplus)} videos have features but no captions ({_mention(surplus)})")
    report.splits = count_splits(records, featured)
    without = [record.id for record in records if record.id not in featured]
    if without and (
        store is not None or not path.is_file()
    ):  # of a file that cannot be read, the problem is said already
        report.warnings.append(f"{len(without)} videos have no features ({_mention(without)})")


def _check_videos(report: VerifyReport, records: Sequence[VideoRecord]) -> None:
    gone = [record.id for record in records if record.video and not (report.folder / record.video).is_file()]
    if gone:
        report.warnings.append(f"{len(gone)} video files are not where the dataset says ({_mention(gone)})")


def _keep_problem(report: VerifyReport, action: Any) -> Any:
    try:
        return action()
    except DataError as error:
        report.problems.append(f"{error.what} ({error.where})")
        return None


def _mention(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_MENTIONED]) + (", …" if len(ids) > _MENTIONED else "")
