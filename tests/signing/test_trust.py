"""The trust file: every line is understood or named."""

import base64
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import factories
from samebits.errors import SamebitsError
from samebits.signing import keys
from samebits.signing import trusted as trust
from samebits.signing.trusted import Trusted

ALICE, BOB = factories.signer("alice").public, factories.signer("bob").public


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / trust.FILE
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        f"\ufeffalice ed25519 {ALICE.text}\n",
        f"alice ed25519 {ALICE.text}\r\n",
        f"alice ed25519 {ALICE.text}\r",
        f"alice ed25519 {ALICE.text} \t \n\n",
        f"alice ed25519 {ALICE.text}  # of the laboratory\n",
    ],
)
def test_a_file_is_read_as_people_have_it(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    assert trust.read(path) == [Trusted("alice", ALICE)]
    trust.add(path, "bob", BOB)
    assert trust.read(path) == [Trusted("alice", ALICE), Trusted("bob", BOB)]


def test_no_file_trusts_nobody(tmp_path: Path) -> None:
    assert trust.read(tmp_path / "missing") == []


def test_a_line_is_a_name_a_kind_and_a_key(tmp_path: Path) -> None:
    first, second = f"  alice\ted25519   {ALICE.text}  ", f"bob ed25519 {BOB.text}"
    text = f"# whom I know\n\n{first}\n#bob ed25519 x\n{second}"
    assert trust.read(write(tmp_path, text)) == [Trusted("alice", ALICE), Trusted("bob", BOB)]


@pytest.mark.parametrize(
    "line",
    [
        "alice",
        f"alice {ALICE.text}",
        f"alice ed25519 {ALICE.text} more",
        f"alice ssh-ed25519 {ALICE.text}",
        f"alice ED25519 {ALICE.text}",
        f"ed25519 {ALICE.text}",
        f"alice ed25519 {ALICE.text[:-1]}",
        f"alice ed25519 {ALICE.text}=",
        f"alice ed25519 {base64.b64encode(bytes(33)).decode()}",
        f"alice ed25519 {ALICE.keyid}",
        "alice ed25519 é",
        "alice ed25519 \x1b[2J",
    ],
)
def test_a_malformed_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, f"# first\nbob ed25519 {BOB.text}\n{line}\n")
    with pytest.raises(SamebitsError) as refused:
        trust.read(path)
    assert str(refused.value).startswith(f"{path}:3: expected NAME ed25519 BASE64, got ")
    assert str(refused.value).isprintable()


def test_all_malformed_lines_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, f"one\nbob ed25519 {BOB.text}\nthree\n")
    with pytest.raises(SamebitsError) as refused:
        trust.read(path)
    assert [f":{n}:" in str(refused.value) for n in (1, 2, 3)] == [True, False, True]


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SamebitsError, match="not UTF-8 text"):
        trust.read(write(tmp_path, b"alice ed25519 \xff\n"))


def test_a_key_is_added_behind_what_was_there(tmp_path: Path) -> None:
    path = write(tmp_path, f"# mine\nalice ed25519 {ALICE.text}")  # no line feed at the end
    trust.add(path, "bob", BOB)
    expected = f"# mine\nalice ed25519 {ALICE.text}\nbob ed25519 {BOB.text}\n"
    assert path.read_text() == expected


def test_a_key_that_is_trusted_is_not_added_again_under_any_name(tmp_path: Path) -> None:
    path = tmp_path / "new" / trust.FILE
    trust.add(path, "alice", ALICE)
    before = path.read_bytes()
    trust.add(path, "someone", ALICE)
    assert path.read_bytes() == before


def test_keys_that_are_added_at_once_are_all_trusted_and_a_name_has_one_key(
    tmp_path: Path,
) -> None:
    path, met = tmp_path / trust.FILE, threading.Barrier(2)

    def free(known: list[Trusted]) -> None:
        with suppress(threading.BrokenBarrierError):
            met.wait(0.2)  # here both would be, if nothing kept them apart
        if any(entry.name == "alice" for entry in known):
            raise SamebitsError("alice has another key")

    def added(name: str, key: keys.PublicKey) -> bool:
        with suppress(SamebitsError):
            return trust.add(path, name, key, free) is None
        return False

    with ThreadPoolExecutor(2) as at_once:
        assert sorted(at_once.map(added, ["alice", "alice"], [ALICE, BOB])) == [False, True]
        met.reset()
        others = [factories.signer(name).public for name in ("carol", "dave")]
        assert list(at_once.map(trust.add, [path] * 2, ["carol", "dave"], others)) == [None] * 2
    assert {entry.name for entry in trust.read(path)} == {"alice", "carol", "dave"}


def test_a_malformed_file_is_not_written_to(tmp_path: Path) -> None:
    path = write(tmp_path, "alice\n")
    with pytest.raises(SamebitsError):
        trust.add(path, "bob", BOB)
    assert path.read_text() == "alice\n"


def test_a_holder_is_found_by_the_key_and_not_by_the_name() -> None:
    trusted = [Trusted("alice", ALICE), Trusted(BOB.keyid, ALICE), Trusted("again", ALICE)]
    assert trust.name_of(ALICE.keyid, trusted) == "alice"
    assert trust.name_of(BOB.keyid, trusted) is None


NAMES = st.text(min_size=1).filter(lambda name: len(name.split()) == 1 and name.split()[0] == name)


@given(name=NAMES.filter(lambda name: not name.startswith("#")), seed=st.binary())
def test_a_line_that_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, name: str, seed: bytes
) -> None:
    known = Trusted(name, keys.PublicKey(hashlib.sha256(seed).digest()))
    path = tmp_path_factory.getbasetemp() / "one_line"
    path.write_text(known.line(), encoding="utf-8")
    assert trust.read(path) == [known]


def test_the_text_of_a_key_file_is_told_from_a_wrong_line(tmp_path: Path) -> None:
    path = write(tmp_path, f"bob ed25519 {BOB.text}\n{ALICE.pem().decode()}")
    with pytest.raises(SamebitsError) as refused:
        trust.read(path)
    assert f"{path}:2: the text of a key file" in str(refused.value)
    assert str(refused.value).endswith("samebits trust alice.pub alice")
