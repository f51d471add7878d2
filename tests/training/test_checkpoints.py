"""Which checkpoints are gone on from, which are refused and named; no TensorFlow."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import flip
from samebits.errors import SamebitsError
from samebits.formats import canonical, files, states
from samebits.training import seeds as keyed
from samebits.training.checkpoints import Store, open_state, state_digest

IDENTITY = {"run": "control", "experiment": "a" * 64, "lock": "b" * 64, "unpinned": []}


def store(folder: Path, keep: bool = False, **changed: Any) -> Store:
    return Store(folder, IDENTITY | changed, keep)


def state(epoch: int) -> dict[str, list[tuple[str, np.ndarray]]]:
    weights, optimizer = np.full(4, epoch, "<f4"), np.full(2, -epoch, "<f4")
    others = [("count", np.array(epoch, "<i8"))]
    return {"weights": [("a", weights)], "optimizer": [("m", optimizer)], "state": others}


def fill(made: Store, epochs: int, start: int = 1) -> Store:
    """``start``: other values make other bits."""
    for epoch in range(len(made.chain) + 1, epochs + 1):
        rows = [("rows", np.full((2, 3), epoch, "<i4"))]
        made.write(state(epoch), rows, {"loss": [start / epoch]})
    return made


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- seeds ------------------------------------------------------------------------------------


@pytest.mark.process
def test_the_seed_of_an_epoch_is_what_the_documentation_says() -> None:
    text = b'{"epoch":2,"seed":7}\n'
    command = [sys.executable, "-c", "import hashlib,sys;print(hashlib.sha256(sys.stdin.buffer"
               ".read()).hexdigest()[:8])"]  # fmt: skip
    digest = subprocess.run(command, input=text, stdout=subprocess.PIPE, check=True).stdout
    assert keyed.seed_of(7, 2) == int(digest, 16)


def test_epochs_seeds_and_generators_have_other_seeds_each() -> None:
    seeds = [keyed.seed_of(s, e, g) for s in range(5) for e in range(5) for g in (None, 0, 1)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)


# ---- going on ---------------------------------------------------------------------------------


def test_an_empty_folder_is_the_beginning(tmp_path: Path) -> None:
    made = store(tmp_path / "none")
    assert (made.chain, made.resumed, made.values()) == ([], [], {})
    assert made.describe()["root"] == states.root([])


def test_it_goes_on_from_the_newest_with_all_that_was_before(tmp_path: Path) -> None:
    before = fill(store(tmp_path), 3)
    made = store(tmp_path)
    assert made.resumed == [3]
    assert made.values() == {"loss": [1.0, 0.5, 1 / 3]}
    assert made.describe()["digests"] == before.describe()["digests"]
    found = open_state(made.chain[-1].folder)
    assert found["weights"]["a"].tolist() == state(3)["weights"][0][1].tolist()
    assert found["optimizer"]["m"].tolist() == state(3)["optimizer"][0][1].tolist()
    assert [c.trace()["rows"][0, 0] for c in made.chain] == [1, 2, 3]


def test_where_it_was_continued_is_remembered(tmp_path: Path) -> None:
    fill(store(tmp_path), 1)
    fill(store(tmp_path), 3)
    assert store(tmp_path).resumed == [1, 3]


def test_a_value_that_is_no_number_keeps_its_bits(tmp_path: Path) -> None:
    store(tmp_path).write(state(1), [], {"loss": [float("nan")]})
    (loss,) = store(tmp_path).values()["loss"]
    assert np.isnan(loss)


@pytest.mark.parametrize("keep", [True, False])
def test_only_a_control_keeps_every_state(tmp_path: Path, keep: bool) -> None:
    made = fill(store(tmp_path / "made", keep), 5)
    parts = [f"{part}.safetensors" for part in states.PARTS]
    kept = [c.epoch for c in made.chain if all((c.folder / part).is_file() for part in parts)]
    assert sum((c.folder / part).is_file() for c in made.chain for part in parts) == 3 * len(kept)
    assert kept == ([1, 2, 3, 4, 5] if keep else [4, 5])
    assert len(made.describe()["digests"]) == 5
    made.publish(tmp_path / "out")
    assert (tmp_path / "out").is_dir() == keep
    if keep:
        assert state_digest(tmp_path / "out" / "0003") == made.describe()["digests"][2]
    made.remove()
    assert not (tmp_path / "made").exists()


# ---- refusing ---------------------------------------------------------------------------------


DAMAGE: dict[str, Callable[[Path], object]] = {
    "weights": lambda folder: flip(folder / "weights.safetensors"),
    "optimizer": lambda folder: flip(folder / "optimizer.safetensors"),
    "trace": lambda folder: flip(folder / "trace.safetensors"),
    "one file lost": lambda folder: (folder / "weights.safetensors").unlink(),
    "record": lambda folder: flip(folder / "checkpoint.json"),
    "cut": lambda folder: (folder / "optimizer.safetensors").write_bytes(b""),
    "lost": lambda folder: (folder / "checkpoint.json").unlink(),
}


@pytest.mark.parametrize("what", DAMAGE)
@pytest.mark.parametrize("keep", [True, False])
def test_a_damaged_one_is_told_and_removed_and_the_one_before_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, keep: bool
) -> None:
    fill(store(tmp_path, keep), 3)
    DAMAGE[what](tmp_path / "0003")
    made = store(tmp_path, keep)
    assert [c.epoch for c in made.chain] == [1, 2]
    assert "control: checkpoint 0003 is not used: " in capsys.readouterr().err
    assert names(tmp_path) == ["0001", "0002"]
    fill(made, 3)
    assert [c.epoch for c in store(tmp_path, keep).chain] == [1, 2, 3]


def test_a_number_in_the_record_that_was_changed_is_found(tmp_path: Path) -> None:
    fill(store(tmp_path), 2)
    path = tmp_path / "0002" / "checkpoint.json"
    record = canonical.read_json(path)
    record["history"]["metrics"]["loss"] = [0.25]
    canonical.write_json(path, record)
    assert len(store(tmp_path).chain) == 1


def test_damage_in_the_middle_ends_the_chain_there(tmp_path: Path) -> None:
    fill(store(tmp_path, True), 4)
    flip(tmp_path / "0002" / "weights.safetensors")
    assert [c.epoch for c in store(tmp_path, True).chain] == [1]
    assert names(tmp_path) == ["0001"]


def test_one_from_another_line_is_not_taken(tmp_path: Path) -> None:
    fill(store(tmp_path / "a"), 3)
    other = store(tmp_path / "b")
    other.write(state(9), [], {"loss": [9.0]})
    fill(other, 2)
    (tmp_path / "a" / "0003").rename(tmp_path / "b" / "0003")
    assert [c.epoch for c in store(tmp_path / "b").chain] == [1, 2]


@pytest.mark.parametrize("key", sorted(IDENTITY))
def test_one_of_another_experiment_source_or_lock_is_told_and_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    fill(store(tmp_path), 2)
    changed: Any = {key: "other"}
    made = store(tmp_path, **changed)
    assert made.chain == []
    said = capsys.readouterr().err
    assert f"checkpoint 0001 is not used: expected {key} other, got " in said
    assert names(tmp_path) == []


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    fill(store(tmp_path), 1)
    (tmp_path / ".0002.abcd_123").mkdir()
    (tmp_path / ".0002.abcd_123" / "weights.safetensors").touch()
    assert len(store(tmp_path).chain) == 1
    assert names(tmp_path) == ["0001"]


def test_only_half_ones_of_this_name_are_removed(tmp_path: Path) -> None:
    for name in (".run.abcd_123", ".run-2.abcd_123", ".run.short", "run"):
        (tmp_path / name).mkdir()
    files.remove_partial(tmp_path / "run")
    assert names(tmp_path) == [".run-2.abcd_123", ".run.short", "run"]


def test_a_full_disk_is_an_explained_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "weights.safetensors")

    made = fill(store(tmp_path), 1)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SamebitsError, match="No space left on device"):
        fill(made, 2)
    assert names(tmp_path) == ["0001"]


def test_two_processes_without_a_lease_leave_no_mixture(tmp_path: Path) -> None:
    """Each keeps to a chain of its own; what the other replaced ends it."""
    one, other = store(tmp_path), store(tmp_path)
    fill(one, 1)
    fill(other, 1, start=5)
    fill(one, 2)
    assert names(tmp_path) == ["0001", "0002"]
    assert len(store(tmp_path).chain) == 1
    assert names(tmp_path) == ["0001"]
