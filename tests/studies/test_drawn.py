"""Drawn shapes: a case is always the same; wrong and CPU-dependent kernels are found.

The planted kernels are lines that a process could have written.
"""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atlas import draw, drawn, shapes
from pipeline import LAUNCH, ROOT, SCRIPTS, Workspace, command, skip_without
from samebits.errors import SamebitsError
from samebits.formats import canonical

STUDIES = ROOT / "studies"
CAPPED = {"kind": "convolution", "implementation": "jit_1x1:avx2"}
FORWARD = CAPPED | {"direction": "forward_training", "shape": "mb1"}
OF_IMAGE = CAPPED | {"direction": "backward_data", "shape": "mb1"}
OF_FILTER = CAPPED | {"direction": "backward_weights", "shape": "mb1"}
MOVED = {"kind": "reorder", "implementation": "jit:uni", "direction": "undef", "shape": "3x3"}
PRODUCT = {"kind": "matmul", "implementation": "gemm:jit:f32", "direction": "undef", "shape": ""}
FUSED = {"kind": "inner_product", "implementation": "x64:gemm:jit", "shape": ""} | {
    "direction": "forward_training"
}
DRAWN = "d8a70e46433a9ec1"
RESULTS = ("value", "gradient 1", "gradient 2")


# --- drawing ------------------------------------------------------------------------------------


def described(case: draw.Case) -> str:
    return json.dumps([case.kind, case.drawn, case.inputs, case.relu, case.graph])


def test_a_seed_and_a_number_give_one_case() -> None:
    """Whatever else is drawn: the digest is that of the cases that docs/drawn.json counts."""
    alone = [described(draw.draw(1, index)) for index in (7, 3, 11)]
    among = [described(case) for case in draw.cases(1, 0, 12)]
    assert [among[7], among[3], among[11]] == alone
    assert hashlib.sha256("".join(among).encode()).hexdigest()[:16] == DRAWN
    assert among != [described(case) for case in draw.cases(2, 0, 12)]


def test_kinds_leave_others_out_and_change_none() -> None:
    every = [case for case in draw.cases(1, 0, 300) if case.kind == "conv"]
    assert [described(c) for c in draw.cases(1, 0, len(every), ["conv"])] == [
        *map(described, every)
    ]


def test_every_kind_is_drawn_and_none_takes_long() -> None:
    found = Counter(case.kind for case in draw.cases(1, 0, 2000))
    assert set(found) == set(draw.KINDS)
    assert min(found.values()) > 20
    largest = max(np.prod(shape) for case in draw.cases(1, 0, 2000) for shape in case.inputs)
    assert 1e5 < largest <= 1.5e6


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("conv", {"batch": 1}),
        *(("conv", {"rank": rank}) for rank in (1, 2, 3)),
        *(("conv", {"groups": groups}) for groups in (1, 2, 4)),
        *(("conv", {"bias": bias}) for bias in (False, True)),
        ("conv", {"dilations": [2, 2], "strides": [1, 1]}),
        ("conv", {"kernel": [1, 1], "strides": [2, 2]}),
        ("transposed", {"rank": 3}),
        ("batch_matmul", {"batch": [1]}),
        ("batch_matmul", {"shared": "right"}),
        ("recurrent", {"cell": "GRU"}),
        ("norm", {"norm": "layer"}),
    ],
)
def test_what_is_known_to_matter_is_drawn(kind: str, what: dict[str, Any]) -> None:
    cases = draw.cases(1, 0, 200, [kind])
    assert any(all(case.drawn[name] == value for name, value in what.items()) for case in cases)


def test_values_are_float32_between_minus_one_and_one_and_the_same_again() -> None:
    case = draw.draw(1, 0)
    first, again = case.values(0, (40, 50)), draw.draw(1, 0).values(0, (40, 50))
    assert first.dtype == np.float32 and np.array_equal(first, again)
    assert -1 <= first.min() < -0.9 and 0.9 < first.max() < 1
    assert not np.array_equal(first, case.values(1, (40, 50)))


def test_no_two_values_are_equal_where_the_largest_is_taken() -> None:
    case = next(draw.cases(1, 0, 1, ["pool"]))
    assert np.unique(case.values(0, (1000, 1000))).size == 10**6


