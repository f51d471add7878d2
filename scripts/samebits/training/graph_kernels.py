"""The kernels in the graphs that TensorFlow executed, each with the name of its node.

A graph as executed has most functions inlined and is rewritten by Grappler: names are those of
what runs. What is left as a call is known as it was traced; where Grappler could make other
kernels of that, and where XLA compiles, it is not known what runs.

Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21.
"""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping, Tuple

Named = Tuple[str, str]  # a node's name with those of the calls around it, its kernel

# What moves, shapes or keeps numbers, and what steers: it computes none.
_IDLE = (
    "Const Placeholder Identity IdentityN StopGradient PreventGradient Snapshot NoOp Assert "
    "_Arg _Retval _DeviceArg _DeviceRetval _Send _Recv _HostSend _HostRecv ControlTrigger "
    "Shape ShapeN Size Rank Reshape ExpandDims Squeeze Cast Bitcast Fill ZerosLike OnesLike "
    "Pack Unpack Slice StridedSlice StridedSliceGrad Transpose ConcatV2 ConcatOffset Split SplitV "
    "ReverseV2 Range InvertPermutation BroadcastGradientArgs BroadcastTo Tile Pad PadV2 GatherV2 "
    "_MklTranspose VarHandleOp VarIsInitializedOp ReadVariableOp AssignVariableOp VariableShape "
    "Switch Merge Enter Exit NextIteration LoopCond "
    "IteratorGetNext IteratorGetNextAsOptional "
    "OptionalFromValue OptionalGetValue OptionalHasValue OptionalNone"
)
_BOOKKEEPING = frozenset(_IDLE.split())
_NO_NUMBERS = ("variant", "resource", "string", "bool")  # dtypes
_LISTS = ("TensorList", "EmptyTensorList", "Stack", "TensorArray")  # what the names begin with
_CALLS = (
    *("PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile"),
    *("If", "StatelessIf", "Case", "StatelessCase"),
)
_REWRITTEN = ("Sqrt", "RealDiv", "Div")  # by Grappler, into Rsqrt and Reciprocal
_COMPOSED = "_UnaryOpsComposition"
_ONEDNN = re.compile("^_Mkl(?:Native)?")
_PUBLIC_FUSED = re.compile("FusedBatchNorm(Grad)?(V[23])?")  # other fused ops begin with _
_SPECIALIZED = "_specialized_for_"  # in the name that Grappler gives a function's copy
_FORWARD = "forward_function_name"  # of a function that computes a gradient: whose


class NotKnownError(Exception):
    """It cannot be told which kernels run."""


def executed(function: Any) -> list[Named]:
    """The kernels of one function graph of a RunMetadata. Raises NotKnownError."""
    library = {f.signature.name: f for f in function.pre_optimization_graph.library.function}
    nodes = [node for graph in function.partition_graphs for node in graph.node]
    walk = _Walk(library, {name: node.name for node in nodes for name in _called(node)})
    return [named for node in nodes for named in walk.of(node, node.name)]


class _Walk:
    """From nodes into the functions that they call."""

    def __init__(self, library: Mapping[str, Any], callers: dict[str, str]) -> None:
        self._library, self._callers = library, callers

    def of(self, node: Any, name: str, traced: bool = False) -> Iterator[Named]:
        """A node's kernels; ``traced``: Grappler's work on it is not seen."""
        if "Xla" in node.op or node.attr["_XlaMustCompile"].b or (traced and node.op in _REWRITTEN):
            raise NotKnownError(name)
        called = list(_called(node))
        if called and node.op not in _CALLS:
            raise NotKnownError(name)
        for function in called:
            yield from self._of_function(function, name)
        if not called:
            yield from ((name, kernel) for kernel in of_node(node))

    def _of_function(self, function: str, name: str) -> Iterator[Named]:
        body = self._library.get(function)
        if body is None:
            raise NotKnownError(name)
        # Keras 2 computes gradients in its optimizer's scope, those of a layer's function too.
        caller = self._callers.get(body.attr[_FORWARD].s.decode(), name)
        for node in body.node_def:
            yield from self.of(node, f"{caller}/{node.name}", traced=True)


def _called(node: Any) -> Iterator[str]:
    """The functions that a node calls, by the names under which they were traced."""
    for value in node.attr.values():
        for function in (value.func, *value.list.func):
            if function.name:
                yield function.name.partition(_SPECIALIZED)[0]


def of_node(node: Any) -> Iterator[str]:
    """``Rsqrt float32``, whether or not oneDNN has taken it; nothing where none computes.

    Of several unary ops that Grappler made one: each of them, which it calls.
    """
    if node.op in _BOOKKEEPING or node.op.startswith(_LISTS):
        return
    ops = [_public(node.op)]
    if node.op == _COMPOSED:
        ops = [name.decode() for name in node.attr["op_names"].list.s]
    dtype = _dtype(node)
    for op in ops if dtype not in _NO_NUMBERS else ():
        yield f"{op} {dtype}" if dtype else op


def _public(op: str) -> str:
    """What an op is called before a graph is handed to oneDNN."""
    name = _ONEDNN.sub("", op)
    private = name.startswith("Fused") and not _PUBLIC_FUSED.fullmatch(name)
    return "_" + name if private else name


def _dtype(node: Any) -> str:
    """In which it computes; empty where its kernel is the same for all.

    Of random numbers T may be the dtype of their shape.
    """
    from tensorflow.python.framework import dtypes

    for key in ("dtype", "T"):
        if key in node.attr and node.attr[key].type:
            return str(dtypes.as_dtype(node.attr[key].type).name)
    return ""
