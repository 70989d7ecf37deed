"""Stories of the sample world, minutes to hours long, with the truth at three levels (clips, segments, summary).

A story has acts (a place, a time of day, a main occupation), an act has segments of about three minutes, a segment has
beats of four seconds. A beat's caption tells who does what with whom; it never tells the place, the time of day or
what the hero carries. So a segment's description needs the pictures beside the captions, and the summary needs the
order of the acts and what holds from the first act to the last (what is carried where, who came along, whether the
hero comes home). Everything is a function of the seed; rendering streams, an hour takes well under a minute.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from glrg_tf.data.world import names
from glrg_tf.data.world.script import FRAME_RATE, HEIGHT, WIDTH, Figure, Script, pick
from glrg_tf.errors import ConfigError

BEAT_SECONDS = 4
SEGMENT_SECONDS = 180
MIN_SEGMENTS, MAX_HOURS = 2, 12
_MOST_ACTS = 4
THEMES = ("search", "work", "play", "travel", "fight")
OUTDOORS = ("meadow", "beach", "snow", "city")
_MAIN = 0.7  # of an act's segments have the act's own theme


@dataclasses.dataclass(frozen=True)
class Beat:
    """Four seconds: one action."""

    start: float  # seconds
    end: float
    script: Script


@dataclasses.dataclass(frozen=True)
class Segment:
    """A few minutes with one occupation."""

    start: float  # seconds
    end: float
    act: int  # index of the act
    theme: str  # of THEMES
    things: tuple[str, ...]  # of names.THINGS: what the hero deals with, the most frequent first
    beats: tuple[Beat, ...]


@dataclasses.dataclass(frozen=True)
class Act:
    """A place, a time of day, a main occupation."""

    scene: str  # of names.SCENES
    night: bool
    weather: str | None  # of names.WEATHERS
    theme: str


@dataclasses.dataclass(frozen=True)
class Story:
    """A whole story; its texts are told by `story_text`, its pictures by `story_video`."""

    id: str
    seed: int
    hero: Figure
    friend: Figure | None  # comes along from the beginning of act `friend_from`
    friend_from: int
    cargo: str | None  # of names.THINGS: carried above the hero's head, never told in captions of clips
    acts: tuple[Act, ...]
    segments: tuple[Segment, ...]
    frame_rate: int

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.segments[-1].end

    @property
    def beats(self) -> tuple[Beat, ...]:
        """All beats in order."""
        return tuple(beat for segment in self.segments for beat in segment.beats)

    @property
    def homecoming(self) -> bool:
        """Whether the last act is where the first was."""
        return len(self.acts) > 1 and self.acts[0].scene == self.acts[-1].scene


def draw_story(
    seed: int,
    index: int,
    seconds: float = 720.0,
    segment_seconds: float = SEGMENT_SECONDS,
    frame_rate: int = FRAME_RATE,
) -> Story:
    """Draws story `index` of `seed`.

    Args:
        seed: everything is a function of it.
        index: number of the story.
        seconds: about how long; whole segments, at least two.
        segment_seconds: length of a segment, a multiple of the four seconds of a beat.
        frame_rate: frames a second; few of them make hours cheap.

    Raises:
        ConfigError: a length that cannot be.
    """
    beats = round(segment_seconds / BEAT_SECONDS)
    if beats < 3 or abs(beats * BEAT_SECONDS - segment_seconds) > 1e-9:
        raise ConfigError(f"a segment takes a multiple of {BEAT_SECONDS} seconds, at least 12", where="segment_seconds")
    if not 0 < seconds <= MAX_HOURS * 3600 or not 1 <= frame_rate <= 60:
        raise ConfigError(f"a story takes up to {MAX_HOURS} hours, at 1 to 60 frames a second", where="seconds")
    rng = np.random.default_rng([seed, index, 7])
    count = max(MIN_SEGMENTS, round(seconds / segment_seconds))
    acts = _draw_acts(rng, min(count, int(rng.integers(2, _MOST_ACTS + 1))))
    hero = _figure(rng, pick(rng, names.SHAPES), 18.0)
    friend = _figure(rng, pick(rng, [kind for kind in names.SHAPES if kind != hero.kind]), 11.0)
    friend_from = int(rng.integers(0, len(acts)))
    borders = np.sort(1 + rng.permutation(count - 1)[: len(acts) - 1])
    cast = _Cast(hero, friend if rng.random() < 0.6 else None, friend_from, frame_rate, beats)
    segments = tuple(
        _draw_segment(rng, cast, acts, int(np.searchsorted(borders, number, side="right")), number)
        for number in range(count)
    )
    cargo = pick(rng, ("lamp", "mushroom", "house")) if rng.random() < 0.6 else None
    return Story(f"story{index:04d}", seed, hero, cast.friend, friend_from, cargo, acts, segments, frame_rate)


@dataclasses.dataclass(frozen=True)
class _Cast:
    hero: Figure
    friend: Figure | None
    friend_from: int
    frame_rate: int
    beats: int  # a segment


def _draw_acts(rng: np.random.Generator, count: int) -> tuple[Act, ...]:
    scenes = [names.SCENES[i] for i in rng.permutation(len(names.SCENES))[:count]]
    if count > 2 and rng.random() < 0.5:
        scenes[-1] = scenes[0]
    themes = [THEMES[i] for i in rng.permutation(len(THEMES))[:count]]
    acts = []
    for scene, theme in zip(scenes, themes, strict=True):
        outdoors = scene in OUTDOORS
        weather = pick(rng, names.WEATHERS) if outdoors and rng.random() < 0.35 else None
        acts.append(Act(scene, outdoors and rng.random() < 0.35, weather, theme))
    return tuple(acts)


def _draw_segment(rng: np.random.Generator, cast: _Cast, acts: tuple[Act, ...], act: int, number: int) -> Segment:
    theme = acts[act].theme if rng.random() < _MAIN else pick(rng, THEMES)
    kinds = [names.THINGS[i] for i in rng.permutation(len(names.THINGS))[:2]]
    looks, way = int(rng.integers(2**31)), pick(rng, ("left", "right"))
    beats, used = [], dict.fromkeys(kinds, 0)
    for place in range(cast.beats):
        start = float((number * cast.beats + place) * BEAT_SECONDS)
        kind = kinds[0] if rng.random() < 0.65 else kinds[1]
        action, with_thing = _draw_action(rng, theme, way)
        used[kind] += with_thing
        with_friend = cast.friend is not None and act >= cast.friend_from
        script = _beat_script(rng, cast, acts[act].scene, action, kind if with_thing else None, with_friend, looks)
        beats.append(Beat(start, start + BEAT_SECONDS, script))
    things = tuple(sorted((kind for kind in kinds if used[kind]), key=lambda kind: -used[kind]))
    return Segment(beats[0].start, beats[-1].end, act, theme, things, tuple(beats))


_PLAY = ("bounce", "spin", "circle", "shake", "up", "down")


def _draw_action(rng: np.random.Generator, theme: str, way: str) -> tuple[str, bool]:
    """An action that fits the theme, and whether it takes a thing."""
    chance = rng.random()
    if chance < 0.12:  # life is not all purpose
        return pick(rng, (*_PLAY, "approach")), False
    if theme == "search":
        return "behind", True
    if theme == "work":
        return "push", True
    if theme == "fight":
        return "crash", True
    if theme == "travel":
        return way, chance < 0.7
    return pick(rng, _PLAY), False


def _beat_script(
    rng: np.random.Generator, cast: _Cast, scene: str, action: str, thing: str | None, with_friend: bool, looks: int
) -> Script:
    frames = BEAT_SECONDS * cast.frame_rate
    hero = dataclasses.replace(cast.hero, phase=float(rng.random()), tempo=float(rng.uniform(0.93, 1.07)))
    companion = None
    if thing is not None:
        companion = _thing(rng, thing, action)
    elif with_friend and cast.friend is not None:
        companion = dataclasses.replace(cast.friend, x=float(rng.uniform(0.12, 0.2) * WIDTH))
    # Motions are told in frames of 12 a second: other rates see the same motion more or less often.
    return Script(frames, scene, hero, action, companion, "none", frames // 2, None, None, looks)


def _figure(rng: np.random.Generator, kind: str, radius: float) -> Figure:
    return Figure(kind, pick(rng, names.COLOURS), radius, 0.5 * WIDTH, 0.45 * HEIGHT, 0.0, 1.0)


def _thing(rng: np.random.Generator, kind: str, action: str) -> Figure:
    radius = {"behind": 19.0, "push": 15.0, "crash": 15.0}.get(action, 11.0)
    x = 0.5 * WIDTH if action in names.SHARED_ACTIONS else float(rng.uniform(0.78, 0.88) * WIDTH)
    return Figure(kind, None, radius, x, 0.0, 0.0, 1.0)
