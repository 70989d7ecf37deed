"""Where everything is in each frame of a clip.

Periods are near 26 or 52 frames: at t-26, t and t+26 a motion looks the same, or as if it went either way, so that
only the short range (t-10..t+10) can tell it. What the story changes is slow, or happens once: the short range sees
hardly any of it.
"""

from __future__ import annotations

import dataclasses
import math

from glrg_tf.data.world.scenes import GROUND
from glrg_tf.data.world.script import HEIGHT, WIDTH, Figure, Script

_TURN = 2 * math.pi


@dataclasses.dataclass(frozen=True)
class Pose:
    """How a figure is to be drawn in one frame."""

    x: float  # pixels
    y: float
    radius: float
    angle: float = 0.0  # radians, clockwise
    opacity: float = 1.0  # 0..1
    depth: int = 1  # higher ones are drawn later


def poses(script: Script, frame: int) -> tuple[Pose, Pose | None]:
    """The poses of actor and companion in one frame."""
    scene = script.later if script.story == "cut" and frame >= script.change else script.scene
    ground = GROUND[scene or script.scene] * HEIGHT
    if script.shared and script.companion is not None:
        return _together(script.actor, script.companion, script.action, frame, ground)
    actor = _alone(script.actor, script.action, frame, ground)
    if script.companion is None:
        return actor, None
    return actor, _standing(script, script.companion, frame, ground)


def _alone(figure: Figure, action: str, frame: int, ground: float) -> Pose:
    x, y, radius = figure.x, figure.y, figure.radius
    slow = frame / (52 * figure.tempo) + figure.phase  # turns
    quick = 2 * slow
    if action in ("left", "right"):
        gone = slow % 1.0 if action == "right" else 1.0 - slow % 1.0
        return Pose(gone * (WIDTH + 2.4 * radius) - 1.2 * radius, y, radius)
    if action in ("up", "down"):
        gone = slow % 1.0 if action == "down" else 1.0 - slow % 1.0
        return Pose(x, gone * (HEIGHT + 2.4 * radius) - 1.2 * radius, radius)
    if action == "bounce":
        return Pose(x, ground - radius - 36.0 * abs(math.sin(math.pi * quick * 2)), radius)
    if action == "spin":
        return Pose(x, y, radius, angle=_TURN * quick)
    if action == "circle":
        return Pose(x + 20.0 * math.cos(_TURN * quick), y + 20.0 * math.sin(_TURN * quick), radius)
    if action == "shake":
        return Pose(x + 9.0 * math.sin(_TURN * frame / 7.3), y, radius)
    if action == "approach":
        return Pose(x, y, radius * (0.35 + 1.15 * (quick / 1.35 % 1.0)))
    return Pose(x, y, radius)


def _together(actor: Figure, other: Figure, action: str, frame: int, ground: float) -> tuple[Pose, Pose]:
    slow = frame / (52 * actor.tempo) + actor.phase
    floor, rest = ground - other.radius * 0.92, ground - actor.radius * 0.9
    if action == "push":
        length = WIDTH + 4 * (actor.radius + other.radius)
        front = slow % 1.0 * length - actor.radius - 2 * other.radius
        sign = 1.0 if actor.tempo > 1.0 else -1.0
        if sign < 0:
            front = WIDTH - front
        lead = sign * (actor.radius + other.radius) * 0.95
        return Pose(front, rest, actor.radius), Pose(front + lead, floor, other.radius, depth=0)
    if action == "crash":
        sign = 1.0 if actor.tempo > 1.0 else -1.0
        touch = (actor.radius + other.radius) * 0.93
        away = 2 * slow * 1.15 % 1.0  # 0 at the blow
        gap = 38.0 * math.sin(math.pi * away)
        jolt = 8.0 * max(0.0, 1.0 - away * 5.0)
        tilt = 0.3 * max(0.0, 1.0 - away * 4.0)
        place = other.x + sign * 12.0
        return (
            Pose(place - sign * (touch + gap), rest, actor.radius),
            Pose(place + sign * jolt, floor, other.radius, angle=sign * tilt, depth=0),
        )
    x = other.x + 46.0 * math.sin(_TURN * slow * 1.5)
    return Pose(x, floor - 4.0, actor.radius * 0.85, depth=0), Pose(other.x, floor, other.radius, depth=1)


def _standing(script: Script, figure: Figure, frame: int, ground: float) -> Pose:
    radius, opacity = figure.radius, 1.0
    done = frame / (script.frames - 1)
    if script.story in ("grow", "shrink"):
        radius *= 0.5 + 1.0 * (done if script.story == "grow" else 1.0 - done)
    elif script.story in ("appear", "vanish"):
        there = min(1.0, max(0.0, 0.5 + (frame - script.change) / 4.0))
        opacity = there if script.story == "appear" else 1.0 - there
    return Pose(figure.x, ground - radius * 0.92, radius, opacity=opacity, depth=0)
