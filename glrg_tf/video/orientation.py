"""Turns and mirrors pictures as a video's display matrix asks (phones store what the sensor saw, and a matrix)."""

from __future__ import annotations

import dataclasses
import math
import struct
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.sidedata.sidedata import SideData
    from av.video.frame import VideoFrame

MATRIX_BYTES = 36  # nine int32: 16.16 fixed point except the last column


@dataclasses.dataclass(frozen=True)
class Orientation:
    """One of the eight ways a picture can lie: a mirror, then quarter turns."""

    quarter_turns: int = 0  # clockwise, 0..3, after the mirror
    mirrored: bool = False  # left and right exchanged, before the turns
    rotation: int = 0  # degrees as FFmpeg's tools report them: counter-clockwise, -180..180

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height change places."""
        return self.quarter_turns % 2 == 1

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A view of uint8 (H, W, 3) as it is meant to be seen: (H, W, 3) or (W, H, 3)."""
        upright = image[:, ::-1] if self.mirrored else image
        return np.rot90(upright, -self.quarter_turns) if self.quarter_turns else upright


def orientation_of(frame: VideoFrame) -> Orientation:
    """The orientation a decoded frame carries; angles are rounded to quarter turns, damaged matrices ignored."""
    rotation = int(frame.rotation)
    try:
        data = cast("SideData | None", frame.side_data.get("DISPLAYMATRIX"))
    except ValueError:  # side data of a kind this PyAV has no name for stands beside it
        return Orientation(round(-rotation / 90) % 4, False, rotation)
    if data is None or data.buffer_size != MATRIX_BYTES:
        return Orientation()
    quarter_turns, mirrored = turns_of_matrix(struct.unpack("=9i", bytes(data)))
    return Orientation(quarter_turns, mirrored, rotation)


def turns_of_matrix(matrix: tuple[int, ...]) -> tuple[int, bool]:
    """Clockwise quarter turns, and whether a mirror comes before, of a display matrix.

    Args:
        matrix: (a, b, u, c, d, v, x, y, w): the point (p, q) of the picture goes to (a·p + c·q, b·p + d·q).
    """
    a, b, c, d = (float(matrix[index]) for index in (0, 1, 3, 4))
    determinant = a * d - b * c
    if determinant == 0:
        return 0, False
    mirrored = determinant < 0
    if mirrored:  # the mirror comes first and turns (1, 0) into (-1, 0)
        a, b = -a, -b
    # The second axis points down, so that the angle of the image of (1, 0) grows clockwise.
    return round(math.degrees(math.atan2(b, a)) / 90) % 4, mirrored
