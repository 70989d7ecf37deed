"""The loop: learns, stops, resumes bit for bit, one trace, refuses what it must."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest

from glrg_tf.captioner.captioner import VideoCaptioner
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.errors import CheckpointError, ConfigError, DataError, FeatureError
from tests.training.conftest import CONFIG, PHASE
from training import checkpoints, curriculum, loop, material
from training.config import RunConfig
from training.reporting import Reporter


def make_plan(world, run, phases=("xe",), config: RunConfig = CONFIG, **options):
    return curriculum.make_plan(world, run, config, phases, **options)


def weights_of(folder):
    return VideoCaptioner.from_preset(folder).model.get_weights()


class Listener(Reporter):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.epochs: list[tuple[str, dict[str, float]]] = []
        self.reasons: list[str] = []
        self.steps = 0

    def epoch_done(self, phase, metrics):
        self.epochs.append((phase, metrics))

    def phase_finished(self, phase, reason, best):
        self.reasons.append(reason)

    def step_done(self, phase, step, tokens):
        self.steps += 1


@pytest.fixture(scope="module")
def trained(world, tmp_path_factory):
    """The whole curriculum on the made world, long enough to learn it."""
    run = tmp_path_factory.mktemp("run") / "a"
    long = dataclasses.replace(PHASE, epochs=30)
    config = dataclasses.replace(CONFIG, xe=long, dxe=long, dr=dataclasses.replace(PHASE, epochs=6, learning_rate=3e-3))
    listener = Listener()
    best = curriculum.train(make_plan(world, run, ("xe", "dxe", "dr"), config), reporter=listener)
    return run, best, listener


def test_the_curriculum_learns_the_world(trained, world):
    run, best, _ = trained
    captioner = VideoCaptioner.from_preset(run)
    dataset = CaptionDataset.load(world)
    captions = captioner.generate(material.open_split(dataset, "val", captioner.config).features())
    said = [c[0].text for c in captions]
    hits = sum(r.captions[0] == text for r, text in zip(dataset.records("val"), said, strict=True))
    assert hits >= 3, said
    assert set(best) == {"xe", "dxe", "dr"}


def test_the_run_folder_is_as_documented(trained):
    run, best, listener = trained
    assert (run / "best").read_text().strip() == str(best["dr"].relative_to(run.resolve()))
    for phase in ("xe", "dxe", "dr"):
        folder = run / "phases" / phase
        assert {"config.json", "vocabulary.json", "metrics.jsonl", "latest", "best", "checkpoints"} <= {
            p.name for p in folder.iterdir()
        }
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert [line["epoch"] for line in lines] == [m["epoch"] for p, m in listener.epochs if p == phase]
        assert list((folder / "tensorboard").iterdir())
        assert len(list((folder / "checkpoints").iterdir())) <= 3
    assert weights_of(run).keys() == weights_of(best["dr"]).keys()
    card = (best["dr"] / "model_card.md").read_text()
    assert "long_range (6)" in card and "discrepant reward" in card and "world, 16 training videos" in card


def test_boosting_starts_from_the_best_dxe_and_raises_the_reward(trained):
    _, _, listener = trained
    rewards = [metrics["reward"] for phase, metrics in listener.epochs if phase == "dr"]
    assert rewards[-1] > rewards[0] > 0.5, rewards


class Stopper:
    """Asks for a stop after the given steps of a run."""

    def __init__(self, *steps: int) -> None:
        self.steps, self.done = steps, 0

    def __call__(self) -> bool:
        self.done += 1
        return self.done in self.steps


@pytest.mark.parametrize(("phase", "stops"), [("xe", (1, 2, 3, 4, 5)), ("dxe", (2, 5)), ("dr", (1, 4))])
def test_resume_is_bit_identical(world, trained, tmp_path, phase, stops):
    """Stopped after these steps (inside and at the end of epochs) and resumed: the same bits, the same history."""
    start = str(trained[1]["dxe"]) if phase == "dr" else None
    varied = dataclasses.replace(PHASE, epochs=2, ema_decay=0.9, sampling="inverse_sigmoid", sampling_k=1.0)
    config = dataclasses.replace(CONFIG, xe=varied, dxe=varied, dr=varied)
    whole = curriculum.train(make_plan(world, tmp_path / "whole", (phase,), config, start=start))
    cut, stopper = tmp_path / "cut", Stopper(*stops)
    for _ in stops:
        plan = make_plan(world, cut, (phase,), config, start=start, resume=stopper.done > 0)
        with pytest.raises(KeyboardInterrupt):
            curriculum.train(plan, resume=stopper.done > 0, stop=stopper)
    plan = make_plan(world, cut, (phase,), config, start=start, resume=True)
    best = curriculum.train(plan, resume=True, stop=stopper)
    assert stopper.done == 6  # 16 videos in batches of 6: three steps an epoch
    a, b = (checkpoints.CheckpointFolder(f).restore()[0] for f in (tmp_path / "whole", cut))
    assert a.step == b.step and a.slots.keys() == b.slots.keys()
    for name, value in a.slots.items():
        np.testing.assert_array_equal(value, b.slots[name], err_msg=name)
    assert best[phase].name == whole[phase].name
    for ours, theirs in zip(a.history, b.history, strict=True):
        assert ours.get("val_cider") == theirs.get("val_cider")


def test_same_seed_same_weights_and_other_seed_other_weights(world, tmp_path):
    runs = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        curriculum.train(make_plan(world, tmp_path / name, seed=seed))
        runs[name] = weights_of(tmp_path / name)
    assert all((runs["a"][n] == runs["b"][n]).all() for n in runs["a"])
    assert any((runs["a"][n] != runs["c"][n]).any() for n in runs["a"])


@pytest.mark.parametrize("phase", ["xe", "dxe", "dr"])
def test_one_trace_over_many_steps(world, trained, tmp_path, monkeypatch, phase):
    built = []
    original = loop.steps.build_train_step
    monkeypatch.setattr(loop.steps, "build_train_step", lambda *a, **k: built.append(original(*a, **k)) or built[-1])
    config = dataclasses.replace(CONFIG, **{phase: dataclasses.replace(PHASE, epochs=34)})
    start = str(trained[1]["dxe"]) if phase == "dr" else None
    listener = Listener()
    curriculum.train(make_plan(world, tmp_path / "run", (phase,), config, start=start), reporter=listener)
    assert listener.steps == 102
    assert built[0].experimental_get_tracing_count() == 1


def test_early_stopping_waits_for_patience(world, tmp_path, monkeypatch):
    scores = iter([0.1, 0.5, 0.4, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1])
    monkeypatch.setattr(loop.Validator, "__call__", lambda self, captioner: {"val_beam_cider": next(scores)})
    config = dataclasses.replace(CONFIG, xe=dataclasses.replace(PHASE, epochs=10, patience=3, selection_window=2))
    listener = Listener()
    best = curriculum.train(make_plan(world, tmp_path / "run", config=config), reporter=listener)
    # Means of two: .1 .3 .45 .4 .35 .25: the third epoch (step 9) is best, three later ones are not.
    assert len(listener.epochs) == 6 and "3 epochs" in listener.reasons[0]
    assert best["xe"].name == "000009"


def test_boosting_is_not_judged_by_few_validation_videos(world, trained, tmp_path, monkeypatch):
    """Its val score falls from the first epoch on; all epochs are run and the last one is taken, unless asked."""
    falling = {"scores": iter(())}
    monkeypatch.setattr(loop.Validator, "__call__", lambda *_: {"val_beam_cider": next(falling["scores"])})
    start = str(trained[1]["dxe"])
    for selection, last in (("auto", "000015"), ("validation", "000003")):
        falling["scores"] = iter([0.5, 0.4, 0.3, 0.2, 0.1])
        phase = dataclasses.replace(PHASE, epochs=5, patience=2, selection=selection)
        config = dataclasses.replace(CONFIG, dr=phase)
        best = curriculum.train(make_plan(world, tmp_path / selection, ("dr",), config, start=start))
        assert best["dr"].name == last


def test_a_diverging_run_stops_with_its_last_good_checkpoint(world, tmp_path, monkeypatch):
    calls = {"n": 0}
    original = loop.steps.build_train_step

    def build(*args, **options):
        step = original(*args, **options)

        def broken(*inputs):
            calls["n"] += 1
            metrics = step(*inputs)
            return metrics | {"loss": metrics["loss"] * np.nan} if calls["n"] == 5 else metrics

        return broken

    monkeypatch.setattr(loop.steps, "build_train_step", build)
    with pytest.raises(CheckpointError, match="diverged"):
        curriculum.train(make_plan(world, tmp_path / "run"))
    state, folder = checkpoints.CheckpointFolder(tmp_path / "run").restore()
    assert state.step == 3 and folder.name == "000003"


def test_a_damaged_checkpoint_falls_back_to_the_one_before(world, tmp_path):
    curriculum.train(make_plan(world, tmp_path / "run"))
    newest = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    file = newest / "training.h5"
    file.write_bytes(file.read_bytes()[:-10])
    state, folder = checkpoints.CheckpointFolder(tmp_path / "run").restore()
    assert folder != newest and state.step == 6
    for folder in (tmp_path / "run" / "checkpoints").iterdir():
        (folder / "state.json").write_text("{")
    with pytest.raises(CheckpointError, match="no checkpoint is whole"):
        checkpoints.CheckpointFolder(tmp_path / "run").restore()


def test_resume_under_other_settings_is_refused(world, tmp_path):
    curriculum.train(make_plan(world, tmp_path / "run"))
    other = dataclasses.replace(CONFIG, xe=dataclasses.replace(PHASE, learning_rate=0.5))
    with pytest.raises(CheckpointError, match="xe.learning_rate"):
        curriculum.train(make_plan(world, tmp_path / "run", config=other, resume=True), resume=True)


def test_resume_may_ask_for_more_epochs(world, tmp_path):
    """Two epochs and then two more are four."""

    def with_epochs(epochs):
        return dataclasses.replace(CONFIG, xe=dataclasses.replace(PHASE, epochs=epochs))

    curriculum.train(make_plan(world, tmp_path / "whole", config=with_epochs(4)))
    curriculum.train(make_plan(world, tmp_path / "run", config=with_epochs(2)))
    curriculum.train(make_plan(world, tmp_path / "run", config=with_epochs(4), resume=True), resume=True)
    a, b = (checkpoints.CheckpointFolder(tmp_path / name).restore()[0] for name in ("whole", "run"))
    assert a.step == b.step == 12
    for name, value in a.slots.items():
        np.testing.assert_array_equal(value, b.slots[name], err_msg=name)


def test_a_failing_entrance_leaves_nothing(world, tmp_path):
    with pytest.raises(CheckpointError):
        curriculum.train(make_plan(world, tmp_path / "run", ("dr",), start=str(tmp_path / "nothing")))
    assert not (tmp_path / "run").exists()


def test_plans_refuse_what_cannot_work(world, tmp_path):
    with pytest.raises(ConfigError, match="unknown phase"):
        make_plan(world, tmp_path / "r", ("xx",))
    with pytest.raises(ConfigError, match="entrance model"):
        make_plan(world, tmp_path / "r", ("dr",))
    with pytest.raises(ConfigError, match="no run to resume"):
        make_plan(world, tmp_path / "r", resume=True)
    with pytest.raises(DataError):
        make_plan(tmp_path / "nothing", tmp_path / "r")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        make_plan(world, tmp_path / "full")
    assert not (tmp_path / "r").exists()


def test_wrong_or_missing_features_are_refused(world, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(world, bare)
    (bare / "features.h5").unlink()
    with pytest.raises((FeatureError, DataError)):
        curriculum.train(make_plan(bare, tmp_path / "r"))
    wide = dataclasses.replace(CONFIG.model, streams=(("long_range", 7), ("short_range", 5)))
    with pytest.raises(FeatureError, match="width 6"):
        curriculum.train(make_plan(world, tmp_path / "r", config=dataclasses.replace(CONFIG, model=wide)))
    assert not (tmp_path / "r").exists()
