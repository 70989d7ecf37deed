"""Where downloads, and what is made of them, are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$GLRG_CACHE`, else `glrg-tf` in the user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`)."""
    own = os.environ.get("GLRG_CACHE")
    if own:
        return Path(own)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "glrg-tf"
