"""A table of a study as a picture: a panel a metric, every seed a dot, the mean a bar, the published figure a ring."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np

from glrg_tf.io import atomic
from training.ablation import METRICS

_HEADS = ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr")
_BAR, _DOT, _RING = "#b9d3ee", "#17406d", "#b2501e"


def plot(document: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Draws the document of `ablation_results.summarise` into a PNG.

    Args:
        document: rows of the table.
        path: the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = document["rows"]
    places = np.arange(len(rows))[::-1]
    figure = Figure(figsize=(12, 1.4 + 0.42 * len(rows)), dpi=130, layout="constrained")
    axes = figure.subplots(1, len(METRICS), sharey=True)
    for axis, metric, head in zip(axes, METRICS, _HEADS, strict=True):
        for place, row in zip(places, rows, strict=True):
            values = [100 * value for value in row["scores"][metric]]
            if values:
                axis.barh(place, np.mean(values), 0.62, color=_BAR, zorder=1)
                axis.plot(values, [place] * len(values), "o", color=_DOT, markersize=4, zorder=3)
            if metric in row.get("published", {}):
                axis.plot(row["published"][metric], place, "D", color=_RING, markersize=5, fillstyle="none", zorder=2)
        axis.set_title(head, fontsize=10)
        axis.grid(axis="x", color="#e3e6ea", zorder=0)
        axis.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
        axis.tick_params(length=0, labelsize=8)
    axes[0].set_yticks(places, [row["label"] for row in rows])
    seeds = max((len(row["seeds"]) for row in rows), default=0)
    about = f"{document['data']}, {document['videos']} videos of {document['split']}, {seeds} seeds"
    number = f"Table {document['paper_table']}: " if document.get("paper_table") else ""
    figure.suptitle(f"{number}{document['title']} ({about})", fontsize=10, x=0.01, ha="left")
    rings = any(row.get("published") for row in rows)
    note = f"◇ published: {document['published_on']}" if rings else ""
    figure.supxlabel(f"per cent · dots: seeds{' · ' + note if note else ''}", fontsize=8)
    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture)
    atomic.write_bytes(path, picture.getvalue())
