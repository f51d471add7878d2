"""Programs with packages of their own: the lock, the name of the environment, what is kept."""

from pathlib import Path

import pytest

from pipeline import ROOT
from samebits.environments.uv import beside_python
from samebits.formats import files, lockfile
from samebits.formats.lockfile import Lock, LockedPackage
from samebits.workflow import packages
from samebits.workflow.plan import Plan, plan
from wheels import wheel


@pytest.fixture
def envs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A framework's lock, beside a project in which a plan is made, and a folder of wheels."""
    wheels, made, project = (tmp_path / name for name in ("wheels", "envs", "project"))
    for folder in (wheels, made, project, tmp_path / "uv"):
        folder.mkdir()
    wheel(wheels, "samebits-test-helper", "1.0")
    locked = LockedPackage("tensorflow-cpu", "2.21.0", files.digest(wheel(wheels, "x", "1")))
    (made / "train-tf2.21.lock.txt").write_text(Lock("3.11", {}, (locked,)).text())
    (tmp_path / "uv/uv.toml").write_text(f"[pip]\nno-index = true\nfind-links = ['{wheels}']\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(project)
    Path("train.py").write_text("print(1)\n")
    return made


def planned(envs: Path, **config: object) -> Plan:
    return packages.locked(plan({"script": "train.py", **config}, ROOT / "conf"), envs)


@pytest.mark.process
def test_a_program_with_packages_has_an_environment_of_its_own(
    envs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = planned(envs, packages=["samebits-test-helper"]).first
    own = Path("requirements.samebits.lock")
    sha256 = files.digest(own)
    assert made.environment == f"train-tf2.21+{sha256[:12]}"
    kept = packages.lock_of(made, envs)
    assert kept == Path(f".samebits/locks/{made.environment}.lock.txt").absolute()
    assert kept.read_bytes() == own.read_bytes()
    assert lockfile.environment_name(made.config, sha256) == made.environment
    said = capfd.readouterr().err
    assert "requirements.samebits.lock: 1 packages locked beside those of train-tf2.21" in said
    before = kept.stat().st_mtime
    assert planned(envs, packages=["samebits-test-helper"]).first == made
    assert (capfd.readouterr().err, kept.stat().st_mtime) == ("", before)


def test_one_without_has_that_of_its_framework(envs: Path) -> None:
    made = planned(envs).first
    assert made.environment == "train-tf2.21"
    assert packages.lock_of(made, envs) == envs / "train-tf2.21.lock.txt"
    assert list(Path().iterdir()) == [Path("train.py")]
    assert beside_python().is_file()
