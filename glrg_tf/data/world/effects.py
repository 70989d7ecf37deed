"""What lies over the picture: weather, water and the light of the day."""

from __future__ import annotations

import numpy as np

from glrg_tf.data.world.scenes import smooth_noise

Array = np.ndarray
_DAY, _DUSK, _NIGHT = (
    np.asarray(light, np.float32) for light in ((1.0, 1.0, 1.0), (1.02, 0.74, 0.6), (0.34, 0.37, 0.56))
)


class Weather:
    """Rain, fog or falling leaves as textures that repeat at the borders and are rolled on from frame to frame.

    Args:
        kind: one of `names.WEATHERS`.
        height: pixels.
        width: pixels.
        rng: decides the texture.
    """

    def __init__(self, kind: str, height: int, width: int, rng: np.random.Generator) -> None:
        self._kind = kind
        self._cover = np.zeros((height, width), np.float32)
        if kind == "rain":
            for _ in range(height * width // 110):
                row, column = int(rng.integers(height)), int(rng.integers(width))
                for step in range(8):
                    self._cover[(row + step) % height, (column - step // 3) % width] = 0.62
        elif kind == "fog":
            self._cover = 0.36 + 0.4 * smooth_noise(height, width, 5, rng)
        else:
            y, x = np.mgrid[-3:4, -3:4].astype(np.float32)
            for _ in range(34):
                angle, row, column = rng.uniform(0, 3.2), int(rng.integers(height)), int(rng.integers(width))
                along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
                leaf = np.clip(1.6 - (along**2 / 5.5 + across**2 / 1.6), 0, 1)
                rows, columns = np.ix_((row + np.arange(7)) % height, (column + np.arange(7)) % width)
                self._cover[rows, columns] = np.maximum(self._cover[rows, columns], leaf)

    def apply(self, canvas: Array, frame: int, strength: float) -> None:
        """Lays the weather over `canvas` (float32 (H, W, 3)) in place; `strength` 0..1."""
        if strength <= 0.0:
            return
        if self._kind == "rain":
            canvas *= 1.0 - 0.25 * np.float32(strength)
            cover, paint = np.roll(self._cover, (9 * frame, -3 * frame), (0, 1)), (206, 216, 232)
        elif self._kind == "fog":
            cover, paint = np.roll(self._cover, frame // 2, 1), (222, 224, 226)
        else:
            cover, paint = np.roll(self._cover, (2 * frame, int(6 * np.sin(frame / 5))), (0, 1)), (212, 108, 24)
        canvas += (cover * np.float32(strength))[..., None] * (np.asarray(paint, np.float32) - canvas)


def light_of_day(canvas: Array, darkness: float) -> None:
    """Colours `canvas` in place; darkness 0 is noon, 0.5 dusk, 1 night."""
    if darkness <= 0.0:
        return
    if darkness < 0.5:
        light = _DAY + (_DUSK - _DAY) * np.float32(2 * darkness)
    else:
        light = _DUSK + (_NIGHT - _DUSK) * np.float32(2 * darkness - 1)
    canvas *= light


def pour_water(canvas: Array, frame: int, level: float) -> None:
    """Covers in place what lies below `level` (part of the height, from the top) with waves."""
    height, width = canvas.shape[:2]
    line = level * height + 1.3 * np.sin(np.arange(width) / 7.0 + frame / 3.0)
    rows = np.arange(height, dtype=np.float32)[:, None]
    depth = rows - line[None, :].astype(np.float32)
    cover = 0.66 * np.clip(depth + 0.5, 0, 1)
    canvas += cover[..., None] * (np.asarray((30, 112, 190), np.float32) - canvas)
    crest = 0.7 * np.clip(1.2 - np.abs(depth - 0.6), 0, 1)
    canvas += crest[..., None] * (np.float32(250.0) - canvas)
