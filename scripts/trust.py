#!/usr/bin/env python3
"""Trust a key: certificates that it signed are verified from then on.

INPUTS      FILE     key.pub, as its owner gave it to you, or a certificate that the key signed
            NAME     what you call the owner of the key, in one word
            --id     the id of the key, 64 hexadecimal digits, as its owner gave it to you
            --trust  the trust file; default: trusted_keys in your config folder
            --offline  where the environment of this program is not built, do not build it
OUTPUTS     one more line in the trust file: NAME ed25519 BASE64
GUARANTEES  a key from a certificate is trusted only with the id that you have from its owner: who
            forges a certificate signs it with a key of their own; an id that is asked for is not
            shown, so that it is not copied from the screen; a private key is refused, and so is a
            name that has another key; the trust file is replaced as a whole, by one process at a
            time

Exit codes: 0 the key is trusted, 1 refused, 2 wrong usage or no environment to run in.
"""

if __name__ == "__main__":
    import sys

    sys.dont_write_bytecode = True
    from samebits import own_environment

    own_environment.enter(__doc__)

import os
import re
import sys
from argparse import Namespace
from functools import partial
from pathlib import Path

from samebits import errors
from samebits.arguments import parser
from samebits.errors import SamebitsError
from samebits.signing import keys
from samebits.signing import trusted as trust
from samebits.signing.keys import PublicKey
from samebits.text import plain
from samebits.verification import artifacts, opened

_ID = re.compile(r"[0-9a-f]{64}")


def _arguments() -> Namespace:
    made = parser(__doc__, optional=("trust",))
    made.add_argument("file", type=Path, metavar="FILE")
    made.add_argument("name", metavar="NAME")
    made.add_argument("--id")
    made.add_argument("--offline", action="store_true")  # see own_environment
    return made.parse_args()


def _chosen(options: Namespace) -> PublicKey:
    """The key that is meant. Raises SamebitsError where that is not certain."""
    path, wanted = options.file, options.id
    if not _is_certificate(path):
        found = keys.from_pem(path)
    else:
        found = _signed(path)
        wanted = _asked(options.name) if wanted is None else wanted
    ids = "".join(f"\n  {key.keyid}" for key in found)
    if wanted is None and len(found) > 1:
        raise SamebitsError(
            f"{path}: expected one key, got {len(found)}; add --id with one of these:{ids}"
        )
    wanted = found[0].keyid if wanted is None else re.sub(r"[\s:]", "", wanted.lower())
    if not _ID.fullmatch(wanted):
        raise SamebitsError("--id: expected all 64 hexadecimal digits of the id of the key")
    for key in found:
        if key.keyid == wanted:
            return key
    raise SamebitsError(
        f"{path}: none of its keys has the id {wanted}; if that is what {options.name} gave you, "
        "somebody else made this file: do not trust it"
    )


def _is_certificate(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(1) == b"{" or artifacts.is_bundle(path)


def _signed(path: Path) -> list[PublicKey]:
    """The keys that a certificate was signed with, those of replays as well."""
    with opened.opened(path) as given:
        found = [keys.from_text(text) for text in given.content["keys"].values()]
    if not found:
        raise SamebitsError(f"{path}: UNSIGNED, so that there is no key to trust")
    return found


def _asked(name: str) -> str:
    """The id of a key, from the terminal. Raises SamebitsError where there is none."""
    try:
        if sys.stdin.isatty():
            return input(f"Type the 64 digits that {plain(name)} gave you as the id of the key: ")
    except EOFError:
        print()
    raise SamebitsError(
        "anybody can sign a certificate with a key of their own: add --id with the id of the key "
        f"(64 digits) that {name} gave you"
    )


def _check_name(name: str, key: PublicKey, known: list[trust.Trusted]) -> None:
    """Raise SamebitsError unless a name is one that this key can have."""
    if name.split() != [name] or name.startswith("#") or not name.isprintable():
        raise SamebitsError("NAME: expected one word that does not begin with #")
    others = {entry.key.keyid for entry in known if entry.name == name and entry.key != key}
    if others or name == trust.OWN:
        of = f"{min(others)}; choose another, or remove its line" if others else "your own key"
        raise SamebitsError(f"NAME: {name} is the name of {of}")


def main() -> int:
    """Choose the key, add it, say so."""
    options = _arguments()
    path = options.trust or keys.folder(os.environ) / trust.FILE
    key = _chosen(options)
    holder = trust.add(path, options.name, key, partial(_check_name, options.name, key))
    if holder:
        print(plain(f"{holder}: trusted already, with the key {key.keyid}"))
        return 0
    print(plain(f"{options.name}: trusted from now on, with the key {key.keyid}"))
    print(plain(f"  in {path}; to end that, remove its line"))
    return 0


if __name__ == "__main__":
    errors.run(main)
