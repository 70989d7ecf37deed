"""What an encoder's training tells its owner, and by what it compares epochs."""

from __future__ import annotations

from typing import Protocol


class EncoderReporter(Protocol):
    """What a run tells its owner."""

    def work(self, name: str, total: int, unit: str) -> None:
        """A piece of work of `total` units begins."""

    def advance(self, n: int, **fields: object) -> None:
        """`n` units of it are done."""

    def message(self, text: str) -> None:
        """One sentence."""


class SilentReporter(EncoderReporter):
    """Tells nobody."""


def judged(row: dict[str, float]) -> float:
    """What makes an epoch better: accuracy where every row has one label, else mean AP, else less training loss."""
    if row.get("val_single") == 1.0:
        return row["val_accuracy"]
    return row.get("val_ap", -row["loss"])


def best_row(history: list[dict[str, float]]) -> dict[str, float]:
    """The row of the best epoch, the first of equals."""
    return max(history, key=judged)


def epoch_line(row: dict[str, float], epochs: int) -> str:
    """An epoch in one line."""
    parts = [f"epoch {row['epoch']:.0f}/{epochs}", f"loss {row['loss']:.4f}"]
    known = (("val_loss", "val loss", 4), ("val_auc", "AUC", 3), ("val_ap", "AP", 3), ("val_accuracy", "accuracy", 3))
    parts += [f"{name} {row[key]:.{digits}f}" for key, name, digits in known if key in row]
    return "  ".join([*parts, f"{row['seconds']:.1f} s"])
