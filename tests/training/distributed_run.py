"""The same training on one device, on two logical devices and in two processes; what each of them says of it.

    python -m tests.training.distributed_run --steps 50      a table for XE, DXE and DR (a few minutes)

`train_one` is what a process runs; `compare` starts the processes of all three ways and reads their reports.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

WAYS = ("one", "mirrored", "workers")
PHASES = ("xe", "dxe", "dr")
EPOCH_STEPS = 3  # 16 videos in batches of 6


def train_one(world: str, run: str, way: str, phase: str, steps: int, start: str | None) -> dict[str, Any]:
    """Trains one phase in this process; losses of every step, weights, captions and how they were made."""
    from glrg_tf.captioner.captioner import VideoCaptioner
    from tests.training.conftest import CONFIG, PHASE
    from training import curriculum, distribution, evaluator, loop, shared_captions

    strategy = distribution.make_strategy("auto" if way != "mirrored" else "mirrored")
    losses: list[float] = []
    build = loop.steps.build_train_step

    def spied(*args: Any, **options: Any) -> Any:
        step = build(*args, **options)

        def call(*inputs: Any) -> Any:
            metrics = step(*inputs)
            losses.append(float(metrics["loss"]))
            return metrics

        return call

    loop.steps.build_train_step = spied
    # Everything random is on: dropout (of the model), scheduled sampling, drawn captions.
    settings = dataclasses.replace(
        PHASE, epochs=-(-steps // EPOCH_STEPS), learning_rate=3e-3, sampling="inverse_sigmoid", sampling_k=1.0
    )
    config = dataclasses.replace(CONFIG, xe=settings, dxe=settings, dr=settings)
    plan = curriculum.make_plan(world, run, config, (phase,), start=start)
    best = curriculum.train(plan, strategy=strategy)[phase]
    loop.steps.build_train_step = build
    captioner = VideoCaptioner.from_preset(best)
    shared_captions.CHUNK = 3  # six chunks of 16 videos
    alone = shared = evaluator.predict_split(captioner, plan.dataset, "train").captions
    if strategy is not None:
        shared = evaluator.predict_split(captioner, plan.dataset, "train", strategy=strategy).captions
    return {
        "losses": losses[:steps],
        "weights": {name: value.tolist() for name, value in captioner.model.get_weights().items()},
        "captions": {video: caption.text for video, caption in shared.items()},
        "evaluation": shared == alone,  # words, scores and log-probabilities, to the bit
    }


def run_way(world: Path, run: Path, way: str, phase: str, steps: int, start: str | None = None) -> list[dict[str, Any]]:
    """One training; the report of each of its processes."""
    return [reports[0] for reports in run_jobs([(world, run, way, phase, steps, start or "")])]


def run_jobs(jobs: list[tuple[Any, ...]]) -> list[list[dict[str, Any]]]:
    """Trainings one after the other (arguments of `train_one`), each process's reports of all of them."""
    command = [sys.executable, "-m", __spec__.name if __spec__ else __name__]
    command += [word for job in jobs for word in ("--one", *map(str, job))]
    way, phase = jobs[0][2], jobs[0][3]
    environments = [dict(os.environ)]
    if way == "workers":
        workers = [f"localhost:{port}" for port in free_ports(2)]
        environments = [
            {
                **os.environ,
                "TF_CONFIG": json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}),
            }
            for index in range(2)
        ]
    processes = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for env in environments
    ]
    reports = []
    try:
        for process in processes:
            out, errors = process.communicate(timeout=600)
            lines = [line for line in out.splitlines() if line.startswith("RESULT ")]
            if not lines:
                raise RuntimeError(f"{way} {phase}: {errors[-3000:]}")
            reports.append([json.loads(line[7:]) for line in lines])
    finally:
        for process in processes:
            process.kill()
    return reports


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def difference(one: dict[str, Any], other: dict[str, Any]) -> tuple[float, float, bool]:
    """Largest relative difference of the losses, largest absolute one of the weights, whether captions are equal.

    Captions are equal when both have the same, and each has those that one device gives for its weights.
    """
    import numpy as np

    a, b = np.array(one["losses"]), np.array(other["losses"])
    loss = float(np.max(np.abs(a - b) / np.maximum(np.abs(a), 1.0)))
    weights = max(float(np.max(np.abs(np.subtract(v, other["weights"][name])))) for name, v in one["weights"].items())
    same = one["captions"] == other["captions"] and one["evaluation"] and other["evaluation"]
    return loss, weights, same


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--one", nargs=6, action="append")
    args = parser.parse_args()
    if args.one:
        if any(job[2] == "mirrored" for job in args.one):
            import tensorflow as tf

            cpu = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        for world, run, way, phase, steps, start in args.one:
            print("RESULT " + json.dumps(train_one(world, run, way, phase, int(steps), start or None)), flush=True)
        return
    from tests.training.conftest import write_world

    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        world = write_world(root / "dataset")
        print("| phase | way | loss, largest difference | weights | captions |\n|---|---|---|---|---|")
        wrong = 0
        for phase in PHASES:
            start = str(root / "dxe-one") if phase == "dr" else None
            reports = {way: run_way(world, root / f"{phase}-{way}", way, phase, args.steps, start) for way in WAYS}
            one = reports["one"][0]
            for way in WAYS[1:]:
                for report in reports[way]:
                    loss, weights, same = difference(one, report)
                    words = "equal" if same else "DIFFERENT"
                    print(f"| {phase} | {way} | {loss:.1e} | {weights:.1e} | {words} |", flush=True)
                    wrong += loss > 1e-5 or not same
    if wrong:
        sys.exit(f"{wrong} differ")


if __name__ == "__main__":
    main()
