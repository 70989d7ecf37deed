"""Where the cells of a map lie in a frame.

A cell is not always centred over its share of the picture: a convolution of stride 2 over an even side is padded on
one side only (by TensorFlow at the end), which moves what a cell sees by half a pixel of that layer's input, three of
them by 3.5 pixels of the picture. Maps drawn without regard to it lie beside the things.
"""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from glrg_tf.encoders.resize import Fit, resize_frames_numpy

_PROBES = 16  # made-up pictures


@dataclasses.dataclass(frozen=True)
class View:
    """What a network sees of a frame, and where its cells look."""

    input_size: tuple[int, int] = (1, 1)  # height and width the network reads
    fit: Fit = "stretch"  # which part of a frame it is given
    offset: tuple[float, float] = (0.0, 0.0)  # rows and columns, in cells, from a cell's place to what it sees

    def window(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """The part of a frame of `size` (h, w) that is seen: top, left, height, width in its pixels."""
        height, width = size
        if self.fit == "stretch":
            return 0.0, 0.0, float(height), float(width)
        scale = min(height / self.input_size[0], width / self.input_size[1])
        seen = (self.input_size[0] * scale, self.input_size[1] * scale)
        return (height - seen[0]) / 2, (width - seen[1]) / 2, *seen

    def centre(self, cell: tuple[int, int], grid: tuple[int, int], size: tuple[int, int]) -> tuple[float, float]:
        """The pixel (row, column) of a frame that a cell (row, column) of a map looks at."""
        top, left, height, width = self.window(size)
        row = (cell[0] + 0.5 + self.offset[0]) / grid[0]
        column = (cell[1] + 0.5 + self.offset[1]) / grid[1]
        return top + min(max(row, 0.0), 1.0) * height, left + min(max(column, 0.0), 1.0) * width


def cell_offset(network: keras.Model) -> tuple[float, float]:
    """How far, in cells, what the cells of a map see lies from their own places.

    Measured, so that it holds for any network: the gradient of the middle cells over made-up pictures is largest where
    they look, and the centre of mass of its size is their place.

    Args:
        network: float32 (N, 1, h, w, 3) -> (N, h', w', C), as `StreamEncoder.feature_map`.
    """
    _, _, height, width, _ = network.input_shape
    grid = network.output_shape[1:3]
    rows, columns = (slice((side - 1) // 2, side // 2 + 1) for side in grid)
    pictures = tf.constant(_pictures(height, width))
    with tf.GradientTape() as tape:
        tape.watch(pictures)
        middle = tf.reduce_sum(network(pictures, training=False)[:, rows, columns])
    gradient = tape.gradient(middle, pictures)
    strength = np.abs(np.asarray(gradient, np.float64)).sum(axis=(0, 1, 4)) if gradient is not None else np.zeros(1)
    if not strength.sum() > 0:
        return 0.0, 0.0
    row = (strength.sum(axis=1) * (np.arange(height) + 0.5)).sum() / strength.sum()
    column = (strength.sum(axis=0) * (np.arange(width) + 0.5)).sum() / strength.sum()
    return float((row / height - 0.5) * grid[0]), float((column / width - 0.5) * grid[1])


def _pictures(height: int, width: int) -> np.ndarray:
    """Noise of several grains laid over each other, float32 (16, 1, h, w, 3) of 0..255: nearly like pictures."""
    rng = np.random.default_rng(0)
    total = np.zeros((_PROBES, height, width, 3))
    for grain in (3, 6, 12, 24):
        coarse = rng.uniform(0.0, 255.0 / 4, (_PROBES, grain, grain, 3)).astype(np.float32)
        total += resize_frames_numpy(coarse, (height, width))
    return total[:, np.newaxis].astype(np.float32)
