"""The inputs of `glrg caption`: feature files and videos, told apart by their first bytes before anything is loaded."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from glrg_tf.encoders.extract_items import VideoItem, list_videos
from glrg_tf.errors import DataError, FeatureError, GlrgError

if TYPE_CHECKING:
    import numpy as np

    from glrg_tf.captioner.captioner import VideoCaptioner

_CHUNK = 128  # videos of a feature file between two movements of the progress bar
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclasses.dataclass(frozen=True)
class Failure:
    """An input, or one video of it, that could not be captioned."""

    id: str
    error: GlrgError


Input = pathlib.Path | VideoItem | Failure  # a feature file, a video, or what is neither


def look_at(names: Sequence[str]) -> list[Input]:
    """Sorts inputs into feature files, videos and failures, in order, without reading more than a few bytes."""
    found: list[Input] = []
    for name in names:
        try:
            found += _look_at_one(name)
        except DataError as error:
            found.append(Failure(name, error))
    return found


def _look_at_one(name: str) -> list[Input]:
    path = pathlib.Path(name)
    if path.is_dir():
        return [path / "features.h5"] if (path / "features.h5").is_file() else list(_videos_of(path))
    if not path.is_file():
        raise DataError("no such file", where=path, remedy="check the path")
    try:
        with open(path, "rb") as stream:
            start = stream.read(len(_HDF5_SIGNATURE))
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=path) from None
    if not start:
        raise DataError("the file is empty", where=path, remedy="copy it again")
    if start == _HDF5_SIGNATURE:
        return [path]
    if path.suffix.lower() in (".h5", ".hdf5"):
        raise FeatureError("not an HDF5 file", where=path, remedy="copy or extract it again")
    return [VideoItem(name, path)]


def _videos_of(folder: pathlib.Path) -> Iterator[VideoItem]:
    """The videos of a folder, named by their paths, or those of a dataset, named by their ids."""
    try:
        items = list_videos(folder)
    except DataError as error:
        what = f"neither a features.h5 nor videos: {error.what}"
        raise FeatureError(what, where=folder, remedy="name the files themselves") from None
    dataset = (folder / "dataset.json").is_file()
    yield from (item if dataset else dataclasses.replace(item, id=str(item.path)) for item in items)


class FeatureInput:
    """The videos of one feature file, in the columns that the captioner reads.

    Raises:
        FeatureError: damaged, or without a stream that the captioner reads.
    """

    def __init__(self, path: pathlib.Path, captioner: VideoCaptioner) -> None:
        from glrg_tf.data.feature_layout import is_release_file
        from glrg_tf.data.feature_store import FeatureStore, read_feature_file

        self.path, self._names = path, captioner.config.stream_names
        self.labels: dict[str, str] = {}  # by stream, a JSON list, where the file has it
        self._store: FeatureStore | None = None
        if is_release_file(path):
            self.ids, self._values, widths = read_feature_file(path)
        else:
            self._store = FeatureStore(path)
            self.ids, widths = self._store.ids, self._store.streams
            found = self._store.stream_attributes.items()
            self.labels = {name: str(attributes.get("labels", "")) for name, attributes in found}
        for name, width in captioner.config.streams:
            if widths.get(name) != width:
                has = f"{name} of width {widths[name]}" if name in widths else f"no stream {name}"
                raise FeatureError(
                    f"the file has {has}, the captioner reads {name} of width {width}",
                    where=path,
                    remedy="extract the features that it was trained on: "
                    + ", ".join(f"{stream} {size}" for stream, size in captioner.config.streams),
                )
        ends, end = {}, 0
        for name, width in widths.items():
            ends[name] = (end, end + width)
            end += width
        self._columns = [column for name in self._names for column in range(*ends[name])]

    def read(self, first: int, last: int) -> np.ndarray:
        """float32 (last - first, D)."""
        if self._store is not None:
            return self._store.read(self.ids[first:last], self._names)
        return self._values[first:last][:, self._columns]

    def chunks(self) -> Iterator[tuple[tuple[str, ...], np.ndarray] | Failure]:
        """Ids and features, chunk by chunk; a chunk with a bad video is read video by video."""
        for first in range(0, len(self.ids), _CHUNK):
            last = min(first + _CHUNK, len(self.ids))
            try:
                yield self.ids[first:last], self.read(first, last)
            except FeatureError:
                for row in range(first, last):
                    try:
                        yield self.ids[row : row + 1], self.read(row, row + 1)
                    except FeatureError as error:
                        yield Failure(self.ids[row], error)
