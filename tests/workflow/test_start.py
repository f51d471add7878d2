"""Files written when Snakemake reads the Snakefile: named by their content, never changed."""

import dataclasses
import hashlib
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

from factories import NO_FILES
from pipeline import ROOT, SCRIPTS
from refusals import refused
from samebits.config import sources
from samebits.experiment import protocol
from samebits.formats import canonical, files
from samebits.workflow import start
from samebits.workflow.plan import Plan, plan


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_is_named_by_its_sha256_and_its_path_is_absolute(folder: Path) -> None:
    path = Path(start.stored("configs", {"seed": 1}))
    assert (
        path
        == folder / ".samebits/configs" / f"{hashlib.sha256(path.read_bytes()).hexdigest()}.json"
    )
    assert path.read_bytes() == b'{"seed":1}\n'


def test_what_is_the_same_is_not_written_again_and_other_content_is_another_file() -> None:
    path = Path(start.stored("configs", {"seed": 1}))
    before = path.stat()
    assert Path(start.stored("configs", {"seed": 2})) != path
    assert Path(start.stored("configs", {"seed": 1})) == path
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_its_date_is_older_than_any_result_so_that_it_makes_none_again() -> None:
    assert Path(start.stored("configs", {"seed": 1})).stat().st_mtime < 1e9


def test_a_file_that_somebody_changed_is_made_whole_again() -> None:
    path = Path(start.stored("configs", {"seed": 1}))
    path.write_text('{"seed":7}\n')
    start.stored("configs", {"seed": 1})
    assert path.read_bytes() == b'{"seed":1}\n'


def test_the_code_of_a_stage_is_another_path_when_any_of_it_changes(folder: Path) -> None:
    script, module = folder / "stage.py", folder / "other.py"
    script.write_text("import other\n")
    module.write_text("x = 1\n")
    first = start.code([script])
    assert start.code([script]) == first
    module.write_text("x = 2\n")
    assert start.code([script]) != first


@pytest.mark.parametrize("stage", ["certify", "replay", "prepare_replay"])
def test_what_signs_runs_nothing_of_the_pages_and_what_renders_depends_on_their_style(
    stage: str,
) -> None:
    listed = {name: set(sources.listed([SCRIPTS / f"{name}.py"])) for name in (stage, "render")}
    pages = {name for name in listed["render"] if "/pages/" in name}
    assert {Path(name).suffix for name in pages} == {".py", ".j2", ".css", ".js"}
    assert not pages & listed[stage]


@pytest.mark.parametrize("methods", [["APPTAINER"], ["CONDA", "ENV_MODULES"]])
def test_a_deployment_that_is_not_there_is_refused_with_those_that_are(methods: list[str]) -> None:
    with refused(f"--sdm {methods[-1].lower().replace('_', '-')}: samebits has no", "--sdm conda"):
        start._check_deployment({DeploymentMethod[name] for name in methods})
    start._check_deployment({DeploymentMethod.CONDA})


@pytest.mark.parametrize(("cores", "told"), [(2, False), (None, True)])
def test_on_a_cluster_one_command_follows_a_training(
    folder: Path, capfd: pytest.CaptureFixture[str], cores: int | None, told: bool
) -> None:
    made = plan({"experiment": "smoke", "sweep": "seed=1,2", "name": "its"}, ROOT / "conf")
    start.announce(made, cores, 100)
    line = f"tail -F {folder}/logs/its/seed=1/train/control.log"
    assert (line in capfd.readouterr().err) == told


# --- results of another experiment ---------------------------------------------------------------


@pytest.fixture
def mine(folder: Path) -> Plan:
    """An experiment in whose folder there is a certificate of seed 1."""
    made = plan({"experiment": "smoke", "name": "mine"}, ROOT / "conf")
    report = {"experiment": {"digest": made.first.digest}}
    canonical.write_json(folder / "results/mine/certificate.json", {"report": report})
    return made


def of_seed_2() -> Plan:
    return plan({"experiment": "smoke", "name": "mine", "seed": 2}, ROOT / "conf")


def test_a_result_of_another_experiment_is_older_than_its_mark_whatever_its_date(
    mine: Plan,
) -> None:
    result = Path("results/mine/certificate.json")
    other = of_seed_2().first
    for made, is_outdated in ((mine.first, False), (other, True), (other, True)):
        os.utime(result)  # as --touch does
        mark = Path(start.outdated(result, made, is_main=True))
        assert (mark.stat().st_mtime >= result.stat().st_mtime) == is_outdated
    before = mark.read_bytes()
    assert start.outdated(result, other, is_main=False) == str(mark)
    assert mark.read_bytes() == before
    os.utime(result)
    start.outdated(result, other, is_main=True)
    assert mark.read_bytes() != before  # dates alone do not convince Snakemake
    start.outdated(result, mine.first, is_main=True)
    assert mark.stat().st_mtime < result.stat().st_mtime


def test_a_result_that_is_not_made_yet_has_an_old_mark(mine: Plan) -> None:
    mark = Path(start.outdated(Path("results/new/train/control/record.json"), mine.first, True))
    assert mark.stat().st_mtime < 1e9


def test_a_run_whose_files_changed_is_older_than_its_mark_and_the_file_is_named(
    mine: Plan, capfd: pytest.CaptureFixture[str]
) -> None:
    read = Path("words.txt")
    read.write_text("a")
    names = {"read": [{"path": "words.txt", "sha256": files.digest(read)}]}
    record = {"experiment": mine.first.digest, "files": NO_FILES | names, "source": []}
    runs = {run: Path(f"results/mine/train/{run}/record.json") for run in ("control", "replica")}
    canonical.write_json(runs["control"], record)
    # A replica has a home folder and a folder for temporary files of its own.
    elsewhere = NO_FILES | {"absent": ["words.txt"]}
    canonical.write_json(runs["replica"], record | {"files": elsewhere})

    def are_outdated() -> list[bool]:
        marks = [Path(start.outdated(r, mine.first, True, runs["control"])) for r in runs.values()]
        return [m.stat().st_mtime > 1e9 for m in marks]

    assert are_outdated() == [False, False]
    assert "trained again" not in capfd.readouterr().err
    read.write_text("b")
    os.utime(runs["control"])
    assert are_outdated() == [True, True]
    assert f"mine: trained again: {read.absolute()} has changed\n" in capfd.readouterr().err


