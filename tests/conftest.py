"""Tests import `samebits` as the stage scripts do: scripts/ is on the path, and bench/ after it."""

import functools
import gc
import hashlib
import marshal
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
sys.path.append(str(Path(__file__).resolve().parents[1] / "bench"))

from hydra.core.global_hydra import GlobalHydra
from hypothesis import settings
from omegaconf import grammar_parser

import conda_standin
import factories
import tiers
from browser import chromium as chromium
from conda_standin import CondaStandin
from pipeline import ROOT, Workspace
from samebits.certificate import schema
from samebits.config import compose
from samebits.config.overrides import Override
from samebits.formats import files
from sites import site as site

# Fixtures that have an environment built.
_ENVIRONMENTS = {"workspace", "conda", "cage", "loopback"}
_LONGEST = {"pipeline", "training"}  # folders with trainings

# How long an example takes says how busy the machine is.
settings.register_profile("samebits", deadline=None, max_examples=50)
settings.load_profile("samebits")

# A shell that starts the tests in the background has them, and what they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def config_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keys and trusted keys of the tests' own: nothing is read from or left in the user's."""
    folder = tmp_path_factory.mktemp("config")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder))
        patch.delenv("SAMEBITS_SIGNING_KEY", raising=False)
        patch.delenv("SAMEBITS_SIGNING_PASSPHRASE", raising=False)
        yield folder


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """One folder of a worker for all its tests that run the pipeline or a stage."""
    return Workspace.make(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="session", autouse=True)
def _configs_are_composed_once() -> Iterator[None]:
    """Hydra needs a fifth of a second for an answer, which is kept for a tree's very files.

    That is not resolved yet; what is resolved depends on the environment.
    """
    kept: dict[Any, Any] = {}

    def once(find: Callable[..., Any]) -> Callable[..., Any]:
        def known(*asked: str) -> Any:
            key = find.__name__, asked, _tree()
            if key not in kept:
                kept[key] = find(*asked)
            return kept[key]

        return known

    def resolve(
        self: compose.Composer, wanted: Sequence[Override], missing_ok: bool = False
    ) -> Any:
        values = tuple(override.hydra() for override in wanted)
        key = compose._merged, _tree(), values, missing_ok, tuple(os.environ.items())
        if key not in kept:
            kept[key] = resolving(self, wanted, missing_ok)
        return kept[key]

    resolving = compose.Composer.resolve
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "options", once(compose.options))
        patch.setattr(compose, "_merged", once(compose._merged))
        patch.setattr(compose.Composer, "resolve", resolve)
        patch.setattr("omegaconf.base.parse", functools.cache(grammar_parser.parse))
        yield


def _tree() -> tuple[tuple[str, str], ...]:
    """The files of the Hydra tree in use, each with its digest."""
    sources = GlobalHydra.instance().config_loader().get_sources()
    trees = [Path(source.path) for source in sources if source.scheme() == "file"]
    found = []
    for path in (path for tree in trees for path in sorted(tree.rglob("*.yaml"))):
        status = path.stat()
        digest = _digest(path, status.st_ino, status.st_mtime_ns, status.st_size)
        found.append((str(path.relative_to(path.parents[1])), digest))
    return tuple(found)


@functools.cache
def _digest(path: Path, *_: int) -> str:
    return files.digest(path)


@pytest.fixture(scope="session", autouse=True)
def _values_are_judged_once() -> Iterator[None]:
    """A schema says the same of the same value, and most evidence differs in a few of its parts."""
    sound: set[tuple[int, bytes]] = set()
    judge = schema._Validator.descend

    def known(validator: Any, instance: Any, schema: Any, *where: Any, **at: Any) -> Iterator[Any]:
        found = judge(validator, instance, schema, *where, **at)
        if not isinstance(instance, dict | list):
            return iter(found)
        try:
            key = id(schema), hashlib.sha256(marshal.dumps(instance, 2)).digest()
        except ValueError:  # too deep, or no JSON
            return iter(found)
        return iter(()) if key in sound else judged(key, found)

    def judged(key: tuple[int, bytes], found: Iterator[Any]) -> Iterator[Any]:
        is_sound = True
        for error in found:
            is_sound = False
            yield error
        if is_sound:
            sound.add(key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema._Validator, "descend", known)
        yield


@pytest.fixture(scope="session", autouse=True)
def _disks_are_not_waited_for() -> Iterator[None]:
    """No test outlives a power cut; those that let fsync fail replace it again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a built environment, or starts a browser or a server.

    Such tests come first, because they take long, and of these the trainings: the others fill what
    is left at the end.
    """
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & _ENVIRONMENTS:
            item.add_marker("environment")
        elif fixtures & {"chromium", "site"}:
            item.add_marker("process")
    items.sort(key=lambda item: (tiers.is_unit(item), item.path.parent.name not in _LONGEST))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    tiers.begin(item)


def pytest_collection_finish() -> None:
    """Thousands of tests and modules are not looked through again and again for garbage."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session")
def conda(tmp_path_factory: pytest.TempPathFactory) -> CondaStandin:
    """The stand-in for conda with its channel, made once."""
    pins = ROOT / "envs" / "compare.linux-64.pin.txt"
    return conda_standin.make(tmp_path_factory.mktemp("conda"), pins)


@pytest.fixture(scope="session")
def issued() -> Any:
    """A REPRODUCIBLE certificate of two runs; not to be changed."""
    return factories.issued()
