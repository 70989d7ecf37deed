"""One video to the clips its encoders look at: decoded, resized, ready for the networks. No TensorFlow here.

This is the part of extraction that is done video by video: `read_clips` is a pure function of a file and a plan, for
decoders that work ahead here or for the workers of any engine that maps a function over files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import numpy as np

from glrg_tf.encoders.extract_items import VideoItem
from glrg_tf.encoders.presets import StreamSpec
from glrg_tf.encoders.resize import Fit, resize_frames_numpy
from glrg_tf.errors import VideoError
from glrg_tf.video.reader import Frames, Limits, VideoProbe, probe, read_frames
from glrg_tf.video.sampling import FramePlan

# Frames are shrunk while they are decoded to at most this many times the largest input side; the antialiased resize to
# the network's own size follows. Twice leaves it enough to choose from, and a 4K frame costs no more than a small one.
_OVERSIZE = 2
_RESIZED_AT_ONCE = 16  # frames: bounds the float copies of large frames


@dataclasses.dataclass(frozen=True)
class StreamNeed:
    """What one stream wants of a video."""

    name: str
    plan: str  # which frames: "long_range", "short_range" or "keyframe"
    input_size: tuple[int, int]  # height, width in pixels
    fit: Fit

    @property
    def picture(self) -> tuple[tuple[int, int], Fit]:
        """Streams of one size and fit share their resized frames."""
        return self.input_size, self.fit


@dataclasses.dataclass(frozen=True)
class DecodePlan:
    """All that a decoding process must know; small, and without TensorFlow."""

    plan: FramePlan
    needs: tuple[StreamNeed, ...]
    limits: Limits = Limits()

    @classmethod
    def of(cls, plan: FramePlan, specs: Iterable[StreamSpec], limits: Limits | None = None) -> DecodePlan:
        """The plan of some streams of a bundle."""
        needs = (StreamNeed(spec.name, spec.plan, spec.input_size, spec.fit) for spec in specs)
        return cls(plan, tuple(needs), limits or Limits())

    @property
    def max_side(self) -> int:
        """Longest side, in pixels, that frames are kept at after decoding."""
        return _OVERSIZE * max(side for need in self.needs for side in need.input_size)


@dataclasses.dataclass(frozen=True)
class Clips:
    """The frames of one video that its encoders look at.

    Attributes:
        pictures: by size and fit, float32 (n, h, w, 3) RGB 0..255, each frame once.
        rows: by stream, int64 (P, k) into its pictures.
        expected: frames the file says it has.
        decoded: frames it gave.
        used: frames that were looked at.
        warnings: what the user should know of the file.
    """

    pictures: dict[tuple[tuple[int, int], Fit], np.ndarray]
    rows: dict[str, np.ndarray]
    expected: int
    decoded: int
    used: int
    warnings: tuple[str, ...]

    def of(self, need: StreamNeed) -> np.ndarray:
        """The clips of a stream, float32 (P, k, h, w, 3)."""
        return self.pictures[need.picture][self.rows[need.name]]


Select = Callable[[int], np.ndarray]  # from the number of frames to those wanted


class FrameReader(Protocol):
    """Who opens the file: this process (`OpenHere`), or a child under limits (`extract_pool.py`)."""

    def read(self, path: Path, select: Select, max_side: int) -> Frames:
        """The selected frames."""

    def probe(self, path: Path) -> VideoProbe:
        """The facts of the file."""


class OpenHere:
    """Opens files in this process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def read(self, path: Path, select: Select, max_side: int) -> Frames:
        """The selected frames."""
        return read_frames(path, select, max_side=max_side, limits=self._limits)

    def probe(self, path: Path) -> VideoProbe:
        """The facts of the file."""
        return probe(path, self._limits)


def read_clips(item: VideoItem, plan: DecodePlan, reader: FrameReader | None = None) -> Clips:
    """Decodes a video and resizes the frames its encoders look at.

    Args:
        item: the video, or a clip of it.
        plan: what is wanted.
        reader: who opens the file; this process by default.

    Raises:
        VideoError: as `read_frames`; or the clip begins after the end of the file.
    """
    reader = reader or OpenHere(plan.limits)
    window = _window(item, reader)
    plans = tuple(dict.fromkeys(need.plan for need in plan.needs))

    def select(count: int) -> np.ndarray:
        first, last = window(count)
        return first + plan.plan.wanted(last - first, plans)

    frames = reader.read(item.path, select, plan.max_side)
    first, last = window(frames.decoded)
    wanted = {need.name: first + plan.plan.frames_of(need.plan, last - first) for need in plan.needs}
    pictures, rows = {}, {}
    for shape in dict.fromkeys(need.picture for need in plan.needs):
        sharing = [need for need in plan.needs if need.picture == shape]
        shown = np.unique(np.concatenate([wanted[need.name].ravel() for need in sharing]))
        pictures[shape] = _resize(frames.images, np.searchsorted(frames.indices, shown), *shape)
        rows |= {need.name: np.searchsorted(shown, wanted[need.name]) for need in sharing}
    return Clips(pictures, rows, frames.expected, frames.decoded, frames.used, frames.warnings)


def _window(item: VideoItem, reader: FrameReader) -> Callable[[int], tuple[int, int]]:
    """From the number of frames to the first and one past the last frame of the clip; at the file's average rate."""
    if item.start is None and item.end is None:
        return lambda count: (0, count)
    rate = reader.probe(item.path).frame_rate
    begin, end = (item.start or 0.0) * rate, np.inf if item.end is None else item.end * rate

    def window(count: int) -> tuple[int, int]:
        first = int(round(begin))
        if first >= count:
            raise VideoError(
                f"the clip begins at {item.start:g} s, the video ends at {count / rate:.1f} s",
                where=item.path,
                remedy="correct `start` and `end`, or name the uncut video",
            )
        return first, int(max(first + 1, min(count, round(end) if np.isfinite(end) else count)))

    return window


def _resize(images: np.ndarray, rows: np.ndarray, size: tuple[int, int], fit: Fit) -> np.ndarray:
    resized = np.empty((len(rows), *size, 3), np.float32)
    for start in range(0, len(rows), _RESIZED_AT_ONCE):
        part = rows[start : start + _RESIZED_AT_ONCE]
        resized[start : start + len(part)] = resize_frames_numpy(images[part], size, fit)
    return resized
