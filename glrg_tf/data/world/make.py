"""Writes a world: clips, what people said of them, and the truth. Everything is a function of the seed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glrg_tf.data.world import names
from glrg_tf.data.world.annotators import best_caption, describe
from glrg_tf.data.world.render import Box, render, weather_strengths
from glrg_tf.data.world.script import FRAME_RATE, HEIGHT, WIDTH, Script, draw_script
from glrg_tf.data.world.truth import FILE, Event, Seen, Truth, to_row
from glrg_tf.errors import ConfigError
from glrg_tf.io import atomic

CLIPS, MIN_CLIPS, MAX_CLIPS = 400, 10, 20_000
_SPLIT_OF_TEN = ("train",) * 7 + ("val",) + ("test",) * 2


def make_world(
    folder: str | os.PathLike[str], clips: int = CLIPS, seed: int = 1, progress: Callable[[int], object] | None = None
) -> Path:
    """Renders a world: `videos/`, `captions.jsonl` (for `glrg data import table`), `truth.jsonl`, `world.json`.

    Args:
        folder: where it goes; must not exist.
        clips: how many; 7 of 10 to train, 1 to val, 2 to test. A larger world begins with the clips of a smaller one.
        seed: everything is a function of it.
        progress: called with the number of clips just finished.

    Returns:
        The folder.

    Raises:
        ConfigError: the folder exists, or a number of clips outside 10..20000.
    """
    from glrg_tf.video.writer import write_video

    if not MIN_CLIPS <= clips <= MAX_CLIPS:
        raise ConfigError(f"clips must lie in {MIN_CLIPS}..{MAX_CLIPS}, not {clips}", where="clips")
    captions, truths = [], []
    with atomic.new_folder(Path(folder)) as scratch:
        (scratch / "videos").mkdir()
        for index in range(clips):
            script, boxes = clip_script(seed, index), []
            target = scratch / video_name(index)
            write_video(target, _collecting(script, boxes), FRAME_RATE)
            truth = truth_of(script, index, boxes)
            said = describe(script, np.random.default_rng([seed, index, 1]))
            captions.append({"video": truth.video, "split": truth.split, "captions": [text for _, text in said]})
            truths.append({**to_row(truth), "annotators": [name for name, _ in said]})
            if progress is not None:
                progress(1)
        _write_lines(scratch / "captions.jsonl", captions)
        _write_lines(scratch / FILE, truths)
        about = {"format": "glrg-world", "version": 1, "clips": clips, "seed": seed, "frame_rate": FRAME_RATE}
        labels = {"keyframe_labels": names.KEYFRAME_LABELS, "action_labels": names.ACTIONS, "stories": names.STORIES}
        atomic.write_text(scratch / "world.json", json.dumps({**about, **labels}, indent=1) + "\n")
    return Path(folder)


def clip_script(seed: int, index: int) -> Script:
    """What happens in clip `index` of the world of `seed`."""
    return draw_script(np.random.default_rng([seed, index]))


def video_name(index: int) -> str:
    """Where clip `index` lies in a world's folder."""
    return f"videos/world{index:05d}.mp4"


def truth_of(script: Script, index: int, boxes: list[list[Box | None]]) -> Truth:
    """The truth about a clip.

    Args:
        script: what happens.
        index: its number in the world.
        boxes: per frame, the boxes of actor and companion, as `render` yields them.
    """
    figures = [(script.actor, "actor"), *([(script.companion, "companion")] if script.companion else [])]
    objects = tuple(
        Seen(figure.kind, figure.colour, role, tuple(row[place] for row in boxes))
        for place, (figure, role) in enumerate(figures)
    )
    scenes = [Event(script.scene, "scene", 0, script.frames)]
    if script.story == "cut":
        scenes = [
            Event(script.scene, "scene", 0, script.change),
            Event(str(script.later), "scene", script.change, script.frames),
        ]
    return Truth(
        f"world{index:05d}",
        _SPLIT_OF_TEN[index % 10],
        video_name(index),
        script.frames,
        float(FRAME_RATE),
        (WIDTH, HEIGHT),
        tuple(scenes),
        objects,
        tuple(_events(script)),
        best_caption(script),
    )


def _events(script: Script) -> Iterator[Event]:
    companion = 1 if script.companion else None
    yield Event(script.action, "action", 0, script.frames, 0, companion if script.shared else None)
    if script.story == "weather":
        seen = [weather_strengths(script, frame) for frame in range(script.frames)]
        for place, kind in enumerate((script.earlier, script.later)):
            frames = [frame for frame, strengths in enumerate(seen) if strengths[place] > 0]
            yield Event(str(kind), "weather", frames[0], frames[-1] + 1)
    elif script.story in ("appear", "vanish"):
        yield Event(script.story, "story", script.change - 2, script.change + 2, None, companion)
    elif script.story == "cut":
        yield Event(script.story, "story", script.change, script.change + 1)
    elif script.story != "none":
        yield Event(script.story, "story", 0, script.frames, None, companion)


def _collecting(script: Script, boxes: list[list[Box | None]]) -> Iterator[NDArray[np.uint8]]:
    for image, places in render(script):
        boxes.append(places)
        yield image


def _write_lines(path: Path, rows: list[dict]) -> None:
    atomic.write_text(path, "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
