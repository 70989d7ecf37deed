"""N clips of several videos as one numbered table of features that is read piece by piece.

Rows are numbered through, video after video, and nothing here holds more than the rows asked for: a collection may be
larger than memory. stack_sources.py has the files they come from.
"""

from __future__ import annotations

import abc
import bisect
from collections.abc import Mapping
from typing import Any

import numpy as np

from glrg_tf.errors import FeatureError


class Stacks(abc.ABC):
    """N clips of several videos.

    Attributes:
        ids: names of the videos that have clips, sorted for folders and in the file's order for features.h5.
        offsets: int64 (videos + 1,): video i owns rows offsets[i] to offsets[i + 1].
        width: D.
        source: what is read, in words, with what a later lookup must agree with.
        notes: what was left out, and why.
    """

    ids: tuple[str, ...]
    offsets: np.ndarray
    width: int
    source: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Returns N, the number of clips."""
        return int(self.offsets[-1])

    @property
    def videos(self) -> int:
        """The number of videos."""
        return len(self.ids)

    def index(self, video_id: str) -> int:
        """Returns the number of a video.

        Raises:
            FeatureError: no such video.
        """
        try:
            return self.ids.index(video_id)
        except ValueError:
            example = f"such as '{self.ids[0]}'"
            raise FeatureError(f"no video '{video_id}'", where=self.source["path"], remedy=f"ids, {example}") from None

    def span(self, video: int) -> tuple[int, int]:
        """Returns the first row of a video and one past its last."""
        return int(self.offsets[video]), int(self.offsets[video + 1])

    def locate(self, row: int) -> tuple[int, int]:
        """Returns the video that a row belongs to and the row's position in it."""
        video = bisect.bisect_right(self.offsets, row) - 1
        return video, row - int(self.offsets[video])

    def rows(self, first: int, last: int) -> np.ndarray:
        """Returns rows `first` to `last`, float32 (last - first, D).

        Raises:
            FeatureError: a value is not finite, or the file has changed.
        """
        values = np.empty((last - first, self.width), np.float32)
        video, filled = self.locate(first)[0], 0
        while filled < len(values):
            start, end = self.span(video)
            begin, stop = max(first, start), min(last, end)
            with np.errstate(over="ignore", invalid="ignore"):  # told below, with the video's name
                values[filled : filled + stop - begin] = self._read(video, begin - start, stop - start)
            filled += stop - begin
            video += 1
        self._check_finite(values, np.arange(first, last))
        return values

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns single rows, in the order given: float32 (len(rows), D).

        Raises:
            FeatureError: a value is not finite, or the file has changed.
        """
        values = np.empty((len(rows), self.width), np.float32)
        for target in np.argsort(rows, kind="stable"):  # in the order of the files
            video, position = self.locate(int(rows[target]))
            with np.errstate(over="ignore", invalid="ignore"):
                values[target] = self._read(video, position, position + 1)[0]
        self._check_finite(values, rows)
        return values

    def has_flow(self, video: int) -> bool:
        """Whether a video has flow features."""
        return False

    def flow(self, video: int) -> np.ndarray | None:
        """Returns the flow features of a video, float32 (T, D'), None where there are none."""
        return None

    def close(self) -> None:
        """Closes open files."""
        return

    def __enter__(self) -> Stacks:
        """Returns itself; files are closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes open files."""
        self.close()

    @abc.abstractmethod
    def _read(self, video: int, first: int, last: int) -> np.ndarray:
        """Positions `first` to `last` of a video, (last - first, D) of any type."""

    def _check_finite(self, values: np.ndarray, rows: np.ndarray) -> None:
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
            video, position = self.locate(int(rows[bad]))
            raise FeatureError(
                f"clip {position} of video '{self.ids[video]}' is not finite",
                where=self.source["path"],
                remedy="extract this video's features again",
            )
