"""The article's claims: how output is judged, what the page says, and the programs themselves."""

import ast
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from claims import judge, page, run
from claims.judge import NO, NOT_APPLICABLE, NOT_SHOWN, YES
from pipeline import DRY, LAUNCH, ROOT, SCRIPTS, Workspace, command, jobs
from samebits.errors import SamebitsError
from samebits.formats import canonical, dataset

VERSIONS = ("2.1.0", "2.8.0", "2.21.0")
LOCK = ROOT / "envs" / "train-tf2.21.lock.txt"
STUDY = ROOT / "studies" / "claims"
WORKFLOW = ("--snakefile", str(STUDY / "Snakefile"))

# --- judged -------------------------------------------------------------------------------------

Json = dict[str, Any]


def process(*lines: str, error: str | None = None) -> Json:
    """A process that printed these lines: ``history a`` stands for ``history: a``."""
    printed = [line.replace(" ", ": ", 1) for line in lines]
    return {"command": "python x.py", "lines": printed, "error": error}


A2, AB = process("history a", "history a"), process("history a", "history b")
A, B = process("history a"), process("history b")
STOPPED = process("history a", error="MemoryError: no memory")
UNSEEDED = process(
    error="RuntimeError: Random ops require a seed to be set when determinism is enabled."
)
REFUSED = process(error="ValueError: Unrelated")


def hashed(hash_: str, *histories: str) -> Json:
    return process(f"hash {hash_}", *(f"history {history}" for history in histories))


def seeded(before: str, history: str, after: str) -> Json:
    return process(f"before {before}", f"history {history}", f"after {after}")


CASES: list[tuple[str, list[Json], str]] = [
    ("recipe_2_1", [A2], YES),
    ("recipe_2_1", [AB], NO),
    ("recipe_2_1", [STOPPED], NO),
    ("recipe_2_1", [A], NOT_SHOWN),  # one training is equal to itself
    ("hash_seed_not_needed", [hashed("1", "a", "a"), hashed("2", "a", "a")], YES),
    ("hash_seed_not_needed", [hashed("1", "a", "a"), hashed("1", "a", "a")], NOT_SHOWN),
    ("hash_seed_not_needed", [hashed("1", "a", "a"), hashed("2", "b")], NO),
    *(
        case
        for claim in ("python_seed_not_needed", "numpy_seed_not_needed")
        for case in [
            (claim, [seeded("1", "a", "1"), seeded("2", "a", "2")], YES),
            (claim, [seeded("1", "a", "1"), seeded("1", "a", "1")], NOT_SHOWN),
            (claim, [process(), process()], NOT_SHOWN),
            (claim, [seeded("1", "a", "3"), seeded("2", "b", "4")], NO),
        ]
    ),
    ("seed_required", [UNSEEDED], YES),
    ("seed_required", [REFUSED], NOT_SHOWN),
    ("seed_required", [A], NO),
    *(
        ("hash_seed_inside_too_late", [process(*(f"hash {h}" for h in p)) for p in hashes], outcome)
        for hashes, outcome in [
            (["11", "22", "77", "77"], YES),
            (["17", "27", "77", "77"], NO),
            (["77", "77", "77", "77"], NO),
            (["11", "22", "77", "88"], NOT_SHOWN),
        ]
    ),
    ("unimplemented_op_raises", [process("x FailedPreconditionError", "y computed")], NOT_SHOWN),
    ("unimplemented_op_raises", [process("x computed", "y UnimplementedError no")], YES),
    ("silent_op_exists", [process("memory 1"), process("memory 2")], YES),
    ("silent_op_exists", [process("memory 1"), process("memory 1")], NOT_SHOWN),
    ("silent_op_exists", [process("memory 0", f"memory {last}") for last in "12"], YES),
    ("silent_op_exists", [process("memory 1"), REFUSED], NOT_SHOWN),
    ("nothing_pinned_differs", [A, B], YES),
    ("nothing_pinned_differs", [A, A], NO),
    ("nothing_pinned_differs", [STOPPED, A], NOT_SHOWN),
    ("nothing_pinned_differs", [process(), process()], NOT_SHOWN),
]


