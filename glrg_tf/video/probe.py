"""What a video is: container, codec, size as shown, rate, length, and how many frames it really has."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from glrg_tf.errors import VideoError
from glrg_tf.video.orientation import Orientation, orientation_of
from glrg_tf.video.source import REENCODE, Limits, Source, open_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.video.frame import VideoFrame

# Containers that give every frame a packet and a timestamp of its own, so that packets can be counted instead.
EXACT_CONTAINERS = ("mov", "matroska")
EXACT_CODECS = frozenset(
    ("h264", "hevc", "vp9", "av1", "mjpeg", "prores", "ffv1", "png", "rawvideo", "dnxhd", "huffyuv")
)
# Containers whose header count is worth more than the packets found: what is missing was there once.
COUNTED_HEADERS = ("avi",)


@dataclasses.dataclass(frozen=True)
class VideoProbe:
    """Facts about one video file; sizes are as shown, that is after rotation."""

    path: str
    container: str  # FFmpeg's name, such as "mov,mp4,m4a,3gp,3g2,mj2"
    codec: str  # such as "h264"
    width: int  # pixels, after rotation
    height: int  # pixels, after rotation
    rotation: int  # degrees counter-clockwise as FFmpeg's tools report it; already applied to frames
    mirrored: bool  # whether the display matrix mirrors the picture; already applied to frames
    sample_aspect_ratio: float  # width of a stored pixel over its height; noted, not applied
    duration: float  # seconds from the first frame to the end of the last
    frame_rate: float  # frames a second, on average
    variable_frame_rate: bool  # frames differ in length
    header_frames: int | None  # frames the header declares, if it does
    frames: int  # frames counted
    counted: str  # "packets" or "decoded"
    audio: bool  # whether there is a sound track (never read)
    streams: int  # streams of any kind in the file
    pixel_format: str  # as stored, such as "yuv420p"


@dataclasses.dataclass(frozen=True)
class PacketIndex:
    """What the packets of the stream say before anything is decoded."""

    pts: NDArray[np.int64]  # (packets,) in file order; empty when some packet has none
    keys: NDArray[np.bool_]  # (packets,) key frames
    count: int  # packets that should give a frame
    exact: bool  # whether every such packet is known to give exactly one frame


def probe(path: str | os.PathLike[str], limits: Limits | None = None, *, exact: bool = False) -> VideoProbe:
    """Looks at a video: decodes its first frame and counts the others.

    Frames are counted by their packets where container and codec give one packet a frame, else by decoding all.

    Args:
        path: a local video file.
        limits: what it may cost; the defaults of `Limits` without it.
        exact: decode every frame also where packets would do, which finds damage inside.

    Raises:
        VideoError: the file is not a video, holds no frame that can be decoded, or is past a limit.
    """
    limits = limits or Limits()
    deadline = time.monotonic() + limits.max_seconds
    index = read_packet_index(path, limits, deadline)
    with open_source(path, limits, deadline) as source:
        first, times, counted = None, [], 0
        for frame in decoded_frames(source):
            first = (orientation_of(frame), frame.width, frame.height) if first is None else first
            counted += 1
            times.append(frame.pts)
            if index.exact and not exact:
                break
        if first is None:
            raise no_frame(source)
        by_packets = index.exact and not exact
        count = index.count if by_packets else counted
        check_length(source.path, count, limits)
        pts = np.sort(index.pts) if by_packets else np.array([t for t in times if t is not None], np.int64)
        return describe(source, count, *first, timing_of(source, pts, count), "packets" if by_packets else "decoded")


@dataclasses.dataclass(frozen=True)
class Timing:
    """Rate and length of a stream, from its timestamps where they are in order."""

    frame_rate: float  # frames a second
    duration: float  # seconds
    variable: bool  # frames differ in length


def timing_of(source: Source, pts: Sequence[int] | NDArray[np.int64], count: int) -> Timing:
    """Timing from the frames' timestamps in the order shown; from the nominal rate where they are not in order."""
    stamps = np.asarray(pts, np.int64)
    nominal = float(source.nominal_rate)
    gaps = np.diff(stamps)
    if len(stamps) < 2 or len(stamps) != count or (gaps <= 0).any():
        return Timing(nominal, count / nominal, False)
    tick = float(source.stream.time_base)
    usual = float(np.median(gaps))
    span = float(stamps[-1] - stamps[0])
    uneven = np.abs(gaps - usual) > max(1.5, 0.05 * usual)  # rounding to the tick is not variation
    return Timing((count - 1) / (span * tick), (span + usual) * tick, bool(uneven.any()))


