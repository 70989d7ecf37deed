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
from typing import Literal, NamedTuple

import keras
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


class Read(NamedTuple):
    """What the network made of frames while the video's features were extracted."""

    pictures: np.ndarray  # float32 (F, h, w, 3), the frames as the network reads them
    maps: np.ndarray  # float32 (F, h', w', C)


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

        self._tail = keras.Model(stream.model.get_layer("map").output, stream.model.output)
        self.stream, picture = spec.name, [None, *spec.input_size, 3]

        def resized(frames: tf.Tensor) -> tf.Tensor:
            return resize_frames(frames, spec.input_size, spec.fit)

        def both(pictures: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            maps = network(pictures[:, tf.newaxis], training=False)
            return maps, self._tail(maps, training=False)

        signature = [tf.TensorSpec([None, None, None, 3], tf.uint8)]
        self.resized = tf.function(resized, input_signature=signature, autograph=False)
        signature = [tf.TensorSpec(picture, tf.float32)]
        self.maps = tf.function(lambda pictures: both(pictures)[0], input_signature=signature, autograph=False)
        self.maps_and_values = tf.function(both, input_signature=signature, autograph=False)
        maps = tf.TensorSpec([None, *network.output_shape[1:]], tf.float32)
        self.stitched = tf.function(self._stitched, input_signature=[*signature, maps], autograph=False)
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

    def _stitched(self, pictures: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
        """Maps of pictures moved by half cells, laid into those of the pictures: (F, h, w, 3) -> (F, 2h', 2w', C)."""
        down, right = (
            max(1, round(side / cells / 2)) for side, cells in zip(pictures.shape[1:3], self.grid, strict=True)
        )
        padded = tf.pad(pictures, [[0, 0], [0, down], [0, right], [0, 0]], "SYMMETRIC")
        height, width = pictures.shape[1:3]
        parts = [maps]
        for row, column in ((0, right), (down, 0), (down, right)):
            moved = padded[:, tf.newaxis, row : row + height, column : column + width]
            parts.append(self._network(moved, training=False))
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

    def classes(self, frames: np.ndarray, read: Read | None = None) -> Iterator[np.ndarray]:
        """Class probabilities of the cells, some frames at a time.

        Args:
            frames: uint8 (F, H, W, 3).
            read: what the network has read already of just these frames.

        Yields:
            float32 (f, h, w, C), the columns of the map's stream.
        """
        network, count, half = self._network, len(frames), self._box // 2
        step = min(_FRAMES_AT_ONCE, self.frames_within_bounds)
        for first in range(0, count, step):
            last = min(first + step, count)
            places = mirrored(np.arange(first - half, last + half), count)
            pictures = read.pictures[places] if read is not None else network.resized(frames[places])
            maps = read.maps[places] if read is not None else network.maps(pictures)
            if self._fine:
                maps = network.stitched(pictures, maps)
            if half:
                maps = tf.add_n([maps[shift : shift + last - first] for shift in range(self._box)]) / self._box
            yield network.classes(maps).numpy()

    def descriptors(self, classes: np.ndarray) -> np.ndarray:
        """Cells as the captioner reads them: float32 (..., C) -> (..., D)."""
        cells = np.empty((*classes.shape[:-1], len(self._row)), np.float32)
        cells[...] = self._row
        cells[..., self._network.columns] = classes
        return cells

    @property
    def frames_within_bounds(self) -> int:
        """Frames the descriptors of whose cells may lie in memory together."""
        return max(1, _CELL_FLOATS // (len(self._row) * math.prod(self._network.grid_of(self._fine))))

    def read(self, frames: np.ndarray) -> Iterator[np.ndarray]:
        """Descriptors of the cells, some frames at a time: uint8 (F, H, W, 3) -> float32 (f, h, w, D)."""
        for classes in self.classes(frames):
            yield self.descriptors(classes)


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
