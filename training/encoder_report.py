"""The report of an encoder's training: scores by label on the splits that were not trained on, and a picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from glrg_tf.io import atomic
from training import encoder_scores
from training.encoders import EncoderTrainer, Trained

_SPLITS = ("val", "test")
_BARS = 40  # most labels in the picture: the strongest and the weakest


def write_report(trainer: EncoderTrainer, trained: Trained) -> dict[str, Any]:
    """Writes `report.json` and `report.png` into the run folder and returns the former; every worker calls it.

    Args:
        trainer: after `train`, holding the best weights.
        trained: its result.
    """
    spec = trainer.stream.spec
    labels = spec.labels or tuple(str(number) for number in range(spec.width))
    splits = {}
    for split in _SPLITS:
        if not trainer.material.split(split):
            continue
        source = trainer.validation if split == "val" else trainer.source(split)
        if len(source):
            probabilities, targets = trainer.predict(source)
            figures = {k: v for k, v in encoder_scores.summary(probabilities, targets).items() if not np.isnan(v)}
            rows = encoder_scores.by_label(probabilities, targets, labels)
            splits[split] = {"videos": len(source), "positions": len(targets), **figures, "labels": rows}
    report = {
        "stream": spec.name,
        "kind": spec.kind,
        "width": spec.width,
        "parameters": int(trainer.model.count_params()),
        "epochs": len(trained.history),
        "best": trained.best,
        "reason": trained.reason,
        "seconds": round(sum(row["seconds"] for row in trained.history), 2),
        "splits": splits,
        "history": list(trained.history),
    }
    trainer.workers.on_chief(lambda: _write(report, trainer.run))
    return report


def _write(report: dict[str, Any], run: Path) -> None:
    atomic.write_json(run / "report.json", report)
    draw_report(report, run / "report.png")


def draw_report(report: dict[str, Any], path: Path) -> None:
    """The learning curve beside the average precision of each label, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    curve, bars = figure.subplots(1, 2, width_ratios=(2, 3))
    history = report["history"]
    epochs = [row["epoch"] for row in history]
    curve.plot(epochs, [row["loss"] for row in history], color="tab:gray", label="training loss")
    for key, name in (("val_ap", "val mean AP"), ("val_auc", "val mean AUC"), ("val_accuracy", "val accuracy")):
        if all(key in row for row in history) and (key != "val_accuracy" or history[-1].get("val_single") == 1.0):
            curve.plot(epochs, [row[key] for row in history], marker=".", label=name)
    curve.set(title=f"{report['stream']}: {report['width']} labels", xlabel="epoch", ylim=(0, None))
    curve.grid(alpha=0.3)
    curve.legend()
    _draw_labels(bars, report["splits"])
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    atomic.write_bytes(path, picture.getvalue())


def _draw_labels(axes: Any, splits: dict[str, Any]) -> None:
    split = "test" if "test" in splits else next(iter(splits), None)
    rows = [row for row in splits[split]["labels"] if row["ap"] is not None] if split else []
    if not rows:
        axes.set_axis_off()
        return
    rows.sort(key=lambda row: -row["ap"])
    shown = rows if len(rows) <= _BARS else rows[: _BARS // 2] + rows[-_BARS // 2 :]
    places = np.arange(len(shown))
    rows_judged = splits[split]["positions"]
    axes.bar(places, [row["ap"] for row in shown], color="tab:blue", label="AP")
    chance = [row["positives"] / rows_judged for row in shown]
    axes.plot(places, chance, "_", color="tab:red", markersize=9, label="AP of chance")
    axes.set_xticks(places, [row["label"][:18] for row in shown], rotation=90, fontsize=8)
    left_out = f", {len(shown)} of {len(rows)} labels" if len(shown) < len(rows) else ""
    axes.set(title=f"average precision by label ({split}{left_out})", ylim=(0, 1))
    axes.legend(loc="upper right")
