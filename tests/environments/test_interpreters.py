"""Finding a Python: the order of the places, and what is said when there is none."""

import os
import sys
from pathlib import Path

import pytest

from refusals import refused
from samebits.environments import interpreters, uv

NO_UV = Path("/nonexistent/uv")


def fake(path: Path, version: str, implementation: str = "CPython") -> Path:
    """A tiny program that answers as an interpreter of this version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"""#!/bin/sh\necho {version} {implementation}\n""")
    path.chmod(0o755)
    return path


def refusing(path: Path) -> Path:
    """What pyenv's shims do for a version that is not switched on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A machine without any Python but the running one."""
    return {
        "PATH": f"{tmp_path / 'first'}{os.pathsep}{tmp_path / 'second'}",
        "HOME": str(tmp_path / "home"),
    }


@pytest.mark.process
def test_the_variable_wins_over_everything(tmp_path: Path, environ: dict[str, str]) -> None:
    fake(tmp_path / "first" / "python3.7", "3.7.1")
    named = fake(tmp_path / "mine" / "python", "3.7.9")
    found = interpreters.find("3.7", {**environ, "SAMEBITS_PYTHON_3_7": str(named)}, NO_UV)
    assert (found.path, found.version) == (named, "3.7.9")


@pytest.mark.process
@pytest.mark.parametrize("version", ["3.8.1", None])
def test_a_variable_that_names_something_else_is_an_error_and_not_passed_over(
    tmp_path: Path, environ: dict[str, str], version: str | None
) -> None:
    fake(tmp_path / "first" / "python3.7", "3.7.1")
    named = tmp_path / "mine" / "python"
    if version:
        fake(named, version)
    got = f"is CPython {version}" if version else "No such file"
    with refused("SAMEBITS_PYTHON_3_7: expected the path of CPython 3.7", str(named), got):
        interpreters.find("3.7", {**environ, "SAMEBITS_PYTHON_3_7": str(named)}, NO_UV)


@pytest.mark.process
def test_the_running_interpreter_comes_before_path(tmp_path: Path, environ: dict[str, str]) -> None:
    minor = ".".join(map(str, sys.version_info[:2]))
    fake(tmp_path / "first" / f"python{minor}", f"{minor}.99")
    assert interpreters.find(minor, environ, NO_UV).path == Path(sys.executable)


@pytest.mark.process
@pytest.mark.parametrize("implementation", ["PyPy", None])
def test_a_name_that_lies_is_passed_over(
    tmp_path: Path, environ: dict[str, str], implementation: str | None
) -> None:
    name = tmp_path / "first" / "python3.7"
    fake(name, "3.7.13", implementation) if implementation else refusing(name)
    real = fake(tmp_path / "home/.pyenv/versions/3.7.4/bin/python3.7", "3.7.4")
    assert interpreters.find("3.7", environ, NO_UV).path == real


@pytest.mark.process
@pytest.mark.parametrize("by_variable", [True, False])
def test_the_newest_of_pyenv_comes_after_path(
    tmp_path: Path, environ: dict[str, str], by_variable: bool
) -> None:
    root = tmp_path / "elsewhere" if by_variable else tmp_path / "home" / ".pyenv"
    environ |= {"PYENV_ROOT": str(root)} if by_variable else {}
    for version in ("3.7.9", "3.7.16"):
        fake(root / "versions" / version / "bin" / "python3.7", version)
    assert interpreters.find("3.7", environ, NO_UV).version == "3.7.16"
    fake(tmp_path / "first" / "python3.7", "3.7.1")
    assert interpreters.find("3.7", environ, NO_UV).version == "3.7.1"


def test_a_home_folder_that_only_another_user_may_read_has_none(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    """As after su, which may keep HOME."""
    fake(tmp_path / "home/.pyenv/versions/3.7.4/bin/python3.7", "3.7.4")
    user = os.geteuid()
    tmp_path.chmod(0)
    try:
        if user == 0:
            os.seteuid(65534)
        assert list(interpreters._places("3.7", environ).values())[1:] == [[], []]
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o700)


@pytest.mark.process
@pytest.mark.parametrize("wanted", ["--system", "--managed-python"], ids=["found", "downloaded"])
def test_uv_is_asked_last_for_one_that_it_finds_or_downloads(
    tmp_path: Path, environ: dict[str, str], wanted: str
) -> None:
    found = fake(tmp_path / "somewhere" / "python3", "3.9.20")
    tool = tmp_path / "uv"
    tool.write_text(
        f'#!/bin/sh\necho "$2" >> "{tmp_path}/asked"\n'
        f'case "$*" in *install*) ;; *{wanted}*) echo {found};; *) exit 2;; esac\n'
    )
    tool.chmod(0o755)
    assert interpreters.find("3.9", environ, tool).path == found
    asked = (tmp_path / "asked").read_text().split()
    assert asked == (["find"] if wanted == "--system" else ["find", "install", "find"])


@pytest.mark.process
def test_uv_finds_a_python_of_another_name(tmp_path: Path, environ: dict[str, str]) -> None:
    minor = ".".join(map(str, sys.version_info[:2]))
    real = Path(sys.executable).resolve()
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "python3").symlink_to(real)
    environ |= {"UV_PYTHON_DOWNLOADS": "never"}
    found = interpreters._from_uv(minor, uv.beside_python(), environ)
    assert found.version.startswith(minor + ".")


@pytest.mark.process
def test_without_any_every_place_is_listed_and_what_brings_one(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    shim = refusing(tmp_path / "first" / "python3.7")
    said = (
        "CPython 3.7 not found",
        "SAMEBITS_PYTHON_3_7: not set",
        f"{sys.executable}: is CPython",
        f"{shim}: did not print its version but: pyenv: command not found",
        f"pyenv ({tmp_path}/home/.pyenv/versions/3.7.*): none",
        "uv: `uv python install` failed",
        "SAMEBITS_PYTHON_3_7=PATH",
        "add --sdm conda",
    )
    with refused(*said):
        interpreters.find("3.7", environ, uv.beside_python())


@pytest.mark.process
def test_a_version_that_uv_may_not_download_is_reported_as_missing(
    environ: dict[str, str], tmp_path: Path
) -> None:
    environ |= {"UV_PYTHON_DOWNLOADS": "never", "UV_PYTHON_INSTALL_DIR": str(tmp_path / "none")}
    with refused("CPython 3.9 not found", "PATH (python3.9): none", "uv: `uv python"):
        interpreters.find("3.9", environ, uv.beside_python())
