"""Makes an ONNX captioner four times smaller and faster: matrix products in int8, activations quantised as they come.

Departures from ONNX Runtime's own `quantize_dynamic`:
- A row of activations has a scale of its own. There one scale serves the whole batch, and a video's caption depends on
  which other videos stand beside it.
- Weights take 7 bits of the 8. Processors without VNNI add pairs of products in 16 bits, which 8 x 8 bits overflow;
  so all processors give the same integers. The activations' rounding is the larger error either way.
- The word embedding is stored in int8 too, one scale a word, all 8 bits.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.onnx_loops import walk
from export.onnx_model import save
from glrg_tf.errors import ExportError

_WEIGHT_STEPS = 63  # 7 bits: 2 * 255 * 63 < 2 ** 15
_TABLE_STEPS = 127
_SMALLEST = 4096  # entries below which a matrix stays as it is


def write_int8(source: str | os.PathLike[str], path: str | os.PathLike[str]) -> Path:
    """Writes the int8 form of an ONNX file of `write_onnx` (opset 18).

    Raises:
        ExportError: nothing to quantise, or a weight that is used in a way this does not know.
    """
    model = onnx.load(os.fspath(source))
    weights = {
        tensor.name: tensor
        for tensor in model.graph.initializer
        if len(tensor.dims) == 2 and tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= _SMALLEST
    }
    roles = _roles(model.graph, set(weights))
    if not roles:
        raise ExportError("no matrix to quantise", where=source, remedy="export it without --quantize int8")
    quantised = {name: _quantise(weights[name], role) for name, role in roles.items()}
    for name, (values, scales) in quantised.items():
        model.graph.initializer.remove(weights[name])
        model.graph.initializer.append(numpy_helper.from_array(values, f"{name}/int8"))
        model.graph.initializer.append(numpy_helper.from_array(scales, f"{name}/scale"))
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in _CONSTANTS.items())
    for number, graph in enumerate(reversed(list(walk(model.graph)))):  # inner ones first: they are copied outwards
        _rewrite(graph, roles, f"int8_{number}")
    return save(model, path)


def _roles(graph: onnx.GraphProto, names: set[str]) -> dict[str, str]:
    """How each weight is read: "MatMul" as the right factor, or "Gather" as a table of rows."""
    roles: dict[str, str] = {}
    for inner in walk(graph):
        for node in inner.node:
            for place, name in enumerate(node.input):
                if name not in names:
                    continue
                known = (node.op_type, place) in (("MatMul", 1), ("Gather", 0))
                if not known or roles.setdefault(name, node.op_type) != node.op_type:
                    raise ExportError(f"a weight is read by {node.op_type} too, it cannot be quantised", where=name)
    return roles


def _quantise(tensor: onnx.TensorProto, role: str) -> tuple[np.ndarray, np.ndarray]:
    """int8 values and float32 scales: one a column of a factor, one a row of a table (V, 1)."""
    values = numpy_helper.to_array(tensor)
    axis, steps = (0, _WEIGHT_STEPS) if role == "MatMul" else (1, _TABLE_STEPS)
    largest = np.abs(values).max(axis=axis, keepdims=role == "Gather")
    scales = (np.maximum(largest, np.finfo(np.float32).tiny * steps) / steps).astype(np.float32)
    return np.clip(np.rint(values / scales), -steps, steps).astype(np.int8), scales


def _rewrite(graph: onnx.GraphProto, roles: dict[str, str], prefix: str) -> None:
    nodes: list[onnx.NodeProto] = []
    for number, node in enumerate(graph.node):
        made = f"{prefix}_{number}"
        if node.op_type == "MatMul" and roles.get(node.input[1]) == "MatMul":
            nodes += _product(node, made)
        elif node.op_type == "Gather" and roles.get(node.input[0]) == "Gather":
            nodes += _lookup(node, made)
        else:
            nodes.append(_copy(node))
    del graph.node[:]
    graph.node.extend(nodes)


# Activations lie in 1..255 with 128 for zero, so the range is symmetric and zero is exact.
_CONSTANTS: dict[str, Any] = {
    "int8/steps": np.float32(127),
    "int8/zero": np.float32(128),
    "int8/zero_point": np.uint8(128),
    "int8/smallest": np.float32(1e-30),
    "int8/columns": np.array([-1], np.int64),
}


def _product(node: onnx.NodeProto, made: str) -> list[onnx.NodeProto]:
    """Left @ right with `left` rounded row by row: the integers are exact, the two scales are multiplied in after."""
    left, right, result = node.input[0], node.input[1], node.output[0]

    def name(part: str) -> str:
        return f"{made}/{part}"

    def op(kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [output], name=output, **attributes)

    return [
        op("Abs", [left], name("abs")),
        op("ReduceMax", [name("abs"), "int8/columns"], name("max"), keepdims=1),
        op("Max", [name("max"), "int8/smallest"], name("largest")),
        op("Div", ["int8/steps", name("largest")], name("inverse")),
        op("Mul", [left, name("inverse")], name("scaled")),
        op("Round", [name("scaled")], name("rounded")),
        op("Add", [name("rounded"), "int8/zero"], name("shifted")),
        op("Cast", [name("shifted")], name("uint8"), to=TensorProto.UINT8),
        op("MatMulInteger", [name("uint8"), f"{right}/int8", "int8/zero_point"], name("integers")),
        op("Cast", [name("integers")], name("sums"), to=TensorProto.FLOAT),
        op("Div", [name("largest"), "int8/steps"], name("scale")),
        op("Mul", [name("sums"), name("scale")], name("unscaled")),
        op("Mul", [name("unscaled"), f"{right}/scale"], result),
    ]


def _lookup(node: onnx.NodeProto, made: str) -> list[onnx.NodeProto]:
    """Rows of a table, made float again after they were picked."""
    table, rows, result = node.input[0], node.input[1], node.output[0]
    return [
        helper.make_node("Gather", [f"{table}/int8", rows], [f"{made}/int8"], axis=0),
        helper.make_node("Gather", [f"{table}/scale", rows], [f"{made}/scale"], axis=0),
        helper.make_node("Cast", [f"{made}/int8"], [f"{made}/float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{made}/float", f"{made}/scale"], [result]),
    ]


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    return copied
