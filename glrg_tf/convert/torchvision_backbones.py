"""Weights of torchvision's backbones as weights files of ours, without PyTorch.

A state dictionary must hold the tensors of its architecture, all of them and no other (`num_batches_tracked`, which
counts training steps, is left aside). Convolutions move their output and input channels last, the last layer is
transposed, nothing else changes. `key_table` says for every tensor where it goes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glrg_tf.encoders.backbones.architectures import ARCHITECTURES, Architecture, architecture
from glrg_tf.encoders.backbones.resnet_config import MAX_CLASSES, convolutions
from glrg_tf.encoders.backbones.weights_file import Origin, write_weights
from glrg_tf.errors import CheckpointError, ConfigError
from glrg_tf.io.atomic import sha256_file
from glrg_tf.io.foreign_torch import read_torch

IGNORED = ".num_batches_tracked"
_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_LISTED = 5  # names of an error


@dataclass(frozen=True)
class Placement:
    """Where one tensor goes.

    Attributes:
        source: key of the state dictionary.
        source_shape: of the PyTorch tensor.
        target: our `layer/variable`.
        target_shape: of our weight.
        how: what happens to it.
    """

    source: str
    source_shape: tuple[int, ...]
    target: str
    target_shape: tuple[int, ...]
    how: str


@dataclass(frozen=True)
class TensorReport(Placement):
    """A placement and the range of its values."""

    minimum: float
    maximum: float


def key_table(arch: str, classes: int | None = None) -> list[Placement]:
    """The tensors of an architecture in the order of its state dictionary.

    Args:
        arch: name of the architecture.
        classes: width of the last layer; that of the published weights by default.

    Raises:
        ConfigError: no such architecture.
    """
    known = architecture(arch)
    rows = []
    for unit in convolutions(known.config):
        conv, norm = _source_names(unit.name, unit.norm, known.config.rank)
        height = unit.kernel_shape[:-2]
        source = (unit.outputs, unit.inputs // unit.groups, *height)
        rows.append(Placement(f"{conv}.weight", source, f"{unit.name}/kernel", unit.kernel_shape, "channels last"))
        for theirs, ours in _NORM.items():
            shape = (unit.outputs,)
            rows.append(Placement(f"{norm}.{theirs}", shape, f"{unit.norm}/{ours}", shape, "as is"))
    width, wide = known.config.out_channels, known.classes if classes is None else classes
    rows.append(Placement("fc.weight", (wide, width), "fc/kernel", (width, wide), "transposed"))
    rows.append(Placement("fc.bias", (wide,), "fc/bias", (wide,), "as is"))
    return rows


def convert_torchvision(
    path: str | os.PathLike[str],
    arch: str,
    out: str | os.PathLike[str],
    *,
    progress: Callable[[int], None] | None = None,
) -> tuple[Origin, list[TensorReport]]:
    """Converts a state dictionary of torchvision into a weights file.

    Args:
        path: a torch file, legacy or zip: the state dictionary itself, or one under "state_dict" or "model".
        arch: name of the architecture.
        out: the weights file (HDF5).
        progress: called with the number of tensors just written.

    Returns:
        What the weights file says of itself, and one report a tensor.

    Raises:
        CheckpointError: not a torch file, hostile, damaged, or not of this architecture.
        ConfigError: no such architecture; `out` exists.
    """
    known = architecture(arch)
    if Path(out).exists():
        raise ConfigError("the output already exists", where=out, remedy="choose another --out or remove it")
    tensors = read_state(path)
    classes = _classes(tensors)
    table = key_table(arch, classes)
    _check_tensors(tensors, table, known, path)
    sha256 = sha256_file(path)
    _check_name(Path(path), sha256)
    labels = known.labels if classes == known.classes else ""
    origin = Origin(arch, classes, labels, Path(path).name, sha256)
    reports: list[TensorReport] = []
    return write_weights(out, _placed(tensors, table, reports, progress or (lambda count: None)), origin), reports


def place(row: Placement, tensor: np.ndarray) -> np.ndarray:
    """A PyTorch tensor as our weight, float32."""
    value = np.asarray(tensor, np.float32)
    if row.how == "channels last":
        return np.moveaxis(value, (0, 1), (-1, -2))
    return value.T if row.how == "transposed" else value


def read_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the state dictionary of a torch file, `num_batches_tracked` left out.

    Raises:
        CheckpointError: not a torch file, hostile, or without a state dictionary.
    """
    content = read_torch(path)
    for name in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
            break
    if not isinstance(content, dict) or not any(isinstance(value, np.ndarray) for value in content.values()):
        remedy = "pass a file of torchvision's weights (a state dictionary)"
        raise CheckpointError("the file holds no state dictionary", where=path, remedy=remedy)
    keys = [key for key in content if isinstance(key, str)]
    if len(keys) != len(content):
        raise CheckpointError("the state dictionary has keys that are no text", where=path)
    # What nn.DataParallel saves has one more level.
    prefix = "module." if all(key.startswith("module.") for key in keys) else ""
    return {key.removeprefix(prefix): content[key] for key in keys if not key.endswith(IGNORED)}


