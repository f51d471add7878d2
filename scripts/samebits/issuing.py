"""What certify and replay share: the key that signs, and a last look before anything is written."""

from collections.abc import Mapping
from typing import Any

from samebits import canonical, certificate, keys, trust, verification
from samebits.errors import SamebitsError, all_problems
from samebits.keys import Signer
from samebits.progress import say


def signer(environ: Mapping[str, str]) -> Signer | None:
    """The key to sign with; None: UNSIGNED. A key that is made now is trusted by its maker."""
    found = keys.load(environ)
    if found is not None and found.is_new:
        trust.add(keys.folder(environ) / trust.FILE, trust.OWN, found.public)
        say(f"made a signing key for you: {found.public.text}, id {found.keyid}")
    return found


def refuse_unverifiable(issued: Mapping[str, Any]) -> None:
    """Raise SamebitsError when what is to be issued would not verify."""
    read = certificate.parse(canonical.dumps(issued))
    found = verification.verify(read, [], None)
    problems = [problem for check in found.checks for problem in check.problems]
    if problems:
        raise SamebitsError(
            "expected a certificate that verifies, got one that does not; nothing was written, "
            f"please report this\n{all_problems(problems)}"
        )
