"""Keys: made once, by one process, for their owner's eyes; where they lie is told to nobody."""

import base64
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519

import factories
import terminal
from samebits.errors import SamebitsError
from samebits.signing import keys, trusted

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
# The Ed25519 key that RFC 8410 gives as an example, section 10.1, as DER in base64.
RFC_8410 = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="
PASSPHRASE = "correct horse"  # noqa: S105 (of keys that this module makes)
OTHERS: dict[str, Callable[[], Any]] = {
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "ECDSA": lambda: ec.generate_private_key(ec.SECP256R1()),
    "X25519": x25519.X25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
}


def private_pem(key: Any, passphrase: str | None = None) -> bytes:
    hidden: Any = serialization.NoEncryption()
    if passphrase is not None:
        hidden = serialization.BestAvailableEncryption(passphrase.encode())
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return bytes(key.private_bytes(pem, pkcs8, hidden))


def public_pem(key: Any) -> bytes:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_key().public_bytes(serialization.Encoding.PEM, spki))


@pytest.fixture(scope="module")
def key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def keyid(key: ed25519.Ed25519PrivateKey) -> str:
    der, spki = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_key().public_bytes(der, spki)).hexdigest()


def refusal(environ: dict[str, str]) -> SamebitsError:
    with pytest.raises(SamebitsError) as refused:
        keys.load(environ)
    return refused.value


# --- public halves ---------------------------------------------------------------------------


def test_a_keyid_is_the_digest_of_the_subject_public_key_info() -> None:
    der = base64.b64decode(RFC_8410)
    public = keys.PublicKey(der[-32:])
    assert public.keyid == hashlib.sha256(der).hexdigest()


@pytest.mark.process
def test_a_keyid_is_what_openssl_says(tmp_path: Path, key: ed25519.Ed25519PrivateKey) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    (tmp_path / "key.pub").write_bytes(public_pem(key))
    command = [openssl, "pkey", "-pubin", "-in", "key.pub", "-outform", "DER"]
    der = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    assert keys.from_pem(tmp_path / "key.pub")[0].keyid == hashlib.sha256(der).hexdigest()


def test_text_and_pem_read_back_to_the_same_key(
    tmp_path: Path, key: ed25519.Ed25519PrivateKey
) -> None:
    public = keys.PublicKey(key.public_key().public_bytes_raw())
    assert keys.from_text(public.text) == public
    (tmp_path / "key.pub").write_bytes(public.pem())
    assert keys.from_pem(tmp_path / "key.pub") == [public]


ZEROS = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        ZEROS[:-1],
        ZEROS + "=",
        ZEROS + "\n",
        " " + ZEROS,
        ZEROS[:20] + "\n" + ZEROS[20:],
        ZEROS[:-2] + "B=",  # the same 32 bytes, by a decoder that ignores the last bits
        base64.b64encode(bytes(31)).decode(),
        base64.b64encode(bytes(33)).decode(),
        base64.urlsafe_b64encode(b"\xff" * 32).decode(),
        "ü" + ZEROS[1:],
        bytes(32).hex(),
    ],
)
def test_a_key_has_one_text(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        keys.from_text(text)


@pytest.mark.parametrize("kind", OTHERS)
def test_a_key_of_another_type_is_refused_by_its_name(tmp_path: Path, kind: str) -> None:
    (tmp_path / "key.pub").write_bytes(public_pem(OTHERS[kind]()))
    with pytest.raises(SamebitsError, match="expected an Ed25519 key, got"):
        keys.from_pem(tmp_path / "key.pub")
    error = refusal({"SAMEBITS_SIGNING_KEY": private_pem(OTHERS[kind]()).decode()})
    assert "expected an Ed25519 key, got" in str(error)


def test_what_is_no_public_key_is_refused(tmp_path: Path, key: ed25519.Ed25519PrivateKey) -> None:
    empty = b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"
    for data in (b"", b"\0" * 99, empty, b"\xff", private_pem(key)):
        (tmp_path / "key.pub").write_bytes(data)
        with pytest.raises(SamebitsError, match=r"key\.pub(:1)?: (not a|expected) "):
            keys.from_pem(tmp_path / "key.pub")


# --- the user's own key ------------------------------------------------------------------------


def test_the_own_key_is_made_on_first_use_for_its_owner_alone_whatever_the_umask(
    tmp_path: Path,
) -> None:
    folder, before = tmp_path / "config" / "samebits", os.umask(0)
    try:
        made = keys.own(folder, {})
        keys.publish(folder, made.public)
    finally:
        os.umask(before)
    assert made.is_new
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    assert keys.from_pem(folder / "key.pub") == [made.public]
    assert sorted(path.name for path in folder.iterdir()) == ["key.pem", "key.pub"]
    again = keys.own(folder, {})
    assert (again.keyid, again.is_new) == (made.keyid, False)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o601, 0o777])
