"""Joins feature files to the captioned videos."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from glrg_tf.data.feature_layout import (
    STREAMS_RELEASE,
    FeatureTable,
    is_release_file,
    read_release_features,
    split_release,
)
from glrg_tf.data.feature_store import FeatureStore
from glrg_tf.data.importers.common import mention
from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import FeatureError
from glrg_tf.io import hdf5

# First id of each split (specs: "Row = id − offset") and the data set's own name of the video with id i.
RELEASE_OFFSETS = {
    "msrvtt": {"train": 0, "val": 6513, "test": 7010},
    "msvd": {"train": 0, "val": 1200, "test": 1300},
}
_RELEASE_NAME = re.compile(r"(msrvtt|msvd)_(train|val|test)")


class _ReleaseRows:
    """A release file with the reading interface of a `FeatureStore`."""

    attributes: Mapping[str, str] = {"producer": "GL-RG release"}
    stream_attributes: Mapping[str, Mapping[str, str]] = {}

    def __init__(self, path: Path) -> None:
        self.path = path
        ids, features = read_release_features(path)
        self.ids = ids or release_ids(path, len(features))
        self.streams = dict(STREAMS_RELEASE)
        self._rows = {video_id: row for row, video_id in enumerate(self.ids)}
        self._values = split_release(features)

    def has_positions(self, stream: str) -> bool:
        return False

    def read(self, ids: Sequence[str], streams: Sequence[str]) -> np.ndarray:
        return self._values[streams[0]][[self._rows[video_id] for video_id in ids]]

    def positions(self, video_id: str, stream: str) -> np.ndarray:
        return self.read([video_id], [stream])

    def close(self) -> None:
        return


def release_id(dataset: str, number: int) -> str:
    """Returns the data set's own name of the video with the release's global id `number`."""
    return f"video{number}" if dataset == "msrvtt" else f"vid{number + 1}"


def release_ids(path: Path, rows: int) -> tuple[str, ...]:
    """Returns the ids of a release file without `video_ids`, whose rows count from an offset that its name tells.

    Raises:
        FeatureError: the name tells no data set and split.
    """
    found = _RELEASE_NAME.search(path.name)
    if not found:
        raise FeatureError(
            "the file has no 'video_ids', and its name tells no data set and split",
            where=path,
            remedy="add video_ids (one id per row), or keep the release's name, such as msrvtt_train_gl_feats.h5",
        )
    dataset, split = found.groups()
    first = RELEASE_OFFSETS[dataset][split]
    return tuple(release_id(dataset, first + row) for row in range(rows))


def usable(found: Sequence[Path], notes: list[str]) -> tuple[Path, ...]:
    """Returns those of the HDF5 files found beside annotations that hold features; the others are noted.

    Raises:
        FeatureError: a file is damaged.
    """
    kept = []
    for file in found:
        with hdf5.open_file(file) as handle:
            if {"feats", "streams"} & set(hdf5.names(handle)):
                kept.append(file)
            else:
                notes.append(f"no features, passed over: {file}")
    return tuple(kept)


def join(
    files: Sequence[Path], records: Sequence[VideoRecord], drop_missing: bool, notes: list[str]
) -> tuple[FeatureTable | None, list[VideoRecord]]:
    """Returns the features of `records`, rows in their order, and the records that have them.

    Raises:
        FeatureError: a file is refused, files disagree on streams or share an id, videos have no features (unless
            `drop_missing`, which leaves these out).
    """
    if not files:
        return None, list(records)
    with contextlib.ExitStack() as opened:
        stores: list[FeatureStore | _ReleaseRows] = []
        for file in files:
            stores.append(_ReleaseRows(file) if is_release_file(file) else FeatureStore(file))
            opened.callback(stores[-1].close)
        owner = _owners(stores)
        kept = _with_features(files, records, owner, drop_missing, notes)
        values = {stream: _gather(stream, kept, owner) for stream in stores[0].streams}
        first = stores[0]
    producer = {**first.attributes, "imported_from": ", ".join(str(store.path.name) for store in stores)}
    return FeatureTable([record.id for record in kept], values, producer, first.stream_attributes), kept


def _owners(stores: Sequence[FeatureStore | _ReleaseRows]) -> dict[str, FeatureStore | _ReleaseRows]:
    owner: dict[str, FeatureStore | _ReleaseRows] = {}
    for store in stores:
        if store.streams != stores[0].streams:
            raise FeatureError(
                f"the streams differ: {store.streams} here, {stores[0].streams} in {stores[0].path}",
                where=store.path,
                remedy="extract all videos with the same encoders, or name the files with --features",
            )
        for video_id in store.ids:
            if video_id in owner:
                what = f"the features of '{video_id}' are in two files, {owner[video_id].path} too"
                raise FeatureError(what, where=store.path, remedy="keep one of them, or name the files with --features")
            owner[video_id] = store
    return owner


def _with_features(
    files: Sequence[Path],
    records: Sequence[VideoRecord],
    owner: Mapping[str, object],
    drop_missing: bool,
    notes: list[str],
) -> list[VideoRecord]:
    missing = [record.id for record in records if record.id not in owner]
    kept = [record for record in records if record.id in owner]
    if missing and (not drop_missing or not kept):
        raise FeatureError(
            f"{len(missing)} of {len(records)} videos have no features ({mention(missing)}); "
            f"the feature files hold {mention(list(owner))}",
            where=mention(files),
            remedy="add their features with --features, or pass --drop-missing to leave these videos out",
        )
    if missing:
        notes.append(f"{len(missing)} videos without features: dropped ({mention(missing)})")
    surplus = sorted(set(owner) - {record.id for record in records})
    if surplus:
        notes.append(f"{len(surplus)} rows of features without captions: dropped ({mention(surplus)})")
    return kept


def _gather(
    stream: str, records: Sequence[VideoRecord], owner: Mapping[str, FeatureStore | _ReleaseRows]
) -> np.ndarray | list[np.ndarray]:
    ids = [record.id for record in records]
    if any(store.has_positions(stream) for store in {id(store): store for store in owner.values()}.values()):
        return [owner[video_id].positions(video_id, stream) for video_id in ids]
    rows_of: dict[int, list[int]] = {}
    for row, video_id in enumerate(ids):
        rows_of.setdefault(id(owner[video_id]), []).append(row)
    values: np.ndarray | None = None
    for rows in rows_of.values():
        store = owner[ids[rows[0]]]
        block = store.read([ids[row] for row in rows], [stream])
        values = np.empty((len(ids), block.shape[1]), np.float32) if values is None else values
        values[rows] = block
    return values if values is not None else np.empty((0, 0), np.float32)
