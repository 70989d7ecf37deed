"""Charts of an explanation: when each word was driven, and by which concepts."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np

from glrg_tf.errors import ConfigError
from glrg_tf.explain.explanation import Explanation
from glrg_tf.io import atomic

SUFFIXES = (".png", ".svg", ".pdf")
_TOP = 5  # concepts of a word
_LEAST = 0.1  # nats: words that no concept moves more than this have no bars


def check_chart(path: str | os.PathLike[str]) -> None:
    """Refuses file names no chart can be written to, before any work is done.

    Raises:
        ConfigError: an ending that is none of ours.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise ConfigError("cannot tell the kind of picture", where=path, remedy="end it in " + ", ".join(SUFFIXES))


def write_time_chart(explanation: Explanation, path: str | os.PathLike[str]) -> None:
    """Writes the chart word x time: how well each moment alone predicts each word, from its worst to its best.

    Raises:
        ConfigError: unknown suffix, or features of one moment only.
    """
    if explanation.pooled:
        raise ConfigError(
            "the features are pooled: they tell no moments apart", remedy="extract them with --per-position"
        )
    chart, words = explanation.chart(), explanation.words
    figure, axes = _figure((7.0, 1.0 + 0.28 * len(words)))
    moments = explanation.moments
    half = (moments[1] - moments[0]) / 2 if len(moments) > 1 else 0.5
    extent = (moments[0] - half, moments[-1] + half, len(words) - 0.5, -0.5)
    axes.imshow(chart.T, aspect="auto", cmap="viridis", vmin=0, vmax=1, extent=extent, interpolation="nearest")
    axes.set_yticks(range(len(words)), words)
    for tick, known in zip(axes.get_yticklabels(), explanation.query.known, strict=True):
        tick.set_color("black" if known else "#999999")
    axes.set_xlabel("seconds" if explanation.frame_rate else "position")
    axes.set_title("When each word was seen", fontsize=10, loc="left")
    _save(figure, path)


def write_concept_chart(explanation: Explanation, path: str | os.PathLike[str], top: int = _TOP) -> None:
    """Writes bars of the concepts that helped each word most: what the word loses without them, in nats.

    Raises:
        ConfigError: unknown suffix, or an explanation without concepts.
    """
    if explanation.concepts is None:
        raise ConfigError("this explanation has no concepts", remedy="explain with concepts=True")
    strongest = explanation.concepts[0].effects.max(axis=0)
    words = np.flatnonzero(explanation.query.known & (strongest >= min(_LEAST, strongest.max())))
    columns = min(3, len(words))
    rows = -(-len(words) // columns)
    figure, axes = _figure((3.4 * columns, (0.5 + 0.21 * top) * rows), rows, columns)
    places = np.ravel(axes)
    for panel in places:
        panel.set_visible(False)
    for panel, word in zip(places, words, strict=False):
        panel.set_visible(True)
        found = explanation.concepts[0].top(int(word), top)[::-1]
        values = [value for _, value in found]
        panel.barh(range(len(found)), values, color=["#2563a8" if value > 0 else "#b0b7bf" for value in values])
        panel.set_yticks(range(len(found)), [name for name, _ in found], fontsize=7)
        panel.tick_params(axis="x", labelsize=7)
        panel.locator_params(axis="x", nbins=4)
        panel.set_title(explanation.words[word], fontsize=9, loc="left")
        panel.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _figure(size: tuple[float, float], rows: int = 1, columns: int = 1):  # noqa: ANN202 - matplotlib's own types
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", dpi=100)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=rows * columns == 1)


def _save(figure, path: str | os.PathLike[str]) -> None:  # noqa: ANN001 - matplotlib's own types
    check_chart(path)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=Path(path).suffix[1:].lower())
    atomic.write_bytes(path, buffer.getvalue())
