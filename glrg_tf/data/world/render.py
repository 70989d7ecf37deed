"""Draws the frames of a script, and tells where everything is in them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from glrg_tf.data.world import names
from glrg_tf.data.world.effects import Weather, light_of_day, pour_water
from glrg_tf.data.world.motions import Pose, poses
from glrg_tf.data.world.scenes import GROUND, draw_scene
from glrg_tf.data.world.script import HEIGHT, WIDTH, Figure, Script
from glrg_tf.data.world.shapes import draw_figure, draw_shadow

Box = tuple[float, float, float, float]
_WEATHER_GAP = 7  # frames on either side of the change without weather: the two events are well over 25 frames apart


def render(script: Script) -> Iterator[tuple[NDArray[np.uint8], list[Box | None]]]:
    """Yields each frame with the boxes of actor and companion.

    Yields:
        uint8 (HEIGHT, WIDTH, 3), and a box x0, y0, x1, y1 in pixels for the actor and, where there is one, for the
        companion; None where it cannot be seen.
    """
    stage = Stage(script)
    for frame in range(script.frames):
        canvas, boxes = stage.paint(frame)
        yield np.clip(canvas + 0.5, 0, 255).astype(np.uint8), boxes


class Stage:
    """Everything that stays the same while a script is drawn: backgrounds and textures.

    Args:
        script: what happens.
    """

    def __init__(self, script: Script) -> None:
        rng = np.random.default_rng(script.looks)
        self._script = script
        self._before = draw_scene(script.scene, HEIGHT, WIDTH, rng)
        self._after = self._before
        if script.story == "cut" and script.later is not None:
            self._after = draw_scene(script.later, HEIGHT, WIDTH, rng)
        kinds = (script.earlier, script.later) if script.story == "weather" else ()
        self._weathers = [Weather(kind, HEIGHT, WIDTH, rng) for kind in kinds if kind]

    def paint(self, frame: int) -> tuple[NDArray[np.float32], list[Box | None]]:
        """One frame as float32 (HEIGHT, WIDTH, 3), about 0..255, and the boxes as `render` yields them."""
        script = self._script
        cut = frame >= script.change
        canvas = (self._after if cut else self._before).copy()
        scene = script.later if script.story == "cut" and cut and script.later else script.scene
        figures = [script.actor, *([script.companion] if script.companion else [])]
        placed = [pose for pose in poses(script, frame) if pose is not None]
        self._shadows(canvas, scene, placed)
        boxes: list[Box | None] = [None] * len(figures)
        for index in sorted(range(len(figures)), key=lambda i: placed[i].depth):
            boxes[index] = _figure(canvas, figures[index], placed[index])
        self._lay_over(canvas, frame)
        return canvas, boxes

    def _shadows(self, canvas: np.ndarray, scene: str, placed: list[Pose]) -> None:
        if scene == "space":
            return
        ground = GROUND[scene] * HEIGHT
        for pose in placed:
            height = max(0.0, ground - pose.y - pose.radius)
            draw_shadow(canvas, pose.x, ground, pose.radius, 0.42 * pose.opacity / (1.0 + height / 22.0))

    def _lay_over(self, canvas: np.ndarray, frame: int) -> None:
        script, story = self._script, self._script.story
        done = frame / (script.frames - 1)
        if story in ("nightfall", "daybreak"):
            dark = 1.0 / (1.0 + np.exp(-11.0 * (done - script.change / script.frames)))
            light_of_day(canvas, float(dark if story == "nightfall" else 1.0 - dark))
        elif story in ("flood", "drain"):
            pour_water(canvas, frame, 1.02 - 0.52 * (done if story == "flood" else 1.0 - done))
        for weather, strength in zip(self._weathers, weather_strengths(script, frame), strict=False):
            weather.apply(canvas, frame, strength)


def weather_strengths(script: Script, frame: int) -> tuple[float, float]:
    """Strength 0..1 of the earlier and of the later weather in one frame."""
    early = (script.change - _WEATHER_GAP - frame) / 4.0
    late = (frame - script.change - _WEATHER_GAP) / 4.0
    return min(1.0, max(0.0, early)), min(1.0, max(0.0, late))


def _figure(canvas: np.ndarray, figure: Figure, pose: Pose) -> Box | None:
    colour = names.RGB[figure.colour] if figure.colour else None
    place = (pose.x, pose.y)
    return draw_figure(canvas, figure.kind, colour, place, pose.radius, pose.angle, pose.opacity)
