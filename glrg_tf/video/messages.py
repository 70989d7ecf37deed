"""What a decoding child and its parent say to each other: JSON with a length before it, and raw bytes for pictures.

The child reads untrusted files, so the parent never unpickles what it says, and checks every number of it.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from typing import Any, BinaryIO

import numpy as np

from glrg_tf.video.probe import VideoProbe
from glrg_tf.video.reader import Frames

MAX_MESSAGE = 8 << 20  # bytes of one JSON message; the longest holds one number a frame


class BrokenLinkError(Exception):
    """The other side is gone, or does not keep to the form."""


def send(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Writes one message."""
    data = json.dumps(message).encode("ascii")
    stream.write(len(data).to_bytes(4, "little") + data)
    stream.flush()


def receive(stream: BinaryIO) -> dict[str, Any]:
    """Reads one message.

    Raises:
        BrokenLinkError: the stream ends, or holds something else.
    """
    size = int.from_bytes(_exactly(stream, 4), "little")
    if size > MAX_MESSAGE:
        raise BrokenLinkError("message too long")
    try:
        message = json.loads(_exactly(stream, size))
    except ValueError as error:
        raise BrokenLinkError("not a message") from error
    if not isinstance(message, dict):
        raise BrokenLinkError("not a message")
    return message


def send_frames(stream: BinaryIO, frames: Frames) -> None:
    """Writes the result of one reading: a message, then timestamps and pictures as bytes."""
    counts = {"expected": frames.expected, "decoded": frames.decoded}
    facts = {"indices": frames.indices.tolist(), "shape": list(frames.images.shape), "warnings": list(frames.warnings)}
    send(stream, {"frames": {**counts, **facts, "probe": dataclasses.asdict(frames.probe)}})
    stream.write(np.ascontiguousarray(frames.timestamps, "<f8").data)
    stream.write(np.ascontiguousarray(frames.images).data)
    stream.flush()


def receive_frames(stream: BinaryIO, message: dict[str, Any], path: str, max_bytes: int) -> Frames:
    """The rest of a result whose message has been received.

    Raises:
        BrokenLinkError: numbers that cannot be.
    """
    try:
        said = message["frames"]
        indices = np.array(said["indices"], np.int64)
        shape = tuple(int(side) for side in said["shape"])
        expected, decoded = int(said["expected"]), int(said["decoded"])
        warnings = tuple(str(warning)[:500] for warning in said["warnings"][:20])
        facts = receive_probe(said, path)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BrokenLinkError("malformed result") from error
    fitting = len(shape) == 4 and shape[3] == 3 and min(shape) >= 0 and indices.shape == shape[:1]
    rising = fitting and (np.diff(indices) > 0).all() and (not len(indices) or 0 <= indices[0] <= indices[-1] < decoded)
    if not rising or int(np.prod(shape, dtype=object)) > max_bytes:
        raise BrokenLinkError("malformed result")
    timestamps, images = np.empty(shape[0], "<f8"), np.empty(shape, np.uint8)
    _fill(stream, timestamps.data.cast("B"))
    if images.size:
        _fill(stream, images.data.cast("B"))
    return Frames(indices, images, timestamps.astype(np.float64), expected, decoded, shape[0], facts, warnings)


def receive_probe(message: dict[str, Any], path: str) -> VideoProbe:
    """The probe in a message, every field of the right kind.

    Raises:
        BrokenLinkError: there is none, or something else.
    """
    values: dict[str, Any] = {}
    try:
        for name, kind in typing.get_type_hints(VideoProbe).items():
            value = message["probe"][name]
            optional = name == "header_frames"
            values[name] = (None if value is None else int(value)) if optional else kind(value)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BrokenLinkError("malformed probe") from error
    return VideoProbe(**{**values, "path": path})


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise BrokenLinkError("the other side is gone")
    return data


def _fill(stream: BinaryIO, target: memoryview) -> None:
    filled = 0
    while filled < len(target):
        count = stream.readinto(target[filled:])  # type: ignore[attr-defined]
        if not count:
            raise BrokenLinkError("the other side is gone")
        filled += count
