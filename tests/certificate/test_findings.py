"""What many runs show together: culprits, conditions, what was not tried, and the verdict."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import certificates
import factories
from samebits.certificate import report
from samebits.certificate.findings import ways
from samebits.comparison import runs
from samebits.experiment import protocol
from samebits.experiment.protocol import PlannedRun
from samebits.formats import canonical, names
from samebits.pages import certificate, wording
from samebits.pages.certificate import observed

LEFT = "what an earlier run left in best.npy"
CPU = {"models": ["Haswell"], "samples": 640, "epochs": 1}


def config(**changes: Any) -> dict[str, Any]:
    content = copy.deepcopy(factories.CONFIG)
    content["protocol"] |= {"explain": ["time_zone", "home", "cpus"]} | changes
    return content


def certify(folder: Path, content: dict[str, Any], **outcomes: str) -> Any:
    """The certificate of all planned runs: ``same`` unless said otherwise (_ for - in names).

    Outcomes: same, differs (its own bits), failed, not tried, no effect (nothing else observed),
    in part (of the number of CPUs), leaves (a file that it also looks for),
    finds (that file, and the bits that it makes), races (finds it, but has its own bits),
    inherits (finds it, and has the bits of the run that left it), and other ``FILES``,
    unseen (same, but not all files are known), [Errno … or failed: … (with that message).
    """
    outcomes = {name.replace("__", "-"): outcome for name, outcome in outcomes.items()}
    folder.mkdir(exist_ok=True)
    experiment = canonical.write_json(folder / "config.json", content)
    load = factories.load_record()
    load_path, lock = folder / "load.json", folder / "train-tf2.21.lock.txt"
    factories.write_document(load_path, load)
    lock.write_text(factories.LOCK)
    made: dict[str, Path] = {}
    comparisons: list[Path] = []
    found: dict[str, Any] = {}
    while len(comparisons) < len(plan := protocol.plan(content, found)):
        wanted = plan[len(comparisons)]
        for run in (wanted.control, *wanted.runs):
            if run.name not in made:
                outcome = outcomes.get(run.name, "same")
                made[run.name] = write(folder, run, experiment, load["digest"], content, outcome)
        compared = runs.compare(made[wanted.control.name], [made[run.name] for run in wanted.runs])
        path = folder / "compare" / f"{wanted.name}.json"
        factories.write_document(path, compared)
        comparisons.append(path)
        found[wanted.name] = compared
    space = factories.Workspace(
        folder,
        folder / "config.json",
        lock,
        load_path,
        [*made.values()],
        comparisons[0],
        comparisons[1:],
    )
    issued = factories.report_of(space)
    assert certificate.render(certificates.certificate(issued))
    return issued


PATHS = "best.npy", "~/best.npy"
BEST: dict[str, Any] = {"path": "best.npy", "sha256": "a" * 64}
MADE = {"written": [BEST | {"sha256": None, "sought": True}]}
FILES: dict[str, Any] = {
    "unseen": {"problem": "not all calls were seen"},
    **{outcome: {"read": [BEST]} for outcome in ("finds", "races", "inherits")},
    "leaves": MADE,
    "looks and leaves": {"names": [{"path": ".", "sha256": "b" * 64}], **MADE},
    "lists": {"names": [{"path": ".", "sha256": "c" * 64}]},
    "lists and leaves": {"names": [{"path": ".", "sha256": "c" * 64}], **MADE},
    "follows": {"names": [{"path": "best.npy", "sha256": "c" * 64}]},
    "consumes": {"written": [BEST | {"sought": True}]},
    "at home": {"written": [BEST | {"path": "~/best.npy", "sha256": None, "sought": True}]},
    "from home": {"read": [BEST | {"path": "~/best.npy"}]},
    "both": {"written": [BEST | {"path": p, "sha256": None, "sought": True} for p in PATHS]},
}


def write(
    folder: Path, run: PlannedRun, experiment: str, dataset: str, content: Any, outcome: str
) -> Path:
    """One run's folder as train.py leaves it."""
    path = folder / "train" / run.name

    def change(record: Any) -> None:
        keys = run.variations
        record["unpinned"], record["subset"] = list(run.unpin), run.subset
        values = (each.partition("=")[2] or "another" for each in run.vary)
        record["variations"]["applied"] = dict(zip(keys, values, strict=True))
        if outcome in FILES:
            record["files"] = factories.NO_FILES | FILES[outcome]
        if outcome == "differs beside threads":
            record["threads"] = ["feed.work"]
        if outcome != "no effect":
            record["observed"] |= dict.fromkeys(keys, "another")
        if outcome == "in part":
            record["observed"]["cpus"] = factories.OBSERVED["cpus"] | {"CPU affinity": 1}
        for setting in record.get("settings", ()):
            relax(setting, run.unpin)

    if outcome in ("failed", "not tried") or outcome.startswith(("[Errno", "failed: ")):
        status = "not tried" if outcome == "not tried" else "failed"
        factories.write_run_without_result(path, experiment, dataset, status, config=content)
        record = canonical.read_json(path / "record.json")
        change(record)
        if status == "failed" and outcome != status:
            record["failure"] = {"error": "OSError", "message": outcome}
        if outcome == "not tried":
            record["variations"] = {
                "applied": {},
                "not_tried": dict.fromkeys(run.variations, "no tool"),
            }
        factories.write_document(path / "record.json", record)
        return path
    given: dict[str, Any] = {"canary": factories.canary()} if run.canary else {}
    if run.subset:
        given["metrics"] = {name: values[:1] for name, values in factories.HISTORY.items()}
        given["trace"] = factories.trace(seed=3)
    if outcome in ("differs", "finds", "races", "differs beside threads"):
        given["weights"] = factories.weights()
        own = 0 if outcome == "finds" else sum(map(ord, run.name))
        given["weights"][0][1].view("<u4")[0, 0] ^= 1 + own
    return factories.write_run(path, experiment, dataset, config=content, change=change, **given)


UNPINNED = {
    "isa": ("oneDNN ISA", "SSE41"),
    "op_determinism": ("op determinism", False),
    "python_seed": ("Python seed", None),
}


def relax(setting: dict[str, Any], unpin: tuple[str, ...]) -> None:
    for pin in unpin:
        if pin in UNPINNED and setting["name"] == UNPINNED[pin][0]:
            setting["expected"] = setting["effective"] = UNPINNED[pin][1]


def rows(issued: dict[str, Any], part: str, outcome: str) -> list[str]:
    return [row["key"] for row in issued["scope"][part] if row["outcome"] == outcome]


# --- reproducible ------------------------------------------------------------------------------


def test_what_was_varied_and_survived_is_the_scope(tmp_path: Path) -> None:
    issued = certify(tmp_path, config())
    assert issued["verdict"] == "REPRODUCIBLE"
    assert rows(issued, "variations", "same bits") == factories.CONFIG["protocol"]["replica"]
    assert any("were varied: time zone" in line for line in wording.shows(issued))


def test_a_variation_without_effect_is_not_claimed(tmp_path: Path) -> None:
    issued = certify(tmp_path, config(), replica="no effect")
    assert issued["verdict"] == "REPRODUCIBLE"
    assert rows(issued, "variations", "same bits") == []
    assert rows(issued, "variations", "not tried") == factories.CONFIG["protocol"]["replica"]


@pytest.mark.parametrize(
    ("before", "after", "changed", "unchanged"),
    [
        (2, 1, [""], []),
        (2, 2, [], [""]),
        ("on", "unknown", [], [""]),
        ({"a": 1, "b": 1}, {"a": 2, "b": 2}, ["a", "b"], []),
        ({"a": 1, "b": 1}, {"a": 1, "b": 2}, ["b"], ["a"]),
        ({"a": 1, "b": None}, {"a": 2, "b": None}, ["a"], []),
        ({"a": 1, "b": None}, {"a": 2, "b": 1}, ["a", "b"], []),
        ({"a": 1}, {"a": "unknown"}, [], ["a"]),
        ({"a": 1}, {}, ["a"], []),
        (None, None, [], []),
    ],
)
def test_each_way_of_asking_has_changed_or_not(
    before: Any, after: Any, changed: list[str], unchanged: list[str]
) -> None:
    assert ways(before, after) == (changed, unchanged)


def test_a_variation_that_some_ways_of_asking_do_not_show_is_named_by_the_others(
    tmp_path: Path,
) -> None:
    issued = certify(tmp_path, config(replica=["cpus"]), replica="in part")
    assert names.survived(issued) == ["number of CPUs (CPU affinity only)"]
    (row,) = issued["scope"]["variations"]
    assert observed(row["control"]) == "2"
    assert observed(row["value"]) == "1 (CPU affinity); 2 (os.cpu_count)"


def test_a_run_that_resumed_nothing_did_not_try_it(tmp_path: Path) -> None:
    issued = certify(tmp_path, config(alone=["interrupt"]), with__interrupt="no effect")
    row = next(r for r in issued["scope"]["variations"] if r["run"] == "with-interrupt")
    assert (row["outcome"], row["why"]) == ("not tried", "no epoch was trained after a resume")


def test_what_could_not_be_tried_alone_is_listed_with_its_reason(tmp_path: Path) -> None:
    issued = certify(tmp_path, config(alone=["clock"]), with__clock="not tried")
    assert issued["verdict"] == "REPRODUCIBLE"
    row = next(r for r in issued["scope"]["variations"] if r["run"] == "with-clock")
    assert (row["outcome"], row["why"]) == ("not tried", "no tool")


def test_a_replica_that_was_not_trained_shows_nothing(tmp_path: Path) -> None:
    issued = certify(tmp_path, config(replica=["clock"], explain=[]), replica="not tried")
    assert issued["verdict"] == "INCONCLUSIVE"
    assert any("replica was not trained" in reason for reason in issued["reasons"])


# --- culprits ----------------------------------------------------------------------------------


def twice(name: str, outcome: str) -> dict[str, str]:
    """Both runs with a variation."""
    return {f"with__{name}": outcome, f"with__{name}__2": outcome}


def test_a_difference_names_the_variation_that_alone_makes_it(tmp_path: Path) -> None:
    issued = certify(tmp_path, config(), replica="differs", **twice("cpus", "differs"))
    assert issued["verdict"] == "NOT REPRODUCIBLE"
    assert issued["scope"]["depends_on"] == ["number of CPUs"]
    assert issued["scope"]["repeatable"] is True
    counted = "(other bits in 2 of 2 runs, and in 0 of 3 that do not vary it)"
    assert issued["reasons"][0] == f"The bits depend on: number of CPUs {counted}."
    assert names.survived(issued) == ["time zone", "home folder"]


def test_a_difference_under_a_variation_alone_is_enough(tmp_path: Path) -> None:
    wanted = config(alone=["contention"])
    issued = certify(tmp_path, wanted, **twice("contention", "differs"))
    assert issued["verdict"] == "NOT REPRODUCIBLE"
    assert issued["scope"]["depends_on"] == ["CPU contention"]


RACES = {"with__clock": "differs", "with__clock__2": "same"}
TWO_RESULTS = (
    "Not repeatable under identical conditions: with-clock and with-clock-2 have different results."
)


@pytest.mark.parametrize("of_thread", [False, True])
def test_a_variation_under_which_a_second_run_has_the_bits_of_the_control_is_no_cause(
    tmp_path: Path, of_thread: bool
) -> None:
    wanted = config(alone=["clock", "cpus"])
    more = {"with__clock": "differs beside threads"} if of_thread else {}
    issued = certify(tmp_path, wanted, **RACES | more)
    assert issued["verdict"] == "NOT REPRODUCIBLE"
    assert issued["scope"]["depends_on"] == []
    assert issued["scope"]["repeatable"] is False
    assert issued["reasons"][0] == TWO_RESULTS
    threads = "Python threads ran, and may race: feed.work."
    assert (issued["reasons"][1] == threads) is of_thread
    assert "clock" not in names.survived(issued)
    assert not any("rare race" in reason for reason in issued["reasons"])


def test_where_the_same_conditions_have_two_results_two_runs_are_luck_as_well(
    tmp_path: Path,
) -> None:
    wanted = config(alone=["clock", "cpus"])
    issued = certify(tmp_path, wanted, **RACES, **twice("cpus", "differs"))
    assert (issued["scope"]["depends_on"], issued["reasons"][0]) == ([], TWO_RESULTS)


def test_a_variation_that_could_not_be_tried_once_more_is_not_named(tmp_path: Path) -> None:
    outcomes = {"with__clock": "differs", "with__clock__2": "not tried"}
    issued = certify(tmp_path, config(alone=["clock"]), **outcomes)
    assert issued["verdict"] == "NOT REPRODUCIBLE"
    assert issued["scope"]["depends_on"] == []
    said = "In one run alone, which may be a race, bits differ under: clock."
    assert said in issued["reasons"]


def test_a_dependence_without_its_second_run_is_no_evidence(tmp_path: Path) -> None:
    """A verifier makes the same plan from what the comparisons say."""
    issued = certify(tmp_path, config(alone=["clock"]), **twice("clock", "differs"))
    assert report.rebuild(issued) == issued
    issued["comparisons"] = [c for c in issued["comparisons"] if "with-clock-2" not in c["status"]]
    issued["evidence"] = [entry for entry in issued["evidence"] if "-2" not in entry["name"]]
    for part in (issued["records"]["runs"], issued["histories"]):
        del part["with-clock-2"]
    found = report.rebuild(issued)
    assert (found["verdict"], found["scope"]["depends_on"]) == ("INCONCLUSIVE", [])
    assert any("compare/each-2.json" in reason for reason in found["reasons"])


def test_a_replica_with_nothing_varied_that_differs_is_not_repeatable(tmp_path: Path) -> None:
    """Even where the repeat has the bits of the control."""
    issued = certify(tmp_path, config(replica=[]), replica="differs")
    assert issued["scope"]["repeatable"] is False
    said = "control, replica and repeat have different results."
    assert issued["reasons"][0] == f"Not repeatable under identical conditions: {said}"


def test_a_failure_that_its_variation_may_have_made_is_no_second_result(tmp_path: Path) -> None:
    outcomes = {"with__home": "[Errno 18] Invalid cross-device link: 'a' -> 'b'"}
    issued = certify(tmp_path, config(alone=["home"]), **outcomes)
    assert (issued["verdict"], issued["scope"]["repeatable"]) == ("REPRODUCIBLE", True)
    assert "with-home-2" in issued["records"]["runs"]


def test_of_threads_that_race_no_other_variation_is_called_the_cause(tmp_path: Path) -> None:
    """A race may show wherever it likes: that it did with another clock is luck."""
    wanted = config(alone=["clock", "threads"])
    for name, clock in {"once": RACES, "twice": twice("clock", "differs")}.items():
        issued = certify(tmp_path / name, wanted, **clock, **twice("threads", "differs"))
        assert issued["verdict"] == "NOT REPRODUCIBLE"
        assert issued["scope"]["depends_on"] == ["timing of Python threads"]
        seen = len([outcome for outcome in clock.values() if outcome == "differs"])
        counted = f"(other bits in 2 of 2 runs, and in {seen} of 4 that do not vary it)"
        assert issued["reasons"][0] == f"The bits depend on: timing of Python threads {counted}."


def test_a_run_that_fails_under_a_variation_depends_on_it(tmp_path: Path) -> None:
    issued = certify(tmp_path, config(), replica="failed", **twice("time_zone", "failed"))
    assert issued["verdict"] == "NOT REPRODUCIBLE"
    assert issued["scope"]["depends_on"] == ["time zone"]
    assert issued["reasons"][0] == (
        "The training fails where this alone is varied: time zone (in 2 of 2 runs, and in 0 of 3 "
        "that do not vary it)."
    )
    assert (
        "with-time_zone failed where control did not, with time zone varied: ValueError: the "
        "user's model raised this"
    ) in issued["reasons"]
    assert rows(issued, "variations", "failed")[-1] == "time_zone"
    assert not any("different" in line for line in wording.shows(issued))
    assert wording.statement(issued) == (
        "Runs of this experiment failed where their control completed."
    )


@pytest.mark.parametrize(
    "error",
    [
        "[Errno 18] Invalid cross-device link: 'a' -> 'b'",
        "[Errno 16] Ger\u00e4t oder Ressource belegt: 'a'",
        "failed: UNKNOWN: a; Invalid cross-device link",
        "failed: AF_UNIX path too long",
        "[Errno 39] Directory not empty: 'logs'",
    ],
)
def test_a_failure_that_the_variation_may_have_made_is_no_evidence(
    tmp_path: Path, error: str
) -> None:
    issued = certify(tmp_path, config(), replica=error, with__home=error)
    assert issued["verdict"] == "INCONCLUSIVE"
    assert error in issued["reasons"][0] and "protocol.replica" in issued["reasons"][0]
    alone = certify(tmp_path / "alone", config(alone=["home"]), with__home=error)
    assert alone["verdict"] == "REPRODUCIBLE"
    row = next(r for r in alone["scope"]["variations"] if r["run"] == "with-home")
    assert (row["outcome"], error in row["why"]) == ("not tried", True)


def test_a_failure_that_no_mount_makes_is_the_programs_own(tmp_path: Path) -> None:
    error = "[Errno 18] Invalid cross-device link: 'a' -> 'b'"
    issued = certify(tmp_path, config(alone=["umask"]), **twice("umask", error))
    assert issued["verdict"] == "NOT REPRODUCIBLE"
    assert issued["scope"]["depends_on"] == ["umask"]


def test_what_no_run_varied_is_listed(tmp_path: Path) -> None:
    issued = certify(tmp_path, config())
    unvaried = issued["scope"]["not_varied"]
    assert {"other files", "network", "load of the machine", "kernel"} <= set(unvaried)
    assert any("which no run varied: other files, " in line for line in wording.limits(issued))
    busy = certify(tmp_path / "busy", config(alone=["contention"]))
    assert set(unvaried) - set(busy["scope"]["not_varied"]) == {"load of the machine"}


def test_runs_that_differ_without_any_change_are_not_repeatable(tmp_path: Path) -> None:
    every = dict.fromkeys(
        ("replica", "repeat", "with__time_zone", "with__home", "with__cpus"), "differs"
    )
    issued = certify(tmp_path, config(), **every)
    assert issued["verdict"] == "NOT REPRODUCIBLE"
    assert issued["scope"]["repeatable"] is False
    assert issued["scope"]["depends_on"] == []


@pytest.mark.parametrize(
    ("control", "depends_on"),
    [("unseen", ["what an earlier run left in the home folder"]), ("same", [])],
    ids=["not all files are known", "no run left any"],
)
def test_what_an_earlier_run_left_at_home_is_named_where_files_may_be_unknown(
    tmp_path: Path, control: str, depends_on: list[str]
) -> None:
    """Where all are known, and none was left, a run that agrees under another home is luck."""
    every = dict.fromkeys(("repeat", "with__time_zone", "with__cpus"), "differs")
    wanted = config(alone=["time_zone", "home", "cpus"])
    issued = certify(tmp_path, wanted, control=control, **every)
    assert issued["verdict"] == "NOT REPRODUCIBLE"
    assert issued["scope"]["depends_on"] == depends_on


@pytest.mark.parametrize(
    ("outcomes", "verdict", "depends_on"),
    [
        ({}, names.REPRODUCIBLE, []),
        ({"repeat": "finds", "repeat__2": "finds"}, names.NOT_REPRODUCIBLE, [LEFT]),
        (
            {"replica": "finds", "repeat": "finds", "repeat__2": "finds"},
            names.NOT_REPRODUCIBLE,
            [LEFT],
        ),
        # Also where there was no such file: not by that file alone.
        (
            {"replica": "differs", "repeat": "finds", "repeat__2": "finds"},
            names.NOT_REPRODUCIBLE,
            [],
        ),
        ({"repeat": "differs"}, names.NOT_REPRODUCIBLE, []),
        # One file, twice found, and two results: something else makes them.
        ({"repeat": "finds", "repeat__2": "races"}, names.NOT_REPRODUCIBLE, []),
    ],
    ids=["no effect", "by later runs alone", "by all", "without it too", "never", "a race"],
)
def test_a_file_that_a_run_leaves_for_another_is_named_and_later_runs_are_made(
    tmp_path: Path, outcomes: dict[str, str], verdict: str, depends_on: list[str]
) -> None:
    issued = certify(tmp_path, config(explain=[]), control="leaves", **outcomes)
    repeats = ["repeat", "repeat-2"] if outcomes else ["repeat"]
    assert sorted(issued["records"]["runs"]) == sorted(["control", "replica", *repeats])
    assert (issued["verdict"], issued["scope"]["depends_on"]) == (verdict, depends_on)
    assert issued["scope"]["left"] == ["best.npy"]
    assert any("or are missing: best.npy." in limit for limit in wording.limits(issued))


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ({"replica": "inherits", "repeat": "inherits"}, names.INCONCLUSIVE),
        # A run that never looks has nothing from there.
        ({"replica": "inherits", "repeat": "same"}, names.REPRODUCIBLE),
        ({"replica": "inherits", "repeat": "leaves"}, names.REPRODUCIBLE),
        # Both may have made it before either read it.
        ({"replica": "leaves", "repeat": "inherits"}, names.INCONCLUSIVE),
        ({"replica": "leaves", "repeat": "leaves"}, names.REPRODUCIBLE),
        ({"replica": "same", "repeat": "inherits"}, names.REPRODUCIBLE),
        ({"replica": "consumes", "repeat": "consumes"}, names.INCONCLUSIVE),
        # By the name of a file alone, or a name that it made once more; by where a link leads.
        ({"replica": "lists", "repeat": "lists"}, names.INCONCLUSIVE),
        ({"replica": "lists and leaves", "repeat": "lists and leaves"}, names.INCONCLUSIVE),
        ({"replica": "follows", "repeat": "follows"}, names.INCONCLUSIVE),
    ],
)
def test_runs_that_read_what_the_control_made_show_nothing_unless_one_made_it_too(
    tmp_path: Path, outcomes: dict[str, str], verdict: str
) -> None:
    issued = certify(tmp_path, config(explain=[]), control="leaves", **outcomes)
    assert issued["verdict"] == verdict
    told = [reason for reason in issued["reasons"] if "found best.npy as an earlier" in reason]
    assert len(told) == (verdict == names.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ({"replica": "looks and leaves", "repeat": "looks and leaves"}, names.REPRODUCIBLE),
        ({"replica": "looks and leaves", "repeat": "lists"}, names.INCONCLUSIVE),
        ({"replica": "lists", "repeat": "looks and leaves"}, names.REPRODUCIBLE),
        # The replica came first: the control found the name, too.
        ({"replica": "lists and leaves", "repeat": "looks and leaves"}, names.INCONCLUSIVE),
    ],
)
def test_names_are_compared_as_the_control_found_them(
    tmp_path: Path, outcomes: dict[str, str], verdict: str
) -> None:
    issued = certify(tmp_path, config(explain=[]), control="looks and leaves", **outcomes)
    assert issued["verdict"] == verdict


