"""What may be said about a run over one video, and what it brings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from glrg_tf.recap import frames
from glrg_tf.recap.timeline import Recap

Progress = Callable[[str, int, int], object]  # level, units just done (0 to begin), units in all


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """What may be said about a run."""

    edits: Path | None = None  # a file of edits (edits.py)
    fresh: bool = False  # begin anew, whatever is there
    forget_edits: bool = False  # take all edits back
    thumbnails: bool = True  # keep a small picture of each clip
    limits: frames.Limits = frames.LONG  # what the video may cost


@dataclasses.dataclass(frozen=True)
class RunReport:
    """What a run brought, and how much of it was new."""

    recap: Recap
    journal: Path
    seen: int  # clips seen now; the others were finished before
    told: dict[str, int]  # by level, texts told now
    edits: int  # texts of the user's
    seconds: dict[str, float]  # by level; and of "first" clips and "first segment", where networks are made ready
    group: int  # clips that are seen at once
