"""What the benchmarks run on: videos, captions, consensus scores and weights, at any vocabulary size.

Real material is 347 MSR-VTT videos with the GL-RG release's features and 20 captions each, and weights the original
code trained on them, read from `$GLRG_SHARED` (or `../shared` beside the repository). Elsewhere captions are made up
with the same lengths and the same habit of beginning alike; the rows say which was used.

The real vocabulary has 1,944 words. For a larger one the words are spread over all ids and every other id becomes a
rarer twin of a real word (its weights, a log-probability 3 lower), so that a trained model samples as one of that size
would, from a long tail.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np

CAPTIONS = 20
LABEL_LENGTH = 30
FEATURE_WIDTH = 1700
MADE_VIDEOS = 347
_SAMPLE = Path("data/glrg_release_sample")
_FIRST_WORD = 3  # ids below are <end>, <start>, <unk>
_TWIN_LOG_PROB = -3.0


@dataclasses.dataclass(frozen=True)
class Material:
    """Videos and what belongs to them, row by row. M videos, G = 20 captions, V words.

    Attributes:
        source: "msrvtt" (real) or "made".
        vocabulary: V.
        features: float32 (M, 1700).
        token_ids: int32 (M, G, 30) label rows: <start>, words, zeros.
        consensus: float32 (M, G), the captions' leave-one-out CIDEr.
        weights: trained weights by `layer/variable`; None where none are at hand.
    """

    source: str
    vocabulary: int
    features: np.ndarray
    token_ids: np.ndarray
    consensus: np.ndarray
    weights: dict[str, np.ndarray] | None = None

    def rows(self, videos: int, seed: int = 0) -> np.ndarray:
        """Rows of `videos` videos, int32, drawn without repetition while there are enough."""
        order = np.random.default_rng(seed).permutation(len(self.features)).astype(np.int32)
        return np.resize(order, videos)

    def references(self) -> list[list[list[int]]]:
        """Word ids of every caption of every video, without <start> and <end>."""
        return [[[int(w) for w in row[1:] if w > 0] for row in video] for video in self.token_ids]


def shared_folder() -> Path:
    """Where the sample data is looked for."""
    return Path(os.environ.get("GLRG_SHARED") or Path(__file__).resolve().parents[2] / "shared")


def find(vocabulary: int, seed: int = 0) -> Material:
    """Real material where it is at hand, else made-up material (without weights)."""
    real = shared_folder() / _SAMPLE
    material = _read_release(real) if real.is_dir() else make(min(vocabulary, 1944), seed=seed)
    return relabel(material, vocabulary, seed)


def save(material: Material, path: Path) -> None:
    """Writes everything to one .npz file: arrays by name, weights as `weights/<name>`.

    Other programs that are to do the same work (`--peer`) read it too.
    """
    values = dataclasses.asdict(material)
    weights = values.pop("weights") or {}
    np.savez(path, **values, **{f"weights/{name}": value for name, value in weights.items()})


def load(path: Path) -> Material:
    """Reads what `save` wrote."""
    with np.load(path, allow_pickle=False) as file:
        values = {name: file[name] for name in file.files}
    weights = {name.removeprefix("weights/"): values.pop(name) for name in list(values) if name.startswith("weights/")}
    scalars = {"source": str(values.pop("source")), "vocabulary": int(values.pop("vocabulary"))}
    return Material(**scalars, **values, weights=weights or None)


def relabel(material: Material, vocabulary: int, seed: int = 0) -> Material:
    """Spreads the words of `material` over `vocabulary` ids; the rest become rarer twins of random words.

    Raises:
        ConfigError: `vocabulary` is smaller than the material's own.
    """
    from glrg_tf.errors import ConfigError

    own = material.vocabulary
    if vocabulary < own:
        raise ConfigError(f"the captions use {own} words", where="--vocabulary", remedy=f"choose {own} or more")
    generator = np.random.default_rng(seed)
    specials = np.arange(_FIRST_WORD)
    new_ids = np.concatenate([specials, _FIRST_WORD + generator.permutation(vocabulary - _FIRST_WORD)]).astype(np.int32)
    twins = generator.integers(_FIRST_WORD, own, vocabulary - own)
    origin = np.empty(vocabulary, np.int32)  # which original word each new id takes its weights from
    origin[new_ids] = np.concatenate([np.arange(own), twins])
    is_twin = np.zeros(vocabulary, bool)
    is_twin[new_ids[own:]] = True
    weights = material.weights
    if weights is not None:
        weights = dict(weights)
        weights["word_embedding/embeddings"] = weights["word_embedding/embeddings"][origin]
        weights["logits/kernel"] = np.ascontiguousarray(weights["logits/kernel"][:, origin])
        bias = weights["logits/bias"][origin] + _TWIN_LOG_PROB * is_twin
        weights["logits/bias"] = bias.astype(np.float32)
    token_ids = new_ids[material.token_ids]
    return dataclasses.replace(material, vocabulary=vocabulary, token_ids=token_ids, weights=weights)


def make(vocabulary: int, videos: int = MADE_VIDEOS, seed: int = 0) -> Material:
    """Made-up material: captions 9.2 words long on average (1 to 28) that begin alike as people's do.

    The captions of a video grow as a tree: at each word a caption follows an earlier one that has the same beginning
    or, with a probability that grows along the caption, takes a new word from a Zipf distribution. About 0.73 of the
    (video, prefix) positions are distinct, as in MSR-VTT.
    """
    generator = np.random.default_rng(seed)
    ranks = np.arange(1, vocabulary - _FIRST_WORD + 1)
    frequencies = (1.0 / ranks) / (1.0 / ranks).sum()
    token_ids = np.zeros((videos, CAPTIONS, LABEL_LENGTH), np.int32)
    token_ids[:, :, 0] = 1
    lengths = np.clip(np.rint(generator.lognormal(2.13, 0.42, (videos, CAPTIONS))), 1, LABEL_LENGTH - 2).astype(int)
    for video in range(videos):
        words = _FIRST_WORD + generator.choice(len(ranks), (CAPTIONS, LABEL_LENGTH), p=frequencies)
        children: dict[tuple[int, ...], list[int]] = {}
        for caption in range(CAPTIONS):
            prefix: tuple[int, ...] = ()
            for position in range(lengths[video, caption]):
                known = children.setdefault(prefix, [])
                novelty = (3.3, 1.3, 1.6)[min(position, 2)]
                is_new = generator.random() < novelty / (novelty + len(known))
                word = int(words[caption, position]) if is_new else known[generator.integers(len(known))]
                known.append(word)
                prefix = (*prefix, word)
            token_ids[video, caption, 1 : 1 + len(prefix)] = prefix
    features = generator.random((videos, FEATURE_WIDTH), np.float32) ** 8
    consensus = generator.gamma(1.5, 0.34, (videos, CAPTIONS)).astype(np.float32)
    return Material("made", vocabulary, features, token_ids, consensus, None)


def _read_release(folder: Path) -> Material:
    from glrg_tf.convert import glrg_checkpoint
    from glrg_tf.io import foreign, hdf5

    metadata = folder / "data/metadata"
    with hdf5.open_file(metadata / "msrvtt_train_sequencelabel.h5") as file:
        labels = hdf5.read_array(hdf5.dataset(file, "labels", kinds="i", ndim=2)).astype(np.int32)
        vocabulary = len(hdf5.dataset(file, "vocab"))
    with hdf5.open_file(folder / "data/feature/msrvtt_train_gl_feats.h5") as file:
        features = hdf5.read_array(hdf5.dataset(file, "feats", kinds="f", ndim=2)).astype(np.float32)
    scores = np.asarray(foreign.read_pickle(metadata / "msrvtt_train_evalscores.pkl")["CIDEr"], np.float32)
    checkpoint = glrg_checkpoint.read_checkpoint(folder / "model/GL-RG_XE_msrvtt/model.pth")
    token_ids = labels.reshape(len(features), CAPTIONS, LABEL_LENGTH)
    weights = glrg_checkpoint.to_weights(checkpoint.tensors)
    return Material("msrvtt", vocabulary, features, token_ids, scores, weights)
