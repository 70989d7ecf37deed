"""The layout of feature files: what `features.h5` must hold, how it is written, and the release's own files.

`feature_store.py` describes `features.h5`. A release file holds `feats` (N, 1700) float32, the three streams side by
side, an optional `lens` (ignored, as in the release) and, where we added them, `video_ids` (N).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import h5py
import numpy as np

from glrg_tf.data import feature_checksums
from glrg_tf.errors import FeatureError
from glrg_tf.io import hdf5

STREAMS_RELEASE = (("long_range", 300), ("short_range", 400), ("keyframe", 1000))
WIDTH_RELEASE = sum(width for _, width in STREAMS_RELEASE)
NUMBERS = "fiu"  # NumPy kinds accepted as features
_BLOCK_BYTES = 16 * 2**20  # values are checked and copied in blocks of this size


Attributes = Mapping[str, str | int | float | bool]


class FeatureTable(NamedTuple):
    """Features on their way to disk: the arguments of `write_features`."""

    ids: Sequence[str]
    values: Mapping[str, np.ndarray | Sequence[np.ndarray]]
    attributes: Attributes | None = None
    stream_attributes: Mapping[str, Attributes] | None = None


def write_features(
    path: str | os.PathLike[str],
    ids: Sequence[str],
    values: Mapping[str, np.ndarray | Sequence[np.ndarray]],
    attributes: Attributes | None = None,
    stream_attributes: Mapping[str, Attributes] | None = None,
) -> None:
    """Writes `features.h5`, whole or not at all.

    Args:
        path: the file.
        ids: N distinct video ids.
        values: by stream name, (N, D) pooled, or N arrays (F_i, D) for one vector per position. Memory maps are fine:
            values are copied in blocks.
        attributes: producer of the file, plain text and numbers.
        stream_attributes: the same by stream.

    Raises:
        FeatureError: duplicate or blank ids, shapes that do not fit, values that are not finite in float32.
    """
    ids = list(ids)
    _check_ids(ids, path)
    with hdf5.new_file(path) as handle:
        handle.attrs.update({"format": "glrg-features", "version": 1, **(attributes or {})})
        handle["ids"] = hdf5.text_array(ids)
        for name, array in values.items():
            if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
                raise FeatureError(f"'{name}' is no stream name", where=path, remedy="use letters, digits, _ and -")
            group = handle.create_group(f"streams/{name}")
            group.attrs.update((stream_attributes or {}).get(name, {}))
            pooled = isinstance(array, np.ndarray)
            pieces = [np.asarray(array)] if pooled else [np.asarray(piece) for piece in array]
            where = f"{path}: streams/{name}"
            _check_pieces(pieces, len(ids), pooled, where)
            counts = [piece.shape[0] for piece in pieces]
            target = group.create_dataset("values", (sum(counts), pieces[0].shape[1]), np.float32)
            if not pooled:
                group["offsets"] = np.cumsum([0, *counts], dtype=np.int64)
            _copy(pieces, target, where)
        feature_checksums.seal(handle)


def is_release_file(path: str | os.PathLike[str]) -> bool:
    """Whether `path` has the release's layout (`feats`) and not ours (`streams`).

    Raises:
        FeatureError: missing or damaged file.
    """
    with hdf5.open_file(path) as handle:
        names = hdf5.names(handle)
    return "feats" in names and "streams" not in names


def read_release_features(path: str | os.PathLike[str]) -> tuple[tuple[str, ...] | None, np.ndarray]:
    """Reads a release feature file; returns its ids (None where it has none) and float32 (N, 1700).

    Raises:
        FeatureError: damaged file, wrong width, values that are not finite, ids that do not fit.
    """
    with hdf5.open_file(path) as handle:
        feats = hdf5.dataset(handle, "feats", kinds=NUMBERS, ndim=2)
        if feats.shape[1] != WIDTH_RELEASE:
            widths = " + ".join(f"{width} {name}" for name, width in STREAMS_RELEASE)
            raise FeatureError(
                f"'feats' is {feats.shape[1]} wide, a GL-RG release file is {WIDTH_RELEASE} wide ({widths})",
                where=path,
                remedy="write other features as features.h5 with /ids and /streams/<name>/values",
            )
        ids = read_ids(handle, "video_ids") if "video_ids" in hdf5.names(handle) else None
        if ids is not None and len(ids) != len(feats):
            raise FeatureError(f"{len(ids)} video_ids for {len(feats)} rows", where=path, remedy="write one id per row")
        with np.errstate(over="ignore"):
            features = hdf5.read_array(feats).astype(np.float32, copy=False)
    if not np.isfinite(features).all():
        row = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
        name = f"video '{ids[row]}'" if ids else f"row {row}"
        raise FeatureError(
            f"the features of {name} are not finite", where=path, remedy="extract or download them again"
        )
    return ids, features


def split_release(features: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the columns of a release matrix (N, 1700) as its three named streams (views)."""
    streams, column = {}, 0
    for name, width in STREAMS_RELEASE:
        streams[name] = features[:, column : column + width]
        column += width
    return streams


