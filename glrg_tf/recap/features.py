"""Rows of features that others extracted, one a clip: `.npy` (rows, D) or a `features.h5` of ours with positions.

Files are checked before memory is spent, and nothing in them is run: no pickles; numbers only; as many bytes as the
header says. Ego4D-HCap names them `features/segments/ID.npy` and `features/videos/ID.npy`.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from glrg_tf.errors import FeatureError
from glrg_tf.io import npy
from glrg_tf.recap.hierarchy import Hierarchy

MAX_WIDTH = 65_536  # of a row
MAX_ROWS = 10_000_000  # of a video: over a year of clips
_SLACK = 1  # rows more than clips that are fine: the reference counts both ends, and keeps a last clip of one frame


class _Rows(Protocol):
    def __call__(self, first: int, last: int) -> NDArray[np.generic]:
        """Rows `first` to `last` - 1 as they are stored."""


@dataclasses.dataclass(frozen=True)
class ClipRows:
    """The rows of one video or segment; values are read when they are asked for."""

    where: str  # the file, for messages
    count: int  # rows
    width: int  # D
    _rows: _Rows

    def read(self, first: int = 0, last: int | None = None) -> NDArray[np.float32]:
        """Rows `first` to `last` - 1: float32 (n, D).

        Raises:
            FeatureError: rows that do not exist, values that are not finite, a file that has changed.
        """
        end = self.count if last is None else last
        if not 0 <= first <= end <= self.count:
            what = f"rows {first} to {end} of {self.count}"
            raise FeatureError(what, where=self.where, remedy="is it of another video?")
        with np.errstate(over="ignore"):
            values = np.asarray(self._rows(first, end), np.float32)
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(bad):
            what = f"row {first + int(bad[0])} is not finite (NaN, infinite or beyond float32)"
            raise FeatureError(what, where=self.where, remedy="extract it again")
        return values

    def of_segments(self, hierarchy: Hierarchy, duration: float) -> list[NDArray[np.float32]]:
        """For each segment of a video of `duration` seconds the rows of its clips: float32 (S, D).

        Raises:
            FeatureError: the file has fewer rows than the video clips, or more than one too many.
        """
        clips = len(hierarchy.clip_windows(duration))
        if not clips <= self.count <= clips + _SLACK:
            what = f"{self.count} rows for {clips} clips of {hierarchy.clip_seconds:g} s"
            raise FeatureError(what, where=self.where, remedy="extract one row a clip, or correct the clip length")
        return [self.read(own.start, own.stop) for own in hierarchy.clips_of_segments(duration)]


def open_rows(path: str | os.PathLike[str], video_id: str | None = None) -> ClipRows:
    """Opens the rows of a video.

    Args:
        path: a `.npy` of shape (rows, D), or a `features.h5` with one row a position.
        video_id: which video of a `features.h5`; not needed where there is only one.

    Raises:
        FeatureError: missing, damaged or hostile files, other shapes, no such video.
    """
    file = Path(path)
    if file.suffix.lower() == ".npy":
        return _open_npy(file)
    if file.suffix.lower() in (".h5", ".hdf5"):
        return _open_store(file, video_id)
    raise FeatureError("rows are read from .npy and .h5 files", where=file, remedy="save it as one of these")


def _open_npy(file: Path) -> ClipRows:
    array = npy.open_npy(file, ndim=2)
    _check_shape(array.shape, file)
    return ClipRows(str(file), array.shape[0], array.shape[1], array.rows)


def _open_store(file: Path, video_id: str | None) -> ClipRows:
    from glrg_tf.data.feature_store import FeatureStore

    with FeatureStore(file) as store:
        if video_id is None:
            if len(store.ids) != 1:
                what = f"the file has {len(store.ids)} videos"
                raise FeatureError(what, where=file, remedy="say which: " + ", ".join(store.ids[:3]))
            video_id = store.ids[0]
        pooled = [name for name in store.streams if not store.has_positions(name)]
        if pooled:
            what = f"stream '{pooled[0]}' has one vector a video, not one a clip"
            raise FeatureError(what, where=file, remedy="extract with --per-position, one position a clip")
        parts = [store.positions(video_id, name) for name in store.streams]
    if len({len(part) for part in parts}) != 1:
        raise FeatureError("its streams have different numbers of rows", where=file, remedy="extract it again")
    values = np.concatenate(parts, axis=1)
    _check_shape(values.shape, file)
    count, width = values.shape
    return ClipRows(f"{file}: {video_id}", count, width, lambda first, last: values[first:last])


def _check_shape(shape: tuple[int, ...], file: Path) -> None:
    if not 1 <= shape[0] <= MAX_ROWS or not 1 <= shape[1] <= MAX_WIDTH:
        what = f"the array has shape {shape}, expected 1..{MAX_ROWS} rows of 1..{MAX_WIDTH} numbers"
        raise FeatureError(what, where=file, remedy="is this the right file?")
