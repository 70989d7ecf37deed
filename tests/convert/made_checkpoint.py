"""Small checkpoints in the release's layout, with random weights."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.io.torch_files import Bytes2, Namespace, write_legacy, write_zip

SPECIALS = ("<end>", "<start>", "<unk>")


def checkpoint_tensors(
    words: int = 20,
    embedding: int = 8,
    pool: int = 6,
    hidden: int = 7,
    features: int = 1700,
    seed: int = 0,
    spread: float = 1.0,
) -> dict[str, np.ndarray]:
    """The seven tensors, float32; `spread` widens the logits so that captions end at different lengths."""
    rng = np.random.default_rng(seed)

    def uniform(*shape: int, bound: float = 0.3) -> np.ndarray:
        return rng.uniform(-bound, bound, shape).astype(np.float32)

    return {
        "embed.weight": uniform(words, embedding, bound=1.0),
        "logit.weight": uniform(words, hidden, bound=0.3 * spread),
        "logit.bias": uniform(words),
        "feat_pool.feat_list.0.0.weight": uniform(pool, features),
        "feat_pool.feat_list.0.0.bias": uniform(pool),
        "core.rnn.weight_ih_l0": uniform(4 * hidden, embedding + pool, bound=1.0),
        "core.rnn.weight_hh_l0": uniform(4 * hidden, hidden, bound=1.0),
    }


def vocabulary(size: int) -> list[str]:
    """`size` words, the special ones first."""
    return [*SPECIALS, *(f"word{i}" for i in range(size - len(SPECIALS)))]


def checkpoint(tensors: Mapping[str, np.ndarray], **options: Any) -> dict[str, Any]:
    """The content of a `model.pth`; `options` change or add settings (None removes one)."""
    words = vocabulary(len(tensors["embed.weight"]))
    settings: dict[str, Any] = {
        "model_type": Bytes2(b"concat"),
        "vocab": {i: Bytes2(word.encode()) for i, word in enumerate(words)},
        "vocab_size": len(words),
        "seq_length": 30,
        "feat_dims": [tensors["feat_pool.feat_list.0.0.weight"].shape[-1]],
        "drop_prob_lm": 0.5,
    }
    settings = {key: value for key, value in {**settings, **options}.items() if value is not None}
    return {"model": dict(tensors), "infos": {"epoch": 3, "best_score": 0.25}, "opt": Namespace(settings)}


def write_checkpoint(
    folder: pathlib.Path, tensors: Mapping[str, np.ndarray], *, zipped: bool = False, **options: Any
) -> None:
    """Writes `model.pth` and `vocab.json`."""
    write = write_zip if zipped else write_legacy
    write(folder / "model.pth", checkpoint(tensors, **options))
    words = vocabulary(len(tensors["embed.weight"]))
    (folder / "vocab.json").write_text(json.dumps(words), "utf-8")
