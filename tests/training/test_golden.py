"""Twenty steps of each objective on the made world, loss and gradient norm as they were when the file was written.

The numbers change when the mathematics, the data order or a random stream changes. Renew them only on purpose:

    python -m tests.training.test_golden "why they change"

which rewrites `golden_steps.json` with the reason in it; commit both together.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from tests.training import conftest
from training import curriculum, loop
from training.reporting import Reporter

GOLDEN = Path(__file__).with_name("golden_steps.json")
PHASES = ("xe", "dxe", "dr")


def record(world: Path, folder: Path, phase: str, start: str | None) -> dict[str, list[float]]:
    """Loss and gradient norm of the first 20 steps of a phase."""
    seen: dict[str, list[float]] = {"loss": [], "gradient_norm": []}
    build = loop.steps.build_train_step

    def spied(*args, **options):
        step = build(*args, **options)

        def call(*inputs):
            metrics = step(*inputs)
            for name, values in seen.items():
                values.append(float(metrics[name]))
            return metrics

        return call

    config = dataclasses.replace(conftest.CONFIG, **{phase: dataclasses.replace(conftest.PHASE, epochs=7)})
    loop.steps.build_train_step = spied
    try:
        curriculum.train(curriculum.make_plan(world, folder, config, (phase,), start=start), reporter=Reporter())
    finally:
        loop.steps.build_train_step = build
    return {name: values[:20] for name, values in seen.items()}


def record_all(world: Path, folder: Path) -> dict[str, dict[str, list[float]]]:
    """All phases; boosting starts from the DXE run before it."""
    found: dict[str, dict[str, list[float]]] = {}
    for phase in PHASES:
        start = str(folder / "dxe") if phase == "dr" else None
        found[phase] = record(world, folder / phase, phase, start)
    return found


@pytest.fixture(scope="module")
def found(world, tmp_path_factory):
    return record_all(world, tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("phase", ["xe", "dxe"])
def test_steps_are_as_they_were(found, phase):
    golden = json.loads(GOLDEN.read_text())["steps"][phase]
    for name, values in golden.items():
        np.testing.assert_allclose(found[phase][name], values, rtol=2e-3, atol=2e-4, err_msg=name)


def test_boosting_steps_are_as_they_were(found):
    """One draw that falls the other way on another processor changes a step: the first steps and the mean are held."""
    golden = json.loads(GOLDEN.read_text())["steps"]["dr"]
    np.testing.assert_allclose(found["dr"]["loss"][:3], golden["loss"][:3], rtol=0.05, atol=0.02)
    assert abs(np.mean(found["dr"]["gradient_norm"]) / np.mean(golden["gradient_norm"]) - 1.0) < 0.3


def renew(reason: str) -> None:
    """Rewrites the golden file."""
    with tempfile.TemporaryDirectory() as scratch:
        world = conftest.write_world(Path(scratch) / "dataset")
        steps = record_all(world, Path(scratch))
    GOLDEN.write_text(json.dumps({"reason": reason, "steps": steps}, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].strip():
        sys.exit(__doc__)
    renew(sys.argv[1])
