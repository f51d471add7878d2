"""What certify and replay share: the key that signs, and a last look before anything is written."""

from collections.abc import Mapping
from typing import Any

from samebits.certificate import certificate
from samebits.errors import SamebitsError, all_problems
from samebits.formats import canonical
from samebits.signing import keys, trusted
from samebits.signing.keys import Signer
from samebits.text import say
from samebits.verification import levels


def signer(environ: Mapping[str, str]) -> Signer | None:
    """The key to sign with; None: UNSIGNED. A key that is made now is trusted by its maker."""
    found = keys.load(environ)
    if found is not None and found.is_new:
        trusted.add(keys.folder(environ) / trusted.FILE, trusted.OWN, found.public)
        say(f"made a signing key for you: {found.public.text}, id {found.keyid}")
    return found


def refuse_unverifiable(issued: Mapping[str, Any]) -> None:
    """Raise SamebitsError when what is to be issued would not verify."""
    read = certificate.parse(canonical.dumps(issued))
    found = levels.verify(read, [], None)
    problems = [problem for check in found.checks for problem in check.problems]
    if problems:
        raise SamebitsError(
            "expected a certificate that verifies, got one that does not; nothing was written, "
            f"please report this\n{all_problems(problems)}"
        )
