"""What oneDNN says that it made is read from the log of the process, and taken out of it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from samebits.launch import logs
from samebits.training import primitives, settings

HEADER = """\
onednn_verbose,v1,info,oneDNN v3.7.3 (commit N/A)
onednn_verbose,v1,info,cpu,runtime:threadpool,nthr:4
onednn_verbose,v1,info,cpu,isa:Intel AVX2
onednn_verbose,v1,primitive,info,template:operation,engine,primitive,implementation,prop_kind
"""
CREATE = "onednn_verbose,v1,primitive,create:cache_{},cpu,{},0.0039\n"
POOL = "pooling,jit:avx2,forward_training,src:f32 dst:f32,,alg:pooling_max,mb32ic8_ih26"
DENSE = "inner_product,x64:gemm:jit,forward_training,src:f32 wei:f32,attr,,mb32ic1352oc10"
MADE = CREATE.format("miss", POOL) + CREATE.format("miss", DENSE) + CREATE.format("hit", POOL)
LISTED = [
    {"kind": "inner_product", "implementation": "x64:gemm:jit", "direction": "forward_training",
     "shape": "mb32ic1352oc10"},
    {"kind": "pooling", "implementation": "jit:avx2", "direction": "forward_training",
     "shape": "mb32ic8_ih26"},
]  # fmt: skip


@pytest.mark.parametrize(
    ("log", "wanted"),
    [
        (HEADER + MADE, {"isa": "Intel AVX2", "threads": 4, "made": LISTED, "more": 0}),
        (f"before\n50 %{HEADER}a line of the user's\n{MADE}after", LISTED),
        ("nothing\n", None),
    ],
)
def test_each_primitive_is_known_once(log: str, wanted: Any) -> None:
    found = primitives.of_lines(log.splitlines(keepends=True))
    assert (found["made"] if isinstance(wanted, list) and found else found) == wanted


def test_of_very_many_primitives_the_first_are_listed_and_the_rest_counted() -> None:
    many = [CREATE.format("miss", f"{POOL}{n:05}") for n in range(1234)]
    found = primitives.of_lines([*HEADER.splitlines(), *many])
    assert found is not None and (len(found["made"]), found["more"]) == (1000, 234)


@pytest.mark.process
def test_the_report_is_of_this_process_and_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(HEADER.replace("AVX2", "SSE4.1"))  # of a process before this one
    program = (
        "import ctypes, os, subprocess, sys\n"
        "from samebits.training.primitives import Report\n"
        "report = Report()\n"
        "ask = ctypes.CDLL(None).getenv\n"
        "ask.restype = ctypes.c_char_p\n"
        "assert ask(b'ONEDNN_VERBOSE') and 'ONEDNN_VERBOSE' not in os.environ\n"
        f"os.write(1, {(HEADER + MADE).encode()!r})\n"
        "os.close(1)\n"
        "found = report.describe()\n"
        "assert ask(b'ONEDNN_VERBOSE') is None\n"
        "sys.stderr.write(f\"{found['isa']} {len(found['made'])}\")\n"
    )
    with log.open("ab") as file:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=file, stderr=subprocess.PIPE, text=True,
            env={"PYTHONPATH": str(Path(primitives.__file__).parents[2])}, check=False,
        )  # fmt: skip
    assert done.stderr == "Intel AVX2 2"


@pytest.mark.parametrize(
    ("pinned", "told", "holds"),
    [(1, 1, True), (1, 4, False), (4, 4, True), (4, 2, False), (4, 1, True), (None, 4, True)],
)
def test_a_pin_that_onednn_itself_contradicts_does_not_hold(
    pinned: int | None, told: int, holds: bool
) -> None:
    """One thread is also what a first primitive that is small gets from TensorFlow."""
    profile = {"isa": "AVX2", "intra_op_threads": pinned}
    isa, threads = settings.of_primitives(profile, {"isa": "Intel AVX2", "threads": told})
    assert (isa.expected, isa.effective, isa.holds()) == ("AVX2", "AVX2", True)
    assert (threads.effective, threads.holds()) == (told, holds)
    assert settings.of_primitives(profile, None) == []


def test_the_log_keeps_what_others_print_and_the_last_primitive_is_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        f"before\n50 %{HEADER}a line\n{MADE}onednn_verbose,v1,primitive,exec,cpu,x,0.1\nend"
    )
    assert logs.take_out_primitives(log) == "pooling jit:avx2 forward_training mb32ic8_ih26"
    said = "before\n50 %a line\nonednn_verbose,v1,primitive,exec,cpu,x,0.1\nend"
    assert log.read_text().replace("50 %\n", "50 %") == said
