"""Opens one local video file with care: what it must be, what may be parsed, and how long it may take.

FFmpeg can follow playlists, network addresses and lists of other files. None of that is wanted here, so it is given
bytes instead of a name: a file object that knows its deadline, a list of plain containers, and no way to open more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.stream import Discard, Disposition

from glrg_tf.errors import VideoError
from glrg_tf.video.guarded import GuardedFile, open_regular
from glrg_tf.video.magic import describe_bytes, lacks_moov, missing_bytes

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

BUFFER_BYTES = 1 << 18
# Single-file containers of moving pictures, by FFmpeg's names: no playlists, pictures, devices, text or game formats.
CONTAINERS = ",".join(
    (
        "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,kux,asf,asf_o,mpeg,mpegts,mpegvideo,ogg,rm,mxf,wtv,nut",
        "dv,gxf,nsv,evc,gif,apng,jpegxl_anim,ivf,obu,av1,h261,h263,h264,hevc,vvc,avs2,avs3,cavsvideo,dirac,dnxhd",
        "m4v,mjpeg,mjpeg_2000,vc1,vc1test,yuv4mpegpipe",
    )
)
REENCODE = "play it to check, then re-encode it: ffmpeg -i FILE -c:v libx264 -pix_fmt yuv420p NEW.mp4"


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much one video may cost; past a limit the file is refused with a VideoError."""

    max_frames: int = 200_000  # frames in the video
    max_pixels: int = 8192 * 8192  # pixels of one frame
    max_duration: float = 6 * 3600.0  # seconds of video
    max_seconds: float = 600.0  # wall seconds one call may take
    max_bytes: int = 2 << 30  # memory of the frames returned by one call
    threads: int = 0  # decoder threads; 0: one for each core


class Source:
    """An open video file: its container, the one stream that is read, and what went wrong so far."""

    def __init__(self, path: str, limits: Limits, file: GuardedFile, container: InputContainer) -> None:
        self.path = path
        self.limits = limits
        self.file = file
        self.container = container
        self.stream: VideoStream = choose_stream(container, path)
        self.stream.thread_type = "AUTO"
        self.stream.codec_context.thread_count = limits.threads
        self.stream.codec_context.options = {"max_pixels": str(limits.max_pixels)}
        for other in container.streams:
            if other.index != self.stream.index:
                other.discard = Discard.all  # sound is never read
        self.damaged_packets = 0  # packets the decoder refused
        self.broken_at_end = False  # the container ended in an error

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec, such as "h264"."""
        return self.stream.codec_context.codec.canonical_name

    @property
    def tick(self) -> float:
        """Seconds of one step of the stream's timestamps."""
        return float(self.stream.time_base or 1.0 / av.time_base)

    @property
    def family(self) -> str:
        """The first of FFmpeg's names of the container, such as "mov", "matroska" or "avi"."""
        return self.container.format.name.split(",")[0]

    @property
    def nominal_rate(self) -> Fraction:
        """Frames a second as the container says it; 25 where it says nothing believable."""
        for rate in (self.stream.average_rate, self.stream.guessed_rate, self.stream.base_rate):
            if rate is not None and 0 < rate <= 1000:
                return Fraction(rate)
        return Fraction(25)

    def seek(self, pts: int) -> None:
        """Moves to the last key frame at or before a timestamp of the stream; the decoder starts anew there."""
        try:
            self.container.seek(pts, stream=self.stream)
        except av.FFmpegError:
            self.broken_at_end = True

    def packets(self) -> Iterator[Packet]:
        """Packets of the stream in file order; the last one is empty and flushes the decoder.

        Raises:
            VideoError: the deadline passed or the disk failed.
        """
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                self.broken_at_end = True
                return
            except IndexError:  # PyAV's flush counts streams that appeared on the way; ours has been flushed before
                return
            self.check()
            if packet is None:
                return
            yield packet

    def check(self) -> None:
        """Raises a VideoError when the deadline has passed or the disk has failed."""
        if self.file.failure is not None:
            raise VideoError(f"the file cannot be read ({self.file.failure.strerror})", where=self.path)
        if self.file.check_expired():
            raise VideoError(
                f"reading takes longer than {self.limits.max_seconds:g} s",
                where=self.path,
                remedy="cut or shrink the video, or raise the limit",
            )


