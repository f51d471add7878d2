"""Ed25519 signing keys: the user's own, created on first use, or a given one; and public keys.

A key is named by its id: SHA-256 (hex) of the DER SubjectPublicKeyInfo of its public half, which
``openssl pkey -pubin -in KEY.pub -outform DER | sha256sum`` prints too. The path of a private key
never appears in messages, logs, parameters or outputs: messages name the setting instead.
"""

import base64
import getpass
import hashlib
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer import CryptoSigner, SSlibKey

from samebits.errors import SamebitsError, all_problems
from samebits.experiment.variables import NO_KEY, SIGNING_KEY, SIGNING_PASSPHRASE
from samebits.formats import files

_OWN, _PUBLIC = "key.pem", "key.pub"
BEGIN, _END = "-----BEGIN ", "-----END "
_PRIVATE = b"PRIVATE KEY-----"
_CREATE = "create a key with openssl genpkey -algorithm ed25519"


@dataclass(frozen=True)
class PublicKey:
    """The public half of an Ed25519 key: 32 bytes."""

    raw: bytes

    @property
    def keyid(self) -> str:
        """SHA-256 (hex) of the DER SubjectPublicKeyInfo (RFC 8410)."""
        return hashlib.sha256(self._crypto().public_bytes(Encoding.DER, _SPKI)).hexdigest()

    @property
    def text(self) -> str:
        """Base64 of the 32 bytes, as certificates and the trust file have it."""
        return base64.b64encode(self.raw).decode("ascii")

    def pem(self) -> bytes:
        """The file that a signer gives away."""
        return self._crypto().public_bytes(Encoding.PEM, _SPKI)

    def verifier(self) -> SSlibKey:
        """The key as securesystemslib verifies with it."""
        return SSlibKey.from_crypto(self._crypto(), self.keyid)

    def _crypto(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.raw)


_SPKI = PublicFormat.SubjectPublicKeyInfo


def from_base64(text: str) -> bytes:
    """The bytes of a text that is their only base64. Raises ValueError for anything else."""
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode("ascii") != text:
        raise ValueError("expected base64 in its one spelling")
    return raw


def from_text(text: str) -> PublicKey:
    """The inverse of ``PublicKey.text``. Raises ValueError for anything else."""
    raw = from_base64(text)
    if len(raw) != 32:
        raise ValueError("expected base64 of 32 bytes")
    return PublicKey(raw)


def from_pem(path: Path) -> list[PublicKey]:
    """The public keys in a PEM file: one, or several.

    Raises SamebitsError that names the lines of anything but Ed25519 keys, and OSError.
    """
    found = []
    for number, block in _blocks(path.read_bytes(), str(path)):
        try:
            key = serialization.load_pem_public_key(block)
        except (ValueError, UnsupportedAlgorithm):
            got = (
                "but a private one, which only its owner may have"
                if _PRIVATE in block
                else ("in PEM form (BEGIN PUBLIC KEY)")
            )
            raise SamebitsError(
                f"{path}:{number}: not a public key {got}; ask the signer for key.pub"
            ) from None
        if not isinstance(key, Ed25519PublicKey):
            where = f"{path}:{number}"
            raise _another_type(where, key, "samebits supports no other type")
        found.append(_public(key))
    return found


def _blocks(data: bytes, where: str) -> list[tuple[int, bytes]]:
    """The PEM blocks of a file, each with the number of its first line.

    A byte order mark, line ends of any system, blanks around a line and comments (#) are no
    obstacle. Raises SamebitsError for other lines outside of a block, and where there is no block.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SamebitsError(f"{where}: not a key in PEM form, which is text in UTF-8") from None
    found: list[tuple[int, list[str]]] = []
    inside, problems = False, []
    for number, line in enumerate(map(str.strip, lines_of(text)), 1):
        if line.startswith(BEGIN):
            inside = True
            found.append((number, []))
        if inside:
            found[-1][1].append(line)
        elif line and not line.startswith("#"):
            problems.append(f"{where}:{number}: expected {BEGIN}… or a comment (#)")
        inside = inside and not line.startswith(_END)
    if problems or not found:
        raise SamebitsError(
            all_problems(problems) or f"{where}: not a key in PEM form: it has no line {BEGIN}…"
        )
    return [(number, "\n".join([*lines, ""]).encode("ascii", "replace")) for number, lines in found]


def lines_of(text: str) -> list[str]:
    """The lines of a text as an editor counts them, whatever system wrote it."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _another_type(where: str, key: object, advice: str) -> SamebitsError:
    got = type(key).__name__.strip("_")
    return SamebitsError(f"{where}: expected an Ed25519 key, got {got}; {advice}")


