"""What each ingredient of the recipe `glrg-plus` is worth, alone and together: `glrg ablate ingredients`.

A row is a captioner and a way to decode. Captioners are trained as jobs of the ablation engine (ablation.py), so rows
that differ in decoding alone share theirs, and a study that was interrupted goes on. Decoding costs seconds; its scores
are kept in OUT/judged/, one file a row and seed. What the rows say together: ingredients_results.py.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.errors import ConfigError, DataError
from glrg_tf.io import atomic, documents
from training import config as training_config
from training.ablation import Job, StudyData, job_folder
from training.ablation_job import CAPTIONER
from training.config import RunConfig

if TYPE_CHECKING:
    from glrg_tf.captioner.captioner import VideoCaptioner

VERSION = 1  # of what judging does
METRICS = ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr")
BASE, PLUS = "glrg", "glrg-plus"  # the rows that everything is compared with, and that the recipe is

_PLAIN: dict[str, Any] = {"beam_size": 5, "selection": "probability", "word_bias": 0.0}
_PLUS: dict[str, Any] = {"beam_size": 12, "selection": "content", "word_bias": 0.5}
# Captioner -> (seeding phase, whether it is boosted, settings of its own)
_CAPTIONERS: dict[str, tuple[str, bool, tuple[str, ...]]] = {
    "glrg": ("dxe", True, ()),
    "dxe": ("dxe", False, ()),
    "loo": ("dxe", True, ("dr.baseline=loo",)),
    "mixed": ("dxe", True, ('dr.reward=[["CIDEr-D", 1.0], ["Bleu_4", 0.5]]',)),
    "xe": ("xe", True, ("xe.epochs=110", "xe.selection=last", "xe.ema_decay=0.98")),
}
# Row -> (label, captioner, decoding)
_ROWS: dict[str, tuple[str, str, dict[str, Any]]] = {
    BASE: ("glrg: beam 5, the most probable", "glrg", _PLAIN),
    "beam": ("beam 12", "glrg", {**_PLAIN, "beam_size": 12}),
    "minimum-risk": ("beam 12, minimum risk", "glrg", {**_PLAIN, "beam_size": 12, "selection": "minimum_risk"}),
    "choice": ("beam 12, chosen by content", "glrg", {**_PLUS, "word_bias": 0.0}),
    "choice-5": ("beam 5, chosen by content", "glrg", {**_PLUS, "beam_size": 5, "word_bias": 0.0}),
    "words": ("beam 5, words steered", "glrg", {**_PLAIN, "word_bias": 0.5}),
    "beam-words": ("beam 12, words steered", "glrg", {**_PLAIN, "beam_size": 12, "word_bias": 0.5}),
    PLUS: ("glrg-plus: beam 12, words steered, chosen by content", "glrg", _PLUS),
    "dxe": ("not boosted", "dxe", _PLAIN),
    "dxe-plus": ("not boosted, decoded as glrg-plus", "dxe", _PLUS),
    "loo": ("leave-one-out baseline", "loo", _PLAIN),
    "loo-plus": ("leave-one-out baseline, decoded as glrg-plus", "loo", _PLUS),
    "mixed": ("reward CIDEr-D + BLEU-4 / 2", "mixed", _PLAIN),
    "mixed-plus": ("reward CIDEr-D + BLEU-4 / 2, decoded as glrg-plus", "mixed", _PLUS),
    "xe": ("boosted from XE of 110 epochs", "xe", _PLAIN),
    "xe-plus": ("boosted from XE of 110 epochs, decoded as glrg-plus", "xe", _PLUS),
}
NAMES = tuple(_ROWS)


@dataclasses.dataclass(frozen=True)
class Ingredient:
    """A row: a captioner of every seed, decoded in one way."""

    key: str  # as `--rows` names it
    label: str
    jobs: tuple[Job, ...]  # one a seed
    decoding: dict[str, Any]  # fields of `DecodingConfig`

    def file(self, out: str | os.PathLike[str], job: Job) -> Path:
        """Where the scores of one seed lie."""
        identity = json.dumps([VERSION, job.key, self.decoding], sort_keys=True)
        digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
        return Path(out) / "judged" / f"{self.key}-seed{job.seed}-{digest}.json"


def build(
    data: StudyData, config: RunConfig, seeds: Sequence[int], rows: Sequence[str] = (), most_epochs: int | None = None
) -> list[Ingredient]:
    """The rows of the study.

    Args:
        data: trained and judged on.
        config: settings of every training; the captioners change their own.
        seeds: one training each.
        rows: those wanted; all by default. The first row is always there: the others are compared with it.
        most_epochs: of each phase, the captioners' own numbers included; None leaves them.

    Raises:
        ConfigError: an unknown row.
    """
    unknown = [name for name in rows if name not in _ROWS]
    if unknown:
        raise ConfigError(f"no row '{unknown[0]}'", where="--rows", remedy="there are: " + ", ".join(NAMES))
    # Trained and judged as `glrg`; only the captioners must hold what all rows decode with.
    config = dataclasses.replace(config, decoding_selection="content", decoding_word_bias=0.0)
    wanted = [name for name in NAMES if not rows or name in rows or name == BASE]
    return [_row(name, data, config, seeds, most_epochs) for name in wanted]


def jobs_of(rows: Iterable[Ingredient]) -> list[Job]:
    """Every training of the rows once, entrances before what starts from them."""
    found: dict[str, Job] = {}
    for row in rows:
        for job in row.jobs:
            if job.entrance is not None:
                found.setdefault(job.entrance.key, job.entrance)
            found.setdefault(job.key, job)
    return list(found.values())


def judge(
    rows: Sequence[Ingredient],
    data: StudyData,
    out: str | os.PathLike[str],
    told: Callable[[Ingredient, int, float], object] = lambda row, seed, cider: None,
) -> None:
    """Decodes and scores what was not yet.

    Args:
        rows: their captioners trained.
        data: judged on.
        out: folder of the study.
        told: hears of the row, the seed and the CIDEr of each.

    Raises:
        GlrgError: a captioner is missing or damaged, or decoding fails.
    """
    from glrg_tf.captioner.captioner import VideoCaptioner

    dataset: CaptionDataset | None = None
    for job in {job.key: job for row in rows for job in row.jobs}.values():  # a captioner is loaded once
        missing = [row for row in rows if job.key in {j.key for j in row.jobs} and not row.file(out, job).is_file()]
        if not missing:
            continue
        dataset = dataset or CaptionDataset.load(data.folder)
        captioner = VideoCaptioner.from_preset(job_folder(out, job) / CAPTIONER)
        for row in missing:
            result = _decode_and_score(captioner, row.decoding, dataset, data.split)
            path = row.file(out, job)
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write_json(path, {"row": row.key, "seed": job.seed, "decoding": row.decoding, **result})
            told(row, job.seed, result["scores"]["CIDEr"])


def read(row: Ingredient, out: str | os.PathLike[str]) -> list[tuple[int, dict[str, Any]]]:
    """What was judged of a row: (seed, content of its file).

    Raises:
        DataError: a damaged file.
    """
    found = []
    for job in row.jobs:
        path = row.file(out, job)
        if path.is_file():
            result = documents.read_json(path, error=DataError)
            if not isinstance(result, dict) or not all(name in result.get("scores", {}) for name in METRICS):
                raise DataError("damaged scores", where=path, remedy="remove the file and run the study again")
            found.append((job.seed, result))
    return found


def _row(name: str, data: StudyData, config: RunConfig, seeds: Sequence[int], most_epochs: int | None) -> Ingredient:
    label, captioner, decoding = _ROWS[name]
    seeding, boosted, changes = _CAPTIONERS[captioner]
    changed = training_config.override(config, list(changes))
    if most_epochs is not None:
        bounds = {phase: min(changed.phase(phase).epochs, most_epochs) for phase in training_config.PHASES}
        changed = training_config.override(changed, [f"{phase}.epochs={most}" for phase, most in bounds.items()])
    jobs = []
    for seed in seeds:
        job = Job(seeding, seeding, changed, seed, data)  # type: ignore[arg-type]  # xe or dxe
        jobs.append(Job(f"dr-{captioner}", "dr", changed, seed, data, job, keeps=True) if boosted else job)
    return Ingredient(name, label, tuple(jobs), decoding)


def _decode_and_score(
    captioner: VideoCaptioner, decoding: dict[str, Any], dataset: CaptionDataset, split: str
) -> dict[str, Any]:
    """Scores over the split and of every video, variety, captions, and processor milliseconds a video."""
    from glrg_tf.metrics import diversity
    from glrg_tf.text.tokenizer import get_tokenizer
    from training import material
    from training.evaluator import evaluate_captioner

    beam = min(decoding["beam_size"], captioner.config.vocabulary_size)  # tiny vocabularies fill no wide beam
    captioner.decoding = dataclasses.replace(captioner.decoding, **{**decoding, "beam_size": beam})
    evaluation = evaluate_captioner(captioner, dataset, split)
    features = material.open_split(dataset, split, captioner.config).features()
    spent = []
    for _ in range(3):  # the graph is traced by now
        before = time.process_time()
        captioner.generate(features)
        spent.append(time.process_time() - before)
    tokenizer = get_tokenizer(dataset.tokenizer)
    training = {tuple(tokenizer(text)) for record in dataset.records("train") for text in record.captions}
    variety = diversity.measure([c.text.split() for c in evaluation.predictions.values()], training)
    scores = evaluation.scores
    return {
        "scores": {name: float(scores.overall[name]) for name in METRICS},
        "ids": [str(name) for name in scores.ids],
        "per_video": {"CIDEr": [round(float(value), 6) for value in scores.per_video["CIDEr"]]},
        "variety": {"distinct": variety.distinct, "vocabulary": variety.vocabulary, "novel": variety.novel},
        "words": float(variety.lengths.mean()),
        "milliseconds": 1e3 * min(spent) / max(1, len(features)),
        "predictions": evaluation.predictions_json(),
    }
