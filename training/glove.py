"""Trains Visual GloVe: codebook, words, co-occurrences, vectors.

Departures from the reference: the epoch of least mean loss is kept (there: the one after a good last batch), start
values and order are seeded, and patience counts epochs that do not get better by at least `tolerance`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from glrg_tf.errors import ConfigError, DataError
from glrg_tf.semantic import codebook as codebooks
from glrg_tf.semantic.cooccurrence import Cooccurrence, count_all
from glrg_tf.semantic.embedding import ClipIndex, VisualGlove
from glrg_tf.semantic.glove import Glove
from glrg_tf.semantic.settings import CodebookConfig, GloveConfig
from glrg_tf.semantic.stacks import Stacks
from glrg_tf.semantic.weights import GloveWeights
from training.glove_reporting import GloveReporter


@dataclasses.dataclass(frozen=True)
class VectorFit:
    """Vectors and how they came about.

    Attributes:
        weights: of the best epoch.
        losses: mean loss of every epoch.
        best_epoch: the one that was kept, from 1.
        reason: why training ended.
    """

    weights: GloveWeights
    losses: list[float]
    best_epoch: int
    reason: str


def train_vectors(
    pairs: Cooccurrence,
    config: GloveConfig,
    *,
    seed: int = 0,
    epoch_done: Callable[[int, float], None] = lambda epoch, loss: None,
    stop: Callable[[], bool] = lambda: False,
) -> VectorFit:
    """Fits the vectors to the co-occurrences.

    Args:
        pairs: X, the nonzero cells.
        config: settings.
        seed: of start values and order.
        epoch_done: told the epoch (from 1) and its mean loss.
        stop: asked after every epoch; True ends training with the best so far.

    Raises:
        DataError: there are no pairs.
        ConfigError: the loss is not finite.
    """
    if not len(pairs):
        raise DataError("no two clips stand near each other", remedy="videos need at least two clips each")
    model = Glove(pairs.words, config, seed)
    run_epoch = build_epoch(model, pairs)
    losses: list[float] = []
    best, best_epoch, least = model.weights(), 0, np.inf
    judged, judged_epoch, reason = np.inf, 0, "last epoch"
    for epoch in range(1, config.epochs + 1):
        order = np.random.default_rng((seed, epoch)).permutation(len(pairs)).astype(np.int32)
        losses.append(float(run_epoch(order)))
        if not np.isfinite(losses[-1]):
            raise ConfigError("the loss is not finite", where="learning_rate", remedy="try a smaller learning rate")
        if losses[-1] < least:
            best, best_epoch, least = model.weights(), epoch, losses[-1]
        if losses[-1] < judged * (1 - config.tolerance):
            judged, judged_epoch = losses[-1], epoch
        epoch_done(epoch, losses[-1])
        if stop():
            reason = "stopped"
            break
        if config.patience and epoch - judged_epoch >= config.patience:
            reason = f"no better loss in {config.patience} epochs"
            break
    return VectorFit(best, losses, best_epoch, reason)


def build_epoch(model: Glove, pairs: Cooccurrence) -> Callable[[np.ndarray], tf.Tensor]:
    """Returns a compiled pass over all pairs in the order of an int32 permutation; its result is the mean loss."""
    rows, columns = tf.constant(pairs.rows, tf.int32), tf.constant(pairs.columns, tf.int32)
    values = tf.constant(pairs.values, tf.float32)
    batch = tf.constant(model.config.batch_size, tf.int32)

    @tf.function(input_signature=[tf.TensorSpec([len(pairs)], tf.int32)])
    def run(order: tf.Tensor) -> tf.Tensor:
        total = tf.constant(0.0, tf.float64)
        for start in tf.range(0, tf.size(order), batch):
            chosen = order[start : start + batch]
            loss = model.step(tf.gather(rows, chosen), tf.gather(columns, chosen), tf.gather(values, chosen))
            total += tf.cast(loss, tf.float64) * tf.cast(tf.size(chosen), tf.float64)
        return total / tf.cast(tf.size(order), tf.float64)

    return run


def train(
    stacks: Stacks,
    codebook_config: CodebookConfig,
    config: GloveConfig,
    *,
    seed: int = 0,
    workers: int | None = None,
    codebook: codebooks.Codebook | None = None,
    reporter: GloveReporter | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> VisualGlove:
    """Trains everything on the clips of `stacks`.

    Args:
        stacks: unlabelled clips.
        codebook_config: of the clustering.
        config: of the vectors.
        seed: of everything random.
        workers: threads that look up words and count pairs; results do not depend on it.
        codebook: one that is there already; clustering is skipped.
        reporter: who is told.
        stop: asked after every epoch of the vectors; True ends training with the best so far.

    Raises:
        ConfigError: fewer clips than words.
        DataError: no video has two clips, a value is not finite, a codebook of another width.
    """
    reporter = reporter or GloveReporter()
    report: dict[str, object] = {"clips": len(stacks), "videos": stacks.videos, "seed": seed}
    if codebook is None:
        codebook, report["distances"] = _cluster(stacks, codebook_config, seed, reporter)
    reporter.stage("visual words", len(stacks), "clips")
    tokens, squares = codebooks.assign(codebook, stacks, workers=workers, progress=reporter.advance)
    reporter.stage("co-occurrences", len(stacks), "clips")
    counts = count_all(
        tokens, stacks.offsets, codebook.words, config.window, config.compat, workers=workers, progress=reporter.advance
    )
    pairs = counts.table()
    reporter.message(f"{len(pairs):,} pairs of words stand within {config.window} clips of each other")
    reporter.stage("vectors", config.epochs, "epochs")
    # Without any pair train_vectors says so.
    fitted = pairs.filled(config.unseen) if config.unseen and len(pairs) else pairs
    fit = train_vectors(
        fitted, config, seed=seed, epoch_done=lambda epoch, loss: reporter.advance(1, loss=loss), stop=stop
    )
    reporter.message(f"vectors: {fit.reason}; epoch {fit.best_epoch} is kept, mean loss {min(fit.losses):.5g}")
    report |= {"pairs": len(pairs), "losses": fit.losses, "best_epoch": fit.best_epoch, "ended": fit.reason}
    return VisualGlove(
        codebook=codebook,
        weights=fit.weights,
        seen=pairs.seen,
        config=config,
        codebook_config=dataclasses.replace(codebook_config, words=codebook.words),
        source=dict(stacks.source),
        clips=ClipIndex.build(stacks.ids, stacks.offsets, tokens, squares, codebook.words),
        report=report,
    )


def _cluster(
    stacks: Stacks, config: CodebookConfig, seed: int, reporter: GloveReporter
) -> tuple[codebooks.Codebook, list[float]]:
    reporter.stage("first words (k-means++)", None, "clips")

    def epoch_done(epoch: int, distance: float) -> None:
        if epoch:
            reporter.message(f"codebook epoch {epoch}: clips are {distance:.4g} from their words on average")
        else:
            reporter.message(f"codebook start: clips are {distance:.4g} from their words on average")
            reporter.stage("codebook", len(stacks) * config.epochs, "clips")

    fit = codebooks.fit_codebook(stacks, config, seed=seed, progress=reporter.advance, epoch_done=epoch_done)
    return fit.codebook, fit.distances
