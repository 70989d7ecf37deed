"""What the recursion asks of a captioner; `RecapCaptioner` and the wrapped GL-RG captioner of `plain.py` answer it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from glrg_tf.recap.hierarchy import Hierarchy
from glrg_tf.video.sampling import FramePlan


class RecapModel(Protocol):
    """A captioner of some or all levels. Equal inputs give equal texts: whatever it was asked before."""

    @property
    def hierarchy(self) -> Hierarchy:
        """How long its windows are."""

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels it can tell, from the lowest: ("clip",) or ("clip", "segment", "video")."""

    @property
    def row_width(self) -> int:
        """D of the rows, one a clip, that the higher levels read."""

    @property
    def fingerprint(self) -> str:
        """sha256 of all that its texts depend on: settings, weights, encoder, how it decodes."""

    @property
    def frame_plan(self) -> FramePlan:
        """Which frames of a clip are looked at."""

    @property
    def plans(self) -> tuple[str, ...]:
        """The plans whose frames are read: keys of `encode_clips`' dictionaries."""

    @property
    def max_side(self) -> int:
        """Pixels of the longer side that frames are shrunk to while decoding, at most."""

    def encode_clips(
        self, clips: Sequence[Mapping[str, NDArray[np.uint8]]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Looks at clips.

        Args:
            clips: for each clip, plan name -> uint8 (P, k, H, W, 3) RGB.

        Returns:
            dense float32 (n, P, D') for `caption_clips`, and rows float32 (n, D) for the higher levels.
        """

    def caption_clips(self, dense: NDArray[np.float32]) -> list[str]:
        """One text a clip."""

    def describe(self, level: str, rows: Sequence[NDArray[np.float32]], texts: Sequence[Sequence[str]]) -> list[str]:
        """Texts of windows of a higher level.

        Args:
            level: "segment" or "video".
            rows: for each window, float32 (S, D): those of its clips.
            texts: for each window, the texts of the level below, in order of time; may be empty.
        """
