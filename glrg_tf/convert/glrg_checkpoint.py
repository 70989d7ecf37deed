"""An original GL-RG checkpoint (`model.pth` of the release) as a captioner, without PyTorch.

The file is `{"model": seven tensors, "infos": ..., "opt": Namespace}`. All seven tensors are wanted and no other; their
shapes must agree with each other and with `opt`. PyTorch's gate blocks are i, f, g, o and ours i, f, c, o: the same
order, so nothing is permuted; linear layers are transposed; the visual half of the LSTM's input weight becomes a
layer of its own (`video_gates`), because the video's part of the gates is computed once a video.

Reference: GL-RG `model.py`, class `CaptionModel`, model type "concat"; `test.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from glrg_tf.errors import CheckpointError
from glrg_tf.io.atomic import sha256_file
from glrg_tf.io.foreign_torch import read_torch

MAX_FILE_BYTES = 192 << 20  # the largest released model has 15 million parameters, 60 MB
EMBED, LOGIT, LOGIT_BIAS = "embed.weight", "logit.weight", "logit.bias"
POOL, POOL_BIAS = "feat_pool.feat_list.0.0.weight", "feat_pool.feat_list.0.0.bias"
INPUT, RECURRENT = "core.rnn.weight_ih_l0", "core.rnn.weight_hh_l0"

# PyTorch key -> axes; V words, E embedding, P pool, D features, H hidden.
AXES: dict[str, tuple[str, ...]] = {
    EMBED: ("V", "E"),
    LOGIT: ("V", "H"),
    LOGIT_BIAS: ("V",),
    POOL: ("P", "D"),
    POOL_BIAS: ("P",),
    INPUT: ("4H", "E+P"),
    RECURRENT: ("4H", "H"),
}
# Our name -> (PyTorch key, what happens to it).
PLACEMENT: dict[str, tuple[str, str]] = {
    "feature_pool/kernel": (POOL, "transposed"),
    "feature_pool/bias": (POOL_BIAS, "as is"),
    "video_gates/kernel": (INPUT, "columns E.., transposed"),
    "word_embedding/embeddings": (EMBED, "as is"),
    "lstm/word_kernel": (INPUT, "columns ..E, transposed"),
    "lstm/recurrent_kernel": (RECURRENT, "transposed"),
    "logits/kernel": (LOGIT, "transposed"),
    "logits/bias": (LOGIT_BIAS, "as is"),
}
STREAMS_BY_WIDTH = {
    1700: (("long_range", 300), ("short_range", 400), ("keyframe", 1000)),
    1300: (("long_range", 300), ("keyframe", 1000)),  # the review copy's MSVD features have no Kinetics block
}


@dataclass(frozen=True)
class ReleaseCheckpoint:
    """What an original checkpoint holds.

    Attributes:
        tensors: the seven tensors by PyTorch key, float32.
        sizes: V, E, P, D and H.
        words: the vocabulary stored in `opt`, if it is there.
        settings: plain numbers and text of `opt`.
        history: plain numbers and text of `infos` (epoch, best score).
        sha256: of the file.
    """

    tensors: dict[str, np.ndarray]
    sizes: dict[str, int]
    words: tuple[str, ...] | None
    settings: dict[str, Any]
    history: dict[str, Any]
    sha256: str


def read_checkpoint(path: str | os.PathLike[str]) -> ReleaseCheckpoint:
    """Reads and checks an original checkpoint.

    Raises:
        CheckpointError: not a torch file, hostile, partial, or not a GL-RG captioner.
    """
    content = read_torch(path, max_bytes=MAX_FILE_BYTES)
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise CheckpointError("the file holds no 'model'", where=path, remedy="pass the model.pth of a GL-RG release")
    tensors = {str(key): value for key, value in content["model"].items()}
    sizes = _check_tensors(tensors, path)
    options = content.get("opt") if isinstance(content.get("opt"), dict) else {}
    infos = content.get("infos") if isinstance(content.get("infos"), dict) else {}
    _check_options(options, sizes, path)
    return ReleaseCheckpoint(
        tensors={key: np.ascontiguousarray(tensors[key], np.float32) for key in AXES},
        sizes=sizes,
        words=_words(options.get("vocab"), path),
        settings=_plain(options),
        history=_plain(infos),
        sha256=sha256_file(path),
    )


def to_weights(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Places the seven tensors into our eight weights (see `PLACEMENT`)."""
    width = tensors[EMBED].shape[1]
    input_kernel = tensors[INPUT].T  # (E + P, 4H)
    weights = {
        "feature_pool/kernel": tensors[POOL].T,
        "feature_pool/bias": tensors[POOL_BIAS],
        "video_gates/kernel": input_kernel[width:],
        "word_embedding/embeddings": tensors[EMBED],
        "lstm/word_kernel": input_kernel[:width],
        "lstm/recurrent_kernel": tensors[RECURRENT].T,
        "logits/kernel": tensors[LOGIT].T,
        "logits/bias": tensors[LOGIT_BIAS],
    }
    return {name: np.ascontiguousarray(value) for name, value in weights.items()}


