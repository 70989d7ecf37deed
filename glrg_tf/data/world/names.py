"""The names of everything there is in the sample world: the labels of its encoders and of its truth."""

from __future__ import annotations

SHAPES = ("ball", "box", "star", "ring", "heart", "moon", "triangle", "car")  # these carry a colour and can act
THINGS = ("tree", "house", "rock", "mushroom", "lamp")  # these have their own colours and stand about
COLOURS = ("red", "yellow", "green", "blue", "purple", "white")
SCENES = ("meadow", "beach", "snow", "city", "room", "space")

# What a shape does; visible within t-10..t+10, and the same to the eye at t-26, t, t+26 (periods near 26 and 52).
LONE_ACTIONS = ("left", "right", "up", "down", "bounce", "spin", "circle", "shake", "approach")
SHARED_ACTIONS = ("push", "crash", "behind")  # with a thing
ACTIONS = LONE_ACTIONS + SHARED_ACTIONS

# What changes over the whole clip. Every story has its mirror image: single frames, and the windows of t-10..t+10, are
# the same in both, only their order differs.
MIRRORED_STORIES = (
    ("nightfall", "daybreak"),
    ("grow", "shrink"),
    ("appear", "vanish"),
    ("flood", "drain"),
)
WEATHERS = ("rain", "fog", "leaves")  # the story "weather": one of them first, another later
STORIES = (*(name for pair in MIRRORED_STORIES for name in pair), "weather", "cut", "none")

KEYFRAME_LABELS = (*SHAPES, *THINGS, *COLOURS, *SCENES)

# Bytes, far enough apart to be named by a person.
RGB = {
    "red": (222, 44, 40),
    "yellow": (252, 218, 52),
    "green": (36, 160, 62),
    "blue": (38, 92, 224),
    "purple": (136, 54, 186),
    "white": (244, 244, 246),
}
