"""Reads the frames that are wanted of a video, and says how many there were.

All frames up to the last are decoded, since most codecs build each frame on those before, but only the wanted ones
are converted to RGB. The frame plan needs the number of frames first: it is guessed from the packets, and where the
decoder then finds another number the plan is made again and the frames still missing are fetched in a second pass.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from glrg_tf.errors import ConfigError, VideoError
from glrg_tf.video.orientation import Orientation, orientation_of
from glrg_tf.video.probe import (
    Timing,
    VideoProbe,
    check_length,
    decoded_frames,
    describe,
    expected_frames,
    no_frame,
    probe,
    read_packet_index,
    timing_of,
)
from glrg_tf.video.source import Limits, Source, open_source

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["Frames", "Limits", "VideoProbe", "iter_frames", "probe", "read_frames"]

Select = Callable[[int], NDArray[np.int64]] | NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Frames:
    """The wanted frames of one video, upright and in RGB, and the three counts that say how whole the video is."""

    indices: NDArray[np.int64]  # (n,) frame numbers, rising
    images: NDArray[np.uint8]  # (n, H, W, 3) RGB, rotation applied
    timestamps: NDArray[np.float64]  # (n,) seconds since the first frame
    expected: int  # frames the file says it has
    decoded: int  # frames that could be decoded; the number the frame plan was made for
    used: int  # n
    probe: VideoProbe
    warnings: tuple[str, ...] = ()  # what the user should know: cut files, damaged packets, odd timestamps

    def at(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Frames by number, in any shape and with repeats: int64 (...) -> uint8 (..., H, W, 3).

        Raises:
            KeyError: a frame was not among those read.
        """
        wanted = np.asarray(indices, np.int64)
        rows = np.minimum(np.searchsorted(self.indices, wanted), max(len(self.indices) - 1, 0))
        if len(self.indices) == 0 or not np.array_equal(self.indices[rows], wanted):
            raise KeyError("some of these frames were not read")
        return self.images[rows]


def read_frames(
    path: str | os.PathLike[str],
    select: Select,
    *,
    max_side: int | None = None,
    limits: Limits | None = None,
) -> Frames:
    """Reads some frames of a video.

    Args:
        path: a local video file; no address, playlist or picture sequence.
        select: the frame numbers wanted, or a function from the number of frames to them (a frame plan's `wanted`).
            Numbers given outright that lie past the end are left out with a warning.
        max_side: shrink pictures whose longer side is more pixels than this (antialiased); never enlarges.
        limits: what the file may cost; the defaults of `Limits` without it.

    Returns:
        The frames, each once, in rising order. A damaged or cut file gives what can be decoded, and a warning.

    Raises:
        VideoError: not a video, no frame that can be decoded, or past a limit.
        ConfigError: `select` asks for frames that cannot be, or `max_side` is below 1.
    """
    limits = limits or Limits()
    if max_side is not None and max_side < 1:
        raise ConfigError(f"max_side must be at least 1 pixel, not {max_side}")
    deadline = time.monotonic() + limits.max_seconds
    guess = read_packet_index(path, limits, deadline).count
    wanted = _wanted(select, guess)
    first = _Pass(path, wanted, max_side, limits, deadline)
    if first.decoded != guess:
        wanted = _wanted(select, first.decoded)
    missing = np.setdiff1d(wanted, list(first.images))
    passes = [first, _Pass(path, missing, max_side, limits, deadline)] if len(missing) else [first]
    return _assemble(passes, wanted, max(guess, first.expected), limits, asked=None if callable(select) else select)


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
        clock, converter = _Clock(source), _Converter(max_side)
        index = -1
        for index, frame in enumerate(decoded_frames(source)):
            yield index, clock.seconds(frame.pts), converter.rgb(frame)
        if index < 0:
            raise no_frame(source)


def _wanted(select: Select, frame_count: int) -> NDArray[np.int64]:
    """Frame numbers within [0, frame_count-1], rising, once each."""
    if callable(select):
        chosen = np.asarray(select(frame_count)) if frame_count else np.zeros(0, np.int64)
    else:
        chosen = np.asarray(select)
        chosen = chosen[chosen < frame_count]
    if chosen.size and (chosen.dtype.kind not in "iu" or chosen.min() < 0 or chosen.max() >= frame_count):
        raise ConfigError(f"frames must be whole numbers from 0 to {frame_count - 1}, not {chosen.ravel()[:5]}…")
    return np.unique(chosen).astype(np.int64)


