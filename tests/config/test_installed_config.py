"""The environment that is there already: which interpreters are taken, and what is refused."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import configure
from prefixes import Prefix
from refusals import refused
from samebits.config import installed
from samebits.config.experiment import Experiment
from samebits.formats import lockfile
from samebits.workflow import packages
from samebits.workflow.plan import Plan
from wheels import wheel

CONF = Path(__file__).resolve().parents[2] / "conf"

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def _working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def of(python: object, **config: Any) -> Experiment:
    return configure({"framework": "installed", "python": str(python)} | config, CONF)


def made(folder: Path, tensorflow: str, name: str = "their environment") -> Path:
    """The interpreter of an environment with something of TensorFlow's name."""
    prefix = Prefix(folder, name)
    prefix.install(wheel(folder, "tensorflow", tensorflow))
    return prefix.folder / "bin" / "python"


def test_versions_are_the_environments_and_its_place_is_no_part_of_the_experiment(
    tmp_path: Path,
) -> None:
    python = made(tmp_path, "2.9.1")
    found = of(python, model="mlp")
    assert found.config["framework"] == {
        "option": "installed",
        "tensorflow": "2.9.1",
        "python": "{}.{}".format(*sys.version_info),
        "environment": "installed",
        "gpus": 0,
    }
    assert found.installed is not None
    assert found.installed.python == str(python)
    (tmp_path / "b").mkdir()
    assert of(made(tmp_path / "b", "2.9.1", "b"), model="mlp").digest == found.digest
    (locked,) = packages.locked(Plan({"a": found}), CONF.parent / "envs").experiments.values()
    assert packages.lock_of(locked, CONF).read_text() == found.installed.lock
    assert locked.environment == f"installed+{locked.locked[:12]}"


def test_conditions_of_a_profile_are_judged_by_the_version_that_is_there(tmp_path: Path) -> None:
    python = made(tmp_path, "2.7.0")
    with refused("determinism=portable needs TensorFlow >= 2.8", "framework=installed (2.7.0)"):
        of(python)
    assert of(python, determinism="tf21").config["determinism"]["option"] == "tf21"


def test_a_relative_path_a_shim_and_a_build_of_ones_own_are_taken(tmp_path: Path) -> None:
    python = made(tmp_path, "2.12.0+mine")
    assert of("their environment/bin/python").installed == of(python).installed
    shim = tmp_path / "shims" / "python"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{python}" "$@"\n')
    shim.chmod(0o755)
    found = of(shim).installed
    assert found is not None
    assert (found.python, found.versions["tensorflow"]) == (str(python), "2.12.0")


@pytest.mark.parametrize("version", ["2.0.4", "2.22.0", "3.0", "2.16.0rc1", "1.15.5"])
def test_a_tensorflow_that_cannot_be_followed_is_refused(tmp_path: Path, version: str) -> None:
    with refused(f"it has TensorFlow {version}; samebits trains with releases from 2.1 to 2.21"):
        of(made(tmp_path, version))


def _link(path: Path) -> None:
    path.symlink_to("nowhere")


def _script(text: str, mode: int = 0o755) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(text)
        path.chmod(mode)

    return write


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "there is no file"),
        (_link, "is a link to nowhere, which is not there; make the environment again"),
        (Path.mkdir, "is a folder; name the interpreter in it, such as"),
        (_script("", 0o644), "is no program; name an interpreter, or chmod +x it"),
        (_script("#!/bin/sh\n"), "cannot be used: nothing"),
        (_script("#!/bin/sh\necho it fails >&2; exit 1\n"), "cannot be used: it fails"),
        (_script("#!/nowhere\n"), "cannot be started: "),
    ],
)
def test_what_is_no_interpreter_that_trains_is_refused(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    make(tmp_path / "a python")
    with refused(f"python={tmp_path}/a python: ", said):
        of(tmp_path / "a python")


def test_one_without_tensorflow_is_refused_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = Prefix(tmp_path).folder / "bin" / "python"
    said = "it has no TensorFlow among its 1 packages; name "
    with refused(f"{said}another interpreter, or install it: {python} -m pip install tensorflow"):
        of(python)
    # Python looks for the packages of an environment beside the link by which it is named.
    link, found = tmp_path / "links" / "python", installed._asked(python, "")
    link.parent.mkdir()
    link.symlink_to(python)
    monkeypatch.setattr(installed, "_asked", lambda *_: found)
    with refused(f"{said}{python}, of which this is a link, or install it"):
        of(link)


def test_an_old_or_new_python_is_refused_by_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "_PYTHON", ((3, 5), (3, 6)))
    with refused("cannot be used: it is Python 3.", "; samebits trains with 3.5 to 3.6"):
        of(sys.executable)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"framework": "installed"}, "framework=installed: name its interpreter, such as"),
        ({"python": "/bin/python"}, "python: is that of framework=installed; add this"),
        (
            {"framework": "installed", "python": "p", "framework.tensorflow": "2.8.0"},
            "framework.tensorflow: is that of python=p; leave it out",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(config: dict[str, Any], said: str) -> None:
    with refused(said):
        configure(config, CONF)


def test_packages_are_not_installed_into_it(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    with refused("packages: framework=installed is trained in as it is; install them there"):
        of(made(tmp_path, "2.9.1"), script="train.py", packages=["pandas"])


def test_a_lock_is_one_of_ours_for_any_other_framework() -> None:
    assert not lockfile.is_as_installed(configure({}, CONF).config)
