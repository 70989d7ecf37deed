"""Determinism mode: XE, DXE and DR twice in one process, with TensorFlow's own number of threads; the same bits."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import dataclasses, pathlib, sys
import numpy as np
from tests.faults.kills import training_world
from tests.training.conftest import CONFIG, PHASE
from training import curriculum
from training.checkpoints import CheckpointFolder
from training.determinism import make_deterministic

make_deterministic(1)
folder = pathlib.Path(sys.argv[1])
world = training_world(folder)
phase = dataclasses.replace(PHASE, epochs=2, sampling="inverse_sigmoid", sampling_k=1.0, ema_decay=0.9)
config = dataclasses.replace(CONFIG, xe=phase, dxe=phase, dr=phase)
ends = []
for run in ("a", "b"):
    best = curriculum.train(curriculum.make_plan(world, folder / run, config, ("xe", "dxe", "dr")))
    ends.append({p: CheckpointFolder(folder / run / "phases" / p).restore()[0].slots for p in best})
for phase, slots in ends[0].items():
    for name, value in slots.items():
        assert value.tobytes() == ends[1][phase][name].tobytes(), (phase, name)
print("EQUAL", sorted(ends[0]))
"""


def test_the_same_seed_gives_the_same_bits(tmp_path):
    free = {
        name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, timeout=600, env=free
    )
    assert "EQUAL ['dr', 'dxe', 'xe']" in done.stdout, done.stderr[-3000:]