@pytest.mark.parametrize(
    ("replica", "verdict"), [(["home"], names.REPRODUCIBLE), (["umask"], names.INCONCLUSIVE)]
)
def test_a_replica_with_a_home_of_its_own_shares_no_file_at_home(
    tmp_path: Path, replica: list[str], verdict: str
) -> None:
    outcomes = {"control": "at home", "replica": "at home", "repeat": "from home"}
    issued = certify(tmp_path, config(explain=[], replica=replica), **outcomes)
    assert issued["verdict"] == verdict


def test_one_run_alone_has_to_share_nothing(tmp_path: Path) -> None:
    """Of two files that hold the same, each run finds another one."""
    outcomes = {"control": "both", "replica": "inherits", "repeat": "from home"}
    issued = certify(tmp_path, config(explain=[], replica=["home"]), **outcomes)
    assert issued["verdict"] == names.INCONCLUSIVE


def test_where_not_all_files_are_known_that_is_said_first(tmp_path: Path) -> None:
    issued = certify(tmp_path, config(explain=[]), control="unseen")
    assert issued["verdict"] == names.REPRODUCIBLE
    (caution,) = issued["scope"]["cautions"]
    assert caution.startswith("control: Not all files that the training read are known: not all")


@pytest.mark.parametrize(
    ("replica", "verdict"), [("inherits", names.REPRODUCIBLE), ("leaves", names.INCONCLUSIVE)]
)
def test_what_all_runs_find_is_an_input_unless_the_replica_came_first_and_made_it(
    tmp_path: Path, replica: str, verdict: str
) -> None:
    outcomes = {"control": "inherits", "replica": replica, "repeat": "inherits"}
    issued = certify(tmp_path, config(explain=[]), **outcomes)
    assert issued["verdict"] == verdict