@pytest.mark.parametrize(("claim", "processes", "expected"), CASES)
def test_the_outcome_is_what_was_printed(claim: str, processes: list[Json], expected: str) -> None:
    assert judge.outcome(claim, processes)[0] == expected


def test_a_framework_without_op_determinism_is_not_applicable() -> None:
    lacking = process(error="AttributeError: module 'x' has no attribute 'enable_op_determinism'")
    assert judge.outcome("recipe_2_8", [lacking])[0] == NOT_APPLICABLE


def test_whether_a_generator_is_used_is_told() -> None:
    drawn = [seeded("1", "a", "3"), seeded("2", "a", "4")]
    assert judge.outcome("python_seed_not_needed", drawn)[1].endswith("draws from it")
    idle = [seeded("1", "a", "1"), seeded("2", "a", "2")]
    assert judge.outcome("python_seed_not_needed", idle)[1].endswith("draws nothing from it")


# --- the programs -------------------------------------------------------------------------------


def test_every_claim_has_a_program_that_python_3_7_reads_and_every_program_a_claim() -> None:
    programs = {path.stem: path for path in judge.PROGRAMS.glob("*.py")}
    assert set(programs) - {"article"} == set(judge.CLAIMS)
    for path in programs.values():
        assert ast.get_docstring(ast.parse(path.read_bytes(), feature_version=(3, 7)))


