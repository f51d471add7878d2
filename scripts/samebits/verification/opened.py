"""A certificate as it was given: a file with its evidence beside it perhaps, or a bundle."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from samebits.certificate import certificate, replays
from samebits.certificate.certificate import MalformedError
from samebits.certificate.types import Certificate
from samebits.errors import SamebitsError, all_problems
from samebits.formats import canonical
from samebits.signing import keys
from samebits.signing import trusted as trust
from samebits.text import say
from samebits.verification import artifacts, levels
from samebits.verification.artifacts import Artifacts

NAME = "certificate.json"


@dataclass(frozen=True)
class OpenedCertificate:
    """A certificate whose form is right, and the files that came with it in a bundle."""

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
        with open(path, "rb") as file:  # at most as much as there may be, and a byte to tell
            yield OpenedCertificate(certificate.parse(file.read(certificate.MOST_BYTES + 1)), None)
        return
    with artifacts.opened(path) as files:
        if NAME not in files:
            raise MalformedError(f"expected a bundle with {NAME}, got one without it")
        with files.open(NAME) as file:
            content = certificate.parse(file.read(certificate.MOST_BYTES + 1))
        yield OpenedCertificate(content, files)


def verified(content: Certificate, environ: Mapping[str, str]) -> Certificate:
    """The certificate, when it holds and can be replayed. By whom it is signed is told.

    Raises SamebitsError with everything that is wrong.
    """
    trusted = trust.read(keys.folder(environ) / trust.FILE)
    found = levels.verify(content, trusted, None)
    # That someone could not reproduce it is a reason to try.
    wrong = [p for check in found.checks if check.level != "replays" for p in check.problems]
    wrong += replays.unfit(content["report"])
    if wrong:
        raise SamebitsError(f"the certificate cannot be replayed\n{all_problems(wrong)}")
    say(f"the certificate says {found.verdict}, {found.checks[0].said}")
    return content


def require_digest(given: OpenedCertificate, digest: str) -> None:
    """Raise SamebitsError when the certificate is not the one with this digest."""
    if given.digest != digest:
        raise SamebitsError(
            f"expected the certificate {digest}, got {given.digest}: it was exchanged; start the "
            "same command again"
        )
