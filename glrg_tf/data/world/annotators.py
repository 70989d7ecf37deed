"""The people who describe the clips: each with a style, a vocabulary and a care of their own.

Some tell everything, some little; some see badly, mix up colours or left and right, or always say the same. A captioner
that trusts them all alike learns their noise; one that weighs captions by consensus (DXE) need not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from glrg_tf.data.world import names, phrases
from glrg_tf.data.world.script import Figure, Script, pick

CAPTIONS_PER_CLIP = 12


@dataclasses.dataclass(frozen=True)
class Told:
    """One person's words for the parts of a clip; an empty string is left unsaid."""

    who: str  # "a red ball"
    does: str  # "bounces"
    doing: str  # "bouncing"
    aside: str  # "next to a tree"
    place: str  # "on the beach"
    story: str  # "night falls"
    opening: str  # of a weather or cut story: "on a rainy day", "on the beach"


@dataclasses.dataclass(frozen=True)
class Annotator:
    """How one person describes clips; the numbers are probabilities."""

    name: str
    style: Callable[[Told], str]
    fancy: float = 0.15  # takes another than the plain word
    colour: float = 1.0  # says the colour
    place: float = 0.7  # says where
    story: float = 0.85  # says what changes
    aside: float = 0.5  # says what stands about
    slip: float = 0.03  # is wrong about a part
    vague: float = 0.0  # "something moves around"


# === Styles ===
def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _plain(told: Told) -> str:
    story = f"while {told.story}" if told.story and not told.opening else ""
    later = f"and then {told.story}" if told.story and told.opening else ""
    return _join(told.who, told.does, told.aside, told.opening or told.place, story, later)


def _there_is(told: Told) -> str:
    later = f"and then {told.story}" if told.story else ""
    return _join("there is", told.who, told.doing, told.aside, told.opening or told.place, later)


def _is_doing(told: Told) -> str:
    joint = ("before" if told.opening else "as") if told.story else ""
    return _join(told.who, "is", told.doing, told.aside, told.opening or told.place, joint, told.story)


def _place_first(told: Told) -> str:
    later = f"and then {told.story}" if told.story else ""
    return _join(told.opening or told.place, told.who, told.does, told.aside, later)


def _story_first(told: Told) -> str:
    if told.story and told.opening:
        return _join("first", told.who, told.does, told.opening, "then", told.story)
    return _join(told.story and f"{told.story} while", told.who, told.does, told.aside, told.place)


def _terse(told: Told) -> str:
    return _join(told.who.removeprefix("a ").removeprefix("an "), told.doing, told.opening or told.place)


def _two_sentences(told: Told) -> str:
    first = _join(told.who, told.does, told.opening or told.place)
    return _join(first, told.aside and f"it is {told.aside}", told.story and f"then {told.story}")


def _clip_of(told: Told) -> str:
    return _join("a video of", told.who, told.doing, told.aside, told.place, told.story and f"until {told.story}")


def _only_story(told: Told) -> str:
    opening = f"first {told.opening} then" if told.opening else ""
    return _join(opening, told.story or f"{told.who} {told.does}", "" if told.opening else told.place)


ANNOTATORS = (
    Annotator("Ann", _plain, fancy=0.0, place=1.0, story=1.0, aside=0.6, slip=0.0),
    Annotator("Ben", _plain, place=0.9, story=0.95, aside=0.3, slip=0.02),
    Annotator("Cleo", _is_doing, fancy=0.1, place=0.9, story=0.95, aside=0.3, slip=0.02),
    Annotator("Dan", _there_is, fancy=0.1, place=0.8, story=0.9, aside=0.5),
    Annotator("Eve", _place_first, fancy=0.2, place=1.0, story=0.9, aside=0.4),
    Annotator("Finn", _story_first, place=0.8, story=1.0, aside=0.2),
    Annotator("Gwen", _plain, fancy=0.7, place=0.8, story=0.8, aside=0.4),
    Annotator("Hugo", _is_doing, fancy=0.5, place=0.5, story=0.7, aside=0.1, slip=0.08),
    Annotator("Ida", _terse, fancy=0.3, place=0.3, story=0.0, aside=0.0, slip=0.05),
    Annotator("Jon", _two_sentences, fancy=0.2, place=0.7, story=0.9, aside=0.8),
    Annotator("Kim", _clip_of, fancy=0.3, place=0.4, story=0.5, aside=0.2, slip=0.1),
    Annotator("Lou", _plain, colour=0.1, place=0.2, story=0.3, aside=0.0, slip=0.15, vague=0.5),
    Annotator("Mo", _is_doing, fancy=0.4, place=0.5, story=0.5, aside=0.2, slip=0.45),
    Annotator("Nia", _only_story, fancy=0.2, colour=0.6, place=0.6, story=1.0, aside=0.0),
    Annotator("Ola", _there_is, fancy=0.6, colour=0.4, place=0.5, story=0.4, aside=0.1, slip=0.2, vague=0.25),
)