# --- judging ------------------------------------------------------------------------------------


def line(index: int = 0, kind: str = "conv", *made: dict[str, str], **more: Any) -> dict[str, Any]:
    named = {"index": index, "kind": kind, "drawn": {"bias": False}, "primitives": [*made]}
    return named | {"digests": dict.fromkeys(RESULTS, "aa")} | more


def process(*lines: dict[str, Any], cpu: str = "", threads: int = 1, **more: Any) -> drawn.Process:
    """``cpu``: one that is emulated."""
    about = {
        "cpu": f"{cpu or 'AMD'} (features 12)",
        "emulated": bool(cpu),
        "seed": 1,
        "disguise": "",
    }
    about |= {"threads": threads, "tensorflow": "2.21.0", "replaced": False, **more}
    return drawn.Process(about, lines)


CONV = (FORWARD, OF_IMAGE, OF_FILTER, MOVED)
SOUND = dict.fromkeys(RESULTS, 3e-5)


def judged(processes: list[drawn.Process]) -> dict[str, Any]:
    return dict(drawn.judge(processes)["plain"])


def kernels(made: dict[str, Any], what: str) -> list[str]:
    return [" ".join([k["direction"], str(k["threads"])]) for k in made["kernels"] if k[what]]


def test_sound_and_equal_cases_are_counted_and_none_is_listed() -> None:
    made = judged(
        [process(line(0, "conv", *CONV, off=SOUND), threads=t) for t in (1, 4)]
        + [process(line(0, "conv", *CONV), cpu="Haswell", threads=4)]
    )
    assert made["wrong"] == made["dependent"] == []
    assert made["largest"] == 3e-5
    assert [(c["threads"], c["cpu"], c["cases"]) for c in made["cases"]] == [
        (1, "native", 1),
        (4, "Haswell, QEMU", 1),
        (4, "native", 1),
    ]
    assert len(made["kernels"]) == 6
    assert not kernels(made, "wrong") + kernels(made, "dependent")


@pytest.mark.parametrize("off", [1.1e-3, 0.5, float("nan"), float("inf")])
def test_a_wrong_kernel_is_found_and_named(off: float) -> None:
    planted = SOUND | {"gradient 2": off}
    made = judged([process(line(0, "conv", *CONV, off=SOUND), line(5, "conv", *CONV, off=planted))])
    (found,) = made["wrong"]
    assert (found["index"], found["result"], found["threads"]) == (5, "gradient 2", 1)
    assert found["kernels"] == [("convolution", "jit_1x1:avx2", "backward_weights")]
    assert kernels(made, "wrong") == ["backward_weights 1"]
    assert "gradient 2" in drawn.said(found) and "jit_1x1:avx2" in drawn.said(found)


def test_a_kernel_that_ends_its_process_is_found_and_named() -> None:
    died = line(3, "conv", *CONV, died="it ends its process (SIGABRT)", last=[OF_FILTER])
    del died["digests"]
    made = judged([process(died, threads=4)])
    (found,) = made["wrong"]
    assert "it ends its process (SIGABRT)" in drawn.said(found)
    assert kernels(made, "wrong") == ["backward_weights 4"]


def test_a_kernel_that_depends_on_the_cpu_is_found_and_named() -> None:
    other = dict.fromkeys(RESULTS, "aa") | {"gradient 1": "bb"}
    same, moved = line(0, "conv", *CONV), line(0, "conv", *CONV, digests=other)
    made = judged(
        [
            process(same, line(1, "conv", *CONV), threads=4),
            process(moved, line(1, "conv", *CONV), cpu="EPYC", threads=4),
            process(same, line(1, "conv", *CONV), cpu="Haswell", threads=4),
        ]
    )  # fmt: skip
    (found,) = made["dependent"]
    assert (found["index"], found["result"], found["differs"]) == (0, "gradient 1", ["EPYC, QEMU"])
    assert kernels(made, "dependent") == ["backward_data 4"]
    assert [k["shapes"] for k in made["kernels"] if k["shapes"]] == [[OF_IMAGE["shape"]]]
    assert "gradient 1, 4 threads, EPYC, QEMU: other bits" in drawn.said(found)


