"""The table of `glrg ablate ingredients`: means and deviations over seeds, paired differences over videos, variety."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glrg_tf.io import atomic
from training.ablation import StudyData
from training.ablation_results import difference, score
from training.ingredients import BASE, METRICS, Ingredient, read

_HEAD = ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr", "CIDEr gained", "distinct", "words", "novel", "time", "seeds")
_SHOWN = ("Bleu_4", "METEOR", "ROUGE_L", "CIDEr")


def summarise(rows: Sequence[Ingredient], data: StudyData, out: str | os.PathLike[str], command: str) -> dict[str, Any]:
    """The document of the study so far.

    The difference of a row to the first is that of CIDEr, mean over the seeds that both have, with a 95 % interval of a
    paired bootstrap over videos. `time` is that of decoding, in multiples of the first row's.
    """
    found = {row.key: dict(read(row, out)) for row in rows}
    base = found.get(BASE, {})
    entries = []
    for row in rows:
        results = found[row.key]
        scores = {metric: [result["scores"][metric] for result in results.values()] for metric in METRICS}
        entry: dict[str, Any] = {"row": row.key, "label": row.label, "seeds": list(results), "scores": scores}
        entry |= {"decoding": row.decoding, "mean": {}, "deviation": {}}
        for metric, values in scores.items():
            entry["mean"][metric] = float(np.mean(values)) if values else None
            entry["deviation"][metric] = float(np.std(values, ddof=1)) if len(values) > 1 else None
        shared = [seed for seed in results if seed in base]
        if shared and row.key != BASE:
            entry["difference"] = difference(
                *(np.mean([side[seed]["per_video"]["CIDEr"] for seed in shared], axis=0) for side in (results, base))
            )
            gains = {m: [results[s]["scores"][m] - base[s]["scores"][m] for s in shared] for m in METRICS}
            entry["lower"] = [metric for metric, values in gains.items() if np.mean(values) < 0]
        if results:
            variety = [result["variety"] for result in results.values()]
            entry["variety"] = {k: float(np.mean([v[k] for v in variety])) for k in ("distinct", "vocabulary", "novel")}
            entry["milliseconds"] = float(np.mean([result["milliseconds"] for result in results.values()]))
        entries.append(entry)
    first = entries[0].get("milliseconds") if entries else None
    for entry in entries:
        entry["time"] = entry["milliseconds"] / first if first and "milliseconds" in entry else None
    videos = next((len(result["ids"]) for results in found.values() for result in results.values()), 0)
    about = {"study": "ingredients", "title": "what each ingredient of glrg-plus is worth", "data": data.name}
    about |= {"split": data.split, "data_sha256": data.digest, "videos": videos, "command": command}
    return {**about, "rows": entries}


def cells(document: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table for people; "–" where nothing is known."""
    lines = []
    for row in document["rows"]:
        line = [row["label"], *(score(row, metric) for metric in _SHOWN)]
        gap, variety = row.get("difference"), row.get("variety")
        line.append(f"{gap['mean']:+.1f} [{gap['low']:+.1f}, {gap['high']:+.1f}]" if gap else "")
        if variety:
            line += [f"{variety['distinct']:.0f}", f"{variety['vocabulary']:.0f}", f"{100 * variety['novel']:.0f} %"]
        else:
            line += ["–"] * 3
        line += [f"{row['time']:.1f}×" if row["time"] else "–", str(len(row["seeds"]))]
        lines.append(line)
    return list(_HEAD), lines


def markdown(document: dict[str, Any]) -> str:
    """The table as Markdown, with what it was made from and the command that repeats it."""
    head, rows = cells(document)
    lines = [f"### {document['title'].capitalize()}", "", "| captioner | " + " | ".join(head) + " |"]
    lines += ["|---" * (len(head) + 1) + "|", *("| " + " | ".join(row) + " |" for row in rows), ""]
    lines += [
        f"{document['data']}, {document['videos']} videos of {document['split']}; mean ± deviation over seeds. Gained: "
        "mean over the seeds, with the 95 % interval of a paired bootstrap over videos. Distinct captions, different "
        "words in them, share that is no training caption; time of decoding against the first row.",
        "",
        f"    {document['command']}",
        "",
    ]
    return "\n".join(lines)


def write(document: dict[str, Any], out: str | os.PathLike[str]) -> list[Path]:
    """Writes OUT/ingredients.json, .md and .png; returns the paths."""
    from training.ablation_plot import plot

    paths = [Path(out) / f"ingredients.{ending}" for ending in ("json", "md", "png")]
    atomic.write_json(paths[0], document)
    atomic.write_text(paths[1], markdown(document))
    plot(document, paths[2])
    return paths
