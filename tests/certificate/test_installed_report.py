"""A certificate of an environment that was there already: what it says, and what contradicts it."""

import copy
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import factories
from factories import Workspace
from samebits.certificate.certificate import issue
from samebits.formats.lockfile import AS_INSTALLED
from samebits.pages import certificate as page
from samebits.pages import summary

Json = dict[str, Any]
Change = Callable[[Json], None]
TITLE = "# Locked for CPython 3.11 on Linux x86_64 "
NOTES = f"""\
# files: 4552
# Python: 3.11.7 sha256:{"c" * 64}
# editable: mine
# in no RECORD: sitecustomize.py sha256:{"d" * 64}
# not as installed: numpy/a.py sha256:{"e" * 64}
"""
LOCK = f"{TITLE}{AS_INSTALLED}\n{NOTES}" + factories.LOCK.partition("\n")[2]
CONFIG = factories.CONFIG | {
    "framework": factories.CONFIG["framework"] | {"option": "installed", "environment": "installed"}
}


def both(*changes: Change) -> Change:
    def change(record: Json) -> None:
        for one in changes:
            one(record)

    return change


def listed(text: str) -> Change:
    """Have a run say that this was its environment."""
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return lambda record: record.update(lock=sha256, installed={"files": 4552, "sha256": sha256})


def report(
    folder: Path, config: Json = CONFIG, lock: str = LOCK, change: Change = lambda record: None
) -> Any:
    """What is said of two equal runs; ``change``: of the replica's record."""
    space: Workspace = factories.workspace(
        folder, config=copy.deepcopy(config), change=both(listed(lock), change)
    )
    factories.edit(space.runs[0] / "record.json", listed(lock))
    sha256 = hashlib.sha256(lock.encode()).hexdigest()
    name = config["framework"]["environment"]
    is_users = config["framework"]["option"] == "installed"
    space.lock = folder / f"{name}{f'+{sha256[:12]}' * is_users}.lock.txt"
    space.lock.write_text(lock)
    named = {f"envs/{space.lock.name}": sha256}
    return factories.report_of(space.compare(), dependencies=named)


def test_it_says_as_installed_and_names_what_is_not_as_released(tmp_path: Path) -> None:
    made = report(tmp_path)
    assert made["verdict"] == "REPRODUCIBLE", made["reasons"]
    assert {"what": "environment", "value": "as installed"} in made["scope"]["same"]
    begins = "The environment was there already: these "
    cautions = [
        f"{begins}files are not as their RECORD says: numpy/a.py.",
        f"{begins}could be imported and are in no RECORD: sitecustomize.py.",
        f"{begins}packages are installed editable, from a folder of source: mine.",
    ]
    assert made["scope"]["cautions"] == cautions
    certificate = issue(made, None)
    html = page.render(certificate)
    said = (
        "as installed: distributions: 3, Python 3.11.7, files that are not as their RECORD says: 1"
    )
    assert said in html
    text = summary.text(certificate, summary.Ended(Path("certificate.html")))
    assert [c for c in cautions if c not in text] == []


def test_an_environment_of_ours_says_nothing_of_it(tmp_path: Path) -> None:
    made = report(tmp_path, factories.CONFIG, factories.LOCK)
    assert made["verdict"] == "REPRODUCIBLE", made["reasons"]
    assert "environment" not in [fact["what"] for fact in made["scope"]["same"]]
    assert made["scope"]["cautions"] == []


def framework(**changes: Any) -> Change:
    return lambda record: record["framework"].update(changes)


WHEEL = {"name": "tensorflow-cpu", "version": "2.21.0", "sha256": "b" * 64}
HARMS: dict[str, tuple[Json, str]] = {
    "another listing in one run": (
        {"change": listed(LOCK.replace("e" * 64, "f" * 64))}, "replica used another lock ("),
    "other files in one run": (
        {"change": lambda r: r["installed"].update(sha256="9" * 64)},
        "replica and control ran on different files of the packages"),
    "files that are not those of the listing": (
        {"change": lambda r: r["installed"].update(sha256="9" * 64)}, "replica: files: expected "),
    "a package that is not listed": (
        {"change": lambda r: r["packages"].append({"name": "more", "version": "1"})},
        "replica: the packages do not match the lock: more: expected none, got 1"),
    "another TensorFlow than is listed": (
        {"change": framework(wheel=WHEEL | {"version": "2.20.0"})},
        "replica: the TensorFlow wheel is not in envs/installed+"),
    "other libraries in one run": (
        {"change": framework(libraries={"libcudnn.so.9": "9" * 64})},
        "replica and control ran on different versions or builds of TensorFlow"),
    "a listing for one of our frameworks": (
        {"config": factories.CONFIG}, "as installed: expected false, got true"),
    "a lock of ours for an environment that was there": (
        {"lock": factories.LOCK}, "as installed: expected true, got false"),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_what_contradicts_the_listing_is_inconclusive(tmp_path: Path, harm: str) -> None:
    given, said = HARMS[harm]
    made = report(tmp_path, **given)
    assert made["verdict"] == "INCONCLUSIVE"
    assert any(said in reason for reason in made["reasons"]), made["reasons"]
