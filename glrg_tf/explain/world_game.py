"""The pointing game on the sample world, where every box is known, and whether words of motion look at their motion.

Where: the phrases of the complete caption of each test clip that name an object ("red ball", "tree": articles have no
place), in frames in which it can be seen; and their nouns alone. Two objects of one kind share their boxes.

When: the world's actions last a whole clip, so two clips of different actions are cut together, and the share of a
motion word's saliency over time that falls into its own clip is taken; 0.5 is chance.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from glrg_tf.data.world import phrases as wordings
from glrg_tf.data.world.truth import Truth, load_truth
from glrg_tf.errors import AnnotationError
from glrg_tf.explain.captioners import Captioner
from glrg_tf.explain.cells import Others
from glrg_tf.explain.explanation import TOLERANCE, ExplainSettings
from glrg_tf.explain.normalise import time_mass
from glrg_tf.explain.pointing_game import Phrase, Play, Score, play, score
from glrg_tf.explain.query import Query, parse_query
from glrg_tf.explain.saliency import Mode, saliency
from glrg_tf.explain.video import Explainer
from glrg_tf.video.sampling import uniform_positions

_LEAST_SIDE = 6.0  # pixels of a box inside the frame: of an object that is just leaving, hardly anything is seen


@dataclasses.dataclass(frozen=True)
class GameSettings:
    """How the game is played."""

    split: str = "test"
    clips: int = 0  # most clips; 0 plays all
    frames: int = 4  # of each clip, evenly spaced
    mode: Mode = "logprob"
    others: Others = "none"
    sigma: float = 0.0  # smoothing over cells
    pairs: int = 40  # clips cut together for the question "when"
    fine: bool = False  # cells at half steps (cells.py)
    tolerance: float = TOLERANCE  # nats, of the cells that are not scored one by one (landmarks.py)


@dataclasses.dataclass(frozen=True)
class WorldScores:
    """Results on a world."""

    phrases: dict[str, Score]  # "all" and by kind of object
    nouns: Score  # the same objects by their nouns alone
    mass: float  # mean share of motion words' saliency inside their own clip
    mass_pairs: int


def play_world(
    captioner: Captioner,
    folder: str | os.PathLike[str],
    settings: GameSettings | None = None,
    progress: Callable[[int], object] | None = None,
) -> WorldScores:
    """Plays on the clips of a world.

    Raises:
        AnnotationError: not a world, or no clip of the split.
        ConfigError: a captioner without encoders or without a map.
    """
    settings = settings or GameSettings()
    clips = [clip for clip in load_truth(folder) if clip.split == settings.split]
    if not clips:
        raise AnnotationError(f"no clip of split '{settings.split}'", where=folder, remedy="name train, val or test")
    explainer = Explainer(captioner)
    clips = clips[: settings.clips] if settings.clips else clips
    phrases: list[Play] = []
    nouns: list[Play] = []
    for clip in clips:
        played = play_clip(explainer, Path(folder) / clip.video, clip, settings)
        phrases, nouns = phrases + played[0], nouns + played[1]
        if progress is not None:
            progress(1)
    masses = []
    for first, second in pairs_of(clips, settings.pairs):
        masses += motion_mass(explainer, Path(folder), first, second)
        if progress is not None:
            progress(1)
    if not phrases:
        raise AnnotationError("no object of these captions is among the captioner's words", where=folder)
    return WorldScores(
        score(phrases), score(nouns)["all"], float(np.mean(masses)) if masses else float("nan"), len(masses)
    )


def play_clip(explainer: Explainer, video: Path, clip: Truth, settings: GameSettings) -> tuple[list[Play], list[Play]]:
    """All plays of one clip: of phrases, of nouns."""
    from glrg_tf.video.reader import read_frames

    plan, view = explainer.bundle.plan, explainer.network.view_of(settings.fine)
    wanted = uniform_positions(clip.frames, settings.frames)
    frames = read_frames(video, lambda count: np.union1d(plan.wanted(count), np.minimum(wanted, count - 1)))
    positions = explainer.encode_frames(frames.at, frames.decoded)
    query = parse_query(clip.caption, explainer.captioner.vocabulary)
    shown = np.unique(np.minimum(wanted, frames.decoded - 1))
    how = ExplainSettings(mode=settings.mode, others=settings.others, fine=settings.fine, tolerance=settings.tolerance)
    raw = explainer.score_frames(frames.at(shown), positions, query, how)
    plays: tuple[list[Play], list[Play]] = ([], [])
    for maps, frame in zip(raw, shown, strict=True):
        for kept, colours in zip(plays, (True, False), strict=True):
            found = list(object_phrases(clip, query, int(frame), colours))
            kept += play(maps, found, (clip.size[1], clip.size[0]), view, settings.sigma)
    return plays


def object_phrases(clip: Truth, query: Query, frame: int, colours: bool = True) -> Iterator[Phrase]:
    """The words of the caption that name an object which can be seen in a frame; without its colour if so asked."""
    nouns = {**wordings.SHAPE, **wordings.THING}
    for kind in dict.fromkeys(item.kind for item in clip.objects):
        boxes = [item.boxes[frame] for item in clip.objects if item.kind == kind]
        visible = [box for box in boxes if box is not None and _least_side(box, clip.size) >= _LEAST_SIDE]
        place = next((i for i, word in enumerate(query.words) if word == nouns[kind][0] and query.known[i]), None)
        if not visible or place is None:
            continue
        words = (place,)
        if colours and place and query.words[place - 1] in wordings.COLOUR and query.known[place - 1]:
            words = (place - 1, place)
        yield Phrase(words, tuple(visible), kind)


def _least_side(box: Sequence[float], size: tuple[int, int]) -> float:
    wide = min(box[2], size[0]) - max(box[0], 0.0)
    return min(wide, min(box[3], size[1]) - max(box[1], 0.0))


# === When ===
def pairs_of(clips: Sequence[Truth], count: int) -> list[tuple[Truth, Truth]]:
    """Neighbouring clips whose actions differ, at most `count` pairs."""
    found = []
    for first, second in zip(clips[::2], clips[1::2], strict=False):
        if set(first.action_labels()).isdisjoint(second.action_labels()) and len(found) < count:
            found.append((first, second))
    return found


def motion_mass(explainer: Explainer, folder: Path, first: Truth, second: Truth) -> list[float]:
    """Share of the motion words' saliency inside their own clip, for each of two clips shown one after the other."""
    from glrg_tf.video.reader import read_frames

    images = [read_frames(folder / clip.video, np.arange(clip.frames)).images for clip in (first, second)]
    both, cut = np.concatenate(images), len(images[0])
    positions = explainer.encode_frames(lambda places: both[places], len(both))
    moments = explainer.bundle.plan.keyframes(len(both))
    masses = []
    for clip, inside in ((first, moments < cut), (second, moments >= cut)):
        query = parse_query(clip.caption, explainer.captioner.vocabulary)
        words = motion_words(clip, query)
        if words:
            raw = saliency(explainer.scorer, positions, query.token_ids)[:, words].mean(axis=1, keepdims=True)
            masses.append(float(time_mass(raw)[inside].sum()))
    return masses


def motion_words(clip: Truth, query: Query) -> list[int]:
    """The caption's words that tell the clip's action, function words left out."""
    (action,) = clip.action_labels()
    told = set(wordings.ACTION[action][0][0].split()) | set(wordings.ACTION[action][0][1].split())
    told -= {"to", "the", "in", "a", "{o}", "into"}
    return [i for i, word in enumerate(query.words) if word in told and query.known[i]]
