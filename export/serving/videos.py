"""Video files to features, for the server: decoded in a limited child process, encoded in this one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np


@dataclasses.dataclass(frozen=True)
class ReadVideo:
    """What a video file gave."""

    features: np.ndarray  # float32 (D,), in the captioner's column order
    facts: dict[str, Any]  # for people: frames, seconds, size
    stages: dict[str, float]  # seconds each stage took


class VideoReader(Protocol):
    """Reads video files that nobody vouches for."""

    labels: Mapping[str, tuple[str, ...]]  # stream -> what its columns mean

    async def read(self, path: Path, seconds: float) -> ReadVideo:
        """Features of one file; a file that takes longer than `seconds` is given up.

        Raises:
            VideoError: it cannot be decoded, or is beyond the limits.
        """
        ...

    async def close(self) -> None:
        """Ends what the reader has running."""
        ...
