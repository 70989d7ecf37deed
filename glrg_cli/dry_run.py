"""What the `--dry-run` of several commands share: times and sizes as exact as they deserve."""

from __future__ import annotations


def about(seconds: float) -> str:
    """A time: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def megabytes(size: float) -> str:
    """A size: "0.4 MB", "120 MB"."""
    return f"{size / 1e6:.1f} MB" if size < 1e7 else f"{size / 1e6:,.0f} MB"