def read_ids(handle: h5py.File, name: str) -> tuple[str, ...]:
    """Returns the distinct, non-blank ids stored as text or whole numbers.

    Raises:
        FeatureError: missing, damaged, blank or duplicate ids.
    """
    data = hdf5.dataset(handle, name, kinds="iu" + hdf5.TEXT, ndim=1)
    if hdf5.kind_of(data.dtype) == hdf5.TEXT:
        ids = hdf5.read_strings(data)
    else:
        ids = [str(number) for number in hdf5.read_array(data)]
    _check_ids(ids, f"{handle.filename}: {name}")
    return tuple(ids)


def _check_ids(ids: Iterable[str], where: object) -> None:
    seen: set[str] = set()
    for row, video_id in enumerate(ids):
        if not isinstance(video_id, str) or not video_id.strip():
            raise FeatureError(f"the id of row {row} is blank", where=where, remedy="give every row an id")
        if video_id in seen:
            raise FeatureError(f"the id '{video_id}' occurs twice", where=where, remedy="keep one row per video")
        seen.add(video_id)


def read_offsets(handle: h5py.File, name: str, num_videos: int, num_rows: int) -> np.ndarray:
    """Returns the offsets of a per-position stream, int64 (num_videos + 1,).

    Raises:
        FeatureError: missing or damaged; not rising from 0 to `num_rows` with one row a video at least.
    """
    data = hdf5.dataset(handle, f"streams/{name}/offsets", kinds="iu", ndim=1)
    where = f"{handle.filename}: streams/{name}/offsets"
    if data.shape[0] != num_videos + 1:
        raise FeatureError(
            f"{data.shape[0]} offsets for {num_videos} ids", where=where, remedy="write one more than ids"
        )
    offsets = hdf5.read_array(data).astype(np.int64)
    if offsets[0] != 0 or offsets[-1] != num_rows or (np.diff(offsets) < 1).any():
        raise FeatureError(
            f"offsets do not rise from 0 to the {num_rows} rows with at least one row a video",
            where=where,
            remedy="extract the features again",
        )
    return offsets


def _check_pieces(pieces: Sequence[np.ndarray], num_ids: int, pooled: bool, where: str) -> None:
    rows = len(pieces[0]) if pooled else len(pieces)
    if rows != num_ids or not pieces:
        raise FeatureError(f"{rows} rows of features for {num_ids} ids", where=where, remedy="write one per id")
    for piece in pieces:
        if piece.ndim != 2 or piece.shape[1] != pieces[0].shape[1] or not piece.size or piece.dtype.kind not in NUMBERS:
            raise FeatureError(
                f"features of shape {piece.shape} and type {piece.dtype} do not fit (rows, {pieces[0].shape[-1]})",
                where=where,
                remedy="write numbers with the same width for every video",
            )


def _copy(pieces: Sequence[np.ndarray], target: h5py.Dataset, where: str) -> None:
    step = max(1, _BLOCK_BYTES // (4 * target.shape[1]))
    row = 0
    for piece in pieces:
        for start in range(0, len(piece), step):
            with np.errstate(over="ignore"):
                block = np.asarray(piece[start : start + step], np.float32)
            if not np.isfinite(block).all():
                raise FeatureError(
                    f"row {row} or one of the next {len(block)} is not finite", where=where, remedy="extract it again"
                )
            target[row : row + len(block)] = block
            row += len(block)