def test_an_error_is_the_one_that_ended_the_program() -> None:
    stderr = """a warning
Traceback (most recent call last):
  File "a.py", line 1, in <module>
ValueError: the first

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
    ^^^^
tensorflow.python.errors.InvalidArgumentError: Graph error:

Detected at node x: it is odd
"""
    expected = "InvalidArgumentError: Graph error: Detected at node x: it is odd"
    assert run.message(stderr) == expected


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many images of noise as a claim trains on."""
    random, folder = np.random.default_rng(1), tmp_path_factory.mktemp("data") / "arrays"
    x = random.integers(0, 256, (judge.SAMPLES, 28, 28), np.uint8)
    y = random.integers(0, 10, judge.SAMPLES, np.uint8)
    folder.mkdir()
    dataset.write(folder, {"x_train": x, "y_train": y})
    return folder


def measure(
    workspace: Workspace, data: Path, folder: Path, claim: str, studies: Path = STUDY.parent
) -> Json:
    """Run a claim as its rule does, in a shell that says otherwise."""
    output, python = folder / f"{claim}.json", workspace.python("train-tf2.21")
    command(
        *LAUNCH, python, "--log", folder / f"{claim}.log", f"PYTHONPATH={SCRIPTS}:{studies}", "--",
        studies / "claims" / "run.py", "--claim", claim, "--data", data, "--lock", LOCK,
        "--output", output,
        cwd=folder, variables={"PYTHONHASHSEED": "5", "TF_DETERMINISTIC_OPS": "1"},
    )  # fmt: skip
    found: Json = canonical.read_json(output)
    return found


@pytest.mark.parametrize(
    "claim",
    [
        "seed_required",
        "hash_seed_inside_too_late",
        pytest.param("recipe_2_8", marks=pytest.mark.slow),
        pytest.param("nothing_pinned_differs", marks=pytest.mark.slow),
    ],
)
def test_a_claim_that_must_hold_is_measured_to_hold(
    workspace: Workspace, data: Path, tmp_path: Path, claim: str
) -> None:
    found = measure(workspace, data, tmp_path, claim)
    assert found["outcome"] == YES, found["reason"]
    assert found["tensorflow"] == "2.21.0"
    assert found["dataset"] == dataset.check(data)


def test_a_recipe_that_does_not_hold_comes_out_as_no(
    workspace: Workspace, data: Path, tmp_path: Path
) -> None:
    studies = shutil.copytree(STUDY.parent, tmp_path / "studies")
    program = studies / "claims" / "programs" / "recipe_2_8.py"
    source = program.read_text(encoding="utf-8")
    seeding, unseeded = "set_random_seed(1)", "set_random_seed(__import__('os').getpid() + _)"
    assert source.count(seeding) == 1
    program.write_text(source.replace(seeding, unseeded), encoding="utf-8")
    found = measure(workspace, data, tmp_path, "recipe_2_8", studies)
    expected = NO, "2 trainings in one process: 2 different histories"
    assert (found["outcome"], found["reason"]) == expected


# --- the page -----------------------------------------------------------------------------------


def results(said: str = "all histories equal") -> list[Json]:
    """One result per claim and TensorFlow version, made up; the outcomes take turns."""
    words = (YES, NO, NOT_APPLICABLE, NOT_SHOWN)
    printed = process("history e", f"hash {'1' * 500}", error=f"ValueError: {said}")
    return [
        {
            "claim": name,
            "program": (judge.PROGRAMS / f"{name}.py").read_text(encoding="utf-8"),
            "processes": [printed | {"command": f"{given} python x.py"} for given in variables],
            "outcome": words[(place + turn) % len(words)],
            "reason": said,
            "seconds": 1.5,
            "dataset": "d" * 64,
            "python": "3.11.7",
            "tensorflow": version,
            "keras": None,
            "machine": "A CPU, 2 CPUs, Linux",
        }
        for turn, (name, (variables, _)) in enumerate(judge.CLAIMS.items())
        for place, version in enumerate(VERSIONS)
    ]


def test_results_are_in_the_claims_order_and_by_version_number() -> None:
    collected = page.collect(results()[::-1])
    assert [claim[0]["claim"] for claim in collected] == list(judge.CLAIMS)
    for claim in collected:
        assert [result["tensorflow"] for result in claim] == list(VERSIONS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda made: made[1:], r"recipe_2_1 \(2\.1\.0\)"),
        (lambda made: [made[0], *made], r"recipe_2_1 \(2\.1\.0\)"),
        (lambda made: [made[0] | {"dataset": "e" * 64}, *made[1:]], "different data"),
    ],
    ids=["missing", "twice", "other data"],
)
def test_results_that_do_not_belong_together_are_refused(change: Any, said: str) -> None:
    with pytest.raises(SamebitsError, match=said):
        page.collect(change(results()))


def test_the_page_quotes_what_was_measured_and_escapes_it() -> None:
    html = page.render(page.collect(results("<b>& that</b>")))
    assert "&lt;b&gt;&amp; that&lt;/b&gt;" in html
    assert "<b>& that" not in html
    assert "6,400" in html
    assert "$ PYTHONHASHSEED=0 TF_DETERMINISTIC_OPS=1 python x.py\n" in html
    counted = Counter(result["outcome"] for result in results())
    assert ", ".join(f"{counted[word]} {word}" for word in sorted(counted)) + "." in html


def started(workspace: Workspace, folder: Path, made: list[Json], check: bool) -> tuple[str, Path]:
    """Run the page's program as its rule does."""
    inputs = [folder / f"{place}.json" for place in range(len(made))]
    for path, result in zip(inputs, made, strict=True):
        canonical.write_json(path, result)
    claims = [word for path in inputs for word in ("--claim", path)]
    done = command(
        *LAUNCH, workspace.python("render"), "--log", folder / "log",
        f"PYTHONPATH={SCRIPTS}:{STUDY.parent}", "--", STUDY / "page.py",
        "--output", folder / "claims.html", *claims,
        cwd=folder, check=check,
    )  # fmt: skip
    return done.stdout, folder / "claims.html"


def test_results_become_one_page(workspace: Workspace, tmp_path: Path) -> None:
    _, output = started(workspace, tmp_path, results(), check=True)
    assert output.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_missing_result_leaves_no_page(workspace: Workspace, tmp_path: Path) -> None:
    said, output = started(workspace, tmp_path, results()[1:], check=False)
    assert "recipe_2_1 (2.1.0)" in said
    assert not output.exists()


# --- the workflow -------------------------------------------------------------------------------


def test_the_page_asks_for_every_claim_on_three_frameworks(workspace: Workspace) -> None:
    counts = jobs(workspace.snakemake(*WORKFLOW, *DRY))
    assert counts["claim"] == 3 * len(judge.CLAIMS)
    assert counts["claims"] == 1
    assert "train" not in counts


def test_other_data_than_the_articles_is_refused(workspace: Workspace) -> None:
    said = workspace.snakemake(*WORKFLOW, *DRY, "--config", "data=synthetic", check=False)
    assert "leave data out of --config" in said
