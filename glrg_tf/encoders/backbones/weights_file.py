"""Weights of a backbone in a plain HDF5 file: one data set a variable (`layer1_0_conv1/kernel`), with their origin.

Attributes of the file: `format`, `version`, `arch`, `classes`, `labels` (what the classes are), `source` (name of the
original file), `source_sha256` (of that file) and `weights_sha256` (of names, shapes and values, checked on loading).
No TensorFlow.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterable

import numpy as np

from glrg_tf.encoders.backbones.architectures import architecture
from glrg_tf.encoders.backbones.resnet_config import MAX_CLASSES, weight_shapes
from glrg_tf.errors import CheckpointError, ConfigError, DataError
from glrg_tf.io import hdf5

FORMAT = "glrg-backbone"
VERSION = 1


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a weights file says of itself.

    Attributes:
        arch: name of the architecture.
        classes: width of the last layer.
        labels: what the classes are, such as "ImageNet-1k"; empty where nobody said.
        source: name of the original file.
        source_sha256: of the original file.
        weights_sha256: of names, shapes and values.
    """

    arch: str
    classes: int
    labels: str = ""
    source: str = ""
    source_sha256: str = ""
    weights_sha256: str = ""


def write_weights(path: str | os.PathLike[str], weights: Iterable[tuple[str, np.ndarray]], origin: Origin) -> Origin:
    """Writes a weights file, whole or not at all.

    Args:
        path: the file.
        weights: name and float32 array in the order of `weight_shapes`; may be a generator, each is written at once.
        origin: the file's attributes; `weights_sha256` is worked out here.

    Returns:
        The origin with `weights_sha256`.
    """
    digest = hashlib.sha256()
    with hdf5.new_file(path) as handle:
        for name, value in weights:
            value = np.ascontiguousarray(value, np.float32)
            _count(digest, name, value)
            handle.create_dataset(name, data=value)
        origin = dataclasses.replace(origin, weights_sha256=digest.hexdigest())
        handle.attrs.update({"format": FORMAT, "version": VERSION, **dataclasses.asdict(origin)})
    return origin


def read_origin(path: str | os.PathLike[str]) -> Origin:
    """Reads what a weights file says of itself.

    Raises:
        CheckpointError: not a weights file of a backbone we know.
    """
    try:
        with hdf5.open_file(path, error=DataError) as handle:
            found = hdf5.attributes(handle, error=DataError)
    except DataError as error:
        raise CheckpointError(error.what, where=error.where or path, remedy=error.remedy) from error
    remedy = "make one with `glrg convert torchvision`"
    if found.get("format") != FORMAT:
        raise CheckpointError("not a weights file of a backbone", where=path, remedy=remedy)
    if found.get("version") != VERSION:
        raise CheckpointError(f"weights format {found.get('version')!r}, this program reads {VERSION}", where=path)
    fields = {field.name: found.get(field.name, "") for field in dataclasses.fields(Origin)}
    classes = fields.pop("classes")
    if not isinstance(classes, int) or not 1 <= classes <= MAX_CLASSES:
        raise CheckpointError("the number of classes is missing or impossible", where=path, remedy=remedy)
    try:
        architecture(str(fields["arch"]))
    except ConfigError as error:
        raise CheckpointError(error.what, where=path, remedy=error.remedy) from error
    return Origin(classes=classes, **{name: str(value) for name, value in fields.items()})


def read_weights(path: str | os.PathLike[str]) -> tuple[Origin, dict[str, np.ndarray]]:
    """Reads and checks all weights.

    Returns:
        The origin, and name -> float32 array.

    Raises:
        CheckpointError: damaged, altered, a weight missing, of another shape or not finite.
    """
    origin = read_origin(path)
    shapes = weight_shapes(architecture(origin.arch).config, origin.classes)
    digest, weights = hashlib.sha256(), {}
    remedy = "convert the original file again"
    try:
        with hdf5.open_file(path, error=DataError) as handle:
            for name, shape in shapes.items():
                data = hdf5.dataset(handle, name, kinds="f", error=DataError)
                if tuple(data.shape) != shape:
                    raise CheckpointError(f"'{name}' has shape {data.shape}, not {shape}", where=path, remedy=remedy)
                value = np.ascontiguousarray(hdf5.read_array(data, error=DataError), np.float32)
                if not np.isfinite(value).all():
                    raise CheckpointError(f"'{name}' has values that are not finite", where=path, remedy=remedy)
                _count(digest, name, value)
                weights[name] = value
    except DataError as error:
        raise CheckpointError(error.what, where=error.where or path, remedy=error.remedy) from error
    if digest.hexdigest() != origin.weights_sha256:
        raise CheckpointError("the weights are not those the file was written with", where=path, remedy=remedy)
    return origin, weights


def _count(digest: hashlib._Hash, name: str, value: np.ndarray) -> None:
    digest.update(f"{name} {value.shape} ".encode())
    digest.update(memoryview(value).cast("B"))
