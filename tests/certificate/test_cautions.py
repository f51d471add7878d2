"""What is said before anything else: NaN, and steps that received other data than the data set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import factories
from samebits.pages import certificate as page
from samebits.pages import summary, wording

KERNEL, BIAS = "dense/kernel", "dense/bias"
Change = Callable[[dict[str, Any]], None]


def nan(*tensors: tuple[str, int | None, int | None], numbers: int = 4) -> Change:
    found = [
        {"name": name, "count": 2, "after": after, "since": since} for name, after, since in tensors
    ]
    return lambda record: record.update(nan={"tensors": found, "numbers": numbers})


def data(*epochs: tuple[int, int], problem: str | None = None) -> Change:
    found = [{"samples": samples, "fingerprint": print_} for samples, print_ in epochs]
    known = None if problem else 17
    received: dict[str, Any] = {"samples": 54000, "fingerprint": known, "epochs": found}
    received.update(problem=problem, used=None if problem else ["x"])
    return lambda record: record.update(data=received)


def kernel(replaced: bool) -> Change:
    found = {"op": "Conv2DBackpropFilter", "where": KERNEL, "why": "why", "replaced": replaced}
    return lambda record: record.update(wrong_kernels=[found])


def another(*apart: tuple[float | None, float | None], failure: str | None = None) -> Change:
    found = [
        {"name": f"w{n}", "largest": largest, "apart": by} for n, (largest, by) in enumerate(apart)
    ]
    return lambda record: record.update(another={"tensors": found, "failure": failure})


DIFFERS = "in one step differs with and without oneDNN by"


def report(folder: Path, *changes: Change, runs: int = 2, **options: Any) -> Any:
    """What is said of two equal runs whose records were changed so."""
    space = factories.workspace(folder, **options)
    for run in space.runs[:runs]:
        for change in changes:
            factories.edit(run / "record.json", change)
    return factories.report_of(space.compare())


HIDES = " A NaN hides any difference behind it."
OTHER = "The steps received other data than the data set: in epoch "
SAID: dict[str, tuple[Change, list[str]]] = {
    "nothing": (lambda record: None, []),
    "a wrong kernel": (
        kernel(False),
        [f"Wrong numbers in {KERNEL}: why; determinism=portable computes it rightly."],
    ),
    "a wrong kernel that was replaced": (kernel(True), []),
    "rounding of another implementation": (another((2.0, 1e-6), (1e-9, 1e-9), (0.0, 0.0)), []),
    "another implementation": (
        another((2.0, 1e-6), (0.5, 0.25)),
        [f"The gradient of w1 {DIFFERS} 0.5 of the largest: one of the two is wrong."],
    ),
    "another implementation that is not finite": (
        another((2.0, None)),
        [f"The gradient of w0 {DIFFERS} without limit: one of the two is wrong."],
    ),
    "another implementation that ended": (
        another(failure="-6"),
        ["One step with and without oneDNN could not be compared: -6."],
    ),
    "a step": (nan((KERNEL, 3, 4)), [f"Not a number since step 4 in {KERNEL}.{HIDES}"]),
    "two tensors": (
        nan((KERNEL, 3, 4), (BIAS, 3, 4)),
        [f"Not a number since step 4 in {KERNEL} and {BIAS}.{HIDES}"],
    ),
    "an interval": (
        nan((KERNEL, 100, 200)),
        [f"Not a number since one of the steps 101 to 200 in {KERNEL}.{HIDES}"],
    ),
    "not trained": (nan((BIAS, None, None)), [f"Not a number at the end in {BIAS}.{HIDES}"]),
    "other data": (
        data((54000, 17), (48, 17), (54000, 18)),
        [f"{OTHER}2 and 3 batches of 48 and 54,000 samples that are not the 54,000 samples of x "
         "and y to train on."],
    ),
    "data that is not used": (
        lambda record: record["data"].update(used=["y"]),
        ["No update of a weight depends on x: the steps received it and made no use of it."],
    ),
    "use of data not known": (lambda record: record["data"].update(used=None), []),
    "data not known": (data(problem="no step was followed"), []),
}  # fmt: skip


@pytest.mark.parametrize("what", SAID)
def test_what_is_said_first(tmp_path: Path, what: str) -> None:
    change, said = SAID[what]
    made = report(tmp_path, change)
    assert made["verdict"] == "REPRODUCIBLE"
    assert made["scope"]["cautions"] == said


def test_a_loss_that_is_not_a_number_or_infinite_is_said_by_epoch(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    metrics = factories.HISTORY | {"loss": [1.0, nan, -inf], "val_loss": [nan] * 3}
    space = factories.workspace(tmp_path, metrics=metrics)
    for run in space.runs[:1]:
        ids = space.ids
        factories.write_run(run, *ids, metrics=metrics)
    made = factories.report_of(space.compare())
    assert made["scope"]["cautions"] == [
        "Not a number: loss since epoch 2 and val_loss since epoch 1.",
        "Infinite: loss since epoch 3.",
    ]


def test_a_run_that_alone_needs_a_caution_is_named(tmp_path: Path) -> None:
    made = report(tmp_path, nan((KERNEL, 0, 1)), runs=1)
    assert made["scope"]["cautions"] == [f"control: Not a number since step 1 in {KERNEL}.{HIDES}"]


def test_weights_of_which_none_is_a_number_show_nothing(tmp_path: Path) -> None:
    made = report(tmp_path, nan((KERNEL, 0, 1), (BIAS, 0, 1), numbers=0))
    assert made["verdict"] == "INCONCLUSIVE"
    assert made["reasons"] == [
        f"{run}: no trainable weight is a finite number at the end: equal ones show nothing"
        for run in ("control", "replica")
    ]
    assert made["scope"]["cautions"]


def test_nan_is_the_first_reason_where_a_canary_cannot_differ(tmp_path: Path) -> None:
    equal = factories.canary(seed=1)
    change = nan((KERNEL, 0, 1), (BIAS, 0, 1), numbers=0)
    made = report(tmp_path, change, canary=equal, change=factories.vary)
    assert made["verdict"] == "INCONCLUSIVE"
    assert "no trainable weight is a finite number" in made["reasons"][0]
    assert any("canary" in reason for reason in made["reasons"][2:])


@pytest.mark.parametrize(
    ("change", "received"),
    [
        (data((54000, 17)), "the data set"),
        (data((54000, 18)), "other data"),
        (data(problem="the steps receive samples of string"),
         "not known: the steps receive samples of string"),
    ],
)  # fmt: skip
def test_what_the_steps_received(tmp_path: Path, change: Change, received: str) -> None:
    assert report(tmp_path, change)["scope"]["received"] == received


def test_what_was_computed_differently_from_tensorflow_is_on_the_console_and_the_page(
    tmp_path: Path,
) -> None:
    space = factories.workspace(tmp_path)
    for run in space.runs:
        factories.edit(run / "record.json", kernel(True))
    made = factories.certify(space.compare(), None)
    said = f"Conv2DBackpropFilter of {KERNEL}"
    assert f"  computed differently from TensorFlow: {said}" in summary.text(
        made, summary.Ended(Path("c.json"), 1.0)
    )
    assert f"<dd>{said}, where TensorFlow" in page.render(made)


def test_cautions_come_first_on_the_console_and_on_the_page(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    for run in space.runs:
        factories.edit(run / "record.json", nan((f"<b>\x1b[1m{KERNEL}", 0, 1)))
        factories.edit(run / "record.json", data((48, 1)))
    made = factories.certify(space.compare(), None)
    lines = summary.text(made, summary.Ended(Path("c.json"), 1.0)).splitlines()
    cautions = [line for line in lines if line.startswith("  ! ")]
    assert len(cautions) == 2
    assert lines.index(cautions[1]) < lines.index(f"  {wording.statement(made['report'])}")
    assert "\x1b" not in "".join(cautions)
    html = page.render(made)
    assert html.index("Not a number since step 1") < html.index('<p class="lead">')
    assert "<b>\x1b" not in html
    assert "That the steps trained on the data set. What they received: other data." in html
