"""Frames to descriptors of their cells: the keyframe encoder's last map, each cell through the classifier alone.

A descriptor is a row as the captioner reads it: the keyframe stream's columns hold what one cell shows, the other
columns nothing (`others="none"`) or what the whole video shows (`others="pooled"`). Nothing is better: words of the
long range that the whole video gives speak for every cell alike (measured in docs/explain.md).

Fine maps: the network reads the frame four times, moved by half a cell down, right, and both, and the four maps are
laid into each other (the "shift and stitch" of OverFeat, Sermanet et al. 2014, and of Long et al. 2015). Twice as many
rows and columns, and what a cell's border cut apart lies in the middle of another one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from glrg_tf.encoders.bundle import EncoderBundle
from glrg_tf.encoders.resize import resize_frames
from glrg_tf.encoders.stream import StreamEncoder
from glrg_tf.errors import ConfigError
from glrg_tf.explain.view import View, cell_offset

Others = Literal["pooled", "none"]
OTHERS: tuple[Others, ...] = ("none", "pooled")
_FRAMES_AT_ONCE = 16  # frames that pass the network together; with their cells they are what memory holds
_CELL_FLOATS = 2**24  # most floats of descriptors at once


class MapNetwork:
    """The map of one stream as compiled functions; made once for a captioner.

    Args:
        bundle: the encoders.
        streams: name and width of each stream of a descriptor, in column order.

    Raises:
        ConfigError: no stream has a map of classes.
    """

    def __init__(self, bundle: EncoderBundle, streams: Sequence[tuple[str, int]]) -> None:
        names = [name for name, _ in streams]
        stream = map_stream(bundle, names)
        network, spec = stream.feature_map, stream.spec
        self.view, self._network = View(spec.input_size, spec.fit, cell_offset(network)), network
        first = sum(width for _, width in streams[: names.index(spec.name)])
        self.columns = slice(first, first + spec.width)
        self.grid = (int(network.output_shape[1]), int(network.output_shape[2]))

        def maps(frames: tf.Tensor) -> tf.Tensor:
            return network(resize_frames(frames, spec.input_size, spec.fit)[:, tf.newaxis], training=False)

        def fine_maps(frames: tf.Tensor) -> tf.Tensor:
            return self._stitched(resize_frames(frames, spec.input_size, spec.fit))

        signature = [tf.TensorSpec([None, None, None, 3], tf.uint8)]
        self.maps = tf.function(maps, input_signature=signature, autograph=False)
        self.fine_maps = tf.function(fine_maps, input_signature=signature, autograph=False)
        signature = [tf.TensorSpec([None, None, None, int(network.output_shape[3])], tf.float32)]
        self.classes = tf.function(stream.classify_cells, input_signature=signature, autograph=False)

    def grid_of(self, fine: bool) -> tuple[int, int]:
        """Rows and columns of a map."""
        return (2 * self.grid[0], 2 * self.grid[1]) if fine else self.grid

    def view_of(self, fine: bool) -> View:
        """Where the cells of a map lie: of a fine one, after `saliency.soft_mean`."""
        if not fine:
            return self.view
        # In fine cells: twice the offset, half a cell as the middle of a whole one, half for the mean with the next.
        rows, columns = (2 * offset + 1.0 for offset in self.view.offset)
        return dataclasses.replace(self.view, offset=(rows, columns))

    def _stitched(self, pictures: tf.Tensor) -> tf.Tensor:
        """Maps of pictures moved by half cells, laid into each other: (F, h, w, 3) -> (F, 2h', 2w', C)."""
        down, right = (
            max(1, round(side / cells / 2)) for side, cells in zip(pictures.shape[1:3], self.grid, strict=True)
        )
        padded = tf.pad(pictures, [[0, 0], [0, down], [0, right], [0, 0]], "SYMMETRIC")
        height, width = pictures.shape[1:3]
        parts = [
            self._network(padded[:, tf.newaxis, row : row + height, column : column + width], training=False)
            for row in (0, down)
            for column in (0, right)
        ]
        rows, columns = self.grid
        stacked = tf.reshape(tf.stack(parts), [2, 2, -1, rows, columns, parts[0].shape[-1]])
        return tf.reshape(tf.transpose(stacked, [2, 3, 0, 4, 1, 5]), [-1, 2 * rows, 2 * columns, parts[0].shape[-1]])


class CellReader:
    """Reads the cells of a video's frames.

    Args:
        network: the map.
        row: float32 (D,), descriptor of the whole video.
        others: what the other streams' columns hold.
        box: frames that each map is averaged over, odd.
        fine: cells at half steps.
    """

    def __init__(
        self, network: MapNetwork, row: np.ndarray, others: Others = "none", box: int = 1, fine: bool = False
    ) -> None:
        if others not in OTHERS:
            raise ConfigError(f"no choice '{others}'", where="--others", remedy="one of " + ", ".join(OTHERS))
        self._network, self._box, self._fine = network, box, fine
        self._row = np.asarray(row, np.float32) if others == "pooled" else np.zeros_like(row, np.float32)

    def read(self, frames: np.ndarray) -> Iterator[np.ndarray]:
        """Descriptors of the cells, some frames at a time.

        Args:
            frames: uint8 (F, H, W, 3).

        Yields:
            float32 (f, h, w, D).
        """
        count, half, grid, width = len(frames), self._box // 2, self._network.grid_of(self._fine), len(self._row)
        network = self._network.fine_maps if self._fine else self._network.maps
        step = max(1, min(_FRAMES_AT_ONCE, _CELL_FLOATS // (width * math.prod(grid))))
        for first in range(0, count, step):
            last = min(first + step, count)
            maps = network(frames[mirrored(np.arange(first - half, last + half), count)])
            if half:
                maps = tf.add_n([maps[shift : shift + last - first] for shift in range(self._box)]) / self._box
            cells = np.empty((last - first, *grid, width), np.float32)
            cells[...] = self._row
            cells[..., self._network.columns] = self._network.classes(maps).numpy()
            yield cells


def mirrored(places: np.ndarray, count: int) -> np.ndarray:
    """Frame numbers beyond the ends mirrored back, the edge repeated: -1 -> 0, -2 -> 1, `count` -> `count` - 1."""
    places = places % (2 * count)
    return np.where(places < count, places, 2 * count - 1 - places)


def find_map_stream(bundle: EncoderBundle, names: Sequence[str]) -> StreamEncoder | None:
    """The stream, among those named, whose network has a map of classes; None where none has."""
    for name in names:
        stream = bundle.streams.get(name)
        if stream is not None and stream.spec.kind == "keyframe" and stream.exportable:
            return stream
    return None


def map_stream(bundle: EncoderBundle, names: Sequence[str]) -> StreamEncoder:
    """`find_map_stream` that must find one.

    Raises:
        ConfigError: none has a map.
    """
    stream = find_map_stream(bundle, names)
    if stream is None:
        raise no_map()
    return stream


def no_map() -> ConfigError:
    """What is said where a map is needed and no stream has one."""
    return ConfigError(
        "no stream of this captioner has a map of its frames",
        where="encoder",
        remedy="a keyframe encoder has one (`glrg train-encoder keyframe`); a classifier file has none",
    )
