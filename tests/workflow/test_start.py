"""Files written when Snakemake reads the Snakefile: named by their content, never changed."""

import hashlib
from pathlib import Path

import pytest

from pipeline import SCRIPTS
from samebits.config import sources
from samebits.workflow import start


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
    assert {Path(name).suffix for name in pages} == {".py", ".j2", ".css"}
    assert not pages & listed[stage]
