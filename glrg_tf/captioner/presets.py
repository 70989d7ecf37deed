"""Settings of a captioner and the named sizes it comes in."""

from __future__ import annotations

import dataclasses
from typing import Literal

from glrg_tf.errors import ConfigError

# Modules with `NAMES` and `resolve(name) -> captioner folder`. Named, not imported: the zoo converts foreign
# checkpoints into captioners, so it stands below this room.
PRESET_PROVIDERS = ("glrg_tf.captioner.shipped_presets", "glrg_tf.convert.zoo_presets")

RELEASE_STREAMS = (("long_range", 300), ("short_range", 400), ("keyframe", 1000))


@dataclasses.dataclass(frozen=True)
class CaptionerConfig:
    """Shape of a GL-RG captioner (specs of the release: one LSTM layer of 512, no bias)."""

    vocabulary_size: int = 0  # V, specials included; 0 until a vocabulary is known
    streams: tuple[tuple[str, int], ...] = RELEASE_STREAMS  # name and width of each vocabulary, in column order
    feature_pool: Literal["joint", "per_stream"] = "joint"  # one map (release) or one a stream, concatenated (eq. 4)
    pool_size: int = 512  # width of each linear map of the feature pool
    embedding_size: int = 512  # word embedding width E
    hidden_size: int = 512  # LSTM width H
    dropout: float = 0.5  # on the video embedding and on the LSTM output, training only
    max_length: int = 30  # label positions: <start>, words, <end>
    feature_map: Literal["identity", "root"] = "identity"  # "root": square roots of the probabilities (feature_pool.py)

    def __post_init__(self) -> None:
        """Refuses sizes no model can have."""
        for name in ("pool_size", "embedding_size", "hidden_size"):
            if not 1 <= getattr(self, name) <= 65536:
                raise ConfigError(f"{name} must lie in 1..65536", where=f"model.{name}")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigError("dropout must lie in [0, 1)", where="model.dropout")
        if not 3 <= self.max_length <= 512:
            raise ConfigError("max_length must lie in 3..512", where="model.max_length")
        if not self.streams or len({name for name, _ in self.streams}) != len(self.streams):
            raise ConfigError("streams need distinct names, at least one", where="model.streams")
        if any(width < 1 for _, width in self.streams):
            raise ConfigError("every stream needs a positive width", where="model.streams")

    @property
    def feature_size(self) -> int:
        """D, the sum of the stream widths."""
        return sum(width for _, width in self.streams)

    @property
    def stream_names(self) -> tuple[str, ...]:
        """The stream names in column order."""
        return tuple(name for name, _ in self.streams)