def test_the_certificate_of_another_experiment_is_kept_beside_the_new_one(
    mine: Plan, capfd: pytest.CaptureFixture[str]
) -> None:
    path = Path("results/mine/certificate.json")
    content = path.read_bytes()
    start.keep_others(mine)
    assert path.read_bytes() == content
    start.keep_others(of_seed_2())
    (kept,) = path.parent.iterdir()
    assert kept.read_bytes() == content
    assert kept.name == f"certificate-{hashlib.sha256(content).hexdigest()[:12]}.json"
    assert f"replaced; kept as {kept.name}" in capfd.readouterr().err


def test_a_replay_keeps_the_certificate_of_another_replay_in_its_folder(mine: Plan) -> None:
    path = Path("results/mine/replay/certificate.json")
    path.parent.mkdir()
    shutil.copy("results/mine/certificate.json", path)
    for against in (True, False):
        assert path.is_file()
        replay: Any = SimpleNamespace(against=against)
        start.keep_others(dataclasses.replace(of_seed_2(), replay=replay))
    (kept,) = path.parent.iterdir()
    assert kept.name.startswith("certificate-")


def test_the_last_lines_are_never_about_another_experiment(mine: Plan) -> None:
    future = 4e9  # new, as --touch makes it look
    os.utime("results/mine/certificate.json", (future, future))
    with pytest.raises(WorkflowError, match="of another experiment"):
        start.succeed(of_seed_2())


def test_braces_in_a_place_that_snakemake_reads_are_refused_by_name_and_elsewhere_they_are_not(
    tmp_path: Path,
) -> None:
    checkout, odd = tmp_path / "checkout", tmp_path / "a{x}"
    start._check_places({"checkout": checkout, "working folder": tmp_path})
    with refused(f"{odd}: Snakemake takes braces in the path of the working folder for wildcards"):
        start._check_places({"checkout": checkout, "working folder": odd})


# --- the search for a cause --------------------------------------------------------------------


def write_run(folder: Path, name: str) -> None:
    canonical.write_json(folder / "train" / name / "record.json", {"timing": {"seconds": 30.0}})


def write_comparison(folder: Path, name: str, identical: bool, *differing: str) -> dict[str, Any]:
    runs = [{"run": run, "identical": False} for run in differing]
    content = {**protocol.ALIKE[protocol.FIRST], "identical": identical, "runs": runs}
    canonical.write_json(folder / "compare" / f"{name}.json", content)
    return content


def test_why_more_runs_are_made_is_said_once_before_each_part_of_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = plan({"experiment": "smoke", "name": "searched"}, ROOT / "conf").first
    given, found = SimpleNamespace(cores=2, nodes=None), dict[str, Any]()

    def said() -> str:
        start.explain(made, protocol.plan(made.config, found), folder, given)
        return capsys.readouterr().err

    assert said() == ""
    for name in ("control", "replica"):
        write_run(folder, name)
    found["replica"] = write_comparison(folder, "replica", False)
    assert said().startswith("searched: control and replica differ. 1 more training (repeat)")
    assert said() == ""
    write_run(folder, "repeat")
    assert said() == ""
    found["repeat"] = write_comparison(folder, "repeat", True)
    assert said().startswith("searched: repeat is identical to control. 12 more trainings")
    for run in protocol.runs(protocol.plan(made.config, found)):
        write_run(folder, run.name)
    assert said() == ""
    found["each"] = write_comparison(folder, "each", False, "with-clock")
    assert said().startswith("searched: bits differ where one condition alone is varied. 1 more")
    write_run(folder, "with-clock-2")
    assert said() == ""


@pytest.mark.parametrize(
    ("cores", "threads", "claimed"),
    [
        (1, 1, 1), (1, 4, 1), (2, 1, 1), (2, 4, 1), (4, 1, 1), (4, 2, 2), (4, 4, 2),
        (16, 1, 1), (16, 4, 4), (16, 16, 8), (None, 1, 1), (None, 16, 16),
    ],
)  # fmt: skip
def test_control_and_replica_run_side_by_side_and_a_cluster_is_asked_for_all_threads(
    cores: int | None, threads: int, claimed: int
) -> None:
    made = plan({"experiment": "smoke", "threads": threads}, ROOT / "conf").first
    assert start.claimed(made, cores) == claimed


def test_a_number_of_threads_that_is_not_pinned_claims_one_core() -> None:
    made = plan({"determinism": "none"}, ROOT / "conf").first
    assert [start.claimed(made, cores) for cores in (1, 16, None)] == [1, 1, 1]


def test_a_protocol_that_asks_for_more_runs_gives_no_further_reason(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"experiment": "smoke", "name": "all", "protocol": "exhaustive"}
    made = plan(asked, ROOT / "conf").first
    write_run(folder, "control")
    write_comparison(folder, "replica", True)
    known = protocol.plan(made.config, protocol.ALIKE)
    start.explain(made, known, folder, SimpleNamespace(cores=2, nodes=None))
    write_comparison(folder, "each", False, "without-isa")  # while other CPUs are emulated
    start.explain(made, known, folder, SimpleNamespace(cores=2, nodes=None))
    assert capsys.readouterr().err == ""
