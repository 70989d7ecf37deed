"""The reward alone: CIDEr-D of a batch's sampled captions, in the graph against the usual Python scorer.

Plain form: `PlainCiderD` with the references' n-grams cached ("counts"), the usual scorer at its quickest use. The
further columns say what the same scorer takes as the release calls it (references cut into n-grams for every caption),
what a dictionary scorer takes that keeps the finished vectors, and how far the two sides' rewards are apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.case import Case, Options, Work
from benchmarks.material import CAPTIONS, Material
from benchmarks.timing import clock
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.data.batches import Batch
from glrg_tf.metrics.ciderd import CiderD
from tests.references.plain_ciderd import PlainCiderD

NAMES = ("reward_ciderd",)


def build(options: Options, material: Material) -> Case:
    """The reward of `options.batch` videos times 20 captions, as a reinforcement step asks for it."""
    rows = material.rows(options.batch)
    token_ids = tf.constant(_captions(material, rows))
    video_rows = tf.constant(np.repeat(rows, CAPTIONS))
    scorer = CiderD.from_references(material.references())
    score = tf.function(
        lambda ids, videos: scorer(ids, videos),
        input_signature=[tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)],
    )

    def plain(cache: Any) -> Work:
        reference = PlainCiderD(material.references(), cache=cache)
        return lambda: reference(token_ids.numpy(), video_rows.numpy())

    def others() -> dict[str, Any]:
        if not options.reference:
            return {}
        expected = plain("counts")()
        return {
            "release_scorer_s": clock(plain("nothing")).minimum,
            "cached_vectors_s": clock(plain("vectors")).minimum,
            "largest_difference": float(np.abs(score(token_ids, video_rows).numpy() - expected).max()),
            "mean_reward": float(expected.mean()),
            "tables_mb": round(scorer.tables.nbytes / 2**20, 1),
        }

    return Case(
        ours=lambda: score(token_ids, video_rows).numpy(),
        build_reference=lambda: plain("counts"),
        pairs=max(options.pairs, 5),
        extra=others,
    )


def _captions(material: Material, rows: np.ndarray) -> np.ndarray:
    """Int32 (N, 28) captions drawn from the trained model; without one, the captions of other videos."""
    if material.weights is None:
        others = material.token_ids[np.roll(rows, 1)][:, :, 1:-1]
        return others.reshape(-1, others.shape[-1])
    from benchmarks.steps import draw_captions

    model = CaptionerModel(CaptionerConfig(vocabulary_size=material.vocabulary))
    model.set_weights(material.weights)
    batch = Batch(material.features[rows], material.token_ids[rows], material.consensus[rows], rows)
    drawn = draw_captions(model, Batch(*(tf.constant(part) for part in batch)))
    return np.ascontiguousarray(drawn.reshape(-1, drawn.shape[-1])[:, 1:-1])
