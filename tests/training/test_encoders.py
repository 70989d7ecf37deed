"""Training of encoders on small made videos: it learns, it stops and goes on unharmed, it says what it did."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics

from glrg_cli.main import main
from glrg_tf.data.dataset import CaptionDataset, VideoRecord, write_dataset
from glrg_tf.encoders import model_weights
from glrg_tf.encoders.bundle import EncoderBundle
from glrg_tf.encoders.presets import StreamSpec
from glrg_tf.encoders.stream import StreamEncoder
from glrg_tf.errors import AnnotationError, ConfigError, DataError
from glrg_tf.video.sampling import FramePlan
from glrg_tf.video.writer import write_video
from training import encoder_labels, encoder_scores
from training.encoder_config import EncoderTraining, learning_rate
from training.encoder_frames import Draws, FrameSource, augment, draw_moves
from training.encoder_labels import LabelledVideos
from training.encoder_plan import EncoderChoices, join_bundles, make_plan
from training.encoders import EncoderTrainer, SilentReporter

COLOURS = ("red", "green", "blue")
PLAN = FramePlan(positions=4, short_frames=4)
SETTINGS = EncoderTraining(epochs=3, batch_size=8, draws=2, val_positions=2, learning_rate=1e-2, workers=1, shift=0.05)


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """12 clips of 30 frames: a bright square of one colour on noise."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(12):
        rng = np.random.default_rng(number)
        frames = rng.integers(0, 60, (30, 32, 48, 3)).astype(np.uint8)
        frames[:, 6:26, 10:34, number % 3] = 240
        write_video(folder / f"clip{number:02d}.mp4", frames, 10)
    return folder


@pytest.fixture(scope="module")
def table(videos) -> Path:
    """Labels of the clips: 9 to train, 3 to val."""
    path = videos / "labels.csv"
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["video", "labels", "split"])
        for number in range(12):
            writer.writerow([f"clip{number:02d}.mp4", COLOURS[number % 3], "val" if number >= 9 else "train"])
    return path


@pytest.fixture(scope="module")
def material(table) -> LabelledVideos:
    return encoder_labels.from_table(table, None)


def keyframe_spec(**changes) -> StreamSpec:
    spec = StreamSpec("keyframe", input_size=(24, 24), width=3, labels=("blue", "green", "red"), activation="softmax")
    return dataclasses.replace(spec, **changes)


def trainer(material, run, *, settings=SETTINGS, stop=lambda: False, reporter=None, spec=None) -> EncoderTrainer:
    stream = StreamEncoder.build(spec or keyframe_spec(), seed=1)
    return EncoderTrainer(stream, material, settings, PLAN, run, stop=stop, reporter=reporter)


def weights_of(folder: Path) -> dict[str, np.ndarray]:
    model = EncoderBundle.load(folder).streams["keyframe"].model
    return {name: np.asarray(value) for name, value in model_weights.variables(model).items()}


@pytest.fixture(scope="module")
def whole_run(material, tmp_path_factory):
    """A run from beginning to end, with what it reported."""

    class Listener(SilentReporter):
        def __init__(self):
            self.works, self.steps, self.messages = [], 0, []

        def work(self, name, total, unit):
            self.works.append((name, total, unit))

        def advance(self, n, **fields):
            self.steps += n if "loss" in fields else 0

        def message(self, text):
            self.messages.append(text)

    listener, run = Listener(), tmp_path_factory.mktemp("runs") / "whole"
    learner = trainer(material, run, reporter=listener)
    return learner, learner.train(), listener


def test_it_learns(whole_run):
    learner, trained, listener = whole_run
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]
    assert trained.best["val_accuracy"] == 1.0
    assert ("training keyframe", 9, "steps") in listener.works and listener.steps == 9
    assert sum("epoch" in message for message in listener.messages) == 3


def test_one_trace_serves_all_steps(whole_run):
    assert whole_run[0].step.compiled.experimental_get_tracing_count() == 1


def test_the_run_is_an_encoder(whole_run):
    learner, trained, _ = whole_run
    bundle = EncoderBundle.load(learner.run)
    assert bundle.streams["keyframe"].spec.labels == ("blue", "green", "red") and bundle.plan == PLAN
    assert bundle.extra["training"]["scores"]["val_accuracy"] == 1.0


def test_a_stopped_run_goes_on_as_if_it_had_not(material, whole_run, tmp_path):
    calls = iter(range(100))
    with pytest.raises(KeyboardInterrupt):
        trainer(material, tmp_path / "run", stop=lambda: next(calls) == 4).train()  # within the second epoch
    trained = trainer(material, tmp_path / "run").train(resume=True)
    assert len(trained.history) == 3
    for name, value in weights_of(tmp_path / "run").items():
        np.testing.assert_allclose(value, weights_of(whole_run[0].run)[name], atol=1e-5, err_msg=name)


