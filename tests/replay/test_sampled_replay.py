"""prepare_replay.py and replay.py on drawn epochs: what is drawn, copied and signed."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import factories
from factories import Workspace
from in_process import stage
from samebits.certificate import certificate, replays, statements
from samebits.formats import bundle, canonical, states
from samebits.training.checkpoints import state_digest

KEPT = Path("train", "control", "checkpoints")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Any]:
    """A certificate beside its evidence."""
    space = factories.with_checkpoints(tmp_path_factory.mktemp("certified"))
    content = factories.certify(space, factories.signer())
    canonical.write_json(space.folder / "certificate.json", content)
    return space, content


@pytest.fixture
def given(once: tuple[Workspace, Any], tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(once[0].folder, tmp_path / "given")
    return tmp_path / "given" / "certificate.json"


def prepare(path: Path, epochs: int = 2, *more: object) -> subprocess.CompletedProcess[str]:
    again = path.parent / "again"
    digest = canonical.digest(canonical.read_json(path)) if path.suffix == ".json" else more[0]
    return stage(
        "prepare_replay", "--certificate", path, "--digest", digest, "--epochs", epochs,
        "--states", again / "states", "--output", again / "plan.json",
        *(more if path.suffix == ".json" else more[1:]),
    )  # fmt: skip


def drawn(path: Path) -> Any:
    return canonical.read_json(path.parent / "again" / "plan.json")["sampled"]


def refuse_other_states(path: Path, content: Any) -> None:
    """What was copied is what the epochs begin from, and no more."""
    report = content["report"]
    wanted = {
        states.name(epoch["epoch"] - 1): replays.before(report, epoch["epoch"])
        for epoch in drawn(path)["epochs"]
        if epoch["epoch"] > 1
    }
    folder = path.parent / "again" / "states"
    assert {kept.name: state_digest(kept) for kept in folder.iterdir()} == wanted


def test_the_states_are_taken_from_beside_the_certificate(
    given: Path, once: tuple[Workspace, Any]
) -> None:
    done = prepare(given)
    assert done.returncode == 0, done.stderr
    refuse_other_states(given, once[1])
    found, of = drawn(given), statements.of(once[1])
    numbers = [epoch["epoch"] for epoch in found["epochs"]]
    assert numbers == replays.drawn(of, found["draw"], 3, 2)
    assert found["certificate"] == of
    assert f"sampled: epochs {numbers[0]}, {numbers[1]} of 3" in done.stderr


def test_another_replay_has_another_draw(given: Path) -> None:
    draws = set()
    for _ in range(2):
        assert prepare(given).returncode == 0
        draws.add(drawn(given)["draw"])
    assert len(draws) == 2


@pytest.mark.parametrize("how", ["in it", "named folder", "named bundle"])
def test_the_states_are_taken_from_a_bundle_or_from_where_the_user_says(
    given: Path, once: tuple[Workspace, Any], how: str
) -> None:
    files = [path for path in given.parent.rglob("*") if path.is_file()]
    named = {path.relative_to(given.parent).as_posix(): path for path in files}
    bundled = given.parent.parent / "certificate.zip"
    bundle.write(bundled, named)
    if how == "in it":
        done, where = prepare(bundled, 2, canonical.digest(once[1])), bundled
    else:
        alone = given.parent.parent / "alone" / "certificate.json"
        alone.parent.mkdir()
        shutil.copy(given, alone)
        assert "expected train/control/checkpoints/" in prepare(alone).stderr
        place = bundled if how == "named bundle" else given.parent
        done, where = prepare(alone, 2, "--checkpoints", place), alone
    assert done.returncode == 0, done.stderr
    refuse_other_states(where, once[1])


def _flip(folder: Path) -> None:
    for path in folder.glob("*/weights.safetensors"):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)


def _shift(folder: Path) -> None:
    (folder / "0001").rename(folder / "aside")
    (folder / "0002").rename(folder / "0001")
    (folder / "aside").rename(folder / "0002")


def _link(folder: Path) -> None:
    for name in ("0001", "0002"):
        (folder / name / "weights.safetensors").unlink()
        (folder / name / "weights.safetensors").symlink_to("/etc/passwd")


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (_flip, "weights.safetensors: expected"),
        (_shift, ".safetensors: expected"),
        (_link, "is a link"),
        (shutil.rmtree, "expected train/control/checkpoints/000"),
    ],
)
def test_a_state_that_is_not_the_certified_one_is_not_copied(
    given: Path, plant: Any, said: str
) -> None:
    plant(given.parent / KEPT)
    done = prepare(given)  # two of three: one of them begins from a stored state
    assert done.returncode == 1
    assert said in done.stderr
    assert not (given.parent / "again" / "plan.json").exists()
    assert not (given.parent / "again" / "states").exists()


@pytest.mark.parametrize("epochs", [0, 3, 4])
def test_as_many_epochs_as_there_are_or_none_are_not_drawn(given: Path, epochs: int) -> None:
    done = prepare(given, epochs)
    assert done.returncode == 1
    assert f"got {epochs}" in done.stderr
    assert not (given.parent / "again" / "plan.json").exists()


# --- replay.py ---------------------------------------------------------------------------------


def replay(given: Path, run: Any) -> subprocess.CompletedProcess[str]:
    again = given.parent / "again"
    factories.write_document(again / "sampled" / "record.json", run)
    return stage(
        "replay", "--certificate", given, "--run", again / "sampled",
        "--plan", again / "plan.json", "--output", again / "certificate.json",
    )  # fmt: skip


def test_what_came_out_is_signed_and_verified(given: Path, once: tuple[Workspace, Any]) -> None:
    assert prepare(given).returncode == 0
    done = replay(given, factories.sampled_record(once[1], 2, draw=drawn(given)["draw"]))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("EPOCHS REPRODUCED (2 of 3 epochs: ")
    issued = given.parent / "again" / "certificate.json"
    content = certificate.parse(issued.read_bytes())
    assert content["replays"][0]["report"]["draw"] == drawn(given)["draw"]
    found = stage("verify", issued, "--key", factories.key_file(given.parent))
    assert found.returncode == 0, found.stdout
    assert "EPOCHS REPRODUCED (2 of 3 epochs: " in found.stdout


def test_another_bit_is_not_reproduced(given: Path, once: tuple[Workspace, Any]) -> None:
    assert prepare(given).returncode == 0
    run = factories.sampled_record(once[1], 2, draw=drawn(given)["draw"])
    run["sampled"]["epochs"][0]["to"] = dict.fromkeys(states.PARTS, "0" * 64)
    done = replay(given, run)
    number = run["sampled"]["drawn"][0]
    assert done.stdout.startswith("NOT REPRODUCED (2 of 3 epochs: ")
    assert done.stdout.endswith(f"; not the same: {number})\n")


def test_a_run_of_another_draw_or_of_all_epochs_is_refused(
    given: Path, once: tuple[Workspace, Any]
) -> None:
    assert prepare(given).returncode == 0
    done = replay(given, factories.sampled_record(once[1], 2, draw="7" * 64))
    assert done.returncode == 1
    assert "expected the draw" in done.stderr
    whole = factories.another_run(once[1])
    done = replay(given, whole)
    assert done.returncode == 1
    assert "does not match its format" in done.stderr
    assert not (given.parent / "again" / "certificate.json").exists()


def test_a_record_of_some_epochs_is_refused_where_all_were_wanted(
    given: Path, once: tuple[Workspace, Any]
) -> None:
    plan = given.parent / "again" / "plan.json"
    canonical.write_json(plan, {"certificate": canonical.digest(once[1])})
    done = replay(given, factories.sampled_record(once[1], 2))
    assert done.returncode == 1
    assert "does not match its format" in done.stderr
