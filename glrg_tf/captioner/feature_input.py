"""The videos of a feature file, in the columns that a captioner reads, chunk by chunk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from glrg_tf.errors import FeatureError, GlrgError

if TYPE_CHECKING:
    import numpy as np

    from glrg_tf.captioner.presets import CaptionerConfig
    from glrg_tf.data.feature_store import FeatureStore

CHUNK = 128  # videos that are read and captioned together


@dataclasses.dataclass(frozen=True)
class Failure:
    """An input, or one video of it, that could not be captioned."""

    id: str
    error: GlrgError


class FeatureInput:
    """The videos of one feature file, ours or the release's.

    Args:
        path: the file.
        config: of the captioner.

    Raises:
        FeatureError: damaged, or without a stream that the captioner reads.
    """

    def __init__(self, path: Path, config: CaptionerConfig) -> None:
        from glrg_tf.data.feature_layout import is_release_file
        from glrg_tf.data.feature_store import FeatureStore, read_feature_file

        self.path, self._names = path, config.stream_names
        self.labels: dict[str, str] = {}  # by stream, a JSON list, where the file has it
        self._store: FeatureStore | None = None
        if is_release_file(path):
            self.ids, self._values, widths = read_feature_file(path)
        else:
            self._store = FeatureStore(path)
            self.ids, widths = self._store.ids, self._store.streams
            found = self._store.stream_attributes.items()
            self.labels = {name: str(attributes.get("labels", "")) for name, attributes in found}
        for name, width in config.streams:
            if widths.get(name) != width:
                has = f"{name} of width {widths[name]}" if name in widths else f"no stream {name}"
                raise FeatureError(
                    f"the file has {has}, the captioner reads {name} of width {width}",
                    where=path,
                    remedy="extract the features that it was trained on: "
                    + ", ".join(f"{stream} {size}" for stream, size in config.streams),
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

    def spans(self) -> list[tuple[int, int]]:
        """First row and end of every chunk."""
        return [(first, min(first + CHUNK, len(self.ids))) for first in range(0, len(self.ids), CHUNK)]

    def chunk(self, first: int, last: int) -> Iterator[tuple[tuple[str, ...], np.ndarray] | Failure]:
        """Ids and features of a chunk; one with a bad video is read video by video."""
        try:
            yield self.ids[first:last], self.read(first, last)
        except FeatureError:
            for row in range(first, last):
                try:
                    yield self.ids[row : row + 1], self.read(row, row + 1)
                except FeatureError as error:
                    yield Failure(self.ids[row], error)
