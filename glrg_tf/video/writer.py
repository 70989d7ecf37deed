"""Writes short videos: H.264 in mp4 from RGB frames, the same bytes for the same frames.

One encoder thread and "bitexact" headers: x264 splits work by threads, and muxers write dates and random ids.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from glrg_tf.errors import ConfigError, VideoError

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".avi": "avi"}
# Contract name -> encoders in order of preference, with options that keep their bytes fixed.
ENCODERS = {
    "h264": (("libx264", {"preset": "veryfast", "crf": "20", "threads": "1", "x264-params": "threads=1"}),),
    "mpeg4": (("mpeg4", {"qscale": "3", "flags": "+qscale"}),),
}
FALLBACK = "mpeg4"


def write_video(
    path: str | os.PathLike[str],
    frames: Iterable[NDArray[np.uint8]],
    frame_rate: float | Fraction,
    codec: str = "h264",
) -> None:
    """Writes RGB frames as one video file, whole or not at all.

    The picture is yuv420p, which has half the colour columns and rows: an odd width or height is padded by repeating
    the last column or row.

    Args:
        path: the file; its suffix names the container (.mp4, .mov, .mkv, .avi).
        frames: uint8 (n, H, W, 3) or an iterable of uint8 (H, W, 3), all of one size.
        frame_rate: frames a second, above 0.
        codec: "h264" (libx264 where this PyAV has it, else mpeg4) or "mpeg4".

    Raises:
        ConfigError: unknown suffix or codec, or a frame rate that is not above 0.
        VideoError: no frame, or frames that are not uint8 RGB of one size.
    """
    target = Path(path)
    container_format = CONTAINERS.get(target.suffix.lower())
    if container_format is None:
        raise ConfigError("cannot tell the video container", where=target, remedy=f"end it in {' '.join(CONTAINERS)}")
    rate = Fraction(frame_rate).limit_denominator(1001) if math.isfinite(frame_rate) else Fraction(0)
    if rate <= 0:
        raise ConfigError(f"the frame rate must be above 0, not {frame_rate}", where=target)
    encoder, options = _encoder(codec)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=".part", dir=target.parent)
    os.close(handle)
    try:
        _encode(name, container_format, frames, rate, encoder, options, target)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _encoder(codec: str) -> tuple[str, dict[str, str]]:
    if codec not in ENCODERS:
        raise ConfigError(f"no video codec {codec!r}", remedy=f"one of {', '.join(ENCODERS)}")
    for name, options in (*ENCODERS[codec], *ENCODERS[FALLBACK]):
        if name in av.codecs_available:
            return name, options
    raise ConfigError(f"this PyAV has no encoder for {codec!r}", remedy="pip install --upgrade av")


def _encode(
    name: str,
    container_format: str,
    frames: Iterable[NDArray[np.uint8]],
    rate: Fraction,
    encoder: str,
    options: dict[str, str],
    target: Path,
) -> None:
    muxing = {"movflags": "+faststart"} if container_format in ("mp4", "mov") else {}
    stream = None
    with av.open(name, "w", format=container_format, container_options={**muxing, "fflags": "+bitexact"}) as output:
        for index, image in enumerate(frames):
            picture = _padded(image, index, target)
            if stream is None:
                stream = output.add_stream(encoder, rate=rate, options=options)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.codec_context.thread_count = 1
                stream.codec_context.flags |= 1 << 23  # AV_CODEC_FLAG_BITEXACT: no version text in the stream
            elif picture.shape[:2] != (stream.height, stream.width):
                raise VideoError(f"frame {index} has another size than frame 0", where=target)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.MPEG, threads=1
            )
            frame.pts = index
            frame.time_base = 1 / rate
            output.mux(stream.encode(frame))
        if stream is None:
            raise VideoError("no frames to write", where=target)
        output.mux(stream.encode(None))


def _padded(image: NDArray[np.uint8], index: int, target: Path) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) -> uint8 with even H and W."""
    picture = np.asarray(image)
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
        raise VideoError(
            f"frame {index} is {picture.dtype} {picture.shape}, not uint8 (height, width, 3)", where=target
        )
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(picture)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