def test_no_variation_is_tried_where_a_repeat_differs(tmp_path: Path) -> None:
    every = {"replica": "differs", "repeat": "differs"}
    issued = certify(tmp_path, config(), **every)
    assert sorted(issued["records"]["runs"]) == ["control", "repeat", "replica"]
    assert issued["scope"]["repeatable"] is False


def test_a_file_that_no_run_sought_asks_for_no_further_run(tmp_path: Path) -> None:
    issued = certify(tmp_path, config(explain=[]))
    assert [*issued["records"]["runs"]] == ["control", "replica"]
    assert issued["scope"]["left"] == []
    assert not any("are missing:" in limit for limit in wording.limits(issued))


def test_a_difference_that_no_variation_alone_makes_is_said_to_be_that(tmp_path: Path) -> None:
    issued = certify(tmp_path, config(), replica="differs")
    assert issued["verdict"] == "NOT REPRODUCIBLE"
    assert issued["scope"]["depends_on"] == []
    assert any("rare race" in reason for reason in issued["reasons"])


def test_another_cpu_is_named_and_emulation_explained(tmp_path: Path) -> None:
    issued = certify(tmp_path, config(cpu=CPU), cpu__Haswell="differs", cpu__Haswell__2="differs")
    assert issued["verdict"] == "NOT REPRODUCIBLE"
    assert issued["scope"]["depends_on"] == ["CPU"]
    assert any("emulator" in limit for limit in wording.limits(issued))


