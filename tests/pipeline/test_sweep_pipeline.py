"""Sweeps in the whole pipeline: one certificate per combination, and an index over all."""

import csv
from typing import Any

import pytest

from pipeline import DRY, Workspace, jobs

pytestmark = pytest.mark.slow

SMOKE = ("experiment=smoke", "overrides=trainer.epochs=1 protocol.explain=[]")
DETERMINISMS = "determinism=none,portable"


def config(name: str, sweep: str) -> list[str]:
    return ["--config", f"name={name}", *SMOKE, f"sweep={sweep}"]


def table(workspace: Workspace, name: str) -> list[dict[str, str]]:
    path = workspace.folder / "results" / name / "index.csv"
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def swept(workspace: Workspace) -> tuple[str, str]:
    """A sweep over two keys that is made, and what the terminal said."""
    return "swept", workspace.snakemake(*config("swept", f"{DETERMINISMS} seed=2"))


def test_every_combination_has_its_certificate_and_the_index_shows_all(
    workspace: Workspace, swept: tuple[str, str]
) -> None:
    name, said = swept
    rows = table(workspace, name)
    assert [row["combination"] for row in rows] == [
        "determinism=none_seed=2",
        "determinism=portable_seed=2",
    ]
    # What differs is shown, and keeps no other from being made.
    assert [row["verdict"] for row in rows] == ["NOT REPRODUCIBLE", "REPRODUCIBLE"]
    page = (workspace.folder / "results" / name / "index.html").read_text(encoding="utf-8")
    for row in rows:
        certificate: Any = workspace.json(f"results/{name}/{row['certificate']}")
        assert certificate["report"]["verdict"] == row["verdict"]
        assert certificate["report"]["experiment"]["digest"] == row["experiment sha256"]
        assert row["combination"].replace("_", " ") in page
        assert f"{row['verdict']}  {row['combination']}" in said
    assert "1 NOT REPRODUCIBLE, 1 REPRODUCIBLE" in said
    cost = "combinations: 2, trainings: 4"  # nothing is explained, so no more
    assert f"sweep swept: {cost}, data sets: 1, environments: 5" in said
    assert len(list(workspace.folder.glob(f"logs/{name}/*/train/control.log"))) == 2


def test_a_second_call_has_nothing_to_do_and_a_value_makes_only_what_it_must(
    workspace: Workspace, swept: tuple[str, str]
) -> None:
    name, _ = swept
    again = workspace.snakemake(*config(name, f"{DETERMINISMS} seed=2"))
    assert "Nothing to be done" in again
    added = jobs(workspace.snakemake(*DRY, *config(name, f"{DETERMINISMS} seed=2,3")))
    assert added == {"train": 4, "compare": 2, "certify": 2, "render": 2, "index": 1, "all": 1}
    fewer = jobs(workspace.snakemake(*DRY, *config(name, "determinism=portable seed=2")))
    assert fewer == {"index": 1, "all": 1}


def test_a_combination_is_what_its_own_command_makes(
    workspace: Workspace, swept: tuple[str, str]
) -> None:
    name, _ = swept
    report = workspace.json(f"results/{name}/determinism=portable_seed=2/certificate.json")[
        "report"
    ]
    alone = workspace.certify("alone", *SMOKE[:1], "determinism=portable", "seed=2", SMOKE[1])
    for what in ("experiment", "verdict"):
        ours, theirs = report[what], alone[what]
        if what == "experiment":
            ours, theirs = ours | {"name": ""}, theirs | {"name": ""}
        assert ours == theirs
    digests = [r["records"]["runs"]["control"]["digests"] for r in (report, alone)]
    assert digests[0] == digests[1]
    (repeat,) = report["how_to_repeat"]
    assert "sweep" not in repeat
    assert "seed=2" in repeat


def test_differences_are_explained_in_the_combination_that_has_them(workspace: Workspace) -> None:
    few = "overrides=trainer.epochs=1 protocol.explain=[time_zone]"
    workspace.snakemake(
        "--config", "name=explained", SMOKE[0], few, f"sweep={DETERMINISMS}", "signing=none"
    )
    rows = {row["determinism"]: row for row in table(workspace, "explained")}
    # Unseeded, the repeat differs as well, and that ends the search.
    assert {key: row["runs"] for key, row in rows.items()} == {"none": "3", "portable": "2"}
    assert {row["signature"] for row in rows.values()} == {"UNSIGNED"}
    page = (workspace.folder / "results/explained/index.html").read_text(encoding="utf-8")
    assert "UNSIGNED" in page


def test_what_is_wrong_with_a_combination_is_said_before_any_job(workspace: Workspace) -> None:
    said = workspace.snakemake(*config("wrong", "model=mlp,cn seed=1,-1"), check=False)
    for part in ("did you mean cnn?", "seed: -1", "in the combination"):
        assert part in said
    assert "Traceback" not in said
    assert not (workspace.folder / "results/wrong").exists()


def test_another_start_with_the_name_and_another_config_is_refused_and_changes_nothing(
    workspace: Workspace,
) -> None:
    given = ["--config", "name=held", SMOKE[0]]
    lock = workspace.folder / ".snakemake/locks/0.input.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.write_text("results/held/train/control\n")  # as a start has that only has to certify
    try:
        said = workspace.snakemake(*given, "seed=9", check=False)
    finally:
        lock.unlink()
    assert "another workflow holds locks on the same files" in said
    assert not (workspace.folder / "results/held").exists()
