"""What people call the things of the sample world: the first wording is the plain one, further ones are a taste.

Order can be told in single words, because the long-range vocabulary is a set of words without order: what comes first
and what comes later are named by different forms ("rainy" and "foggy" of the beginning, "rain" and "fog" of the end;
"on the beach" of where a clip begins, "sandy" of where it ends).
"""

from __future__ import annotations

SHAPE = {
    "ball": ("ball", "ball", "sphere"),
    "box": ("box", "cube", "square"),
    "star": ("star", "star"),
    "ring": ("ring", "ring", "donut"),
    "heart": ("heart", "heart"),
    "moon": ("moon", "crescent"),
    "triangle": ("triangle", "triangle", "pyramid"),
    "car": ("car", "car", "toy car"),
}
THING = {
    "tree": ("tree", "tree", "plant"),
    "house": ("house", "house", "hut"),
    "rock": ("rock", "stone"),
    "mushroom": ("mushroom", "mushroom", "toadstool"),
    "lamp": ("lamp", "street light"),
}
COLOUR = {
    "red": ("red", "red", "crimson"),
    "yellow": ("yellow", "yellow", "golden"),
    "green": ("green",),
    "blue": ("blue",),
    "purple": ("purple", "violet"),
    "white": ("white",),
}
CONFUSED_COLOUR = {
    "red": "purple",
    "yellow": "green",
    "green": "blue",
    "blue": "purple",
    "purple": "blue",
    "white": "yellow",
}
# Pairs of "it ..." and "... -ing"; {o} is whom it is done to.
ACTION = {
    "left": (("moves to the left", "moving to the left"), ("goes left", "going left"), ("slides left", "sliding left")),
    "right": (
        ("moves to the right", "moving to the right"),
        ("goes right", "going right"),
        ("slides right", "sliding right"),
    ),
    "up": (("floats up", "floating up"), ("rises", "rising"), ("flies up", "flying up")),
    "down": (("falls down", "falling down"), ("drops", "dropping"), ("comes down", "coming down")),
    "bounce": (("bounces", "bouncing"), ("jumps up and down", "jumping up and down"), ("hops", "hopping")),
    "spin": (("spins", "spinning"), ("turns around", "turning around"), ("rotates", "rotating")),
    "circle": (("flies in a circle", "flying in a circle"), ("goes in circles", "going in circles")),
    "shake": (("shakes", "shaking"), ("trembles", "trembling"), ("wiggles", "wiggling")),
    "approach": (("comes closer", "coming closer"), ("approaches", "approaching")),
    "push": (("pushes {o}", "pushing {o}"), ("shoves {o}", "shoving {o}")),
    "crash": (
        ("crashes into {o}", "crashing into {o}"),
        ("bumps into {o}", "bumping into {o}"),
        ("hits {o}", "hitting {o}"),
    ),
    "behind": (("passes behind {o}", "passing behind {o}"), ("hides behind {o}", "hiding behind {o}")),
}
CONFUSED_ACTION = {
    "left": "right",
    "right": "left",
    "up": "down",
    "down": "up",
    "approach": "circle",
    "spin": "circle",
    "circle": "spin",
    "shake": "bounce",
    "bounce": "shake",
    "push": "crash",
    "crash": "push",
    "behind": "push",
}
VAGUE_ACTION = (("moves around", "moving around"), ("is there", "doing something"))
PLACE = {
    "meadow": ("on the grass", "in a meadow", "in the field"),
    "beach": ("on the beach", "on the beach", "at the seaside"),
    "snow": ("in the snow", "in the snow", "in the mountains"),
    "city": ("in the city", "on the street", "in the city"),
    "room": ("in a room", "inside a house", "in a room"),
    "space": ("in space", "in space", "among the stars"),
}
PLACE_LATER = {
    "meadow": "everything turns grassy",
    "beach": "everything turns sandy",
    "snow": "everything turns snowy",
    "city": "everything turns urban",
    "room": "everything moves indoors",
    "space": "everything turns starry",
}
STORY = {
    "nightfall": ("night falls", "it gets dark", "the sun sets"),
    "daybreak": ("day breaks", "it gets light", "the sun rises"),
    "flood": ("the water rises", "the water comes up"),
    "drain": ("the water sinks", "the water drains away"),
    "grow": ("{o} grows", "{o} gets bigger"),
    "shrink": ("{o} shrinks", "{o} gets smaller"),
    "appear": ("{o} appears", "{o} shows up"),
    "vanish": ("{o} vanishes", "{o} disappears"),
}
WEATHER_BEFORE = {"rain": "rainy", "fog": "foggy", "leaves": "windy"}
WEATHER_AFTER = {
    "rain": ("rain falls", "rain comes"),
    "fog": ("fog rolls in", "fog comes"),
    "leaves": ("leaves fall", "leaves come down"),
}
ASIDE = ("next to", "near", "beside")
