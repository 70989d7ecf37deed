"""The small captioner of the sample world, decoded as `glrg-plus` is. Scores: docs/glrg-plus.md.

A beam of 10: in so small a network a wider one gains nothing and takes more than three times as long.
"""

from __future__ import annotations

import dataclasses

from training.recipes import world
from training.recipes.base import Recipe
from training.recipes.glrg_plus import decoded_by_content

RECIPE: Recipe = dataclasses.replace(
    world.RECIPE,
    name="world-plus",
    summary="world, decoded by what the features foretell of the captions",
    config=decoded_by_content(world.RECIPE.config, beam=10),
)
