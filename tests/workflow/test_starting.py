"""Files written before Snakemake has its lock: nobody's that works is overwritten."""

import json
from pathlib import Path

import pytest

from samebits.errors import SamebitsError
from samebits.workflow import start

FILE = "results/mine/config.json"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lock(folder: Path, *files: str) -> None:
    path = folder / ".snakemake/locks/0.input.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(files) + "\n")


def seed(folder: Path) -> int:
    return int(json.loads((folder / FILE).read_bytes())["seed"])


def test_what_is_the_same_is_not_written_again(folder: Path) -> None:
    start.write({FILE: {"seed": 1}})
    before = (folder / FILE).stat()
    lock(folder, FILE)
    start.write({FILE: {"seed": 1}})
    start.write_locked({FILE: {"seed": 1}})
    assert (folder / FILE).stat().st_ino == before.st_ino


def test_what_another_start_works_with_is_not_overwritten(folder: Path) -> None:
    start.write({FILE: {"seed": 1}})
    lock(folder, "data/x", FILE)
    with pytest.raises(SamebitsError, match="name=NAME"):
        start.write({FILE: {"seed": 2}})
    assert seed(folder) == 1
    lock(folder, "results/other/config.json")
    start.write({FILE: {"seed": 2}})
    assert seed(folder) == 2


def test_who_has_the_lock_writes_what_somebody_changed_meanwhile(folder: Path) -> None:
    start.write({FILE: {"seed": 1}})
    start.write({FILE: {"seed": 2}})  # another start, before the first one had its lock
    lock(folder, FILE)
    start.write_locked({FILE: {"seed": 1}})
    assert seed(folder) == 1


def test_a_stale_lock_can_be_taken_away_with_any_config(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start.write({FILE: {"seed": 1}})
    lock(folder, FILE)
    monkeypatch.setattr("sys.argv", ["snakemake", "--unlock"])
    start.write({FILE: {"seed": 2}})
    assert seed(folder) == 1
