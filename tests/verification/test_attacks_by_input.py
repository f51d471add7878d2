"""Whatever is given to verify, it ends soon, with a code that is documented, and is not fooled.

Every input goes through verify.py itself: a traceback would fail the test.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from hypothesis import given, settings
from hypothesis import strategies as st

import attacks
import factories
import samples
from attacks import Keys, Place
from samebits.formats import bundle, canonical
from samebits.verification.levels import DOES_NOT_HOLD, MALFORMED, VERIFIED

Json = Any
Draw = Callable[[Any], Any]
ISSUER, LABORATORY = attacks.signer(), attacks.signer("laboratory")


class Sound:
    """What is attacked here: it holds. (Objects that print themselves in a few words.)"""

    def __init__(self, folder: Path) -> None:
        self.place = Place(folder)
        self.issued = attacks.certify(factories.workspace(folder / "space"), ISSUER)
        self.replayed = attacks.replayed(self.issued, LABORATORY)
        self.bundle = (samples.folder() / "reproducible.zip").read_bytes()
        with bundle.opened(samples.folder() / "reproducible.zip") as files:
            self.content = {name: files.open(name).read() for name in files.names()}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    return Sound(tmp_path_factory.mktemp("sound"))


# --- input that is none ------------------------------------------------------------------------


def endless(path: Path, data: bytes) -> threading.Thread:
    """Somebody who writes into a pipe for as long as anybody reads."""

    def write() -> None:
        try:
            with open(path, "wb", buffering=0) as pipe:
                while True:
                    pipe.write(data)
        except BrokenPipeError:
            pass

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("data", [b" " * 65536, b"[" * 65536, b"\0" * 65536])
def test_a_pipe_that_never_ends_is_left_after_as_much_as_there_may_be(
    tmp_path: Path, data: bytes
) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = endless(tmp_path / "pipe", data)
    outcome = attacks.run(tmp_path / "pipe")
    writer.join(timeout=60)
    assert not writer.is_alive()
    assert outcome.code == MALFORMED
    assert "at most 32 MiB" in outcome.err


def test_a_certificate_may_come_through_a_pipe(sound: Sound, tmp_path: Path) -> None:
    data = canonical.dumps(sound.issued)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,), daemon=True)
    writer.start()
    assert attacks.run(tmp_path / "pipe", "--key", sound.place.key).code == VERIFIED
    writer.join(timeout=60)


@pytest.mark.parametrize("start", [b"", b"{", bundle.MAGIC])
def test_a_gigabyte_is_refused(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "large"
    path.write_bytes(start)
    os.truncate(path, 1 << 30)
    assert attacks.run(path).code == MALFORMED


def test_devices_folders_and_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path in ("/dev/zero", "/dev/null", tmp_path, tmp_path / "missing", tmp_path / "loop"):
        outcome = attacks.run(path)
        assert (outcome.code, outcome.out) == (MALFORMED, ""), path


@pytest.mark.parametrize(
    "made",
    [
        lambda: rsa.generate_private_key(65537, 2048),
        lambda: ec.generate_private_key(ec.SECP256R1()),
        x25519.X25519PrivateKey.generate,
        ed448.Ed448PrivateKey.generate,
    ],
)
def test_a_key_of_another_type_is_wrong_usage(
    sound: Sound, tmp_path: Path, made: Callable[[], Any]
) -> None:
    pem, spki = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "key.pub").write_bytes(made().public_key().public_bytes(pem, spki))
    sound.place.verify(sound.issued)
    outcome = attacks.run(sound.place.path, "--key", tmp_path / "key.pub")
    assert outcome.code == MALFORMED
    assert "expected an Ed25519 key" in outcome.err


# --- by chance -----------------------------------------------------------------------------------

# The same examples at every run; how long one takes says nothing about it.
GENEROUS = settings(deadline=None, derandomize=True, max_examples=60)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
LEAF = st.none() | st.booleans() | st.integers() | FINITE | st.text()
JSON = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(data=st.binary(max_size=4096))
@GENEROUS
def test_random_bytes_are_no_certificate(sound: Sound, data: bytes) -> None:
    assert sound.place.code(data) == MALFORMED
    assert sound.place.code(bundle.MAGIC + data) == MALFORMED


@given(value=JSON)
@GENEROUS
def test_random_json_is_no_certificate(sound: Sound, value: Json) -> None:
    assert sound.place.code(value) == MALFORMED


def splice(data: bytes, draw: Draw) -> bytes:
    """Bytes with a piece of them taken out, and another one put there."""
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 64)))
    return data[:start] + bytes(draw(st.binary(max_size=8))) + data[end:]


@given(draw=st.data())
@GENEROUS
def test_a_certificate_with_random_splices_is_never_verified(sound: Sound, draw: Any) -> None:
    data = canonical.dumps(sound.issued)
    changed = splice(data, draw.draw)
    if changed != data:
        assert sound.place.code(changed) in (DOES_NOT_HOLD, MALFORMED)


@given(draw=st.data())
@GENEROUS
def test_a_certificate_with_random_values_is_never_verified(sound: Sound, draw: Any) -> None:
    content = sound.replayed
    for _ in range(draw.draw(st.integers(1, 3))):
        content = attacks.replaced(content, somewhere(content, draw.draw), draw.draw(JSON))
    if canonical.dumps(content) != canonical.dumps(sound.replayed):
        assert sound.place.code(content) in (DOES_NOT_HOLD, MALFORMED)


def somewhere(value: Json, draw: Draw) -> Keys:
    """A place in a value, however deep."""
    keys: Keys = ()
    while isinstance(value, dict | list) and value and draw(st.integers(0, 9)):
        inner = sorted(value) if isinstance(value, dict) else range(len(value))
        key = draw(st.sampled_from(list(inner)))
        keys, value = (*keys, key), value[key]
    return keys


@given(draw=st.data())
@GENEROUS
def test_random_values_that_the_issuer_signs_are_no_crash(sound: Sound, draw: Any) -> None:
    report = sound.issued["report"]
    said = attacks.replaced(report, somewhere(report, draw.draw), draw.draw(JSON))
    assert sound.place.code(attacks.signed_again(sound.issued, said, ISSUER)) in range(3)


@given(draw=st.data())
@GENEROUS
def test_a_bundle_with_random_splices_is_never_verified(sound: Sound, draw: Any) -> None:
    changed = splice(sound.bundle, draw.draw)
    if changed != sound.bundle:
        assert sound.place.code(changed) in (DOES_NOT_HOLD, MALFORMED)


@given(draw=st.data())
@GENEROUS
def test_a_bundle_of_other_files_is_never_verified(sound: Sound, draw: Any) -> None:
    """Well-formed, with its files left out, exchanged, changed and made up."""
    held, names = dict(sound.content), list(sound.content)
    more = ["more", "train/control/record", "train/control/more.safetensors"]
    for name in draw.draw(st.lists(st.sampled_from(names + more), min_size=1)):
        held[name] = draw.draw(
            st.just(b"") | st.binary(max_size=64) | st.sampled_from(list(sound.content.values()))
        )
    for name in draw.draw(st.lists(st.sampled_from(names), unique=True)):
        held.pop(name)
    if held and held != sound.content:
        data = attacks.bundled(sound.place.folder / "other", held).read_bytes()
        assert sound.place.code(data) in (DOES_NOT_HOLD, MALFORMED)
