"""What a study says: means and deviations over seeds, differences between rows, tables for people and programs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glrg_tf.io import atomic
from training.ablation import METRICS, RESULT, Row, StudyData, Table, job_folder
from training.ablation_job import read_result
from training.ablation_tables import PUBLISHED_ON

HEADS = {"Bleu_4": "BLEU-4", "METEOR": "METEOR", "ROUGE_L": "ROUGE-L", "CIDEr": "CIDEr"}
_RESAMPLES = 2000


def summarise(table: Table, data: StudyData, out: str | os.PathLike[str], command: str) -> dict[str, Any]:
    """The document of a table: every row with the scores of the seeds that are finished.

    The difference to the reference row is that of CIDEr, mean over the seeds, with a 95 % interval of a paired
    bootstrap over videos; it says nothing of other seeds: their deviation stands beside the means.

    Args:
        table: what was studied.
        data: on what.
        out: folder of the study.
        command: repeats it.
    """
    found = {row.key: _results(row, out) for row in table.rows}
    reference = _cider_by_video(found[table.reference]) if found.get(table.reference) else None
    rows = []
    for row in table.rows:
        results = found[row.key]
        scores = {metric: [result["scores"][metric] for _, result in results] for metric in METRICS}
        entry: dict[str, Any] = {"row": row.key, "label": row.label, "seeds": [seed for seed, _ in results]}
        if row.streams:
            entry["streams"] = list(row.streams)
        entry |= {"scores": scores, "mean": {}, "deviation": {}, "published": row.published}
        for metric, values in scores.items():
            entry["mean"][metric] = float(np.mean(values)) if values else None
            entry["deviation"][metric] = float(np.std(values, ddof=1)) if len(values) > 1 else None
        if reference is not None and row.key != table.reference and results:
            entry["difference"] = difference(_cider_by_video(results), reference)
        entry["seconds"] = sum(sum(result["seconds"].values()) for _, result in results)
        rows.append(entry)
    about = {"table": table.name, "paper_table": table.number, "title": table.title, "reference": table.reference}
    about |= {"data": data.name, "split": data.split, "data_sha256": data.digest, "videos": _videos(found)}
    return {**about, "published_on": PUBLISHED_ON, "command": command, "rows": rows}


def cells(document: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a table for people; "–" where a row has no finished seed."""
    rows = document["rows"]
    published, differs = any(row["published"] for row in rows), any("difference" in row for row in rows)
    head = [*HEADS.values(), "seeds"]
    best = next((row["label"] for row in rows if row["row"] == document["reference"]), "")
    head += [f"CIDEr minus that of “{best}”"] if differs else []
    head += [f"published ({PUBLISHED_ON})"] if published else []
    lines = []
    for row in rows:
        line = [row["label"], *(score(row, metric) for metric in METRICS), str(len(row["seeds"]))]
        if differs:
            gap = row.get("difference")
            line.append(f"{gap['mean']:+.1f} [{gap['low']:+.1f}, {gap['high']:+.1f}]" if gap else "")
        if published:
            figures = row["published"]
            line.append(" / ".join(f"{figures[m]:.1f}" if m in figures else "–" for m in METRICS) if figures else "")
        lines.append(line)
    return head, lines


def score(row: dict[str, Any], metric: str) -> str:
    """Mean ± deviation in per cent."""
    mean, deviation = row["mean"][metric], row["deviation"][metric]
    if mean is None:
        return "–"
    return f"{100 * mean:.1f}" + (f" ± {100 * deviation:.1f}" if deviation is not None else "")


def markdown(document: dict[str, Any], varies: str) -> str:
    """The table as Markdown, with what it was made from and the command that repeats it."""
    head, rows = cells(document)
    lines = [f"### Table {document['paper_table']}: {document['title']}", ""]
    lines += [f"| {varies} | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += [
        "",
        f"{document['data']}, {document['videos']} videos of {document['split']}; mean ± deviation over seeds.",
    ]
    lines += ["The difference is of the mean over the seeds; 95 % interval of a paired bootstrap over videos.", ""]
    return "\n".join([*lines, f"    {document['command']}", ""])


def write(document: dict[str, Any], table: Table, out: str | os.PathLike[str]) -> list[Path]:
    """Writes OUT/<table>.json, .md and .png; returns the paths."""
    from training.ablation_plot import plot

    paths = [Path(out) / f"{table.name}.{ending}" for ending in ("json", "md", "png")]
    atomic.write_json(paths[0], document)
    atomic.write_text(paths[1], markdown(document, table.varies))
    plot(document, paths[2])
    return paths


def _results(row: Row, out: str | os.PathLike[str]) -> list[tuple[int, dict[str, Any]]]:
    folders = [(job.seed, job_folder(out, job)) for job in row.jobs]
    return [(seed, read_result(folder)) for seed, folder in folders if (folder / RESULT).is_file()]


def _cider_by_video(results: Sequence[tuple[int, dict[str, Any]]]) -> np.ndarray:
    """CIDEr float64 (N,) of every video, mean over the seeds."""
    return np.mean([result["per_video"]["CIDEr"] for _, result in results], axis=0)


def difference(values: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Mean of the paired differences in points of CIDEr, and its interval over videos.

    Args:
        values: float64 (N,), CIDEr of every video.
        reference: float64 (N,), of the same videos.
    """
    gaps = 100 * (values - reference)
    rng = np.random.default_rng(0)
    means = gaps[rng.integers(len(gaps), size=(_RESAMPLES, len(gaps)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"mean": float(gaps.mean()), "low": float(low), "high": float(high)}


def _videos(found: dict[str, list[tuple[int, dict[str, Any]]]]) -> int:
    return next((len(result["ids"]) for results in found.values() for _, result in results), 0)