def test_a_run_is_not_overwritten_and_not_resumed_with_other_settings(material, whole_run):
    run = whole_run[0].run
    with pytest.raises(ConfigError, match="exists"):
        trainer(material, run).train()
    with pytest.raises(ConfigError, match="other settings"):
        trainer(material, run, settings=dataclasses.replace(SETTINGS, draws=3)).train(resume=True)


def test_report(whole_run):
    from training.encoder_report import write_report

    learner, trained, _ = whole_run
    report = write_report(learner, trained)
    assert report["splits"]["val"]["accuracy"] == 1.0 and len(report["splits"]["val"]["labels"]) == 3
    assert json.loads((learner.run / "report.json").read_text())["parameters"] == report["parameters"]
    assert (learner.run / "report.png").read_bytes()[:4] == b"\x89PNG"


# === Frames ===
def test_frames_are_the_same_from_memory_and_from_the_file(material):
    kept = FrameSource(material.split("val"), keyframe_spec(), 2**24, 1).prepare()
    again = FrameSource(material.split("val"), keyframe_spec(), 0, 1).prepare()
    assert (kept.kept, again.kept) == (3, 0)
    frames = np.array([[3, 29], [0, 3]])
    for number in range(3):
        assert kept.frame_count(number) == again.frame_count(number) == 30
        np.testing.assert_array_equal(kept.clip(number, frames), again.clip(number, frames))


def test_memory_is_bounded(material):
    size = 30 * 24 * 24 * 3
    source = FrameSource(material.split("train"), keyframe_spec(), 2 * size, 1).prepare()
    assert len(source) == 9 and source.kept == 2


