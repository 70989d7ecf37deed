"""An explanation as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glrg_cli.common import Console

if TYPE_CHECKING:
    from glrg_tf.explain.explanation import Explanation

_TOP = 3  # concepts of a word


def show(explanation: Explanation, console: Console) -> None:
    """Prints the sentence and, for each word, when and where it was seen best and what drove it."""
    for text in explanation.warnings:
        console.warning(text)
    console.line(explanation.sentence)
    rows = []
    for entry in _words(explanation):
        if not entry["known"]:
            rows.append((entry["word"], "-", "-", "-", "not a word of the captioner"))
            continue
        drivers = ", ".join(f"{name} {gain:+.2f}" for name, gain in entry["concepts"])
        when = f"{entry['second']:.1f}" if "second" in entry else str(entry.get("position", "-"))
        where = "{},{}".format(*entry["point"]) if "point" in entry else "-"
        rows.append((entry["word"], f"{entry['log_prob']:.2f}", when, where, drivers))
    time = "second" if explanation.frame_rate else "position"
    console.table("", ("word", "ln p", time, "x,y", "driven by (nats lost without it)"), rows)
    if explanation.scored < 1.0:
        share = f"{explanation.scored:.0%} of the cells were scored, the others lie between them"
        console.info(f"{share} (within {explanation.error:.2f} nats in nine of ten of the oddest; --exact scores all)")
    if not explanation.has_maps:
        told = "why" if explanation.pooled else "when and why"
        console.info(f"without frames and a map of them this tells {told}, not where")


def to_json(explanation: Explanation) -> dict[str, Any]:
    """The explanation for programs, without its maps."""
    document: dict[str, Any] = {
        "sentence": explanation.sentence,
        "mode": explanation.mode,
        "frames": explanation.frame_count,
        "frames_explained": len(explanation.frames),
        "moments": [round(float(moment), 3) for moment in explanation.moments],
        "words": [
            {**entry, "concepts": [{"name": name, "nats": gain} for name, gain in entry["concepts"]]}
            for entry in _words(explanation)
        ],
    }
    if explanation.has_maps:
        document["cells_scored"] = round(explanation.scored, 4)
        document["cells_error"] = round(explanation.error, 4)
    if explanation.warnings:
        document["warnings"] = list(explanation.warnings)
    return document


def _words(explanation: Explanation) -> list[dict[str, Any]]:
    chart = explanation.chart()
    entries: list[dict[str, Any]] = []
    for number, word in enumerate(explanation.words):
        known = bool(explanation.query.known[number])
        entry: dict[str, Any] = {"word": word, "known": known, "concepts": []}
        if known:
            entry["log_prob"] = float(explanation.word_log_probs[number])
            entry |= _best(explanation, number)
            entry["when"] = [round(float(value), 4) for value in chart[:, number]]
            if explanation.concepts is not None:
                entry["concepts"] = explanation.concepts[0].top(number, _TOP)
        entries.append(entry)
    return entries


def _best(explanation: Explanation, word: int) -> dict[str, Any]:
    """The frame and the point that speak most for a word; without maps the moment."""
    if explanation.has_maps:
        row = explanation.best_frame(word)
        return {
            "second": round(float(explanation.seconds[row]), 3),
            "frame": int(explanation.frames[row]),
            "point": _point(explanation, row, word),
        }
    if explanation.pooled:
        return {}
    moment = int(explanation.temporal[:, word].argmax())
    return {"second": round(float(explanation.moments[moment]), 3)} if explanation.frame_rate else {"position": moment}


def _point(explanation: Explanation, row: int, word: int) -> list[int]:
    """Pixel (x, y) of the video that the strongest cell looks at."""
    cells = explanation.raw[row, word]
    first, second = (int(place) for place in np.unravel_index(int(cells.argmax()), cells.shape))
    y, x = explanation.view.centre((first, second), cells.shape, explanation.size)
    return [min(int(x), explanation.size[1] - 1), min(int(y), explanation.size[0] - 1)]