def test_an_own_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    keys.own(tmp_path, {})
    (tmp_path / "key.pem").chmod(mode)
    with pytest.raises(SamebitsError, match=f"expected mode 0600, got {mode:04o}"):
        keys.own(tmp_path, {})


def test_a_damaged_own_key_is_refused_and_not_replaced(tmp_path: Path) -> None:
    keys.own(tmp_path, {})
    damaged = (tmp_path / "key.pem").read_bytes()[:-40]
    (tmp_path / "key.pem").write_bytes(damaged)
    with pytest.raises(SamebitsError, match="a PRIVATE KEY that cannot be read"):
        keys.own(tmp_path, {})
    assert (tmp_path / "key.pem").read_bytes() == damaged


@pytest.mark.parametrize("call", ["fsync", "link", "fdopen"])
def test_a_key_is_made_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keys.os, call, full)  # type: ignore[attr-defined]
    with pytest.raises(SamebitsError, match="No space left"):
        keys.own(tmp_path / "samebits", {})
    assert list((tmp_path / "samebits").iterdir()) == []


def test_what_a_killed_process_left_does_not_stop_the_next_one(tmp_path: Path) -> None:
    tmp_path.joinpath(f".key.pem.{os.getpid()}").write_bytes(b"half a ke")
    assert keys.own(tmp_path, {}).is_new


