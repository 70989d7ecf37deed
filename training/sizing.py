"""Settings that follow from how much there is to train on: passes, patience, batch, captions a video, rare words.

Recipes are written for 347 training videos, where 75 epochs of seeding are enough (docs/LOG.md); 6,513 videos want 30
(the paper). In between and around lies a power law, and every recipe's epochs are scaled by it. Recipes made for one
size (`world`) say so and are left alone, and whatever is set by hand stays.
"""

from __future__ import annotations

import dataclasses
import math

from training.config import PhaseConfig, RunConfig

_SMALL, _LARGE = (347, 75), (6513, 30)  # training videos, epochs of seeding
_SLOPE = math.log(_SMALL[1] / _LARGE[1]) / math.log(_LARGE[0] / _SMALL[0])
_MOST_EPOCHS, _FEWEST_EPOCHS = 150, 10
_STEPS = 6  # an epoch has at least so many steps: smaller data takes smaller batches
_RARE = ((1500, 3), (300, 2), (0, 1))  # captions from which a word must occur so often


def fit(config: RunConfig, videos: int, captions: int) -> tuple[RunConfig, dict[str, int]]:
    """The settings for a training split of that size.

    Args:
        config: a recipe's; never made larger than it where memory or words would suffer.
        videos: of the training split.
        captions: of all of them.

    Returns:
        The settings, and those that changed by their dotted names.
    """
    if videos < 1 or captions < 1:
        return config, {}
    fitted = dataclasses.replace(
        config,
        min_count=min(config.min_count, next(count for least, count in _RARE if captions >= least)),
        xe=_fit_phase(config.xe, videos, captions, seeding=True),
        dxe=_fit_phase(config.dxe, videos, captions, seeding=True),
        dr=_fit_phase(config.dr, videos, captions, seeding=False),
    )
    changed = {"min_count": fitted.min_count} if fitted.min_count != config.min_count else {}
    for phase in ("xe", "dxe", "dr"):
        before, after = config.phase(phase), fitted.phase(phase)  # type: ignore[arg-type]
        for name in ("epochs", "patience", "batch_size", "captions_per_video"):
            if getattr(after, name) != getattr(before, name):
                changed[f"{phase}.{name}"] = getattr(after, name)
    return fitted, changed


def seeding_epochs(videos: int) -> int:
    """Passes of XE or DXE that the paper's recipes make, to the nearest 5."""
    epochs = _SMALL[1] * (_SMALL[0] / videos) ** _SLOPE
    return int(min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, 5 * round(epochs / 5))))


def _fit_phase(phase: PhaseConfig, videos: int, captions: int, *, seeding: bool) -> PhaseConfig:
    batch = min(phase.batch_size, max(4, videos // _STEPS))
    if not seeding:
        return dataclasses.replace(phase, batch_size=batch)  # its captions are samples: as many as asked for
    scale = seeding_epochs(videos) / _SMALL[1]
    return dataclasses.replace(
        phase,
        epochs=max(1, round(phase.epochs * scale)),
        patience=max(8, round(phase.patience * scale)) if phase.patience else 0,
        batch_size=batch,
        captions_per_video=min(phase.captions_per_video, -(-captions // videos)),
    )
