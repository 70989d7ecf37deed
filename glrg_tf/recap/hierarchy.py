"""The windows of the three levels, in whole microseconds, so that hours of them never drift.

Rules:
- Clips are [0, 4), [4, 8), …; segments [0, 180), [180, 360), …; the one video window is all of it.
- What is left at the end becomes a window of its own only when it is long enough: at least one `rest_parts`-th of a
  full window, and for a segment at least a clip. A shorter rest joins the window before it, so that no moment is lost.
  (708.03 s: 177 clips, the last of 4.03 s; the reference makes 178, the last of one unreadable frame.)
- Every text belongs to exactly one parent: the one its middle lies in; a middle on a border belongs to the later one.
  So a clip that crosses the border of two segments is told once, where most of it is. (The reference loses it.)
- Row k of a video's features is clip k: a segment reads the rows of exactly the clips that belong to it. (The
  reference takes one row more than there are clips.)
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Sequence

from glrg_tf.errors import ConfigError

CLIP, SEGMENT, VIDEO = "clip", "segment", "video"
LEVELS = (CLIP, SEGMENT, VIDEO)  # from the lowest
MICROSECONDS = 1_000_000  # of a second
MAX_SECONDS = 7 * 24 * 3600.0  # of a video


@dataclasses.dataclass(frozen=True)
class Window:
    """A stretch of time of one level: [start_us, end_us)."""

    level: str  # of LEVELS
    index: int  # counted from 0 within the level
    start_us: int  # microseconds since the first frame
    end_us: int  # microseconds; after `start_us`

    @property
    def start(self) -> float:
        """Seconds since the first frame."""
        return self.start_us / MICROSECONDS

    @property
    def end(self) -> float:
        """Seconds since the first frame."""
        return self.end_us / MICROSECONDS

    @property
    def duration(self) -> float:
        """Seconds."""
        return (self.end_us - self.start_us) / MICROSECONDS


@dataclasses.dataclass(frozen=True)
class Hierarchy:
    """How long the windows are.

    Example:
        >>> len(Hierarchy().clip_windows(708.03)), len(Hierarchy().segment_windows(708.03))
        (177, 4)
    """

    clip_seconds: float = 4.0  # of a clip, 0.1..3600
    segment_seconds: float = 180.0  # of a segment, at least a clip
    rest_parts: int = 8  # a rest shorter than 1/rest_parts of a window joins the window before, 1..1000000

    def __post_init__(self) -> None:
        if not 0.1 <= self.clip_seconds <= 3600:
            what = f"a clip lasts from 0.1 to 3600 s, not {self.clip_seconds!r}"
            raise ConfigError(what, where="clip_seconds", remedy="4 s is usual")
        if not self.clip_seconds <= self.segment_seconds <= MAX_SECONDS:
            what = f"a segment lasts at least as long as a clip ({self.clip_seconds:g} s), not {self.segment_seconds!r}"
            raise ConfigError(what, where="segment_seconds", remedy="make segments longer, or clips shorter")
        if not 1 <= self.rest_parts <= MICROSECONDS:
            raise ConfigError(f"rest_parts lies in 1..{MICROSECONDS}, not {self.rest_parts!r}", where="rest_parts")

    @property
    def clip_us(self) -> int:
        """Microseconds of a full clip."""
        return microseconds(self.clip_seconds)

    @property
    def segment_us(self) -> int:
        """Microseconds of a full segment."""
        return microseconds(self.segment_seconds)

    def clip_windows(self, duration: float) -> list[Window]:
        """The clips of a video of `duration` seconds; none of a video of no length."""
        shortest = -(-self.clip_us // self.rest_parts)
        return _windows(CLIP, microseconds(duration), self.clip_us, shortest)

    def segment_windows(self, duration: float) -> list[Window]:
        """The segments of a video of `duration` seconds; each holds the middle of at least one clip."""
        shortest = max(self.clip_us, -(-self.segment_us // self.rest_parts))
        return _windows(SEGMENT, microseconds(duration), self.segment_us, shortest)

    def video_windows(self, duration: float) -> list[Window]:
        """The whole video as one window; none of a video of no length."""
        end = microseconds(duration)
        return [Window(VIDEO, 0, 0, end)] if end else []

    def windows(self, level: str, duration: float) -> list[Window]:
        """The windows of a level by its name.

        Raises:
            ConfigError: no level has that name.
        """
        makers = {CLIP: self.clip_windows, SEGMENT: self.segment_windows, VIDEO: self.video_windows}
        if level not in makers:
            raise ConfigError(f"no level is called {level!r}", remedy="one of " + ", ".join(LEVELS))
        return makers[level](duration)

    def clips_of_segments(self, duration: float) -> list[range]:
        """The clips (and feature rows) of each segment: contiguous, in order, every clip in exactly one."""
        members = children(self.segment_windows(duration), self.clip_windows(duration))
        return [range(own[0], own[-1] + 1) for own in members]


def microseconds(seconds: float) -> int:
    """Whole microseconds of a time in seconds, rounded.

    Raises:
        ConfigError: not a time from 0 to a week.
    """
    if not 0 <= seconds <= MAX_SECONDS:  # NaN is refused too
        raise ConfigError(f"{seconds!r} is no time from 0 to {MAX_SECONDS:,.0f} s", where="seconds")
    return round(seconds * MICROSECONDS)


def parent(start_us: int, end_us: int, parents: Sequence[Window]) -> int:
    """The index in `parents` of the one window that a text from `start_us` to `end_us` belongs to.

    Args:
        start_us: microseconds.
        end_us: microseconds; a moment (`end_us == start_us`) belongs to the window it lies in.
        parents: windows one after the other without gaps; what lies before the first or after the last belongs to it.

    Raises:
        ConfigError: there are no parents.
    """
    if not parents:
        raise ConfigError("there are no windows to belong to", where="parents")
    # Twice the middle, so that halves stay whole numbers.
    found = bisect.bisect_right(parents, start_us + end_us, key=lambda window: 2 * window.start_us)
    return max(0, found - 1)


def children(parents: Sequence[Window], texts: Sequence[Window]) -> list[list[int]]:
    """For each of `parents` the indices into `texts` of those that belong to it, in the order of `texts`."""
    members: list[list[int]] = [[] for _ in parents]
    for number, text in enumerate(texts):
        members[parent(text.start_us, text.end_us, parents)].append(number)
    return members


def _windows(level: str, end: int, length: int, shortest: int) -> list[Window]:
    if end <= 0:
        return []
    full, rest = divmod(end, length)
    count = full + (rest >= shortest) if full else 1
    borders = [index * length for index in range(count)] + [end]
    return [Window(level, index, borders[index], borders[index + 1]) for index in range(count)]
