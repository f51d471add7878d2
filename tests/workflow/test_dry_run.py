"""The last lines of a dry run, for jobs as Snakemake names them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import ROOT
from samebits.workflow import dry_run
from samebits.workflow.plan import plan


def job(rule: str, needed: bool = True, **wildcards: str) -> Any:
    return SimpleNamespace(
        rule=SimpleNamespace(name=rule), wildcards=SimpleNamespace(**wildcards), needed=needed
    )


FIRST = [job("train", run="control"), job("train", run="replica")]


def said(config: dict[str, str], *jobs: Any) -> list[str]:
    """The lines, without blank ones."""
    dag = SimpleNamespace(jobs=jobs, needrun=lambda job: job.needed)
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda text, flush: lines.extend(text.splitlines()))
        dry_run.show(SimpleNamespace(dag=dag), plan(config, ROOT / "conf"), Path("nowhere"))
    return [line.strip() for line in lines if line]


def test_what_would_be_trained_loaded_and_built_is_said() -> None:
    jobs = [*FIRST, job("load", data="mnist-1"), job("environment", environment="load")]
    assert said({"overrides": "trainer.epochs=5"}, *jobs) == [
        "DRY RUN  trainer.epochs=5: nothing was made",
        "would train  2 runs (control and replica), 10 epochs in all",
        "up to 25 more where bits differ or runs leave files",
        "would take   unknown before the first run",
        "would load   mnist-1",
        "would build  load",
    ]


def test_what_comes_after_the_first_runs_is_counted() -> None:
    lines = said({"protocol": "exhaustive"}, *FIRST)
    assert lines[2].startswith("then 32 more that the protocol asks for, of which 3 emulate a CPU")


def test_of_a_sweep_the_combinations_that_would_be_trained_are_counted() -> None:
    made = plan({"sweep": "seed=1,2,3"}, ROOT / "conf")
    runs = [(name, run) for name in made.experiments for run in ("control", "replica")]
    jobs = [job("train", experiment=name, run=run) for name, run in runs]
    for one in jobs[4:]:
        one.needed = False
    lines = said({"sweep": "seed=1,2,3"}, *jobs)
    assert lines[1] == "would train  4 runs (in 2 of 3 combinations), 12 epochs in all"


def test_where_nothing_is_trained_that_is_said_and_where_nothing_is_made_snakemake_says_it() -> (
    None
):
    assert said({}, job("render", place="default"))[1] == "would train  nothing"
    assert said({}, *(job("train", needed=False, run=run) for run in ("control", "replica"))) == []
