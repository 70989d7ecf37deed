"""What a video is: container, codec, size as shown, rate, length, and how many frames it really has."""

from __future__ import annotations

import dataclasses
import os
import time

import numpy as np

from glrg_tf.video.counting import decoded_frames, no_frame, read_packet_index
from glrg_tf.video.orientation import Orientation, orientation_of
from glrg_tf.video.source import Limits, Source, open_source
from glrg_tf.video.timing import Timing, check_duration, timing_of


@dataclasses.dataclass(frozen=True)
class VideoProbe:
    """Facts about one video file; sizes are as shown, that is after rotation."""

    path: str
    container: str  # FFmpeg's name, such as "mov,mp4,m4a,3gp,3g2,mj2"
    codec: str  # such as "h264"
    pixel_format: str  # as stored, such as "yuv420p"
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
    counted: str  # how: "packets" or "decoded"
    audio: bool  # whether there is a sound track (never read)
    streams: int  # streams of any kind in the file


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
    return survey(path, limits or Limits(), exact=exact).probe


@dataclasses.dataclass(frozen=True)
class Survey:
    """A probe, and what else was seen on the way."""

    probe: VideoProbe
    orientation: Orientation
    timing: Timing
    stream: int  # place among the video streams of the file


def survey(path: str | os.PathLike[str], limits: Limits, *, exact: bool = False) -> Survey:
    """See `probe`."""
    deadline = time.monotonic() + limits.max_seconds
    index = read_packet_index(path, limits, deadline)
    by_packets = index.exact and not exact
    with open_source(path, limits, deadline) as source:
        pts: list[int | None] = []
        for frame in decoded_frames(source):
            if not pts:
                orientation, size = orientation_of(frame), (frame.width, frame.height)
            pts.append(frame.pts)
            if by_packets:
                break
        if not pts:
            raise no_frame(source)
        timing = timing_of(source, np.sort(index.pts) if by_packets else pts)
        check_duration(source.path, timing, limits)
        facts = describe(source, orientation, size, timing, "packets" if by_packets else "decoded")
        place = [stream.index for stream in source.container.streams.video].index(source.stream.index)
        return Survey(facts, orientation, timing, place)


def describe(
    source: Source, orientation: Orientation, stored_size: tuple[int, int], timing: Timing, counted: str
) -> VideoProbe:
    """The facts about an open source whose frames are those of `timing`; `stored_size` is (width, height)."""
    stream = source.stream
    ratio = stream.sample_aspect_ratio
    width, height = reversed(stored_size) if orientation.swaps_sides else stored_size
    return VideoProbe(
        path=source.path,
        container=source.container.format.name,
        codec=source.codec,
        pixel_format=stream.codec_context.pix_fmt or "unknown",
        width=width,
        height=height,
        rotation=orientation.rotation,
        mirrored=orientation.mirrored,
        sample_aspect_ratio=float(ratio) if ratio else 1.0,
        duration=timing.duration,
        frame_rate=timing.frame_rate,
        variable_frame_rate=timing.variable,
        header_frames=stream.frames if stream.frames > 0 else None,
        frames=len(timing.seconds),
        counted=counted,
        audio=bool(source.container.streams.audio),
        streams=len(source.container.streams),
    )
