"""Recipes: named settings, one file each, with the command, the time and the scores to expect."""

from __future__ import annotations

import difflib
import importlib

from glrg_tf.errors import ConfigError
from training.recipes.base import Recipe

NAMES = ("xe", "dxe", "dr-b1", "dr-b2", "scst", "glrg", "glrg-plus", "world", "world-plus")


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ConfigError: unknown name; the nearest known one is named.
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        remedy = f"did you mean '{near[0]}'?" if near else "known: " + ", ".join(NAMES)
        raise ConfigError(f"unknown recipe '{name}'", where="--recipe", remedy=remedy)
    return importlib.import_module(f"training.recipes.{name.replace('-', '_')}").RECIPE
