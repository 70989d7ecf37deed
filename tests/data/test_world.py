"""The sample world: deterministic, true to its script, readable, and built so that every range of frames is needed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib

import numpy as np
import pytest

from glrg_tf.data.world import names
from glrg_tf.data.world.annotators import ANNOTATORS, best_caption, describe
from glrg_tf.data.world.make import clip_script, make_world, truth_of
from glrg_tf.data.world.motions import poses
from glrg_tf.data.world.render import render
from glrg_tf.data.world.scenes import draw_scene
from glrg_tf.data.world.script import HEIGHT, WIDTH, Script
from glrg_tf.data.world.shapes import FIGURES, draw_figure
from glrg_tf.data.world.truth import from_row, load_truth, to_row
from glrg_tf.errors import AnnotationError, ConfigError

SCRIPTS = [clip_script(1, index) for index in range(300)]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> pathlib.Path:
    return make_world(tmp_path_factory.mktemp("world") / "a", clips=10, seed=3)


def script_with(**wanted: str) -> Script:
    return next(s for s in SCRIPTS if all(getattr(s, key) == value for key, value in wanted.items()))


def frames_of(script: Script) -> np.ndarray:
    return np.stack([image for image, _ in render(script)]).astype(np.float32)


def test_the_same_seed_gives_the_same_bytes(world, tmp_path):
    again = make_world(tmp_path / "b", clips=10, seed=3)
    files = sorted(path.relative_to(world) for path in world.rglob("*") if path.is_file())
    assert len(files) == 13
    for file in files:
        assert (
            hashlib.sha256((world / file).read_bytes()).digest() == hashlib.sha256((again / file).read_bytes()).digest()
        ), file
    other = make_world(tmp_path / "c", clips=10, seed=4)
    assert (other / "captions.jsonl").read_text() != (world / "captions.jsonl").read_text()


def test_files_agree_with_each_other(world):
    captions = [json.loads(line) for line in (world / "captions.jsonl").read_text().splitlines()]
    truths = load_truth(world)
    assert [row["video"] for row in captions] == [truth.video for truth in truths]
    assert {row["split"] for row in captions} == {"train", "val", "test"}
    for row, truth in zip(captions, truths, strict=True):
        assert (world / row["video"]).stat().st_size > 1000
        assert len(row["captions"]) == 12
        assert all(len(item.boxes) == truth.frames for item in truth.objects)
        assert from_row(to_row(truth)) == truth
        assert truth.action_labels() == (truth.events[0].name,)


def test_the_world_can_be_imported(world):
    from glrg_tf.data.importers import table
    from glrg_tf.data.importers.common import ImportOptions

    found = table.read([world / "captions.jsonl"], ImportOptions())
    assert not found.notes
    assert len(found.records) == 10


def test_everything_there_is_occurs():
    assert {script.action for script in SCRIPTS} == set(names.ACTIONS)
    assert {script.story for script in SCRIPTS} == set(names.STORIES)
    assert {script.scene for script in SCRIPTS} == set(names.SCENES)
    assert {script.actor.kind for script in SCRIPTS} == set(names.SHAPES)
    assert {script.actor.colour for script in SCRIPTS} == set(names.COLOURS)
    assert {script.companion.kind for script in SCRIPTS if script.companion} >= set(names.THINGS)


def test_every_figure_and_scene_can_be_drawn():
    for scene in names.SCENES:
        picture = draw_scene(scene, HEIGHT, WIDTH, np.random.default_rng(0))
        assert picture.shape == (HEIGHT, WIDTH, 3) and picture.min() >= 0
    assert set(FIGURES) == {*names.SHAPES, *names.THINGS}
    for name in FIGURES:
        canvas = np.zeros((HEIGHT, WIDTH, 3), np.float32)
        left, top, right, bottom = draw_figure(canvas, name, (200, 80, 40), (60.0, 40.0), 14.0)
        assert 10 <= right - left <= 32 and 15 <= bottom - top <= 32
        ys, xs = np.nonzero(canvas.sum(2) > 30)
        assert left - 2 <= xs.min() and xs.max() <= right + 1 and top - 2 <= ys.min() and ys.max() <= bottom + 1
        assert draw_figure(canvas, name, (0, 0, 0), (-90.0, 40.0), 14.0) is None


def test_boxes_follow_the_actor():
    script = dataclasses.replace(script_with(action="right"), story="none", companion=None)
    boxes = [places[0] for _, places in render(script)]
    centres = [(box[0] + box[2]) / 2 for box in boxes if box and box[0] > 0 and box[2] < WIDTH]
    steps = np.diff(centres)
    assert np.mean(steps > 0) > 0.9
    kind = dataclasses.replace(script.actor, colour="red")
    image, (box, *_) = next(
        (image, places) for image, places in render(dataclasses.replace(script, actor=kind, scene="snow")) if places[0]
    )
    left, top, right, bottom = (int(side) for side in box)
    inside = image[top:bottom, left:right].reshape(-1, 3).astype(int)
    assert np.mean((inside[:, 0] > 130) & (inside[:, 1] < 110)) > 0.2


@pytest.mark.parametrize("story, mirrored", names.MIRRORED_STORIES)
def test_a_story_and_its_mirror_differ_in_order_only(story, mirrored):
    """Pooled over a clip the frames of both are the same, so that only the long range can tell them apart."""
    script = script_with(story=story)
    nobody = dataclasses.replace(script.actor, radius=0.0)  # actions have an order of their own
    script = dataclasses.replace(script, actor=nobody, change=36, frames=73)
    other = dataclasses.replace(script, story=mirrored)
    ours, theirs = frames_of(script), frames_of(other)
    # Water carries waves of its own; everything else is the same picture.
    assert np.abs(ours - theirs[::-1]).mean() < 3.0
    assert np.abs(ours - theirs).mean() > 4 * np.abs(ours - theirs[::-1]).mean()
    assert np.abs(ours.mean(0) - theirs.mean(0)).mean() < 2.0


def test_weather_comes_in_two_events_far_apart():
    script = script_with(story="weather")
    first, second = [event for event in truth_of(script, 0, []).events if event.type == "weather"]
    assert (second.start + second.end) / 2 - (first.start + first.end) / 2 > 25
    assert second.start > first.end


@pytest.mark.parametrize("action", ["left", "up"])
def test_three_distant_frames_do_not_tell_the_direction(action):
    """26 frames are half a period: the place then says nothing of the way, and 52 frames lead back."""
    script = script_with(action=action)
    actor = dataclasses.replace(script.actor, tempo=1.0)
    script = dataclasses.replace(script, action=action, actor=actor, companion=None, story="none")
    start, middle, end = (poses(script, frame)[0] for frame in (8, 34, 60))
    assert abs(start.x - end.x) + abs(start.y - end.y) < 1e-6
    assert abs(start.x - middle.x) + abs(start.y - middle.y) > 30


def test_annotators_differ_in_style_and_care():
    assert len(ANNOTATORS) >= 12
    rng = np.random.default_rng(0)
    said: dict[str, list[float]] = {one.name: [] for one in ANNOTATORS}
    for script in SCRIPTS[:150]:
        truth = set(best_caption(script).split())
        for name, text in describe(script, rng):
            words = text.split()
            said[name].append(len(truth & set(words)) / len(truth))
            assert text == " ".join(words) and 2 <= len(words) <= 28, text
            assert "{" not in text
    coverage = {name: np.mean(values) for name, values in said.items()}
    assert coverage["Ann"] > 0.95
    assert coverage["Ida"] < 0.5 and coverage["Lou"] < 0.5
    assert best_caption(SCRIPTS[0]) == best_caption(SCRIPTS[0])


def test_refusals(tmp_path, world):
    with pytest.raises(ConfigError, match="clips must lie"):
        make_world(tmp_path / "none", clips=3)
    with pytest.raises(ConfigError):
        make_world(world, clips=10)
    with pytest.raises(AnnotationError, match="no truth"):
        load_truth(tmp_path)
    (tmp_path / "truth.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(AnnotationError, match="not the truth of a clip"):
        load_truth(tmp_path)


def test_the_command(tmp_path, capsys):
    from glrg_cli.main import main

    assert main(["world", "--out", str(tmp_path / "w"), "--clips", "10", "--seed", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clips"] == 10
    assert main(["world", "--out", str(tmp_path / "w")]) == 2
    assert "exists" in capsys.readouterr().err
