"""What the rules ask a plan: paths, runs and comparisons of the job's experiment."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.exceptions import IncompleteCheckpointException, WorkflowError

from pipeline import ROOT
from samebits.errors import SamebitsError
from samebits.experiment import protocol
from samebits.formats import canonical
from samebits.workflow import start
from samebits.workflow.plan import Plan, plan


def made(**config: Any) -> Plan:
    return plan({"experiment": "smoke", "name": "mine", **config}, ROOT / "conf")


class Compare:
    """The checkpoint: files of which some are known to be made."""

    def __init__(self, folder: Path, *made: str) -> None:
        self.folder, self.made = folder, made

    def get(self, experiment: str, comparison: str) -> Any:
        assert experiment == "mine"
        path = str(self.folder / f"{comparison}.json")
        if comparison not in self.made:
            raise IncompleteCheckpointException(None, path)
        return SimpleNamespace(output=[path])


def compared(folder: Path, *differing: str, **identical: bool) -> Compare:
    """Comparisons by name; ``differing``: runs of each that differ."""
    runs = [{"run": run, "identical": False} for run in differing]
    for name, same in identical.items():
        found = {"identical": same, "left": [], "status": {"control": "completed"}, "runs": runs}
        canonical.write_json(folder / f"{name}.json", found)
    return Compare(folder, *identical)


JOB = SimpleNamespace(experiment="mine", comparison="each", run="replica")


def test_the_outputs_of_one_experiment_and_of_a_sweep() -> None:
    files = ["certificate.json", "certificate.html", "badge.svg"]
    assert made().outputs == [f"results/mine/{file}" for file in files]
    found = made(sweep="seed=1,2").outputs
    assert found[:2] == ["results/mine/index.html", "results/mine/index.csv"]
    assert found[2:] == [f"results/mine/seed={seed}/{file}" for seed in (1, 2) for file in files]


def test_what_all_experiments_have_alike_is_a_value_and_else_a_function_of_the_job() -> None:
    swept = made(sweep="seed=1,2")
    assert swept.each(lambda experiment: experiment.environment) == "train-tf2.21"
    seed = swept.each(lambda experiment: experiment.config["seed"])
    assert [seed(SimpleNamespace(experiment=name)) for name in swept.experiments] == [1, 2]


def test_a_job_finds_its_experiment_and_its_run() -> None:
    found = made()
    assert found.of(JOB) is found.first
    assert found.run(JOB).canary
    assert {"control", "replica", "repeat", "replay"} <= set(found.runs["mine"])


def test_further_comparisons_are_planned_only_where_bits_differ(tmp_path: Path) -> None:
    found = made()
    assert [c.name for c in found.planned(JOB, compared(tmp_path, replica=True))] == ["replica"]
    differs = compared(tmp_path, replica=False, repeat=True)
    assert [run.name for run in found.compared(JOB, differs)][:2] == ["control", "with-time_zone"]
    differs = compared(tmp_path, replica=False, repeat=True, each=True)
    assert [c.name for c in found.planned(JOB, differs)] == ["replica", "repeat", "each"]
    race = compared(tmp_path, "with-clock", replica=False, repeat=True, each=False)
    assert [c.name for c in found.planned(JOB, race)][2:] == ["each", "each-2"]
    second = SimpleNamespace(experiment="mine", comparison="each-2")
    assert [run.name for run in found.compared(second, race)] == ["control", "with-clock-2"]
    never = compared(tmp_path, replica=False, repeat=False)
    assert [c.name for c in found.planned(JOB, never)] == ["replica", "repeat"]
    (tmp_path / "replica.json").write_text("{")
    with pytest.raises(WorkflowError):
        found.planned(JOB, Compare(tmp_path, "replica"))


def test_until_a_comparison_that_decides_is_made_those_after_it_are_unknown(tmp_path: Path) -> None:
    found = made()
    assert [c.name for c in found.known(JOB, Compare(tmp_path))] == ["replica"]
    differs = compared(tmp_path, replica=False)
    assert [c.name for c in found.known(JOB, differs)] == ["replica", "repeat"]
    (tmp_path / "repeat.json").touch()  # what it says may be old
    with pytest.raises(IncompleteCheckpointException):
        found.known(JOB, differs)
    for name in (protocol.FIRST, protocol.REPEAT):
        job = SimpleNamespace(experiment="mine", comparison=name)
        runs = [run.name for run in found.compared(job, Compare(tmp_path))]
        assert runs == ["control", name]


def test_no_comparison_waits_for_one_whose_result_does_not_decide_its_runs(tmp_path: Path) -> None:
    found = made(protocol="exhaustive")
    first = compared(tmp_path, replica=True)
    for name, run in {"each": "with-time_zone", "cpu": "cpu-Haswell"}.items():
        job = SimpleNamespace(experiment="mine", comparison=name)
        assert run in [planned.name for planned in found.compared(job, first)]
    emulated = compared(tmp_path, "cpu-EPYC", replica=True, each=True, cpu=False)
    job = SimpleNamespace(experiment="mine", comparison="cpu-2")
    runs = [planned.name for planned in found.compared(job, emulated)]
    assert runs == ["subset-control", "subset-control-2", "cpu-EPYC-2"]


def test_a_training_says_which_of_the_known_ones_it_is(tmp_path: Path) -> None:
    found = made()
    first = found.known(JOB, Compare(tmp_path))
    assert start.position("replica", first) == " (training 2 of 2)"
    known = found.known(JOB, compared(tmp_path, replica=False, repeat=True))
    assert start.position("with-time_zone", known) == " (training 4 of 15)"
    assert start.position("replay", known) == ""


def test_who_signs_is_no_part_of_the_experiment() -> None:
    assert made().signing == "local"
    unsigned = made(signing="none")
    assert unsigned.signing == "none"
    assert unsigned.first == made().first
    for wrong in ("key.pem", None, {"key": "key.pem"}):
        with pytest.raises(SamebitsError, match="signing: expected local or none, got"):
            made(signing=wrong)
