"""Tables 2 to 5 of the paper as rows of jobs, with the figures it published (MSR-VTT; specs of the release, §13).

The published figures are of other videos, other training data and one run each; they are shown beside ours to compare
the order of the rows, not their height.

Departs from the paper in this: all rows of Table 5 sample whole captions (its self-critical row annealed MIXER), and
rows of one seed share weights, data order and entrance model, so that they differ by what the table varies alone.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any, cast

from glrg_tf.errors import ConfigError
from training.ablation import METRICS, Job, Row, StudyData, Table
from training.config import PhaseName, RunConfig

NAMES = ("streams", "weighting", "entrance", "baseline")
SHORT_STREAMS = {"long_range": "long", "short_range": "short", "keyframe": "keyframe"}
PUBLISHED_ON = "MSR-VTT, one run"

_STREAMS = {
    ("short_range",): (32.3, 23.9, 54.1, 34.8),
    ("keyframe",): (31.7, 24.0, 54.5, 35.3),
    ("long_range",): (43.8, 28.7, 61.2, 51.7),
    ("short_range", "keyframe"): (36.7, 26.0, 57.9, 42.3),
    ("long_range", "keyframe"): (45.1, 29.3, 62.0, 53.0),
    ("long_range", "short_range"): (45.6, 29.3, 62.9, 53.9),
    ("long_range", "short_range", "keyframe"): (46.9, 30.4, 63.9, 55.0),
}
_XE, _DXE, _DR = (45.5, 30.1, 62.6, 51.2), (46.9, 30.4, 63.9, 55.0), (46.9, 31.2, 65.7, 60.6)
_WEIGHTING = {
    "none": _XE,
    "Bleu_4": (45.5, 29.7, 63.0, 51.4),
    "METEOR": (44.5, 29.8, 62.9, 52.4),
    "ROUGE_L": (45.2, 29.0, 63.5, 52.5),
    "CIDEr": _DXE,
}
_BASELINE = {
    "none": (13.5, 16.1, 46.1, 12.7),
    "scst": (44.6, 30.2, 64.3, 56.4),
    "b1": (46.4, 30.5, 65.0, 58.1),
    "b2": _DR,
    "loo": (),
}
_BASELINE_LABELS = {
    "none": "none",
    "scst": "scst: the greedy caption",
    "b1": "b1: the references' consensus",
    "b2": "b2: the mean of the samples",
    "loo": "loo: the mean of the other samples (ours)",
}
_OPTIONAL = ("loo",)  # only where --rows asks for it
_METRIC_LABELS = {"Bleu_4": "BLEU-4", "METEOR": "METEOR", "ROUGE_L": "ROUGE-L", "CIDEr": "CIDEr", "none": "none (XE)"}


def build(
    name: str,
    data: StudyData,
    config: RunConfig,
    seeds: Sequence[int],
    *,
    phases: Sequence[PhaseName] = ("dxe",),
    streams: Sequence[str] = (),
    rows: Sequence[str] = (),
) -> Table:
    """The table of that name.

    Args:
        name: one of `NAMES`.
        data: trained and judged on.
        config: settings of every job; each row changes its own.
        seeds: one job a row each.
        phases: of the rows of `streams`, one after another; the last is judged.
        streams: those that `streams` studies; all of the data by default.
        rows: keys of the rows wanted; those of the paper by default.

    Raises:
        ConfigError: unknown name, row or stream.
    """
    if name not in NAMES:
        raise ConfigError(f"no table '{name}'", where="TABLE", remedy="one of " + ", ".join(NAMES))
    jobs = _Jobs(data, config)
    built = _streams(jobs, seeds, phases, streams) if name == "streams" else _BUILDERS[name](jobs, seeds)
    known = [row.key for row in built.rows]
    unknown = [key for key in rows if key not in known]
    if unknown:
        raise ConfigError(f"no row '{unknown[0]}'", where="--rows", remedy="there are: " + ", ".join(known))
    wanted = rows or [key for key in known if key not in _OPTIONAL]
    return dataclasses.replace(built, rows=tuple(row for row in built.rows if row.key in wanted))


def subsets(streams: Sequence[str]) -> list[tuple[str, ...]]:
    """Every non-empty subset, small ones first, each in the order of `streams`."""
    return [chosen for size in range(1, len(streams) + 1) for chosen in itertools.combinations(streams, size)]


@dataclasses.dataclass(frozen=True)
class _Jobs:
    """Makes the jobs of one study."""

    data: StudyData
    config: RunConfig

    def xe(self, seed: int) -> Job:
        """Cross-entropy from scratch."""
        return Job("xe", "xe", self.config, seed, self.data)

    def dxe(self, seed: int, metric: str | None = None) -> Job:
        """Weighted cross-entropy from scratch; the metric of the settings by default."""
        config = self.config if metric is None else self._changed("dxe", consensus_metric=metric)
        return Job(f"dxe-{config.dxe.consensus_metric.lower()}", "dxe", config, seed, self.data)

    def dr(self, entrance: Job, baseline: str | None = None) -> Job:
        """Boosting from another job; the baseline of the settings by default."""
        config = self.config if baseline is None else self._changed("dr", baseline=baseline)
        name = f"dr-{config.dr.baseline}-from-{entrance.name}"
        return Job(name, "dr", config, entrance.seed, self.data, entrance)

    def _changed(self, phase: PhaseName, **values: Any) -> RunConfig:
        return dataclasses.replace(
            self.config, **cast(Any, {phase: dataclasses.replace(self.config.phase(phase), **values)})
        )


def _streams(jobs: _Jobs, seeds: Sequence[int], phases: Sequence[PhaseName], streams: Sequence[str]) -> Table:
    widths = dict(jobs.data.widths)
    unknown = [name for name in streams if name not in widths]
    if unknown:
        raise ConfigError(f"no stream '{unknown[0]}'", where="--streams", remedy="there are: " + ", ".join(widths))
    rows = []
    for names in subsets(list(streams or widths)):
        model = dataclasses.replace(jobs.config.model, streams=tuple((name, widths[name]) for name in names))
        own = _Jobs(jobs.data, dataclasses.replace(jobs.config, model=model))
        label = " + ".join(SHORT_STREAMS.get(name, name) for name in names)
        found = tuple(_chain(own, seed, phases, "+".join(names), len(names) < len(widths)) for seed in seeds)
        rows.append(Row("+".join(names), label, found, _percent(_STREAMS.get(names, ())), names))
    title = f"which streams are needed ({', then '.join(phases)})"
    return Table("streams", 2, title, "streams", tuple(rows), rows[-1].key)


def _chain(jobs: _Jobs, seed: int, phases: Sequence[PhaseName], streams: str, part: bool) -> Job:
    """The last job of `phases` for one subset; boosting starts from dxe where both seeds are trained."""
    seeding = [jobs.xe(seed) if phase == "xe" else jobs.dxe(seed) for phase in ("xe", "dxe") if phase in phases]
    if not seeding:
        raise ConfigError("boosting needs an entrance model", where="--phases", remedy="example: --phases dxe,dr")
    last = dataclasses.replace(seeding[-1], name=f"{seeding[-1].name}-{streams}" if part else seeding[-1].name)
    return jobs.dr(last) if "dr" in phases else last


def _weighting(jobs: _Jobs, seeds: Sequence[int]) -> Table:
    rows = [
        Row(
            metric,
            _METRIC_LABELS[metric],
            tuple(jobs.xe(seed) if metric == "none" else jobs.dxe(seed, metric) for seed in seeds),
            _percent(published),
        )
        for metric, published in _WEIGHTING.items()
    ]
    return Table("weighting", 3, "which metric weighs a caption in DXE", "weighted by", tuple(rows), "CIDEr")


def _entrance(jobs: _Jobs, seeds: Sequence[int]) -> Table:
    xe, dxe = [jobs.xe(seed) for seed in seeds], [jobs.dxe(seed) for seed in seeds]
    rows = (
        Row("xe", "XE, not boosted", tuple(xe), _percent(_XE)),
        Row("dxe", "DXE, not boosted", tuple(dxe), _percent(_DXE)),
        Row("xe-dr", "DR from XE", tuple(map(jobs.dr, xe)), {"ROUGE_L": 63.3, "CIDEr": 55.3}),
        Row("dxe-dr", "DR from DXE", tuple(map(jobs.dr, dxe)), _percent(_DR)),
    )
    return Table("entrance", 4, "what boosting starts from", "captioner", rows, "dxe-dr")


def _baseline(jobs: _Jobs, seeds: Sequence[int]) -> Table:
    rows = [
        Row(name, _BASELINE_LABELS[name], tuple(jobs.dr(jobs.dxe(seed), name) for seed in seeds), _percent(published))
        for name, published in _BASELINE.items()
    ]
    return Table("baseline", 5, "what a reward is compared with (DR from DXE)", "baseline", tuple(rows), "b2")


def _percent(values: Sequence[float]) -> dict[str, float]:
    return dict(zip(METRICS, values, strict=True)) if values else {}


_BUILDERS: dict[str, Callable[[_Jobs, Sequence[int]], Table]] = {
    "weighting": _weighting,
    "entrance": _entrance,
    "baseline": _baseline,
}