def test_emulated_cpus_differ_by_luck_where_their_control_has_two_results(tmp_path: Path) -> None:
    both = CPU | {"models": ["Haswell", "EPYC"]}
    every = dict.fromkeys(("cpu__Haswell", "cpu__EPYC"), "differs")
    issued = certify(tmp_path, config(cpu=both), **every)
    assert issued["scope"]["depends_on"] == ["CPU"]
    raced = certify(tmp_path / "race", config(cpu=both), **every, subset__control__2="differs")
    assert (raced["scope"]["depends_on"], raced["scope"]["repeatable"]) == ([], False)


def test_emulated_runs_without_a_control_of_their_own_show_nothing(tmp_path: Path) -> None:
    issued = certify(tmp_path, config(cpu=CPU), subset__control="failed", cpu__Haswell="failed")
    assert issued["verdict"] == "INCONCLUSIVE"
    assert "subset" in issued["reasons"][0]


# --- pins --------------------------------------------------------------------------------------


@pytest.fixture
def unpinning() -> dict[str, Any]:
    """Few pins, so that the fake settings stay few."""
    content = config(unpin=True)
    content["determinism"] |= {
        "hash_seed": None, "intra_op_threads": None,
        "inter_op_threads": None, "onednn": None,
    }  # fmt: skip
    content["protocol"]["replica"] = ["time_zone"]
    return content


