"""GPT-2's published weights into the decoder's blocks, by name, from a file of the user's own.

The published model.safetensors (MIT; also as .npz with the same names) is enough; neither transformers nor KerasHub is
needed. Names: wte, wpe, h.N.{ln_1, attn.c_attn, attn.c_proj, ln_2, mlp.c_fc, mlp.c_proj}, ln_f, with or without
"transformer." before them. Their kernels are (in, out): nothing is transposed.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from glrg_tf.errors import CheckpointError, DataError
from glrg_tf.io import documents, npy
from glrg_tf.recap.model import RecapNetwork

_PARTS = {
    "ln_1.weight": "norm_self.gamma",
    "ln_1.bias": "norm_self.beta",
    "attn.c_attn.weight": "self.qkv.kernel",
    "attn.c_attn.bias": "self.qkv.bias",
    "attn.c_proj.weight": "self.out.kernel",
    "attn.c_proj.bias": "self.out.bias",
    "ln_2.weight": "norm_forward.gamma",
    "ln_2.bias": "norm_forward.beta",
    "mlp.c_fc.weight": "forward.wide.kernel",
    "mlp.c_fc.bias": "forward.wide.bias",
    "mlp.c_proj.weight": "forward.narrow.kernel",
    "mlp.c_proj.bias": "forward.narrow.bias",
}
_WHOLE = {
    "wte.weight": "embedding/words",
    "wpe.weight": "embedding/places",
    "ln_f.weight": "logits/norm.gamma",
    "ln_f.bias": "logits/norm.beta",
}
_PREFIX = "transformer."
_TYPES = {"F32": np.float32, "F16": np.float16, "F64": np.float64}
_MAX_HEADER = 2**24  # bytes
_REMEDY = "download model.safetensors of GPT-2 small (124 M) and name the file"


def names(layers: int) -> dict[str, str]:
    """Published name -> ours, of a decoder of so many layers."""
    inner = {f"h.{n}.{theirs}": f"block_{n}/{ours}" for n in range(layers) for theirs, ours in _PARTS.items()}
    return _WHOLE | inner


def load_gpt2(network: RecapNetwork, path: str | os.PathLike[str]) -> None:
    """Sets words, places, blocks and the final LayerNorm; gates, cross-attention and alignment stay as they are.

    Raises:
        CheckpointError: missing or damaged, or a model of other sizes; then nothing is set.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError("no file of GPT-2's weights there", where=file, remedy=_REMEDY)
    weights, wanted = network.get_weights(), names(network.config.decoder_layers)
    try:
        if file.suffix == ".npz":
            values = _read_npz(file, {theirs: weights[ours].ndim for theirs, ours in wanted.items()})
        else:
            values = read_safetensors(file, wanted)
    except DataError as error:
        raise CheckpointError(error.what, where=error.where or file, remedy=error.remedy) from error
    for theirs, ours in wanted.items():
        found = values.get(theirs)
        if found is None or found.shape != weights[ours].shape:
            shape = "missing" if found is None else f"of shape {found.shape}"
            what = f"'{theirs}' is {shape}, the decoder wants {weights[ours].shape}"
            raise CheckpointError(what, where=file, remedy=_REMEDY)
        weights[ours] = np.asarray(found, np.float32)
    network.set_weights(weights)


def read_safetensors(path: Path, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """Arrays of a .safetensors file: a header of JSON, then plain bytes; nothing is run or trusted.

    Args:
        path: the file.
        wanted: published names; others are passed over (masks, and whatever a header may claim a thousand times).

    Raises:
        DataError: damaged, or of a type that is not known.
    """
    size = path.stat().st_size
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= min(_MAX_HEADER, size - 8):
            raise DataError("no safetensors file", where=path, remedy=_REMEDY)
        try:
            header = documents.parse_json(stream.read(length).decode("utf-8"), path)
        except UnicodeError:
            raise DataError("no safetensors file", where=path, remedy=_REMEDY) from None
        if not isinstance(header, dict):
            raise DataError("no safetensors file", where=path, remedy=_REMEDY)
        entries = {name.removeprefix(_PREFIX): entry for name, entry in header.items()}
        return {
            name: _tensor(stream, entries[name], 8 + length, size, f"{path}: {name}")
            for name in wanted
            if name in entries
        }


def _read_npz(path: Path, axes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """The arrays of these published names and numbers of axes, with or without the prefix."""
    with open(path, "rb") as stream:
        prefix = _PREFIX if zipfile.is_zipfile(stream) and _has_prefix(stream) else ""
    found = npy.read_npz(path, {prefix + name: ("f", count) for name, count in axes.items()})
    return {name.removeprefix(prefix): value for name, value in found.items()}


def _has_prefix(stream: IO[bytes]) -> bool:
    with zipfile.ZipFile(stream) as archive:
        return any(name.startswith(_PREFIX) for name in archive.namelist())


def _tensor(stream: IO[bytes], entry: Any, first: int, size: int, where: str) -> np.ndarray:
    try:
        kind = np.dtype(_TYPES[entry["dtype"]])
        shape = tuple(int(count) for count in entry["shape"])
        start, end = (int(place) for place in entry["data_offsets"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"the header is damaged ({json.dumps(str(error))})", where=where, remedy=_REMEDY) from None
    fits = min((*shape, start)) >= 0 and end - start == math.prod(shape) * kind.itemsize and first + end <= size
    if not fits:
        raise DataError("the header does not fit the file", where=where, remedy=_REMEDY)
    stream.seek(first + start)
    return np.frombuffer(stream.read(end - start), kind).reshape(shape)
