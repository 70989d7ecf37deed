"""Boosting against the references' mean consensus (b1), from --start."""

from __future__ import annotations

import dataclasses

from training.recipes.base import BOOSTING, Recipe, run_config

RECIPE = Recipe(
    "dr-b1",
    "Boosting against the references' mean consensus (b1), from --start",
    ("dr",),
    run_config(dataclasses.replace(BOOSTING, baseline="b1")),
)
