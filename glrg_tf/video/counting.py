"""How many frames a video has: by its header, by its packets, and by decoding (the only count that is certain)."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from glrg_tf.errors import VideoError
from glrg_tf.video.magic import missing_bytes
from glrg_tf.video.source import REENCODE, Limits, Source, open_source

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# Containers and codecs that give every frame one packet with a timestamp of its own, so that packets may be counted.
# Not among them: gif and avi (no timestamps), mpeg4 (frames packed together), vp8 (packets that show nothing).
EXACT_CONTAINERS = ("mov", "matroska")
INDEXED_CONTAINERS = ("mov", "avi")  # with a table of all frames
EXACT_CODECS = frozenset(("h264", "hevc", "vp9", "av1", "mjpeg", "prores", "ffv1", "png", "rawvideo", "dnxhd"))


@dataclasses.dataclass(frozen=True)
class PacketIndex:
    """What the packets of the stream say before anything is decoded."""

    count: int  # packets that should give a frame
    pts: NDArray[np.int64]  # (count,) in file order; empty when some packet has none
    keys: NDArray[np.bool_]  # (count,) key frames
    exact: bool  # whether every such packet is known to give exactly one frame


def read_packet_index(path: str | os.PathLike[str], limits: Limits, deadline: float) -> PacketIndex:
    """Reads every packet of the stream without decoding any.

    Raises:
        VideoError: as `open_source`, or more packets than the frames allowed.
    """
    pts: list[int | None] = []
    keys: list[bool] = []
    plain = True  # every packet is an ordinary one
    with open_source(path, limits, deadline) as source:
        for packet in source.packets():
            if packet.size == 0 and packet.dts is None:
                continue  # the one that flushes the decoder
            if packet.size == 0 or packet.is_discard or packet.is_corrupt:
                plain = False
                continue
            pts.append(packet.pts)
            keys.append(packet.is_keyframe)
            check_length(source.path, len(pts), limits)
        known = all(stamp is not None for stamp in pts)
        stamps = np.array(pts if known else [], np.int64)
        distinct = known and len(np.unique(stamps)) == len(stamps)
        usual = source.family in EXACT_CONTAINERS and source.codec in EXACT_CODECS
        exact = plain and distinct and usual and not source.broken_at_end
        return PacketIndex(len(pts), stamps, np.array(keys, bool), exact)


def header_count(source: Source) -> int | None:
    """Frames by the index of an mp4, mov or avi file, without reading on; None where it may not hold all of them."""
    entries = source.stream.index_entries
    declared = source.stream.frames
    if source.family not in INDEXED_CONTAINERS or not 0 < declared == len(entries) <= source.limits.max_frames:
        return None
    inside = sum(entry.pos + entry.size <= source.file.size and not entry.is_discard for entry in entries)
    return inside or None


def expected_frames(source: Source, found: int) -> int:
    """How many frames the file should have, given those found: more where its header tells of lost ones.

    An mp4/mov index and an avi header count frames; a cut Matroska file only tells its length in time.
    """
    declared = source.stream.frames
    cut = missing_bytes(source.file) > 0
    if source.family == "mov" and declared == len(source.stream.index_entries):
        declared = sum(not entry.is_discard for entry in source.stream.index_entries)
    elif source.family == "matroska" and cut and source.container.duration:
        declared = round(source.container.duration / av.time_base * float(source.nominal_rate))
    elif source.family != "avi":
        declared = 0
    # A damaged header may say anything; without missing bytes it is believed only a little way beyond what is there.
    believable = declared <= source.limits.max_frames and (cut or declared <= 2 * found + 100)
    return max(found, declared) if believable else found


def decoded_frames(source: Source) -> Iterator[VideoFrame]:
    """Every frame that can be decoded, in the order shown; damaged packets are counted and passed over.

    Raises:
        VideoError: more frames than allowed, a frame larger than allowed, or out of time.
    """
    count = 0
    for packet in source.packets():
        for frame in decode_packet(source, packet):
            count += 1
            check_length(source.path, count, source.limits)
            yield frame


def decode_packet(source: Source, packet: av.Packet) -> list[VideoFrame]:
    """Frames that come out when a packet goes in; none, and one damaged packet more, when it is refused."""
    try:
        return packet.decode()
    except (av.FFmpegError, MemoryError, ValueError):
        source.damaged_packets += 1
        return []


def check_length(path: str, count: int, limits: Limits) -> None:
    """Refuses more frames than allowed."""
    if count > limits.max_frames:
        raise VideoError(
            f"the video has more than {limits.max_frames:,} frames",
            where=path,
            remedy="cut it into parts, or raise the limit",
        )


def no_frame(source: Source) -> VideoError:
    """The refusal of a file that opens and gives no picture."""
    what = f"none of its frames can be decoded ({source.codec})"
    if missing_bytes(source.file):
        return VideoError(f"{what}: the file is cut short", where=source.path, remedy="copy or download it again")
    return VideoError(what, where=source.path, remedy=REENCODE)
