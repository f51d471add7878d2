"""prepare_replay.py and replay.py by their flags: who is replayed, and what is signed of it."""

import base64
import copy
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import factories
from factories import Workspace
from in_process import stage
from samebits.formats import arrays, canonical, files


@dataclass(frozen=True)
class Certified:
    """An experiment with its certificate, and where its replay goes."""

    space: Workspace
    certificate: Path

    def run(self, **changed: Any) -> Path:
        """One more run of the experiment, as train.py would write it."""
        folder = self.space.folder / "again" / "train" / "replay"
        return factories.write_run(folder, *self.space.ids, **changed)

    def replay(
        self, run: Path, certificate: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """What the rule does."""
        again = self.space.folder / "again"
        plan = self.space.folder / "plan.json"
        digest = files.digest(certificate or self.certificate)
        canonical.write_json(plan, {"certificate": digest})
        return stage(
            "replay", "--certificate", certificate or self.certificate, "--run", run,
            "--plan", plan,
            "--output", again / "certificate.json",
        )  # fmt: skip

    @property
    def chain(self) -> list[Any]:
        """The replays of what was written."""
        return list(self.issued["replays"])

    @property
    def issued(self) -> Any:
        """What was written."""
        return json.loads((self.space.folder / "again" / "certificate.json").read_bytes())


def certify(space: Workspace) -> Certified:
    certificate = space.folder / "certificate.json"
    runs = [part for run in space.runs for part in ("--run", run)]
    load = space.folder.with_suffix(".load.lock.txt")
    load.write_text(factories.LOAD_LOCK)
    locks = (f"envs/{space.lock.name}={space.lock}", f"envs/load.lock.txt={load}")
    done = stage(
        "certify", "--config", space.config, "--name", "default", "--lock", space.lock,
        "--load-record", space.load_record, *runs, "--comparison", space.comparison,
        "--output", certificate, *(part for lock in locks for part in ("--dependency", lock)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Certified(space, certificate)


@pytest.fixture(scope="session")
def certified_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certified")
    certify(factories.workspace(folder))
    return folder


@pytest.fixture
def certified(certified_once: Path, tmp_path: Path) -> Certified:
    """A copy of one that was certified once, for it takes a second."""
    space = factories.workspace(tmp_path)
    shutil.rmtree(tmp_path)
    shutil.copytree(certified_once, tmp_path)
    return Certified(space, tmp_path / "certificate.json")


def verify(path: Path, *arguments: object) -> tuple[int, str]:
    done = stage("verify", path, *arguments)
    return done.returncode, done.stdout + done.stderr


def test_the_same_bits_are_reproduced_and_the_chain_says_by_whom(certified: Certified) -> None:
    done = certified.replay(certified.run())
    assert (done.returncode, done.stdout) == (0, "REPRODUCED\n"), done.stderr
    (added,) = certified.chain
    assert added["report"]["outside_scope"] == []
    statement = json.loads(base64.b64decode(added["statement"]["payload"]))
    (attribute,) = statement["predicate"]["attributes"]
    first = base64.b64decode(certified.issued["statements"][0]["payload"])
    assert attribute["attribute"] == "REPRODUCED"
    assert attribute["target"]["digest"]["sha256"] == hashlib.sha256(first).hexdigest()
    code, said = verify(certified.space.folder / "again" / "certificate.json")
    assert code == 0
    assert "replayed" in said


def test_one_other_bit_is_not_reproduced_and_the_divergence_is_named(certified: Certified) -> None:
    trace = factories.trace()
    trace[2][1][5:] ^= 1
    done = certified.replay(certified.run(weights=factories.differing(), trace=trace))
    assert (done.returncode, done.stdout) == (0, "NOT REPRODUCED\n"), done.stderr
    (added,) = certified.chain
    same = {a["artifact"]: a["identical"] for a in added["report"]["artifacts"]}
    assert {artifact for artifact in same if not same[artifact]} == {"weights", "trace"}
    assert added["report"]["divergence"]["step"] == 5


def test_without_the_certified_arrays_the_digests_still_decide(
    certified: Certified, tmp_path: Path
) -> None:
    alone = tmp_path / "elsewhere" / "certificate.json"
    alone.parent.mkdir()
    alone.write_bytes(certified.certificate.read_bytes())
    done = certified.replay(certified.run(weights=factories.differing()), alone)
    assert done.stdout == "NOT REPRODUCED\n"
    assert certified.chain[0]["report"]["divergence"] is None


def test_a_trusted_failure_to_reproduce_makes_the_certificate_not_hold(
    certified: Certified,
) -> None:
    certified.replay(certified.run(weights=factories.differing()))
    code, said = verify(certified.space.folder / "again" / "certificate.json")
    assert code == 1
    assert "did not reproduce it" in said


def test_a_failure_outside_of_the_scope_says_nothing_against_it(certified: Certified) -> None:
    def old_cpu(record: Any) -> None:
        record["machine"] |= {"cpu": "Intel Celeron", "flags": ["sse4_1"]}

    certified.replay(certified.run(weights=factories.differing(), change=old_cpu))
    assert any("avx2" in why for why in certified.chain[0]["report"]["outside_scope"])
    assert verify(certified.space.folder / "again" / "certificate.json")[0] == 0


def test_a_training_that_failed_reproduces_nothing(certified: Certified) -> None:
    folder = certified.space.folder / "again" / "train" / "replay"
    factories.write_run_without_result(folder, *certified.space.ids, "failed")
    assert certified.replay(folder).stdout == "NOT REPRODUCED\n"


def test_a_second_replay_is_added_after_the_first_and_the_same_one_is_not(
    certified: Certified,
) -> None:
    certified.replay(certified.run())
    again = certified.space.folder / "again"
    first = again / "first.json"
    first.write_bytes((again / "certificate.json").read_bytes())
    same = certified.replay(certified.run(), first)
    assert same.returncode == 1
    other = {"id": "4f1c0a52-7a1c-4d7e-9d39-0c7a1a1f0b11", "pid": 2}
    done = certified.replay(certified.run(change=lambda r: r.update(process=other)), first)
    assert done.returncode == 0, done.stderr
    assert len(certified.chain) == 2
    assert verify(again / "certificate.json")[0] == 0


Change = Callable[[dict[str, Any]], Any]
FOREIGN: dict[str, tuple[Change, str]] = {
    "data": (lambda r: r.update(dataset="0" * 64), "other data"),
    "lock": (lambda r: r.update(lock="0" * 64), "another lock"),
    "source": (lambda r: r["source"][0].update(sha256="d" * 64), "different source code"),
    "file": (
        lambda r: r["files"]["read"][0].update(sha256="d" * 64),
        f"read another file words: SHA-256 {'d' * 64}, not {'e' * 64}",
    ),
    "experiment": (lambda r: r.update(experiment="0" * 64), "another experiment"),
    "setting": (lambda r: r["settings"][0].update(effective=7), "hash seed is 7"),
    "unprobed": (lambda r: r["settings"].pop(0), "not probed: hash seed"),
    "package": (lambda r: r["packages"].pop(1), "numpy: expected 2.4.6"),
    "twice": (
        lambda r: r["packages"].insert(0, {"name": "numpy", "version": "9"}),
        "numpy is listed 2 times",
    ),
    "varied": (factories.vary, "variations: expected none"),
    "unpinned": (lambda r: r.update(unpinned=["hash_seed"]), "removed pins: expected none"),
    "subset": (lambda r: r.update(subset={"samples": 1, "epochs": 1}), "part of the data"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_run_that_is_no_replay_is_refused_and_nothing_is_written(
    certified: Certified, what: str
) -> None:
    change, said = FOREIGN[what]
    done = certified.replay(certified.run(change=change))
    assert done.returncode == 1
    assert said in done.stderr
    assert not (certified.space.folder / "again" / "certificate.json").exists()


def test_the_certified_run_itself_is_no_replay(certified: Certified) -> None:
    done = certified.replay(certified.space.runs[0])
    assert done.returncode == 1
    assert "the certified run itself" in done.stderr


def test_damaged_artifacts_of_the_replay_are_refused(certified: Certified) -> None:
    run = certified.run()
    weights = [(name, array + 1) for name, array in factories.weights()]
    arrays.write(run / "weights.safetensors", weights)
    done = certified.replay(run)
    assert done.returncode == 1
    assert "weights" in done.stderr


# --- prepare_replay -----------------------------------------------------------------------------


def prepare(path: Path, output: Path) -> subprocess.CompletedProcess[str]:
    digest = files.digest(path)
    return stage("prepare_replay", "--certificate", path, "--digest", digest, "--output", output)


def test_a_certificate_that_was_exchanged_is_refused(certified: Certified, tmp_path: Path) -> None:
    done = stage(
        "prepare_replay", "--certificate", certified.certificate, "--digest", "0" * 64,
        "--output", tmp_path / "plan.json",
    )  # fmt: skip
    assert done.returncode == 1
    assert "it was replaced" in done.stderr


def test_a_certificate_that_holds_is_accepted_and_its_signer_is_told(
    certified: Certified, tmp_path: Path
) -> None:
    done = prepare(certified.certificate, tmp_path / "plan.json")
    assert done.returncode == 0, done.stderr
    assert "signed by" in done.stderr
    assert canonical.read_json(tmp_path / "plan.json")["format"] == "samebits-replay-plan-1"


def test_a_machine_outside_of_the_scope_is_told_and_not_refused(tmp_path: Path) -> None:
    config = copy.deepcopy(factories.CONFIG)
    config["determinism"]["isa"] = None

    def unpinned(record: Any) -> None:
        isa = next(s for s in record["settings"] if s["name"] == "oneDNN ISA")
        isa["expected"] = None
        record["machine"]["flags"] = ["an-instruction-set-of-2040"]

    space = factories.workspace(tmp_path, config=config, change=unpinned)
    factories.write_run(space.runs[0], *space.ids, config=config, change=unpinned)
    done = prepare(certify(space.compare()).certificate, tmp_path / "plan.json")
    assert done.returncode == 0
    assert "outside of the certificate's scope: no instruction set is pinned" in done.stderr
    assert canonical.read_json(tmp_path / "plan.json")["outside_scope"]


def test_a_certificate_that_does_not_hold_is_refused(certified: Certified, tmp_path: Path) -> None:
    content = json.loads(certified.certificate.read_bytes())
    content["report"]["verdict"] = "NOT REPRODUCIBLE"
    forged = tmp_path / "forged.json"
    canonical.write_json(forged, content)
    done = prepare(forged, tmp_path / "plan.json")
    assert done.returncode == 1
    assert "does not hold" in done.stderr
    assert not (tmp_path / "plan.json").exists()


def test_a_certificate_without_a_completed_control_is_refused(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    space.refuse(0)
    space.refuse(1)
    certificate = certify(space.compare()).certificate
    done = prepare(certificate, tmp_path / "plan.json")
    assert done.returncode == 1
    assert "nothing to compare with" in done.stderr
