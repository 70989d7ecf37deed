"""Two replicas train as one device does: same global batch, same loss, same weights (dropout off)."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

PROGRAM = """
import dataclasses, json, sys
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tests.training.conftest import CONFIG, PHASE
from training import curriculum
from training.reporting import Reporter

folder, run, replicas, phase, start = sys.argv[1:]
model = dataclasses.replace(CONFIG.model, dropout=0.0)
phases = {name: dataclasses.replace(PHASE, epochs=2, baseline="none") for name in ("xe", "dxe", "dr")}
config = dataclasses.replace(CONFIG, model=model, **phases)
losses = []

class Listener(Reporter):
    def epoch_done(self, phase, metrics):
        losses.append(metrics["loss"])

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]) if replicas == "2" else None
plan = curriculum.make_plan(folder, run, config, (phase,), start=start or None)
best = curriculum.train(plan, strategy=strategy, reporter=Listener())
from glrg_tf.captioner.captioner import VideoCaptioner
weights = VideoCaptioner.from_preset(run).model.get_weights()
print("RESULT " + json.dumps({"losses": losses, "weights": {k: v.tolist() for k, v in weights.items()}}))
"""


def run(world, folder, replicas, phase, start=""):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(world), str(folder), str(replicas), phase, start],
        capture_output=True,
        text=True,
        timeout=300,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        pytest.fail(done.stderr[-3000:])
    return json.loads(lines[0][7:])


def test_two_replicas_equal_one_device(world, tmp_path):
    """DXE, whose divisor is the token count of the global batch: the place where replicas go wrong."""
    one, two = (run(world, tmp_path / str(n), n, "dxe") for n in (1, 2))
    np.testing.assert_allclose(one["losses"], two["losses"], rtol=1e-5)
    for name, value in one["weights"].items():
        np.testing.assert_allclose(value, two["weights"][name], atol=2e-5, err_msg=name)
