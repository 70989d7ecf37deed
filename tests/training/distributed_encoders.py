"""The same encoder trained on one device, on two logical devices and by two processes; what each of them says of it.

python -m tests.training.distributed_encoders --epochs 10      a table for the three kinds (a few minutes)
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

KINDS = ("short_range", "long_range", "keyframe")
WAYS = ("one", "mirrored", "workers")
COLOURS = ("red", "green", "blue")
BATCH = 5  # an odd number: the replicas hold 2 and 3 places


def write_videos(folder: Path, videos: int = 8) -> Path:
    """Clips of a moving square of one colour, and a table of labels, two of them to validate; returns the table."""
    from glrg_tf.video.writer import write_video

    rows = []
    for number in range(videos):
        rng = np.random.default_rng(number)
        frames = rng.integers(0, 60, (60, 32, 48, 3)).astype(np.uint8)
        for t in range(60):
            frames[t, 6:26, t // 4 : t // 4 + 24, number % 3] = 240
        write_video(folder / f"clip{number}.mp4", frames, 10)
        rows.append({"video": f"clip{number}.mp4", "label": COLOURS[number % 3]})
        rows[-1]["split"] = "val" if number >= videos - 2 else "train"
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "labels.jsonl"


def train_one(table: str, run: str, way: str, kind: str, epochs: int) -> dict[str, Any]:
    """Trains one encoder in this process; losses of every step, scores of every epoch, weights, probabilities."""
    from glrg_tf.encoders.bundle import EncoderBundle
    from glrg_tf.encoders.presets import nano_spec
    from glrg_tf.encoders.stream import StreamEncoder
    from glrg_tf.video.sampling import FramePlan
    from training import distribution, encoder_labels
    from training.encoder_config import EncoderTraining
    from training.encoder_step import EncoderStep
    from training.encoders import EncoderTrainer

    strategy = None if way == "one" else distribution.make_strategy("mirrored" if way == "mirrored" else "multiworker")
    material = encoder_labels.from_table(Path(table), None)
    spec = dataclasses.replace(nano_spec(kind, material.labels), input_size=(32, 32))  # type: ignore[arg-type]
    if kind == "short_range":
        spec = dataclasses.replace(spec, frames=4)
    if kind != "keyframe":
        spec = dataclasses.replace(spec, activation="softmax")
    settings = EncoderTraining(
        epochs=epochs, patience=0, batch_size=BATCH, draws=2, val_positions=2, workers=1, flip=True
    )
    losses: list[float] = []
    call = EncoderStep.__call__

    def spied(self: Any, *inputs: Any) -> float:
        losses.append(call(self, *inputs))
        return losses[-1]

    def trainer_of(stop: Callable[[], bool] = lambda: False) -> EncoderTrainer:
        stream = StreamEncoder.build(spec, seed=1)
        plan = FramePlan(short_frames=4)
        return EncoderTrainer(stream, material, settings, plan, Path(run), stop=stop, strategy=strategy)

    EncoderStep.__call__ = spied  # type: ignore[method-assign]
    try:
        if strategy is not None:  # replicas are stopped within the second epoch, and go on
            with contextlib.suppress(KeyboardInterrupt):
                trainer_of(lambda: len(losses) == 4).train()
        trainer = trainer_of()
        trained = trainer.train(resume=strategy is not None)
    finally:
        EncoderStep.__call__ = call  # type: ignore[method-assign]
    found = EncoderBundle.load(run).streams[spec.name]
    probabilities, _ = trainer.predict(trainer.validation)
    return {
        "losses": losses,
        "val": [row["val_loss"] for row in trained.history],
        "weights": [np.asarray(variable.value).tolist() for variable in found.model.variables],
        "probabilities": probabilities.tolist(),
    }


def difference(one: dict[str, Any], other: dict[str, Any]) -> dict[str, float]:
    """Largest differences: relative of losses above 1, absolute of the rest."""
    losses = np.abs(np.subtract(one["losses"], other["losses"])) / np.maximum(np.abs(one["losses"]), 1.0)
    weights = max(
        float(np.abs(np.subtract(*pair)).max()) for pair in zip(one["weights"], other["weights"], strict=True)
    )
    rest = {name: float(np.abs(np.subtract(one[name], other[name])).max()) for name in ("val", "probabilities")}
    return {"loss": float(losses.max()), "weights": weights, **rest}


def run_jobs(jobs: list[tuple[Any, ...]]) -> list[list[dict[str, Any]]]:
    """Trainings one after the other (arguments of `train_one`), each process's reports of all of them."""
    from tests.training.distributed_run import free_ports

    command = [sys.executable, "-m", "tests.training.distributed_encoders"]
    command += [word for job in jobs for word in ("--one", *map(str, job))]
    environments = [dict(os.environ)]
    if jobs[0][2] == "workers":
        cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
        tasks = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in range(2)]
        environments = [{**os.environ, "TF_CONFIG": json.dumps(task)} for task in tasks]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env=environment, **pipes) for environment in environments]
    reports = []
    try:
        for process in processes:
            out, errors = process.communicate(timeout=600)
            if process.returncode:
                raise RuntimeError(errors[-3000:])
            reports.append([json.loads(line[7:]) for line in out.splitlines() if line.startswith("RESULT ")])
    finally:
        for process in processes:
            process.kill()
    return reports


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--one", nargs=5, action="append")
    args = parser.parse_args()
    if args.one:
        if any(job[2] == "mirrored" for job in args.one):
            import tensorflow as tf

            cpu = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        for table, run, way, kind, epochs in args.one:
            print("RESULT " + json.dumps(train_one(table, run, way, kind, int(epochs))), flush=True)
        return
    with tempfile.TemporaryDirectory() as scratch:
        table = write_videos(Path(scratch))
        wrong = 0
        print("| encoder | way | loss | val loss | weights | probabilities |\n|---|---|---|---|---|---|")
        for kind in args.kinds:
            jobs = {way: (table, Path(scratch) / f"{kind}-{way}", way, kind, args.epochs) for way in WAYS}
            ((one, mirrored),) = run_jobs([jobs["one"], jobs["mirrored"]])
            for way, others in (("mirrored", [mirrored]), ("workers", [r[0] for r in run_jobs([jobs["workers"]])])):
                for other in others:
                    found = difference(one, other)
                    figures = (f"{found[name]:.1e}" for name in ("loss", "val", "weights", "probabilities"))
                    print(f"| {kind} | {way} | {' | '.join(figures)} |", flush=True)
                    wrong += max(found["loss"], found["val"]) > 1e-5
        if wrong:
            sys.exit(f"{wrong} differ")


if __name__ == "__main__":
    main()
