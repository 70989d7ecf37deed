"""Reads the frames that are wanted of a video, and says how many there were.

Most codecs build each frame on those before, so all frames are decoded, but only the wanted ones are converted to
RGB; in long videos the groups of pictures that hold no wanted frame are left out. A frame plan needs the number of
frames first: it is taken from the header or the packets, and where the decoder then finds another number the plan is
made again and the video read again.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from glrg_tf.errors import ConfigError
from glrg_tf.video.counting import decoded_frames, no_frame
from glrg_tf.video.passes import Reading, Request, read_once
from glrg_tf.video.pictures import Converter
from glrg_tf.video.probe import VideoProbe, probe
from glrg_tf.video.source import Limits, open_source
from glrg_tf.video.timing import Clock

__all__ = ["Frames", "Limits", "VideoProbe", "iter_frames", "probe", "read_frames"]

Select = Callable[[int], NDArray[np.int64]] | NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Frames:
    """The wanted frames of one video, upright and in RGB, and the three counts that say how whole the video is."""

    indices: NDArray[np.int64]  # (n,) frame numbers, rising
    images: NDArray[np.uint8]  # (n, H, W, 3) RGB, rotation applied
    timestamps: NDArray[np.float64]  # (n,) seconds since the first frame
    expected: int  # frames the file should have
    decoded: int  # frames it has; the number the frame plan was made for
    used: int  # n
    probe: VideoProbe
    warnings: tuple[str, ...] = ()  # what the user should know: cut files, damaged packets, odd timestamps

    def at(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Frames by number, in any shape and with repeats: int64 (...) -> uint8 (..., H, W, 3).

        Raises:
            KeyError: a frame was not among those read.
        """
        wanted = np.asarray(indices, np.int64)
        if not np.isin(wanted, self.indices).all():
            raise KeyError("some of these frames were not read")
        return self.images[np.searchsorted(self.indices, wanted)]


def read_frames(
    path: str | os.PathLike[str],
    select: Select,
    *,
    max_side: int | None = None,
    limits: Limits | None = None,
    backend: Literal["pyav", "tfio"] = "pyav",
) -> Frames:
    """Reads some frames of a video.

    Args:
        path: a local video file; no address, playlist or picture sequence.
        select: the frame numbers wanted, or a function from the number of frames to them (a frame plan's `wanted`).
            Numbers given outright that lie past the end are left out with a warning.
        max_side: shrink pictures whose longer side is more pixels than this (antialiased); never enlarges.
        limits: what the file may cost; the defaults of `Limits` without it.
        backend: who decodes; "tfio" is for an environment of its own (tfio_reader.py) and takes no `max_side`.

    Returns:
        The frames, each once, in rising order. A damaged or cut file gives what can be decoded, and a warning.

    Raises:
        VideoError: not a video, no frame that can be decoded, or past a limit.
        ConfigError: `select` asks for frames that cannot be, or `max_side` is below 1; the backend cannot work here.
    """
    limits = limits or Limits()
    if backend != "pyav":
        return _read_by_tfio(path, select, max_side, limits, backend)
    if max_side is not None and max_side < 1:
        raise ConfigError(f"max_side must be at least 1 pixel, not {max_side}")

    def plan(frame_count: int) -> NDArray[np.int64]:
        return frame_numbers(select, frame_count)

    request = Request(path, plan, max_side, limits, time.monotonic() + limits.max_seconds)
    reading = read_once(request)
    expected = max(reading.expected, reading.guess)
    if not np.array_equal(plan(reading.decoded), reading.indices):
        reading = read_once(request, reading.decoded)
    return _frames(reading, expected, select)


def iter_frames(
    path: str | os.PathLike[str], *, max_side: int | None = None, limits: Limits | None = None
) -> Iterator[tuple[int, float, NDArray[np.uint8]]]:
    """Every frame of a video in turn, in constant memory.

    Args:
        path: a local video file.
        max_side: shrink pictures whose longer side is more pixels than this.
        limits: what the file may cost (`max_bytes` does not apply); the defaults of `Limits` without it.

    Yields:
        (frame number, seconds since the first frame, uint8 (H, W, 3) RGB, rotation applied).

    Raises:
        VideoError: not a video, no frame that can be decoded, or past a limit.
    """
    limits = limits or Limits()
    with open_source(path, limits, time.monotonic() + limits.max_seconds) as source:
        clock, converter = Clock(source), Converter(source.path, max_side)
        index = -1
        for index, frame in enumerate(decoded_frames(source)):
            yield index, clock.seconds(frame.pts), converter.rgb(frame)
        if index < 0:
            raise no_frame(source)


def frame_numbers(select: Select, frame_count: int) -> NDArray[np.int64]:
    """What `select` asks of a video of `frame_count` frames: int64 (n,) within it, rising, once each.

    Raises:
        ConfigError: numbers that are negative, not whole, or (from a function) past the end.
    """
    if callable(select):
        chosen = np.asarray(select(frame_count)) if frame_count else np.zeros(0, np.int64)
    else:
        chosen = np.asarray(select)
        chosen = chosen[chosen < frame_count]
    if chosen.size and (chosen.dtype.kind not in "iu" or chosen.min() < 0 or chosen.max() >= frame_count):
        raise ConfigError(f"frames must be whole numbers from 0 to {frame_count - 1}, not {chosen.ravel()[:5]}…")
    return np.unique(chosen).astype(np.int64)


def _read_by_tfio(
    path: str | os.PathLike[str], select: Select, max_side: int | None, limits: Limits, backend: str
) -> Frames:
    from glrg_tf.video import tfio_reader

    if backend != "tfio":
        raise ConfigError(f"unknown video backend '{backend}'", where="backend", remedy="of pyav, tfio")
    if max_side is not None:
        raise ConfigError("the backend 'tfio' does not shrink pictures", where="max_side", remedy="leave it out")
    seen, indices, images = tfio_reader.decode(path, limits, lambda count: frame_numbers(select, count))
    times, count = seen.timing.seconds[indices], seen.probe.frames
    return Frames(indices, images, times, count, count, len(indices), seen.probe)


def _frames(reading: Reading, expected: int, select: Select) -> Frames:
    warnings = list(reading.warnings)
    if reading.decoded < expected and not any("frames could be decoded" in warning for warning in warnings):
        warnings.insert(0, f"only {reading.decoded} of {expected} frames could be decoded: the file is damaged")
    if not callable(select) and (beyond := int((np.unique(select) >= reading.decoded).sum())):
        warnings.append(f"{beyond} of the frames asked for lie past the end")
    return Frames(
        indices=reading.indices,
        images=reading.images,
        timestamps=reading.timing.seconds[reading.indices],
        expected=expected,
        decoded=reading.decoded,
        used=len(reading.indices),
        probe=reading.probe,
        warnings=tuple(warnings),
    )
