"""Opens written artefacts and runs them as their users would: arrays in, named arrays out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import numpy as np

from glrg_tf.errors import ExportError

# The one input, or, for signatures of several, a mapping of them.
Run = Callable[[np.ndarray | Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def open_saved_model(folder: str | os.PathLike[str]) -> dict[str, Run]:
    """The signatures of a SavedModel, by name.

    Raises:
        ExportError: it cannot be loaded.
    """
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(os.fspath(folder))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise ExportError(f"the SavedModel cannot be loaded ({error})".splitlines()[0], where=folder) from error
    return {name: _tensorflow(loaded, name) for name in loaded.signatures}


def open_onnx(path: str | os.PathLike[str], threads: int = 0) -> Run:
    """An ONNX file in ONNX Runtime on the CPU; `threads` of one operation, 0 for all cores.

    Raises:
        ExportError: ONNX Runtime refuses it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    try:
        session = onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base but this
        raise ExportError(f"ONNX Runtime refuses the file ({error})".splitlines()[0], where=path) from error
    names, given = [output.name for output in session.get_outputs()], session.get_inputs()[0].name

    def run(values: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, {given: values}), strict=True))

    return run


def open_litert(path: str | os.PathLike[str], threads: int | None = None) -> Run:
    """A LiteRT file in the LiteRT interpreter; the input is resized to what it is given.

    Raises:
        ExportError: the interpreter refuses it.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_path=os.fspath(path), num_threads=threads)
        runner = interpreter.get_signature_runner()
    except (ValueError, RuntimeError) as error:
        raise ExportError(f"LiteRT refuses the file ({error})".splitlines()[0], where=path) from error
    (given,) = runner.get_input_details()

    def run(values: np.ndarray) -> dict[str, np.ndarray]:
        return runner(**{given: values})

    return run


def _tensorflow(loaded: object, name: str) -> Run:
    import tensorflow as tf

    function = loaded.signatures[name]  # type: ignore[attr-defined]
    first = next(iter(function.structured_input_signature[1]))

    def run(values: np.ndarray | Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        feeds = values if isinstance(values, Mapping) else {first: values}
        outputs = function(**{given: tf.constant(value) for given, value in feeds.items()})
        return {key: value.numpy() for key, value in outputs.items()}

    run.keep = loaded  # type: ignore[attr-defined]  # a signature alone does not keep its variables alive
    return run
