"""What a probe says of oneDNN, and what it refuses, without TensorFlow."""

import os
from types import SimpleNamespace
from typing import Any

import pytest

from atlas import battery, runtime
from samebits.errors import SamebitsError

CONVOLUTION = {"conv2d": ["Conv2D float32"], "add": ["AddV2 float32"]}
NONE = {"add": ["AddV2 float32"]}


def refuse(said: bool, seen: bool, kernels: dict[str, list[str]], report: str | None) -> None:
    runtime.require_onednn(said, report, runtime.Computed({}, kernels, seen))


@pytest.mark.parametrize(
    ("said", "seen", "kernels", "report"),
    [
        (True, True, CONVOLUTION, "Intel AVX2"),
        (False, False, CONVOLUTION, None),
        (False, False, CONVOLUTION, "Intel AVX2"),  # Eigen's products call oneDNN as well
        (True, False, NONE, None),  # nothing that oneDNN computes
    ],
)
def test_onednn_as_it_is_said_to_be_is_accepted(
    said: bool, seen: bool, kernels: dict[str, list[str]], report: str | None
) -> None:
    refuse(said, seen, kernels, report)


@pytest.mark.parametrize(
    ("said", "seen", "kernels", "message"),
    [
        (True, False, CONVOLUTION, "TF_ENABLE_ONEDNN_OPTS=1 had no effect: oneDNN is off"),
        (False, True, CONVOLUTION, "TF_ENABLE_ONEDNN_OPTS=0 had no effect: oneDNN is on"),
        (False, True, NONE, "TF_ENABLE_ONEDNN_OPTS=0 had no effect: oneDNN is on"),
    ],
)
def test_onednn_other_than_it_is_said_to_be_is_refused(
    said: bool, seen: bool, kernels: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(SamebitsError, match=message):
        refuse(said, seen, kernels, "Intel AVX2")


def test_onednn_that_does_not_report_its_instruction_set_is_refused() -> None:
    with pytest.raises(SamebitsError, match="did not report its instruction set"):
        refuse(True, True, CONVOLUTION, None)


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
