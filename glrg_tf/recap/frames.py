"""The frames of every clip of a video, in one pass and in constant memory, from any clip on.

First the packets are listed, without decoding: they tell when each frame is shown, so that windows and wanted frames
are known before the first frame is decoded. Files whose packets do not tell (avi, mpeg4, damaged ones) are decoded
once more beforehand, only for that. Then the frames go by; the few that a clip's plan wants are converted and kept
until the clip is complete. Starting late jumps to the key frame before; where the file does not promise exact frames
after a jump, it decodes from the beginning and converts nothing until then.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glrg_tf.recap.hierarchy import MICROSECONDS, Hierarchy, Window
from glrg_tf.video.counting import decoded_frames, no_frame, read_packet_index
from glrg_tf.video.pictures import Converter
from glrg_tf.video.sampling import FramePlan
from glrg_tf.video.source import Limits, Source, open_source
from glrg_tf.video.timing import Timing, check_duration, timing_of

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# A week at 60 frames a second: long video is what this is for, and memory does not grow with it.
LONG = Limits(max_frames=40_000_000, max_duration=7 * 24 * 3600.0, max_seconds=7 * 24 * 3600.0)


@dataclasses.dataclass(frozen=True)
class ClipFrames:
    """The frames of one clip that are looked at."""

    index: int  # of the clip
    clips: dict[str, NDArray[np.uint8]]  # by plan, (P, k, H, W, 3) RGB
    middle: NDArray[np.uint8]  # (H, W, 3), one frame from about its middle, for people
    replaced: int  # wanted frames that could not be decoded; their neighbours stand in
    damaged: bool  # whether damage was met so far: then frames may differ after a jump


@dataclasses.dataclass(frozen=True)
class Timeline:
    """When the frames of a video are shown, and which belong to which clip."""

    path: str
    times: NDArray[np.int64]  # (frames,) microseconds since the first frame, rising
    stamps: NDArray[np.int64] | None  # (frames,) timestamps of the stream by which frames can be told; None: counted
    keys: NDArray[np.int64]  # timestamps of key frames
    duration: float  # seconds
    frame_rate: float
    windows: tuple[Window, ...]  # the clips

    def span(self, window: Window) -> tuple[int, int]:
        """First frame of a clip, and one past its last; at least one frame."""
        first, end = np.searchsorted(self.times, (window.start_us, window.end_us))
        first = min(int(first), len(self.times) - 1)
        return first, max(int(end), first + 1)


def look(path: str | os.PathLike[str], hierarchy: Hierarchy, limits: Limits = LONG) -> Timeline:
    """Lists the frames of a video.

    Raises:
        VideoError: not a video, no frame that can be decoded, or past a limit.
    """
    deadline = time.monotonic() + limits.max_seconds
    index = read_packet_index(path, limits, deadline)
    with open_source(path, limits, deadline) as source:
        stamps = np.sort(index.pts) if index.exact else None
        pts: Iterable[int | None] = [frame.pts for frame in decoded_frames(source)] if stamps is None else stamps
        timing = timing_of(source, pts)  # type: ignore[arg-type]
        if not len(timing.seconds):
            raise no_frame(source)
        check_duration(source.path, timing, limits)
        keys = np.sort(index.pts[index.keys]) if index.exact else np.zeros(0, np.int64)
        return _timeline(source.path, timing, stamps, keys, hierarchy)


def _timeline(
    path: str, timing: Timing, stamps: NDArray[np.int64] | None, keys: NDArray[np.int64], hierarchy: Hierarchy
) -> Timeline:
    times = np.rint(timing.seconds * MICROSECONDS).astype(np.int64)
    windows = tuple(hierarchy.clip_windows(timing.duration))
    return Timeline(path, times, stamps, keys, timing.duration, timing.frame_rate, windows)


def clip_frames(
    timeline: Timeline,
    plan: FramePlan,
    plans: tuple[str, ...],
    *,
    first: int = 0,
    jump: bool = True,
    max_side: int | None = None,
    limits: Limits = LONG,
) -> Iterator[ClipFrames]:
    """The clips in order, from clip `first` on.

    Args:
        timeline: of the video.
        plan: which frames of a clip are looked at.
        plans: names of its plans that are wanted.
        first: index of the first clip wanted.
        jump: whether to jump to its key frame where the file promises exact frames after that.
        max_side: pixels of the longer side that frames are shrunk to, at most.
        limits: what the file may cost.

    Raises:
        VideoError: the file can no longer be read.
    """
    if first >= len(timeline.windows):
        return
    with open_source(timeline.path, limits, time.monotonic() + limits.max_seconds) as source:
        start = timeline.span(timeline.windows[first])[0] if jump else 0
        stream = _Stream(source, timeline, start, max_side)
        for window in timeline.windows[first:]:
            begin, end = timeline.span(window)
            middle = (begin + end - 1) // 2
            wanted = {name: begin + plan.frames_of(name, end - begin) for name in plans}
            numbers = np.unique(np.concatenate([np.array([middle]), *(part.ravel() for part in wanted.values())]))
            held, replaced = stream.pictures(numbers.tolist())
            clips = {name: _gathered(held, part) for name, part in wanted.items()}
            damaged = stream.damaged or replaced > 0
            yield ClipFrames(window.index, clips, held[middle], replaced, damaged)


def _gathered(held: dict[int, NDArray[np.uint8]], numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Pictures by number: int64 (P, k) -> uint8 (P, k, H, W, 3)."""
    pictures = np.stack([held[number] for number in numbers.ravel().tolist()])
    return pictures.reshape(*numbers.shape, *pictures.shape[1:])


