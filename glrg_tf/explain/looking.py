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
from glrg_tf.encoders.extract_clips import DecodePlan, FrameReader, OpenHere, read_clips
from glrg_tf.encoders.extract_items import VideoItem
from glrg_tf.encoders.extract_pool import OpenInChild
from glrg_tf.explain.explanation import ExplainSettings
from glrg_tf.video.child import Child
from glrg_tf.video.reader import Frames, Limits, VideoProbe
from glrg_tf.video.sampling import FramePlan, uniform_positions

if TYPE_CHECKING:
    from glrg_tf.encoders.bundle import EncoderBundle


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
    """

    positions: np.ndarray
    images: np.ndarray
    indices: np.ndarray
    seconds: np.ndarray
    probe: VideoProbe
    decoded: int
    warnings: tuple[str, ...]


def look_at(
    bundle: EncoderBundle,
    names: Sequence[str],
    path: Path,
    settings: ExplainSettings,
    limits: Limits | None = None,
    cells: bool = True,
) -> Look:
    """Decodes a video once and encodes it.

    Args:
        bundle: the encoders.
        names: streams of a descriptor, in column order.
        path: the video.
        settings: rate, max_frames and isolated are read.
        limits: what the file may cost.
        cells: whether frames are kept for their cells.

    Raises:
        VideoError: the video cannot be read.
    """
    limits = limits or Limits()
    plan = DecodePlan.of(bundle.plan, [bundle.streams[name].spec for name in names], limits)
    item = VideoItem(str(path), path)
    # One thread, as in extraction: a product that is split over threads may differ in its last bit.
    with _opened(limits, settings.isolated) as opened, threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
        rate = opened.probe(path).frame_rate
        none = np.zeros(0, np.int64)
        reader = _AlsoFrames(opened, lambda count: looked_at(bundle.plan, count, rate, settings) if cells else none)
        (outcome,) = encode_group(bundle, plan, [item], [read_clips(item, plan, reader)], 1)
    if isinstance(outcome, Failed):
        raise outcome.error
    frames = reader.frames
    kept = np.intersect1d(reader.further(frames.decoded), frames.indices)
    rows = np.searchsorted(frames.indices, kept)
    positions = np.concatenate([outcome.streams[name] for name in names], axis=1)
    return Look(
        positions, frames.images[rows], kept, frames.timestamps[rows], frames.probe, frames.decoded, outcome.warnings
    )


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
    """A reader that decodes further frames on the way, and keeps all."""

    def __init__(self, reader: FrameReader, further: Callable[[int], np.ndarray]) -> None:
        self._reader, self.further = reader, further
        self.frames: Frames

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
