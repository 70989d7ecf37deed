"""The page of `glrg report RUN…`, from the scores to the settings; the parts with captions: report_runs_captions.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from glrg_cli import report_runs_captions, report_runs_curves
from glrg_cli.final_scores import percent
from glrg_cli.html import charts, parts
from glrg_cli.html.markup import Html, Part, page, tag
from glrg_cli.progress import duration
from glrg_cli.report_run import PhaseReport, RunReport
from glrg_cli.report_runs_captions import Shown, choose
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.metrics.coco import bootstrap_interval, paired_differences

__all__ = ["Shown", "choose", "render"]

METRICS = {"Bleu_4": "BLEU-4", "METEOR": "METEOR", "ROUGE_L": "ROUGE-L", "CIDEr": "CIDEr"}
_CSS = """
.range { color: var(--soft); font-size: .85em; white-space: nowrap; } .quiet { color: var(--soft); font-size: .9rem; }
.scroll table { min-width: 34rem; }
"""


def render(title: str, runs: Sequence[RunReport], shown: Sequence[Shown]) -> str:
    """The whole page.

    Args:
        title: its head.
        runs: one or several.
        shown: the videos whose captions are shown, with frames where they are known.
    """
    body = [
        _scores(runs),
        _differences(runs),
        report_runs_curves.curves(runs),
        report_runs_curves.rewards(runs),
        report_runs_captions.variety(runs),
        report_runs_captions.cards(runs, shown),
        _epochs(runs),
        _settings(runs),
    ]
    return page(title, *[part for part in body if part is not None], lead=_lead(runs), css=charts.CSS + _CSS)


def _lead(runs: Sequence[RunReport]) -> list[Part]:
    first = runs[0]
    facts: dict[str, Part] = {"runs" if len(runs) > 1 else "run": ", ".join(run.name for run in runs)}
    datasets = {id(run.dataset): run.dataset for run in runs if run.dataset is not None}
    if datasets:
        facts["videos"] = "; ".join(map(_counts, datasets.values()))
    facts["phases"] = ", ".join(dict.fromkeys(phase.name.upper() for run in runs for phase in run.phases))
    facts["seed" if len(runs) == 1 else "seeds"] = ", ".join(str(run.config.get("seed", "?")) for run in runs)
    facts["training"] = ", ".join(duration(run.seconds) for run in runs)
    model = first.config["settings"].get("model", {})
    streams = ", ".join(f"{name} ({width})" for name, width in model.get("streams", []))
    if len(runs) == 1:
        facts |= {"reads": streams, "words it knows": f"{model.get('vocabulary_size', 0):,}"}
    missing = [run.name for run in runs if not run.last.stored]
    notes = parts.notes(f"{name} is not finished or was not judged: it has no scores" for name in missing)
    return [parts.facts(facts), notes]


def _counts(dataset: CaptionDataset) -> str:
    return f"{dataset.name}: " + ", ".join(f"{len(dataset.records(split))} {split}" for split in dataset.splits)


def _scores(runs: Sequence[RunReport]) -> Html | None:
    rows: list[list[Part]] = []
    for run in runs:
        for phase in run.phases:
            if phase.stored:
                start = [run.name, phase.name.upper()] if len(runs) > 1 else [phase.name.upper()]
                rows.append([*start, *_score_cells(phase), phase.split, len(phase.predictions) or "?"])
    if not rows:
        return None
    head = [*(["run"] if len(runs) > 1 else []), "phase", *METRICS.values(), "split", "videos"]
    about = "Per cent, as coco-caption prints them; in brackets 95 % intervals over videos (bootstrap): what another "
    about += "draw of videos would have given, not what another seed would have."
    if any(phase.split == "val" for run in runs for phase in run.phases):
        about += " val also chose the checkpoints: expect a little less on videos that were never looked at."
    return parts.section("Scores", parts.table(head, rows), tag("p", about, class_="quiet"), id_="scores")


def _score_cells(phase: PhaseReport) -> list[Part]:
    if phase.scores is not None:
        intervals: Any = bootstrap_interval(phase.scores)
        return [_with_interval(phase.scores.overall[metric], intervals[metric]) for metric in METRICS]
    stored, intervals = phase.stored["scores"], phase.stored.get("intervals", {})
    return [_with_interval(stored[metric], intervals.get(metric)) if metric in stored else "–" for metric in METRICS]


def _with_interval(score: float, interval: Any) -> Part:
    number, _, bounds = percent(score, interval).partition(" ")
    return [number, " ", tag("span", bounds, class_="range")]


def _differences(runs: Sequence[RunReport]) -> Html | None:
    pairs: list[tuple[str, PhaseReport, PhaseReport]] = []
    for run in runs:
        for before, phase in zip(run.phases, run.phases[1:], strict=False):
            pairs.append((f"{run.name}: {phase.name.upper()} against {before.name.upper()}", phase, before))
    pairs += [(f"{run.name} against {runs[0].name}", run.last, runs[0].last) for run in runs[1:]]
    rows: list[list[Part]] = []
    apart = []
    for name, phase, other in pairs:
        if phase.scores is None or other.scores is None:
            continue
        if phase.scores.ids != other.scores.ids:
            apart.append(f"{name}: judged on different videos, not compared")
            continue
        found = paired_differences(phase.scores, other.scores)
        rows.append([name, *(_difference(*found[metric]) for metric in METRICS)])
    if not rows and not apart:
        return None
    about = "Differences in points with 95 % intervals of a paired bootstrap over the same videos. Bold: the interval "
    about += "leaves 0 out. It speaks of these trainings on other videos, not of other seeds."
    table = parts.table(["", *METRICS.values()], rows) if rows else None
    return parts.section("Differences", table, parts.notes(apart), tag("p", about, class_="quiet"), id_="differences")


def _difference(gap: float, low: float, high: float) -> Part:
    number = f"{100 * gap:+.1f}"
    bounds = tag("span", f"[{100 * low:+.1f}, {100 * high:+.1f}]", class_="range")
    return [tag("b", number) if low > 0 or high < 0 else number, " ", bounds]


def _epochs(runs: Sequence[RunReport]) -> Html:
    rows: list[list[Part]] = []
    for run in runs:
        for phase in run.phases:
            settings = run.config["settings"].get(phase.name, {})
            rates = [value for value in phase.column("tokens_per_second") if value == value]
            rate = f"{sum(rates) / len(rates):,.0f}" if rates else "–"
            done = f"{len(phase.epochs)} of {settings.get('epochs', '?')}"
            name = f"{run.name}: {phase.name.upper()}" if len(runs) > 1 else phase.name.upper()
            seconds = duration(sum(phase.column("seconds")))
            rows.append([name, done, f"{phase.epochs[-1].get('step', 0):.0f}", seconds, rate])
    return parts.section(
        "Time", parts.table(["phase", "epochs", "steps", "training", "words a second"], rows), id_="time"
    )


def _settings(runs: Sequence[RunReport]) -> Html:
    flat = [_flatten(run.config["settings"]) | {"seed": run.config.get("seed")} for run in runs]
    names = list(dict.fromkeys(name for values in flat for name in values))
    used = [name for name in names if name.split(".")[0] not in _unused(runs)]
    different = [name for name in used if len({str(values.get(name)) for values in flat}) > 1]
    body: list[Part] = []
    if len(runs) > 1:
        rows = [[name, *(str(values.get(name, "–")) for values in flat)] for name in different]
        same = tag("p", "The runs have the same settings.")
        body.append(parts.table(["setting", *(run.name for run in runs)], rows) if rows else same)
    listing = parts.table(["setting", "value"], [[name, str(flat[0].get(name, "–"))] for name in used])
    body.append(parts.folded(f"all settings of {runs[0].name}", listing))
    return parts.section("Settings", body, id_="settings")


def _unused(runs: Sequence[RunReport]) -> set[str]:
    trained = {phase.name for run in runs for phase in run.phases}
    return {"xe", "dxe", "dr"} - trained


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
        found.update(inner)
    return found
