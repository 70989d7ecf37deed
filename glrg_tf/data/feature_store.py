"""Vocabulary features on disk: `features.h5` written whole, checked before reading, mapped into memory.

    /ids                      (N,) utf-8
    /streams/<name>/values    (N, D) pooled, or (ΣF, D) per position with
    /streams/<name>/offsets   (N + 1,) int64: video i owns rows offsets[i] to offsets[i+1]
    /streams/<name>/checksums of the values, where we wrote the file (feature_checksums.py)

Attributes of the file and of each stream tell the producer: backbone, weights sha256, frame plan, version. Pooling is
a mean over positions. A release file (`feats` (N, 1700), optional `video_ids`) is read through `read_feature_file`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from glrg_tf.data import tfio_backend
from glrg_tf.data.feature_checksums import CheckedRows, check_content, read_checksums
from glrg_tf.data.feature_layout import (
    NUMBERS,
    STREAMS_RELEASE,
    is_release_file,
    read_ids,
    read_offsets,
    read_release_features,
    write_features,
)
from glrg_tf.errors import FeatureError
from glrg_tf.io import hdf5

__all__ = ["STREAMS_RELEASE", "FeatureStore", "read_feature_file", "write_features"]

_MAX_LOADED_BYTES = 512 * 2**20  # a stream that cannot be mapped is kept in memory up to this size


class FeatureStore:
    """The features of N videos, read by id.

    Streams are listed in the release's order (long_range, short_range, keyframe), then any others by name.

    Args:
        path: a `features.h5`.
        backend: what reads the values: "h5py" (mapped into memory where they lie in one piece), "tfio" (tensorflow-io,
            whole streams), or "auto" (tensorflow-io where it works). Default: `$GLRG_FEATURE_BACKEND`, else h5py.

    Raises:
        FeatureError: missing, damaged or inconsistent file (nothing but ids and offsets has been read by then).
        ConfigError: tensorflow-io is asked for and does not work here.

    Example:
        >>> store = FeatureStore("data/msrvtt/features.h5")
        >>> store.read(["video6514"], ["long_range", "keyframe"]).shape
        (1, 1300)
    """

    def __init__(self, path: str | os.PathLike[str], backend: str | None = None) -> None:
        self.path = Path(path)
        self.backend = tfio_backend.choose(backend or os.environ.get("GLRG_FEATURE_BACKEND") or "h5py")
        self._open = contextlib.ExitStack()
        with contextlib.ExitStack() as opened:
            handle = opened.enter_context(hdf5.open_file(self.path))
            self.ids: tuple[str, ...] = read_ids(handle, "ids")
            self._rows = {video_id: row for row, video_id in enumerate(self.ids)}
            names = sorted(hdf5.names(hdf5.resolve(handle, "streams")), key=_stream_order)
            if not names:
                raise FeatureError("the file has no streams", where=self.path, remedy="write /streams/<name>/values")
            self._streams = {name: _Stream(handle, name, len(self.ids)) for name in names}
            self.attributes = hdf5.attributes(handle)
            if check_content(handle):
                for name, stream in self._streams.items():
                    stream.seal(read_checksums(handle, name), f"{self.path}: streams/{name}/values")
            if self.backend == "tfio":
                for name, stream in self._streams.items():
                    stream.take(tfio_backend.read_values(self.path, name))
            if any(not stream.mapped for stream in self._streams.values()):
                self._open = opened.pop_all()

    @property
    def streams(self) -> dict[str, int]:
        """Width of every stream by name."""
        return {name: stream.width for name, stream in self._streams.items()}

    @property
    def stream_attributes(self) -> dict[str, dict[str, Any]]:
        """Attributes of every stream by name."""
        return {name: stream.attributes for name, stream in self._streams.items()}

    def __len__(self) -> int:
        """Returns the number of videos."""
        return len(self.ids)

    def __contains__(self, video_id: str) -> bool:
        """Whether `video_id` has features."""
        return video_id in self._rows

    def __enter__(self) -> FeatureStore:
        """Returns itself; the file is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the file."""
        self.close()

    def close(self) -> None:
        """Closes the file; reading afterwards is an error."""
        self._open.close()
        self._streams = {}

    def has_positions(self, stream: str) -> bool:
        """Whether `stream` keeps one vector per position."""
        return self._stream(stream).offsets is not None

    def read(self, ids: Sequence[str], streams: Sequence[str] | None = None) -> np.ndarray:
        """Returns pooled features, streams side by side in the order given (default: all).

        Returns:
            float32 (len(ids), ΣD).

        Raises:
            FeatureError: unknown id or stream, a value that is not finite.
        """
        chosen = [(name, self._stream(name)) for name in (self.streams if streams is None else streams)]
        rows = np.array([self._row(video_id) for video_id in ids], np.int64)
        features = np.empty((len(rows), sum(stream.width for _, stream in chosen)), np.float32)
        column = 0
        for name, stream in chosen:
            block = features[:, column : column + stream.width]
            with np.errstate(over="ignore", invalid="ignore"):  # said by _check_finite, with the video's id
                stream.pooled(rows, out=block)
            self._check_finite(block, ids, name)
            stream.verify(rows)
            column += stream.width
        return features

    def positions(self, video_id: str, stream: str) -> np.ndarray:
        """Returns the vectors of one video, float32 (F, D); F = 1 for a pooled stream.

        Raises:
            FeatureError: unknown id or stream, a value that is not finite.
        """
        row = self._row(video_id)
        with np.errstate(over="ignore"):
            values = np.asarray(self._stream(stream).positions(row), np.float32)
        self._check_finite(values, [video_id] * len(values), stream)
        self._stream(stream).verify(np.array([row], np.int64))
        return values

    def check_values(self) -> list[str]:
        """Reads everything once and returns what is wrong, one sentence a stream."""
        problems = []
        for name in self._streams:
            try:
                for start in range(0, len(self.ids), 256):
                    self.read(self.ids[start : start + 256], [name])
            except FeatureError as error:
                problems.append(f"{error.what} ({error.where})")
        return problems

    def _stream(self, name: str) -> _Stream:
        if name not in self._streams:
            known = ", ".join(self._streams) or "none; the store is closed"
            raise FeatureError(f"no stream '{name}'", where=self.path, remedy=f"streams here: {known}")
        return self._streams[name]

    def _row(self, video_id: str) -> int:
        if video_id not in self._rows:
            raise FeatureError(f"no features for video '{video_id}'", where=self.path, remedy="extract or import them")
        return self._rows[video_id]

    def _check_finite(self, values: np.ndarray, ids: Sequence[str], stream: str) -> None:
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
            raise FeatureError(
                f"the features of video '{ids[row]}' are not finite (NaN, infinite or beyond float32)",
                where=f"{self.path}: streams/{stream}/values",
                remedy="extract or import this video's features again",
            )


class _Stream:
    """One stream: a memory map where the values lie in one piece, else the open data set."""

    def __init__(self, handle: h5py.File, name: str, num_videos: int) -> None:
        where = f"{handle.filename}: streams/{name}"
        values = hdf5.dataset(handle, f"streams/{name}/values", kinds=NUMBERS, ndim=2)
        group = values.parent
        self.width = int(values.shape[1])
        self.attributes = hdf5.attributes(group)
        self.offsets: np.ndarray | None = None
        if "offsets" in hdf5.names(group):
            self.offsets = read_offsets(handle, name, num_videos, values.shape[0])
        elif values.shape[0] != num_videos:
            raise FeatureError(
                f"{values.shape[0]} rows for {num_videos} ids", where=where, remedy="write one row per id, or offsets"
            )
        if not self.width:
            raise FeatureError("the stream has width 0", where=where, remedy="leave the stream out")
        self._checked: CheckedRows | None = None
        offset = values.id.get_offset()
        self.mapped = offset is not None and values.size > 0
        # A plain array view: numpy's memmap class costs more on every small read.
        self._values = (
            np.asarray(np.memmap(handle.filename, values.dtype, "r", offset, values.shape)) if self.mapped else values
        )

    def seal(self, checksums: np.ndarray, where: str) -> None:
        self._checked = CheckedRows(checksums, self._values.shape[0], where)

    def take(self, values: np.ndarray) -> None:
        self._values, self.mapped = values, True

    def verify(self, rows: np.ndarray) -> None:
        """Holds the values of videos that were read against their checksums."""
        if self._checked is not None:
            if self.offsets is not None:
                ranges = zip(self.offsets[rows], self.offsets[rows + 1], strict=True)
                rows = np.concatenate([np.arange(*ends) for ends in ranges] or [rows])
            self._checked.check(self._values, rows)

    def positions(self, row: int) -> np.ndarray:
        first, last = (row, row + 1) if self.offsets is None else self.offsets[row : row + 2]
        return hdf5.read_rows(self._values, int(first), int(last))

    def pooled(self, rows: np.ndarray, out: np.ndarray) -> None:
        if (
            isinstance(self._values, h5py.Dataset)
            and self._values.size * self._values.dtype.itemsize <= _MAX_LOADED_BYTES
        ):
            self._values = hdf5.read_array(self._values)
        if self.offsets is None and isinstance(self._values, np.ndarray):
            out[:] = self._values[rows]
            return
        for index, row in enumerate(rows):
            out[index] = self.positions(row).mean(axis=0, dtype=np.float64)


def read_feature_file(path: str | os.PathLike[str]) -> tuple[tuple[str, ...], np.ndarray, dict[str, int]]:
    """Reads a `features.h5` of ours or a release file whole.

    Args:
        path: ours, or a file with `feats` (N, 1700) and optional `video_ids` (N). Without `video_ids` the ids are
            the row numbers as text.

    Returns:
        ids (N), pooled features float32 (N, D), and the width of each stream in column order.

    Raises:
        FeatureError: missing, damaged or neither layout; wrong width; values that are not finite.
    """
    if is_release_file(path):
        ids, features = read_release_features(path)
        return ids or tuple(map(str, range(len(features)))), features, dict(STREAMS_RELEASE)
    with FeatureStore(path) as store:
        return store.ids, store.read(store.ids), store.streams


def _stream_order(name: str) -> tuple[int, str]:
    known = [stream for stream, _ in STREAMS_RELEASE]
    return (known.index(name) if name in known else len(known), name)
