"""certify.py by its flags: certificate and page, together or not at all."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import factories
from factories import Workspace

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SCHEMA = SCRIPTS / "samebits" / "certificate.schema.json"


def flags(space: Workspace) -> list[object]:
    runs = [part for run in space.runs for part in ("--run", run)]
    return [
        "--config", space.config, "--name", "default", "--lock", space.lock,
        "--load-record", space.load_record, *runs, "--comparison", space.comparison,
        "--output", space.folder / "certificate.json", "--page", space.folder / "certificate.html",
    ]  # fmt: skip


def certify(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / "certify.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def issued(space: Workspace) -> dict[str, Any]:
    return dict(json.loads((space.folder / "certificate.json").read_text()))


def test_the_certificate_is_what_the_schema_says(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    done = certify(*flags(space))
    assert (done.returncode, done.stdout, done.stderr) == (0, "REPRODUCIBLE\n", "")
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(issued(space), schema, jsonschema.Draft202012Validator)


def test_an_inconclusive_certificate_is_a_result_and_what_the_schema_says(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    for path in (space.config, space.load_record, space.comparison, space.runs[0] / "record.json"):
        path.unlink()
    assert certify(*flags(space)).returncode == 0
    assert issued(space)["verdict"] == "INCONCLUSIVE"
    jsonschema.validate(
        issued(space), json.loads(SCHEMA.read_text()), jsonschema.Draft202012Validator
    )


def test_the_page_says_the_verdict_first(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    certify(*flags(space))
    text = (tmp_path / "certificate.html").read_text()
    assert re.findall(r"<h1>(.*?)</h1>", text) == ["Reproducible"]
    assert text.index("<h1>") < text.index("<h2")


def test_source_and_commands_are_recorded(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    checkout = tmp_path / "checkout"
    git = ["git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@b.invalid"]
    subprocess.run(["git", "init", "-q", checkout], check=True)  # noqa: S607 (any git will do)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    extra = ["--checkout", checkout, "--repeat", "make certificate"]
    certify(*flags(space), *extra)
    clean = issued(space)
    assert re.fullmatch("[0-9a-f]{40}", clean["source"]["commit"])
    assert clean["source"]["dirty"] is False
    assert clean["how_to_repeat"] == ["make certificate"]
    (checkout / "new").touch()
    certify(*flags(space), *extra)
    assert issued(space)["source"] == clean["source"] | {"dirty": True}


def test_a_folder_that_is_no_checkout_gives_an_unknown_source(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    certify(*flags(space), "--checkout", tmp_path)
    assert issued(space)["source"] == {"commit": None, "dirty": None}


def test_a_page_that_cannot_be_written_leaves_no_half_certificate(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    page = tmp_path / "file" / "certificate.html"
    page.parent.write_text("a file where a folder should be")
    done = certify(*flags(space), "--page", page)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "certificate.json").exists()


def test_the_same_run_twice_is_refused(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    done = certify(*flags(space), "--run", space.runs[0])
    assert done.returncode == 1
    assert "give each run once" in done.stderr
    assert not (tmp_path / "certificate.json").exists()


@pytest.mark.parametrize(
    "flag", ["--config", "--name", "--lock", "--load-record", "--comparison", "--output", "--page"]
)
def test_a_missing_flag_is_wrong_usage(tmp_path: Path, flag: str) -> None:
    given = flags(factories.workspace(tmp_path))
    position = given.index(flag)
    done = certify(*given[:position], *given[position + 2 :])
    assert done.returncode == 2
    assert flag in done.stderr


def test_the_script_runs_from_any_folder(tmp_path: Path) -> None:
    """Schema and template are found beside the code."""
    copy = tmp_path / "elsewhere"
    shutil.copytree(SCRIPTS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    space = factories.workspace(tmp_path)
    command = [sys.executable, str(copy / "certify.py"), *map(str, flags(space))]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "REPRODUCIBLE\n")
