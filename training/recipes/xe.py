"""Cross-entropy from scratch (GL-RG Table 1, 'XE')."""

from __future__ import annotations

from training.recipes.base import Recipe, run_config

RECIPE = Recipe("xe", "Cross-entropy from scratch (GL-RG Table 1, 'XE')", ("xe",), run_config())
