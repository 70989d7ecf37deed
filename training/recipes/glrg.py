"""The paper's curriculum: DXE from scratch, then DR (b2) from the best DXE."""

from __future__ import annotations

from training.recipes.base import Recipe, run_config

RECIPE = Recipe(
    "glrg", "The paper's curriculum: DXE from scratch, then DR (b2) from the best DXE", ("dxe", "dr"), run_config()
)
