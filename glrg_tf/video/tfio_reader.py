"""Frames decoded by tensorflow-io, for people whose pipelines stand on it: `read_frames(path, select, backend="tfio")`.

It wants TensorFlow 2.16 (tensorflow-io 0.37.1 is its last release) and the libraries of FFmpeg 4 (libavformat.so.58,
libswscale.so.5), which its wheel does not bring. PyAV still opens the file first: what is a video, limits, number of
frames, times and rotation come from there, the pictures from tensorflow-io.

What it does otherwise than the default reader, as measured on clips of many sources:
- Pictures are equal bit for bit where no colour space is tagged; it takes every video for BT.601 (a 720p clip tagged
  BT.709 differs by up to 17 of 255).
- Its decoder writes past the end of its picture where the width is no multiple of 32 (glibc ends the process at 426
  pixels): such videos are refused here.
- Damaged files are not mended, and another number of frames than PyAV counts is refused.
"""

from __future__ import annotations

import functools
import os
import time
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from glrg_tf.errors import ConfigError, VideoError
from glrg_tf.video.probe import Survey, survey
from glrg_tf.video.source import Limits

_SAFE_WIDTH = 32  # pixels; its rows are written in blocks
_REMEDY = "an environment of requirements-tfio.txt with the libraries of FFmpeg 4, or the default backend, pyav"
_DEFAULT = "use the default backend, pyav"


@functools.cache
def problem() -> str | None:
    """Why tensorflow-io cannot read videos here; None where it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one for each version of FFmpeg that is not there
            import tensorflow_io
            from tensorflow_io.python.ops import ffmpeg_ops  # noqa: F401  (loads the native library)
    except ImportError as error:
        return f"tensorflow-io cannot be imported ({error})"[:300]
    except (NotImplementedError, AttributeError, OSError):
        return f"tensorflow-io {tensorflow_io.__version__} finds no FFmpeg 2.8, 3.4 or 4.x that it can load"
    return None


def decode(
    path: str | os.PathLike[str], limits: Limits, plan: Callable[[int], NDArray[np.int64]]
) -> tuple[Survey, NDArray[np.int64], NDArray[np.uint8]]:
    """Some frames of a video.

    Args:
        path: a local video file.
        limits: what it may cost.
        plan: number of frames -> frame numbers, rising.

    Returns:
        What PyAV sees, frame numbers (n,) and pictures (n, H, W, 3), upright.

    Raises:
        ConfigError: tensorflow-io cannot read videos here.
        VideoError: as `read_frames`, or a video that tensorflow-io cannot be trusted with.
    """
    reason = problem()
    if reason is not None:
        raise ConfigError(reason, where="video backend 'tfio'", remedy=_REMEDY)
    deadline = time.monotonic() + limits.max_seconds
    seen = survey(path, limits, exact=True)
    stored = seen.probe.height if seen.orientation.swaps_sides else seen.probe.width
    if stored % _SAFE_WIDTH:
        what = f"a width of {stored} pixels: tensorflow-io's decoder is safe at multiples of {_SAFE_WIDTH} only"
        raise VideoError(what, where=path, remedy=_DEFAULT)
    wanted = plan(seen.probe.frames)
    if len(wanted) * seen.probe.width * seen.probe.height * 3 > limits.max_bytes:
        raise VideoError(f"{len(wanted)} frames are more than {limits.max_bytes:,} bytes", where=path, remedy=_DEFAULT)
    found, count = _wanted_of(path, seen.stream, wanted, deadline)
    if count != seen.probe.frames:
        what = f"tensorflow-io decodes {count} frames, there are {seen.probe.frames}"
        raise VideoError(what, where=path, remedy=_DEFAULT)
    images = [seen.orientation.apply(image) for image in found]
    shape = (0, seen.probe.height, seen.probe.width, 3)
    return seen, wanted, np.stack(images) if images else np.zeros(shape, np.uint8)


def _wanted_of(
    path: str | os.PathLike[str], stream: int, wanted: NDArray[np.int64], deadline: float
) -> tuple[list[NDArray[np.uint8]], int]:
    """The wanted frames, as stored, and the number of all."""
    import tensorflow as tf
    import tensorflow_io as tfio

    keep, found, count = set(wanted.tolist()), [], 0
    try:
        for image in tfio.experimental.IODataset.from_ffmpeg(os.path.abspath(os.fspath(path)), f"v:{stream}"):
            if count in keep:
                found.append(image.numpy())
            count += 1
            if time.monotonic() > deadline:
                raise VideoError("reading takes too long", where=path, remedy="cut or shrink the video")
    except tf.errors.OpError as error:
        raise VideoError(f"tensorflow-io cannot read it ({error.message})"[:300], where=path, remedy=_DEFAULT) from None
    return found, count
