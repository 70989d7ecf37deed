"""A made-up dataset for tests: who does what, where; features that really tell it, captions that say it.

A video is a triple (who, action, place). Its 1700 columns are the released layout: long-range words tell the action,
short-range words the action and who, keyframe words who and where, each as a fixed random direction per concept plus
noise. Its captions are drawn from a small grammar with synonyms; some say less than there is to see and some are
wrong about a detail, as people are, so that the consensus weights of DXE have something to weigh.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib

import numpy as np

from glrg_tf.data.feature_store import STREAMS_RELEASE, write_features
from glrg_tf.io import atomic

CAPTIONS_PER_VIDEO = 10
NOISE = 0.5  # standard deviation of a column, against 1 of a concept's direction
_SLIP = 0.15  # probability that a caption is wrong about one thing

WHO = {
    "man": ("a man", "a man", "a guy", "someone"),
    "woman": ("a woman", "a woman", "a lady", "someone"),
    "boy": ("a boy", "a boy", "a kid", "a child"),
    "girl": ("a girl", "a girl", "a kid", "a child"),
    "dog": ("a dog", "a dog", "a puppy"),
    "cat": ("a cat", "a cat", "a kitten"),
}
PEOPLE = ("man", "woman", "boy", "girl")
ACTION = {
    "guitar": ("playing a guitar", "playing the guitar", "playing music"),
    "cook": ("cooking food", "cooking a meal", "preparing food"),
    "ball": ("playing with a ball", "chasing a ball"),
    "run": ("running", "running fast"),
    "sleep": ("sleeping", "lying down and sleeping"),
    "eat": ("eating food", "eating something"),
    "dance": ("dancing", "dancing to music"),
    "swim": ("swimming in the water", "swimming"),
}
FOR_PEOPLE = ("guitar", "cook", "dance")
PLACE = {
    "kitchen": ("in the kitchen", "in a kitchen", ""),
    "park": ("in the park", "on the grass", "outside"),
    "beach": ("on the beach", "near the sea", "outside"),
    "street": ("on the street", "on the road", "outside"),
    "room": ("in a room", "in the living room", "inside"),
}


@dataclasses.dataclass(frozen=True)
class Video:
    """One video of the world."""

    id: str
    split: str
    who: str
    action: str
    place: str
    captions: tuple[str, ...]


def make_videos(seed: int, sizes: dict[str, int]) -> list[Video]:
    """Draws videos; the same triple may occur in several splits, the captions and the noise differ.

    Args:
        seed: everything is a function of it.
        sizes: videos a split.
    """
    rng = np.random.default_rng([seed, 0])
    videos: list[Video] = []
    for split, size in sizes.items():
        for _ in range(size):
            scene = _scene(rng)
            captions = tuple(_caption(rng, *scene) for _ in range(CAPTIONS_PER_VIDEO))
            videos.append(Video(f"{split}{len(videos):04d}", split, *scene, captions))
    return videos


def make_features(seed: int, videos: list[Video]) -> dict[str, np.ndarray]:
    """Stream name -> float32 (N, D), in the released widths."""
    rng, concept_rng = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
    widths = dict(STREAMS_RELEASE)
    tells = {"long_range": ("action",), "short_range": ("action", "who"), "keyframe": ("who", "place")}
    concepts = {"who": tuple(WHO), "action": tuple(ACTION), "place": tuple(PLACE)}
    features = {}
    for stream, kinds in tells.items():
        values = NOISE * rng.normal(size=(len(videos), widths[stream]))
        for kind in kinds:
            vectors = concept_rng.normal(size=(len(concepts[kind]), widths[stream]))
            directions = dict(zip(concepts[kind], vectors, strict=True))
            values += np.stack([directions[getattr(video, kind)] for video in videos])
        features[stream] = values.astype(np.float32)
    return features


def write_source(folder: str | os.PathLike[str], seed: int, sizes: dict[str, int]) -> None:
    """Writes the world as a user would bring it: `captions.jsonl` for the table importer and `features.h5`.

    Args:
        folder: where they go; must not exist.
        seed: everything is a function of it.
        sizes: videos a split.
    """
    videos = make_videos(seed, sizes)
    with atomic.new_folder(pathlib.Path(folder)) as scratch:
        rows = [{"video": v.id, "split": v.split, "captions": list(v.captions)} for v in videos]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        atomic.write_text(scratch / "captions.jsonl", lines)
        producer = {"producer": "tests", "backbone": "none: made up"}
        write_features(scratch / "features.h5", [v.id for v in videos], make_features(seed, videos), producer)


def _scene(rng: np.random.Generator) -> tuple[str, str, str]:
    who = _pick(rng, tuple(WHO))
    action = _pick(rng, tuple(name for name in ACTION if who in PEOPLE or name not in FOR_PEOPLE))
    place = {"cook": "kitchen", "swim": "beach"}.get(action) or _pick(rng, tuple(PLACE))
    return who, action, place


def _caption(rng: np.random.Generator, who: str, action: str, place: str) -> str:
    if rng.random() < _SLIP:
        wrong_who, wrong_action, wrong_place = _scene(rng)
        who, action, place = [(wrong_who, action, place), (who, wrong_action, place), (who, action, wrong_place)][
            rng.integers(3)
        ]
    parts = [_pick(rng, WHO[who]), "is", _pick(rng, ACTION[action])]
    if rng.random() < 0.6:
        parts.append(_pick(rng, PLACE[place]))
    return " ".join(part for part in parts if part)


def _pick(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]
