"""Inputs that artefacts are compared on: real features where there are some, made ones, and hostile ones.

Kinds of rows:
- `real`: given by the caller; `made`: sparse probabilities a stream, as encoders give them.
- `zeros`, `ones`, `tiny`, `negative`, `large`, `huge`: values no encoder gives, which must still agree.
- `near_tie`, `knife_edge`: points between two videos where the best caption flips, found by bisection: there two
  hypotheses differ by about 1e-4, and by nothing that float32 can tell.
- `nan`, `infinite`, `beyond`: refused, without touching their neighbours.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from export.signatures import LARGEST
from glrg_tf.captioner.captioner import VideoCaptioner

_REAL = 64  # rows: enough to meet most words, few enough for batches of one
_MADE = 24
_PAIRS = 6
_NEAR, _EDGE = 10, 26  # bisections: 2 ** -10 of the way, and as far as float32 goes


@dataclasses.dataclass(frozen=True)
class Probes:
    """Rows to compare on.

    Attributes:
        features: float32 (N, D).
        kinds: what each row is.
    """

    features: np.ndarray
    kinds: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """Rows of each kind."""
        return {kind: self.kinds.count(kind) for kind in dict.fromkeys(self.kinds)}


def make_probes(
    captioner: VideoCaptioner, real: np.ndarray | None = None, beam_size: int | None = None, seed: int = 1
) -> Probes:
    """Rows of every kind, in mixed order so that every batch holds several kinds.

    Args:
        captioner: finds the near ties.
        real: float32 (n, D), used up to 64 rows.
        beam_size: K of the search whose ties are sought; None takes the captioner's default.
        seed: of the made rows.
    """
    rng = np.random.default_rng(seed)
    groups = {"real": np.zeros((0, captioner.config.feature_size), np.float32) if real is None else real[:_REAL]}
    groups["made"] = _made(captioner.config.streams, rng)
    groups |= _hostile(groups["made"], rng)
    groups |= _ties(captioner, np.concatenate([groups["real"], groups["made"]]), beam_size)
    kinds = np.concatenate([[kind] * len(rows) for kind, rows in groups.items()])
    order = rng.permutation(len(kinds))
    features = np.concatenate(list(groups.values())).astype(np.float32)[order]
    return Probes(features, tuple(str(kind) for kind in kinds[order]))


def accepted(features: np.ndarray) -> np.ndarray:
    """Which rows an artefact captions, bool (N); the others it refuses."""
    return (np.abs(features) <= LARGEST).all(axis=1)


def _made(streams: tuple[tuple[str, int], ...], rng: np.random.Generator) -> np.ndarray:
    parts = []
    for _, width in streams:
        logits = np.exp(4.0 * rng.normal(size=(_MADE, width)))
        parts.append(logits / logits.sum(axis=1, keepdims=True))
    return np.concatenate(parts, axis=1).astype(np.float32)


def _hostile(made: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    one, width = made[:1], made.shape[1]
    spoilt = np.repeat(one, 2, axis=0)
    spoilt[0, 0], spoilt[1] = np.nan, np.nan
    infinite = np.repeat(one, 2, axis=0)
    infinite[0, -1], infinite[1, 0] = np.inf, -np.inf
    return {
        "zeros": np.zeros((1, width)),
        "ones": np.ones((1, width)),
        "tiny": np.stack([np.full(width, 1e-30), np.full(width, 1e-42)]),
        "negative": -made[1:3],
        "large": made[3:6] * np.array([[10.0], [100.0], [1000.0]]),
        "huge": rng.choice([-1.0, 1.0], (2, width)) * 1e17,
        "nan": spoilt,
        "infinite": infinite,
        "beyond": np.stack([np.full(width, np.finfo(np.float32).max), np.append(np.zeros(width - 1), 1e19)]),
    }


def _ties(captioner: VideoCaptioner, rows: np.ndarray, beam_size: int | None) -> dict[str, np.ndarray]:
    """Points close to, and right at, where the best caption of one video turns into another's."""
    captions = [found[0].token_ids for found in captioner.generate(rows, beam_size)]
    pairs = [(i, i + 1) for i in range(len(rows) - 1) if captions[i] != captions[i + 1]][:_PAIRS]
    if not pairs:
        return {}
    start, end = (rows[[pair[side] for pair in pairs]] for side in (0, 1))
    low, high, near = np.zeros(len(pairs)), np.ones(len(pairs)), start
    for bisection in range(_EDGE):
        middle = (low + high) / 2
        found = captioner.generate(_between(start, end, middle), beam_size)
        same = np.array([f[0].token_ids == captions[pair[0]] for f, pair in zip(found, pairs, strict=True)])
        low, high = np.where(same, middle, low), np.where(same, high, middle)
        if bisection == _NEAR:
            near = _between(start, end, low)
    return {"near_tie": near, "knife_edge": np.concatenate([_between(start, end, at) for at in (low, high)])}


def _between(start: np.ndarray, end: np.ndarray, share: np.ndarray) -> np.ndarray:
    return (start * (1 - share[:, None]) + end * share[:, None]).astype(np.float32)