class _Clock:
    """Seconds since the first frame, always rising: a timestamp that is missing or falls back is stepped over."""

    def __init__(self, source: Source) -> None:
        self.repaired = 0  # timestamps that could not be used
        self._tick = float(source.stream.time_base)
        self._step = 1.0 / float(source.nominal_rate)
        self._start: int | None = None
        self._last = -self._step

    def seconds(self, pts: int | None) -> float:
        """The time of the next frame."""
        if self._start is None:
            self._start = pts
        now = None if pts is None or self._start is None else (pts - self._start) * self._tick
        if now is None or now <= self._last:
            self.repaired += 1
            now = self._last + self._step
        self._last = now
        return now


class _Converter:
    """Decoded frames to upright RGB of one size: that of the first frame, shrunk to `max_side`."""

    def __init__(self, max_side: int | None) -> None:
        self.orientation = Orientation()
        self._max_side = max_side
        self._size: tuple[int, int] | None = None  # (width, height) as stored
        self._reformatter = VideoReformatter()

    def prepare(self, frame: VideoFrame) -> tuple[int, int, int]:
        """Takes size and orientation of the first frame; returns the shape (H, W, 3) of every picture."""
        if self._size is None:
            width, height = frame.width, frame.height
            shrink = max(1.0, max(width, height) / (self._max_side or max(width, height)))
            self._size = max(1, round(width / shrink)), max(1, round(height / shrink))
            self.orientation = orientation_of(frame)
        width, height = self._size
        return (width, height, 3) if self.orientation.swaps_sides else (height, width, 3)

    def rgb(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """uint8 (H, W, 3)."""
        self.prepare(frame)
        width, height = self._size
        picture = self._reformatter.reformat(
            frame, width, height, "rgb24", interpolation=Interpolation.BILINEAR, threads=1
        )
        return self.orientation.apply(picture.to_ndarray())


class _Pass:
    """One decoding of a whole file that keeps the wanted frames."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        wanted: NDArray[np.int64],
        max_side: int | None,
        limits: Limits,
        deadline: float,
    ) -> None:
        self.images: dict[int, NDArray[np.uint8]] = {}
        self.times: list[float] = []
        self.warnings: list[str] = []
        pts: list[int] = []
        keep = frozenset(wanted.tolist())
        with open_source(path, limits, deadline) as source:
            clock, converter, size = _Clock(source), _Converter(max_side), (0, 0)
            for index, frame in enumerate(decoded_frames(source)):
                if index == 0:
                    _check_memory(source, len(keep), converter.prepare(frame))
                    size = (frame.width, frame.height)
                self.times.append(clock.seconds(frame.pts))
                if frame.pts is not None:
                    pts.append(frame.pts)
                if index in keep:
                    self.images[index] = converter.rgb(frame)
            if not self.times:
                raise no_frame(source)
            self.decoded = len(self.times)
            self.expected = expected_frames(source, self.decoded)
            timing: Timing = timing_of(source, pts, self.decoded)
            self.probe = describe(source, self.decoded, converter.orientation, *size, timing, "decoded")
            self._note(source, clock)

    def _note(self, source: Source, clock: _Clock) -> None:
        if source.damaged_packets:
            self.warnings.append(f"{source.damaged_packets} damaged packets were passed over")
        if source.broken_at_end:
            self.warnings.append("the file breaks off in an error")
        if clock.repaired:
            self.warnings.append(f"{clock.repaired} timestamps were missing or out of order and were replaced")


def _check_memory(source: Source, count: int, shape: tuple[int, int, int]) -> None:
    height, width, _ = shape
    if height * width > source.limits.max_pixels or count * height * width * 3 > source.limits.max_bytes:
        raise VideoError(
            f"{count} frames of {width}x{height} need more than {source.limits.max_bytes / 2**20:,.0f} MiB",
            where=source.path,
            remedy="ask for fewer frames or give max_side",
        )


def _assemble(
    passes: list[_Pass],
    wanted: NDArray[np.int64],
    expected: int,
    limits: Limits,
    asked: NDArray[np.int64] | None,
) -> Frames:
    """Puts the pictures of one or two passes together."""
    first = passes[0]
    check_length(first.probe.path, first.decoded, limits)
    pictures = {index: image for taken in passes for index, image in taken.images.items()}
    indices = np.array([index for index in wanted.tolist() if index in pictures], np.int64)
    warnings = list(first.warnings)
    if first.decoded < expected:
        warnings.insert(0, f"only {first.decoded} of {expected} frames could be decoded: the file is cut or damaged")
    if asked is not None and len(np.unique(asked)) > len(indices):
        warnings.append(f"{len(np.unique(asked)) - len(indices)} of the frames asked for lie past the end")
    shape = (first.probe.height, first.probe.width, 3)
    images = np.stack([pictures[i] for i in indices.tolist()]) if len(indices) else np.zeros((0, *shape), np.uint8)
    times = np.array(first.times)[indices]
    return Frames(
        indices, images, times, expected, first.decoded, len(indices), first.probe, tuple(dict.fromkeys(warnings))
    )
