"""Named weights in an HDF5 file: one data set a weight, `layer/variable`."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from glrg_tf.errors import CheckpointError, DataError
from glrg_tf.io import hdf5


def write_weights(path: str | os.PathLike[str], weights: Mapping[str, np.ndarray]) -> None:
    """Writes named float arrays to an HDF5 file, whole or not at all."""
    with hdf5.new_file(path) as handle:
        for name, value in weights.items():
            handle.create_dataset(name, data=value)


def read_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads what `write_weights` wrote: `layer/variable` -> array.

    Raises:
        CheckpointError: damaged, or not numbers.
    """
    weights = {}
    try:
        with hdf5.open_file(path) as handle:
            for layer in handle:
                group = hdf5.resolve(handle, layer)
                for name in group:
                    data = hdf5.dataset(handle, f"{layer}/{name}", kinds="f")
                    weights[f"{layer}/{name}"] = hdf5.read_array(data)
    except DataError as error:
        raise CheckpointError(error.what, where=error.where, remedy=error.remedy) from error
    return weights