class _Stream:
    """The frames of an open video, asked for by number in rising order, with repeats.

    A frame that does not come is replaced by the next one that does; at the end of the file by the last one of those
    asked for together, or by black. So what a clip shows does not depend on where reading began.
    """

    def __init__(self, source: Source, timeline: Timeline, start: int, max_side: int | None) -> None:
        self._source, self._timeline = source, timeline
        self._converter = Converter(source.path, max_side)
        self._frames = self._numbered(start)
        self._number = -1  # the frame that came last, and its picture once it is converted
        self._frame: VideoFrame | None = None
        self._picture: NDArray[np.uint8] | None = None
        self._held: dict[int, NDArray[np.uint8]] = {}

    @property
    def damaged(self) -> bool:
        """Whether the decoder has met damage."""
        return self._source.damaged_packets > 0 or self._source.broken_at_end

    def pictures(self, numbers: list[int]) -> tuple[dict[int, NDArray[np.uint8]], int]:
        """Pictures of the frames `numbers` (rising), and how many of them are replaced."""
        self._held = {number: picture for number, picture in self._held.items() if number >= numbers[0]}
        replaced = 0
        for number in numbers:
            if number in self._held:
                continue
            while self._number < number:
                self._number, self._frame = next(self._frames, (len(self._timeline.times), None))
                self._picture = None
                if self._frame is not None:
                    self._converter.see(self._frame)
            replaced += self._number != number
            self._held[number] = self._current()
        return self._held, replaced

    def _current(self) -> NDArray[np.uint8]:
        if self._frame is None:  # the file has ended
            if self._converter.stored_size is None:
                raise no_frame(self._source)
            return self._held[max(self._held)] if self._held else np.zeros(self._converter.shape, np.uint8)
        if self._picture is None:
            self._picture = self._converter.rgb(self._frame)
        return self._picture

    def _numbered(self, start: int) -> Iterator[tuple[int, VideoFrame]]:
        """Frames with their numbers, from some frame at or before `start` on."""
        stamps, keys = self._timeline.stamps, self._timeline.keys
        if stamps is None:
            yield from enumerate(decoded_frames(self._source))
            return
        before = int(np.searchsorted(keys, stamps[start], "right")) - 1 if start else 0
        if before > 0:
            self._source.seek(int(keys[before]))
        number = -1
        for frame in decoded_frames(self._source):
            number = number + 1 if frame.pts is None else int(np.searchsorted(stamps, frame.pts))
            yield min(number, len(stamps) - 1), frame
