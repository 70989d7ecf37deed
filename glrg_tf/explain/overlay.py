"""An explanation to look at: a film of all words or of one, the best frame of every word as a picture."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glrg_tf.errors import ConfigError
from glrg_tf.explain import picture
from glrg_tf.explain.explanation import Explanation
from glrg_tf.io import atomic

if TYPE_CHECKING:
    from glrg_tf.video.reader import Limits

_SHEET = 1600  # pixels: most width of a film of all words
_SINGLE = 1280  # pixels: longer side of a film of one word
_STILL = 640
_CLEAR = 0.25  # nats that the best place must be above the mean for a word to be drawn at full strength


def write_overlay(
    explanation: Explanation,
    video: str | os.PathLike[str],
    out: str | os.PathLike[str],
    word: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> int:
    """Writes a film with the maps over every frame, at the video's own rate and shape.

    Args:
        explanation: of this video.
        video: the file.
        out: the film, .mp4 or another container of `video.writer`.
        word: number of the one word shown; None shows all, a panel each.
        progress: told about frames as they are written.

    Returns:
        Frames written.

    Raises:
        VideoError: the video cannot be read any more.
        ConfigError: the explanation has no maps.
    """
    explanation.need_maps()
    from glrg_tf.video.reader import iter_frames
    from glrg_tf.video.writer import write_video

    columns = 1 if word is not None else picture.grid_shape(len(explanation.words))[1]
    side = _SINGLE if word is not None else max(96, _SHEET // columns)
    if explanation.size[0] > explanation.size[1]:  # upright: the width is what a sheet runs out of
        side = side * explanation.size[0] // explanation.size[1] if word is None else side
    written = 0

    def films() -> Iterator[np.ndarray]:
        nonlocal written
        for index, _, frame in iter_frames(video, max_side=side):
            yield compose(explanation, frame, maps_at(explanation, index), word)
            written += 1
            if progress is not None:
                progress(1)

    write_video(out, films(), explanation.frame_rate)
    return written


def maps_at(explanation: Explanation, frame: int) -> np.ndarray:
    """Maps of any frame, between those that were looked at by linear interpolation: float32 (n, h, w)."""
    place = np.interp(frame, explanation.frames, np.arange(len(explanation.frames)))
    low = int(place)
    high = min(low + 1, len(explanation.frames) - 1)
    share = np.float32(place - low)
    return (1 - share) * explanation.maps[low] + share * explanation.maps[high]


def compose(explanation: Explanation, frame: np.ndarray, maps: np.ndarray, word: int | None = None) -> np.ndarray:
    """One picture: a frame with the map of a word, or a panel for every word.

    Args:
        explanation: whose words.
        frame: uint8 (H, W, 3), of any size.
        maps: float32 (n, h, w) in 0..1.
        word: number of the one word; None shows all.
    """
    scaled = maps * _brightness(explanation)[:, None, None]
    large = picture.enlarge(scaled if word is None else scaled[word : word + 1], frame.shape[:2], explanation.view)
    if word is not None:
        return picture.blend(frame, large[0])
    return picture.panels(frame, large, explanation.words, explanation.query.known)


def stills(
    explanation: Explanation,
    video: str | os.PathLike[str],
    side: int = _STILL,
    limits: Limits | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """The best frame of every known word with its map: (number of the word, uint8 (H, W, 3)).

    Args:
        explanation: of this video.
        video: the file; decoded in a process of its own.
        side: most pixels of the longer side.
        limits: what the file may cost.

    Raises:
        VideoError: the video cannot be read any more.
        ConfigError: the explanation has no maps.
    """
    from glrg_tf.video.isolated import read_frames_isolated

    words = np.flatnonzero(explanation.query.known)
    best = {int(word): explanation.best_frame(int(word)) for word in words}
    wanted = np.unique(explanation.frames[list(best.values())])
    frames = read_frames_isolated(video, wanted, max_side=side, limits=limits)
    for word, row in best.items():
        image = frames.at(explanation.frames[row])
        yield word, compose(explanation, image, explanation.maps[row], word)


def write_stills(explanation: Explanation, video: str | os.PathLike[str], folder: str | os.PathLike[str]) -> list[Path]:
    """Writes `stills` as PNG files named by place and word: `02-ball.png`.

    Raises:
        ConfigError: `folder` is a file, or the explanation has no maps.
    """
    explanation.need_maps()
    from PIL import Image

    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise ConfigError("a file, not a folder", where=target, remedy="name another folder")
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for word, image in stills(explanation, video):
        name = "".join(letter for letter in explanation.words[word] if letter.isalnum())[:40]
        path = target / f"{word + 1:02d}-{name}.png"
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        atomic.write_bytes(path, buffer.getvalue())
        written.append(path)
    return written


def _brightness(explanation: Explanation) -> np.ndarray:
    """What brings each word's strongest place to 1, float32 (n,); less for words that no place speaks for."""
    peaks = explanation.maps.max(axis=(0, 2, 3))
    gains = explanation.raw.max(axis=(0, 2, 3)) - explanation.raw.mean(axis=(0, 2, 3))
    return np.where(peaks > 0, np.minimum(1.0, gains / _CLEAR) / np.maximum(peaks, 1e-12), 0.0).astype(np.float32)
