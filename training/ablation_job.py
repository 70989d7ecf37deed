"""One job of a study: trains one phase in a folder of its own, judges it, keeps what others need.

OUT/jobs/<name>-seed<N>-<key>/
  job.json        what it is
  run/            the training while it lasts; an interrupted one goes on from its last checkpoint
  metrics.jsonl   its epochs
  captioner/      what xe and dxe leave for boosting to start from, and boosting where the study decodes it again
  result.json     scores over the split and of every video, captions, time; written last
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from glrg_tf import config as settings
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.errors import DataError
from glrg_tf.io import atomic, documents, lock
from training import config as training_config
from training.ablation import METRICS, RESULT, Job, job_folder
from training.reporting import Reporter

JOB, CAPTIONER, RUN, EPOCHS = "job.json", "captioner", "run", "metrics.jsonl"


def write_job(out: str | os.PathLike[str], job: Job) -> Path:
    """Makes the folder of a job; returns it."""
    folder = job_folder(out, job)
    folder.mkdir(parents=True, exist_ok=True)
    values: dict[str, Any] = {"name": job.name, "key": job.key, "phase": job.phase, "seed": job.seed}
    values |= {"data": os.path.abspath(job.data.folder), "data_sha256": job.data.digest, "split": job.data.split}
    values |= {"entrance": job.entrance.folder if job.entrance else None, "keeps": job.keeps}
    atomic.write_json(folder / JOB, {**values, "settings": settings.to_dict(job.config)})
    return folder


def run_job(
    folder: str | os.PathLike[str], *, reporter: Reporter | None = None, stop: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Trains and judges what `job.json` says; returns the content of `result.json`.

    Raises:
        GlrgError: what training raises; DataError where the job is damaged or what it starts from is missing.
        KeyboardInterrupt: `stop` said so; the state is saved.
    """
    place = Path(folder)
    if (place / RESULT).is_file():
        return read_result(place)
    job = documents.read_json(place / JOB, error=DataError)
    try:
        config = training_config.from_dict(job["settings"])
        phase, seed, split, data = str(job["phase"]), int(job["seed"]), str(job["split"]), str(job["data"])
        keeps = phase != "dr" or bool(job.get("keeps"))
        start = None if job["entrance"] is None else str(place.parent / str(job["entrance"]) / CAPTIONER)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"job.json is damaged ({error!r})", where=place, remedy="remove the folder") from None
    with lock.only_one(place):
        return _train_and_judge(place, config, phase, seed, data, split, start, keeps, reporter, stop)


def read_result(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The result of a finished job.

    Raises:
        DataError: missing or damaged.
    """
    file = Path(folder) / RESULT
    result = documents.read_json(file, error=DataError)
    if not isinstance(result, dict) or not all(metric in result.get("scores", {}) for metric in METRICS):
        raise DataError("result.json is damaged", where=file, remedy="remove the folder and run the study again")
    return result


def _train_and_judge(
    place: Path,
    config: training_config.RunConfig,
    phase: str,
    seed: int,
    data: str,
    split: str,
    start: str | None,
    keeps: bool,
    reporter: Reporter | None,
    stop: Callable[[], bool],
) -> dict[str, Any]:
    from glrg_tf.captioner.captioner import VideoCaptioner
    from training import curriculum
    from training.evaluator import evaluate_captioner

    run = place / RUN
    resume = (run / "config.json").is_file()
    if not resume:
        shutil.rmtree(run, ignore_errors=True)  # killed before it had written its settings
    plan = curriculum.make_plan(data, run, config, (phase,), seed=seed, start=start, resume=resume)
    best = list(curriculum.train(plan, resume=resume, reporter=reporter, stop=stop).values())[-1]
    began = time.perf_counter()
    captioner = VideoCaptioner.from_preset(best)
    evaluation = evaluate_captioner(captioner, CaptionDataset.load(data), split)
    epochs = [row for _, row in documents.read_json_lines(run / EPOCHS)]
    seconds = {"training": sum(row["seconds"] for row in epochs), "judging": time.perf_counter() - began}
    atomic.write_json_lines(place / EPOCHS, epochs)
    if keeps:
        captioner.save_to_preset(place / CAPTIONER)
    scores = evaluation.scores
    result = {
        "scores": {name: float(value) for name, value in scores.overall.items()},
        "ids": [str(name) for name in scores.ids],
        "per_video": {name: [round(float(v), 6) for v in scores.per_video[name]] for name in METRICS},
        "predictions": evaluation.predictions_json(),
        "epochs": len(epochs),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
    }
    atomic.write_json(place / RESULT, result)
    shutil.rmtree(run)
    return result
