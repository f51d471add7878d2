"""What a probe says of oneDNN, and what it refuses, without TensorFlow."""

import os
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from atlas import battery, runtime
from refusals import refused
from samebits.errors import SamebitsError

CONVOLUTION = {"conv2d": ["Conv2D float32"], "add": ["AddV2 float32"]}
NONE = {"add": ["AddV2 float32"]}


@pytest.mark.parametrize(
    ("said", "seen", "kernels", "report", "message"),
    [
        (True, True, CONVOLUTION, "Intel AVX2", ""),
        (False, False, CONVOLUTION, None, ""),
        (False, False, CONVOLUTION, "Intel AVX2", ""),  # Eigen's products call oneDNN as well
        (True, False, NONE, None, ""),  # nothing that oneDNN computes
        (True, False, CONVOLUTION, "Intel AVX2", "=1 had no effect: oneDNN is off"),
        (False, True, CONVOLUTION, "Intel AVX2", "=0 had no effect: oneDNN is on"),
        (False, True, NONE, "Intel AVX2", "=0 had no effect: oneDNN is on"),
        (True, True, CONVOLUTION, None, "did not report its instruction set"),
    ],
)
def test_onednn_other_than_it_is_said_to_be_is_refused(
    said: bool, seen: bool, kernels: dict[str, list[str]], report: str | None, message: str
) -> None:
    with refused(message) if message else nullcontext():
        runtime.require_onednn(said, report, runtime.Computed({}, kernels, seen))


def test_what_computed_a_result_has_to_be_in_the_graph() -> None:
    nodes: dict[str, Any] = {}
    with pytest.raises(SamebitsError, match="rsqrt/result is not in the graph"):
        battery.kernels(nodes, "rsqrt/result")


REPORTS = {
    "onednn_verbose,info,cpu,isa:Intel AVX2\nonednn_verbose,exec,cpu,convolution": "Intel AVX2",
    "onednn_verbose,v1,info,cpu,isa:Intel AVX\nonednn_verbose,v1,primitive,exec,cpu": "Intel AVX",
    "onednn_verbose,info,cpu,isa:Intel AVX2\n": None,  # it was loaded, and computed nothing
    "": None,
}


@pytest.mark.parametrize(("report", "isa"), REPORTS.items(), ids=range(len(REPORTS)))
def test_the_instruction_set_is_that_with_which_onednn_computed(
    monkeypatch: pytest.MonkeyPatch, report: str, isa: str | None
) -> None:
    for name in ("ONEDNN_VERBOSE", "DNNL_VERBOSE"):
        monkeypatch.setenv(name, "0")  # so that it is put back
    with runtime.onednn_report() as instruction_set:
        os.write(1, report.encode())
    assert instruction_set() == isa


def test_behind_a_constant_there_is_no_kernel_and_behind_what_is_missing_it_is_not_known() -> None:
    types = {"constant": "Const", "lost": "Identity"}
    graph = SimpleNamespace(get_operation_by_name=lambda name: SimpleNamespace(type=types[name]))
    loaded = runtime.Loaded(graph, {}, {}, {name: name for name in types})
    assert runtime._kernels(loaded, {}, "constant") == []
    with pytest.raises(SamebitsError, match="is unknown"):
        runtime._kernels(loaded, {}, "lost")