def describe(script: Script, rng: np.random.Generator, count: int = CAPTIONS_PER_CLIP) -> list[tuple[str, str]]:
    """Lets `count` different annotators describe one clip.

    Returns:
        Pairs of the annotator's name and the caption.
    """
    chosen = sorted(rng.choice(len(ANNOTATORS), size=min(count, len(ANNOTATORS)), replace=False))
    return [(ANNOTATORS[i].name, caption(script, ANNOTATORS[i], rng)) for i in chosen]


def caption(script: Script, annotator: Annotator, rng: np.random.Generator) -> str:
    """What one annotator says of one clip."""
    return annotator.style(_perceive(script, annotator, rng))


def best_caption(script: Script) -> str:
    """The plain, complete and correct caption: what Ann says, with every aside."""
    whole = dataclasses.replace(ANNOTATORS[0], aside=1.0)
    return caption(script, whole, np.random.default_rng(0))


def _perceive(script: Script, annotator: Annotator, rng: np.random.Generator) -> Told:
    action = script.action
    if rng.random() < annotator.slip:
        action = phrases.CONFUSED_ACTION[action]
    other = _named(script.companion, annotator, rng) if script.companion else ""
    forms = _word(phrases.ACTION[action], annotator, rng)
    who = _named(script.actor, annotator, rng)
    if rng.random() < annotator.vague:
        forms, who = _word(phrases.VAGUE_ACTION, annotator, rng), "something"
    does, doing = (form.format(o=other) for form in forms)
    place = script.scene
    if rng.random() < annotator.slip:
        place = pick(rng, names.SCENES)
    story, opening = ("", "")
    if rng.random() < annotator.story:
        story, opening = _story(script, other, place, annotator, rng)
    in_story = bool(other) and other in story
    aside = ""
    if other and not script.shared and not in_story and rng.random() < annotator.aside:
        aside = f"{_word(phrases.ASIDE, annotator, rng)} {other}"
    where = _word(phrases.PLACE[place], annotator, rng) if rng.random() < annotator.place else ""
    return Told(who, does, doing, aside, where, story, opening)


def _named(figure: Figure, annotator: Annotator, rng: np.random.Generator) -> str:
    words = _word({**phrases.SHAPE, **phrases.THING}[figure.kind], annotator, rng)
    if figure.colour and rng.random() < annotator.colour:
        colour = figure.colour
        if rng.random() < annotator.slip:
            colour = phrases.CONFUSED_COLOUR[colour]
        words = f"{_word(phrases.COLOUR[colour], annotator, rng)} {words}"
    if figure.colour and figure.radius < 10.0 and rng.random() < annotator.aside:
        words = f"small {words}"
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _story(script: Script, other: str, place: str, annotator: Annotator, rng: np.random.Generator) -> tuple[str, str]:
    """What changes, and how the clip opens where that is part of it."""
    story = script.story
    slipped = rng.random() < annotator.slip
    if story == "weather":
        before, after = (script.later, script.earlier) if slipped else (script.earlier, script.later)
        clause = _word(phrases.WEATHER_AFTER[str(after)], annotator, rng)
        return clause, f"on a {phrases.WEATHER_BEFORE[str(before)]} day"
    if story == "cut":
        opening = _word(phrases.PLACE[place], annotator, rng)
        return phrases.PLACE_LATER[str(script.later)], opening
    if story == "none":
        return "", ""
    if slipped:
        story = next(b if a == story else a for a, b in names.MIRRORED_STORIES if story in (a, b))
    return _word(phrases.STORY[story], annotator, rng).format(o=other), ""


def _word(choices: tuple, annotator: Annotator, rng: np.random.Generator):  # type: ignore[type-arg, no-untyped-def]
    """The plain choice, or one of all for an annotator who likes other words."""
    return choices[int(rng.integers(len(choices)))] if rng.random() < annotator.fancy else choices[0]
