"""Opening a certificate: a file, perhaps with its evidence beside it, or a bundle."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from samebits.certificate import certificate, replays
from samebits.certificate.certificate import MalformedError
from samebits.certificate.types import Certificate
from samebits.errors import SamebitsError, all_problems
from samebits.formats import canonical
from samebits.formats.bundle import Artifacts
from samebits.formats.names import CERTIFICATE_FILE, MOST_BYTES
from samebits.signing import keys
from samebits.signing import trusted as trust
from samebits.text import say
from samebits.verification import artifacts, levels


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


def require_replayable(content: Certificate, environ: Mapping[str, str]) -> Certificate:
    """The certificate, if it holds and can be replayed; prints who signed it.

    Raises SamebitsError with every problem.
    """
    trusted = trust.read(keys.folder(environ) / trust.FILE)
    found = levels.verify(content, trusted)
    # A failed replay by somebody trusted is no obstacle: it is a reason to try.
    wrong = [p for check in found.checks if check.level != "replays" for p in check.problems]
    wrong += replays.unfit(content["report"])
    if wrong:
        raise SamebitsError(f"the certificate cannot be replayed\n{all_problems(wrong)}")
    say(f"the certificate says {found.verdict}, {found.checks[0].summary}")
    return content


def require_digest(given: OpenedCertificate, digest: str) -> None:
    """Raise SamebitsError unless the certificate has this digest."""
    if given.digest != digest:
        raise SamebitsError(
            f"expected the certificate {digest}, got {given.digest}: it was replaced in the "
            "meantime; run the same command again"
        )
