"""No missing, foreign, damaged or forged evidence is ever graded REPRODUCIBLE."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension

import certificates
import factories
from factories import Workspace, edit
from samebits.certificate import schema
from samebits.errors import SamebitsError
from samebits.formats import arrays, canonical, files, history
from samebits.pages import certificate, wording


def issued(space: Workspace) -> Any:
    """The report of a workspace; it always is what the schema says."""
    return factories.report_of(space, overridden=())


def rendered(content: dict[str, Any]) -> str:
    """The page of the certificate of a report."""
    return certificate.render(certificates.certificate(content))


def setting(name: str, **changes: Any) -> Callable[[Any], None]:
    """Change one probed setting in a record."""

    def change(record: Any) -> None:
        next(s for s in record["settings"] if s["name"] == name).update(changes)

    return change


# --- the four verdicts -----------------------------------------------------------------------


def test_equal_runs_with_sound_evidence_are_reproducible(tmp_path: Path) -> None:
    content = issued(factories.workspace(tmp_path))
    assert content["verdict"] == "REPRODUCIBLE"
    assert content["comparisons"][0]["identical"]


def test_a_measured_difference_is_not_reproducible_and_named(tmp_path: Path) -> None:
    content = issued(factories.workspace(tmp_path, weights=factories.differing()))
    assert content["verdict"] == "NOT REPRODUCIBLE"
    assert content["reasons"] == ["replica differs from control in final weights (dense/kernel)."]


def test_runs_that_differ_alike_are_one_reason(tmp_path: Path) -> None:
    reasons = issued(factories.explained(tmp_path))["reasons"]
    both = "cpu-EPYC and cpu-EPYC-2 differ from subset-control"
    assert f"{both} in final weights (dense/kernel)." in reasons


def test_answers_that_differ_are_named_where_all_weights_agree(tmp_path: Path) -> None:
    answers = factories.predictions()
    answers[0][1].view("<u4")[0, 0] ^= 1
    content = issued(factories.workspace(tmp_path, predictions=answers))
    assert content["verdict"] == "NOT REPRODUCIBLE"
    assert content["reasons"] == ["replica differs from control in outputs (predict/0)."]


def test_an_answer_that_failed_is_a_limit_and_no_gap(tmp_path: Path) -> None:
    def unanswered(record: Any) -> None:
        record["predictions"]["predict"] = "NotImplementedError: no call()"

    space = factories.workspace(tmp_path)
    for run in space.runs:
        digest = arrays.write(run / "predictions.safetensors", factories.predictions()[1:])
        edit(run / "record.json", set_item("digests", "predictions", value=digest.sha256))
        edit(run / "record.json", set_item("tensors", "predictions", value=digest.as_json()))
        edit(run / "record.json", unanswered)
    content = issued(space.compare())
    assert content["verdict"] == "REPRODUCIBLE"
    assert any("predict(), which failed: NotImpl" in line for line in wording.limits(content))


def test_fewer_epochs_than_asked_for_are_told(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    fewer_epochs(space)
    for run in space.runs:
        edit(run / "record.json", set_item("trace", "epoch_ends", value=[4, 8]))
    content = issued(space.compare())
    assert (content["verdict"], content["scope"]["epochs"]) == (
        "REPRODUCIBLE", {"trained": 2, "at_most": 3},
    )  # fmt: skip
    assert wording.epochs(content["scope"]) == "2 of at most 3: the model ended its training"


def test_a_refusal_by_tensorflow_is_unsupported_with_the_op_named(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    space.refuse(0)
    space.refuse(1)
    content = issued(space.compare())
    assert content["verdict"] == "UNSUPPORTED"
    assert all("FakeQuantWithMinMaxVarsGradient" in reason for reason in content["reasons"])
    assert len(content["reasons"]) == 2


def test_a_refusal_of_one_run_alone_is_inconclusive(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    space.refuse(1)
    content = issued(space.compare())
    assert content["verdict"] == "INCONCLUSIVE"
    assert content["reasons"] == ["replica was refused and the other run was not"]


def test_a_nan_loss_is_a_result_like_any_other(tmp_path: Path) -> None:
    metrics = {"loss": [1.0, float("nan"), float("inf")], "accuracy": [0.1, 0.2, 0.2]}
    space = factories.workspace(tmp_path, metrics=metrics)
    factories.write_run(space.runs[0], *space.ids, metrics=metrics)
    content = issued(space.compare())
    assert content["verdict"] == "REPRODUCIBLE"
    assert content["histories"]["control"]["metrics"]["loss"][1] == {"float64": "7ff8000000000000"}
    assert "NaN" in rendered(content)


# --- what must never be REPRODUCIBLE -----------------------------------------------------------

Harm = Callable[[Workspace], object]


def on_record(change: Callable[[Any], Any]) -> Harm:
    return lambda space: edit(space.runs[1] / "record.json", change)


def changed_afterwards(run: int, change: Callable[[Any], Any]) -> Harm:
    """A record that is changed and keeps its embedded digest."""

    def harm(space: Workspace) -> None:
        path = space.runs[run] / "record.json"
        content = canonical.read_json(path)
        change(content)
        canonical.write_json(path, content)

    return harm


def on_comparison(change: Callable[[Any], Any]) -> Harm:
    return lambda space: edit(space.comparison, change)


def artifact(position: int, **changes: Any) -> Harm:
    return on_comparison(lambda c: c["runs"][0]["artifacts"][position].update(changes))


def set_item(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


def without(*path: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


def same_process(space: Workspace) -> None:
    shared = canonical.read_json(space.runs[0] / "record.json")["process"]
    edit(space.runs[1] / "record.json", set_item("process", value=shared))


def swap_artifacts(space: Workspace) -> None:
    """The replica's weights replaced after the comparison."""
    arrays.write(space.runs[1] / "weights.safetensors", factories.differing())


