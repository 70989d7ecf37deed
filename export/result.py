"""What an export found, for those who write about it."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

from export.parity import Agreement
from export.plan import Artefact, ExportRequest
from export.smaller import ScoreChange
from glrg_tf.captioner.captioner import VideoCaptioner


@dataclasses.dataclass(frozen=True)
class Result:
    """One artefact that was written and found good.

    Attributes:
        artefact: what it is.
        size: bytes on disk.
        agreements: how it agrees with Keras, one a signature.
        regret: of int8, see `smaller.check_int8`.
        change: scores on the validation split, where a data set was given.
    """

    artefact: Artefact
    size: int
    agreements: tuple[Agreement, ...]
    regret: float | None = None
    change: ScoreChange | None = None


class Exported(Protocol):
    """What the manifest and the card tell of an export."""

    captioner: VideoCaptioner
    request: ExportRequest
    beam: int
    bundle: Any  # EncoderBundle, or None
    frames_model: Any  # FramesModel, or None
    split: Any  # material.Split, or None
