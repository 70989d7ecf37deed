"""Decoding: greedy and beam 5 in batches of 1, 32 and 256, and one caption from features to text.

Plain form: the sequential search of `plain_beam`, one video after the other, candidates ranked in Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import floor
from benchmarks.case import Case, Options
from benchmarks.material import Material
from glrg_tf.captioner.captioner import VideoCaptioner
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.text.vocabulary import Vocabulary
from tests.references import plain_beam

NAMES = ("greedy", "beam5", "caption_latency")
_REFERENCE_VIDEOS = 16
_LATENCY_VIDEOS = 8  # one caption each: a single video's length would decide


def build(options: Options, material: Material) -> Case:
    """The case of one of `NAMES`."""
    captioner = make_captioner(material)
    beam = 1 if options.name == "greedy" else 5
    latency = options.name == "caption_latency"
    features = material.features[material.rows(_LATENCY_VIDEOS if latency else options.batch)]

    def ours() -> Any:
        if latency:
            return [captioner.generate(row[None], beam_size=beam)[0][0].text for row in features]
        return captioner.generate(features, beam_size=beam)

    def build_reference() -> Any:
        stepper = plain_beam.PlainStepper(material.weights)
        few = features[:_REFERENCE_VIDEOS]
        if beam == 1:
            return lambda: [plain_beam.greedy(stepper, row) for row in few]
        return lambda: [plain_beam.corrected_beam(stepper, row, beam) for row in few]

    def flops() -> float:
        captions = captioner.generate(features, beam_size=beam)
        sizes = floor.Sizes(material.vocabulary, material.features.shape[1], captioner.config.hidden_size)
        rows = sum(beam * len(found[0].token_log_probs) for found in captions)
        return floor.decoding_flops(rows, len(features), sizes)

    def per_video() -> dict[str, Any]:
        return {"videos": len(features)}

    return Case(ours, build_reference, flops, min(1.0, _REFERENCE_VIDEOS / len(features)), pairs=3, extra=per_video)


def make_captioner(material: Material) -> VideoCaptioner:
    """A captioner with the material's weights and made-up words."""
    model = CaptionerModel(CaptionerConfig(vocabulary_size=material.vocabulary))
    model.set_weights(material.weights)
    words = tuple(f"w{i}" for i in np.arange(material.vocabulary - 3))
    return VideoCaptioner(model, Vocabulary(("<end>", "<start>", "<unk>", *words)))