@contextlib.contextmanager
def open_source(path: str | os.PathLike[str], limits: Limits, deadline: float) -> Iterator[Source]:
    """Opens a video for one pass.

    Args:
        path: a local, regular file.
        limits: what it may cost.
        deadline: `time.monotonic()` after which reading stops.

    Raises:
        VideoError: not a readable regular file, not a video, no video stream, or past a limit.
    """
    name = os.fspath(path)
    name = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open_regular(name, deadline))
        container = stack.enter_context(_open_container(name, file, limits))
        source = Source(name, limits, file, container)
        source.check()
        width, height = source.stream.codec_context.width, source.stream.codec_context.height
        if width * height > limits.max_pixels:
            raise too_many_pixels(name, width, height, limits)
        yield source


def too_many_pixels(path: str, width: int, height: int, limits: Limits) -> VideoError:
    """The refusal of pictures past the limit."""
    return VideoError(
        f"its frames are {width}x{height}, more than {limits.max_pixels:,} pixels",
        where=path,
        remedy="shrink the video, or raise the limit",
    )


def _open_container(name: str, file: GuardedFile, limits: Limits) -> InputContainer:
    try:
        return av.open(
            file,
            options={"max_pixels": str(limits.max_pixels)},
            container_options={"format_whitelist": CONTAINERS, "protocol_whitelist": ""},
            io_open=lambda url, flags, options: io.BytesIO(),  # whatever else a file names is empty
            buffer_size=BUFFER_BYTES,
            metadata_errors="replace",
        )
    except (av.FFmpegError, MemoryError, OverflowError, ValueError, UnicodeError) as error:
        raise _refusal(name, file, error) from error


def _refusal(name: str, file: GuardedFile, error: Exception) -> VideoError:
    """Why a container could not be opened, as far as its own bytes tell."""
    if file.failure is not None:
        return VideoError(f"the file cannot be read ({file.failure.strerror})", where=name)
    if file.expired:
        return VideoError("opening the file takes too long", where=name, remedy="it is damaged; copy it again")
    file.seek(0)
    kind = describe_bytes(file.read(4096))
    if kind is not None:
        return VideoError(f"not a video: it looks like {kind}", where=name, remedy="give a video file")
    if lacks_moov(file):
        return VideoError(
            "the video has no index (no moov atom): its recording or download was cut short",
            where=name,
            remedy="copy or download it again; a recorder's repair tool may rebuild the index",
        )
    if missing_bytes(file):
        return VideoError(
            "the video is cut short, before its first picture", where=name, remedy="copy or download it again"
        )
    if isinstance(error, MemoryError):
        return VideoError("opening the file takes too much memory", where=name, remedy="it is damaged; copy it again")
    return VideoError("not a video file, or too damaged to open", where=name, remedy=REENCODE)


def choose_stream(container: InputContainer, path: str) -> VideoStream:
    """The first video stream marked as default that moves and has a decoder; failing that, the first one.

    Players show the first enabled track. (FFmpeg's own tools take the largest; of several qualities of one picture
    that is only more to decode.) Cover pictures never count.

    Raises:
        VideoError: no stream of moving pictures, or none that can be decoded.
    """
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)
    ]
    if not streams:
        held = f"{len(container.streams.audio)} audio stream(s)" if container.streams.audio else "no video stream"
        what = f"no video in it, only {held}" if container.streams.audio else "no video stream in it"
        raise VideoError(what, where=path, remedy="give a file with pictures")
    decodable = [stream for stream in streams if stream.codec_context is not None]
    if not decodable:
        raise VideoError("its video codec cannot be decoded here", where=path, remedy=REENCODE)
    return min(
        decodable,
        key=lambda stream: (stream.frames == 1, not stream.disposition & Disposition.default, stream.index),
    )
