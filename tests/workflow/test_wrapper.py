"""./samebits itself: a few lines of shell, in front of everything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline import ROOT, in_namespace

pytestmark = pytest.mark.process

_ECHO = """#!/bin/sh
printf '%s\\n' "${PYTHONDONTWRITEBYTECODE-none}" "$@"
"""
_WORDS = ["data.path=/tmp/it's a größe.npz", 'x="$HOME"', "-n"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One whose environments print what their Python is given."""
    folder = tmp_path / "check out"
    shutil.copytree(ROOT / "envs", folder / "envs")
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "samebits", folder)
    for path in (folder / "environment/bin/python", tmp_path / "bin/python3"):
        path.parent.mkdir(parents=True)
        path.write_text(_ECHO)
        path.chmod(0o755)
    bootstrap = folder / "scripts/bootstrap.sh"
    bootstrap.write_text(f'#!/bin/sh\n[ "$*" = driver ] && echo "{folder}/environment"\n')
    bootstrap.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("command", "program"),
    [("certificate", "start"), ("verify", "verify"), ("trust", "trust"), ("diff", "diff")],
)
def test_a_command_gets_its_words_through_links_and_on_path(
    checkout: Path, tmp_path: Path, command: str, program: str
) -> None:
    (tmp_path / "link").symlink_to(checkout)
    (tmp_path / "bin/samebits").symlink_to(tmp_path / "link/samebits")
    variables = os.environ | {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    expected = ["none", f"{checkout}/scripts/{program}.py"]
    expected += [*([command] if program == "start" else []), *_WORDS]
    for name in ("samebits", str(tmp_path / "link/samebits")):
        line = [str(shutil.which("sh")), "-c", 'exec "$0" "$@"', name, command, *_WORDS]
        done = subprocess.run(line, env=variables, cwd="/", capture_output=True, text=True)
        assert done.stdout.splitlines() == expected, done.stderr


def test_of_a_checkout_that_is_read_only_the_environment_lies_in_the_users_cache(
    checkout: Path, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "scripts/bootstrap.sh", checkout / "scripts")
    bind = f"mount --bind '{checkout}' '{checkout}'; mount -o remount,bind,ro '{checkout}'"
    line = ["bash", str(checkout / "scripts/bootstrap.sh"), "driver", "--offline"]
    variables = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [*in_namespace(bind), *line], env=variables, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    folder = Path(done.stdout.rstrip("\n"))
    assert folder.parent == tmp_path / "cache/samebits"
    assert folder.name.startswith("driver-")