def forge_history(space: Workspace) -> None:
    better = factories.HISTORY | {"accuracy": [1.0, 1.0, 1.0]}
    canonical.write_json(space.runs[1] / "history.json", history.to_json(better))


def forge_difference_away(space: Workspace) -> None:
    """Differing runs whose comparison is called identical, digests left as they are."""
    factories.write_run(space.runs[1], *space.ids, weights=factories.differing())
    space.compare()

    def forge(comparison: Any) -> None:
        comparison["identical"] = comparison["runs"][0]["identical"] = True
        comparison["runs"][0]["artifacts"][1].update(identical=True, differences=[])

    edit(space.comparison, forge)


def forge_digests_too(space: Workspace) -> None:
    forge_difference_away(space)
    edit(
        space.comparison,
        lambda c: c["runs"][0]["artifacts"][1]["digests"].__setitem__(
            1, c["runs"][0]["artifacts"][1]["digests"][0]
        ),
    )


def one_run(space: Workspace) -> None:
    space.runs = space.runs[:1]


def third_run(space: Workspace) -> None:
    folder = space.folder / "train" / "replica-2"
    space.runs.append(factories.write_run(folder, *space.ids))


def break_lock(space: Workspace) -> None:
    space.lock.write_text(factories.LOCK.replace("2.4.6", "2.4.5"))


def nothing_left(space: Workspace) -> None:
    """Runs that left no metric and no weight: nothing equals nothing."""
    for run in space.runs:
        record = canonical.read_json(run / "record.json")
        record["digests"]["history"] = canonical.write_json(
            run / "history.json", history.to_json({})
        )
        for name in ("weights", "optimizer"):
            stored = arrays.write(run / f"{name}.safetensors", [])
            record["digests"][name], record["tensors"][name] = stored.sha256, []
        factories.write_document(run / "record.json", record)
    space.compare()


def fewer_epochs(space: Workspace) -> None:
    """Both runs stopped one epoch early."""
    short = {name: values[:-1] for name, values in factories.HISTORY.items()}
    for run in space.runs:
        digest = canonical.write_json(run / "history.json", history.to_json(short))
        edit(run / "record.json", set_item("digests", "history", value=digest))
    space.compare()


def in_file(path: str, old: bytes, new: bytes) -> Harm:
    """Replace bytes in one file, whatever this makes of it."""

    def harm(space: Workspace) -> None:
        file = space.folder / path
        data = file.read_bytes()
        assert old in data
        file.write_bytes(data.replace(old, new, 1))

    return harm


