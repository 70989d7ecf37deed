"""One network of the recursive captioner: features and lower texts in, aligned queries, a gated decoder's words out.

Matches Video ReCap (arXiv 2402.13250; fact sheet video-recap, sections 4-7) except, because the reference's own code
defeats its purpose there (section 14):
(a) the alignment is started properly and trained (the reference's BERT weights never load: random and frozen);
(b) labels outside a text are -1 and the loss is the mean over tokens (the reference pads with a word, "!", which is so
    never learned, and divides by padding: training/recap_steps.py);
(c) a separator stands between lower texts, and where they are too many whole texts are left out evenly over time (the
    reference joins captions without any, and cuts off the end);
(d) rows have learned places: without them no summary could know what came first (`project_inputs=False`: none);
(e) rows are sampled in whole numbers (the reference's "uniform" returns a row too many for some lengths);
(f) lower texts pass the decoder's own blocks, as a plain language model, before the alignment: bare embeddings do not
    tell which colour belongs to whom (`text_blocks=0`: the reference's);
(g) with `text_reader="words"` (`nano`) lower texts are not squeezed through queries: the decoder looks at their words,
    which have the learned place of their text among the texts (`text_places`). Sixteen queries did not learn to tell
    what came first, from 4,000 stories (docs/recap.md); "queries": the reference's;
(h) the last word of the longest text of a batch is kept (decoding.py).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from glrg_tf.errors import CheckpointError, ConfigError
from glrg_tf.recap.alignment import Alignment
from glrg_tf.recap.gated_decoder import GatedDecoder
from glrg_tf.recap.hierarchy import CLIP
from glrg_tf.recap.sampling import resize_queries
from glrg_tf.recap.settings import RecapConfig


class Rows(keras.layers.Layer):
    """Features to the network's width, with learned places."""

    def __init__(self, source: int, width: int, places: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source, self.count, self.width = source, places, width
        self.map = keras.layers.Dense(width, name="map")

    def build(self, shape: Any) -> None:
        """Makes the map and the places."""
        self.map.build((None, None, self.source))
        self.places = self.add_weight(shape=(self.count, self.width), initializer="zeros", name="places")
        self.built = True

    def call(self, features: Any) -> Any:
        """(B, S, D) -> (B, S, W)."""
        return self.map(features) + self.places[None, : ops.shape(features)[1]]


class LowerWords(keras.layers.Layer):
    """Words of lower texts as the decoder looks at them: with the place of their text among the texts, normalised."""

    def __init__(self, width: int, texts: int, separator: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.texts, self.separator = width, texts, separator
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")

    def build(self, *_: Any) -> None:
        """Makes the places and the LayerNorm."""
        self.norm.build((None, None, self.width))
        self.places = self.add_weight(shape=(self.texts, self.width), initializer="zeros", name="places")
        self.built = True

    def call(self, words: Any, token_ids: Any) -> Any:
        """Words (B, T, W) of the ids int32 (B, T) -> (B, T, W); a separator counts with the text that it begins."""
        number = ops.cumsum(ops.cast(token_ids == self.separator, "int32"), axis=1)
        return self.norm(words + ops.take(self.places, ops.minimum(number, self.texts - 1), axis=0))

    def compute_output_shape(self, shape: Any, *_: Any) -> Any:
        """As the first input."""
        return shape


class RecapNetwork:
    """The parameters of one level, or of all levels (unified), and the functional models over them.

    Args:
        config: sizes.
        seed: of the first weights.

    Attributes:
        video_mapper: functional model, context (B, S, W) and seen (B, S) -> queries; None without features.
        text_mapper: the same for lower texts; None without them, and where the decoder looks at their words.
        decoder: functional model, tokens (B, T), conditioning (B, n, W), heard (B, n) -> logits (B, T, V).
        language_model: the decoder's blocks alone.
    """

    def __init__(self, config: RecapConfig, seed: int = 1) -> None:
        self.config = config
        self.layers = GatedDecoder(config)
        self.decoder = self.layers.model()
        self.language_model = self.layers.language_model()
        self._rows: dict[str, Rows] = {}
        self._words: LowerWords | None = None
        if config.project_inputs and config.dense_width:
            self._rows["clip"] = Rows(config.dense_width, config.width, config.max_clip_tokens, name="clip_input")
        if config.project_inputs and config.row_width and config.inputs != "text":
            self._rows["rows"] = Rows(config.row_width, config.width, config.max_rows, name="row_input")
        video, text = config.has_video, config.has_text
        if not video and not text:
            raise ConfigError("a network that reads neither features nor texts", where="inputs")
        if text and config.text_reader == "words":
            self._words = LowerWords(config.width, config.text_places, config.separator, name="text_input")
            self._words.build()
            text = False  # no queries
        aligned = Alignment(config, "video" if video else "text")
        self.video_mapper = aligned.model("video", config.video_queries) if video else None
        if text and video and not config.shared_mapper:
            aligned = Alignment(config, "text")
        self.text_mapper = aligned.model("text", config.text_queries) if text else None
        self._conditioning: dict[str, keras.Model] = {}
        self._training: dict[str, keras.Model] = {}
        for rows in self._rows.values():
            rows.build((None, None, rows.source))
        self._initialise(seed)
        if config.trainable == "paper":
            self._freeze()

    # === Functional models ===
    def conditioning(self, level: str) -> keras.Model:
        """Inputs of a level -> Z float32 (B, n, W), and float32 (B, n), 1 where it holds something.

        Z is the features' queries, then the texts', or the texts' words.

        Inputs by name, those that the level reads: `features` float32 (B, S, D) and `seen` float32 (B, S), 1 where
        there is a row; `text_ids` int32 (B, T), -1 where there is no word.

        Raises:
            ConfigError: the network cannot read what the level has.
        """
        if level not in self._conditioning:
            inputs: dict[str, Any] = {}
            parts, heard = [], []
            if self.config.reads_video(level):
                width = self.config.dense_width if level == CLIP else self.config.row_width
                inputs["features"] = keras.Input((None, width), name="features")
                inputs["seen"] = keras.Input((None,), name="seen")
                rows = self._rows.get("clip" if level == CLIP else "rows")
                context = rows(inputs["features"]) if rows is not None else inputs["features"]
                parts.append(self.video_mapper([context, inputs["seen"]]))
                heard.append(ops.ones_like(parts[-1][:, :, 0]))
            if self.config.reads_text(level):
                inputs["text_ids"] = keras.Input((None,), dtype="int32", name="text_ids")
                context = self.layers.embedding(inputs["text_ids"])
                for block in self.layers.blocks[: self.config.text_blocks]:
                    context = block(context)
                seen = ops.cast(inputs["text_ids"] >= 0, "float32")
                if self._words is not None:
                    parts.append(self._words(context, inputs["text_ids"]))
                    heard.append(seen)
                else:
                    parts.append(self.text_mapper([context, seen]))
                    heard.append(ops.ones_like(parts[-1][:, :, 0]))
            if not parts:
                raise ConfigError(f"this network reads nothing at level '{level}'", where=level)
            joined = [found[0] if len(found) == 1 else ops.concatenate(found, axis=1) for found in (parts, heard)]
            self._conditioning[level] = keras.Model(inputs, joined, name=f"{level}_conditioning")
        return self._conditioning[level]

    def training_model(self, level: str) -> keras.Model:
        """Inputs of a level and `token_ids` int32 (B, T) -> logits float32 (B, T, V)."""
        if level not in self._training:
            conditioning = self.conditioning(level)
            tokens = keras.Input((None,), dtype="int32", name="token_ids")
            logits = self.decoder([tokens, *conditioning.output])
            self._training[level] = keras.Model(conditioning.input | {"token_ids": tokens}, logits, name=level)
        return self._training[level]

    # === Weights ===
    @property
    def variables(self) -> dict[str, keras.Variable]:
        """Every weight by name, "part/place", the same for the same config."""
        found: dict[str, keras.Variable] = {}
        parts = [*self._rows.values(), self.video_mapper, self.text_mapper, self._words, self.decoder]
        for part in parts:
            for variable in part.weights if part is not None else ():
                if not str(variable.dtype).startswith("float"):
                    continue  # the state of random numbers
                head, _, rest = variable.path.partition("/")
                found[f"{head}/{rest.replace('/', '.')}"] = variable
        return found

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """What training moves."""
        return [variable for variable in self.variables.values() if variable.trainable]

    @property
    def random_states(self) -> list[keras.Variable]:
        """The states of dropout's random numbers."""
        parts = [part for part in (self.video_mapper, self.text_mapper, self.decoder) if part is not None]
        states = {id(v): v for part in parts for v in part.variables if not str(v.dtype).startswith("float")}
        return list(states.values())

    def get_weights(self) -> dict[str, np.ndarray]:
        """Every weight by name."""
        return {name: np.asarray(variable.value, np.float32) for name, variable in self.variables.items()}

    def set_weights(self, values: Mapping[str, np.ndarray]) -> None:
        """Sets every weight, or none.

        Raises:
            CheckpointError: weights missing, of another shape, or not finite.
        """
        wanted = self.variables
        for name, variable in wanted.items():
            value = values.get(name)
            if value is None or tuple(value.shape) != tuple(variable.shape):
                found = "missing" if value is None else f"of shape {tuple(value.shape)}"
                what = f"weight '{name}' is {found}, the network wants {tuple(variable.shape)}"
                raise CheckpointError(what, remedy="the weights belong to a network of other sizes")
            if not np.isfinite(value).all():
                raise CheckpointError(f"weight '{name}' has values that are not finite", remedy="train again")
        for name, variable in wanted.items():
            variable.assign(values[name])

    def start_from(self, other: RecapNetwork) -> list[str]:
        """Takes over what another network has: the next stage of the curriculum. Returns the names that stay new.

        Learned queries of another number are resized as the reference resizes them.
        """
        values, new = other.get_weights(), []
        for name, variable in self.variables.items():
            value = values.get(name)
            if value is not None and name.endswith("queries") and value.shape[1] == variable.shape[1]:
                value = resize_queries(value, variable.shape[0])
            if value is None or tuple(value.shape) != tuple(variable.shape):
                new.append(name)
            else:
                variable.assign(value)
        return new

    def count(self) -> int:
        """Number of parameters."""
        return sum(int(np.prod(variable.shape)) for variable in self.variables.values())

    def _initialise(self, seed: int) -> None:
        """Random weights as a function of the seed and the weight's name alone."""
        width = self.config.width
        usual = 0.02 * (768 / width) ** 0.5  # GPT-2's and BERT's at their width; the same signal at others
        deviations = {"kernel": usual, "words": usual, "places": 0.5 * usual, "queries": width**-0.5}
        for name, variable in self.variables.items():
            deviation = deviations.get(name.rpartition("/")[2].rpartition(".")[2])
            if name == "text_input/places":
                deviation = usual  # as loud as the words: what came first is learned late otherwise
            if name.endswith("map.kernel"):
                deviation = (2.0 / sum(variable.shape)) ** 0.5
            if deviation is not None:
                rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
                variable.assign(rng.normal(0.0, deviation, variable.shape).astype(np.float32))

    def _freeze(self) -> None:
        """Leaves trainable what the paper trains: cross-attention, gates, queries, inputs, GPT-2's ln_1 and ln_2."""
        for name, variable in self.variables.items():
            part, _, place = name.partition("/")
            gated = part.startswith("gated_") or part.endswith(("_queries", "_input"))
            crossing = not part.startswith(("block_", "gated_")) and (".cross." in f".{place}" or "norm_cross" in place)
            norms = part.startswith("block_") and place.startswith("norm_")
            variable.trainable = gated or crossing or norms
