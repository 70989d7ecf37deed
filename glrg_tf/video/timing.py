"""When each frame is shown, how fast and how long a video is: from timestamps where they can be believed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glrg_tf.errors import VideoError

if TYPE_CHECKING:
    from glrg_tf.video.source import Limits, Source

UNEVEN = 0.05  # part of the usual gap by which a gap must differ to count as variable rate


@dataclasses.dataclass(frozen=True)
class Timing:
    """When the frames of one video are shown."""

    seconds: NDArray[np.float64]  # (count,) since the first frame, rising
    frame_rate: float  # frames a second, on average
    duration: float  # seconds from the first frame to the end of the last
    variable: bool  # frames differ in length by more than rounding
    believed: bool  # whether the file's timestamps were used


def timing_of(source: Source, pts: Sequence[int | None] | NDArray[np.int64]) -> Timing:
    """Timing of the frames in the order shown.

    Timestamps that are out of order (avi files number packets as stored, not as shown) are sorted; where some are
    missing, equal or absurd, frames are spaced by the nominal rate.

    Args:
        source: the open video.
        pts: presentation timestamp of every frame in ticks of the stream, or None.
    """
    count = len(pts)
    nominal = float(source.nominal_rate)
    stamps = np.array([] if any(stamp is None for stamp in pts) else pts, np.float64)
    stamps.sort()
    gaps = np.diff(stamps)
    tick = source.tick
    usual = float(np.median(gaps)) if len(gaps) else 0.0
    span = float(stamps[-1] - stamps[0]) if len(gaps) else 0.0
    longest = source.limits.max_duration / tick
    leaping = span > longest >= usual * count  # one damaged timestamp, rather than a long video
    if len(stamps) < 2 or (gaps <= 0).any() or leaping:
        return Timing(np.arange(count) / nominal, nominal, count / nominal, False, count < 2)
    uneven = np.abs(gaps - usual) > max(1.5, UNEVEN * usual)
    rate = (count - 1) / (span * tick)
    return Timing((stamps - stamps[0]) * tick, rate, (span + usual) * tick, bool(uneven.any()), True)


def check_duration(path: str, timing: Timing, limits: Limits) -> None:
    """Refuses a video that lasts longer than allowed."""
    if timing.duration > limits.max_duration:
        raise VideoError(
            f"the video lasts {timing.duration:,.0f} s, more than {limits.max_duration:,.0f} s",
            where=path,
            remedy="cut it into parts, or raise the limit",
        )


class Clock:
    """Seconds since the first frame while frames stream by: a timestamp missing or falling back is stepped over."""

    def __init__(self, source: Source) -> None:
        self._tick = source.tick
        self._step = 1.0 / float(source.nominal_rate)
        self._start: int | None = None
        self._last = -self._step

    def seconds(self, pts: int | None) -> float:
        """The time of the next frame."""
        if self._start is None:
            self._start = pts
        now = None if pts is None or self._start is None else (pts - self._start) * self._tick
        self._last = self._last + self._step if now is None or now <= self._last else now
        return self._last