def reformat_config(space: Workspace) -> None:
    space.config.write_bytes(space.config.read_bytes().replace(b",", b", "))


DIGEST = "0" * 64
MODULE = {"module": "x", "path": "x.py", "sha256": DIGEST}
NEVER_REPRODUCIBLE: dict[str, Harm] = {
    # missing or unreadable
    "no config": lambda s: s.config.unlink(),
    "no lock": lambda s: s.lock.unlink(),
    "no load record": lambda s: s.load_record.unlink(),
    "no comparison": lambda s: s.comparison.unlink(),
    "no run record": lambda s: (s.runs[1] / "record.json").unlink(),
    "no history": lambda s: (s.runs[0] / "history.json").unlink(),
    "no weights": lambda s: (s.runs[1] / "weights.safetensors").unlink(),
    "no optimizer state": lambda s: (s.runs[1] / "optimizer.safetensors").unlink(),
    "load record cut off": lambda s: s.load_record.write_bytes(s.load_record.read_bytes()[:-9]),
    "comparison not UTF-8": lambda s: s.comparison.write_bytes(b"\xff"),
    "comparison nested too deep": lambda s: s.comparison.write_bytes(b"[" * 100_000),
    "record is a list": lambda s: canonical.write_json(s.runs[0] / "record.json", []),
    "record with a key twice": lambda s: (s.runs[0] / "record.json").write_text('{"a":1,"a":1}'),
    # JSON that can be read but not written
    "a number beyond float64": in_file("train/replica/record.json", b":4.5", b":1e999"),
    "half a surrogate pair": in_file("load/record.json", b"no network", b"\\ud800"),
    # of another format
    "config of another format": lambda s: edit(s.config, set_item("format", value="other-2")),
    "load record of another format": lambda s: edit(s.load_record, set_item("format", value="x")),
    "record of another format": on_record(set_item("format", value="samebits-train-2")),
    "comparison of another format": on_comparison(set_item("format", value="samebits-compare-2")),
    "unknown status": on_record(set_item("status", value="probably")),
    "comparison with another key": on_comparison(set_item("trust me", value=True)),
    # of another experiment, data set, run or process
    "another config": lambda s: edit(s.config, set_item("seed", value=2)),
    "config not canonical": reformat_config,
    "run of another experiment": on_record(set_item("experiment", value=DIGEST)),
    "run on other data": on_record(set_item("dataset", value=DIGEST)),
    "one file, other tensors": on_record(
        lambda record: record["tensors"]["weights"][0].update(name="another")
    ),
    "record of another run": on_record(set_item("run", value="control")),
    "one process for both runs": same_process,
    "no process id": on_record(without("process")),
    "one run": one_run,
    "a run that was not compared": third_run,
    # settings and packages
    "pin not in effect": on_record(setting("intra-op threads", effective=2)),
    "true is not one": on_record(setting("intra-op threads", effective=True)),
    "pin unpinned in the record": on_record(setting("oneDNN ISA", expected=None)),
    "pin compared with another value": on_record(
        setting("oneDNN ISA", expected="AVX512_CORE", effective="AVX512_CORE")
    ),
    "another seed": on_record(setting("NumPy seed", expected=2, effective=2)),
    "another TensorFlow": on_record(setting("TensorFlow", effective="2.20.0")),
    "pin not probed": on_record(lambda r: r["settings"].pop(0)),
    "variable not probed": on_record(lambda r: r["settings"].pop(1)),
    "no setting probed": on_record(set_item("settings", value=[])),
    "stray variable": on_record(setting("other variables", effective={"TF_XLA_FLAGS": "x"})),
    "another package version": on_record(set_item("packages", 0, "version", value="2.4.5")),
    "a package too many": on_record(lambda r: r["packages"].append({"name": "x", "version": "1"})),
    "a package too few": on_record(lambda r: r["packages"].pop(0)),
    "a package twice, the locked version last": on_record(
        lambda r: r["packages"].insert(0, {"name": "NumPy", "version": "9.9"})
    ),
    "a setting twice, the pinned one last": on_record(
        lambda r: r["settings"].insert(
            0, {"name": "oneDNN ISA", "expected": None, "effective": "SSE41", "how": "asked"}
        )
    ),
    "a trace with fewer rows than asked for": on_record(set_item("trace", "every", value="off")),
    "run from another lock": on_record(set_item("lock", value=DIGEST)),
    "another lock": break_lock,
    "a lock that is none": lambda s: s.lock.write_text("numpy"),
    "nobody looked for stray variables": on_record(lambda r: r["settings"].pop(2)),
    # code
    "other source code": on_record(set_item("source", 0, "sha256", value=DIGEST)),
    "another module": on_record(lambda r: r["source"].append(MODULE)),
    "another file": on_record(set_item("files", "read", 0, "sha256", value=DIGEST)),
    "a file without digest": on_record(set_item("files", "read", 0, "sha256", value=None)),
    "another Python": on_record(set_item("python", "version", value="3.11.9")),
    "another build of TensorFlow": on_record(set_item("framework", "git_version", value="other")),
    # what a record must say, by type
    "config in the record": on_record(set_item("config", "seed", value=2)),
    "process id is no UUID": on_record(set_item("process", "id", value="0" * 36)),
    "CPU is no text": on_record(set_item("machine", "cpu", value=["AMD"])),
    "CPU features are no list": on_record(set_item("machine", "flags", value=3)),
    "wheel is no object": on_record(set_item("framework", "wheel", value="tensorflow")),
    "times are no object": on_record(set_item("timing", value=[4.5])),
    # nothing to compare
    "neither metrics nor weights": nothing_left,
    "fewer epochs than were trained": fewer_epochs,
    "more epochs than the experiment has": on_record(
        set_item("trace", "epoch_ends", value=[3, 6, 9, 12])
    ),
    "fewer epochs than the history has": on_record(set_item("trace", "epoch_ends", value=[4])),
    "an answer that is not listed": on_record(without("predictions", "evaluate")),
    "an answer that is not in the file": on_record(set_item("predictions", "embed", value=None)),
    "no answers": on_record(set_item("predictions", value=None)),
    # digests
    "data digest is not of its arrays": lambda s: edit(
        s.load_record, set_item("arrays", 0, "sha256", value=DIGEST)
    ),
    "recorded digest of history": on_record(set_item("digests", "history", value=DIGEST)),
    "recorded digest of weights": on_record(set_item("digests", "weights", value=DIGEST)),
    "no recorded digest": on_record(without("digests", "optimizer")),
    "no list of tensors": on_record(without("tensors", "optimizer")),
    "a list of tensors that does not fit": on_record(set_item("tensors", "weights", value=[])),
    "tensors in another order": on_record(lambda r: r["tensors"]["weights"].reverse()),
    "no embedded digest in a record": changed_afterwards(1, without("embedded_digest")),
    "another embedded digest": changed_afterwards(1, set_item("embedded_digest", value=DIGEST)),
    "a record changed after it was written": changed_afterwards(
        0, set_item("process", "pid", value=2)
    ),
    "a load record changed after it was written": lambda s: canonical.write_json(
        s.load_record, canonical.read_json(s.load_record) | {"seconds": 1}
    ),
    "a comparison changed after it was written": lambda s: canonical.write_json(
        s.comparison, canonical.read_json(s.comparison) | {"identical": False}
    ),
    "history forged": forge_history,
    "weights replaced": swap_artifacts,
    # the comparison
    "compared digests": artifact(0, digests=[DIGEST, DIGEST]),
    "compared digests absent": artifact(1, digests=[None, None]),
    "compared nothing": on_comparison(set_item("runs", 0, "artifacts", value=[])),
    "compared two artifacts": on_comparison(lambda c: c["runs"][0]["artifacts"].pop()),
    "compared one artifact twice": artifact(2, artifact="weights"),
    "compared no run": on_comparison(set_item("runs", value=[])),
    "compared another run": on_comparison(set_item("runs", 0, "run", value="other")),
    "compared with itself": on_comparison(set_item("runs", 0, "run", value="control")),
    "comparison of another experiment": on_comparison(set_item("experiment", value=DIGEST)),
    "comparison of other data": on_comparison(set_item("dataset", value=DIGEST)),
    "status contradicts the record": on_comparison(set_item("status", "replica", value="failed")),
    "difference called identical": forge_difference_away,
    "difference called identical with digests": forge_digests_too,
    "identical called different": artifact(0, identical=False),
    "result contradicts its runs": on_comparison(set_item("identical", value=False)),
    # whether the comparison could have seen a difference
    "no trace": lambda s: (s.runs[0] / "trace.safetensors").unlink(),
    "trace replaced": lambda s: arrays.write(
        s.runs[1] / "trace.safetensors", factories.trace(seed=3)
    ),
    "no canary": on_comparison(set_item("canary", value=None)),
    "no canary in the record": on_record(set_item("canary", value=None)),
    "canary of another run": on_comparison(set_item("canary", "run", value="control")),
    "canary failed": on_record(set_item("canary", "digest", value=None)),
    "canary replaced": lambda s: arrays.write(
        s.runs[1] / "canary.safetensors", factories.canary(4)
    ),
    "canary gone": lambda s: (s.runs[1] / "canary.safetensors").unlink(),
    "canary in which nothing was changed": lambda s: (
        on_comparison(set_item("canary", "elements", value=0))(s),
        on_record(set_item("canary", "elements", value=0))(s),
    ),
    "canary in which more was changed": on_comparison(set_item("canary", "elements", value=25)),
    "canary that was compared nowhere": on_comparison(set_item("canary", "steps", value=[])),
    "canary that came out equal": on_comparison(
        lambda c: c["canary"].update(differs=False, steps=[{"step": 1, "tensors": []}] * 2)
    ),
    "canary that differs late": on_comparison(set_item("canary", "steps", 0, "tensors", value=[])),
    "canary compared late": on_comparison(set_item("canary", "steps", 0, "step", value=2)),
    "a flipped bit not found": on_comparison(set_item("self_check", 0, "found", value=False)),
    "no bit flipped": on_comparison(set_item("self_check", value=[])),
    "one artifact not checked": on_comparison(lambda c: c["self_check"].pop()),
    # whether the runs are those that the protocol asks for
    "nothing varied": on_record(set_item("variations", value={"applied": {}, "not_tried": {}})),
    "varied more than asked for": on_record(
        set_item("variations", "applied", "contention", value="2")
    ),
    "another name in the control": lambda s: edit(
        s.runs[0] / "record.json", set_item("run", value="other")
    ),
    "a pin unpinned": on_record(set_item("unpinned", value=["isa"])),
    "part of the data": on_record(set_item("subset", value={"samples": 9, "epochs": 3})),
    "replica not tried": on_record(set_item("status", value="not tried")),
}