def describe(
    source: Source, count: int, orientation: Orientation, width: int, height: int, timing: Timing, counted: str
) -> VideoProbe:
    """The facts about an open source of which `count` frames are known; width and height are as stored."""
    stream = source.stream
    ratio = stream.sample_aspect_ratio
    shown = (height, width) if orientation.swaps_sides else (width, height)
    return VideoProbe(
        path=source.path,
        container=source.container.format.name,
        codec=source.codec,
        width=shown[0],
        height=shown[1],
        rotation=orientation.rotation,
        mirrored=orientation.mirrored,
        sample_aspect_ratio=float(ratio) if ratio else 1.0,
        duration=timing.duration,
        frame_rate=timing.frame_rate,
        variable_frame_rate=timing.variable,
        header_frames=stream.frames if stream.frames > 0 else None,
        frames=count,
        counted=counted,
        audio=bool(source.container.streams.audio),
        streams=len(source.container.streams),
        pixel_format=stream.codec_context.pix_fmt or "unknown",
    )


def read_packet_index(path: str | os.PathLike[str], limits: Limits, deadline: float) -> PacketIndex:
    """Reads every packet of the stream without decoding any.

    Raises:
        VideoError: as `open_source`, or more packets than twice the frames allowed.
    """
    pts: list[int | None] = []
    keys: list[bool] = []
    whole = True  # every packet is an ordinary one
    with open_source(path, limits, deadline) as source:
        for packet in source.packets():
            if packet.size == 0 or packet.is_discard:
                whole = whole and packet.size == 0 and packet.dts is None
                continue
            pts.append(packet.pts)
            keys.append(packet.is_keyframe)
            if len(pts) > 2 * limits.max_frames:
                check_length(source.path, len(pts), limits)
        family = source.container.format.name.split(",")[0]
        known = all(stamp is not None for stamp in pts)
        stamps = np.array(pts if known else [], np.int64)
        distinct = known and len(np.unique(stamps)) == len(stamps)
        exact = whole and distinct and family in EXACT_CONTAINERS and source.codec in EXACT_CODECS
        return PacketIndex(stamps, np.array(keys, bool), len(pts), exact and not source.broken_at_end)


def expected_frames(source: Source, packets: int) -> int:
    """How many frames a file should have: its packets, or its header where packets may have been lost."""
    declared = source.stream.frames
    believable = source.container.format.name in COUNTED_HEADERS and 0 < declared <= source.limits.max_frames
    return max(packets, declared) if believable else packets


def decoded_frames(source: Source) -> Iterator[VideoFrame]:
    """Every frame that can be decoded, in the order shown; damaged packets are counted and passed over.

    Raises:
        VideoError: more frames than allowed, a frame larger than allowed, or out of time.
    """
    source.stream.thread_type = "AUTO"
    count = 0
    for packet in source.packets():
        try:
            frames = packet.decode()
        except (av.FFmpegError, MemoryError):
            source.damaged_packets += 1
            continue
        for frame in frames:
            count += 1
            check_length(source.path, count, source.limits)
            yield frame


def check_length(path: str, count: int, limits: Limits) -> None:
    """Refuses more frames than allowed."""
    if count > limits.max_frames:
        raise VideoError(
            f"more than {limits.max_frames:,} frames",
            where=path,
            remedy="cut the video into parts, or raise the limit",
        )


def no_frame(source: Source) -> VideoError:
    """The refusal of a file that opens and gives no picture."""
    return VideoError(f"none of its frames can be decoded ({source.codec})", where=source.path, remedy=REENCODE)
