"""Takes loop-invariant values out of the state of ONNX loops.

A converter hands a loop's weights from step to step as if they changed. ONNX Runtime then cannot lay them out for its
matrix products once and for all (it packs constants only). Read from the enclosing graph instead, they are constants
again, and a step of the loop copies nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx


def hoist_invariants(graph: onnx.GraphProto) -> int:
    """Makes every loop of a graph, at any depth, read its invariant state from outside.

    Args:
        graph: changed in place. Names of values must be unique over the graph and its subgraphs, as the converter's
            are; a value whose name the body uses for something else stays where it is.

    Returns:
        How many values left the state of a loop.
    """
    moved = 0
    for node in list(graph.node):
        for inner in subgraphs(node):
            moved += hoist_invariants(inner)
        if node.op_type == "Loop":
            moved += _hoist(graph, node)
    return moved


def subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The graphs inside a node (bodies of loops, branches)."""
    return [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]


def walk(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and every graph inside it, outer ones first."""
    yield graph
    for node in graph.node:
        for inner in subgraphs(node):
            yield from walk(inner)


def rename_reads(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    """Replaces the names that the nodes and outputs of a graph, inner graphs included, read."""
    for inner in walk(graph):
        for node in inner.node:
            for index, name in enumerate(node.input):
                node.input[index] = names.get(name, name)
        for output in inner.output:
            output.name = names.get(output.name, output.name)


def _hoist(graph: onnx.GraphProto, loop: onnx.NodeProto) -> int:
    body = subgraphs(loop)[0]
    identities = {node.output[0]: node.input[0] for node in body.node if node.op_type == "Identity"}
    defined = _defined_names(body)
    replaced, invariant = {}, []
    # inputs of the node: trip count, condition, state; of the body: step, condition, state; outputs: condition, state
    for place in range(len(body.input) - 2):
        inside, outside = body.input[place + 2].name, loop.input[place + 2]
        ends_as = body.output[place + 1].name
        while ends_as in identities:
            ends_as = identities[ends_as]
        if ends_as == inside and outside not in defined:
            replaced[inside] = outside
            invariant.append(place)
    after = {loop.output[place]: loop.input[place + 2] for place in invariant}
    for place in reversed(invariant):
        del body.input[place + 2], body.output[place + 1], loop.input[place + 2], loop.output[place]
    rename_reads(body, replaced)
    # A result of the graph cannot be renamed: its value comes by an Identity.
    results = {output.name for output in graph.output}
    kept = {inside: outside for inside, outside in after.items() if inside in results}
    rename_reads(graph, {inside: outside for inside, outside in after.items() if inside not in results})
    for inside, outside in kept.items():
        graph.node.append(onnx.helper.make_node("Identity", [outside], [inside]))
    return len(invariant)


def _defined_names(graph: onnx.GraphProto) -> set[str]:
    names: set[str] = set()
    for inner in walk(graph):
        names.update(value.name for value in inner.input)
        names.update(value.name for value in inner.initializer)
        names.update(name for node in inner.node for name in node.output)
    return names