@pytest.mark.parametrize("harm", NEVER_REPRODUCIBLE)
def test_unsound_evidence_is_inconclusive(tmp_path: Path, harm: str) -> None:
    """What is harmed was REPRODUCIBLE: the same files as in the first test."""
    space = factories.workspace(tmp_path)
    NEVER_REPRODUCIBLE[harm](space)
    content = issued(space)
    assert content["verdict"] == "INCONCLUSIVE"
    assert content["reasons"]
    assert "Inconclusive" in rendered(content)


def test_variables_that_runs_read_from_the_shell_are_one_reason(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    for run, names in zip(space.runs, (["BETA", "ALPHA"], ["ALPHA", "BETA"]), strict=True):
        found = [{"name": name, "set": True} for name in names]
        edit(run / "record.json", set_item("variables", value=found))
    content = issued(space)
    assert content["verdict"] == "INCONCLUSIVE"
    assert content["reasons"] == [
        "control and replica read variables that the experiment does not declare: ALPHA and BETA"
    ]


def test_all_reasons_are_listed(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    same_process(space)
    break_lock(space)
    space.load_record.unlink()
    reasons = " ".join(issued(space)["reasons"])
    assert all(
        part in reasons for part in ("process id", "numpy: expected 2.4.5", "load/record.json")
    )


def test_unsound_evidence_of_a_difference_is_inconclusive_too(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path, weights=factories.differing())
    same_process(space)
    assert issued(space)["verdict"] == "INCONCLUSIVE"


def test_the_same_run_twice_is_refused(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    space.runs = [space.runs[0], space.runs[0]]
    with pytest.raises(SamebitsError, match="give each run once"):
        issued(space)


def test_reasons_name_no_folder_of_the_machine(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    for path in (space.config, space.lock, space.comparison, space.runs[0] / "record.json"):
        path.unlink()
    assert str(tmp_path) not in str(issued(space))


# --- evidence and schema ---------------------------------------------------------------------


def test_evidence_names_every_input_by_its_digest(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    listed = {file["name"]: file["sha256"] for file in issued(space)["evidence"]}
    assert listed["config.json"] == files.digest(space.config)
    assert listed["envs/train-tf2.21.lock.txt"] == files.digest(space.lock)
    assert listed["compare/replica.json"] == files.digest(space.comparison)
    for run in space.runs:
        for file in ("record.json", "history.json", "weights.safetensors", "trace.safetensors"):
            assert listed[f"train/{run.name}/{file}"] == files.digest(run / file)


@pytest.mark.parametrize(
    "change",
    [
        set_item("format", value="samebits-certificate-2"),
        set_item("verdict", value="Reproducible"),
        set_item("reasons", value=[]),
        set_item("more", value=1),
        set_item("comparisons", value=[]),
        set_item("comparisons", 0, "identical", value=False),
        set_item("scope", "depends_on", value=["CPU"]),
        set_item("scope", "repeatable", value=False),
        set_item("scope", "within", value={"absolute": 0.1, "ulp": 2}),
        set_item("records", "load", value=None),
        set_item("records", "runs", "replica", value=None),
        set_item("records", "runs", "replica", "status", value="unsupported"),
        set_item("experiment", "digest", value=None),
        set_item("issued", value="today"),
        set_item("issued", value="2026-02-30T12:00:00Z"),
        set_item("histories", "control", "metrics", "loss", 0, value={"float64": "3ff0"}),
        without("scope"),
        without("histories", "replica"),
    ],
)
def test_the_schema_refuses_a_certificate_that_is_not_one(tmp_path: Path, change: Any) -> None:
    content = issued(factories.workspace(tmp_path))
    change(content)
    assert list(schema.violations(content, schema.REPORT))


# --- scope -----------------------------------------------------------------------------------


def facts_of(rows: Any) -> dict[str, Any]:
    return {row["what"]: row["value"] for row in rows}


def test_the_scope_says_what_was_pinned_and_what_was_the_same(tmp_path: Path) -> None:
    content = issued(factories.workspace(tmp_path))
    scope = content["scope"]
    assert facts_of(scope["pinned"])["oneDNN ISA"] == "AVX2"
    assert "steps per execution" not in facts_of(scope["pinned"])
    assert facts_of(scope["same"])["CPU model"] == "AMD EPYC 9R45"
    assert any("CPU model" in limit and "elsewhere" in limit for limit in wording.limits(content))


def test_what_was_not_the_same_is_said_and_is_no_limit(tmp_path: Path) -> None:
    change = set_item("machine", "cpu", value="Intel Xeon")
    content = issued(factories.workspace(tmp_path, change=change))
    scope = content["scope"]
    assert scope["differed"] == [
        {"what": "CPU model", "values": {"control": "AMD EPYC 9R45", "replica": "Intel Xeon"}}
    ]
    assert not any("CPU model" in limit for limit in wording.limits(content))


# --- golden files ----------------------------------------------------------------------------

SPACES: dict[str, dict[str, Any]] = {
    "reproducible": {},
    "not-reproducible": {"weights": factories.differing()},
}


class Json(SingleFileSnapshotExtension):
    """A file for each certificate."""

    file_extension = "json"


@pytest.mark.parametrize("name", SPACES)
def test_the_report_is_what_it_was(tmp_path: Path, name: str, snapshot: SnapshotAssertion) -> None:
    content = issued(factories.workspace(tmp_path, **SPACES[name]))
    assert canonical.dumps(content) == snapshot(extension_class=Json)
