"""Small videos whose every frame says its own number, in many containers, and files made to be refused."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np

SIDE_CODE = 8  # pixels of one square of the number written into a frame
WIDTH, HEIGHT = 96, 64


def numbered_frame(index: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A picture with its number in eight black or white squares along the top, and a red corner at the lower right."""
    image = np.full((height, width, 3), 110, np.uint8)
    for bit in range(8):
        image[:SIDE_CODE, bit * SIDE_CODE : (bit + 1) * SIDE_CODE] = 255 if index >> bit & 1 else 0
    image[height - 16 :, width - 16 :] = [200, 20, 20]
    return image


def number_of(image: np.ndarray) -> int:
    """The number a picture of `numbered_frame` carries (after any codec)."""
    half = SIDE_CODE // 2
    return sum(int(image[half, bit * SIDE_CODE + half].mean() > 127) << bit for bit in range(8))


def numbered_frames(count: int) -> np.ndarray:
    """uint8 (count, H, W, 3)."""
    return np.stack([numbered_frame(index) for index in range(count)])


def make_video(
    path: pathlib.Path,
    frames: Sequence[np.ndarray] | np.ndarray,
    *,
    container: str | None = None,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: int = 25,
    times: Sequence[int] | None = None,
    rotation: int = 0,
    flip: bool = False,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    sound: bool = False,
    aspect: Fraction | None = None,
) -> pathlib.Path:
    """Encodes frames by PyAV itself, with what the project's own writer does not offer.

    Args:
        path: the file.
        frames: RGB pictures.
        container: FFmpeg's name; by the suffix without it.
        codec: FFmpeg's name of an encoder.
        pixel_format: as stored.
        rate: frames a second.
        times: timestamps in units of 1/rate; 0, 1, 2, … without it.
        rotation: counter-clockwise degrees of the display matrix.
        flip: whether the display matrix mirrors as well.
        options: of the encoder.
        container_options: of the container.
        sound: whether a silent sound track goes with it.
        aspect: sample aspect ratio.
    """
    with av.open(str(path), "w", format=container, container_options=container_options or {}) as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.thread_count = 1
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation or flip:
            stream.set_display_rotation(rotation, hflip=flip)
        voice = output.add_stream("aac", rate=44100) if sound else None
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixel_format)
            frame.pts = index if times is None else times[index]
            frame.time_base = Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if voice is not None:
            mux_silence(output, voice)
    return path


def make_sound(path: pathlib.Path) -> pathlib.Path:
    """An mp4 file with sound and no picture."""
    with av.open(str(path), "w", format="mp4") as output:
        mux_silence(output, output.add_stream("aac", rate=44100))
    return path


def mux_silence(output: av.container.OutputContainer, stream: av.AudioStream) -> None:
    """A quarter of a second of silence."""
    silence = av.AudioFrame.from_ndarray(np.zeros((1, 11025), np.float32), format="fltp", layout="mono")
    silence.sample_rate = 44100
    output.mux(stream.encode(silence))
    output.mux(stream.encode(None))


def make_two_streams(path: pathlib.Path, first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> pathlib.Path:
    """An mp4 file with two video streams."""
    with av.open(str(path), "w", format="mp4") as output:
        streams = []
        for frames in (first, second):
            stream = output.add_stream("libx264", rate=25)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            streams.append(stream)
        for stream, frames in zip(streams, (first, second), strict=True):
            for index, image in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
                frame.pts = index
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    return path


def atoms(data: bytes) -> list[tuple[bytes, bytes]]:
    """Top-level atoms of an mp4 file: (kind, whole atom)."""
    found, position = [], 0
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        found.append((data[position + 4 : position + 8], data[position : position + size]))
        position += size
    return found
