"""Backgrounds of the sample world, each with its own texture; drawn once a clip."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
# Where things stand, as a part of the height. In space they float.
GROUND = {"meadow": 0.82, "beach": 0.84, "snow": 0.82, "city": 0.86, "room": 0.84, "space": 0.76}


def draw_scene(name: str, height: int, width: int, rng: np.random.Generator) -> Array:
    """Draws a background.

    Args:
        name: one of `names.SCENES`.
        height: pixels.
        width: pixels.
        rng: decides clouds, hills, houses, stars.

    Returns:
        float32 (height, width, 3), 0..255.
    """
    return _DRAW[name](height, width, rng).astype(np.float32)


def smooth_noise(height: int, width: int, cells: int, rng: np.random.Generator) -> Array:
    """Noise in 0..1 that repeats at the borders, float32 (height, width), about `cells` bumps across."""
    grid = rng.random((max(2, cells * height // width), cells)).astype(np.float32)
    rows, columns = _blend(grid.shape[0], height), _blend(cells, width)
    return rows @ grid @ columns.T


def _blend(cells: int, size: int) -> Array:
    """Smooth interpolation from `cells` values in a circle to `size`, as a matrix (size, cells)."""
    place = np.arange(size) * cells / size
    first, part = place.astype(int), place % 1.0
    part = part * part * (3 - 2 * part)
    matrix = np.zeros((size, cells), np.float32)
    matrix[np.arange(size), first % cells] += 1 - part
    matrix[np.arange(size), (first + 1) % cells] += part
    return matrix


def _gradient(height: int, width: int, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Array:
    part = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None, None]
    column = np.asarray(top, np.float32) * (1 - part) + np.asarray(bottom, np.float32) * part
    return np.broadcast_to(column, (height, width, 3)).copy()


def _fill(canvas: Array, below: Array, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> None:
    """Fills what lies below the line `below` (W,) with a gradient, its border anti-aliased."""
    height, width = canvas.shape[:2]
    rows = np.arange(height, dtype=np.float32)[:, None]
    cover = np.clip(rows - below[None, :] + 0.5, 0.0, 1.0)[..., None]
    part = np.clip((rows - below.min()) / max(1.0, height - below.min()), 0.0, 1.0)[..., None]
    paint = np.asarray(top, np.float32) * (1 - part) + np.asarray(bottom, np.float32) * part
    canvas += cover * (paint - canvas)


def _hills(width: int, level: float, rise: float, rng: np.random.Generator) -> Array:
    x = np.linspace(0.0, 2 * np.pi, width)
    waves = sum(np.sin(k * x * rng.uniform(0.7, 1.2) + rng.uniform(0, 6.3)) / k for k in (1, 2, 3))
    return (level + rise * waves / 1.8).astype(np.float32)


def _clouds(canvas: Array, rng: np.random.Generator, depth: float = 0.55) -> None:
    height, width = canvas.shape[:2]
    rows = int(height * depth)
    fade = np.linspace(1.0, 0.0, rows, dtype=np.float32)[:, None]
    cover = np.clip(
        (smooth_noise(rows, width, 7, rng) * 0.7 + smooth_noise(rows, width, 15, rng) * 0.3 - 0.55) * 3, 0, 1
    )
    canvas[:rows] += (cover * fade * 0.85)[..., None] * (np.float32(252.0) - canvas[:rows])


def _meadow(height: int, width: int, rng: np.random.Generator) -> Array:
    canvas = _gradient(height, width, (96, 168, 236), (206, 232, 250))
    _clouds(canvas, rng)
    _fill(canvas, _hills(width, 0.52 * height, 5.0, rng), (118, 172, 96), (96, 156, 78))
    _fill(canvas, _hills(width, 0.64 * height, 3.0, rng), (112, 186, 76), (64, 134, 48))
    blades = rng.random((height, width)).astype(np.float32)
    canvas[int(0.68 * height) :] *= (0.9 + 0.2 * blades[int(0.68 * height) :])[..., None]
    return canvas


def _beach(height: int, width: int, rng: np.random.Generator) -> Array:
    canvas = _gradient(height, width, (124, 196, 244), (226, 240, 246))
    _clouds(canvas, rng, 0.4)
    _fill(canvas, np.full(width, 0.42 * height, np.float32), (36, 128, 178), (66, 176, 196))
    shore = _hills(width, 0.62 * height, 2.5, rng)
    _fill(canvas, shore - 1.5, (244, 248, 248), (244, 248, 248))
    _fill(canvas, shore, (240, 218, 164), (222, 190, 128))
    grains = rng.random((height, width)).astype(np.float32)
    rows = int(0.68 * height)
    canvas[rows:] *= (0.95 + 0.1 * grains[rows:])[..., None]
    return canvas


def _snow(height: int, width: int, rng: np.random.Generator) -> Array:
    canvas = _gradient(height, width, (156, 178, 208), (216, 226, 238))
    for _ in range(3):  # mountains
        peak, reach, top = rng.uniform(0, width), rng.uniform(28, 52), rng.uniform(0.18, 0.32) * height
        line = top + np.abs(np.arange(width) - peak) * (0.6 * height - top) / reach
        _fill(canvas, np.minimum(line, 0.62 * height).astype(np.float32), (128, 142, 170), (176, 190, 212))
    _fill(canvas, _hills(width, 0.6 * height, 3.0, rng), (250, 252, 255), (206, 220, 238))
    return canvas


def _city(height: int, width: int, rng: np.random.Generator) -> Array:
    canvas = _gradient(height, width, (166, 176, 190), (222, 214, 200))
    left = 0
    while left < width:
        wide, top = int(rng.integers(12, 24)), int(rng.uniform(0.12, 0.45) * height)
        shade = rng.uniform(0.75, 1.1)
        canvas[top : int(0.72 * height), left : left + wide] = np.asarray((112, 104, 112), np.float32) * shade
        for row in range(top + 4, int(0.68 * height), 6):
            lit = rng.random(wide) < 0.5
            for column in range(left + 2, min(left + wide - 3, width - 2), 5):
                canvas[row : row + 3, column : column + 2] = (244, 220, 140) if lit[column - left] else (74, 76, 92)
        left += wide + int(rng.integers(0, 3))
    canvas[int(0.72 * height) : int(0.76 * height)] = (168, 166, 162)
    canvas[int(0.76 * height) :] = (86, 88, 94)
    for column in range(int(rng.integers(0, 20)), width, 26):
        canvas[int(0.93 * height) : int(0.95 * height) + 1, column : column + 14] = (226, 222, 204)
    return canvas


def _room(height: int, width: int, rng: np.random.Generator) -> Array:
    canvas = _gradient(height, width, (236, 222, 198), (214, 194, 166))
    stripes = (np.arange(width) // 8 % 2).astype(np.float32)
    canvas *= (0.97 + 0.05 * stripes)[None, :, None]
    left, top = int(rng.uniform(0.1, 0.6) * width), int(0.14 * height)
    canvas[top : top + 30, left : left + 30] = (124, 92, 62)
    canvas[top + 3 : top + 27, left + 3 : left + 27] = (160, 206, 242)
    canvas[top + 14 : top + 16, left : left + 30] = (124, 92, 62)
    canvas[top : top + 30, left + 14 : left + 16] = (124, 92, 62)
    floor = int(0.74 * height)
    canvas[floor:] = (150, 100, 62)
    canvas[floor : floor + 2] = (236, 232, 224)
    for row in range(floor + 7, height, 7):
        canvas[row] *= 0.82
    return canvas


def _space(height: int, width: int, rng: np.random.Generator) -> Array:
    canvas = _gradient(height, width, (10, 10, 30), (32, 20, 58))
    haze = np.clip(smooth_noise(height, width, 4, rng) - 0.4, 0, 1)[..., None]
    canvas += haze * np.asarray((86, 40, 120), np.float32)
    for _ in range(60):
        canvas[rng.integers(height), rng.integers(width)] = rng.uniform(130, 255)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    away = np.hypot(x - rng.uniform(0.1, 0.9) * width, y - 1.55 * height) - 0.72 * height
    canvas += np.clip(0.5 - away, 0, 1)[..., None] * (np.asarray((122, 112, 134), np.float32) - canvas)
    return canvas


_DRAW = {
    "meadow": _meadow, "beach": _beach, "snow": _snow, "city": _city, "room": _room, "space": _space,
}  # fmt: skip
