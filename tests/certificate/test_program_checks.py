"""The record of a program: of the program that its config names, and of the files that it lists."""

import copy
from typing import Any

import pytest

from samebits.certificate import program_checks
from samebits.certificate.evidence import Document, Evidence, RunEvidence

INPUT = {"path": "data/a.csv", "sha256": "a" * 64}
PROGRAM: dict[str, Any] = {
    "words": ["train.py"],
    "inputs": [INPUT],
    "outputs": [
        {"path": "out/model.npz", "sha256": "b" * 64, "compared": True, "as": "arrays"},
        {"path": "out/log", "sha256": "c" * 64, "compared": False, "as": "bytes"},
    ],
}
CONFIG: dict[str, Any] = {"program": {"words": ["train.py"], "inputs": ["data"]}}
RECORD: dict[str, Any] = {
    "status": "completed",
    "config": CONFIG,
    "program": PROGRAM,
    "trace": {"steps": 3},
    "tensors": {"predictions": [{"name": "file out/model.npz/w"}]},
}
LOADED = INPUT | {"bytes": 1, "url": None}
LOAD: dict[str, Any] = {"inputs": [LOADED], "config": {"inputs": ["data"]}}


def evidence(record: dict[str, Any], load: dict[str, Any]) -> Evidence:
    run = RunEvidence("control", Document("train/control/record.json", content=record), {})
    return Evidence(
        config=Document("config.json", content=record["config"]),
        lock=Document("envs/x.lock.txt"),
        load=Document("load/record.json", content=load),
        runs=(run,),
        comparisons=(),
        dependencies={},
    )


def problems(record: dict[str, Any], load: dict[str, Any]) -> list[str]:
    return [line for check in program_checks.CHECKS for line in check(evidence(record, load))]


def test_a_record_that_fits_has_no_problem() -> None:
    assert problems(RECORD, LOAD) == []
    assert program_checks.untrained(evidence(RECORD, LOAD)) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r, _: r["program"].update(words=["other.py"]), "program: expected train.py"),
        (lambda r, _: r.update(program=None), "no program ran"),
        (lambda r, _: r["config"].pop("program"), "its config names no program"),
        (lambda _, load: load.pop("inputs"), "is not of a program"),
        (lambda _, load: load["config"].update(inputs=[]), "config: expected"),
        (lambda r, _: r["program"]["inputs"].clear(), "inputs, by digest"),
        (lambda r, _: r["program"]["inputs"].append(INPUT), "is listed 2 times"),
        (lambda r, _: r["tensors"]["predictions"].clear(), "out/model.npz was compared"),
        (
            lambda r, _: r["tensors"]["predictions"].append({"name": "file out/log"}),
            "out/log was not compared",
        ),
    ],
)
def test_what_does_not_fit_is_a_problem(change: Any, said: str) -> None:
    record, load = copy.deepcopy(RECORD), copy.deepcopy(LOAD)
    change(record, load)
    assert any(said in line for line in problems(record, load)), problems(record, load)


def test_a_program_that_made_no_step_shows_nothing() -> None:
    record = RECORD | {"trace": {"steps": 0}}
    said = program_checks.untrained(evidence(record, LOAD))
    assert said.startswith("no optimizer step was seen; hooks cover fit, train_on_batch")
