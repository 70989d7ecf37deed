"""Consensus-weighted cross-entropy from scratch ('DXE')."""

from __future__ import annotations

from training.recipes.base import Recipe, run_config

RECIPE = Recipe("dxe", "Consensus-weighted cross-entropy from scratch ('DXE')", ("dxe",), run_config())
