"""The keys that a user trusts, in a file like ssh's known_hosts.

One key per line: a name, the word ``ed25519`` and base64 of the 32 bytes of its public half, with
white space between them. Empty lines and comments, which begin with #, are ignored.
"""

import fcntl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from samebits.errors import SamebitsError, all_problems, require_none
from samebits.formats import files
from samebits.signing import keys
from samebits.signing.keys import PublicKey, Signer
from samebits.text import program, say

FILE = "trusted_keys"
KIND = "ed25519"
OWN = "you"  # the name of the user's own key


@dataclass(frozen=True)
class Trusted:
    """A key and what the user calls its holder."""

    name: str
    key: PublicKey

    def line(self) -> str:
        """The key as the trust file has it."""
        return f"{self.name} {KIND} {self.key.text}\n"


def read(path: Path) -> list[Trusted]:
    """The trusted keys; none when there is no such file. Raises SamebitsError for wrong lines."""
    if not path.exists():
        return []
    try:
        lines = keys.lines_of(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise SamebitsError(f"{path}: not UTF-8 text") from None
    require_none(
        f"{path}:{number}: the text of a key file, which does not name the owner; move it "
        f"into a file such as alice.pub, then run: {program()} trust alice.pub alice"
        for number, line in enumerate(lines, 1)
        if line.strip().startswith(keys.BEGIN)
    )
    trusted, problems = [], []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            name, kind, text, *comment = words
            if comment and not comment[0].startswith("#"):
                raise ValueError(comment)
            if kind != KIND:
                raise ValueError(kind)
            trusted.append(Trusted(name, keys.from_text(text)))
        except ValueError:
            problems.append(
                f"{path}:{number}: expected NAME {KIND} BASE64, got {line.strip()[:80]!r}; correct "
                "or delete the line"
            )
    if problems:
        raise SamebitsError(all_problems(problems))
    return trusted


def add(
    path: Path, name: str, key: PublicKey, check: Callable[[list[Trusted]], None] | None = None
) -> str | None:
    """Trust one more key; if it is trusted already, the name that it has.

    ``check``: raises SamebitsError where the trusted keys forbid the name. No other process changes
    the file meanwhile.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(path.with_name(f".{path.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = read(path)
        if holder := name_of(key.keyid, known):
            return holder
        if check:
            check(known)
        before = path.read_bytes() if path.exists() else b""
        if before and not before.endswith(b"\n"):
            before += b"\n"
        files.write_bytes(path, before + Trusted(name, key).line().encode("utf-8"))
    return None


def name_of(keyid: str, trusted: Iterable[Trusted]) -> str | None:
    """What the user calls the holder of a key; None when it is not trusted."""
    return next((t.name for t in trusted if t.key.keyid == keyid), None)


def load_signer(environ: Mapping[str, str]) -> Signer | None:
    """The key to sign with; None: UNSIGNED. A new key is trusted by its owner, then published."""
    signer = keys.load(environ)
    if signer is not None and signer.is_new:
        where = keys.folder(environ)
        add(where / FILE, OWN, signer.public)
        keys.publish(where, signer.public)
        say(f"created your signing key: {signer.public.text}, id {signer.keyid}")
    return signer