@pytest.mark.process
def test_processes_that_start_at_the_same_time_end_with_one_key(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from samebits.signing import trusted; print(flush=True); sys.stdin.read(); "
        "made = trusted.load_signer({'XDG_CONFIG_HOME': sys.argv[1]}); print(made.keyid)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    environ = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environ, text=True) for _ in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()  # all have imported what they need
    (keyid,) = {process.communicate()[0].strip() for process in started}
    left = sorted(path.name for path in (tmp_path / "samebits").iterdir())
    assert left == [".trusted_keys.lock", "key.pem", "key.pub", "trusted_keys"]
    (own,) = trusted.read(tmp_path / "samebits" / "trusted_keys")
    assert own.key.keyid == keyid


@pytest.mark.parametrize("left", ["key.pem", "key.pem and the trust file", "key.pub of another"])
def test_a_key_whose_creation_was_killed_is_trusted_by_its_owner_next_time(
    tmp_path: Path, left: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The public half is written last: without it, the rest is done by the next process."""
    environ, folder = {"XDG_CONFIG_HOME": str(tmp_path)}, tmp_path / "samebits"
    made = keys.own(folder, {})
    if "trust" in left:
        trusted.add(folder / trusted.FILE, trusted.OWN, made.public)
    if "another" in left:
        keys.publish(folder, factories.signer("earlier").public)
    assert trusted.load_signer(environ) is not None
    assert keys.from_pem(folder / "key.pub") == [made.public]
    assert trusted.read(folder / trusted.FILE) == [trusted.Trusted(trusted.OWN, made.public)]
    assert "created your signing key" in capsys.readouterr().err
    assert trusted.load_signer(environ) is not None
    assert capsys.readouterr().err == ""


# --- files as people have them -----------------------------------------------------------------


HABITS: dict[str, Callable[[bytes], bytes]] = {
    "byte order mark": lambda pem: b"\xef\xbb\xbf" + pem,
    "Windows line ends": lambda pem: pem.replace(b"\n", b"\r\n"),
    "old line ends": lambda pem: pem.replace(b"\n", b"\r"),
    "trailing blanks": lambda pem: pem.replace(b"\n", b" \t\n"),
    "leading blanks": lambda pem: b"  " + pem.replace(b"\n", b"\n  "),
    "no last line end": lambda pem: pem.rstrip(b"\n"),
    "comments": lambda pem: b"# of the laboratory\n\n" + pem + b"\n# until 2027\n",
    "all of them": lambda pem: (b"\xef\xbb\xbf# x\n" + pem).replace(b"\n", b" \r\n"),
}


@pytest.mark.parametrize("habit", HABITS)
def test_a_key_is_read_as_people_have_it(
    tmp_path: Path, key: ed25519.Ed25519PrivateKey, habit: str
) -> None:
    public = keys.PublicKey(key.public_key().public_bytes_raw())
    (tmp_path / "key.pub").write_bytes(HABITS[habit](public.pem()))
    assert keys.from_pem(tmp_path / "key.pub") == [public]
    (tmp_path / "key.pem").write_bytes(HABITS[habit](private_pem(key)))
    for given in (str(tmp_path / "key.pem"), HABITS[habit](private_pem(key)).decode()):
        signer = keys.load({"SAMEBITS_SIGNING_KEY": given})
        assert signer is not None
        assert signer.public == public


def test_all_public_keys_of_a_file_count(tmp_path: Path) -> None:
    both = [factories.signer(name).public for name in ("alice", "bob")]
    (tmp_path / "both.pub").write_bytes(b"# two\n".join(key.pem() for key in both))
    assert keys.from_pem(tmp_path / "both.pub") == both


def test_what_is_passed_over_by_nobody_is_named_by_its_line(
    tmp_path: Path, key: ed25519.Ed25519PrivateKey
) -> None:
    public = factories.signer("alice").public.pem()
    refused = {
        "key.pub:4: expected -----BEGIN": public + b"ssh-ed25519 AAAA alice\n",
        "key.pub:1: expected -----BEGIN": b"Bag Attributes\n" + public,
        "key.pub:4: not a public key but a private one": public + private_pem(key),
        "key.pub: not a key in PEM form, which is text": public.decode().encode("utf-16"),
    }
    for message, data in refused.items():
        (tmp_path / "key.pub").write_bytes(data)
        with pytest.raises(SamebitsError, match=f"{re.escape(message)}"):
            keys.from_pem(tmp_path / "key.pub")
    twice = (private_pem(key) * 2).decode()
    assert "got another one in line 4" in str(refusal({"SAMEBITS_SIGNING_KEY": twice}))


def of_ssh(key: Any) -> str:
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH
    return str(key.private_bytes(pem, form, serialization.NoEncryption()).decode())


def test_a_key_of_openssh_signs(key: ed25519.Ed25519PrivateKey) -> None:
    signer = keys.load({"SAMEBITS_SIGNING_KEY": of_ssh(key)})
    assert signer is not None
    assert signer.public.raw == key.public_key().public_bytes_raw()


def test_what_is_no_key_to_sign_with_is_called_what_it_is(key: ed25519.Ed25519PrivateKey) -> None:
    pem = private_pem(key).decode()
    given = {
        "not a private key, but a PUBLIC KEY": public_pem(key).decode(),
        "a PRIVATE KEY that cannot be read: damaged, or cut off": pem[:60] + "\n-----END",
        "an OpenSSH key that is damaged, or that has a passphrase": of_ssh(key)[:-150],
        "expected an Ed25519 key, got RSAPrivateKey": of_ssh(OTHERS["RSA"]()),
    }
    for said, text in given.items():
        assert said in str(refusal({"SAMEBITS_SIGNING_KEY": text}))


# --- where keys are looked for -----------------------------------------------------------------


def test_the_config_folder_is_that_of_xdg(tmp_path: Path) -> None:
    assert keys.folder({"XDG_CONFIG_HOME": str(tmp_path)}) == tmp_path / "samebits"


@pytest.mark.parametrize("relative", ["", "config", "./config", "~/config"])
def test_a_relative_config_home_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relative: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = tmp_path / ".config" / "samebits"
    assert keys.folder({"XDG_CONFIG_HOME": relative}) == expected


def test_without_any_home_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(SamebitsError, match="set HOME"):
        keys.folder({})


def test_without_a_setting_the_own_key_signs(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "SAMEBITS_SIGNING_KEY": ""}
    made = keys.load(environ)
    assert made is not None
    assert made.keyid == keys.own(tmp_path / "samebits", {}).keyid


def test_none_signs_nothing_and_makes_nothing(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "SAMEBITS_SIGNING_KEY": "none"}
    assert keys.load(environ) is None
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_read_from_its_path_or_from_the_variable_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: ed25519.Ed25519PrivateKey
) -> None:
    (tmp_path / "ci.pem").write_bytes(private_pem(key))
    monkeypatch.setenv("HOME", str(tmp_path))
    for location in (str(tmp_path / "ci.pem"), "~/ci.pem", private_pem(key).decode()):
        loaded = keys.load({"SAMEBITS_SIGNING_KEY": location})
        assert loaded is not None
        assert loaded.keyid == keyid(key)


# --- passphrases -------------------------------------------------------------------------------


def encrypted(key: ed25519.Ed25519PrivateKey) -> dict[str, str]:
    return {"SAMEBITS_SIGNING_KEY": private_pem(key, PASSPHRASE).decode()}


def test_an_encrypted_key_opens_with_the_variable(key: ed25519.Ed25519PrivateKey) -> None:
    loaded = keys.load(encrypted(key) | {"SAMEBITS_SIGNING_PASSPHRASE": PASSPHRASE})
    assert loaded is not None
    assert loaded.keyid == keyid(key)


@pytest.mark.parametrize("wrong", ["", "wrong", PASSPHRASE + " ", "\udcff"])
def test_a_wrong_passphrase_is_refused(key: ed25519.Ed25519PrivateKey, wrong: str) -> None:
    error = refusal(encrypted(key) | {"SAMEBITS_SIGNING_PASSPHRASE": wrong})
    assert "passphrase is wrong" in str(error)
    assert PASSPHRASE not in str(error)


def test_a_passphrase_for_a_key_without_one_is_ignored(key: ed25519.Ed25519PrivateKey) -> None:
    location = private_pem(key).decode()
    environ = {"SAMEBITS_SIGNING_KEY": location, "SAMEBITS_SIGNING_PASSPHRASE": "any"}
    assert keys.load(environ) is not None


LOAD = "import os; from samebits.signing import keys; print('id', keys.load(os.environ).keyid)"


@pytest.mark.process
def test_a_passphrase_is_asked_for_at_the_terminal_and_not_shown(
    key: ed25519.Ed25519PrivateKey,
) -> None:
    environ = os.environ | encrypted(key) | {"PYTHONPATH": str(SCRIPTS)}
    done = terminal.run([sys.executable, "-c", LOAD], environ, f"{PASSPHRASE}\n")
    shown = done.shown.decode()
    assert "passphrase of the signing key: " in shown
    assert f"id {keyid(key)}" in shown
    assert PASSPHRASE not in shown


@pytest.mark.process
def test_without_a_terminal_the_error_names_the_variable(key: ed25519.Ed25519PrivateKey) -> None:
    code = "import sys; from samebits import errors; sys.argv = ['x']\n" + (
        f"def main():\n    {LOAD}\n    return 0\nerrors.run(main)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | encrypted(key) | {"PYTHONPATH": str(SCRIPTS)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,  # without a terminal of its own
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "there is no terminal to ask for its passphrase" in done.stderr
    assert "SAMEBITS_SIGNING_PASSPHRASE" in done.stderr


# --- what is refused, and what refusals do not say -----------------------------------------------


SECRET = "a-very-secret-place"  # noqa: S105 (a folder's name)


def secret_places(folder: Path, key: ed25519.Ed25519PrivateKey) -> dict[str, dict[str, str]]:
    """Settings that lead to something else than a key, by what is wrong."""
    place = folder / SECRET
    place.mkdir()
    content = {
        "rsa.pem": private_pem(OTHERS["RSA"]()),
        "encrypted.pem": private_pem(key, PASSPHRASE),
        "garbage.pem": b"garbage",
        "public.pem": public_pem(key),
    }
    for name, data in content.items():
        (place / name).write_bytes(data)
    (place / "folder" / "samebits").mkdir(parents=True)
    (place / "file").write_bytes(b"")
    open_to_all = place / "open" / "samebits"
    keys.own(open_to_all, {})
    (open_to_all / "key.pem").chmod(0o644)
    wrong = {"SAMEBITS_SIGNING_PASSPHRASE": "wrong"}
    named = [*content, "missing.pem", "folder", "file/below", "x" * 5000]
    places = {name: {"SAMEBITS_SIGNING_KEY": str(place / name)} | wrong for name in named}
    places["no such user"] = {"SAMEBITS_SIGNING_KEY": f"~{SECRET}/key.pem"}
    places["open to all"] = {"XDG_CONFIG_HOME": str(place / "open")}
    places["config folder is a file"] = {"XDG_CONFIG_HOME": str(place / "file")}
    return places


def test_no_message_says_where_a_private_key_lies(
    tmp_path: Path, key: ed25519.Ed25519PrivateKey
) -> None:
    for what, environ in secret_places(tmp_path, key).items():
        error = refusal(environ)
        assert SECRET not in str(error), what
        assert str(tmp_path) not in str(error), what
        assert error.__suppress_context__ or error.__context__ is None, what


def test_a_signer_shows_nothing_of_its_key(key: ed25519.Ed25519PrivateKey) -> None:
    loaded = keys.load({"SAMEBITS_SIGNING_KEY": private_pem(key).decode()})
    private = key.private_bytes_raw()
    for text in (repr(loaded), str(loaded)):
        assert private.hex() not in text
        assert base64.b64encode(private).decode() not in text
        assert "PRIVATE" not in text
