"""Sizes of a Video ReCap network, and the two presets: `nano`, trained here in minutes, and `paper`."""

from __future__ import annotations

import dataclasses
from typing import Literal

from glrg_tf.errors import ConfigError
from glrg_tf.recap.hierarchy import CLIP, LEVELS

Sampling = Literal["masking", "uniform", "mean"]
TextReader = Literal["queries", "words"]
Inputs = Literal["both", "video", "text"]
Trainable = Literal["all", "paper"]
_MOST = 2**20


@dataclasses.dataclass(frozen=True)
class RecapConfig:
    """One network: it serves one level, or all of them (the unified model).

    Raises:
        ConfigError: sizes that no network can have.
    """

    vocabulary_size: int = 4  # words, special ones included
    dense_width: int = 0  # of a token of a clip; 0: no clips are read
    row_width: int = 0  # of a row, one a clip; 0: no rows are read
    width: int = 96  # of every layer
    heads: int = 4  # of every attention
    mapper_layers: int = 2  # of the alignment
    cross_every: int = 1  # the alignment looks at its input in layers 0, cross_every, 2·cross_every, …
    decoder_layers: int = 2  # of the text decoder
    video_queries: int = 16  # learned queries that read features
    text_blocks: int = 2  # of the decoder's blocks that lower texts pass before the alignment; 0: bare embeddings
    text_queries: int = 16  # learned queries that read the texts below; 0: no texts are read
    text_reader: TextReader = "queries"  # "words": the decoder looks at the words below themselves, without queries
    text_places: int = 64  # lower texts told apart by their number; later ones count as the last ("words" alone)
    separator: int = 3  # id between lower texts; filled in
    positions: int = 512  # the longest text, in tokens
    max_clip_tokens: int = 64  # tokens of a clip
    max_rows: int = 128  # rows that are read at once: more are sampled
    max_text: int = 512  # tokens of lower texts that are read at once: more are sampled, whole texts at a time
    max_words: tuple[int, int, int] = (20, 40, 60)  # the longest outputs of the three levels, in tokens
    sampling: Sampling = "masking"  # how rows are brought to `max_rows`
    inputs: Inputs = "both"  # what levels 2 and 3 read; clips always read features
    project_inputs: bool = True  # a linear map and learned places before the alignment; False: features as they are
    shared_mapper: bool = False  # one alignment for features and texts
    dropout: float = 0.1  # while training
    trainable: Trainable = "all"  # "paper": cross-attention, gates and the decoder's LayerNorms only

    def __post_init__(self) -> None:
        """Refuses sizes that do not fit together."""
        counts = ("vocabulary_size", "width", "heads", "mapper_layers", "cross_every", "decoder_layers", "positions")
        for name in (*counts, "video_queries", "text_places", "max_clip_tokens", "max_rows", "max_text"):
            if not 1 <= getattr(self, name) <= _MOST:
                raise ConfigError(f"{name} must lie in 1..{_MOST}, found {getattr(self, name)}", where=name)
        for name in ("dense_width", "row_width", "text_blocks", "text_queries"):
            if not 0 <= getattr(self, name) <= _MOST:
                raise ConfigError(f"{name} must lie in 0..{_MOST}, found {getattr(self, name)}", where=name)
        if self.width % self.heads:
            raise ConfigError(f"a width of {self.width} does not divide into {self.heads} heads", where="heads")
        if max(self.max_words) + 1 > self.positions or self.max_text > self.positions or min(self.max_words) < 1:
            raise ConfigError("texts are longer than the decoder's positions", where="positions")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"dropout must lie in 0..1, found {self.dropout}", where="dropout")
        if not self.project_inputs and {self.dense_width, self.row_width} - {0, self.width}:
            raise ConfigError("features as they are must be as wide as the network", where="project_inputs")

    def words(self, level: str) -> int:
        """The longest output of a level, in tokens."""
        return self.max_words[LEVELS.index(level)]

    def reads_video(self, level: str) -> bool:
        """Whether features take part at a level."""
        return self.dense_width > 0 if level == CLIP else self.inputs != "text" and self.row_width > 0

    def reads_text(self, level: str) -> bool:
        """Whether the texts below take part at a level."""
        return level != CLIP and self.has_text

    @property
    def has_video(self) -> bool:
        """Whether features take part at any level."""
        return self.dense_width > 0 or (self.row_width > 0 and self.inputs != "text")

    @property
    def has_text(self) -> bool:
        """Whether the texts below take part at any level."""
        return self.text_queries > 0 and self.inputs != "video"


NANO = RecapConfig(text_reader="words")
# Published shapes (fact sheet, sections 4-7): GPT-2 small, an alignment of twelve layers that looks in every other one.
PAPER = RecapConfig(
    vocabulary_size=50257,
    dense_width=768,
    row_width=768,
    width=768,
    heads=12,
    mapper_layers=12,
    cross_every=2,
    decoder_layers=12,
    video_queries=256,
    text_blocks=0,
    text_queries=256,
    positions=1024,
    max_clip_tokens=785,
    max_rows=512,
    max_text=512,
    max_words=(77, 77, 120),
    project_inputs=False,
    trainable="paper",
)
PRESETS = {"nano": NANO, "paper": PAPER}


def preset(name: str) -> RecapConfig:
    """The sizes called `name`.

    Raises:
        ConfigError: there is no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(f"there is no preset '{name}'", where="preset", remedy="one of " + ", ".join(PRESETS))
    return PRESETS[name]


def paper_level(level: str) -> RecapConfig:
    """The published network of one level: the queries of the fact sheet's section 7."""
    queries = {"clip": (256, 0), "segment": (32, 256), "video": (256, 256)}[level]
    return dataclasses.replace(PAPER, video_queries=queries[0], text_queries=queries[1])
