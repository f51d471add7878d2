"""Certificates of every kind as files, made once in a process: what a stranger may be given."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import attacks
import factories
from samebits.formats import bundle, canonical, files

ISSUER, LABORATORY = attacks.signer(), attacks.signer("laboratory")


@cache
def folder() -> Path:
    """Where they lie: five certificates, a bundle, and the public keys that signed them."""
    made = Path(tempfile.mkdtemp(prefix="samebits-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    space = factories.workspace(made / "sound")
    sound = attacks.certify(space, ISSUER)
    certificates = {
        "reproducible": sound,
        "not-reproducible": _differing(made / "differing"),
        "unsigned": attacks.certify(space, None),
        "inconclusive": _unreadable(made / "unreadable"),
        "replayed": _replayed(sound),
    }
    for name, content in certificates.items():
        canonical.write_json(made / f"{name}.json", content)
    for name, by in (("issuer", ISSUER), ("laboratory", LABORATORY)):
        files.write_bytes(made / f"{name}.pub", by.public.pem())
    bundle.write(made / "reproducible.zip", bundle_files(made / "bundled"))
    return made


def bundle_files(folder: Path) -> dict[str, Path]:
    """What bundle.py puts together of a new workspace in this folder, by name."""
    space = factories.workspace(folder)
    canonical.write_json(folder / "certificate.json", attacks.certify(space, ISSUER))
    found = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in found}
    names[f"envs/{space.lock.name}"] = names.pop(space.lock.name)
    return names


def _differing(folder: Path) -> Any:
    weights = factories.weights()
    weights[0][1].view("<u4")[2, 1] ^= 1
    return attacks.certify(factories.workspace(folder, weights=weights), ISSUER)


def _unreadable(folder: Path) -> Any:
    space = factories.workspace(folder)
    space.load_record.write_bytes(space.load_record.read_bytes()[:-9])
    (space.runs[1] / "history.json").unlink()
    return attacks.certify(space, ISSUER)


def _replayed(sound: Any) -> Any:
    """Twice: with the same bits, and by nobody who signed with others, outside of the scope."""
    made = attacks.replayed(sound, LABORATORY)
    other = attacks.another_run(made, 2)
    other["digests"] |= {"weights": "5" * 64}
    other["machine"] |= {"cpu": "Another CPU", "flags": ["sse4_1"]}
    return attacks.replayed(made, None, other)
