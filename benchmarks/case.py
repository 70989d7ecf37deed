"""One benchmark: the work as shipped, the same work in plain form, and the arithmetic it cannot avoid."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

Work = Callable[[], Any]


@dataclasses.dataclass(frozen=True)
class Case:
    """What a builder hands to the worker.

    Attributes:
        ours: one run of the shipped work; returns when the result is on the host.
        build_reference: makes the plain form, so that its memory is not counted as ours; None where there is none.
        flops: unavoidable arithmetic of one run, called after the first one; None where products do not matter.
        reference_share: work of one run of the plain form as a part of one unit of ours; its time is divided by it (a
            sequential search of 256 videos is timed on fewer).
        repeats: units of work in one run of `ours`, by which its time is divided.
        pairs: turns wanted, for cases whose plain form is quick.
        extra: further columns, called after the measurement.
    """

    ours: Work
    build_reference: Callable[[], Work] | None = None
    flops: Callable[[], float] | None = None
    reference_share: float = 1.0
    repeats: int = 1
    pairs: int | None = None
    extra: Callable[[], dict[str, Any]] = dict


@dataclasses.dataclass(frozen=True)
class Options:
    """What the worker is told.

    Attributes:
        name: entry, such as "xe_step".
        batch: videos in one run.
        vocabulary: V.
        threads: threads of one operation.
        pairs: turns of the comparison.
        material: path of the .npz file (`material.save`).
        reference: whether the plain form is run.
        folder: scratch folder.
    """

    name: str
    batch: int
    vocabulary: int
    threads: int
    pairs: int
    material: str
    reference: bool
    folder: str
