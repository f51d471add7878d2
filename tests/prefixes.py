"""Environments that somebody else made: small virtual ones, without an index."""

import subprocess
import sys
from pathlib import Path

from pipeline import SCRIPTS
from wheels import wheel

_ASK = (
    "import sys; sys.path.append(sys.argv[1]); from pathlib import Path\n"
    "from samebits.errors import SamebitsError; from samebits.formats import as_installed as e\n"
    "folder = Path(sys.argv[2])\n"
)
_LOOK = _ASK + "print(e.look(folder, keep=True), end='')"
_CHECK = (
    _ASK + "try: print(e.environment(folder / 'a.lock.txt')['installed'])\n"
    "except SamebitsError as error: sys.exit(str(error))"
)


class Prefix:
    """A virtual environment with one small package, and the folder of its lock."""

    def __init__(self, folder: Path, name: str = "their environment") -> None:
        """As an installer leaves it."""
        self.folder, self.place = folder / name, folder
        self._uv("venv", "--python", sys.executable, self.folder)
        self.install(wheel(folder, "mine", "1.0"))

    def _uv(self, *words: object) -> None:
        uv = [str(Path(sys.prefix, "bin/uv")), "--quiet", "--offline"]
        subprocess.run([*uv, *map(str, words)], check=True)

    def install(self, *words: object) -> None:
        """Install without an index."""
        self._uv("pip", "install", "--python", self.folder, "--no-deps", "--no-index", *words)

    @property
    def site(self) -> Path:
        """Its folder of packages."""
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    def ask(self, program: str) -> "subprocess.CompletedProcess[str]":
        """Run a program in it."""
        python = str(self.folder / "bin/python")
        command = [python, "-I", "-B", "-c", program, str(SCRIPTS), str(self.place)]
        return subprocess.run(command, capture_output=True, text=True)

    def look(self) -> str:
        """Its lock as it is now, which is kept."""
        done = self.ask(_LOOK)
        assert done.returncode == 0, done.stderr
        (self.place / "a.lock.txt").write_text(done.stdout)
        return done.stdout

    def refused(self) -> str:
        """Why a run would not begin; empty: it would."""
        done = self.ask(_CHECK)
        return done.stderr if done.returncode else ""
