"""From raw log-probabilities to maps in 0..1: the chain of the reference code, step by step, and a scale for charts.

Matches VisionLearningGroup/caption-guided-saliency except: (a) a word or a frame whose values are all equal gives
zeros, where the reference divides by zero; (b) every step can be left out; (c) the smoothing widths are settings.
Arrays are (F, n, h, w): frames, words, rows, columns. Larger is more salient.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from glrg_tf.errors import ConfigError

_SMALLEST_RANGE = 1e-12


@dataclasses.dataclass(frozen=True)
class Normalisation:
    """Which steps are taken; `REFERENCE` takes all of them, the defaults less.

    No box: the reference looks at every frame, 25 a second; where frames are sampled, neighbours are far apart. No
    scale by frame: a word that matters little there becomes as bright as one that matters. No smoothing over cells:
    it moves the peaks of small things off them (docs/explain.md), and enlarging a map smooths it anyway.
    """

    box: int = 1  # frames averaged before the cells are classified, odd; the reference has 3
    words: bool = True  # each word over all frames and cells to 0..1
    threshold: bool = True  # what lies below a word's mean becomes 0
    frames: bool = False  # each frame over all words and cells to 0..1: frames cannot be compared any more
    sigma: tuple[float, float, float] = (1.0, 0.0, 0.0)  # Gaussian over frames, rows, columns; the reference 2, 1, 1

    def __post_init__(self) -> None:
        """Refuses settings without meaning."""
        if self.box < 1 or self.box % 2 == 0:
            raise ConfigError(f"box must be an odd number of frames, found {self.box}", where="box")
        if len(self.sigma) != 3 or not all(0.0 <= width <= 100.0 for width in self.sigma):
            raise ConfigError("sigma must be three numbers in 0..100", where="sigma")


REFERENCE = Normalisation(box=3, frames=True, sigma=(2.0, 1.0, 1.0))
PLAIN = Normalisation(threshold=False, sigma=(0.0, 0.0, 0.0))  # each word to 0..1, nothing else


def box_filter(values: np.ndarray, length: int) -> np.ndarray:
    """Mean over `length` neighbouring frames; the ends repeat the edge frame: (F, ...) -> (F, ...)."""
    if length == 1 or not len(values):
        return values
    half = length // 2
    padded = np.pad(
        values, [(half, half)] + [(0, 0)] * (values.ndim - 1), mode="symmetric" if len(values) > half else "edge"
    )
    return np.mean([padded[shift : shift + len(values)] for shift in range(length)], axis=0, dtype=np.float32)


def normalise(raw: np.ndarray, settings: Normalisation) -> np.ndarray:
    """The chain after the cells are scored: word scale, threshold, frame scale, smoothing (fact sheet, section 7).

    Args:
        raw: float (F, n, h, w).
        settings: which steps.

    Returns:
        float32 (F, n, h, w) in 0..1.
    """
    maps = np.asarray(raw, np.float32)
    if settings.words:
        maps = to_unit(maps, axis=(0, 2, 3))
    if settings.threshold:
        maps = np.clip(maps - maps.mean(axis=(0, 2, 3), keepdims=True, dtype=np.float64), 0.0, 1.0)
    if settings.frames:
        maps = to_unit(maps, axis=(1, 2, 3))
    return smooth(maps.astype(np.float32), settings.sigma)


def to_unit(values: np.ndarray, axis: int | tuple[int, ...] | None = None) -> np.ndarray:
    """(a - min) / (max - min) over `axis`; zeros where all values are equal."""
    low, high = values.min(axis=axis, keepdims=True), values.max(axis=axis, keepdims=True)
    span = high - low
    flat = span <= _SMALLEST_RANGE
    return np.where(flat, 0.0, (values - low) / np.where(flat, 1.0, span)).astype(np.float32)


def smooth(values: np.ndarray, sigma: tuple[float, float, float]) -> np.ndarray:
    """Gaussian over frames, rows and columns, borders mirrored with the edge repeated, cut at 4 sigma (as SciPy)."""
    for axis, width in zip((0, 2, 3), sigma, strict=True):
        if width > 0 and values.shape[axis] > 1:
            values = _smooth_axis(values, axis, width)
    return values


def _smooth_axis(values: np.ndarray, axis: int, width: float) -> np.ndarray:
    reach = int(4.0 * width + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    weights /= weights.sum()
    size = values.shape[axis]
    # Position i of an array mirrored without end, the edge repeated: …, 1, 0, 0, 1, …, n-1, n-1, …
    places = np.arange(-reach, size + reach) % (2 * size)
    mirrored = np.where(places < size, places, 2 * size - 1 - places)
    kernel = np.zeros((size, size), np.float64)
    for shift, weight in enumerate(weights):
        np.add.at(kernel, (np.arange(size), mirrored[shift : shift + size]), weight)
    moved = np.moveaxis(values, axis, -1)
    return np.moveaxis((moved @ kernel.T.astype(np.float32)), -1, axis).astype(np.float32)


def time_chart(raw: np.ndarray, words: np.ndarray | None = None) -> np.ndarray:
    """Raw values over time on a scale that is comparable between moments: (F, n) -> 0..1, each word over all moments.

    Args:
        raw: float (F, n).
        words: bool (n,), which words have a meaning; the others are zero.
    """
    chart = to_unit(np.asarray(raw, np.float32), axis=0)
    return chart if words is None else chart * np.asarray(words, np.float32)


def time_mass(raw: np.ndarray) -> np.ndarray:
    """Share of a word's saliency at each moment: scaled to 0..1, cut at the mean, divided by the sum: (F, n) -> (F, n).

    Columns sum to 1; a word that no moment stands out for is spread evenly.
    """
    chart = to_unit(np.asarray(raw, np.float32), axis=0)
    kept = np.clip(chart - chart.mean(axis=0, keepdims=True), 0.0, None)
    total = kept.sum(axis=0, keepdims=True)
    return np.where(total > 0, kept / np.where(total > 0, total, 1.0), 1.0 / len(chart))
