"""Boosting against the greedy caption's reward (self-critical), from --start."""

from __future__ import annotations

import dataclasses

from training.recipes.base import BOOSTING, Recipe, run_config

RECIPE = Recipe(
    "scst",
    "Boosting against the greedy caption's reward (self-critical), from --start",
    ("dr",),
    run_config(dataclasses.replace(BOOSTING, baseline="scst")),
)
