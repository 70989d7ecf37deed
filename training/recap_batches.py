"""Batches of one level: the order is a function of the seed and the step alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glrg_tf.errors import DataError
from glrg_tf.recap.hierarchy import LEVELS
from glrg_tf.recap.inputs import read_arrays
from glrg_tf.recap.settings import RecapConfig
from glrg_tf.recap.text_tokens import TextTokens, join_ids, padded, target
from training.recap_data import Example

_ROUND = 8  # lengths are rounded up to multiples of it: fewer shapes
_ORDER, _WORDING, _UNSEEN = 1, 2, 4  # streams of random numbers


class LevelBatches:
    """The examples of a level, encoded once.

    Args:
        examples: with references.
        level: of all of them.
        config: of the network that reads them.
        tokens: of the texts.
        batch_size: examples a step; the last batch of a pass is filled up from its beginning.
        seed: of the order, of which wording is learned when, and of the lower texts that are not seen.
        text_dropout: share of the lower texts that a step does not see.

    Raises:
        DataError: there are no examples.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        level: str,
        config: RecapConfig,
        tokens: TextTokens,
        batch_size: int,
        seed: int,
        text_dropout: float = 0.0,
    ) -> None:
        if not examples:
            raise DataError(f"there is nothing to learn at level '{level}'", remedy="leave the level out of --levels")
        self.level, self.config, self.seed = level, config, seed
        self.count, self.batch_size = len(examples), min(batch_size, len(examples))
        self._features = [example.features for example in examples]
        most = config.words(level)
        self._targets = [[target(tokens, text, most) for text in example.references] for example in examples]
        self._tokens, self._text_dropout = tokens, text_dropout
        reads = config.reads_text(level)
        self._below = [[ids for ids in map(tokens.encode, e.below) if ids] for e in examples] if reads else []

    @property
    def steps_per_pass(self) -> int:
        """Steps in which every example is seen."""
        return -(-self.count // self.batch_size)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """The batch of a step: inputs of the network, `token_ids` and `labels` int32 (B, T), -1 beyond the text."""
        number, place = divmod(step, self.steps_per_pass)
        stream = LEVELS.index(self.level)
        order = np.random.default_rng([self.seed, _ORDER, stream, number]).permutation(self.count)
        chosen = np.take(order, np.arange(place * self.batch_size, (place + 1) * self.batch_size), mode="wrap")
        wording = np.random.default_rng([self.seed, _WORDING, stream, step]).random(len(chosen))
        picked = [self._targets[row][int(w * len(self._targets[row]))] for row, w in zip(chosen, wording, strict=True)]
        unseen = np.random.default_rng([self.seed, _UNSEEN, stream, step]) if self._text_dropout else None
        return self.arrays(chosen, picked, unseen)

    def plain(self, step: int) -> dict[str, np.ndarray]:
        """Batches in order, with the first wording: for the loss of held-out videos."""
        chosen = np.arange(self.count)[step * self.batch_size : (step + 1) * self.batch_size]
        return self.arrays(chosen, [self._targets[row][0] for row in chosen])

    def arrays(
        self,
        chosen: np.ndarray,
        picked: list[tuple[list[int], list[int]]],
        unseen: np.random.Generator | None = None,
    ) -> dict[str, np.ndarray]:
        """The arrays of some examples, each with one of its targets; `unseen` draws the lower texts left out."""
        texts = [self._below[row] for row in chosen] if self._below else []
        if unseen is not None:
            texts = [[ids for ids in own if unseen.random() >= self._text_dropout] or own for own in texts]
        below = [join_ids(self._tokens, own, self.config.max_text) for own in texts]
        features = [self._features[row] for row in chosen]
        arrays = read_arrays(self.config, self.level, features, below, words=_rounded(below))
        inputs, labels = [x for x, _ in picked], [y for _, y in picked]
        length = _rounded(labels)
        return arrays | {"token_ids": padded(inputs, length), "labels": padded(labels, length)}


def _rounded(rows: Sequence[Sequence[int]]) -> int:
    return -(-max(1, *map(len, rows), 1) // _ROUND) * _ROUND
