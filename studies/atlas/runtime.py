"""The battery computed in this process, under one number of threads after the other.

Only TensorFlow's runtime is imported, without its API and Keras: an emulator needs minutes for
these. Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21.
"""

from __future__ import annotations

import importlib.machinery
import os
import re
import sys
import tempfile
import types
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np

from atlas import battery
from samebits.errors import SamebitsError
from samebits.formats import files

_ONEDNN = "_Mkl"  # prefix of the names of its ops


@dataclass(frozen=True)
class Loaded:
    """The battery, ready to be computed."""

    graph: Any
    scopes: dict[str, str]  # input -> the scope of the nodes that feed it
    feeds: dict[str, np.ndarray]
    fetches: dict[str, str]  # result -> its node


@dataclass(frozen=True)
class Computed:
    """Every result, what computed it, and whether oneDNN was among that."""

    values: dict[str, Any]
    kernels: dict[str, list[str]]
    onednn: bool


def load(folder: Path, content: Any) -> Loaded:
    """Read the graph and its inputs. Raises SamebitsError when a file has changed."""
    for name, digest in content["files"].items():
        if files.digest(folder / name) != digest:
            raise SamebitsError(
                f"{folder / name} changed since the battery was built; delete {folder} and build "
                "it again"
            )
    _import_runtime()
    from tensorflow.core.framework import graph_pb2
    from tensorflow.python.framework import importer, ops

    definition = graph_pb2.GraphDef.FromString((folder / "graph.pb").read_bytes())
    graph = ops.Graph()
    with graph.as_default():
        importer.import_graph_def(definition, name="")
    with np.load(str(folder / "feeds.npz")) as stored:
        feeds = {name: stored[name] for name in stored.files}
    fetches = {battery.label(r): r["node"] for r in content["results"]}
    return Loaded(graph, content["fed"], feeds, fetches)


def _import_runtime() -> None:
    """Make ``tensorflow.python…`` importable without executing ``tensorflow/__init__.py``."""
    if "tensorflow" not in sys.modules:
        found = importlib.machinery.PathFinder.find_spec("tensorflow")
        if found is None:
            raise SamebitsError("expected TensorFlow in this environment, got none")
        bare = types.ModuleType("tensorflow")
        bare.__path__ = list(found.submodule_search_locations or [])
        sys.modules["tensorflow"] = bare


def pin() -> None:
    """Make ops deterministic, and give every session threads of its own instead of shared ones.

    The variable is TensorFlow's (core/common_runtime/local_device.cc); without it, all sessions of
    a process have as many threads as the first one asked for.
    """
    from tensorflow.python.framework import config

    os.environ["TF_OVERRIDE_GLOBAL_THREADPOOL"] = "1"
    config.enable_op_determinism()


def compute(loaded: Loaded, threads: int) -> Computed:
    """Compute every result with a number of intra-op threads."""
    from tensorflow.core.protobuf import config_pb2
    from tensorflow.python.client import session

    pinned = config_pb2.ConfigProto(intra_op_parallelism_threads=threads)
    pinned.inter_op_parallelism_threads = 1
    pinned.graph_options.rewrite_options.disable_meta_optimizer = True  # the battery is rewritten
    options = config_pb2.RunOptions(output_partition_graphs=True)
    metadata = config_pb2.RunMetadata()
    names = sorted(loaded.fetches)
    fetches = {name: loaded.fetches[name] + ":0" for name in names}
    with session.Session(graph=loaded.graph, config=pinned) as running:
        battery.fill(running, loaded.scopes, loaded.feeds)
        values = running.run(fetches, options=options, run_metadata=metadata)
    nodes = {node.name: node for graph in metadata.partition_graphs for node in graph.node}
    kernels = {name: _kernels(loaded, nodes, name) for name in names}
    onednn = any(node.op.startswith(_ONEDNN) for node in nodes.values())
    return Computed(values, kernels, onednn)


def _kernels(loaded: Loaded, nodes: dict[str, Any], name: str) -> list[str]:
    """Behind one result: none behind a constant, which TensorFlow hands out without its node."""
    node = loaded.fetches[name]
    if loaded.graph.get_operation_by_name(node).type == "Const":
        return []
    return battery.kernels(nodes, node)


_CONVOLUTION = "Conv2D float32"  # what oneDNN computes wherever it is on


def require_onednn(said: bool, in_force: str | None, computed: Computed) -> None:
    """Raise SamebitsError unless oneDNN was on, or off, as asked for, and reported what it used."""
    convolved = any(_CONVOLUTION in kernels for kernels in computed.kernels.values())
    if computed.onednn != said and (computed.onednn or convolved):
        raise SamebitsError(
            f"TF_ENABLE_ONEDNN_OPTS={said:d} had no effect: oneDNN is {'off' if said else 'on'} in "
            "the executed graph; start with it, through scripts/launch.py"
        )
    if computed.onednn and in_force is None:
        raise SamebitsError(
            "oneDNN did not report its instruction set, so the one in force is unknown"
        )


@contextmanager
def onednn_report() -> Iterator[Callable[[], str | None]]:
    """Capture oneDNN's output while the block runs; afterwards, the instruction set that it used.

    None where it computed nothing.
    """
    os.environ["ONEDNN_VERBOSE"] = os.environ["DNNL_VERBOSE"] = "1"
    said: list[str] = []
    with tempfile.TemporaryFile() as file:
        terminal = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            yield lambda: _instruction_set(said[0])
        finally:
            _flush()
            os.dup2(terminal, 1)
            os.close(terminal)
            file.seek(0)
            said.append(file.read().decode("utf-8", "replace"))


def _instruction_set(report: str) -> str | None:
    match = re.search(r"info,cpu,isa:(.*)", report)
    return match.group(1).strip() if match and ",exec," in report else None


def _flush() -> None:
    """Flush the buffers of Python and C."""
    import ctypes

    sys.stdout.flush()
    ctypes.CDLL(None).fflush(None)
