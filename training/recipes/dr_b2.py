"""Boosting against the mean reward of the video's samples (b2), from --start."""

from __future__ import annotations

import dataclasses

from training.recipes.base import BOOSTING, Recipe, run_config

RECIPE = Recipe(
    "dr-b2",
    "Boosting against the mean reward of the video's samples (b2), from --start",
    ("dr",),
    run_config(dataclasses.replace(BOOSTING, baseline="b2")),
)
