"""Which kernels a training executed: those of its first batch, layer by layer.

TensorFlow rewrites a graph before it runs it (a / sqrt(b) becomes a * Rsqrt(b)), so the graphs are
collected as they were executed, once; TensorFlow has them anyway. No operation is added and no
random number drawn. Most functions are inlined in such a graph, and Grappler has rewritten it: the
names are those of the kernels that run. A remaining call is known only as it was traced; where
Grappler could turn that into other kernels, and where XLA compiles, the kernels are unknown.

The layer of a node follows from the name scopes in the node's name. A name alone is ambiguous:
Keras 3 opens a scope twice per call, so ``dense_1`` is the layer ``dense`` and ``dense_1_2`` the
layer ``dense_1``. So the scope of each layer is noted while Keras makes the graph. A kernel that
Grappler made of ops of two layers belongs to the layer that its name says.

Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21; with 2.1 the executed kernels are unknown.
"""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from typing import Any, ContextManager, Dict, Iterator, Mapping, Tuple

from samebits.text import say
from samebits.training import task

OPTIMIZER, REST = "optimizer", "loss, metrics, input"

Entry = Dict[str, Any]
_KERAS_3, _KERAS_2 = "_open_name_scope", "_name_scope"

Components = Tuple[str, ...]
Named = Tuple[str, str]  # a node's name with those of the calls around it, its kernel

# Ops that move, shape or store numbers, or control the flow: they compute none.
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
_FORWARD = "forward_function_name"  # in a gradient function: the name of its forward function


class Watch(ContextManager["Watch"]):
    """The kernels of the first batch that a model trains, in ``found``.

    None: they are unknown, or no batch was trained.
    """

    def __init__(self, tf: Any, model: Any) -> None:
        """``model``: compiled."""
        self.found: list[Entry] | None = None
        self._tf, self._model = tf, model
        self._scopes = LayerScopes(tf)
        self._collecting = ExitStack()
        self._wanted = can_watch(tf) and not model.run_eagerly

    def __exit__(self, *_: Any) -> None:
        """Undo the changes to TensorFlow and Keras, also after a batch that raised an exception."""
        self._collecting.close()

    def callback(self) -> Any:
        """The callback to pass to ``fit``."""
        return task.callback(
            self._tf,
            on_train_batch_begin=lambda batch, logs=None: self._begin(),
            on_train_batch_end=lambda batch, logs=None: self._collecting.close(),
        )

    def _begin(self) -> None:
        """Have TensorFlow keep the graph of each function that it runs for the first time."""
        if not self._wanted:
            return
        self._wanted = False
        context = _context()
        context.enable_graph_collection()
        self._collecting.callback(context.disable_graph_collection)
        self._collecting.enter_context(self._scopes.watched())
        self._collecting.callback(self._collect)

    def _collect(self) -> None:
        """Read the graphs, as soon as the batch has ended or raised an exception."""
        try:
            functions = _context().export_run_metadata().function_graphs
            if not self._scopes.ambiguous:
                self.found = _by_owner(functions, self._scopes, self._model, self._tf)
        except Exception as error:  # graphs may be larger than a message may be, to name one
            say(f"the executed kernels are unknown: {error!r}")  # no fault of the training


def _context() -> Any:
    from tensorflow.python.eager import context

    return context.context()


def _owners(tf: Any, model: Any, path: str = "") -> Iterator[tuple[int, str]]:
    """The layers that own kernels, by id, with their paths below the model; some more than once.

    The model itself, its layers, and of models within it their layers too. Kernels of a layer
    within a layer belong to the outer one.
    """
    yield id(model), path or model.name
    for layer in model.layers:
        name = f"{path}/{layer.name}" if path else layer.name
        if isinstance(layer, tf.keras.Model):
            yield from _owners(tf, layer, name)
        else:
            yield id(layer), name


def _by_owner(functions: Any, found: LayerScopes, model: Any, tf: Any) -> list[Entry] | None:
    """The record's part; None where the kernels are unknown."""
    owners, optimizer = dict(reversed([*_owners(tf, model)])), task.optimizer_name(model)
    kernels: dict[Any, set[str]] = {}
    try:
        for node, kernel in _of_steps(functions, found):
            around = (id(one) for one in found.layers_around(node) if id(one) in owners)
            rest = OPTIMIZER if has_scope(node, optimizer) else REST
            kernels.setdefault(next(around, rest), set()).add(kernel)
    except NotKnownError:
        return None
    return list(_entries(kernels, found, owners, model)) or None


def _of_steps(functions: Any, found: LayerScopes) -> Iterator[tuple[str, str]]:
    """The kernels of all functions; none if no function contains a layer.

    A step may consist of several: one for the layers, and one that only applies gradients.
    """
    if any(found.layers_around(node.name) for function in functions for node in _nodes(function)):
        for function in functions:
            yield from executed(function)


def _nodes(function: Any) -> Iterator[Any]:
    return (node for graph in function.partition_graphs for node in graph.node)


