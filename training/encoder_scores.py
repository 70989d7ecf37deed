"""How well scores rank and name labels: area under the ROC curve, average precision, accuracy."""

from __future__ import annotations

import numpy as np


def roc_auc(scores: np.ndarray, truths: np.ndarray) -> float:
    """Probability that a positive scores above a negative, ties as half; NaN without both.

    Args:
        scores: float (n,).
        truths: bool (n,).
    """
    positives = int(truths.sum())
    negatives = len(truths) - positives
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # mean rank of ties, from 1
    return float((ranks[truths].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(scores: np.ndarray, truths: np.ndarray) -> float:
    """Mean over the positives of the precision at their score (ties share the whole group's); NaN without any."""
    positives = int(truths.sum())
    if not positives:
        return float("nan")
    values, inverse = np.unique(-scores, return_inverse=True)
    hits = np.bincount(inverse, weights=truths, minlength=len(values))
    seen = np.cumsum(np.bincount(inverse, minlength=len(values)))
    return float(np.sum(hits * np.cumsum(hits) / seen) / positives)


def summary(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """The figures of a validation.

    Args:
        probabilities: float32 (n, D).
        targets: float32 (n, D), 0..1; a label counts as true from any positive target.

    Returns:
        `auc` and `ap`, means over the labels that occur; `single`, the share of rows with exactly one true label, and
        `accuracy`, the share of those in which that label scores highest. NaN where undefined.
    """
    truths = targets > 0
    aucs = [roc_auc(probabilities[:, i], truths[:, i]) for i in range(truths.shape[1])]
    precisions = [average_precision(probabilities[:, i], truths[:, i]) for i in range(truths.shape[1])]
    single = truths.sum(axis=1) == 1
    right = probabilities[single].argmax(axis=1) == truths[single].argmax(axis=1)
    accuracy = float(right.mean()) if single.any() else float("nan")
    return {"auc": _mean(aucs), "ap": _mean(precisions), "accuracy": accuracy, "single": float(single.mean())}


def by_label(probabilities: np.ndarray, targets: np.ndarray, labels: tuple[str, ...]) -> list[dict[str, float | str]]:
    """One row a label: its rows that are true, AUC and AP (None where undefined)."""
    rows: list[dict[str, float | str]] = []
    for number, label in enumerate(labels):
        truths = targets[:, number] > 0
        auc, ap = roc_auc(probabilities[:, number], truths), average_precision(probabilities[:, number], truths)
        rows.append({"label": label, "positives": int(truths.sum()), "auc": _plain(auc), "ap": _plain(ap)})
    return rows


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else value