def test_bad_files_are_left_out(material, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    bad = encoder_labels.LabelledVideo("bad", tmp_path / "bad.mp4", "train", ())
    source = FrameSource([bad, *material.split("val")], keyframe_spec(), 2**24, 1).prepare()
    assert len(source) == 3 and [name for name, _ in source.failed] == ["bad"]
    with pytest.raises(DataError, match="no video could be read"):
        FrameSource([bad], keyframe_spec(), 2**24, 1).prepare()


def test_draws_are_a_function_of_seed_and_epoch(material):
    spec = keyframe_spec(kind="short_range", plan="short_range", frames=4)
    source = FrameSource(material.split("train"), spec, 2**24, 1).prepare()
    draws = Draws(source, PLAN, spec, 4, 2, 0.1, True, seed=5)
    assert draws.steps == 5
    epoch = list(draws.epoch(1))
    for later, batch in zip(draws.epoch(1, first=3), epoch[3:], strict=True):
        np.testing.assert_array_equal(later.clips, batch.clips)
        np.testing.assert_array_equal(later.targets, batch.targets)
    assert any((a.clips != b.clips).any() for a, b in zip(draws.epoch(2), epoch, strict=True))
    second = list(dataclasses.replace(draws, places=slice(2, 4)).epoch(1))  # what another worker builds
    for part, batch in zip(second, epoch, strict=True):
        np.testing.assert_array_equal(part.clips, batch.clips[2:4])
        np.testing.assert_array_equal(part.targets, batch.targets[2:4])
    assert epoch[0].clips.shape == (4, 4, 24, 24, 3) and epoch[0].targets.sum(axis=1).tolist() == [1.0] * 4


def test_augmentation_moves_a_clip_as_one():
    clips = np.random.default_rng(0).integers(0, 256, (3, 1, 20, 20, 3)).astype(np.uint8).repeat(2, axis=1)
    moved = augment(clips, draw_moves(np.random.default_rng(1), 3, 0.2, True))
    np.testing.assert_array_equal(moved[:, 0], moved[:, 1])
    assert (moved != clips).any()
    np.testing.assert_array_equal(augment(clips, draw_moves(np.random.default_rng(1), 3, 0.0, False)), clips)


def test_the_learning_rate_rises_and_falls():
    settings = EncoderTraining(learning_rate=1.0, warmup=0.1)
    rates = [learning_rate(settings, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == 1.0 and rates[-1] < 0.02
    assert np.argmax(rates) in (9, 10)


# === Labels ===
def test_labels_hold_from_second_to_second(tmp_path):
    rows = [
        {"video": "a.mp4", "label": "run", "start": 1, "end": 2, "split": "train"},
        {"video": "a.mp4", "labels": ["jump", "run"], "start": 4, "split": "train"},
    ]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = encoder_labels.from_table(tmp_path / "t.jsonl", None)
    assert found.labels == ("jump", "run")
    targets = found.videos[0].targets(np.array([0, 10, 19, 20, 40]), 10.0, 2)
    np.testing.assert_array_equal(targets, [[0, 0], [0, 1], [0, 1], [0, 0], [1, 1]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,labels\n", "no rows"),
        ("video,labels\na.mp4,\n", "a row wants"),
        ("video,labels,colour\na.mp4,x,1\n", "unknown column 'colour'"),
        ("labels\nx\n", "a row wants"),
        ("video,labels,start\na.mp4,x,soon\n", "no number of seconds"),
        ("video,labels,split\na.mp4,x,test\n", "no video file for any training video"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises((AnnotationError, DataError), match=message):
        encoder_labels.from_table(tmp_path / "t.csv", None)


def caption_dataset(folder: Path, videos: Path) -> CaptionDataset:
    records = [
        VideoRecord(
            f"clip{n:02d}",
            "val" if n >= 9 else "train",
            (f"a {COLOURS[n % 3]} square is shown", "something moves", f"the {COLOURS[n % 3]} square"),
            video=str(videos / f"clip{n:02d}.mp4"),
        )
        for n in range(12)
    ]
    write_dataset(folder, records, name="made", source=["test"])
    return CaptionDataset.load(folder)


def test_words_of_captions(tmp_path, videos):
    dataset = caption_dataset(tmp_path / "data", videos)
    found = encoder_labels.from_captions(dataset, None, 4)
    assert found.labels == ("square", "moves", "blue", "green")
    shares = encoder_labels.from_captions(dataset, videos, 9, targets="share")
    row = shares.videos[0].targets(np.array([5]), 10.0, 5)[0]
    np.testing.assert_allclose(row, [2 / 3, 1 / 3, 0, 0, 2 / 3], atol=1e-6)  # square, moves, blue, green, red


def test_truth_of_a_world(tmp_path):
    from glrg_tf.data.world.make import make_world

    make_world(tmp_path / "world", 10, 1)
    for kind in ("short_range", "keyframe"):
        plan = make_plan(EncoderChoices(kind, labels=str(tmp_path / "world")))
        assert plan.spec.width == len(plan.spec.labels) and len(plan.material.videos) == 10
        assert plan.spec.activation == ("softmax" if kind == "short_range" else "sigmoid")
        targets = plan.material.videos[0].targets(np.arange(20), 12.0, plan.spec.width)
        assert (targets.sum(axis=1) >= 1).all()


# === Scores ===
def test_scores_equal_scikit_learns():
    rng = np.random.default_rng(0)
    scores, truths = rng.integers(0, 9, 200) / 9, rng.random(200) < 0.3
    assert encoder_scores.roc_auc(scores, truths) == pytest.approx(sklearn.metrics.roc_auc_score(truths, scores))
    wanted = sklearn.metrics.average_precision_score(truths, scores)
    assert encoder_scores.average_precision(scores, truths) == pytest.approx(wanted)
    assert np.isnan(encoder_scores.roc_auc(scores, np.ones(200, bool)))
    assert np.isnan(encoder_scores.average_precision(scores, np.zeros(200, bool)))


# === The command ===
def test_command_trains_resumes_and_joins(videos, table, tmp_path, capsys):
    run, small = str(tmp_path / "key"), ["--set", "draws=1", "--set", "val_positions=1", "--set", "workers=1"]
    chosen = ["--labels", str(table), "--out", run, "--epochs", "1", "--quiet", "--seed", "2", *small]
    assert main(["train-encoder", "keyframe", *chosen]) == 0
    assert main(["train-encoder", "keyframe", "--out", run, "--resume", "--json", "--quiet"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["report"]["epochs"] == 1 and result["report"]["width"] == 3
    assert main(["train-encoder", "bundle", run, "--out", str(tmp_path / "enc"), "--quiet"]) == 0
    bundle = EncoderBundle.load(tmp_path / "enc")
    assert bundle.widths == (("keyframe", 3),) and bundle.streams["keyframe"].spec.activation == "softmax"
    with pytest.raises(ConfigError, match="two of them"):
        join_bundles([run, run])


def test_command_refuses_what_cannot_be(tmp_path, table, capsys):
    run = str(tmp_path / "run")
    assert main(["train-encoder", "long-range", "--out", run]) == 2
    assert main(["train-encoder", "keyframe", "--out", run]) == 2
    assert main(["train-encoder", "keyframe", "--out", run, "--labels", str(tmp_path / "no.csv")]) == 4
    assert main(["train-encoder", "keyframe", "--out", run, "--labels", str(table), "--set", "epoch=3"]) == 2
    assert main(["train-encoder", "keyframe", "--out", run, "--resume"]) == 5
    assert main(["train-encoder", "bundle", "--out", run]) == 2
    assert main(["train-encoder", "keyframe", "--out", run, "--labels", str(table), "--dry-run"]) == 0
    assert not Path(run).exists()
    assert "did you mean 'epochs'?" in capsys.readouterr().err
