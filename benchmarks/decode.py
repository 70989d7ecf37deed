"""Decoding: greedy and beam 5 in batches of 1, 32 and 256, and one caption from features to text.

`beam5` ranks by the sum of log-probabilities and may stop when the best hypothesis has ended; `beam5_normalized` and
`caption_latency` rank by that sum over the length, the default of training runs, and go on until all have ended;
`beam5_release` decodes as the released code does, always to the last step.

Plain form: the sequential search of `plain_beam`, one video after the other, candidates ranked in Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import floor
from benchmarks.case import Case, Options
from benchmarks.material import Material
from glrg_tf.captioner.captioner import DecodingConfig, VideoCaptioner
from glrg_tf.captioner.model import CaptionerModel
from glrg_tf.captioner.presets import CaptionerConfig
from glrg_tf.text.vocabulary import Vocabulary
from tests.references import plain_beam
from tests.references.plain_model import MAX_WORDS

NAMES = ("greedy", "beam5", "beam5_normalized", "beam5_release", "caption_latency")
_REFERENCE_VIDEOS = 16
_SINGLE_VIDEOS = 8  # in a batch of 1 the length of one video's caption would decide: several, one after the other


def build(options: Options, material: Material) -> Case:
    """The case of one of `NAMES`; a batch of 1 is timed over several videos, each in a call of its own."""
    alpha = 0.0 if options.name in ("greedy", "beam5") else 1.0
    compat = "release" if options.name == "beam5_release" else None
    captioner = make_captioner(material, alpha)
    beam = 1 if options.name == "greedy" else 5
    singles = _SINGLE_VIDEOS if options.batch == 1 else 1
    features = material.features[material.rows(options.batch * singles)]
    few = features[:_REFERENCE_VIDEOS]

    def ours() -> Any:
        calls = [captioner.generate(part, beam_size=beam, compat=compat) for part in np.split(features, singles)]
        return [captions[0].text for call in calls for captions in call]

    def build_reference() -> Any:
        stepper = plain_beam.PlainStepper(material.weights)
        if compat:
            return lambda: [plain_beam.release_beam(stepper, row, beam) for row in few]
        if beam == 1:
            return lambda: [plain_beam.greedy(stepper, row) for row in few]
        return lambda: [plain_beam.corrected_beam(stepper, row, beam, alpha) for row in few]

    def flops() -> float:
        captions = captioner.generate(features, beam_size=beam)
        sizes = floor.Sizes(material.vocabulary, material.features.shape[1], captioner.config.hidden_size)
        # The release searches to the last step; otherwise the best caption's length is what cannot be avoided.
        steps = [MAX_WORDS if compat else len(found[0].token_log_probs) for found in captions]
        rows = beam * sum(steps)
        return floor.decoding_flops(rows, len(features), sizes) / singles

    def per_video() -> dict[str, Any]:
        return {"videos_a_call": options.batch}

    share = len(few) / options.batch  # what the plain form does, as a part of one call of ours
    return Case(ours, build_reference, flops, share, repeats=singles, pairs=3, extra=per_video)


def make_captioner(material: Material, length_normalization: float = 0.0) -> VideoCaptioner:
    """A captioner with the material's weights and made-up words."""
    model = CaptionerModel(CaptionerConfig(vocabulary_size=material.vocabulary))
    model.set_weights(material.weights)
    words = tuple(f"w{i}" for i in np.arange(material.vocabulary - 3))
    vocabulary = Vocabulary(("<end>", "<start>", "<unk>", *words))
    return VideoCaptioner(model, vocabulary, DecodingConfig(length_normalization=length_normalization))
