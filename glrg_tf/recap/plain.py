"""A plain GL-RG captioner with its encoder as the captioner of clips: level 1 only."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glrg_tf.captioner.video_input import check_encoder
from glrg_tf.config import to_dict
from glrg_tf.errors import ConfigError
from glrg_tf.recap.hierarchy import CLIP, Hierarchy
from glrg_tf.video.sampling import FramePlan

if TYPE_CHECKING:
    from glrg_tf.captioner.captioner import VideoCaptioner


class PlainClipCaptioner:
    """A `RecapModel` of one level.

    Args:
        captioner: with an encoder.
        hierarchy: of its windows.
        beam_size: hypotheses kept; None takes the captioner's default.

    Raises:
        ConfigError: it has no encoder, or one that does not fit.
    """

    levels = (CLIP,)

    def __init__(
        self, captioner: VideoCaptioner, hierarchy: Hierarchy | None = None, beam_size: int | None = None
    ) -> None:
        bundle = captioner.encoders
        if bundle is None:
            raise ConfigError(
                "this captioner has no encoder: it reads feature files, not videos",
                remedy="train it with --encoder ENC, or name one now with --encoder ENC",
            )
        check_encoder(captioner.config, dict(bundle.widths))
        self._captioner, self._bundle, self._beam = captioner, bundle, beam_size
        self._names = captioner.config.stream_names
        self.hierarchy = hierarchy or Hierarchy()

    @property
    def row_width(self) -> int:
        """D: the streams side by side."""
        return sum(width for _, width in self._captioner.config.streams)

    @property
    def fingerprint(self) -> str:
        """sha256 of settings, weights and encoder."""
        about = f"{self._beam} {self._bundle.fingerprint} {fingerprint_of(self._captioner)}"
        return hashlib.sha256(about.encode()).hexdigest()

    @property
    def frame_plan(self) -> FramePlan:
        """That of the encoder."""
        return self._bundle.plan

    @property
    def plans(self) -> tuple[str, ...]:
        """Those of the encoder."""
        return self._bundle.plans

    @property
    def max_side(self) -> int:
        """That of the encoder."""
        return self._bundle.max_side

    def encode_clips(
        self, clips: Sequence[Mapping[str, NDArray[np.uint8]]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Dense float32 (n, P, D) and rows float32 (n, D), their means over positions."""
        streams = self._bundle.encode_batch(clips)
        dense = np.stack([np.concatenate([one[name] for name in self._names], axis=1) for one in streams])
        return dense, dense.mean(axis=1)

    def caption_clips(self, dense: NDArray[np.float32]) -> list[str]:
        """The best caption of each clip."""
        captions = self._captioner.generate(dense.mean(axis=1), beam_size=self._beam)
        return [best[0].text for best in captions]

    def describe(self, level: str, rows: Sequence[NDArray[np.float32]], texts: Sequence[Sequence[str]]) -> list[str]:
        """Refused: a plain captioner tells clips only."""
        raise ConfigError(f"a plain captioner tells clips only, no {level}", remedy="use a captioner of `glrg recap`")


def fingerprint_of(captioner: VideoCaptioner) -> str:
    """sha256 of all that the captions of given features depend on: settings, words, weights, what decoding reads."""
    settings = [to_dict(captioner.config), to_dict(captioner.decoding), captioner.vocabulary.tokenizer]
    total = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    total.update("\n".join(captioner.vocabulary.words).encode())
    arrays = dict(captioner.model.get_weights())
    for name, read in (("ngrams", captioner.ngram_weights), ("content", captioner.content_prior)):
        if read is not None:
            arrays |= {f"{name}/{field.name}": getattr(read, field.name) for field in dataclasses.fields(read)}
    for name, array in arrays.items():
        total.update(f" {name} {array.shape} ".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
