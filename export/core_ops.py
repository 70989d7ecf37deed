"""The operations an exported graph may use: core TensorFlow, no Python, no custom kernels.

The list is what the captioner and the encoders need and what every TensorFlow server of the last years has. An
operation outside it (`PyFunc`, `EagerPyFunc`, one of tensorflow-text, one newer than the servers in use) is refused
when the artefact is made, not when somebody loads it.
"""

from __future__ import annotations

from typing import Any

from glrg_tf.errors import ExportError

_STRUCTURE = """
    Const Identity IdentityN NoOp Placeholder PlaceholderWithDefault StopGradient
    If StatelessIf While StatelessWhile PartitionedCall StatefulPartitionedCall
    VarHandleOp ReadVariableOp AssignVariableOp VarIsInitializedOp ResourceGather
    TensorListFromTensor TensorListGetItem TensorListReserve TensorListSetItem TensorListStack
    RestoreV2 SaveV2 MergeV2Checkpoints ShardedFilename StaticRegexFullMatch StringJoin Select Pack
"""
_ARRAYS = """
    BroadcastTo Cast ConcatV2 ExpandDims Fill Gather GatherNd GatherV2 InvertPermutation OnesLike Pack Pad PadV2
    MirrorPad Range Reshape ReverseV2 ScatterNd Select SelectV2 Shape ShapeN Size Slice SpaceToBatchND BatchToSpaceND
    Split SplitV Squeeze StridedSlice TensorScatterUpdate TensorScatterAdd Tile TopKV2 Transpose Unique Unpack Where
    ZerosLike BroadcastArgs EnsureShape Rank MatrixDiagV3 LinSpace
"""
_MATHEMATICS = """
    Abs Add AddV2 AddN All Any ArgMax ArgMin BatchMatMul BatchMatMulV2 BatchMatMulV3 BiasAdd Ceil ClipByValue Cumsum
    Einsum Elu Equal Erf Erfc Exp Expm1 Floor FloorDiv FloorMod Greater GreaterEqual IsFinite LeakyRelu Less LessEqual
    Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul Max Maximum Mean Min Minimum Mul Neg NotEqual Pow Prod
    RealDiv Reciprocal Relu Relu6 Round Rsqrt Selu Sigmoid Sign Softmax Softplus Sqrt Square SquaredDifference Sub Sum
    Tanh Div DivNoNan TruncateDiv TruncateMod
"""
_IMAGES = """
    AvgPool AvgPool3D Conv2D Conv3D DepthwiseConv2dNative FusedBatchNormV3 MaxPool MaxPool3D
    ResizeBilinear ResizeNearestNeighbor
"""
_STRINGS = "ReduceJoin StringJoin AsString"

CORE_OPERATIONS = frozenset(f"{_STRUCTURE} {_ARRAYS} {_MATHEMATICS} {_IMAGES} {_STRINGS}".split())


def operations(graph: Any) -> set[str]:
    """Names of all operations of a GraphDef, those inside its functions included, calls of those functions left out."""
    own = {function.signature.name for function in graph.library.function}
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return {node.op for node in nodes} - own


def check_operations(graph: Any, where: str) -> None:
    """Refuses a GraphDef with an operation that is not a core one.

    Raises:
        ExportError: names the operations.
    """
    foreign = sorted(operations(graph) - CORE_OPERATIONS)
    if foreign:
        raise ExportError(
            f"operations that not every TensorFlow server has: {', '.join(foreign)}",
            where=where,
            remedy="a layer of the model uses them; replace it by one made of core operations",
        )