def _source_names(conv: str, norm: str, rank: int) -> tuple[str, str]:
    """PyTorch's modules of a convolution and its normalisation, as `layer1_0_conv2` -> `layer1.0.conv2`."""
    if conv == "stem_conv":
        return ("conv1", "bn1") if rank == 2 else ("stem.0", "stem.1")
    block, _, unit = conv.rpartition("_")
    if unit == "conv":  # layer2_0_downsample_conv
        base = block.replace("_", ".")
        return f"{base}.0", f"{base}.1"
    base = conv.replace("_", ".")
    return (base, norm.replace("_", ".")) if rank == 2 else (f"{base}.0", f"{base}.1")


def _classes(tensors: Mapping[str, Any]) -> int | None:
    """The width of the last layer, or None where it is not to be told."""
    bias = tensors.get("fc.bias")
    sound = isinstance(bias, np.ndarray) and bias.ndim == 1 and 1 <= len(bias) <= MAX_CLASSES
    return len(bias) if sound else None


def _check_tensors(tensors: Mapping[str, Any], table: list[Placement], known: Architecture, path: object) -> None:
    wanted = {row.source: row.source_shape for row in table}
    missing = [key for key in wanted if key not in tensors]
    unexpected = [key for key in tensors if key not in wanted]
    shaped = [
        f"{key} {_shape(tensors[key])} instead of {wanted[key]}"
        for key in wanted
        if key in tensors and _shape(tensors[key]) != wanted[key]
    ]
    problems = [("missing", missing), ("unexpected", unexpected), ("of another shape", shaped)]
    if any(keys for _, keys in problems):
        parts = [f"{len(keys)} {name}: {_names(keys)}" for name, keys in problems if keys]
        raise CheckpointError(
            f"not the tensors of {known.name}; {'; '.join(parts)}", where=path, remedy=_advice(tensors, known)
        )
    for key in wanted:
        value = tensors[key]
        if value.dtype.kind != "f":
            raise CheckpointError(f"'{key}' holds {value.dtype}, not real numbers", where=path)
        if not np.isfinite(value).all():
            raise CheckpointError(f"'{key}' holds values that are not finite", where=path, remedy="is it damaged?")
        if key.endswith("running_var") and value.min() < 0:
            raise CheckpointError(f"'{key}' holds variances below zero", where=path, remedy="is it damaged?")


def _advice(tensors: Mapping[str, Any], known: Architecture) -> str:
    shapes = {key: _shape(value) for key, value in tensors.items()}
    for name in ARCHITECTURES:
        if name != known.name and shapes == {
            row.source: row.source_shape for row in key_table(name, _classes(tensors))
        }:
            return f"the file fits --arch {name}"
    return "pass weights of this architecture: `glrg convert torchvision --describe ARCH --keys` lists its tensors"


def _check_name(path: Path, sha256: str) -> None:
    """Holds a file to the digits in its name, as torch.hub does."""
    named = re.search(r"-([0-9a-f]{8,64})\.pth$", path.name)
    if named and not sha256.startswith(named[1]):
        what = f"the name says that its sha256 begins with {named[1]}, it begins with {sha256[:8]}"
        remedy = "download it again; if it was changed on purpose, give it a name without such digits"
        raise CheckpointError(what, where=path, remedy=remedy)


def _placed(
    tensors: Mapping[str, np.ndarray],
    table: list[Placement],
    reports: list[TensorReport],
    progress: Callable[[int], None],
) -> Iterator[tuple[str, np.ndarray]]:
    """Our weights one by one, so that a large network is not in memory twice; fills `reports` on the way."""
    for row in table:
        value = place(row, tensors[row.source])
        yield row.target, value
        reports.append(TensorReport(**vars(row), minimum=float(value.min()), maximum=float(value.max())))
        progress(1)


def _shape(value: Any) -> tuple[int, ...] | str:
    return value.shape if isinstance(value, np.ndarray) else "(no tensor)"


def _names(keys: list[str]) -> str:
    shown = ", ".join(key[:80] for key in keys[:_LISTED])
    return shown + (", ..." if len(keys) > _LISTED else "")