def test_the_atlas_has_each_primitive_with_the_pins_under_which_it_was_drawn() -> None:
    """Some ops are replaced with several threads only; TensorFlow's own kernels are not listed."""
    other = dict.fromkeys(RESULTS, "aa") | {"value": "bb"}
    same = line(0, "conv", *CONV)
    each = [(threads, replaced) for replaced in (False, True) for threads in (1, 4)]
    made = drawn.judge(
        [
            *(process(same, threads=threads, replaced=replaced) for threads, replaced in each),
            process(line(0, "conv", *CONV, digests=other), cpu="EPYC"),
            process(line(1, "matmul"), seed=2),
        ]
    )
    rows = [row for row in drawn.primitives(made) if row["direction"] == FORWARD["direction"]]
    assert all(row["implementation"] == FORWARD["implementation"] for row in rows)
    told = [(row["threads"], "mat_mul" in row["replacements"]) for row in rows]
    assert told == [(1, False), (4, False), (1, False), (4, True)]
    assert [bool(row["replacements"]) for row in rows] == [False, False, True, True]
    assert [row["shapes"] for row in rows] == [[FORWARD["shape"]], [], [], []]


def test_threads_are_not_compared_with_each_other() -> None:
    other = line(0, "conv", *CONV, digests=dict.fromkeys(RESULTS, "bb"))
    made = judged([process(line(0, "conv", *CONV)), process(other, threads=4)])
    assert made["dependent"] == []


def test_what_a_wrong_kernel_left_is_not_called_dependent() -> None:
    other = dict.fromkeys(RESULTS, "aa") | {"gradient 2": "bb"}
    native = process(line(0, "conv", *CONV, off=SOUND | {"gradient 2": 0.4}))
    made = judged([native, process(line(0, "conv", *CONV, digests=other), cpu="EPYC")])
    assert len(made["wrong"]) == 1
    assert made["dependent"] == []


OWN = "TensorFlow's own"
OWN_GRADIENT = ("matmul", OWN, "gradient")


@pytest.mark.parametrize(
    ("kind", "made", "value", "gradient"),
    [
        ("conv", CONV, [FORWARD], [OF_IMAGE]),
        ("transposed", CONV, [OF_IMAGE], [FORWARD]),
        ("dense", [FUSED], [FUSED], [OWN_GRADIENT]),
        ("matmul", [], [("matmul", OWN, "value")], [OWN_GRADIENT]),
        ("einsum", [PRODUCT], [PRODUCT], [PRODUCT]),
        ("recurrent", [FUSED], [FUSED, ("matmul", OWN, "value")], [FUSED, OWN_GRADIENT]),
        ("norm", [MOVED], [("norm", OWN, "value")], [("norm", OWN, "gradient")]),
    ],
)  # fmt: skip
def test_a_result_is_known_by_what_may_have_computed_it(
    kind: str, made: list[dict[str, str]], value: list[Any], gradient: list[Any]
) -> None:
    of = line(0, kind, *made)
    for result, expected in (("value", value), ("gradient 1", gradient)):
        named = [
            (k["kind"], k["implementation"], k["direction"]) if isinstance(k, dict) else k
            for k in expected
        ]
        assert drawn.computed_by(of, result) == named


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([process(line(), tensorflow="2.8.0")], "more than one TensorFlow"),
        ([drawn.Process({**process().about, "cpu": "Intel"}, ())], "more than one native CPU"),
        ([process(line())], "computed twice on native"),
    ],
)
def test_what_cannot_be_compared_is_refused(others: list[drawn.Process], said: str) -> None:
    with pytest.raises(SamebitsError, match=said):
        judged([process(line()), *others])


def test_a_file_that_lacks_cases_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    lines = [{"format": drawn.FORMAT, "count": 2}, line(0), line(1)]
    path.write_text("".join(json.dumps(part) + "\n" for part in lines))
    assert len(drawn.read(path).lines) == 2
    path.write_text("".join(json.dumps(part) + "\n" for part in lines[:-1]))
    with pytest.raises(SamebitsError, match="all of its cases"):
        drawn.read(path)


# --- the readers' page --------------------------------------------------------------------------


def page_of(*processes: drawn.Process) -> str:
    return shapes.page(drawn.judge(processes))