def check_vocabulary(checkpoint: ReleaseCheckpoint, words: tuple[str, ...], where: object) -> None:
    """Refuses a vocabulary that is not the one the checkpoint was trained with.

    Every split of the release has a vocabulary of its own, in an order that cannot be rebuilt.

    Raises:
        CheckpointError: another size, or another word somewhere.
    """
    remedy = "pass the vocabulary of the train split (…_train_vocab.json or …_train_sequencelabel.h5)"
    if len(words) != checkpoint.sizes["V"]:
        what = f"the checkpoint has {checkpoint.sizes['V']} words, the vocabulary {len(words)}"
        raise CheckpointError(what, where=where, remedy=remedy)
    if checkpoint.words is None:
        return
    for index, (ours, theirs) in enumerate(zip(words, checkpoint.words, strict=True)):
        if ours != theirs:
            what = f"word {index} is {theirs[:40]!r} in the checkpoint and {ours[:40]!r} in the vocabulary"
            raise CheckpointError(what, where=where, remedy=remedy)


def _check_tensors(tensors: Mapping[str, Any], path: object) -> dict[str, int]:
    missing, unknown = [k for k in AXES if k not in tensors], sorted(k[:60] for k in tensors if k not in AXES)
    if missing or unknown:
        lists = [
            f"{name}: {', '.join(keys[:8])}" for name, keys in (("missing", missing), ("unknown", unknown)) if keys
        ]
        remedy = "only models of type 'concat' with one feature file and one layer are GL-RG captioners"
        raise CheckpointError(f"not the seven tensors of GL-RG; {'; '.join(lists)}", where=path, remedy=remedy)
    for key, axes in AXES.items():
        value = tensors[key]
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or value.ndim != len(axes):
            raise CheckpointError(f"'{key}' is not a tensor of {len(axes)} axes of real numbers", where=path)
        if not value.size or not np.isfinite(value).all():
            raise CheckpointError(f"'{key}' is empty or holds values that are not finite", where=path)
    (V, E), (P, D), H = tensors[EMBED].shape, tensors[POOL].shape, tensors[RECURRENT].shape[1]
    numbers = {"V": V, "E": E, "P": P, "D": D, "H": H}
    for key, axes in AXES.items():
        wanted = tuple({**numbers, "4H": 4 * H, "E+P": E + P}[axis] for axis in axes)
        if tensors[key].shape != wanted:
            raise CheckpointError(f"'{key}' has shape {tensors[key].shape}, the others say {wanted}", where=path)
    if D not in STREAMS_BY_WIDTH:
        known = " or ".join(str(width) for width in STREAMS_BY_WIDTH)
        raise CheckpointError(f"the model reads features of width {D}, GL-RG's have {known}", where=path)
    return numbers


def _check_options(options: Mapping[str, Any], sizes: Mapping[str, int], path: object) -> None:
    wanted = {
        "model_type": "concat",
        "rnn_type": "lstm",
        "num_layers": 1,
        "vocab_size": sizes["V"],
        "feat_dims": [sizes["D"]],
        "rnn_size": sizes["H"],
        "input_encoding_size": sizes["E"],
        "video_encoding_size": sizes["P"],
    }
    for key, value in wanted.items():
        found = options.get(key, value)
        if type(found) not in (str, int, list, tuple) or (list(found) if isinstance(found, tuple) else found) != value:
            what = f"its settings say {key} = {str(found)[:40] if isinstance(found, str | int) else '?'}, "
            raise CheckpointError(what + f"its tensors {value}", where=path, remedy="the file is not what it says")
    length = options.get("seq_length", 30)
    if type(length) is not int or not 3 <= length <= 512:
        raise CheckpointError("its settings name an impossible seq_length", where=path)


def _words(vocabulary: Any, path: object) -> tuple[str, ...] | None:
    """The words of `opt.vocab` (dict int -> word, or a list) in the order of their ids."""
    if vocabulary is None:
        return None
    if isinstance(vocabulary, dict):
        if set(vocabulary) != set(range(len(vocabulary))):
            raise CheckpointError("the vocabulary in its settings has gaps", where=path)
        vocabulary = [vocabulary[index] for index in range(len(vocabulary))]
    words = [word.decode("utf-8", "replace") if isinstance(word, bytes) else word for word in vocabulary]
    if not all(isinstance(word, str) for word in words):
        raise CheckpointError("the vocabulary in its settings holds something else than words", where=path)
    return tuple(str(word) for word in words)


def _plain(values: Mapping[Any, Any]) -> dict[str, Any]:
    """The entries that JSON can hold and a reader of the card may want."""
    kept: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, np.generic) and value.dtype.kind in "fiub":
            value = value.item()
        if isinstance(value, str):
            value = str(value)
        short = isinstance(value, str) and len(value) <= 200
        if isinstance(key, str) and (short or isinstance(value, bool | int) or _finite(value)):
            kept[str(key)] = value
    return kept


def _finite(value: Any) -> bool:
    return isinstance(value, float) and bool(np.isfinite(value))
