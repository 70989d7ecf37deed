"""The scores that end a training run: every phase's captioner judged on one split, with intervals over videos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glrg_cli.common import Console
from glrg_cli.report_run_scores import keep_scores
from glrg_tf.io import atomic

if TYPE_CHECKING:
    from glrg_tf.data.dataset import CaptionDataset
    from training.curriculum import TrainingPlan

SHOWN = ("Bleu_4", "METEOR", "ROUGE_L", "CIDEr")


def evaluation_split(dataset: CaptionDataset) -> str | None:
    """The split that a run is judged on: test where it has features, else val, else none."""
    store = dataset.features
    for split in ("test", "val"):
        if split in dataset.splits and store is not None and any(r.id in store for r in dataset.records(split)):
            return split
    return None


def score_phases(plan: TrainingPlan, best: Mapping[str, Path], console: Console) -> dict[str, Any] | None:
    """Scores the best captioner of each phase, writes the run's score files and prints the table.

    Writes `scores.json`, `predictions_<split>.json` and `video_scores.json` into every phase's folder, and the first
    two of the last phase into the run's.

    Returns:
        {"split", "phases": {phase: {"scores", "intervals"}}}, None where the dataset has no split to judge on.
    """
    from glrg_tf.captioner.captioner import VideoCaptioner
    from glrg_tf.metrics.coco import bootstrap_interval
    from training.evaluator import evaluate_captioner

    split = evaluation_split(plan.dataset)
    if split is None:
        console.warning("neither test nor val has features: the run is not scored")
        return None
    captions_of = {record.id: record.captions for record in plan.dataset.records(split)}
    phases: dict[str, Any] = {}
    for phase, folder in best.items():
        console.info(f"{phase}: captioning and scoring {split}")
        evaluation = evaluate_captioner(VideoCaptioner.from_preset(folder), plan.dataset, split)
        intervals = {name: list(bounds) for name, bounds in bootstrap_interval(evaluation.scores).items()}
        phases[phase] = {"scores": evaluation.scores.overall, "intervals": intervals}
        for target in {plan.folder(phase), plan.run}:  # type: ignore[arg-type]
            atomic.write_json(target / f"predictions_{split}.json", evaluation.predictions_json())
            atomic.write_json(target / "scores.json", {"split": split, **phases[phase]})
        references = {name: captions_of[name] for name in evaluation.predictions}
        texts = {name: caption.text for name, caption in evaluation.predictions.items()}
        keep_scores(plan.folder(phase), references, texts, evaluation.scores)  # type: ignore[arg-type]
    document = {"split": split, "phases": phases}
    if len(phases) > 1:
        atomic.write_json(plan.run / "scores.json", document)
    _print(document, len(plan.dataset.records(split)), console)
    return document


def percent(score: float, interval: tuple[float, float] | list[float] | None = None) -> str:
    """A score as coco-caption papers print it, with its interval: `38.27 [33.10, 43.95]`."""
    return f"{100 * score:.2f}" + (f" [{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]" if interval else "")


def _print(document: Mapping[str, Any], videos: int, console: Console) -> None:
    rows = [
        [phase, *(percent(found["scores"][metric], found["intervals"][metric]) for metric in SHOWN)]
        for phase, found in document["phases"].items()
    ]
    split = document["split"]
    console.table(f"Scores on {split} ({videos} videos; 95 % intervals over videos)", ["phase", *SHOWN], rows)
    if split == "val":
        console.info("val also chose the checkpoints: expect a little less on videos that were never looked at")
