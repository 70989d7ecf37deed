"""Which streams are needed: a captioner for every subset of them, several seeds each (GL-RG Table 2).

    OUT/study.json                     what the rows mean: data, settings, seeds
    OUT/<stream+stream>/seed<N>.json   the scores of one training, written when it is done

A study that was interrupted goes on with the trainings that are missing. The trainings themselves are kept only while
they run; all subsets share settings, data order and seeds, so that rows differ by their streams alone.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glrg_tf import config as settings
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.errors import ConfigError, DataError
from glrg_tf.io import atomic, documents
from training import curriculum
from training.config import PhaseName, RunConfig
from training.evaluator import evaluate_captioner
from training.reporting import Reporter

METRICS = ("Bleu_4", "METEOR", "ROUGE_L", "CIDEr")


@dataclasses.dataclass(frozen=True)
class StudyRow:
    """The scores of one subset."""

    streams: tuple[str, ...]
    seeds: tuple[int, ...]
    scores: dict[str, tuple[float, ...]]  # metric -> one score a seed, 0-1 (CIDEr above)

    def mean(self, metric: str) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.scores[metric]))

    def spread(self, metric: str) -> float:
        """Standard deviation over the seeds (n - 1); 0 for one seed."""
        return float(np.std(self.scores[metric], ddof=1)) if len(self.seeds) > 1 else 0.0


def subsets(streams: Sequence[str]) -> list[tuple[str, ...]]:
    """Every non-empty subset, small ones first, each in the order of `streams`."""
    return [chosen for size in range(1, len(streams) + 1) for chosen in itertools.combinations(streams, size)]


def study_streams(
    dataset: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: RunConfig,
    *,
    phases: tuple[PhaseName, ...] = ("dxe",),
    seeds: Sequence[int] = (1, 2, 3),
    streams: Sequence[str] = (),
    split: str = "test",
    progress: Callable[[str, int, float | None], object] | None = None,
    reporter: Reporter | None = None,
) -> list[StudyRow]:
    """Trains and scores what is missing of a study, and returns all of it.

    Args:
        dataset: folder with features.
        out: folder of the study; an unfinished one of the same settings is continued.
        config: settings of every training; its streams are replaced.
        phases: trained one after another; the last one is scored.
        seeds: of the trainings.
        streams: those studied; all that the dataset has by default.
        split: scored on.
        progress: called with the subset's name, the seed and the CIDEr of each finished training (None before it).
        reporter: is told of the trainings' epochs.

    Raises:
        ConfigError: a stream that the dataset lacks, or the folder holds a study of other settings.
        GlrgError: what training raises.
    """
    data, folder = CaptionDataset.load(dataset), Path(out)
    if data.features is None:
        raise DataError("the dataset has no features", where=data.folder, remedy="`glrg extract` makes them")
    widths = data.features.streams
    about = _describe(data, config, phases, split)
    _begin(folder, about)
    unknown = [name for name in streams if name not in widths]
    if unknown:
        raise ConfigError(f"no stream '{unknown[0]}'", where="streams", remedy="there are: " + ", ".join(widths))
    chosen = subsets(streams or list(widths))
    for seed in seeds:  # seed by seed: an unfinished study has whole tables
        for names in chosen:
            file = folder / "+".join(names) / f"seed{seed}.json"
            if file.is_file():
                continue
            if progress is not None:
                progress("+".join(names), seed, None)
            model = dataclasses.replace(config.model, streams=tuple((name, widths[name]) for name in names))
            changed = dataclasses.replace(config, model=model)
            scores = _train_and_score(data, file.with_suffix(""), changed, phases, seed, split, reporter)
            atomic.write_json(file, {"streams": list(names), "seed": seed, "scores": scores})
            if progress is not None:
                progress("+".join(names), seed, scores["CIDEr"])
    return read_study(folder)


def read_study(folder: str | os.PathLike[str]) -> list[StudyRow]:
    """The rows of a study so far, small subsets first.

    Raises:
        DataError: no study there, or a damaged file.
    """
    place = Path(folder)
    if not (place / "study.json").is_file():
        raise DataError("there is no study of streams", where=place, remedy="`glrg ablate streams` makes one")
    found: dict[tuple[str, ...], dict[int, dict[str, float]]] = {}
    for file in sorted(place.glob("*/seed*.json")):
        row = documents.read_json(file, error=DataError)
        found.setdefault(tuple(row["streams"]), {})[int(row["seed"])] = row["scores"]
    rows = []
    order = max(found, key=len, default=())  # the streams in the dataset's order

    def place(item: tuple[tuple[str, ...], Any]) -> tuple[int, list[int]]:
        return len(item[0]), [order.index(name) if name in order else len(order) for name in item[0]]

    for names, by_seed in sorted(found.items(), key=place):
        seeds = tuple(sorted(by_seed))
        scores = {metric: tuple(by_seed[seed][metric] for seed in seeds) for metric in METRICS}
        rows.append(StudyRow(names, seeds, scores))
    return rows


def _train_and_score(
    dataset: CaptionDataset,
    scratch: Path,
    config: RunConfig,
    phases: tuple[PhaseName, ...],
    seed: int,
    split: str,
    reporter: Reporter | None,
) -> dict[str, float]:
    from glrg_tf.captioner.captioner import VideoCaptioner

    shutil.rmtree(scratch, ignore_errors=True)  # of an interrupted training
    plan = curriculum.make_plan(dataset.folder, scratch, config, phases, seed=seed)
    best = curriculum.train(plan, reporter=reporter)
    captioner = VideoCaptioner.from_preset(list(best.values())[-1])
    scores = evaluate_captioner(captioner, dataset, split).scores.overall
    shutil.rmtree(scratch)
    return {metric: float(scores[metric]) for metric in METRICS}


def _describe(data: CaptionDataset, config: RunConfig, phases: tuple[PhaseName, ...], split: str) -> dict[str, Any]:
    values = settings.to_dict(config)
    values["model"].pop("streams")
    producer = {key: str(value) for key, value in data.features.attributes.items()} if data.features else {}
    return {"data": data.name, "features": producer, "split": split, "phases": list(phases), "settings": values}


def _begin(folder: Path, about: dict[str, Any]) -> None:
    file = folder / "study.json"
    if file.is_file():
        if documents.read_json(file, error=DataError) != about:
            what = "the study was started on other data or with other settings"
            raise ConfigError(what, where=file, remedy="choose another --out, or remove the old study")
        return
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_json(file, about)
