"""One way through a video: all of it, or only the groups of pictures that hold wanted frames (long videos)."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from glrg_tf.video.counting import (
    PacketIndex,
    decode_packet,
    decoded_frames,
    expected_frames,
    header_count,
    no_frame,
    read_packet_index,
)
from glrg_tf.video.magic import missing_bytes
from glrg_tf.video.pictures import Collector, Converter
from glrg_tf.video.probe import VideoProbe, describe
from glrg_tf.video.source import Limits, Source, open_source
from glrg_tf.video.timing import Timing, check_duration, timing_of

# Jumping to key frames pays only where most of the video can be left out: below this it saves nothing measurable.
JUMP_FRAMES = 1500
JUMP_FRACTION = 0.5
# Frames a decoder may hold back beyond the wanted one; used to estimate the work of a jump.
REORDER_FRAMES = 8

Plan = Callable[[int], NDArray[np.int64]]  # number of frames -> frame numbers, rising


@dataclasses.dataclass(frozen=True)
class Request:
    """What is read of which file."""

    path: str | os.PathLike[str]
    plan: Plan
    max_side: int | None
    limits: Limits
    deadline: float  # `time.monotonic()` after which reading stops


@dataclasses.dataclass(frozen=True)
class Reading:
    """What one pass brought."""

    guess: int  # the number of frames the plan was made for
    decoded: int  # the number of frames there are
    expected: int  # the number of frames there should be
    indices: NDArray[np.int64]  # (n,)
    images: NDArray[np.uint8]  # (n, H, W, 3)
    timing: Timing
    probe: VideoProbe
    warnings: tuple[str, ...]


def read_once(request: Request, frame_count: int | None = None) -> Reading:
    """One pass: the number of frames is guessed, the plan made for it, and the wanted frames kept.

    Args:
        request: what is read.
        frame_count: the number of frames when it is known from a pass before.

    Raises:
        VideoError: not a video, no frame that can be decoded, or past a limit.
    """
    path, limits, deadline = request.path, request.limits, request.deadline
    with open_source(path, limits, deadline) as source:
        guess = frame_count or header_count(source)
        if guess is not None and (frame_count or guess < JUMP_FRAMES):
            return _read_all(source, request, guess)
    index = read_packet_index(path, limits, deadline)
    if jump_saves(index, request.plan(index.count)):
        with open_source(path, limits, deadline) as source:
            reading = _read_groups(source, request, index)
        if reading is not None:
            return reading
    with open_source(path, limits, deadline) as source:
        return _read_all(source, request, index.count)


def _read_all(source: Source, request: Request, guess: int) -> Reading:
    """Decodes every frame."""
    converter = Converter(source.path, request.max_side)
    collector = Collector(source, request.plan(guess), converter)
    pts: list[int | None] = []
    for index, frame in enumerate(decoded_frames(source)):
        pts.append(frame.pts)
        collector.offer(index, frame)
    if not pts:
        raise no_frame(source)
    return _reading(source, converter, collector, guess, timing_of(source, pts), "decoded")


def jump_saves(index: PacketIndex, wanted: NDArray[np.int64]) -> bool:
    """Whether decoding only the groups of pictures around the wanted frames leaves out most of a long video."""
    if not index.exact or index.count < JUMP_FRAMES or not len(wanted) or wanted[-1] >= index.count:
        return False
    keys = np.flatnonzero(index.keys[np.argsort(index.pts)])
    if not len(keys) or keys[0] > wanted[0]:
        return False
    group = np.searchsorted(keys, wanted, "right") - 1
    last_of_group = np.append(np.flatnonzero(np.diff(group)), len(group) - 1)
    work = (wanted[last_of_group] - keys[group[last_of_group]] + 1 + REORDER_FRAMES).sum()
    return bool(work < JUMP_FRACTION * index.count)


def _read_groups(source: Source, request: Request, index: PacketIndex) -> Reading | None:
    """Jumps from key frame to key frame; None as soon as a frame does not come as its timestamp promised."""
    wanted = request.plan(index.count)
    converter = Converter(source.path, request.max_side)
    collector = Collector(source, wanted, converter)
    shown = np.sort(index.pts)
    key_stamps = np.sort(index.pts[index.keys])
    stamps = shown[wanted]
    groups = np.searchsorted(key_stamps, stamps, "right") - 1
    for group in np.unique(groups):
        members = stamps[groups == group]
        if not _read_group(source, collector, int(key_stamps[group]), members, shown):
            return None
    return _reading(source, converter, collector, index.count, timing_of(source, shown), "packets")


def _read_group(
    source: Source, collector: Collector, key: int, stamps: NDArray[np.int64], shown: NDArray[np.int64]
) -> bool:
    """Decodes from the key frame with timestamp `key` to the last of `stamps`; whether all of them came."""
    source.seek(key)
    missing = set(stamps.tolist())
    for packet in source.packets():
        for frame in decode_packet(source, packet):
            if frame.pts is None or frame.is_corrupt or source.damaged_packets:
                return False
            if frame.pts in missing:
                missing.discard(frame.pts)
                collector.offer(int(np.searchsorted(shown, frame.pts)), frame)
            if not missing:
                return True
            if frame.pts > stamps[-1]:
                return False
    return False


def _reading(
    source: Source, converter: Converter, collector: Collector, guess: int, timing: Timing, counted: str
) -> Reading:
    check_duration(source.path, timing, source.limits)
    indices, images = collector.result()
    decoded = len(timing.seconds)
    expected = expected_frames(source, decoded)
    warnings = []
    if decoded < expected:
        warnings.append(f"only {decoded} of {expected} frames could be decoded: the file is cut or damaged")
    elif missing_bytes(source.file):
        warnings.append("the file is cut short: its header promises more bytes than it has")
    if source.damaged_packets:
        warnings.append(f"{source.damaged_packets} damaged packets were passed over")
    if source.broken_at_end:
        warnings.append("the file breaks off in an error")
    if not timing.believed:
        warnings.append("timestamps are missing or damaged: times are taken from the frame rate")
    facts = describe(source, converter.orientation, converter.stored_size or (0, 0), timing, counted)
    return Reading(guess, decoded, expected, indices, images, timing, facts, tuple(warnings))
