"""What happens in a clip of the sample world, drawn at random from a seed before anything is rendered."""

from __future__ import annotations

import dataclasses

import numpy as np

from glrg_tf.data.world import names

HEIGHT, WIDTH = 96, 128  # pixels
FRAME_RATE = 12  # frames a second
_BIG, _SMALL = (17.0, 21.0), (10.0, 12.5)  # radius in pixels of who acts, and of who stands about

# Stories that make sense in a scene; space has neither weather nor days.
_EVERYWHERE = ("grow", "shrink", "appear", "vanish", "cut", "none")
_INDOORS = (*_EVERYWHERE, "nightfall", "daybreak", "flood", "drain")
_STORIES = {"space": _EVERYWHERE, "room": _INDOORS}
_STORY_WEIGHT = {"weather": 4.0, "cut": 3.5, "nightfall": 2.0, "daybreak": 2.0, "flood": 1.5, "drain": 1.5, "none": 1.0}


@dataclasses.dataclass(frozen=True)
class Figure:
    """Something on stage."""

    kind: str  # of names.SHAPES or names.THINGS
    colour: str | None  # of names.COLOURS; None for things
    radius: float  # pixels
    x: float  # pixels, where it stands or moves about
    y: float
    phase: float  # 0..1, where its motion begins
    tempo: float  # about 1; the period of its motion is multiplied by it


@dataclasses.dataclass(frozen=True)
class Script:
    """One clip: who, where, what they do, and what changes meanwhile."""

    frames: int
    scene: str  # at the beginning
    actor: Figure
    action: str  # of names.ACTIONS
    companion: Figure | None  # with whom the action is done, or who stands beside, or to whom the story happens
    story: str  # of names.STORIES
    change: int  # the frame in whose middle the story turns
    later: str | None  # "cut": the scene after it; "weather": the weather after it
    earlier: str | None  # "weather": the weather before
    looks: int  # seed of textures

    @property
    def shared(self) -> bool:
        """Whether actor and companion act together."""
        return self.action in names.SHARED_ACTIONS


def draw_script(rng: np.random.Generator) -> Script:
    """Draws one clip."""
    frames = int(rng.integers(70, 79))
    scene = pick(rng, names.SCENES)
    shared = bool(rng.random() < 0.3)
    action = pick(rng, names.SHARED_ACTIONS if shared else names.LONE_ACTIONS)
    story = _draw_story(rng, scene, shared)
    later = earlier = None
    if story == "cut":
        later = pick(rng, [other for other in names.SCENES if other != scene])
    elif story == "weather":
        earlier, later = (names.WEATHERS[i] for i in rng.permutation(len(names.WEATHERS))[:2])
    side = 1.0 if rng.random() < 0.5 else -1.0
    alone = not shared and story not in ("grow", "shrink", "appear", "vanish") and rng.random() < 0.45
    actor = _actor(rng, action, side, alone)
    companion = None if alone else _companion(rng, action, story, side)
    change = int(round(frames * rng.uniform(0.45, 0.55)))
    return Script(frames, scene, actor, action, companion, story, change, later, earlier, int(rng.integers(2**31)))


def pick(rng: np.random.Generator, choices: tuple[str, ...] | list[str]) -> str:
    """One of `choices`, all equally likely."""
    return choices[int(rng.integers(len(choices)))]


def _draw_story(rng: np.random.Generator, scene: str, shared: bool) -> str:
    possible = [name for name in _STORIES.get(scene, names.STORIES) if not (shared and name in _ABOUT_COMPANION)]
    weights = np.asarray([_STORY_WEIGHT.get(name, 1.2) for name in possible])
    return possible[int(rng.choice(len(possible), p=weights / weights.sum()))]


_ABOUT_COMPANION = ("grow", "shrink", "appear", "vanish")


def _actor(rng: np.random.Generator, action: str, side: float, alone: bool) -> Figure:
    radius = float(rng.uniform(*_BIG))
    centre = 0.5 if alone or action in ("left", "right") else 0.5 + 0.14 * side
    if action in names.SHARED_ACTIONS:
        centre = 0.5
    x = (centre + rng.uniform(-0.05, 0.05)) * WIDTH
    y = rng.uniform(0.4, 0.5) * HEIGHT
    return Figure(
        pick(rng, names.SHAPES), pick(rng, names.COLOURS), radius, float(x), float(y),
        float(rng.random()), float(rng.uniform(0.93, 1.07)),
    )  # fmt: skip


def _companion(rng: np.random.Generator, action: str, story: str, side: float) -> Figure:
    thing = action in names.SHARED_ACTIONS or rng.random() < 0.65
    kind = pick(rng, names.THINGS if thing else names.SHAPES)
    colour = None if thing else pick(rng, names.COLOURS)
    radius = float(rng.uniform(*_SMALL))
    if action == "behind":
        radius = float(rng.uniform(18.0, 21.0))
    elif action in names.SHARED_ACTIONS:
        radius = float(rng.uniform(14.0, 17.0))
    elif story in _ABOUT_COMPANION:
        radius = float(rng.uniform(13.0, 15.0))
    x = 0.5 * WIDTH if action in names.SHARED_ACTIONS else (0.5 - side * rng.uniform(0.3, 0.38)) * WIDTH
    return Figure(kind, colour, radius, float(x), 0.0, float(rng.random()), 1.0)
