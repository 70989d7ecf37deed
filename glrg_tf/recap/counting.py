"""How many parameters a network has, from its sizes alone: nothing is allocated.

Held against built networks by a test; with the published sizes it gives the published counts (fact sheet, section 5).
"""

from __future__ import annotations

from typing import NamedTuple

from glrg_tf.recap.settings import RecapConfig


class Counts(NamedTuple):
    """Parameters of a network."""

    total: int
    trainable: int  # what training moves


def count_parameters(config: RecapConfig) -> Counts:
    """The parameters of `RecapNetwork(config)`."""
    w = config.width
    norm, attention, forward = 2 * w, 4 * (w * w + w), 8 * w * w + 5 * w
    video, text = config.has_video, config.has_text and config.text_reader == "queries"
    crosses = -(-config.mapper_layers // config.cross_every)
    crossing = crosses * (attention + norm)
    alignment = norm + config.mapper_layers * (attention + forward + 2 * norm) + crossing
    alignments = 1 if config.shared_mapper and video and text else video + text
    queries = (config.video_queries * video + config.text_queries * text) * w
    inputs = 0
    if config.project_inputs:
        inputs += (config.dense_width + 1 + config.max_clip_tokens) * w if config.dense_width else 0
        inputs += (config.row_width + 1 + config.max_rows) * w if config.row_width and config.inputs != "text" else 0
    if config.has_text and config.text_reader == "words":
        inputs += config.text_places * w + norm
    gated = config.decoder_layers * (attention + forward + 2 * norm + 2)
    blocks = config.decoder_layers * (attention + forward + 2 * norm)
    tables = (config.vocabulary_size + config.positions) * w + norm
    total = alignments * alignment + queries + inputs + gated + blocks + tables
    trained = alignments * crossing + queries + inputs + gated + config.decoder_layers * 2 * norm
    return Counts(total, total if config.trainable == "all" else trained)
