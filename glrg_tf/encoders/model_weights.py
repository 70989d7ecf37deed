"""Weights of a Keras model in a plain HDF5 file: one data set a variable, named by its path (`stem_conv/kernel`)."""

from __future__ import annotations

import hashlib
import os

import keras
import numpy as np

from glrg_tf.errors import CheckpointError, DataError
from glrg_tf.io import hdf5


def variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The variables that make up the function: weights and running statistics, not random-number states.

    Raises:
        CheckpointError: two variables share a path (layers of one name), so a file could not tell them apart.
    """
    found: dict[str, keras.Variable] = {}
    for layer in model.layers:
        inner = isinstance(
            layer, keras.Model
        )  # of keras.applications, some of which number their layers anew each time
        chosen = [v for v in layer.variables if str(v.dtype).startswith(("float", "bfloat"))]
        for number, variable in enumerate(chosen):
            name = f"{layer.name}/{number:04d}" if inner else variable.path
            if name in found:
                raise CheckpointError(f"two weights are named '{name}'", remedy="name the layers apart")
            found[name] = variable
    return found


def write(path: str | os.PathLike[str], model: keras.Model) -> None:
    """Writes the weights, whole or not at all."""
    with hdf5.new_file(path) as handle:
        for name, variable in variables(model).items():
            handle.create_dataset(name, data=np.asarray(variable.value, np.float32))


def read(path: str | os.PathLike[str], model: keras.Model) -> None:
    """Sets the weights of `model` from a file that `write` made; nothing is set unless everything fits.

    Raises:
        CheckpointError: damaged, a weight missing or of another shape, or values that are not finite.
    """
    values: dict[str, np.ndarray] = {}
    wanted = variables(model)
    try:
        with hdf5.open_file(path) as handle:
            for name, variable in wanted.items():
                data = hdf5.dataset(handle, name, kinds="f")
                if tuple(data.shape) != tuple(variable.shape):
                    raise CheckpointError(
                        f"'{name}' has shape {tuple(data.shape)}, the network wants {tuple(variable.shape)}",
                        where=path,
                        remedy="the weights belong to an encoder of other sizes",
                    )
                values[name] = hdf5.read_array(data)
    except DataError as error:
        raise CheckpointError(error.what, where=error.where or path, remedy=error.remedy) from error
    for name, value in values.items():
        if not np.isfinite(value).all():
            raise CheckpointError(f"'{name}' has values that are not finite", where=path, remedy="train again")
    for name, variable in wanted.items():
        variable.assign(values[name])


def digest(model: keras.Model) -> str:
    """sha256 of names, shapes and values."""
    total = hashlib.sha256()
    for name, variable in variables(model).items():
        value = np.ascontiguousarray(np.asarray(variable.value, np.float32))
        total.update(f"{name} {value.shape} ".encode())
        total.update(value.tobytes())
    return total.hexdigest()
