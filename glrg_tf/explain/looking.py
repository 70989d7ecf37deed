"""One decode for two purposes: the clips that the encoders read, and the frames whose cells are looked at."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import threadpoolctl

from glrg_tf.encoders.extract import Failed, encode_group
from glrg_tf.encoders.extract_clips import Clips, DecodePlan, FrameReader, OpenHere, read_clips
from glrg_tf.encoders.extract_items import VideoItem
from glrg_tf.encoders.extract_pool import OpenInChild
from glrg_tf.explain.cells import MapNetwork, Read
from glrg_tf.explain.explanation import ExplainSettings
from glrg_tf.video.child import Child
from glrg_tf.video.reader import Frames, Limits, VideoProbe
from glrg_tf.video.sampling import FramePlan, uniform_positions

if TYPE_CHECKING:
    from glrg_tf.encoders.bundle import EncoderBundle

_AT_ONCE = 64  # positions that pass the map's network together
_USUAL_RATE = 24.0  # frames a second that a file is taken to have until it has been read


@dataclasses.dataclass(frozen=True)
class Look:
    """What was seen of a video.

    Attributes:
        positions: float32 (P, D), descriptors of the plan's positions, the same as extraction gives.
        images: uint8 (F, H, W, 3), frames whose cells are asked.
        indices: int64 (F,), their numbers.
        seconds: float64 (F,), their times.
        probe: facts of the file.
        decoded: frames the file gave.
        warnings: what the user should know of the file.
        read: what the map's network has read of `images` already, where those are the plan's positions.
    """

    positions: np.ndarray
    images: np.ndarray
    indices: np.ndarray
    seconds: np.ndarray
    probe: VideoProbe
    decoded: int
    warnings: tuple[str, ...]
    read: Read | None = None


def look_at(
    bundle: EncoderBundle,
    names: Sequence[str],
    path: Path,
    settings: ExplainSettings,
    limits: Limits | None = None,
    network: MapNetwork | None = None,
) -> Look:
    """Decodes a video once and encodes it.

    Args:
        bundle: the encoders.
        names: streams of a descriptor, in column order.
        path: the video.
        settings: rate, max_frames and isolated are read.
        limits: what the file may cost.
        network: whose cells will be asked: it reads the plan's positions once, for both purposes. Without it no frames
            are kept.

    Raises:
        VideoError: the video cannot be read.
    """
    limits = limits or Limits()
    plan = DecodePlan.of(bundle.plan, [bundle.streams[name].spec for name in names], limits)
    item = VideoItem(str(path), path)
    # One thread, as in extraction: a product that is split over threads may differ in its last bit.
    with _opened(limits, settings.isolated) as opened, threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
        reader = _AlsoFrames(opened, path, bundle.plan, settings if network is not None else None)
        if settings.isolated and network is not None:  # a child answers one question at a time: ask this one first
            reader.rate = opened.probe(path).frame_rate
        clips = read_clips(item, plan, reader)
        if reader.learns_another_rate():
            clips = read_clips(item, plan, reader)
        values, read = _read(network, plan, clips) if network is not None else ({}, None)
        rest = dataclasses.replace(plan, needs=tuple(need for need in plan.needs if need.name not in values))
        (outcome,) = encode_group(bundle, rest, [item], [clips], 1)
    if isinstance(outcome, Failed):
        raise outcome.error
    frames = reader.frames
    kept = np.intersect1d(reader.further(frames.decoded), frames.indices)
    rows = np.searchsorted(frames.indices, kept)
    values |= outcome.streams
    if read is not None:
        positions, first = np.unique(bundle.plan.keyframes(frames.decoded), return_index=True)
        read = Read(read.pictures[first], read.maps[first]) if np.array_equal(positions, kept) else None
    return Look(
        np.concatenate([values[name] for name in names], axis=1),
        frames.images[rows],
        kept,
        frames.timestamps[rows],
        frames.probe,
        frames.decoded,
        outcome.warnings,
        read,
    )


def _read(network: MapNetwork, plan: DecodePlan, clips: Clips) -> tuple[dict[str, np.ndarray], Read]:
    """The map's stream at the plan's positions, and the pictures and maps it comes from."""
    need = next(need for need in plan.needs if need.name == network.stream)
    pictures = clips.of(need)[:, 0]
    parts = [network.maps_and_values(pictures[first : first + _AT_ONCE]) for first in range(0, len(pictures), _AT_ONCE)]
    maps, values = (np.concatenate([np.asarray(part[place]) for part in parts]) for place in (0, 1))
    return {need.name: values}, Read(pictures, maps)


def looked_at(plan: FramePlan, count: int, rate: float, settings: ExplainSettings) -> np.ndarray:
    """The frames whose cells are asked, int64 (F,) rising: the plan's positions where they are dense enough.

    Args:
        plan: of the encoders.
        count: frames of the video.
        rate: frames of it a second.
        settings: how many are wanted.
    """
    share = min(1.0, settings.rate / max(rate, 1e-6)) if settings.rate else 1.0
    wanted = max(1, min(math.ceil(count * share), settings.max_frames, count))
    positions = np.unique(plan.keyframes(count))
    return positions if wanted <= len(positions) <= settings.max_frames else uniform_positions(count, wanted)


class _AlsoFrames:
    """A reader that decodes the frames whose cells are asked on the way, and keeps all.

    How many those are depends on the file's frame rate, for which it would have to be opened once more. A short video's
    is taken to be usual, and checked when the file has been read.

    Args:
        reader: who opens the file.
        path: the file.
        plan: of the encoders.
        settings: how many frames are asked; None asks none.
    """

    def __init__(self, reader: FrameReader, path: Path, plan: FramePlan, settings: ExplainSettings | None) -> None:
        self._reader, self._path, self._plan, self._settings = reader, path, plan, settings
        self.rate: float | None = None  # frames a second
        self.frames: Frames

    def further(self, count: int) -> np.ndarray:
        """The frames whose cells are asked of a video of `count` frames, int64 (F,)."""
        if self._settings is None:
            return np.zeros(0, np.int64)
        if self.rate is None:
            guess = looked_at(self._plan, count, _USUAL_RATE, self._settings)
            if np.array_equal(guess, np.unique(self._plan.keyframes(count))):
                return guess
            self.rate = self._reader.probe(self._path).frame_rate
        return looked_at(self._plan, count, self.rate, self._settings)

    def learns_another_rate(self) -> bool:
        """Takes the rate of the file that was read; whether other frames are asked by it, and must be read again."""
        guess, self.rate = self.further(self.frames.decoded), self.frames.probe.frame_rate
        return not np.array_equal(guess, self.further(self.frames.decoded))

    def read(self, path: Path, select: Callable[[int], np.ndarray], max_side: int) -> Frames:
        """The selected frames, and the further ones."""
        self.frames = self._reader.read(path, lambda count: np.union1d(select(count), self.further(count)), max_side)
        return self.frames

    def probe(self, path: Path) -> VideoProbe:
        """The facts of the file."""
        return self._reader.probe(path)


@contextlib.contextmanager
def _opened(limits: Limits, isolated: bool) -> Iterator[FrameReader]:
    if not isolated:
        yield OpenHere(limits)
        return
    with contextlib.closing(Child(limits, None)) as child:
        yield OpenInChild(child)