def _public(key: Ed25519PublicKey) -> PublicKey:
    return PublicKey(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


@dataclass(frozen=True, repr=False)
class Signer:
    """A private key that is ready to sign."""

    signer: CryptoSigner
    public: PublicKey
    is_new: bool = False  # its owner's, and not published yet

    @property
    def keyid(self) -> str:
        """The id of the key."""
        return self.public.keyid


def _signer(key: Ed25519PrivateKey) -> Signer:
    public = _public(key.public_key())
    return Signer(CryptoSigner(key, public.verifier()), public)


def folder(environ: Mapping[str, str]) -> Path:
    """Where the user's key and trust file are: the XDG Base Directory Specification's place."""
    base = environ.get("XDG_CONFIG_HOME") or ""
    try:
        root = Path(base) if Path(base).is_absolute() else Path.home() / ".config"
    except RuntimeError:
        raise SamebitsError("expected a home folder, found none; set HOME") from None
    return root / "samebits"


def load(environ: Mapping[str, str]) -> Signer | None:
    """The signing key; None: leave the certificate UNSIGNED.

    The variable SAMEBITS_SIGNING_KEY holds a key, its path, or ``none``; without it, the user's own
    key signs, which is created on first use. Raises SamebitsError for anything but an Ed25519 key.
    """
    location = environ.get(SIGNING_KEY) or ""
    if location == NO_KEY:
        return None
    if not location:
        return own(folder(environ), environ)
    if BEGIN in location:
        return _read(os.fsencode(location), environ)
    try:
        return _read(Path(location).expanduser().read_bytes(), environ)
    except (OSError, RuntimeError) as error:  # the latter: no such user
        why = error.strerror if isinstance(error, OSError) else "no such home folder"
        raise SamebitsError(
            f"{SIGNING_KEY}: cannot read the private key: {why}; check the path, or leave it out "
            "to use your own key"
        ) from None


def _read(given: bytes, environ: Mapping[str, str]) -> Signer:
    (_, pem), *more = _blocks(given, "signing key")
    if more:
        raise SamebitsError(
            f"signing key: expected one key, got another one in line {more[0][0]}; leave one in it"
        )
    passphrase = _passphrase(environ) if b"ENCRYPTED" in pem else None
    try:
        of_ssh = b"OPENSSH" in pem
        read = serialization.load_ssh_private_key if of_ssh else serialization.load_pem_private_key
        key = read(pem, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SamebitsError(f"signing key: {_unusable(pem)}; {_CREATE}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _another_type("signing key", key, _CREATE)
    return _signer(key)


def _unusable(pem: bytes) -> str:
    """Why a PEM block is no key to sign with."""
    label = pem.splitlines()[0].decode("ascii", "replace").strip("- ").removeprefix("BEGIN ")
    if _PRIVATE not in pem:
        return f"not a private key, but a {label}"
    if label.startswith("OPENSSH"):
        return "an OpenSSH key that is damaged, or that has a passphrase, which cannot be read here"
    if b"ENCRYPTED" in pem:
        return f"the passphrase is wrong ({SIGNING_PASSPHRASE}), or the key is damaged"
    return f"a {label} that cannot be read: damaged, or cut off"


def _passphrase(environ: Mapping[str, str]) -> bytes:
    """From the environment or the terminal."""
    try:
        given = environ.get(SIGNING_PASSPHRASE)
        if given is None:
            with open("/dev/tty", "w", encoding="utf-8") as terminal:
                given = getpass.getpass("passphrase of the signing key: ", terminal)
        return os.fsencode(given)
    except (OSError, EOFError):
        raise SamebitsError(
            "signing key: the key is encrypted, and there is no terminal to ask for its "
            f"passphrase; set {SIGNING_PASSPHRASE}"
        ) from None


def own(where: Path, environ: Mapping[str, str]) -> Signer:
    """The user's own key, created on first use, readable by the user only, never overwritten.

    It is new until ``publish`` has written its public half: a process that is killed before leaves
    that to the next one.
    """
    path = where / _OWN
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            raise SamebitsError(
                "other users can read or change your signing key: expected mode 0600, got "
                f"{path.stat().st_mode & 0o777:04o}; chmod 600 it, or delete it to have a new one "
                "made"
            )
        signer, published = _read(path.read_bytes(), environ), where / _PUBLIC
        is_new = not published.exists() or published.read_bytes() != signer.public.pem()
        return replace(signer, is_new=is_new)
    except OSError as error:
        raise SamebitsError(
            f"cannot read or create a signing key in your config folder: {error.strerror}; make "
            f"the folder writable, set {SIGNING_KEY} to the path of one, or signing=none"
        ) from None


def publish(where: Path, public: PublicKey) -> None:
    """Write the file that a signer gives away: the last step of creating a key."""
    files.write_bytes(where / _PUBLIC, public.pem())


def _make(path: Path) -> None:
    """Create the key atomically; if two processes start at once, the first key stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # of mode 0600
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink()
