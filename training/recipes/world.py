"""A small captioner for the sample world and for first tries on little data: DXE, then DR (b2).

    glrg world --out data/world && glrg data import table data/world/captions.jsonl --out …    (docs/world.md)
    glrg train --data data/world/dataset --out runs/world --recipe world

Two to three minutes on two cores with 280 training clips. Scores: docs/world.md.
"""

from __future__ import annotations

from glrg_tf.captioner.presets import CaptionerConfig
from training.config import PhaseConfig, RunConfig
from training.recipes.base import Recipe

_MODEL = CaptionerConfig(pool_size=192, embedding_size=128, hidden_size=192)
_SEEDING = PhaseConfig(epochs=50, patience=15, batch_size=16, captions_per_video=12, learning_rate=2e-3)
_BOOSTING = PhaseConfig(
    epochs=20, patience=20, batch_size=16, captions_per_video=12, learning_rate=3e-4, baseline="b2", ema_decay=0.98
)

RECIPE = Recipe(
    "world",
    "A small captioner for the sample world: DXE, then DR (b2)",
    ("dxe", "dr"),
    RunConfig(model=_MODEL, xe=_SEEDING, dxe=_SEEDING, dr=_BOOSTING),
    sized=False,
)
