"""What a certificate advises: each culprit has a remedy, and it depends on what is pinned."""

import copy
from pathlib import Path
from typing import Any

import pytest

import certificates
import factories
from pipeline import ROOT
from samebits.experiment import variations
from samebits.formats import names
from samebits.pages import remedies, summary
from samebits.pages.remedies import LEFT, NOT_REPEATABLE, REFUSED

PINNED = factories.CONFIG["determinism"]
EXACT = PINNED | {"replacements": ["rsqrt"]}
NONE = PINNED | dict.fromkeys(("isa", "intra_op_threads", "seeding"))


def test_the_documentation_lists_them_from_the_same_table() -> None:
    lines = ["| depends on | pinned | remedy |", "| --- | --- | --- |"]
    lines += [f"| {row.culprit} | {row.under} | {row.what} |" for row in remedies.TABLE]
    assert "\n".join(lines) in (ROOT / "docs" / "variations.md").read_text()


def test_everything_that_a_certificate_can_name_has_a_remedy_whatever_is_pinned() -> None:
    refused = (names.NO_SEED, names.NO_VERSION, REFUSED)
    for culprit in (*variations.TITLES.values(), LEFT, NOT_REPEATABLE, *refused):
        for pinned in (PINNED, EXACT, NONE):
            assert remedies.find(culprit, pinned).what


@pytest.mark.parametrize(
    ("culprit", "pinned", "said"),
    [
        ("number of CPUs", NONE, "determinism=portable"),
        ("number of CPUs", PINNED, "write the number as a constant"),
        ("CPU", NONE, "determinism=portable"),
        ("CPU", PINNED, "determinism=portable` with TensorFlow 2.21"),
        ("CPU", EXACT, "replace the layer"),
        (NOT_REPEATABLE, NONE, "which pins seeds"),
        (NOT_REPEATABLE, PINNED | {"op_determinism": False}, "which makes ops"),
        (NOT_REPEATABLE, PINNED, "where the runs part"),
    ],
)
def test_a_remedy_depends_on_what_is_pinned(culprit: str, pinned: Any, said: str) -> None:
    assert said in remedies.find(culprit, pinned).what


def report(
    depends_on: list[str], divergence: Any = None, repeatable: bool = True, **run: Any
) -> Any:
    differing = {"run": "repeat", "identical": False, "divergence": divergence, **run}
    return {
        "verdict": names.NOT_REPRODUCIBLE,
        "experiment": {"config": copy.deepcopy(factories.CONFIG)},
        "scope": {
            "depends_on": depends_on,
            "repeatable": repeatable,
            "same": [{"what": "Python threads", "value": "a.work"}],
            "differed": [],
        },
        "comparisons": [{"runs": [differing]}],
    }


def test_of_a_cpu_the_layers_are_named() -> None:
    layer = {"layer": "norm", "class": "Norm", "step": 1, "kernels": ["Rsqrt float32"]}
    ((_, said),) = remedies.remedies(report(["CPU"], attribution={"layers": [layer]}))
    assert said.endswith("; the bits depend on it in norm (Rsqrt float32)")
    ((_, said),) = remedies.remedies(report(["CPU"], attribution={"layers": None}))
    assert "depend on it" not in said


def test_a_file_is_named_as_the_certificate_does() -> None:
    title = "what an earlier run left in best.npy"
    ((culprit, said),) = remedies.remedies(report([title], repeatable=False))
    assert culprit == title
    assert "where no later run looks" in said


@pytest.mark.parametrize(
    ("step", "batch_step", "said"),
    [
        (0, None, "before the first step, in dense/kernel. Usual causes there: a generator"),
        (4, 3, "Usual causes there: data that is shuffled"),
        (4, 3, "shares a generator with others (a.work)."),
        (4, None, "Usual causes there: random numbers that the model or a callback draws"),
        (None, None, "The traced weights are equal; what else can differ: a generator"),
    ],
)
def test_of_what_is_not_repeatable_the_place_and_its_usual_causes_are_named(
    step: int | None, batch_step: int | None, said: str
) -> None:
    parted = {"step": step, "after": 3, "epoch": 1, "tensors": ["dense/kernel"]}
    parted |= {"batch_step": batch_step}
    ((culprit, found),) = remedies.remedies(report([], parted, repeatable=False))
    assert culprit == NOT_REPEATABLE
    assert said in found


def test_where_a_setting_is_the_remedy_no_usual_cause_is_named() -> None:
    found = report([], {"step": None}, repeatable=False)
    found["experiment"]["config"]["determinism"]["seeding"] = None
    ((_, said),) = remedies.remedies(found)
    assert said.endswith("which pins seeds and op determinism")


def test_the_terminal_shows_them(tmp_path: Any) -> None:
    content = factories.certify(factories.explained(tmp_path))
    said = summary.text(content, summary.Ended(tmp_path, 1.0))
    assert "  remedy (CPU): determinism=portable with TensorFlow 2.21" in said
    assert "`" not in said
    assert [*remedies.remedies(content["report"] | {"experiment": {"config": None}})] == []


@pytest.mark.parametrize(
    ("reason", "environment", "said"),
    [
        (names.NO_VERSION, {}, "with determinism.op_determinism=false"),
        (names.NO_VERSION, {"TF_DETERMINISTIC_OPS": "1"}, "with determinism=seeds"),
        (names.NO_SEED, {}, "give the op a seed"),
        ("samebits refused float16", {}, "determinism=eigen"),
    ],
)
def test_what_is_unsupported_says_what_to_do_next(
    reason: str, environment: dict[str, str], said: str
) -> None:
    made: Any = certificates.certificate(certificates.unsupported())
    made["report"]["records"]["runs"]["control"]["unsupported"]["reason"] = reason
    made["report"]["experiment"]["config"]["determinism"]["environment"] = environment
    shown = summary.text(made, summary.Ended(Path("certificate.json"), 1.0))
    assert "  remedy (FakeQuant): " in shown
    assert said in shown
    assert "replay" not in shown
