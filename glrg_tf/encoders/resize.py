"""Resizing of frames as two matrix products, the same arithmetic in NumPy, eager TensorFlow, graphs and ONNX.

`tf.image.resize(antialias=True)` has no ONNX conversion, and without antialiasing a large frame aliases. A triangle
filter is linear and separable, so a resize is `rows @ frame @ columns`; the weights are built from the frame's shape
inside the graph, so height and width may be dynamic. It agrees with TensorFlow's own antialiased resize to float32
rounding (under 1e-3 of 255).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:  # the processes that decode videos resize without TensorFlow
    import tensorflow as tf

Fit = Literal["stretch", "crop"]


def resize_frames(frames: tf.Tensor, size: tuple[int, int], fit: Fit = "stretch") -> tf.Tensor:
    """Resizes frames with an antialiasing triangle filter.

    Args:
        frames: uint8 or float (..., H, W, 3), H and W may be unknown until the graph runs.
        size: output height and width.
        fit: "stretch" maps the whole frame; "crop" maps the largest centred window of the output's aspect ratio.

    Returns:
        float32 (..., h, w, 3), in the range of the input.
    """
    import tensorflow as tf

    frames = tf.convert_to_tensor(frames)
    shape, (height, width) = tf.shape(frames), size
    rows, columns = shape[-3], shape[-2]
    row_span, column_span = _spans(tf, tf.cast(rows, tf.float32), tf.cast(columns, tf.float32), size, fit)
    # (N, H, W*3): rows first, it leaves less to do for the columns and needs no transposition.
    flat = tf.reshape(tf.cast(frames, tf.float32), [-1, rows, columns * 3])
    narrow = tf.matmul(_weights_graph(rows, height, row_span), flat)  # (N, h, W*3)
    narrow = tf.transpose(tf.reshape(narrow, [-1, height, columns, 3]), [0, 1, 3, 2])
    narrow = tf.reshape(narrow, [-1, columns])  # (N*h*3, W): one large product
    small = tf.matmul(narrow, _weights_graph(columns, width, column_span), transpose_b=True)
    small = tf.transpose(tf.reshape(small, [-1, height, 3, width]), [0, 1, 3, 2])
    result = tf.reshape(small, tf.concat([shape[:-3], [height, width, 3]], axis=0))
    result.set_shape([*frames.shape[:-3], height, width, 3])
    return result


def resize_frames_numpy(frames: np.ndarray, size: tuple[int, int], fit: Fit = "stretch") -> np.ndarray:
    """`resize_frames` without TensorFlow's runtime: float32 (..., h, w, 3); equal to float32 rounding."""
    *lead, rows, columns, channels = frames.shape
    height, width = size
    row_span, column_span = _spans(np, np.float32(rows), np.float32(columns), size, fit)
    flat = frames.reshape(-1, rows, columns * channels).astype(np.float32)
    narrow = np.matmul(_weights_numpy(rows, height, row_span), flat)
    narrow = narrow.reshape(-1, height, columns, channels).transpose(0, 1, 3, 2).reshape(-1, columns)
    small = narrow @ _weights_numpy(columns, width, column_span).T
    small = small.reshape(-1, height, channels, width).transpose(0, 1, 3, 2)
    return np.ascontiguousarray(small).reshape(*lead, height, width, channels)


def _spans(lib: Any, rows: Any, columns: Any, size: tuple[int, int], fit: Fit) -> tuple[Any, Any]:
    """The lengths of the source window, in pixels of the source (float): the whole frame, or a centred part of it."""
    if fit == "stretch":
        return rows, columns
    height, width = size
    scale = lib.minimum(rows / np.float32(height), columns / np.float32(width))
    return scale * np.float32(height), scale * np.float32(width)


def _weights_graph(source: tf.Tensor, target: int, span: tf.Tensor) -> tf.Tensor:
    """float32 (target, source): row i holds the weights of the source pixels in output pixel i."""
    import tensorflow as tf

    scale = span / float(target)
    start = (tf.cast(source, tf.float32) - span) * 0.5
    centres = (tf.range(target, dtype=tf.float32) + 0.5) * scale + start - 0.5
    pixels = tf.cast(tf.range(source), tf.float32)
    distance = tf.abs(pixels[tf.newaxis, :] - centres[:, tf.newaxis])
    weights = tf.maximum(0.0, 1.0 - distance / tf.maximum(scale, 1.0))
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)


def _weights_numpy(source: int, target: int, span: np.float32) -> np.ndarray:
    scale = span / np.float32(target)
    start = (np.float32(source) - span) * np.float32(0.5)
    centres = (np.arange(target, dtype=np.float32) + np.float32(0.5)) * scale + start - np.float32(0.5)
    distance = np.abs(np.arange(source, dtype=np.float32)[None, :] - centres[:, None])
    weights = np.maximum(np.float32(0), np.float32(1) - distance / np.maximum(scale, np.float32(1)))
    return weights / weights.sum(axis=1, keepdims=True)
