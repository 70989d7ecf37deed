"""Settings of Visual GloVe: the codebook and the vectors. Defaults are the published run's (specs/visual-glove.md).

Departures from the reference, each with its reason:
- `compat="off"` weighs a pair by 1/distance, as GloVe does; `compat="reference"` repeats the published code's weight,
  1/max(|j - 1|, 1) with j the context clip's absolute position (a digit one where the centre's index was meant).
- Codebook epochs continue: the reference re-fits from scratch five times and keeps the last.
- Vectors start within ±0.5/d as in GloVe's own program. The reference starts within ±1, and with d = 128 that noise
  stays: on a planted corpus of 30 topics 0.28 of the ten nearest neighbours were of the word's topic after 50 epochs,
  1.00 with the small start (docs/visual-glove.md). `start_range=1` repeats it.
- The best epoch is the one of least mean loss; the reference looks at one batch and saves one epoch late.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from glrg_tf.errors import ConfigError

Compat = Literal["off", "reference"]


@dataclasses.dataclass(frozen=True)
class CodebookConfig:
    """Mini-batch k-means over clip features."""

    words: int = 1500  # V, size of the visual vocabulary
    batch_rows: int = 20_000  # clips of one step
    epochs: int = 5  # most passes over all clips
    tolerance: float = 1e-3  # stop when a pass shortens the mean distance by less than this part; 0: never
    buffer_mib: int = 256  # memory in which clips are shuffled, MiB

    def __post_init__(self) -> None:
        """Refuses sizes no codebook can have."""
        if not 2 <= self.words <= 65536:
            raise ConfigError("the visual vocabulary has 2 to 65536 words", where="words")
        for name in ("batch_rows", "epochs", "buffer_mib"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be positive, found {getattr(self, name)}", where=name)
        if self.tolerance < 0:
            raise ConfigError("tolerance must not be negative", where="tolerance")


@dataclasses.dataclass(frozen=True)
class GloveConfig:
    """Vectors from co-occurrences."""

    dimensions: int = 128  # d, width of the embedding
    window: int = 5  # W, clips on each side that count as context
    x_max: float = 20.0  # co-occurrence from which a pair has full weight; 0 gives every pair full weight
    alpha: float = 0.75  # exponent of the weight below x_max
    unseen: float = 0.0  # co-occurrence that words which never meet are taken to have; 0 leaves such pairs out
    start_range: float = 0.0  # start values lie in ±start_range; 0 takes 0.5 / d
    learning_rate: float = 0.05  # Adagrad's
    batch_size: int = 2048  # pairs a step
    epochs: int = 1500  # most passes over all pairs
    patience: int = 100  # epochs without a better mean loss before stopping; 0 never stops early
    tolerance: float = 1e-4  # a loss is better when it is lower by at least this part
    compat: Compat = "off"  # "reference" weighs co-occurrences as the published code does

    def __post_init__(self) -> None:
        """Refuses what the reference refuses, and what cannot run."""
        bounds = (
            ("dimensions", 32, 4096),
            ("window", 2, 10_000),
            ("x_max", 0, 100),
            ("alpha", 0, 1),
            ("unseen", 0, 10),
            ("start_range", 0, 10),
            ("batch_size", 1, 10**7),
            ("epochs", 1, 10**6),
            ("patience", 0, 10**6),
            ("tolerance", 0, 1),
        )
        for name, low, high in bounds:
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} lies in {low}..{high}, found {getattr(self, name)}", where=name)
        if not self.learning_rate > 0:
            raise ConfigError("learning_rate must be positive", where="learning_rate")
