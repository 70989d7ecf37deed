"""Frame plans: which frames of a video each of the three encoders looks at (GL-RG, section 3.2; pure NumPy).

A plan has P key frames at the centres of P equal parts of the video. Around each key frame t the short range looks
at frames evenly spaced from t-10 to t+10 and the long range at t-n, t, t+n with n > 25. Everything is a function of
the number of frames, in integers only, so that a graph computes the same frames as the reader.

Departs from the paper: the paper draws t and n at random also when features are extracted once; here extraction is
fixed, so that a file's features never change, and only training draws (`draw`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from glrg_tf.errors import ConfigError

KEYFRAME = "keyframe"
SHORT_RANGE = "short_range"
LONG_RANGE = "long_range"
STREAMS = (LONG_RANGE, SHORT_RANGE, KEYFRAME)

MIN_LONG_OFFSET = 26  # the paper asks for n > 25
MAX_OFFSET = 100_000  # frames; far beyond any use, so that arithmetic on int64 cannot overflow
MAX_POSITIONS = 100_000


def uniform_positions(frame_count: int, positions: int) -> NDArray[np.int64]:
    """Centres of `positions` equal parts of a video: frame floor((2i+1)·F / 2P) for i = 0..P-1.

    Args:
        frame_count: F, number of frames of the video, at least 1.
        positions: P, number of centres, at least 1; frames repeat when P > F.

    Returns:
        int64 (P,), not falling, within [0, F-1].

    Raises:
        ConfigError: either number is below 1.
    """
    if frame_count < 1 or positions < 1:
        raise ConfigError(f"a frame plan needs at least 1 frame and 1 position, not {frame_count} and {positions}")
    parts = np.arange(positions, dtype=np.int64)
    return np.minimum((2 * parts + 1) * frame_count // (2 * positions), frame_count - 1)


@dataclasses.dataclass(frozen=True)
class FramePlan:
    """Which frames are looked at; every method clips to [0, frame_count-1] and so repeats frames of short videos."""

    positions: int = 16  # P, key frames a video (the release's `lens` = 16)
    short_offset: int = 10  # frames on each side of the key frame, GL-RG section 3.2
    short_frames: int = 8  # frames of the short range, both ends included, at least 2
    long_offset: int = 26  # n, frames to the distant frames, more than 25

    def __post_init__(self) -> None:
        limits = {
            "positions": (1, MAX_POSITIONS),
            "short_offset": (1, MAX_OFFSET),
            "short_frames": (2, 2 * MAX_OFFSET),
            "long_offset": (MIN_LONG_OFFSET, MAX_OFFSET),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f"frame plan: {name} must be a whole number from {low} to {high}, not {value!r}")

    @property
    def short_offsets(self) -> NDArray[np.int64]:
        """int64 (short_frames,): evenly spaced from -short_offset to +short_offset, halves rounded up."""
        gaps = self.short_frames - 1
        steps = np.arange(self.short_frames, dtype=np.int64)
        return (4 * self.short_offset * steps + gaps) // (2 * gaps) - self.short_offset

    @property
    def long_offsets(self) -> NDArray[np.int64]:
        """int64 (3,): -n, 0, +n."""
        return np.array([-self.long_offset, 0, self.long_offset], np.int64)

    def keyframes(self, frame_count: int) -> NDArray[np.int64]:
        """The key frames t. Returns int64 (P,)."""
        return uniform_positions(frame_count, self.positions)

    def short_range(self, frame_count: int) -> NDArray[np.int64]:
        """Frames from t-10 to t+10. Returns int64 (P, short_frames)."""
        return _around(self.keyframes(frame_count), self.short_offsets, frame_count)

    def long_range(self, frame_count: int) -> NDArray[np.int64]:
        """Frames t-n, t, t+n. Returns int64 (P, 3)."""
        return _around(self.keyframes(frame_count), self.long_offsets, frame_count)

    def frames_of(self, stream: str, frame_count: int) -> NDArray[np.int64]:
        """Frames of a plan by name. Returns int64 (P, k): k = 1 (keyframe), short_frames or 3 (long_range).

        Raises:
            ConfigError: no plan has that name.
        """
        if stream == KEYFRAME:
            return self.keyframes(frame_count)[:, None]
        if stream == SHORT_RANGE:
            return self.short_range(frame_count)
        if stream == LONG_RANGE:
            return self.long_range(frame_count)
        raise ConfigError(f"no frame plan is called {stream!r}", remedy=f"one of {', '.join(STREAMS)}")

    def wanted(self, frame_count: int, streams: Iterable[str] = STREAMS) -> NDArray[np.int64]:
        """Every frame that some of `streams` looks at, once each. Returns int64 (n,), rising."""
        parts = [self.frames_of(stream, frame_count).ravel() for stream in streams]
        return np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)

    def draw(
        self, stream: str, frame_count: int, generator: np.random.Generator, positions: int | None = None
    ) -> NDArray[np.int64]:
        """Random frames of a plan, for training: t anywhere, and for the long range n anywhere above 25.

        Args:
            stream: "keyframe", "short_range" or "long_range".
            frame_count: number of frames of the video, at least 1.
            generator: the source of chance.
            positions: how many independent draws; `self.positions` without it.

        Returns:
            int64 (positions, k), clipped to the video.

        Raises:
            ConfigError: no plan has that name, or a number is below 1.
        """
        count = self.positions if positions is None else positions
        if frame_count < 1 or count < 1:
            raise ConfigError(f"a frame plan needs at least 1 frame and 1 position, not {frame_count} and {count}")
        keyframes = generator.integers(0, frame_count, count, dtype=np.int64)
        if stream == LONG_RANGE:
            furthest = max(MIN_LONG_OFFSET, frame_count // 2)
            distance = generator.integers(MIN_LONG_OFFSET, furthest + 1, (count, 1), dtype=np.int64)
            return np.clip(keyframes[:, None] + distance * np.array([-1, 0, 1]), 0, frame_count - 1)
        if stream == SHORT_RANGE:
            return _around(keyframes, self.short_offsets, frame_count)
        if stream == KEYFRAME:
            return keyframes[:, None]
        raise ConfigError(f"no frame plan is called {stream!r}", remedy=f"one of {', '.join(STREAMS)}")


def _around(keyframes: NDArray[np.int64], offsets: NDArray[np.int64], frame_count: int) -> NDArray[np.int64]:
    """Key frames (P,) plus offsets (k,), clipped to the video: int64 (P, k)."""
    return np.clip(keyframes[:, None] + offsets[None, :], 0, frame_count - 1)
