"""How a decoding process answers: a length, a JSON head, then plain arrays. Nothing is unpickled.

The process reads files that nobody vouches for. Should one of them take it over, all it can send is a head that is
checked field by field here and bytes that become numbers.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from glrg_tf.encoders.extract_clips import Clips, DecodePlan
from glrg_tf.errors import VideoError

_LENGTH = struct.Struct("<Q")
_MAX_HEAD = 2**24  # bytes
_TYPES = {"<f4": np.dtype("<f4"), "<i8": np.dtype("<i8")}


class WireError(Exception):
    """An answer that is cut short or not one of ours."""


def send(stream: IO[bytes], answer: Clips | VideoError, plan: DecodePlan) -> None:
    """Writes one answer."""
    arrays: list[np.ndarray] = []
    if isinstance(answer, VideoError):
        head: dict[str, Any] = {"error": [answer.what, answer.where, answer.remedy]}
    else:
        shapes = list(dict.fromkeys(need.picture for need in plan.needs))
        arrays = [np.ascontiguousarray(answer.pictures[shape], "<f4") for shape in shapes]
        arrays += [np.ascontiguousarray(answer.rows[need.name], "<i8") for need in plan.needs]
        head = {"counts": [answer.expected, answer.decoded, answer.used], "warnings": list(answer.warnings)}
    head["arrays"] = [[array.dtype.str, list(array.shape)] for array in arrays]
    data = json.dumps(head).encode("utf-8")
    stream.write(_LENGTH.pack(len(data)) + data)
    for array in arrays:
        stream.write(memoryview(array).cast("B"))
    stream.flush()


def receive(stream: IO[bytes], plan: DecodePlan) -> Clips | VideoError:
    """Reads one answer.

    Raises:
        WireError: the other side has gone, or what it sent is not an answer to `plan`.
    """
    (length,) = _LENGTH.unpack(_read(stream, _LENGTH.size))
    if length > _MAX_HEAD:
        raise WireError("the head is too long")
    try:
        head = json.loads(_read(stream, length))
        if "error" in head:
            what, where, remedy = (None if text is None else str(text)[:2000] for text in head["error"])
            return VideoError(what or "it cannot be read", where=where, remedy=remedy)
        shapes = list(dict.fromkeys(need.picture for need in plan.needs))
        wanted: list[Callable[[tuple[int, ...]], bool]] = [_fits_pictures(size, plan) for size, _ in shapes]
        wanted += [_fits_rows(plan)] * len(plan.needs)
        arrays = []
        for (kind, shape), fits in zip(head["arrays"], wanted, strict=True):
            sides = tuple(int(side) for side in shape)
            if not fits(sides):
                raise WireError(f"an array of shape {sides}")
            arrays.append(_read_array(stream, _TYPES[kind], sides))
        expected, decoded, used = (int(count) for count in head["counts"])
        warnings = tuple(str(text)[:2000] for text in head["warnings"])
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise WireError(str(cause)) from cause
    pictures = dict(zip(shapes, arrays, strict=False))
    rows = {need.name: array for need, array in zip(plan.needs, arrays[len(shapes) :], strict=True)}
    for need in plan.needs:
        count = len(pictures[need.picture])
        if rows[need.name].min() < 0 or rows[need.name].max() >= count:
            raise WireError("rows without a picture")
    return Clips(pictures, rows, expected, decoded, used, warnings)


def _fits_pictures(size: tuple[int, int], plan: DecodePlan) -> Callable[[tuple[int, ...]], bool]:
    most = sum(plan.plan.frames_of(need.plan, 1).size for need in plan.needs)
    return lambda shape: len(shape) == 4 and 1 <= shape[0] <= most and shape[1:] == (*size, 3)


def _fits_rows(plan: DecodePlan) -> Callable[[tuple[int, ...]], bool]:
    known = {plan.plan.frames_of(need.plan, 1).shape for need in plan.needs}
    return lambda shape: shape in known


def _read_array(stream: IO[bytes], dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    array = np.empty(shape, dtype)
    view = memoryview(array).cast("B")
    done = 0
    while done < len(view):
        count = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise WireError("the answer is cut short")
        done += count
    return array


def _read(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise WireError("the answer is cut short")
    return data
