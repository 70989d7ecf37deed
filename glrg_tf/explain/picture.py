"""Maps over frames: enlarging, colouring, blending and lettering, all on whole arrays.

Departs from the reference's drawing (fact sheet, section 8): the frame keeps its aspect ratio; a cell lies over the
pixels it looks at, where the reference pads the map and shrinks it a little; no figure is plotted.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from glrg_tf.explain.view import View

_LABEL = 18  # pixels of a word's strip
_GAP = 2  # pixels between panels


def enlarge(maps: np.ndarray, size: tuple[int, int], view: View | None = None) -> np.ndarray:
    """Maps at the size of a frame by linear interpolation: float (..., h, w) -> float32 (..., H, W).

    Not cubic, as the reference: beside a deep valley that swings above the map's own maximum. Beyond the outermost
    cells' centres the edge goes on; what the network has not seen is 0.
    """
    view = view or View()
    top, left, height, width = view.window(size)
    rows = _weights(maps.shape[-2], size[0], top, height, view.offset[0])
    columns = _weights(maps.shape[-1], size[1], left, width, view.offset[1])
    return rows @ maps.astype(np.float32) @ columns.T


@functools.lru_cache(64)
def _weights(cells: int, pixels: int, first: float, span: float, offset: float) -> np.ndarray:
    """Linear interpolation as a matrix float32 (pixels, cells); rows outside first..first+span are zero."""
    centres = (np.arange(pixels) + 0.5 - first) / span * cells - 0.5 - offset
    base = np.floor(centres).astype(int)
    matrix = np.zeros((pixels, cells))
    for shift in (0, 1):
        weight = 1.0 - np.abs(centres - (base + shift))
        np.add.at(matrix, (np.arange(pixels), np.clip(base + shift, 0, cells - 1)), weight)
    middles = np.arange(pixels) + 0.5
    matrix[(middles < first) | (middles > first + span)] = 0.0
    return matrix.astype(np.float32)


@functools.cache
def jet() -> np.ndarray:
    """The colour map "jet": uint8 (256, 3)."""
    x = np.linspace(0.0, 1.0, 256)
    channels = [np.clip(1.5 - np.abs(4 * x - peak), 0.0, 1.0) for peak in (3, 2, 1)]
    return np.round(255 * np.stack(channels, axis=1)).astype(np.uint8)


def blend(frame: np.ndarray, maps: np.ndarray, alpha: float = 0.5) -> np.ndarray:
    """Coloured maps over a frame: uint8 (H, W, 3), float (..., H, W) in 0..1 -> uint8 (..., H, W, 3)."""
    indices = np.clip(maps * 255.0 + 0.5, 0, 255).astype(np.uint8)
    colours = np.floor(jet() * alpha).astype(np.uint8)[indices]
    under = np.floor(np.arange(256) * (1.0 - alpha)).astype(np.uint8)[frame]  # their sum stays below 256
    return colours + under


@functools.lru_cache(256)
def lettering(text: str, width: int, grey: bool = False) -> np.ndarray:
    """A strip with a word, black on white: uint8 (18, width, 3); a word that is not known is grey."""
    from PIL import Image, ImageDraw, ImageFont

    strip = Image.new("RGB", (width, _LABEL), "white")
    ImageDraw.Draw(strip).text((4, 1), text, "#999" if grey else "black", font=ImageFont.load_default(13))
    return np.asarray(strip)


def grid_shape(count: int) -> tuple[int, int]:
    """Rows and columns of `count` panels, as the reference lays them out: floor(sqrt(n)) rows."""
    rows = max(1, math.isqrt(count))
    return rows, -(-count // rows)


def panels(frame: np.ndarray, maps: np.ndarray, words: Sequence[str], known: np.ndarray) -> np.ndarray:
    """One panel a word, lettered and side by side on black.

    Args:
        frame: uint8 (H, W, 3).
        maps: float (n, h', w'), maps at the size of the frame: h' = H, w' = W.
        words: n.
        known: bool (n,); a word without a map shows the frame alone.
    """
    height, width = frame.shape[:2]
    rows, columns = grid_shape(len(words))
    tall, wide = height + _LABEL + _GAP, width + _GAP
    sheet = np.zeros((rows * tall - _GAP, columns * wide - _GAP, 3), np.uint8)
    coloured = blend(frame, maps)
    for number, word in enumerate(words):
        top, left = number // columns * tall, number % columns * wide
        sheet[top : top + _LABEL, left : left + width] = lettering(word, width, not known[number])
        panel = coloured[number] if known[number] else frame
        sheet[top + _LABEL : top + _LABEL + height, left : left + width] = panel
    return sheet
