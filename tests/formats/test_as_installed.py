"""An environment that is there already, described by its distributions' own RECORDs."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import SCRIPTS
from samebits.formats import lockfile
from wheels import wheel

LOOK = (
    "import sys; sys.path.append(sys.argv[1]); from pathlib import Path; "
    "from samebits.formats import as_installed, lockfile; "
    "sys.stdout.write(lockfile.of_environment(as_installed.look()))"
)
CHECK = (
    "import sys; sys.path.append(sys.argv[1]); from pathlib import Path; "
    "from samebits.errors import SamebitsError; from samebits.formats import lockfile\n"
    "try: print(lockfile.check(Path(sys.argv[2])))\n"
    "except SamebitsError as error: sys.exit(str(error))"
)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """A virtual environment with one small package, as an installer leaves it."""
    made = tmp_path / "their environment"
    uv = [str(Path(sys.prefix, "bin/uv")), "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(made)], check=True)
    where = ["--python", str(made / "bin/python"), "--no-deps", "--no-index"]
    package = wheel(tmp_path, "mine", "1.0")
    subprocess.run([*uv, "pip", "install", *where, str(package)], check=True)
    return made


def ask(prefix: Path, program: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [str(prefix / "bin/python"), "-I", "-c", program, str(SCRIPTS), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_changed_or_missing_file_is_named_and_nothing_is_written(
    prefix: Path, tmp_path: Path
) -> None:
    lock = tmp_path / "installed.lock.txt"
    before = sorted(prefix.rglob("*"))
    lock.write_text(ask(prefix, LOOK).stdout)
    assert sorted(prefix.rglob("*")) == before
    parsed = lockfile.read(lock)
    assert [(p.name, p.version) for p in parsed.packages] == [("mine", "1.0")]
    assert lockfile.is_as_installed(lock.read_text())
    assert lockfile.unlike(lock.read_text()) == []
    found = ask(prefix, CHECK, lock)
    assert found.returncode == 0, found.stderr
    (module,) = prefix.rglob("mine.py")
    module.write_text("version = 2\n")
    found = ask(prefix, CHECK, lock)
    assert found.returncode == 1
    assert "# not as its RECORD says: mine.py" in found.stderr
    # Looked at now, it is what it is: the file is named, and only further changes are refused.
    lock.write_text(ask(prefix, LOOK).stdout)
    assert lockfile.unlike(lock.read_text()) == ["mine.py"]
    assert ask(prefix, CHECK, lock).returncode == 0
    module.write_text("version = 3\n")
    assert "# not as its RECORD says: mine.py sha256:" in ask(prefix, CHECK, lock).stderr
    module.unlink()
    (record,) = prefix.rglob("mine*/RECORD")
    record.write_text(record.read_text() + "more.py,,\n")
    found = ask(prefix, CHECK, lock)
    assert found.stderr.count("mine==1.0 --hash=sha256:") == 2


def test_a_lock_of_another_kind_is_not_taken_for_one() -> None:
    text = lockfile.Lock("3.11", {}, ()).text()
    assert not lockfile.is_as_installed(text)
