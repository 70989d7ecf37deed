"""LiteRT and ONNX image classifiers, run as they are: normalised frames in, the file's own outputs out.

Both runtimes get the bytes, not the path, so nothing a file names beside itself is opened. Quantised LiteRT files are
fed and read by the scale and zero point they carry: q = round(x / scale) + zero point, x = (q - zero point) * scale.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from glrg_tf.errors import CheckpointError, ConfigError

MAX_FILE = 2 * 2**30  # bytes
_MAX_SIDE = 1024  # pixels of an input that is declared or defaulted
_DEFAULT_SIDE = 224  # pixels, where a file accepts any size


class FrameClassifier(Protocol):
    """What a file gives: its sizes, and outputs of frames."""

    input_size: tuple[int, int]
    outputs: int

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """float32 (N, h, w, 3), normalised -> float32 (N, outputs)."""
        ...


def read_file(path: Path) -> bytes:
    """The bytes of a model file.

    Raises:
        ConfigError: no such file.
        CheckpointError: not a plain file, or larger than any classifier.
    """
    if not path.exists():
        raise ConfigError("no such classifier file", where=path, remedy="check the path")
    if not path.is_file() or path.stat().st_size > MAX_FILE:
        raise CheckpointError(f"not a file of at most {MAX_FILE} bytes", where=path, remedy="name a model file")
    return path.read_bytes()


class LiteRTClassifier:
    """A `.tflite` file: one image input (1, h, w, 3), float32 or quantised, one output of classes.

    Args:
        path: the file.

    Raises:
        CheckpointError: no LiteRT file, or not an image classifier.
    """

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        content = read_file(path)
        if content[4:8] != b"TFL3":
            raise CheckpointError("not a LiteRT file", where=path, remedy="it must begin with the marker TFL3")
        try:
            self._interpreter = Interpreter(model_content=content, num_threads=_threads())
            self._interpreter.allocate_tensors()
            inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        except (ValueError, RuntimeError) as error:
            raise CheckpointError(f"LiteRT refuses the file ({_first_line(error)})", where=path) from error
        if len(inputs) != 1:
            raise CheckpointError(f"the file has {len(inputs)} inputs, a classifier has one", where=path)
        self._input, self._output = inputs[0], outputs[0]
        shape = [int(n) for n in self._input["shape"]]
        if len(shape) != 4 or shape[0] != 1 or shape[3] != 3:
            raise CheckpointError(f"the input has shape {shape}, expected (1, h, w, 3)", where=path)
        self.input_size = _checked_size(shape[1], shape[2], path)
        self.outputs = int(np.prod(self._output["shape"]))

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """float32 (N, h, w, 3), normalised -> float32 (N, outputs), dequantised."""
        values = np.empty((len(frames), self.outputs), np.float32)
        for row, frame in enumerate(frames):  # files of fixed batch 1 often cannot be widened (their reshapes)
            self._interpreter.set_tensor(self._input["index"], quantise(frame[None], self._input))
            self._interpreter.invoke()
            raw = self._interpreter.get_tensor(self._output["index"])
            values[row] = dequantise(raw, self._output).ravel()
        return values


def quantise(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Real numbers as the tensor that `details` describes stores them: by its scale and zero point, clipped."""
    kind = np.dtype(details["dtype"])
    if kind.kind == "f":
        return values.astype(kind)
    scale, zero_point = details["quantization"]
    if scale == 0:
        return values.astype(kind)
    limits = np.iinfo(kind)
    return np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(kind)


def dequantise(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Stored numbers as float32: (q - zero point) * scale; floats as they are."""
    scale, zero_point = details["quantization"]
    if np.dtype(details["dtype"]).kind == "f" or scale == 0:
        return values.astype(np.float32)
    return (values.astype(np.float32) - zero_point) * np.float32(scale)


class OnnxClassifier:
    """An `.onnx` file: one image input, float, (n, h, w, 3) or (n, 3, h, w), first output of classes.

    Args:
        path: the file.

    Raises:
        CheckpointError: no ONNX file, data outside it, or not an image classifier.
    """

    def __init__(self, path: Path) -> None:
        import onnx
        import onnxruntime

        content = read_file(path)
        try:
            model = onnx.load_model_from_string(content)
            if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
                raise CheckpointError("the file keeps weights outside itself", where=path, remedy="save it as one file")
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.log_severity_level = _threads(), 3
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except CheckpointError:
            raise
        except Exception as error:  # the two libraries raise a dozen types of their own
            raise CheckpointError(f"ONNX Runtime refuses the file ({_first_line(error)})", where=path) from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in _ONNX_TYPES:
            raise CheckpointError("not a classifier of one image input", where=path)
        self._name, self._type = inputs[0].name, _ONNX_TYPES[inputs[0].type]
        shape = inputs[0].shape
        self._channels_first = shape[1] == 3 and shape[3] != 3
        self._single = shape[0] == 1
        sides = shape[2:4] if self._channels_first else shape[1:3]
        height, width = (side if isinstance(side, int) else _DEFAULT_SIDE for side in sides)
        self.input_size = _checked_size(height, width, path)
        try:
            self.outputs = int(self(np.zeros((1, *self.input_size, 3), np.float32)).shape[1])
        except Exception as error:
            raise CheckpointError(f"the file does not run on an image ({_first_line(error)})", where=path) from error

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """float32 (N, h, w, 3), normalised -> float32 (N, outputs)."""
        images = frames.astype(self._type)
        if self._channels_first:
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        parts = [images[i : i + 1] for i in range(len(images))] if self._single else [images]
        values = [np.asarray(self._session.run(None, {self._name: part})[0], np.float32) for part in parts]
        return np.concatenate([value.reshape(len(part), -1) for value, part in zip(values, parts, strict=True)])


_ONNX_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


def _checked_size(height: int, width: int, path: Path) -> tuple[int, int]:
    if not (16 <= height <= _MAX_SIDE and 16 <= width <= _MAX_SIDE):
        raise CheckpointError(f"images of {height}x{width} are no classifier's input", where=path)
    return int(height), int(width)


def _threads() -> int:
    wanted = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else min(4, os.cpu_count() or 1)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
