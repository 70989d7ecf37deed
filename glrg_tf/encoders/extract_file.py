"""Videos to `features.h5`: resumable while it is written, whole when it is there, bad files in a list beside it."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glrg_tf.config import to_dict
from glrg_tf.data.feature_store import FeatureStore
from glrg_tf.encoders.extract import GROUP, Encoded, Outcome, VideoItem, encode_groups, pool_positions
from glrg_tf.encoders.extract_journal import Finished, Journal, file_stamp, partial_folder
from glrg_tf.encoders.presets import StreamSpec
from glrg_tf.errors import ConfigError, VideoError
from glrg_tf.io import atomic
from glrg_tf.video.reader import Limits

if TYPE_CHECKING:
    from glrg_tf.encoders.bundle import EncoderBundle

PRODUCER = "glrg extract"
_KEPT = (-2, -2)  # stamp of videos taken over from a finished file: it does not say what their files were like
_COPIED_AT_ONCE = 256  # videos
_MAX_LABEL_BYTES = 60_000  # HDF5 keeps attributes up to 64 KiB


@dataclasses.dataclass
class ExtractReport:
    """What an extraction did.

    Attributes:
        output: the feature file.
        videos: videos asked for.
        extracted: of these, decoded and encoded now.
        reused: of these, finished by an earlier run.
        failed: id and error of those that could not be read.
        warnings: id and what the user should know of a file that could be read.
        seconds: wall time.
    """

    output: Path
    videos: int
    extracted: int = 0
    reused: int = 0
    failed: list[tuple[VideoItem, VideoError]] = dataclasses.field(default_factory=list)
    warnings: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    @property
    def errors_file(self) -> Path:
        """Where bad files are listed."""
        return self.output.with_suffix(".errors.jsonl")


def extract(
    bundle: EncoderBundle,
    items: Sequence[VideoItem],
    output: str | os.PathLike[str],
    *,
    workers: int | None = None,
    isolated: bool = True,
    per_position: bool = False,
    limits: Limits | None = None,
    progress: Callable[[int, str], None] | None = None,
    groups: Callable[..., Iterator[list[Outcome]]] = encode_groups,
) -> ExtractReport:
    """Extracts the features of videos into a file.

    A killed run is gone on with; a finished file gets the videos it does not have yet. The file of an uninterrupted
    run and that of a killed and resumed one are equal byte for byte.

    Args:
        bundle: the encoders.
        items: the videos; their order is that of the file.
        output: the `features.h5`.
        workers: decoders that work ahead (see `encode_videos`).
        isolated: whether decoders are processes of their own.
        per_position: keep every position instead of their mean.
        limits: what one file may cost.
        progress: told how many videos were finished, and the id of the last.
        groups: encodes groups of videos, as `extract.encode_groups` (`beam_pipeline.BeamGroups` is another).

    Raises:
        ConfigError: the file, or the unfinished work beside it, is of another encoder or frame plan; or somebody else
            is writing it.
    """
    started = time.monotonic()
    report = ExtractReport(Path(output), len(items))
    # One thread a decoder whatever their number: how a damaged file is mended may depend on the threads.
    limits = dataclasses.replace(limits or Limits(), threads=1)
    header = {"weights_sha256": bundle.fingerprint, "frame_plan": to_dict(bundle.plan), "per_position": per_position}
    kept = _check_finished(report.output, header, bundle)
    asked = {item.id for item in items}
    todo = [item for item in items if item.id not in kept]
    report.reused = len(items) - len(todo)
    if progress is not None and report.reused:
        progress(report.reused, "")
    order = [video_id for video_id in kept if video_id not in asked] + [item.id for item in items]
    if todo or partial_folder(output).exists():
        with Journal(report.output, header, dict(bundle.widths)) as journal:
            _take_over(journal, report.output, kept, per_position)
            how = {"workers": workers, "isolated": isolated, "limits": limits}
            _extract(bundle, todo, journal, report, functools.partial(groups, **how), progress)
            whole = [name for name in order if (entry := journal.find(name)) is not None and entry.error is None]
            if whole:
                journal.write(
                    whole,
                    per_position=per_position,
                    attributes=_attributes(bundle, header),
                    stream_attributes={name: stream_attributes(s.spec) for name, s in bundle.streams.items()},
                )
            _write_errors(report)
            journal.remove()
    else:
        _write_errors(report)
    report.seconds = time.monotonic() - started
    return report


def _extract(
    bundle: EncoderBundle,
    items: Sequence[VideoItem],
    journal: Journal,
    report: ExtractReport,
    encode: Callable[..., Iterator[list[Outcome]]],
    progress: Callable[[int, str], None] | None,
) -> None:
    """Extracts the groups that are not finished; a group is one batch, so it is finished or done again as a whole."""
    stamps = {item.id: file_stamp(item.path) for item in items}
    groups = [items[start : start + GROUP] for start in range(0, len(items), GROUP)]
    per_position = bool(journal.header["per_position"])
    todo = []
    for group in groups:
        found = [journal.find(item.id, stamps[item.id]) for item in group]
        if any(entry is None for entry in found):
            todo.append(group)
            continue
        for item, entry in zip(group, found, strict=True):
            _count(report, item, entry, reused=True)
        if progress is not None:
            progress(len(group), group[-1].id)
    for outcomes in encode(bundle, todo):
        journal.add([_entry(outcome, stamps[outcome.item.id], per_position) for outcome in outcomes])
        for outcome in outcomes:
            _count(report, outcome.item, journal.find(outcome.item.id), reused=False)
        if progress is not None:
            progress(len(outcomes), outcomes[-1].item.id)


def _entry(outcome: Outcome, stamp: tuple[int, int], per_position: bool) -> tuple[Finished, Mapping[str, np.ndarray]]:
    if not isinstance(outcome, Encoded):
        error = outcome.error
        return Finished(outcome.item.id, stamp, error=(error.what, error.where, error.remedy)), {}
    values = outcome.streams if per_position else {k: pool_positions(v) for k, v in outcome.streams.items()}
    rows = len(next(iter(values.values())))
    frames = (outcome.expected, outcome.decoded, outcome.used)
    return Finished(outcome.item.id, stamp, rows=rows, frames=frames, warnings=outcome.warnings), values


def _count(report: ExtractReport, item: VideoItem, entry: Finished | None, *, reused: bool) -> None:
    if entry is None:
        return
    if entry.error is not None:
        what, where, remedy = entry.error
        report.failed.append((item, VideoError(what, where=where, remedy=remedy)))
        return
    report.reused += reused
    report.extracted += not reused
    report.warnings += [(item.id, text) for text in entry.warnings]


def _check_finished(output: Path, header: Mapping[str, Any], bundle: EncoderBundle) -> tuple[str, ...]:
    """The ids of a finished file of this encoder; none where there is no file.

    Raises:
        ConfigError: the file was made otherwise.
        FeatureError: it is damaged.
    """
    if not output.exists():
        return ()
    with FeatureStore(output) as store:
        found = {key: store.attributes.get(key) for key in header}
        wanted = _attributes(bundle, header)
        differing = sorted(key for key in header if found[key] != wanted[key])
        if differing:
            raise ConfigError(
                f"the file is there and differs in {', '.join(differing)}",
                where=output,
                remedy="choose another --out, or remove it to extract with this encoder",
            )
        return store.ids


def _take_over(journal: Journal, output: Path, kept: Sequence[str], per_position: bool) -> None:
    """Copies the videos of the finished file into the journal, so that the new file holds them too."""
    missing = [video_id for video_id in kept if journal.find(video_id) is None]
    if not missing:
        return
    with FeatureStore(output) as store:
        for start in range(0, len(missing), _COPIED_AT_ONCE):
            entries = []
            for video_id in missing[start : start + _COPIED_AT_ONCE]:
                values = {name: store.positions(video_id, name) for name in journal.widths}
                rows = len(next(iter(values.values())))
                entries.append((Finished(video_id, _KEPT, rows=rows), values))
            journal.add(entries)


def _write_errors(report: ExtractReport) -> None:
    if not report.failed:
        report.errors_file.unlink(missing_ok=True)
        return
    atomic.write_json_lines(
        report.errors_file,
        (
            {"id": item.id, "video": str(item.path), "error": error.what, "where": error.where, "remedy": error.remedy}
            for item, error in report.failed
        ),
    )


def _attributes(bundle: EncoderBundle, header: Mapping[str, Any]) -> dict[str, str | bool]:
    backbones = "; ".join(f"{name}: {_backbone(stream.spec)}" for name, stream in bundle.streams.items())
    return {
        "producer": PRODUCER,
        "backbone": backbones,
        "weights_sha256": str(header["weights_sha256"]),
        "frame_plan": json.dumps(header["frame_plan"], sort_keys=True),
        "per_position": bool(header["per_position"]),
    }


def stream_attributes(spec: StreamSpec) -> dict[str, str]:
    """What a stream of the file says of itself; `labels` is a JSON list, left out where it would be too long."""
    attributes = {"kind": spec.kind, "backbone": _backbone(spec)}
    labels = json.dumps(list(spec.labels), ensure_ascii=False)
    if spec.labels and len(labels.encode("utf-8")) <= _MAX_LABEL_BYTES:
        attributes["labels"] = labels
    return attributes


def _backbone(spec: StreamSpec) -> str:
    return spec.backbone or spec.file or f"{spec.kind} {spec.preset}"
