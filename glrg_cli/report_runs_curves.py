"""Curves of training runs, and the panel that says what is normal while boosting."""

from __future__ import annotations

from collections.abc import Sequence

from glrg_cli import reward_panel
from glrg_cli.html import parts
from glrg_cli.html.charts import Line, line_chart
from glrg_cli.html.markup import Html, Part, tag
from glrg_cli.report_run import PhaseReport, RunReport

_SEEDING = ("xe", "dxe")
_COLOURS = {"xe": 0, "dxe": 1, "dr": 2}
_MOST_WITH_THIN = 3  # runs; with more, the dashed lines would hide the others


def curves(runs: Sequence[RunReport]) -> Html | None:
    """Loss, validation, reward, length and distinct captions by epoch."""
    thin = len(runs) <= _MOST_WITH_THIN
    val = "CIDEr on val"
    beam = "dashed: the mean of all hypotheses of the beam, the steadier number" if thin else ""
    judged = _charts(runs, val, ("val_cider", "val_beam_cider") if thin else ("val_cider",), (*_SEEDING, "dr"))
    drawn = [
        *_charts(runs, "Cross-entropy a word", ("cross_entropy",), _SEEDING),
        *judged,
        *_charts(runs, "Reward of the samples", ("reward", "baseline") if thin else ("reward",), ("dr",)),
        *_charts(runs, "Words a sample", ("length",), ("dr",)),
        *_charts(runs, "Different captions on val", ("val_distinct",), (*_SEEDING, "dr")),
    ]
    found = [chart for chart in drawn if chart is not None]
    if not found:
        return None
    reward = "Reward, dashed: the baseline, where it is not the mean itself."
    said = f"{val}: {beam}. {reward}" if beam and any(judged) else ""
    return parts.section(
        "Curves", tag("div", found, class_="charts"), tag("p", said, class_="quiet") if said else None, id_="curves"
    )


def rewards(runs: Sequence[RunReport]) -> Html | None:
    """The reward panel of every run that was boosted."""
    body: list[Part] = []
    for run in runs:
        phase = next((phase for phase in run.phases if phase.name == "dr"), None)
        if phase is None:
            continue
        readings = reward_panel.read(phase.epochs)
        rows = [
            [reading.name, f"{reading.before:.3g}", f"{reading.now:.3g}", reading.normal, _verdict(reading.verdict)]
            for reading in readings
        ]
        if len(runs) > 1:
            body.append(tag("h3", run.name))
        body.append(parts.table(["", "first epochs", "last epochs", "normal", "verdict"], rows))
    return parts.section("Boosting: is it normal?", body, id_="boosting") if body else None


def _charts(
    runs: Sequence[RunReport], title: str, metrics: tuple[str, ...], phases: Sequence[str]
) -> list[Html | None]:
    """One chart with a line a phase for one run; for several, a chart a phase with a line a run."""
    if len(runs) == 1:
        found = [phase for phase in runs[0].phases if phase.name in phases]
        lines = [line for phase in found for line in _lines(phase, phase.name.upper(), metrics, _COLOURS[phase.name])]
        return [line_chart(title, lines)]
    made = []
    for name in phases:
        lines = []
        for at, run in enumerate(runs):
            for phase in run.phases:
                if phase.name == name:
                    lines += _lines(phase, run.name, metrics, at)
        made.append(line_chart(title, lines, about=f"({name.upper()})"))
    return made


def _lines(phase: PhaseReport, name: str, metrics: tuple[str, ...], colour: int) -> list[Line]:
    epochs = phase.column("epoch")
    first = Line(name, epochs, phase.column(metrics[0]), colour)
    beside = [Line(f"{name} ({_BESIDE[metric]})", epochs, phase.column(metric), colour, True) for metric in metrics[1:]]
    return [first, *(line for line in beside if not _same(line, first))]


def _same(line: Line, other: Line) -> bool:
    """Whether one would hide the other: b2 is the mean of the rewards."""
    return all(abs(a - b) < 1e-3 * max(1.0, abs(b)) for a, b in zip(line.y, other.y, strict=True))


_BESIDE = {"val_beam_cider": "whole beam", "baseline": "baseline"}


def _verdict(verdict: str) -> Part:
    return verdict if verdict == "normal" else tag("b", verdict)
