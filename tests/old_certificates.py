"""Certificates of each format version, kept so that all later code can be held against them.

They are files, not functions: a certificate that was issued once stays verifiable. ``make`` writes
those that are missing and touches no other, and so does running this module, from the root of the
repository::

    PYTHONPATH=scripts .venv-dev/bin/python tests/old_certificates.py

To change one, delete it first: ``pytest --update-golden`` leaves them alone. After the release of
a format that must never happen.

They are signed by keys of the tests, of which only the public halves lie beside them.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attacks
import factories
from samebits.formats import bundle, canonical, files

FOLDER = Path(__file__).parent / "pages" / "golden"
VERSION_1 = FOLDER / "certificates-1"
ISSUER, REPLAYER = "issuer.pub", "laboratory.pub"

Json = Any


def _reproducible(folder: Path) -> Json:
    return attacks.certify(factories.workspace(folder), attacks.signer())


def _differing(folder: Path) -> Json:
    weights = factories.weights()
    weights[0][1].view("<u4")[2, 1] ^= 1
    return attacks.certify(factories.workspace(folder, weights=weights), attacks.signer())


def _unsigned(folder: Path) -> Json:
    return attacks.certify(factories.workspace(folder), None)


def _unreadable(folder: Path) -> Json:
    space = factories.workspace(folder)
    space.load_record.write_bytes(space.load_record.read_bytes()[:-9])
    (space.runs[1] / "history.json").unlink()
    return attacks.certify(space, attacks.signer())


def _with_replays(folder: Path) -> Json:
    made = attacks.replayed(_reproducible(folder), attacks.signer("laboratory"))
    other = attacks.another_run(made, 2)
    other["digests"] |= {"weights": "5" * 64}
    other["machine"] |= {"cpu": "Another CPU", "flags": ["sse4_1"]}
    return attacks.replayed(made, None, other)


_MADE: dict[str, Callable[[Path], Json]] = {
    "reproducible.json": _reproducible,
    "not-reproducible.json": _differing,
    "unsigned.json": _unsigned,
    "inconclusive.json": _unreadable,
    "replayed.json": _with_replays,
}
NAMES = tuple(_MADE)


def bundle_files(folder: Path) -> dict[str, Path]:
    """What bundle.py would put together of a workspace, by name; certificate.json is added."""
    space = factories.workspace(folder)
    issued = attacks.certify(space, attacks.signer())
    canonical.write_json(folder / "certificate.json", issued)
    names = [document["name"] for document in issued["report"]["evidence"]]
    for index, content in issued["report"]["indices"].items():
        beside = index.removesuffix("index.json")
        names += [f"{beside}{position:05d}.npy" for position in range(len(content["arrays"]))]
    files = {name: folder / name.replace("envs/", "") for name in names}
    return files | {"certificate.json": folder / "certificate.json"}


def make() -> list[Path]:
    """Write what is missing; returns it."""
    written = []
    for name, by in ((ISSUER, ""), (REPLAYER, "laboratory")):
        if not (VERSION_1 / name).exists():
            files.write_bytes(VERSION_1 / name, attacks.signer(by).public.pem())
            written.append(VERSION_1 / name)
    for name, made in _MADE.items():
        if not (VERSION_1 / name).exists():
            with tempfile.TemporaryDirectory() as folder:
                canonical.write_json(VERSION_1 / name, made(Path(folder)))
            written.append(VERSION_1 / name)
    if not (VERSION_1 / "reproducible.zip").exists():
        with tempfile.TemporaryDirectory() as folder:
            bundle.write(VERSION_1 / "reproducible.zip", bundle_files(Path(folder)))
        written.append(VERSION_1 / "reproducible.zip")
    return written


if __name__ == "__main__":
    for path in make():
        print(path)
