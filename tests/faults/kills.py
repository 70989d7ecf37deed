"""Training runs that are killed over and over, and end with the weights of one that never was.

    python -m tests.faults.kills --kills 200

Each life is a fork of this process (TensorFlow imported, not started) that trains, or resumes, until SIGKILL: at any
moment, while it starts, or inside a save. After every death the newest checkpoint must verify and hold what was done
up to one save interval. Steps run eagerly, or tracing them would be most of every life.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import random
import select
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.training import conftest

SAVE_EVERY = 2  # steps; epochs of 3 steps save too
MOMENTS = ("any", "any", "save", "save", "start")


@dataclasses.dataclass
class Death:
    """How a life ended."""

    moment: str
    steps_seen: int  # the last step the dead process told of
    resumed_at: int  # the step of the newest whole checkpoint
    finished: bool = False


def training_world(folder: Path) -> Path:
    """The made world without its val split: validation would be most of every epoch."""
    from glrg_tf.data.dataset import CaptionDataset, write_dataset
    from glrg_tf.data.feature_layout import FeatureTable

    whole = CaptionDataset.load(conftest.write_world(folder / "whole"))
    records = whole.records("train")
    store = whole.features
    values = {name: store.read([r.id for r in records], [name]) for name in store.streams}
    table = FeatureTable([r.id for r in records], values)
    write_dataset(folder / "train", records, name="train", source=["made by the tests"], features=table)
    return folder / "train"


def live(world: Path, run: Path, phase: str, epochs: int, report: int) -> None:
    """Trains or resumes; writes `b` before a save and `s<step>` after a step to the descriptor `report`."""
    import tensorflow as tf

    from training import checkpoints, curriculum
    from training.reporting import Reporter

    tf.config.run_functions_eagerly(True)
    tf.config.experimental.enable_op_determinism()
    save = checkpoints.CheckpointFolder.save

    def told(self: Any, *args: Any, **options: Any) -> Any:
        os.write(report, b"b\n")
        return save(self, *args, **options)

    checkpoints.CheckpointFolder.save = told

    class Teller(Reporter):
        def step_done(self, phase: str, step: int, tokens: float) -> None:
            os.write(report, f"s{step}\n".encode())

    settings = dataclasses.replace(conftest.PHASE, epochs=epochs, save_every=SAVE_EVERY, sampling="inverse_sigmoid")
    config = dataclasses.replace(conftest.CONFIG, **{phase: settings})
    resume = (run / "config.json").is_file()
    plan = curriculum.make_plan(world, run, config, (phase,), resume=resume)
    curriculum.train(plan, resume=resume, reporter=Teller())


def start(world: Path, run: Path, phase: str, epochs: int) -> tuple[int, int]:
    """Forks a life; returns its process id and the descriptor it reports to."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    code = 1
    try:
        os.close(reading)
        errors = os.open(run.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(errors, 1)
        os.dup2(errors, 2)
        live(world, run, phase, epochs, writing)
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def kill_once(world: Path, run: Path, phase: str, epochs: int, rng: random.Random) -> Death:
    """One life, killed at a random moment unless it finishes first."""
    moment = rng.choice(MOMENTS)
    child, reading = start(world, run, phase, epochs)
    wanted_saves = rng.randint(1, 3)
    delay = {"start": rng.uniform(0.0, 1.5), "any": rng.uniform(0.0, 0.6), "save": rng.uniform(0.0, 0.04)}[moment]
    saves = seen = 0
    deadline = time.monotonic() + delay if moment == "start" else None
    with contextlib.closing(os.fdopen(reading, "rb", buffering=0)) as pipe:
        rest = b""
        while True:
            left = 120.0 if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([pipe], [], [], left)[0]:
                os.kill(child, signal.SIGKILL)
                break
            data = pipe.read(4096)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            saves += lines.count(b"b")
            seen = max([seen, *(int(line[1:]) for line in lines if line.startswith(b"s"))])
            ready = saves >= wanted_saves if moment == "save" else saves or seen
            if deadline is None and ready:
                deadline = time.monotonic() + delay
        told = pipe.read(65536) or b""
        seen = max([seen, *(int(line[1:]) for line in told.split(b"\n") if line[:1] == b"s" and line[1:].isdigit())])
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"a life failed by itself: {run.with_suffix('.log').read_text()[-2000:]}")
    return Death(moment, seen, newest_step(run), finished=os.WIFEXITED(status))


