"""What people tell of a story: captions of its beats, descriptions of its segments, a summary.

Captions tell who does what with whom. Descriptions add the place, the time of day and the weather, which no caption
tells. The summary adds what holds over the acts: what is carried where, who came along, whether the hero comes home.
"""

from __future__ import annotations

from glrg_tf.data.world import phrases
from glrg_tf.data.world.script import Figure
from glrg_tf.data.world.stories import Act, Beat, Segment, Story

_PLURAL = {kind: f"{words[0]}s" for kind, words in phrases.THING.items()}
_DOES = {
    "search": ("looks behind {things}", "searches behind {things}"),
    "work": ("pushes {things} about", "works hard and moves {things}"),
    "play": ("plays and dances", "dances about"),
    "travel": ("travels past {things}", "wanders by {things}"),
    "fight": ("fights against {things}", "runs into {things} again and again"),
}
_TASK = {
    "search": "searches",
    "work": "works",
    "play": "plays",
    "travel": "travels",
    "fight": "fights",
}
_WEATHER = {"rain": "in the rain", "fog": "in the fog", "leaves": "among falling leaves"}


def clip_caption(beat: Beat, variant: int = 0) -> str:
    """Who does what with whom in four seconds; `variant` 0 is the plain wording."""
    script = beat.script
    forms = phrases.ACTION[script.action]
    other = named(script.companion) if script.companion else ""
    does = forms[variant % len(forms)][0].format(o=other)
    aside = "" if script.shared or not other else f" {phrases.ASIDE[variant % 3]} {other}"
    return f"{named(script.actor)} {does}{aside}"


def segment_description(story: Story, segment: Segment, variant: int = 0) -> str:
    """Where, when and at what the hero is busy in a segment."""
    act = story.acts[segment.act]
    things = " and ".join(_PLURAL[kind] for kind in segment.things) or "nothing"
    forms = _DOES[segment.theme]
    does = forms[variant % len(forms)].format(things=things)
    company = f" with {named(story.friend)}" if story.friend and segment.act >= story.friend_from else ""
    setting = _setting(act)
    if variant % 2:
        return f"{named(story.hero)}{company} {does} {setting}"
    return f"{setting} {named(story.hero)}{company} {does}"


def story_summary(story: Story, variant: int = 0) -> str:
    """The whole story in a sentence."""
    parts = [f"{_TASK[act.theme]} {_setting(act, brief=True)}" for act in story.acts]
    body = f"first {parts[0]} and then {parts[1]}" if len(parts) == 2 else ", then ".join(parts)
    carries = f" carrying {_thing(story.cargo)}" if story.cargo else ""
    end = "and comes home in the end" if story.homecoming else "and stays there"
    friend = ""
    if story.friend is not None:
        met = phrases.PLACE[story.acts[story.friend_from].scene][0]
        friend = f" with {named(story.friend)}" if story.friend_from == 0 else f" meeting {named(story.friend)} {met}"
    if variant % 2:
        return f"the story of {named(story.hero)}{friend}{carries} that {body} {end}"
    return f"{named(story.hero)}{carries}{friend} {body} {end}"


def named(figure: Figure | None) -> str:
    """Names a figure: "a red ball", "a tree"; an empty string for None."""
    if figure is None:
        return ""
    if figure.colour is None:
        return _thing(figure.kind)
    article = "an" if figure.colour[0] in "aeiou" else "a"
    return f"{article} {figure.colour} {phrases.SHAPE[figure.kind][0]}"


def _thing(kind: str) -> str:
    return f"a {phrases.THING[kind][0]}"


def _setting(act: Act, brief: bool = False) -> str:
    place = phrases.PLACE[act.scene][0]
    weather = f" {_WEATHER[act.weather]}" if act.weather and not brief else ""
    return f"{place}{' at night' if act.night else ''}{weather}"
