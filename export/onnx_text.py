"""Adds captions as text to an ONNX file: plain ONNX Runtime from opset 20 on joins strings.

The converter cannot write string operations that plain ONNX Runtime has, so they are appended by hand: words by Gather
from a string constant, a blank before every word but the first, then neighbours are joined until one string is left.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.detokenizer import joined_without_blank
from export.onnx_model import save
from glrg_tf.text.vocabulary import Vocabulary

OPSET = 20  # the first with StringConcat


def write_text(source: str | os.PathLike[str], path: str | os.PathLike[str], vocabulary: Vocabulary) -> Path:
    """Writes an ONNX file of `write_onnx` with a further output `captions`, string (B, K).

    Raises:
        ExportError: the result is not valid ONNX, or the tokenizer joins words in a way that graphs cannot repeat.
    """
    model = onnx.load(os.fspath(source))
    tokens = next(output for output in model.graph.output if output.name == "token_ids")
    length = tokens.type.tensor_type.shape.dim[2].dim_value
    model = onnx.version_converter.convert_version(model, OPSET)
    builder = _Builder(model.graph)
    pieces = _pieces(builder, vocabulary, length)
    captions = _join(builder, pieces, length)
    builder.add("Squeeze", [captions, builder.constant(np.array([2]), "last")], "captions")
    shape = [tokens.type.tensor_type.shape.dim[0].dim_param or None, tokens.type.tensor_type.shape.dim[1].dim_value]
    model.graph.output.append(helper.make_tensor_value_info("captions", TensorProto.STRING, shape))
    return save(model, path)


class _Builder:
    """Appends nodes and constants with names of their own to a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph, self._count = graph, 0

    def constant(self, value: Any, name: str) -> str:
        array = np.asarray(value)
        name = f"text/{name}"
        if array.dtype.kind in "UO":
            words = [str(word).encode() for word in array.ravel()]
            self._graph.initializer.append(helper.make_tensor(name, TensorProto.STRING, array.shape, words))
        else:
            self._graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def add(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        self._count += 1
        output = output or f"text/{kind.lower()}_{self._count}"
        self._graph.node.append(helper.make_node(kind, inputs, [output], name=f"text/{self._count}", **attributes))
        return output


def _pieces(build: _Builder, vocabulary: Vocabulary, length: int) -> str:
    """Strings (B, K, T): what each place adds to the text, empty where it adds nothing (see `Detokenizer`)."""
    words = build.add("Gather", [build.constant(np.array(vocabulary.words), "words"), "token_ids"], axis=0)
    end = build.constant(np.int32(Vocabulary.END), "end")
    start = build.constant(np.int32(Vocabulary.START), "start")
    # After <end> there is nothing but <end>, so a place is shown by its own id.
    hidden = build.add("Or", [build.add("Equal", ["token_ids", end]), build.add("Equal", ["token_ids", start])])
    shown = build.add("Not", [hidden])
    place = build.add("CumSum", [build.add("Cast", [shown], to=TensorProto.INT32), build.constant(np.int64(2), "axis")])
    spaced = build.add("Greater", [place, build.constant(np.int32(1), "one")])
    joined = joined_without_blank(vocabulary)
    if any(joined):
        here = build.add("Gather", [build.constant(np.array(joined), "joined"), "token_ids"], axis=0)
        both = build.add("And", [here, _of_previous(build, here, shown, length)])
        spaced = build.add("And", [spaced, build.add("Not", [both])])
    empty, blank = build.constant(np.array(""), "empty"), build.constant(np.array(" "), "blank")
    pieces = build.add("StringConcat", [build.add("Where", [spaced, blank, empty]), words])
    return build.add("Where", [hidden, empty, pieces])


def _of_previous(build: _Builder, values: str, shown: str, length: int) -> str:
    """The value of the nearest shown place to the left, bool (B, K, T); where there is none, any."""
    places = np.arange(length)
    earlier = build.constant(places[None, :] < places[:, None], "earlier")  # (T, T): column before row
    before = build.add("And", [build.add("Unsqueeze", [shown, build.constant(np.array([2]), "row")]), earlier])
    candidates = build.add("Where", [before, build.constant(places, "places"), build.constant(np.int64(0), "none")])
    axes = build.constant(np.array([-1]), "columns")
    return build.add("GatherElements", [values, build.add("ReduceMax", [candidates, axes], keepdims=0)], axis=2)


def _join(build: _Builder, pieces: str, length: int) -> str:
    """Joins T neighbouring strings (B, K, T) to one (B, K, 1), halving their number at each turn."""
    axes, two = build.constant(np.array([2]), "axes"), build.constant(np.array([2]), "two")
    turn = 0
    while length > 1:
        even = length - length % 2
        ends = build.constant(np.array([even]), f"even_{turn}")
        first, second = (
            build.add("Slice", [pieces, build.constant(np.array([at]), f"from_{turn}_{at}"), ends, axes, two])
            for at in (0, 1)
        )
        joined = build.add("StringConcat", [first, second])
        if length % 2:  # the odd one out goes on as it is
            rest = [build.constant(np.array([value]), f"rest_{turn}_{value}") for value in (even, even + 1)]
            joined = build.add("Concat", [joined, build.add("Slice", [pieces, *rest, axes])], axis=2)
        pieces, length, turn = joined, even // 2 + length % 2, turn + 1
    return pieces