def test_a_difference_without_a_pin_is_a_condition_and_no_failure(
    tmp_path: Path, unpinning: dict[str, Any]
) -> None:
    issued = certify(tmp_path, unpinning, without__isa="differs")
    assert issued["verdict"] == "REPRODUCIBLE"
    assert issued["scope"]["conditions"] == ["oneDNN ISA"]
    assert rows(issued, "pins", "needed") == ["isa"]
    assert "python_seed" in rows(issued, "pins", "not needed")
    assert any("oneDNN ISA" in line for line in wording.shows(issued))


def test_unpinning_pins_of_a_run_that_does_not_repeat_shows_nothing(
    tmp_path: Path, unpinning: dict[str, Any]
) -> None:
    issued = certify(tmp_path, unpinning, repeat="differs", without__isa="differs")
    assert issued["verdict"] == "NOT REPRODUCIBLE"
    assert issued["scope"]["conditions"] == []
    assert {row["outcome"] for row in issued["scope"]["pins"]} == {"not tried"}


# --- tolerance ---------------------------------------------------------------------------------


def test_a_difference_within_the_tolerance_asked_for_is_a_verdict_of_its_own(
    tmp_path: Path,
) -> None:
    asked = config(explain=[], tolerance={"absolute": 1e-3, "ulp": None})
    issued = certify(tmp_path, asked, replica="differs")
    assert issued["verdict"] == "EQUAL WITHIN TOLERANCE"
    assert 0 < issued["scope"]["within"]["absolute"] <= 1e-3
    assert issued["scope"]["within"]["ulp"] > 0


@pytest.mark.parametrize("tolerance", [None, {"absolute": 1e-12}, {"absolute": 1.0, "ulp": 1}])
def test_a_difference_beyond_the_tolerance_is_not_reproducible(
    tmp_path: Path, tolerance: Any
) -> None:
    issued = certify(tmp_path, config(explain=[], tolerance=tolerance), replica="differs")
    assert issued["verdict"] == "NOT REPRODUCIBLE"
    assert issued["scope"]["within"] is None


def test_equal_bits_are_reproducible_whatever_the_tolerance(tmp_path: Path) -> None:
    issued = certify(tmp_path, config(tolerance={"absolute": 1.0, "ulp": None}))
    assert issued["verdict"] == "REPRODUCIBLE"


def test_a_number_that_is_none_is_within_no_tolerance(tmp_path: Path) -> None:
    weights = factories.weights()
    weights[0][1][0, 0] = np.nan
    space = factories.workspace(
        tmp_path, config=config(explain=[], tolerance={"absolute": 1e9}), weights=weights
    )
    assert factories.report_of(space)["verdict"] == "NOT REPRODUCIBLE"
