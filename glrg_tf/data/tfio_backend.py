"""Values of `features.h5` read by tensorflow-io, where its native library loads.

The last release of tensorflow-io (0.37.1) is built for TensorFlow 2.16; with later ones its Python side imports and its
library does not load. So this is a second reader for people whose pipelines stand on tensorflow-io, in an environment
of its own (requirements-tfio.txt, `make test-tfio`); it gives the same bits as the default one.
"""

from __future__ import annotations

import functools
import os

import numpy as np

from glrg_tf.errors import ConfigError

_REMEDY = "an environment of requirements-tfio.txt (TensorFlow 2.16, Python 3.11), or the default backend, h5py"


@functools.cache
def problem() -> str | None:
    """Why tensorflow-io cannot read HDF5 here; None where it can."""
    try:
        import tensorflow as tf
        import tensorflow_io as tfio
        from tensorflow_io.python.ops import core_ops
    except ImportError as error:
        return f"tensorflow-io cannot be imported ({error})"[:300]
    try:
        core_ops.io_hdf5_readable_info  # noqa: B018  (loads the native library, or says why it does not)
    except (NotImplementedError, AttributeError, OSError):
        return f"the library of tensorflow-io {tfio.__version__} does not load with TensorFlow {tf.__version__}"
    return None


def choose(backend: str) -> str:
    """The backend to use, "h5py" or "tfio", of "h5py", "tfio" or "auto" (tensorflow-io where it works).

    Raises:
        ConfigError: another name, or "tfio" where it does not work.
    """
    if backend not in ("h5py", "tfio", "auto"):
        raise ConfigError(f"unknown feature backend '{backend}'", where="backend", remedy="of h5py, tfio, auto")
    if backend == "h5py":
        return backend
    reason = problem()
    if reason is not None and backend == "tfio":
        raise ConfigError(reason, where="feature backend 'tfio'", remedy=_REMEDY)
    return "h5py" if reason is not None else "tfio"


def read_values(path: str | os.PathLike[str], stream: str) -> np.ndarray:
    """All values of a stream, (rows, D); the file was checked by whoever opened it.

    Args:
        path: a `features.h5`.
        stream: its name.
    """
    import tensorflow_io as tfio

    tensor = tfio.IOTensor.from_hdf5(os.fspath(path))(f"/streams/{stream}/values")
    return tensor.to_tensor().numpy()
