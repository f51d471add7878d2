"""trust.py: from a key, or a certificate, to a line in the trust file."""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from test_keys import private_pem

import factories
import terminal
from factories import ISSUER, LABORATORY
from in_process import stage
from pipeline import SCRIPTS
from samebits.signing import trusted as trust
from samebits.signing.trusted import Trusted


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    """The config folder of somebody who trusts nobody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        yield tmp_path / "samebits"


def known(config: Path) -> list[Trusted]:
    return trust.read(config / trust.FILE)


def refused(*words: object) -> str:
    done = stage("trust", *words)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def test_a_key_file_and_a_name_are_enough(config: Path, tmp_path: Path) -> None:
    given = factories.key_file(tmp_path)
    done = stage("trust", given, "alice")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"alice: trusted from now on, with the key {ISSUER.keyid}" in done.stdout
    assert known(config) == [Trusted("alice", ISSUER.public)]
    assert stat.S_IMODE(config.stat().st_mode) == 0o700
    again = stage("trust", given, "somebody")
    assert (again.returncode, again.stdout.split(",")[0]) == (0, "alice: trusted already")
    assert known(config) == [Trusted("alice", ISSUER.public)]


def test_a_name_has_one_key(config: Path, tmp_path: Path) -> None:
    stage("trust", factories.key_file(tmp_path), "alice")
    other = factories.key_file(tmp_path, "other")
    assert f"alice is the name of {ISSUER.keyid}" in refused(other, "alice")
    assert "you is the name of your own key" in refused(other, "you")
    for name in ("two words", "", "#alice", "al\x1bice"):
        assert "expected one word" in refused(other, name)
    assert known(config) == [Trusted("alice", ISSUER.public)]


def test_of_several_keys_one_is_meant(config: Path, tmp_path: Path) -> None:
    both = [factories.signer(name).public for name in ("alice", "bob")]
    (tmp_path / "both.pub").write_bytes(b"".join(key.pem() for key in both))
    said = refused(tmp_path / "both.pub", "bob")
    assert f"add --id with one of these:\n  {both[0].keyid}\n  {both[1].keyid}\n" in said
    assert stage("trust", tmp_path / "both.pub", "bob", "--id", both[1].keyid).returncode == 0
    assert known(config) == [Trusted("bob", both[1])]


def test_a_private_key_is_refused(config: Path, tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_bytes(private_pem(Ed25519PrivateKey.generate()))
    assert "a private one, which only its owner may have" in refused(tmp_path / "key.pub", "alice")
    assert not config.exists()


@pytest.mark.parametrize("name", ["replayed.json", "reproducible.zip"])
def test_a_certificate_gives_a_key_to_who_knows_its_id(config: Path, name: str) -> None:
    path = factories.samples() / name
    assert "that alice gave you" in refused(path, "alice")  # no terminal to ask at
    for wrong in ("", ISSUER.keyid[:16], ISSUER.keyid + "0", "x" * 64):
        assert "all 64 hexadecimal digits" in refused(path, "alice", "--id", wrong)
    said = refused(path, "alice", "--id", "0" * 64)
    assert "do not trust it" in said
    assert ISSUER.keyid not in said  # nor would it be copied from here
    assert not config.exists()
    typed = " ".join(ISSUER.keyid.upper()[i : i + 4] for i in range(0, 64, 4))
    assert stage("trust", path, "alice", "--id", typed).returncode == 0
    assert known(config) == [Trusted("alice", ISSUER.public)]


def test_who_replayed_can_be_trusted_too(config: Path) -> None:
    path = factories.samples() / "replayed.json"
    assert stage("trust", path, "lab", "--id", LABORATORY.keyid).returncode == 0
    assert known(config) == [Trusted("lab", LABORATORY.public)]


@pytest.mark.process
@pytest.mark.parametrize(("typed", "code"), [(ISSUER.keyid, 0), ("", 1), ("\x04", 1)])
def test_at_a_terminal_the_id_is_asked_for_and_not_shown(
    config: Path, typed: str, code: int
) -> None:
    script, path = str(SCRIPTS / "trust.py"), str(factories.samples() / "reproducible.json")
    line = typed if typed == "\x04" else typed + "\n"
    done = terminal.run([sys.executable, script, path, "alice"], os.environ, line)
    assert done.code == code
    before, _, _ = done.shown.partition(b"key: ")
    assert b"Type the 64 digits that alice gave you" in before
    assert ISSUER.keyid[:8].encode() not in before
    assert config.exists() == (code == 0)


def test_there_is_no_key_in_what_is_unsigned(config: Path) -> None:
    assert "UNSIGNED" in refused(factories.samples() / "unsigned.json", "alice", "--id", "0" * 64)


def test_what_is_no_key_is_named(config: Path, tmp_path: Path) -> None:
    for name, text in {"a": "", "b": "{}", "c": "-----BEGIN X"}.items():
        (tmp_path / name).write_text(text)
        assert "Traceback" not in refused(tmp_path / name, "alice")
    assert "No such file" in refused(tmp_path / "missing", "alice")
    assert not config.exists()
