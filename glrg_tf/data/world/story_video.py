"""The pictures of a story, streamed frame by frame, and the folder of stories on disk.

`stories.jsonl` has one line a story: {"id", "split", "video" | null, "duration", "frame_rate", "clip_seconds",
"segment_seconds", "clips": [{"start", "end", "caption", "captions"}], "segments": [{"start", "end", "description",
"descriptions", "place", "night", "theme"}], "summary", "summaries", "facts"}; times in seconds.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glrg_tf.data.world.effects import Weather, light_of_day
from glrg_tf.data.world.motions import poses
from glrg_tf.data.world.render import Stage
from glrg_tf.data.world.script import FRAME_RATE, HEIGHT, WIDTH
from glrg_tf.data.world.shapes import draw_figure
from glrg_tf.data.world.stories import BEAT_SECONDS, SEGMENT_SECONDS, Beat, Story, draw_story
from glrg_tf.data.world.story_text import clip_caption, segment_description, story_summary
from glrg_tf.errors import ConfigError
from glrg_tf.io import atomic

FILE = "stories.jsonl"
_NIGHT = 0.82  # darkness of an act at night: colours can still be told
_VARIANTS = 3  # wordings a text
_CARGO_RADIUS = 7.0  # pixels


def story_frames(story: Story) -> Iterator[NDArray[np.uint8]]:
    """Yields every frame, uint8 (HEIGHT, WIDTH, 3), `story.frame_rate` a second, in constant memory."""
    for segment in story.segments:
        for beat in segment.beats:
            yield from beat_frames(story, segment.act, beat)


def beat_frames(story: Story, act: int, beat: Beat, frames: Sequence[int] | None = None) -> Iterator[NDArray[np.uint8]]:
    """Yields frames of one beat: all, or those given (0 .. 4 · frame_rate - 1).

    Drawing a few frames of each beat directly is what makes training on hundreds of stories cheap.
    """
    script, setting = beat.script, story.acts[act]
    stage = Stage(script)
    weather = _weather(setting.weather, script.looks) if setting.weather else None
    for frame in range(script.frames) if frames is None else frames:
        moment = frame * FRAME_RATE // story.frame_rate  # motions are told in frames of 12 a second
        canvas = stage.paint(moment)[0]
        if story.cargo is not None:
            pose = poses(script, moment)[0]
            above = (pose.x, pose.y - pose.radius - 0.8 * _CARGO_RADIUS)
            draw_figure(canvas, story.cargo, None, above, _CARGO_RADIUS, opacity=pose.opacity)
        if weather is not None:
            weather.apply(canvas, moment, 0.9)
        light_of_day(canvas, _NIGHT if setting.night else 0.0)
        yield np.clip(canvas + 0.5, 0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=8)
def _weather(kind: str, looks: int) -> Weather:
    return Weather(kind, HEIGHT, WIDTH, np.random.default_rng(looks))


def story_row(story: Story, split: str = "train", video: str | None = None) -> dict[str, Any]:
    """The line of `stories.jsonl`: the truth at three levels."""
    clips = [
        {"start": beat.start, "end": beat.end, "caption": clip_caption(beat), "captions": _worded(clip_caption, beat)}
        for beat in story.beats
    ]
    segments = [
        {
            "start": segment.start,
            "end": segment.end,
            "description": segment_description(story, segment),
            "descriptions": _worded(segment_description, story, segment),
            "place": story.acts[segment.act].scene,
            "night": story.acts[segment.act].night,
            "theme": segment.theme,
        }
        for segment in story.segments
    ]
    first = story.segments[0]
    return {
        "id": story.id,
        "split": split,
        "video": video,
        "duration": story.duration,
        "frame_rate": story.frame_rate,
        "clip_seconds": BEAT_SECONDS,
        "segment_seconds": first.end - first.start,
        "clips": clips,
        "segments": segments,
        "summary": story_summary(story),
        "summaries": _worded(story_summary, story),
        "facts": {"cargo": story.cargo, "homecoming": story.homecoming, "acts": [act.scene for act in story.acts]},
    }


def make_stories(
    folder: str | os.PathLike[str],
    count: int = 10,
    seconds: float = 720.0,
    segment_seconds: float = SEGMENT_SECONDS,
    seed: int = 1,
    frame_rate: int = FRAME_RATE,
    progress: Callable[[int], object] | None = None,
    size: tuple[int, int] | None = None,
) -> Path:
    """Renders stories: `videos/` and `stories.jsonl`.

    Args:
        folder: where they go; must not exist.
        count: how many; the last fifth (at least one where there are two) is the test split.
        seconds: about how long each is.
        segment_seconds: of a segment, a multiple of four.
        seed: everything is a function of it.
        frame_rate: frames a second.
        progress: called with the number of seconds of video just written.
        size: (width, height) that the drawn pictures are enlarged to; as drawn without it.

    Raises:
        ConfigError: the folder exists, or a number that cannot be.
    """
    from glrg_tf.video.writer import write_video

    if not 1 <= count <= 10_000:
        raise ConfigError("count must lie in 1..10000", where="count")
    if size is not None and not (min(size) >= 16 and max(size) <= 4096):
        raise ConfigError(f"pictures have sides of 16 to 4096 pixels, not {size[0]}x{size[1]}", where="size")
    rows = []
    with atomic.new_folder(Path(folder)) as scratch:
        (scratch / "videos").mkdir()
        for index in range(count):
            story = draw_story(seed, index, seconds, segment_seconds, frame_rate)
            name = f"videos/{story.id}.mp4"
            write_video(scratch / name, enlarged(_counted(story, progress), size), frame_rate)
            split = "test" if count > 1 and index >= count - max(1, count // 5) else "train"
            rows.append(story_row(story, split, name))
        atomic.write_text(scratch / FILE, "".join(json.dumps(row) + "\n" for row in rows))
    return Path(folder)


def enlarged(frames: Iterable[NDArray[np.uint8]], size: tuple[int, int] | None) -> Iterator[NDArray[np.uint8]]:
    """Frames drawn small, brought to (width, height) by bilinear interpolation; as they are without a size."""
    from PIL import Image

    for frame in frames:
        yield frame if size is None else np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR))


def _counted(story: Story, progress: Callable[[int], object] | None) -> Iterator[NDArray[np.uint8]]:
    for number, frame in enumerate(story_frames(story), 1):
        yield frame
        if progress is not None and number % story.frame_rate == 0:
            progress(1)


def _worded(tell: Callable[..., str], *what: Any) -> list[str]:
    """The different wordings of one text."""
    return list(dict.fromkeys(tell(*what, variant) for variant in range(_VARIANTS)))
