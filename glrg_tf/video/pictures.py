"""Decoded frames to upright RGB pictures, and a place to collect the wanted ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from glrg_tf.errors import VideoError
from glrg_tf.video.orientation import Orientation, orientation_of
from glrg_tf.video.source import REENCODE

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from glrg_tf.video.source import Source


class Converter:
    """Decoded frames to upright RGB of one size: that of the first frame, shrunk to `max_side`.

    A frame of another size (streams may change size on the way) is scaled to the first one's.
    """

    def __init__(self, path: str, max_side: int | None) -> None:
        self._path = path
        self.orientation = Orientation()
        self.stored_size: tuple[int, int] | None = None  # (width, height) of the first frame
        self._max_side = max_side
        self._target = (0, 0)  # (width, height) before rotation
        self._reformatter = VideoReformatter()

    def see(self, frame: VideoFrame) -> None:
        """Takes size and orientation from the first frame it is shown."""
        if self.stored_size is None:
            self.stored_size = width, height = frame.width, frame.height
            longest = max(width, height)
            shrink = longest / min(self._max_side or longest, longest)
            self._target = max(1, round(width / shrink)), max(1, round(height / shrink))
            self.orientation = orientation_of(frame)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3) of every picture."""
        width, height = self._target
        return (width, height, 3) if self.orientation.swaps_sides else (height, width, 3)

    def rgb(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """uint8 (H, W, 3). Shrinking is antialiased (a triangle as wide as the reduction)."""
        self.see(frame)
        width, height = self._target
        # One thread: starting more for each frame costs more than the conversion of small pictures.
        try:
            picture = self._reformatter.reformat(
                frame, width, height, "rgb24", interpolation=Interpolation.BILINEAR, threads=1
            )
        except (av.FFmpegError, ValueError, MemoryError) as error:
            what = f"its pictures cannot be converted to RGB ({frame.format.name}, {frame.width}x{frame.height})"
            raise VideoError(what, where=self._path, remedy=REENCODE) from error
        return self.orientation.apply(cast("NDArray[np.uint8]", picture.to_ndarray()))


class Collector:
    """Memory for the wanted frames of one video, taken once their size is known and found to be within limits."""

    def __init__(self, source: Source, wanted: NDArray[np.int64], converter: Converter) -> None:
        self.wanted = wanted  # (n,) rising
        self.images: NDArray[np.uint8] | None = None  # (n, H, W, 3)
        self.taken = np.zeros(len(wanted), bool)
        self._source = source
        self._converter = converter
        self._row = {index: row for row, index in enumerate(wanted.tolist())}

    def offer(self, index: int, frame: VideoFrame) -> None:
        """Keeps frame number `index` if it is wanted.

        Raises:
            VideoError: the pictures wanted need more memory than allowed.
        """
        self._converter.see(frame)
        row = self._row.get(index)
        if row is None:
            return
        if self.images is None:
            self.images = self._allocate()
        self.images[row] = self._converter.rgb(frame)
        self.taken[row] = True

    def result(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Numbers (n,) and pictures uint8 (n, H, W, 3) of the frames that came."""
        if self.images is None:
            return np.zeros(0, np.int64), np.zeros((0, *self._converter.shape), np.uint8)
        if self.taken.all():
            return self.wanted, self.images
        return self.wanted[self.taken], self.images[self.taken]

    def _allocate(self) -> NDArray[np.uint8]:
        limits = self._source.limits
        shape = (len(self.wanted), *self._converter.shape)
        what = f"{shape[0]} frames of {shape[2]}x{shape[1]} need too much memory"
        remedy = "ask for fewer or smaller frames (max_side), or raise the limit"
        if np.prod(shape, dtype=object) > limits.max_bytes:
            what = f"{what}: more than {limits.max_bytes / 2**20:,.0f} MiB"
            raise VideoError(what, where=self._source.path, remedy=remedy)
        try:
            return np.empty(shape, np.uint8)
        except MemoryError:
            raise VideoError(what, where=self._source.path, remedy=remedy) from None
