"""A small picture of a benchmark run: seconds of ours, the plain form and the floor, one group an entry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glrg_tf.errors import ConfigError

_SERIES = (("reference_s", "plain form", "#b8b8b8"), ("peer_s", "peer", "#8a6d3b"), ("ours_s", "glrg", "#1f6f8b"))


def write(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws `rows` into a PNG file.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise ConfigError("the plot needs matplotlib", where=path, remedy="pip install matplotlib") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    series = [entry for entry in _SERIES if any(row.get(entry[0]) for row in rows)]
    height = 0.8 / len(series)
    figure, axis = pyplot.subplots(figsize=(7, 1 + 0.45 * len(rows)), layout="constrained")
    for place, (column, label, colour) in enumerate(series):
        values = [row.get(column) or 0.0 for row in rows]
        offsets = [index + place * height for index in range(len(rows))]
        axis.barh(offsets, values, height, label=label, color=colour)
    middle = height * (len(series) - 1) / 2
    for index, row in enumerate(rows):
        if row.get("floor_s"):
            axis.plot([row["floor_s"]] * 2, [index - height / 2, index + 0.8 - height / 2], color="black", lw=1.5)
        if row.get("ratio"):
            axis.annotate(f" {row['ratio']:.1f}x", (row["ours_s"], index + height * (len(series) - 1)), va="center")
    axis.plot([], [], color="black", lw=1.5, label="arithmetic floor")
    axis.set_yticks([i + middle for i in range(len(rows))], [f"{row['name']} · {row['batch']}" for row in rows])
    axis.set(xscale="log", xlabel="seconds a run, log scale")
    axis.invert_yaxis()
    axis.legend(fontsize="small", frameon=False)
    axis.set_title(f"vocabulary {rows[0]['vocabulary']}, {rows[0]['threads']} thread(s)", fontsize="medium")
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
