"""diff.py by its flags: which bits differ, where first, and what else does."""

import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import factories
from factories import Workspace
from in_process import stage
from samebits.formats import bundle, canonical

Change = Callable[[Any], None]
SAME, DOES_NOT_HOLD, MALFORMED, OTHER = 0, 1, 2, 4


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results with its certificate, and golden.zip beside it."""
    folder = tmp_path_factory.mktemp("golden") / "results"
    bundle.write(folder.parent / "golden.zip", {**_certified(factories.workspace(folder))})
    return folder


def _certified(space: Workspace) -> dict[str, Path]:
    canonical.write_json(space.folder / "certificate.json", factories.certify(space))
    return space.named()


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return factories.workspace(tmp_path / "other")


def run(space: Workspace, **changed: Any) -> Path:
    """One more run, as train.py writes it."""
    return factories.write_run(space.folder / "train" / "present", *space.ids, **changed)


def diff(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return stage("diff", *arguments)


def found(a: Path, b: Path) -> tuple[int, Any]:
    done = diff(a, b, "--json")
    return done.returncode, json.loads(done.stdout)


def test_a_bundle_and_the_results_that_it_was_made_of_have_the_same_bits(golden: Path) -> None:
    for a, b in ((golden, "golden.zip"), (golden / "certificate.json", "results/train/replica")):
        done = diff(a, golden.parent / b)
        assert done.returncode == SAME, done.stderr
        assert done.stdout.startswith("SAME BITS\n")


def flipped(name: str, first: int) -> Any:
    """The trace with one entry that differs from a row on."""
    rows = dict(trace := factories.trace())[name]
    rows[first:] ^= 1
    return trace


@pytest.mark.parametrize(
    ("planted", "step", "tensors", "batch"),
    [
        # As another initializer, another learning rate, another optimizer of one tensor, and data
        # in another order would leave it.
        ([("fingerprint/dense/kernel", 0)], 0, ["dense/kernel"], None),
        ([("fingerprint/dense/kernel", 1), ("fingerprint/dense/bias", 1)], 1,
         ["dense/kernel", "dense/bias"], None),
        ([("fingerprint/dense/bias", 7)], 7, ["dense/bias"], None),
        ([("fingerprint/dense/bias", 3), ("batch", 2)], 3, ["dense/bias"], 3),
    ],
)  # fmt: skip
@pytest.mark.parametrize("given", ["golden.zip", "results"])
def test_the_first_step_and_tensors_are_named(
    golden: Path, space: Workspace, planted: Any, step: int, tensors: Any, batch: Any, given: str
) -> None:
    trace = factories.trace()
    for name, first in planted:
        dict(trace)[name][first:] ^= 1
    other = run(space, trace=trace, weights=factories.differing())
    code, made = found(golden.parent / given, other)
    where = made["divergence"]
    assert (code, where["step"], where["tensors"]) == (OTHER, step, tensors)
    assert where["batch_step"] == batch
    said = diff(golden.parent / given, other).stdout
    assert said.startswith("OTHER BITS\n") and f"in {tensors[0]}" in said


def test_certificates_alone_name_the_first_epoch_and_how_far_each_metric_is_apart(
    golden: Path, space: Workspace, tmp_path: Path
) -> None:
    metrics = {name: list(values) for name, values in factories.HISTORY.items()}
    loss = np.array(metrics["loss"], "<f4")
    metrics["loss"][1] = float((loss.view("<u4") + np.array([0, 3, 0], "<u4")).view("<f4")[1])
    metrics["accuracy"][1] = np.nextafter(metrics["accuracy"][1], 2)
    metrics["val_loss"][2] = np.nan
    for name in ("control", "replica"):
        shutil.rmtree(space.folder / "train" / name)
        factories.write_run(space.folder / "train" / name, *space.ids, metrics=metrics)
    _certified(space.compare())
    alone = []
    for number, folder in enumerate((golden, space.folder)):
        alone.append(tmp_path / f"{number}.json")
        shutil.copy(folder / "certificate.json", alone[-1])
    code, made = found(*alone)
    assert code == OTHER and made["divergence"] is None
    history = made["history"]
    apart = {m["metric"]: (m["ulp"], m["dtype"]) for m in history["metrics"]}
    assert (history["epoch"], apart) == (2, {"accuracy": (1, "float64"), "loss": (3, "float32")})
    assert "No step is named" in diff(*alone).stdout
    differing = [one["artifact"] for one in made["artifacts"] if not one["same"]]
    assert differing == ["history"]


def _set(*path: Any, to: Any) -> Change:
    def change(record: Any) -> None:
        record |= copy.deepcopy(record)  # records share their config
        for key in path[:-1]:
            record = record[key]
        record[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("group", "what", "change"),
    [
        ("code", "scripts/samebits/models.py", _set("source", 0, "sha256", to="0" * 64)),
        ("config", "trainer.epochs", _set("config", "trainer", "epochs", to=99)),
        ("packages", "keras", _set("packages", 0, "version", to="0.0")),
        ("packages", "packages (lock file)", _set("lock", to="0" * 64)),
        ("machine", "CPU model", _set("machine", "cpu", to="Intel Celeron")),
        ("machine", "CPU features", _set("machine", "flags", to=["sse4_1"])),
        ("data", "received: fingerprint", _set("data", "fingerprint", to=5)),
    ],
)
def test_every_possible_cause_is_listed_by_name_and_no_other(
    golden: Path, space: Workspace, group: str, what: str, change: Change
) -> None:
    code, made = found(golden, run(space, change=change))
    assert code == SAME
    listed = {(name, c["what"]) for name, changes in made["causes"].items() for c in changes}
    assert listed == {(group, what)}


def test_a_run_that_did_not_complete_has_other_bits(golden: Path, space: Workspace) -> None:
    folder = space.folder / "train" / "present"
    refused = factories.write_unsupported_run(folder, *space.ids)
    code, _ = found(golden, refused)
    assert code == OTHER
    assert "B has no result: unsupported" in diff(golden, refused).stdout
    assert diff(refused, refused).returncode == MALFORMED
    failed = factories.write_run_without_result(folder, *space.ids, "failed")
    assert diff(golden, failed).returncode == OTHER
    untried = factories.write_run_without_result(folder, *space.ids, "not tried")
    done = diff(golden, untried)
    assert done.returncode == MALFORMED and "was not tried" in done.stderr


def test_as_a_stage_it_measures_and_does_not_judge(
    golden: Path, space: Workspace, tmp_path: Path
) -> None:
    other = run(space, weights=factories.differing())
    assert diff(golden, other, "--output", tmp_path / "made.json").returncode == 0
    assert canonical.read_json(tmp_path / "made.json")["same"] is False


def _forge(folder: Path) -> None:
    content = canonical.read_json(folder / "certificate.json")
    content["report"]["verdict"] = "NOT REPRODUCIBLE"
    canonical.write_json(folder / "certificate.json", content)


@pytest.mark.parametrize(
    ("damage", "code", "said"),
    [
        (_forge, DOES_NOT_HOLD, "does not hold"),
        (lambda folder: (folder / "certificate.json").write_text("{}"), MALFORMED, "format"),
        (lambda folder: (folder / "certificate.json").unlink(), MALFORMED, "without either"),
        (shutil.rmtree, MALFORMED, "No such file"),
    ],
)
def test_what_does_not_hold_or_is_no_certificate_is_refused(
    golden: Path, space: Workspace, damage: Any, code: int, said: str
) -> None:
    _certified(space)
    damage(space.folder)
    done = diff(golden, space.folder)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr and "Traceback" not in done.stderr
    assert str(space.folder) in done.stderr  # of two, which


def test_a_bundle_of_which_one_file_was_exchanged_does_not_hold(
    space: Workspace, golden: Path, tmp_path: Path
) -> None:
    files = _certified(space)
    run(space, trace=flipped("batch", 1))
    files["train/control/trace.safetensors"] = space.folder / "train/present/trace.safetensors"
    bundle.write(tmp_path / "exchanged.zip", files)
    done = diff(golden, tmp_path / "exchanged.zip")
    assert done.returncode == DOES_NOT_HOLD and "trace.safetensors" in done.stderr


def test_a_trace_of_another_form_is_no_crash(golden: Path, space: Workspace) -> None:
    trace = [
        (name, np.stack([rows, rows], 1) if name.startswith("fingerprint") else rows)
        for name, rows in factories.trace()
    ]
    done = diff(golden, run(space, trace=trace))
    assert done.returncode == MALFORMED
    assert "expected 'fingerprint/dense/kernel' with as many rows" in done.stderr


def test_files_of_another_run_beside_a_certificate_name_no_step(
    golden: Path, space: Workspace, tmp_path: Path
) -> None:
    other = run(space, weights=factories.differing())
    shutil.copytree(golden, tmp_path / "copy")
    record = tmp_path / "copy" / "train" / "control" / "record.json"
    factories.edit(record, _set("timing", "seconds", to=1.0))
    done = diff(tmp_path / "copy", other)
    assert done.returncode == OTHER
    assert "belong to another run" in done.stderr
    assert "No step is named: the run's files are not with A" in done.stdout
