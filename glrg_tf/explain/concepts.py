"""Which concept drove a word: single words, actions and classes of the vocabularies, and whole vocabularies, as items.

`how="alone"` is the method of the paper: the captioner sees nothing but the concept. `how="removed"` sees all but it
and tells what the word loses; it is the question people mean, and stays near the inputs the captioner was trained on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from glrg_tf.errors import ConfigError
from glrg_tf.explain.scorer import SentenceScorer

How = Literal["removed", "alone"]
HOWS: tuple[How, ...] = ("removed", "alone")


@dataclasses.dataclass(frozen=True)
class Concepts:
    """What each concept did for each word.

    Attributes:
        names: c concepts, `stream:label`, or the name of a stream.
        values: float32 (c,), how strongly each was seen; of a stream, its sum.
        effects: float32 (c, n) in nats. "removed": ln p(w) - ln p(w without it), positive where it helped;
            "alone": ln q(w) of the concept alone less ln q(w) of a video in which nothing is seen.
    """

    names: tuple[str, ...]
    values: np.ndarray
    effects: np.ndarray

    def top(self, word: int, count: int = 5) -> list[tuple[str, float]]:
        """The concepts that helped a word most, best first."""
        order = np.argsort(-self.effects[:, word], kind="stable")[:count]
        return [(self.names[i], float(self.effects[i, word])) for i in order]


def concept_effects(
    scorer: SentenceScorer,
    row: np.ndarray,
    token_ids: np.ndarray,
    streams: Sequence[tuple[str, int]],
    labels: Mapping[str, Sequence[str]] | None = None,
    how: How = "removed",
) -> tuple[Concepts, Concepts]:
    """Effects of single concepts, and of whole streams.

    Args:
        scorer: the captioner.
        row: float32 (D,), descriptor of the video.
        token_ids: int32 (n,), the sentence.
        streams: name and width of each stream, in column order.
        labels: stream -> what its columns mean; columns without a label are numbered.
        how: what is compared.

    Raises:
        ConfigError: an unknown `how`.
    """
    if how not in HOWS:
        raise ConfigError(f"no way '{how}'", where="how", remedy="one of " + ", ".join(HOWS))
    row, names, groups, first = np.asarray(row, np.float32), [], [], 0
    for name, width in streams:
        known = (labels or {}).get(name, ())
        names += [f"{name}:{known[i] if len(known) == width else f'#{i}'}" for i in range(width)]
        groups.append((name, np.arange(first, first + width)))
        first += width
    single = [(name, np.array([column])) for column, name in enumerate(names)]
    found = _effects(scorer, row, token_ids, [*single, *groups], how)
    cut = len(single)
    return (
        Concepts(found.names[:cut], found.values[:cut], found.effects[:cut]),
        Concepts(found.names[cut:], found.values[cut:], found.effects[cut:]),
    )


def _effects(
    scorer: SentenceScorer,
    row: np.ndarray,
    token_ids: np.ndarray,
    groups: Sequence[tuple[str, np.ndarray]],
    how: How,
) -> Concepts:
    """Effects of groups of columns."""
    base = row if how == "removed" else np.zeros_like(row)
    items = np.tile(base, (len(groups) + 1, 1))
    for place, (_, columns) in enumerate(groups):
        items[place, columns] = 0.0 if how == "removed" else row[columns]
    scores = scorer.log_probs(items[:, None], token_ids)
    effects = scores[-1] - scores[:-1] if how == "removed" else scores[:-1] - scores[-1]
    values = np.array([row[columns].sum() for _, columns in groups], np.float32)
    return Concepts(tuple(name for name, _ in groups), values, effects)
