"""The pointing game and attention correctness: does a word's map lie on the thing the word names?

Protocol (fact sheet, section 9): the true caption is forced; the maps of a phrase's words are averaged and brought to
the size of the image; the point of the maximum is a hit if it lies inside any box of the phrase. Attention correctness
is the share of the map (scaled to 0..1, cut at its mean) that lies inside the boxes. Both stand beside what the centre
of the image scores, and a point drawn at random: its chance is the share of the image that the boxes cover.

Where the paper leaves it open: a phrase whose boxes lie outside what the network sees is left out and counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from glrg_tf.explain.normalise import smooth, to_unit
from glrg_tf.explain.picture import enlarge
from glrg_tf.explain.view import View

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels


@dataclasses.dataclass(frozen=True)
class Phrase:
    """Words that name something, and where it is in one image."""

    words: tuple[int, ...]  # numbers of the sentence's words
    boxes: tuple[Box, ...]
    kind: str  # what results are grouped by


@dataclasses.dataclass(frozen=True)
class Play:
    """The outcome for one phrase in one image."""

    kind: str
    hit: bool
    centre_hit: bool
    chance: float  # of a random point
    correctness: float  # share of the map inside the boxes


@dataclasses.dataclass(frozen=True)
class Score:
    """Results of many plays, each 0..1."""

    plays: int
    accuracy: float
    centre: float
    random: float
    correctness: float  # of an even map it would be `random`


def play(
    raw: np.ndarray,
    phrases: Sequence[Phrase],
    size: tuple[int, int],
    view: View | None = None,
    sigma: float = 0.0,
) -> list[Play]:
    """Plays every phrase of one image.

    Args:
        raw: float32 (n, h, w), raw saliency of the words in this image.
        phrases: of the sentence; those with no box in the part that is seen are left out.
        size: height and width of the image in pixels, to which the boxes refer.
        view: what the network saw of the image; all of it without.
        sigma: of a Gaussian over the cells of each map.
    """
    view = view or View()
    units = to_unit(smooth(raw[None], (0.0, sigma, sigma))[0], axis=(1, 2))
    outcomes = []
    for phrase in phrases:
        inside = mask_of(phrase.boxes, size) & seen(size, view)
        if not inside.any():
            continue
        image = enlarge(units[list(phrase.words)].mean(axis=0), size, view)
        image = np.where(seen(size, view), image, -np.inf)
        point = np.unravel_index(int(image.argmax()), size)
        centre = (size[0] // 2, size[1] // 2)
        kept = np.clip(image - image[np.isfinite(image)].mean(), 0.0, None)
        total = kept.sum()
        share = float(kept[inside].sum() / total) if total > 0 else float(inside.mean())
        outcomes.append(Play(phrase.kind, bool(inside[point]), bool(inside[centre]), float(inside.mean()), share))
    return outcomes


def mask_of(boxes: Iterable[Box], size: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre lies in some box: bool (H, W)."""
    rows, columns = np.arange(size[0])[:, None] + 0.5, np.arange(size[1])[None] + 0.5
    mask = np.zeros(size, bool)
    for left, top, right, bottom in boxes:
        mask |= (columns >= left) & (columns <= right) & (rows >= top) & (rows <= bottom)
    return mask


def seen(size: tuple[int, int], view: View) -> np.ndarray:
    """Pixels the network saw: bool (H, W)."""
    top, left, height, width = view.window(size)
    return mask_of([(left, top, left + width, top + height)], size)


def score(plays: Sequence[Play]) -> dict[str, Score]:
    """Results over all plays ("all") and by kind, kinds in alphabetical order; empty without plays."""
    groups = {"all": list(plays)} if plays else {}
    for one in sorted(plays, key=lambda found: found.kind):
        groups.setdefault(one.kind, []).append(one)
    return {name: _score(group) for name, group in groups.items()}


def _score(plays: Sequence[Play]) -> Score:
    return Score(
        len(plays),
        *(
            float(np.mean([getattr(one, name) for one in plays]))
            for name in ("hit", "centre_hit", "chance", "correctness")
        ),
    )