def _entries(
    kernels: dict[Any, set[str]], found: LayerScopes, owners: Mapping[int, str], model: Any
) -> Iterator[Entry]:
    """Layers with kernels in forward order, then the optimizer and the rest."""
    tensors = {id(variable): name for name, variable in task.named(model.trainable_variables)}
    layers: list[Any] = [layer for layer in found.layers() if id(layer) in kernels]
    layers += [name for name in (OPTIMIZER, REST) if name in kernels]
    names = task.unique(str(owners.get(id(layer), layer)) for layer in layers)
    for name, layer in zip(names, layers):
        none = isinstance(layer, str)
        yield {
            "layer": name,
            "class": None if none else type(layer).__name__,
            "tensors": [] if none else _own_tensors(layer, owners, tensors),
            "kernels": sorted(kernels[layer if none else id(layer)]),
        }


def _own_tensors(layer: Any, owners: Mapping[int, str], names: Mapping[int, str]) -> list[str]:
    """Those of a layer itself: of a model within the model, not those of its layers."""
    inner = [one for one in getattr(layer, "layers", []) if id(one) in owners]
    taken = {id(variable) for one in inner for variable in one.trainable_variables}
    own = [id(v) for v in layer.trainable_variables if id(v) not in taken]
    return [names[variable] for variable in own if variable in names]


# ---- layer name scopes -----------------------------------------------------------------------


def can_watch(tf: Any) -> bool:
    """Whether this Keras says which scope it gives a layer: not that of TensorFlow 2.1."""
    return hasattr(tf.keras.layers.Layer, _KERAS_3) or hasattr(tf, "__internal__")


class LayerScopes:
    """Which layer each scope was given to."""

    def __init__(self, tf: Any) -> None:
        """No scope yet."""
        self._tf = tf
        self._found: dict[Components, Any] = {}
        self.ambiguous = False  # two layers were given the same scope

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note the scopes that Keras opens meanwhile. Keras computes the same."""
        layer = self._tf.keras.layers.Layer
        method = _KERAS_3 if hasattr(layer, _KERAS_3) else _KERAS_2
        original = getattr(layer, method)
        noting = self._entering if method == _KERAS_3 else self._asking
        setattr(layer, method, self._tf.autograph.experimental.do_not_convert(noting(original)))
        try:
            yield
        finally:
            setattr(layer, method, original)

    def _entering(self, original: Any) -> Any:
        """Keras 3 gives the scope itself, whose full name is known once it was entered."""

        @contextmanager
        def entered(layer: Any) -> Iterator[Any]:
            with original(layer) as scope:
                self._note(self._tf.get_current_name_scope(), layer)
                yield scope

        return entered

    def _asking(self, original: Any) -> Any:
        """Keras 2 gives the full name of the scope, with a slash at its end."""

        def watched(layer: Any) -> Any:
            name = original(layer)
            self._note(name, layer)
            return name

        return watched

    def _note(self, name: str, layer: Any) -> None:
        scope = tuple(name.strip("/").split("/"))
        if self._found.setdefault(scope, layer) is not layer:
            self.ambiguous = True

    def layers(self) -> list[Any]:
        """All layers that were given a scope, in the order in which they were first called."""
        return list({id(layer): layer for layer in self._found.values()}.values())

    def layers_around(self, name: str) -> list[Any]:
        """The layers whose scopes are in a node's name, the innermost first.

        TensorFlow puts different names before a scope: of the caller, of a gradient, of the
        optimization that made the node. So a scope may begin anywhere.
        """
        parts, found = tuple(name.split("/")[:-1]), []
        for length in range(len(parts), 0, -1):
            for start in range(len(parts) - length + 1):
                layer = self._found.get(parts[start : start + length])
                if layer is not None:
                    found.append(layer)
        return found


def has_scope(node: str, name: str | None) -> bool:
    """Whether a node's name contains this scope, or a later one of the same name."""
    parts = node.split("/")[:-1]
    return name is not None and any(re.fullmatch(re.escape(name) + r"(_\d+)?", p) for p in parts)


# ---- kernels of a graph -----------------------------------------------------------------------


class NotKnownError(Exception):
    """The kernels that run are unknown."""


def executed(function: Any) -> list[Named]:
    """The kernels of one function graph of a RunMetadata. Raises NotKnownError."""
    library = {f.signature.name: f for f in function.pre_optimization_graph.library.function}
    nodes = list(_nodes(function))
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
    """The op's name before a graph is handed to oneDNN."""
    name = _ONEDNN.sub("", op)
    private = name.startswith("Fused") and not _PUBLIC_FUSED.fullmatch(name)
    return "_" + name if private else name


def _dtype(node: Any) -> str:
    """The dtype in which it computes; empty if its kernel is the same for all.

    ``T`` of a random op may be the dtype of a shape.
    """
    from tensorflow.python.framework import dtypes

    for key in ("dtype", "T"):
        if key in node.attr and node.attr[key].type:
            return str(dtypes.as_dtype(node.attr[key].type).name)
    return ""
