"""A plain GL-RG captioner with its encoder as the captioner of clips: level 1 only."""

from __future__ import annotations

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

_OVERSIZE = 2  # frames are shrunk while decoding to at most this many times the largest input side


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
        settings = [to_dict(self._captioner.config), to_dict(self._captioner.decoding), self._beam]
        total = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        total.update(self._bundle.fingerprint.encode())
        total.update("\n".join(self._captioner.vocabulary.words).encode())
        for name, array in self._captioner.model.get_weights().items():
            total.update(f" {name} {array.shape} ".encode())
            total.update(np.ascontiguousarray(array).tobytes())
        return total.hexdigest()

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
        """Pixels."""
        return _OVERSIZE * max(side for stream in self._bundle.streams.values() for side in stream.spec.input_size)

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