def newest_step(run: Path) -> int:
    """The step of the newest checkpoint that verifies; 0 without one."""
    from training.checkpoints import CheckpointFolder

    folder = CheckpointFolder(run)
    found = folder.restore()
    if folder.refused:
        raise RuntimeError(f"a kill left a damaged checkpoint: {folder.refused[0]}")
    return found[0].step if found else 0


def endure(folder: Path, kills: int, epochs: int, seed: int = 1, phase: str = "xe") -> Iterator[Death]:
    """Kills so many times: a run until it ends, then another; each must end as the one that was left alone.

    Raises:
        RuntimeError: a checkpoint was damaged, more than a save interval was lost, or weights differ.
    """
    rng, world = random.Random(seed), training_world(folder)
    whole, number, count = folder / "whole-run", 0, 0
    finish(world, whole, phase, epochs)
    while count < kills:
        run = folder / f"killed-{number}"
        while count < kills:
            death = kill_once(world, run, phase, epochs, rng)
            if death.finished:
                break
            if death.resumed_at < death.steps_seen - SAVE_EVERY:
                raise RuntimeError(f"more than {SAVE_EVERY} steps were lost: {death}")
            count += 1
            yield death
        finish(world, run, phase, epochs)
        compare(whole, run)
        number += 1


def finish(world: Path, run: Path, phase: str, epochs: int) -> None:
    """Lets a run end."""
    child, reading = start(world, run, phase, epochs)
    with os.fdopen(reading, "rb") as pipe:
        while pipe.read(65536):
            pass
    if os.waitpid(child, 0)[1]:
        raise RuntimeError(run.with_suffix(".log").read_text()[-2000:])


def compare(whole: Path, run: Path) -> None:
    """Holds a killed run's last state and its folder against those of the one that was left alone."""
    import numpy as np

    from training.checkpoints import CheckpointFolder

    a, b = (CheckpointFolder(f).restore()[0] for f in (whole, run))
    if a.step != b.step or a.slots.keys() != b.slots.keys():
        raise RuntimeError(f"ended at step {b.step}, not {a.step}")
    differing = [name for name, value in a.slots.items() if not np.array_equal(value, b.slots[name])]
    if differing:
        raise RuntimeError(f"not bit for bit equal: {', '.join(differing)}")
    left = [path.name for path in (run / "checkpoints").iterdir() if path.name.startswith(".")]
    if left:
        raise RuntimeError(f"left behind: {left}")


def main() -> None:
    """Prints what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=20, help="of one run; there are as many runs as the kills need")
    parser.add_argument("--phase", choices=("xe", "dxe"), default="xe")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    started = time.monotonic()
    deaths = []
    with tempfile.TemporaryDirectory() as scratch:
        for death in endure(Path(scratch), args.kills, args.epochs, args.seed, args.phase):
            deaths.append(death)
            if len(deaths) % 10 == 0:
                print(f"{len(deaths)} kills, {time.monotonic() - started:.0f} s", flush=True)
    moments = {moment: sum(death.moment == moment for death in deaths) for moment in dict.fromkeys(MOMENTS)}
    lost = max((max(0, death.steps_seen - death.resumed_at) for death in deaths), default=0)
    print(f"{len(deaths)} kills ({moments}), at most {lost} steps lost, weights equal bit for bit", end=" ")
    print(f"in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    import tensorflow  # noqa: F401  (imported once, before the lives are forked)

    from training import curriculum  # noqa: F401

    main()
