"""What the rules ask a plan: paths, runs and comparisons of the job's experiment."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.exceptions import IncompleteCheckpointException, WorkflowError

from pipeline import ROOT
from samebits.experiment import protocol
from samebits.formats import canonical
from samebits.workflow.plan import Plan, plan


def made(**config: Any) -> Plan:
    return plan({"experiment": "smoke", "name": "mine", **config}, ROOT / "conf")


class Compare:
    """The checkpoint: a file that is known to be made, or not."""

    def __init__(self, path: Path, is_made: bool = True) -> None:
        self.path, self.is_made = path, is_made

    def get(self, **wildcards: str) -> Any:
        assert wildcards == {"experiment": "mine", "comparison": protocol.FIRST}
        if not self.is_made:
            raise IncompleteCheckpointException(None, str(self.path))
        return SimpleNamespace(output=[str(self.path)])


def comparison(path: Path, identical: bool) -> Compare:
    canonical.write_json(
        path, {"identical": identical, "left": [], "status": {"control": "completed"}}
    )
    return Compare(path)


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
    found, path = made(), tmp_path / "replica.json"
    assert [c.name for c in found.planned(JOB, comparison(path, identical=True))] == ["replica"]
    differs = comparison(path, identical=False)
    assert [c.name for c in found.planned(JOB, differs)] == ["replica", "each"]
    assert [run.name for run in found.compared(JOB, differs)][:2] == ["control", "repeat"]
    path.write_text("{")
    with pytest.raises(WorkflowError):
        found.planned(JOB, Compare(path))


def test_until_the_first_comparison_is_made_it_alone_is_known(tmp_path: Path) -> None:
    found, path = made(), tmp_path / "replica.json"
    assert [c.name for c in found.known(JOB, Compare(path, is_made=False))] == ["replica"]
    path.touch()  # what it says may be old
    with pytest.raises(IncompleteCheckpointException):
        found.known(JOB, Compare(path, is_made=False))
    first = SimpleNamespace(comparison="replica")
    runs = [run.name for run in found.compared(first, Compare(path, is_made=False))]
    assert runs == ["control", "replica"]