def test_the_page_has_the_counts_by_kernel_and_threads() -> None:
    other = line(0, "conv", *CONV, digests=dict.fromkeys(RESULTS, "bb"))
    made = page_of(
        *(process(line(0, "conv", *CONV, off=SOUND), threads=t) for t in (1, 4)),
        *(
            process(of, cpu="EPYC", threads=t)
            for of, t in ((line(0, "conv", *CONV), 1), (other, 4))
        ),
    )
    assert "| threads | native | EPYC, QEMU |" in made
    assert "| convolution | `jit_1x1:avx2` | backward\\_data | 0 of 1 | 1 of 1 | 0 of 2 |" in made
    assert "value, gradient 1, gradient 2: EPYC, QEMU" in made
    assert "Not computed." in made


def test_the_page_names_what_is_wrong_with_its_shape() -> None:
    planted = line(7, "conv", *CONV, off=SOUND | {"gradient 2": 0.5}, drawn={"sizes": [3, 4]})
    made = page_of(process(planted, threads=4))
    row = "| `convolution jit_1x1:avx2 backward_weights` | 4 | gradient 2: 50% off (native) "
    assert row + "| conv: sizes 3 x 4 | 1, 7 |" in made


def test_the_page_says_what_the_replacements_leave() -> None:
    plain = process(line(0, "conv", *CONV, off=SOUND))
    replaced = [process(line(0, "conv", *CONV, off=SOUND), replaced=True)]
    assert "Nothing is wrong, and nothing depends on the CPU." in page_of(plain, *replaced)
    left = line(0, "conv", *CONV, digests=dict.fromkeys(RESULTS, "bb"))
    replaced += [process(left, cpu="Haswell", replaced=True)]
    made = page_of(plain, *replaced).partition("## With portable")[2]
    assert "value, gradient 1, gradient 2: Haswell, QEMU" in made and "Nothing is wrong" not in made


def test_the_documents_are_those_of_the_json() -> None:
    made = canonical.read_json(ROOT / "docs" / "drawn.json")
    assert (ROOT / "docs" / "drawn.md").read_text(encoding="utf-8") == shapes.page(made)
    assert made["limit"] == drawn.LIMIT


# --- with TensorFlow ----------------------------------------------------------------------------


def computed(workspace: Workspace, path: Path, *given: object, cpu: str = "") -> drawn.Process:
    skip_without("3.11")
    python = workspace.python("train-tf2.21")
    emulated = ["--vary", f"cpu={cpu}"] if cpu else []
    command(
        *LAUNCH, python, "--log", path.with_suffix(".log"), *emulated, "PYTHONHASHSEED=0",
        f"PYTHONPATH={SCRIPTS}:{STUDIES}", "--", STUDIES / "atlas/run_drawn.py",
        "--seed", "1", *given, "--output", path, cwd=path.parent,
    )  # fmt: skip
    return drawn.read(path)


@pytest.mark.slow
def test_a_case_has_the_same_bits_alone_and_among_others(
    workspace: Workspace, tmp_path: Path
) -> None:
    many = computed(workspace, tmp_path / "many", "--threads", "1", "--first", "0", "--count", "9")
    (alone,) = computed(
        workspace, tmp_path / "one", "--threads", "1", "--first", "5", "--count", "1"
    ).lines
    assert alone == many.lines[5]
    assert all(max(line["off"].values()) < drawn.LIMIT for line in many.lines)


@pytest.mark.slow
def test_a_hundred_shapes_are_right_and_alike_on_other_cpus_as_portable_computes_them(
    workspace: Workspace, tmp_path: Path
) -> None:
    """Ten of them emulated; all where this CPU can pass for another."""
    given = ("--threads", "4", "--replaced", "--count")
    found = [computed(workspace, tmp_path / "native", *given, "100")]
    found += [computed(workspace, tmp_path / "emulated", *given, "10", cpu="Haswell")]
    if "cpuid_fault" in Path("/proc/cpuinfo").read_text():
        disguised = (*given, "100", "--disguise", "EPYC")
        found.append(computed(workspace, tmp_path / "disguised", *disguised))
    assert len({process.cpu for process in found}) == len(found)
    made = drawn.judge(found)["replaced"]
    assert [*map(drawn.said, [*made["wrong"], *made["dependent"]])] == []
