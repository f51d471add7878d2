"""Opening a certificate: a file, perhaps with its evidence beside it, or a bundle."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from samebits.certificate import certificate, signatories
from samebits.certificate.schema import MalformedError
from samebits.certificate.types import Certificate
from samebits.errors import SamebitsError, all_problems
from samebits.experiment.protocol import CONTROL
from samebits.formats import canonical, files
from samebits.formats.bundle import Artifacts
from samebits.formats.names import CERTIFICATE_FILE, MOST_BYTES
from samebits.signing import keys
from samebits.signing import trusted as trust
from samebits.text import say
from samebits.verification import artifacts, levels
from samebits.verification.artifacts import ArtifactCheck
from samebits.verification.levels import Verification

_RUN = f"train/{CONTROL}/"


class DoesNotHoldError(SamebitsError):
    """A well-formed certificate that does not hold, with every problem."""

    code = levels.DOES_NOT_HOLD


@dataclass(frozen=True)
class OpenedCertificate:
    """A well-formed certificate, and the files of the bundle that it came in."""

    content: Certificate
    bundled: Artifacts | None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of certificate.json, in a bundle too."""
        return canonical.digest(self.content)


@contextmanager
def opened(path: Path) -> Iterator[OpenedCertificate]:
    """Read a certificate or a bundle. Raises MalformedError or BundleError for anything else."""
    if not artifacts.is_bundle(path):
        with open(path, "rb") as file:  # one byte more than is allowed, to notice it
            yield OpenedCertificate(certificate.parse(file.read(MOST_BYTES + 1)), None)
        return
    with artifacts.opened(path) as files:
        if CERTIFICATE_FILE not in files:
            raise MalformedError(f"the bundle contains no {CERTIFICATE_FILE}")
        with files.open(CERTIFICATE_FILE) as file:
            content = certificate.parse(file.read(MOST_BYTES + 1))
        yield OpenedCertificate(content, files)


def require_sound(
    content: Certificate, environ: Mapping[str, str], checked: Sequence[ArtifactCheck] = ()
) -> Verification:
    """What was checked. Raises DoesNotHoldError unless the certificate holds, whoever signed it.

    A failed replay by somebody trusted is no obstacle: it is a reason to compare again.
    """
    found = levels.verify(content, trust.read(keys.folder(environ) / trust.FILE), checked)
    wrong = [p for check in found.checks if check.level != "replays" for p in check.problems]
    if wrong:
        raise DoesNotHoldError(f"the certificate does not hold\n{all_problems(wrong)}")
    return found


def require_replayable(content: Certificate, environ: Mapping[str, str]) -> Certificate:
    """The certificate, if it holds and can be replayed; prints who signed it.

    Raises SamebitsError with every problem.
    """
    found = require_sound(content, environ)
    if wrong := list(signatories.unfit(content["report"])):
        raise SamebitsError(f"the certificate cannot be replayed\n{all_problems(wrong)}")
    say(f"the certificate says {found.verdict}, {found.checks[0].summary}")
    return content


@contextmanager
def control_run(given: OpenedCertificate, path: Path) -> Iterator[Path | None]:
    """The folder of the certified control run: from the bundle, or beside the certificate.

    None where there is none, or one of another run. Its checkpoints are left out.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = path.parent / _RUN
        if given.bundled is not None:
            run = Path(folder)
            _unpack(given.bundled, run)
        record = run / "record.json"
        is_certified = record.is_file() and canonical.digest(
            given.content["report"]["records"]["runs"][CONTROL]
        ) == files.digest(record)
        if record.is_file() and not is_certified:
            say(f"{record.parent}: the files beside the certificate belong to another run")
        yield run if is_certified else None


def _unpack(bundled: Artifacts, target: Path) -> None:
    for name in (n for n in bundled.names() if n.startswith(_RUN) and n.count("/") == 2):
        with bundled.open(name) as source, (target / Path(name).name).open("wb") as file:
            shutil.copyfileobj(source, file)


def require_digest(given: OpenedCertificate, digest: str) -> None:
    """Raise SamebitsError unless the certificate has this digest."""
    if given.digest != digest:
        raise SamebitsError(
            f"expected the certificate {digest}, got {given.digest}: it was replaced in the "
            "meantime; run the same command again"
        )
