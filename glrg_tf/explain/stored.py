"""The explanation of a video known by its features alone: when and by which concepts, not where."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np

from glrg_tf.data.feature_store import FeatureStore
from glrg_tf.errors import ConfigError, FeatureError
from glrg_tf.explain.captioners import own_caption, scorer_of
from glrg_tf.explain.concepts import concept_effects
from glrg_tf.explain.explanation import ExplainSettings, Explanation
from glrg_tf.explain.query import parse_query
from glrg_tf.explain.saliency import saliency
from glrg_tf.explain.view import View

if TYPE_CHECKING:
    from glrg_tf.explain.captioners import Captioner


def explain_features(
    captioner: Captioner,
    path: str | os.PathLike[str],
    video_id: str | None = None,
    sentence: str | None = None,
    settings: ExplainSettings | None = None,
) -> Explanation:
    """Explains a caption of one video of a `features.h5`; its moments are the positions that were kept.

    Args:
        captioner: with or without encoders.
        path: the file; features per position tell moments apart, pooled ones only concepts.
        video_id: which video; may be left out where there is one.
        sentence: what is asked about; None takes the captioner's own caption.
        settings: mode and concepts are read.

    Raises:
        FeatureError: a damaged file, or no such video.
        ConfigError: the file lacks a stream the captioner reads, or a sentence without known words.
    """
    settings, streams = settings or ExplainSettings(), captioner.config.streams
    with FeatureStore(path) as store:
        if video_id is None and len(store) != 1:
            raise ConfigError(f"the file has {len(store)} videos", where=path, remedy="name one with --id")
        chosen = store.ids[0] if video_id is None else video_id
        if chosen not in store:
            raise FeatureError(f"no video '{chosen}'", where=path, remedy=f"there are, among others: {store.ids[0]}")
        for name, width in streams:
            if store.streams.get(name) != width:
                have = ", ".join(f"{other} ({size})" for other, size in store.streams.items())
                raise ConfigError(f"the captioner reads '{name}' ({width}), the file has {have}", where=path)
        positions = _positions(store, chosen, [name for name, _ in streams])
        labels = {name: _labels(store, name, width) for name, width in streams}
    query = parse_query(sentence, captioner.vocabulary) if sentence is not None else None
    if query is None:
        sentence = own_caption(captioner, positions)
        query = parse_query(sentence, captioner.vocabulary)
    scorer, ids = scorer_of(captioner), query.token_ids
    row, asked = positions.mean(axis=0), settings.concepts
    nowhere = np.zeros((0, len(query.words), 0, 0), np.float32)
    return Explanation(
        str(sentence),
        query,
        settings.mode,
        np.zeros(0, np.int64),
        np.zeros(0),
        nowhere,
        nowhere,
        np.arange(len(positions), dtype=np.float64),
        saliency(scorer, positions, ids, settings.mode, positions),
        scorer.log_probs(positions[None], ids)[0],
        concept_effects(scorer, row, ids, streams, labels) if asked else None,
        View(),
        (0, 0),
        0.0,
        0,
        query.warnings,
    )


def _positions(store: FeatureStore, video_id: str, names: list[str]) -> np.ndarray:
    """Float32 (P, D); one row where a stream is pooled, or streams differ in their positions."""
    if all(store.has_positions(name) for name in names):
        parts = [store.positions(video_id, name) for name in names]
        if len({len(part) for part in parts}) == 1:
            return np.concatenate(parts, axis=1).astype(np.float32)
    return store.read([video_id], names)


def _labels(store: FeatureStore, name: str, width: int) -> tuple[str, ...]:
    """What the columns of a stream mean, where its encoder said so."""
    try:
        found = json.loads(str(store.stream_attributes[name].get("labels", "[]")))
    except ValueError:
        return ()
    return tuple(map(str, found)) if isinstance(found, list) and len(found) == width else ()
