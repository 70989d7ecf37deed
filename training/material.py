"""What a run trains on: a data set encoded with its vocabulary, its consensus scores and its reward."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from glrg_tf.captioner.content import ContentPrior
from glrg_tf.captioner.minimum_risk import NgramWeights
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.data.batches import CaptionBatches
from glrg_tf.data.dataset import CaptionDataset, VideoRecord
from glrg_tf.data.feature_store import FeatureStore
from glrg_tf.errors import DataError, FeatureError
from glrg_tf.metrics import ciderd, consensus
from glrg_tf.text.tokenizer import get_tokenizer
from glrg_tf.text.vocabulary import Vocabulary
from training import content
from training.config import PhaseConfig, RunConfig

if TYPE_CHECKING:
    from glrg_tf.captioner.captioner import VideoCaptioner

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Split:
    """Videos of one split that have features."""

    name: str
    records: tuple[VideoRecord, ...]
    store: FeatureStore
    streams: tuple[str, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """Video ids in row order."""
        return tuple(record.id for record in self.records)

    @property
    def captions(self) -> list[tuple[str, ...]]:
        """Captions of each row."""
        return [record.captions for record in self.records]

    def features(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Features float32 (N, D) of the given rows, all by default."""
        ids = self.ids if rows is None else [self.records[row].id for row in rows]
        return self.store.read(ids, self.streams)


def open_split(dataset: CaptionDataset, name: str, config: CaptionerConfig) -> Split:
    """The videos of a split with captions and features.

    Raises:
        DataError: no such split, no videos with both.
        FeatureError: no feature file, or streams of other widths than the model's.
    """
    store = dataset.features
    if store is None:
        raise FeatureError(
            "the data set has no features",
            where=dataset.folder,
            remedy="import it again with --features FILE.h5",
        )
    for stream, width in config.streams:
        found = store.streams.get(stream)
        if found != width:
            raise FeatureError(
                f"stream '{stream}' has width {found}, the model reads {width}"
                if found
                else f"no stream '{stream}'; the file has {', '.join(store.streams)}",
                where=dataset.folder / "features.h5",
                remedy="set model.streams to the streams of the data set",
            )
    records = tuple(record for record in dataset.records(name) if record.captions and record.id in store)
    if not records:
        raise DataError(f"no video of split '{name}' has captions and features", where=dataset.folder)
    return Split(name, records, store, config.stream_names)


def build_vocabulary(dataset: CaptionDataset, split: Split, min_count: int) -> Vocabulary:
    """The vocabulary that came with the data set, or one of the training captions."""
    released = dataset.release_vocabulary
    if released is not None:
        return released
    tokenizer = get_tokenizer(dataset.tokenizer)
    tokens = (tokenizer(caption) for captions in split.captions for caption in captions)
    return Vocabulary.build(tokens, min_count, dataset.tokenizer)


def consensus_scores(
    dataset: CaptionDataset, split: Split, metric: str, progress: Progress | None = None
) -> list[np.ndarray]:
    """m(S) of every caption: imported scores where the whole split has them, computed and cached otherwise."""
    return consensus.cached_consensus(
        split.captions,
        metric,
        dataset.folder / "consensus",
        progress,
        imported=[record.scores.get(metric, ()) for record in split.records],
    )


def build_batches(
    split: Split,
    vocabulary: Vocabulary,
    scores: list[np.ndarray] | None,
    phase: PhaseConfig,
    max_length: int,
    seed: int,
) -> CaptionBatches:
    """The batch stream of a phase; without scores every caption weighs 1."""
    tokenizer = get_tokenizer(vocabulary.tokenizer)
    token_ids = [
        np.stack([vocabulary.encode(tokenizer(caption), max_length) for caption in captions])
        for captions in split.captions
    ]
    scores = scores or [np.ones(len(ids)) for ids in token_ids]
    features = split.features()
    return CaptionBatches(
        lambda rows: features[rows], token_ids, scores, phase.batch_size, phase.captions_per_video, seed
    )


def build_ciderd(split: Split, vocabulary: Vocabulary, *, use_eos: bool, shared_unknown: bool) -> ciderd.CiderD:
    """CIDEr-D against the captions of a split, rows in the split's order."""
    unknown = "shared" if shared_unknown else "own"
    tokenizer = get_tokenizer(vocabulary.tokenizer)
    references = ciderd.encode_references(split.captions, vocabulary, tokenizer, unknown=unknown)
    return ciderd.CiderD.from_references(references, use_eos=use_eos)


def build_ngram_weights(split: Split, vocabulary: Vocabulary) -> NgramWeights:
    """Weights of the n-grams of a split's captions, for minimum-risk decoding."""
    scorer = build_ciderd(split, vocabulary, use_eos=False, shared_unknown=False)
    return NgramWeights.from_tables(scorer.tables, len(vocabulary))


def build_content_prior(
    split: Split, vocabulary: Vocabulary, weights: NgramWeights, config: RunConfig
) -> ContentPrior | None:
    """What foretells captions' content, fitted to a split; None where the settings do not use it."""
    if config.decoding_selection != "content" and not config.decoding_word_bias:
        return None
    return _fit(split, vocabulary, weights, config.content_ridge)


def equip_with_content(captioner: VideoCaptioner, dataset: CaptionDataset, ridge: float) -> ContentPrior:
    """Gives a trained captioner n-gram weights and a content prior of a dataset's training videos; returns the prior.

    Raises:
        DataError: no training videos with captions and features.
        FeatureError: other streams than the captioner reads.
    """
    split = open_split(dataset, "train", captioner.config)
    weights = build_ngram_weights(split, captioner.vocabulary)
    captioner.ngram_weights, captioner.content_prior = weights, _fit(split, captioner.vocabulary, weights, ridge)
    return captioner.content_prior


def _fit(split: Split, vocabulary: Vocabulary, weights: NgramWeights, ridge: float) -> ContentPrior:
    tables = build_ciderd(split, vocabulary, use_eos=False, shared_unknown=False).tables
    widths = [split.store.streams[name] for name in split.streams]
    return content.fit(split.features(), widths, tables, weights, ridge)
