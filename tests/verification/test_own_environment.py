"""verify.py and its kin, started by whatever Python somebody has."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import factories
import pythons
from pipeline import ROOT, SCRIPTS, environment
from samebits.formats import files

pytestmark = pytest.mark.process

PROGRAMS = [
    SCRIPTS / f"{name}.py" for name in ("verify", "trust", "diff")
]  # that a stranger starts
READ_BY_ALL = [*PROGRAMS, SCRIPTS / "samebits/__init__.py", SCRIPTS / "samebits/own_environment.py"]

PYTHONS = pythons.installed(f"3.{minor}" for minor in range(6, 15))
OLDEST = next(iter(PYTHONS.values()))
LACKING = [path for path in PYTHONS.values() if not path.startswith(sys.prefix)]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files of a checkout that verify.py needs."""
    made = tmp_path / "check out"
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(SCRIPTS, made / "scripts", ignore=skipped)
    (made / "envs").mkdir()
    shutil.copy(ROOT / "envs/certify.lock.txt", made / "envs")
    return made


def executable(path: Path, program: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)
    return path


def built(folder: Path) -> Path:
    """An environment whose Python prints what it is given."""
    executable(folder / "bin/python", "printf '%s\\n' \"$@\"")
    lock = files.digest(ROOT / "envs/certify.lock.txt")
    (folder / "environment.json").write_text(f'{{"lock":"{lock}"}}\n')
    return folder


def start(
    checkout: Path, *words: object, python: str = OLDEST, **variables: str
) -> subprocess.CompletedProcess[str]:
    home = checkout.parent / "home"
    home.mkdir(exist_ok=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "PYTHON"))}
    return subprocess.run(
        [python, str(checkout / "scripts/verify.py"), *map(str, words)],
        cwd=home,
        env=kept | {"HOME": str(home)} | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("path", READ_BY_ALL, ids=lambda path: str(path.name))
def test_what_any_python_reads_has_the_syntax_of_36(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 6))
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert "__future__" not in imported  # annotations are of 3.7


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: str(path.name))
def test_nothing_is_imported_before_the_environment_is_entered(path: Path) -> None:
    first = ast.parse(path.read_text(encoding="utf-8")).body[1]
    assert ast.unparse(first).endswith("own_environment.enter(__doc__)")


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)
def test_help_needs_no_environment(checkout: Path, python: str) -> None:
    done = start(checkout, "--help", python=python, LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Check a certificate")
    assert "Exit codes: 0 verified" in done.stdout


def test_an_environment_that_is_there_is_entered(checkout: Path) -> None:
    built(checkout / ".venv-verify")
    done = start(checkout, "it's here.json", "--json", "--offline")
    words = ["-E", "-s", str(checkout / "scripts/verify.py"), "it's here.json", "--json"]
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (
        0,
        [*words, "--offline"],
        "",
    )


@pytest.mark.parametrize("left", [".venv-verify", ".samebits/environments/certify"])
def test_an_environment_of_the_working_folder_is_not(checkout: Path, left: str) -> None:
    """It may have come with the certificate, and its Python would be executed."""
    built(checkout.parent / "home" / left)
    done = start(checkout, "--offline", "x.json")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize(("cache", "place"), [("", "home"), ("x", "home"), ("/", "cache")])
def test_where_the_checkout_is_read_only_it_is_one_of_the_users_own(
    checkout: Path, cache: str, place: str
) -> None:
    """Never one of the working folder, which a relative cache folder would be in."""
    bootstrap = checkout / "scripts/bootstrap.sh"  # to root everything is writable
    bootstrap.write_text(bootstrap.read_text().replace('[ -w "$checkout" ]', "false"))
    base = checkout.parent / "cache" if cache == "/" else cache
    done = start(checkout, "--offline", "x.json", XDG_CACHE_HOME=str(base))
    expected = checkout.parent / ("cache" if place == "cache" else "home/.cache")
    assert f"error: {expected}/samebits/certify-" in done.stderr


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)
def test_offline_the_command_that_builds_it_is_said(checkout: Path, python: str) -> None:
    done = start(checkout, "--offline", "x.json", python=python)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"run: '{checkout}/scripts/bootstrap.sh' certify\n" in done.stderr
    assert sorted(path.name for path in checkout.iterdir()) == ["envs", "scripts"]


def test_it_is_built_with_the_python_that_was_started_if_there_is_no_other(checkout: Path) -> None:
    stub = built(checkout / "stub")
    executable(checkout / "scripts/bootstrap.sh", f'echo "preparing $PATH" >&2; echo "{stub}"')
    done = start(checkout, "x.json")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "x.json")
    *_, last = done.stderr.rstrip("\n").split(":")
    assert (done.stderr.split()[0], last) == ("preparing", str(Path(OLDEST).parent))


def test_where_it_cannot_be_built_that_is_no_certificate_that_does_not_hold(checkout: Path) -> None:
    executable(checkout / "scripts/bootstrap.sh", "exit 1")
    done = start(checkout, "x.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: verify.py: it has no environment to run in, see above\n"


def tree(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.environment
@pytest.mark.parametrize("python", [OLDEST, LACKING[-1]])
def test_a_stranger_with_any_python_verifies_and_writes_nothing(
    checkout: Path, python: str
) -> None:
    place = checkout / ".venv-verify"
    place.mkdir()
    for part in environment("certify").iterdir():
        (place / part.name).symlink_to(part)
    start(checkout, "--help")  # makes the home folder
    before = tree(checkout.parent)
    done = start(checkout, factories.samples() / "reproducible.json", python=python)
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.startswith("VALID, BUT NOT SIGNED BY A KEY YOU TRUST  REPRODUCIBLE")
    assert tree(checkout.parent) == before
    nobody = start(checkout, "missing.json", python=python, PYTHONPATH=str(ROOT / "tests"))
    assert (nobody.returncode, nobody.stdout, "Traceback" in nobody.stderr) == (2, "", False)
