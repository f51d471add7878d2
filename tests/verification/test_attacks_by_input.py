"""Whatever is given to verify, it ends soon, with a code that is documented, and is not fooled.

Every input goes through verify.py itself: a traceback would fail the test.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519
from hypothesis import given, settings
from hypothesis import strategies as st

import attacks
import factories
import hostile
import peak
from attacks import Keys, Place
from pipeline import SCRIPTS
from samebits.formats import bundle, canonical
from samebits.formats.names import MOST_VALUES
from samebits.verification.levels import DOES_NOT_HOLD, MALFORMED, NOT_TRUSTED, VERIFIED

Json = Any
Draw = Callable[[Any], Any]


class Sound:
    """What is attacked here: it holds. (Objects that print themselves in a few words.)"""

    def __init__(self, folder: Path) -> None:
        self.place = Place(folder)
        self.issued, path = factories.issued(), factories.samples() / "reproducible.zip"
        self.replayed, self.bundle = factories.replayed(self.issued), path.read_bytes()
        self.whole = (self.bundle, *map(canonical.dumps, (self.issued, self.replayed)))
        with bundle.opened(path) as files:
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
    assert "at most 12 MiB" in outcome.err


def test_a_certificate_may_come_through_a_pipe(sound: Sound, tmp_path: Path) -> None:
    data = canonical.dumps(sound.issued)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,), daemon=True)
    writer.start()
    assert attacks.run(tmp_path / "pipe", "--key", sound.place.key).code == VERIFIED
    writer.join(timeout=60)


def test_what_is_no_file_of_a_certificates_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for name, start in (("empty", b""), ("text", b"{"), ("bundle", bundle.MAGIC)):
        (tmp_path / name).write_bytes(start)
        os.truncate(tmp_path / name, 1 << 30)
    names = ("empty", "text", "bundle", "/dev/zero", "/dev/null", ".", "missing", "loop")
    for name in names:
        outcome = attacks.run(tmp_path / name)
        assert (outcome.code, outcome.out) == (MALFORMED, ""), name


def test_a_key_of_another_type_is_wrong_usage(sound: Sound, tmp_path: Path) -> None:
    """Every other type: tests/signing/test_keys.py."""
    pem, spki = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    other = x25519.X25519PrivateKey.generate().public_key().public_bytes(pem, spki)
    (tmp_path / "key.pub").write_bytes(other)
    sound.place.verify(sound.issued)
    outcome = attacks.run(sound.place.path, "--key", tmp_path / "key.pub")
    assert outcome.code == MALFORMED
    assert "expected an Ed25519 key" in outcome.err


# --- what costs as much as it may ----------------------------------------------------------------

MOST_SECONDS, MOST_MEMORY = 10, 300 << 20


def cost(path: Path, data: bytes) -> tuple[float, int]:
    """Seconds of CPU and bytes of memory that verify.py takes; it ends with a code of its own."""
    path.write_bytes(data)
    command = [sys.executable, "-c", peak.PROGRAM, str(SCRIPTS / "verify.py"), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (DOES_NOT_HOLD, MALFORMED, NOT_TRUSTED)
    return used.ru_utime + used.ru_stime, peak.most(output) << 10


def test_a_count_of_values_is_refused_before_they_are_parsed(tmp_path: Path) -> None:
    many = dict(hostile.extremes())
    for name in ("lists", "nesting"):
        (tmp_path / "many").write_bytes(many[name])
        outcome = attacks.run(tmp_path / "many")
        assert (outcome.code, outcome.out) == (MALFORMED, ""), name
        assert "at most 200,000 values" in outcome.err


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["extremes", "replays", "lists"])
def test_a_hostile_certificate_costs_seconds(tmp_path: Path, kind: str) -> None:
    made: Iterator[tuple[str, bytes]] = hostile.extremes()
    if kind == "replays":
        made = iter([("replays", hostile.replayed_to_the_limit(tmp_path / "space"))])
    if kind == "lists":
        space = factories.workspace(tmp_path / "space", weights=factories.differing())
        content = factories.replayed(factories.certify(space))
        made = hostile.filled(content, MOST_VALUES - 20_000, one_in=12)
    for name, data in made:
        seconds, memory = cost(tmp_path / "hostile.json", data)
        assert seconds < MOST_SECONDS, name
        assert memory < MOST_MEMORY, name


# --- by chance -----------------------------------------------------------------------------------

FINITE = st.floats(allow_nan=False, allow_infinity=False)
LEAF = st.none() | st.booleans() | st.integers() | FINITE | st.text()
JSON = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def random_bytes(sound: Sound, draw: Draw) -> Iterator[bytes]:
    data = draw(st.binary(max_size=4096))
    yield from (data, bundle.MAGIC + data)


def random_json(sound: Sound, draw: Draw) -> Iterator[bytes]:
    yield canonical.dumps(draw(JSON))


def certificate_with_splices(sound: Sound, draw: Draw) -> Iterator[bytes]:
    yield splice(canonical.dumps(sound.issued), draw)


def bundle_with_splices(sound: Sound, draw: Draw) -> Iterator[bytes]:
    yield splice(sound.bundle, draw)


def splice(data: bytes, draw: Draw) -> bytes:
    """Bytes with a piece of them taken out, and another one put there."""
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 64)))
    return data[:start] + bytes(draw(st.binary(max_size=8))) + data[end:]


def certificate_with_values(sound: Sound, draw: Draw) -> Iterator[bytes]:
    content = sound.replayed
    for _ in range(draw(st.integers(1, 3))):
        content = attacks.replaced(content, somewhere(content, draw), draw(JSON))
    yield canonical.dumps(content)


def somewhere(value: Json, draw: Draw) -> Keys:
    """A place in a value, however deep."""
    keys: Keys = ()
    while isinstance(value, dict | list) and value and draw(st.integers(0, 9)):
        inner = sorted(value) if isinstance(value, dict) else range(len(value))
        key = draw(st.sampled_from(list(inner)))
        keys, value = (*keys, key), value[key]
    return keys


def bundle_of_other_files(sound: Sound, draw: Draw) -> Iterator[bytes]:
    """Well-formed, with its files left out, exchanged, changed and made up."""
    held, names = dict(sound.content), list(sound.content)
    more = ["more", "train/control/record", "train/control/more.safetensors"]
    for name in draw(st.lists(st.sampled_from(names + more), min_size=1)):
        held[name] = draw(
            st.just(b"") | st.binary(max_size=64) | st.sampled_from(list(sound.content.values()))
        )
    for name in draw(st.lists(st.sampled_from(names), unique=True)):
        held.pop(name)
    if held and held != sound.content:
        yield attacks.bundled(sound.place.folder / "other", held).read_bytes()


def signed_by_the_issuer(sound: Sound, draw: Draw) -> Iterator[bytes]:
    report = sound.issued["report"]
    said = attacks.replaced(report, somewhere(report, draw), draw(JSON))
    yield canonical.dumps(factories.signed_again(sound.issued, said))


RANDOM: dict[Callable[[Sound, Draw], Iterator[bytes]], set[int]] = {
    random_bytes: {MALFORMED},
    random_json: {MALFORMED},
    certificate_with_splices: {DOES_NOT_HOLD, MALFORMED},
    bundle_with_splices: {DOES_NOT_HOLD, MALFORMED},
    certificate_with_values: {DOES_NOT_HOLD, MALFORMED},
    bundle_of_other_files: {DOES_NOT_HOLD, MALFORMED},
    signed_by_the_issuer: {VERIFIED, DOES_NOT_HOLD, MALFORMED},  # its own words, and no crash
}


@pytest.mark.parametrize("examples", [12, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("made", RANDOM)
def test_random_input_is_never_verified(
    sound: Sound, made: Callable[[Sound, Draw], Iterator[bytes]], examples: int
) -> None:
    """The same examples at every run; how long one takes says nothing about it."""

    @given(draw=st.data())
    @settings(deadline=None, derandomize=True, max_examples=examples, database=None)
    def hold(draw: Any) -> None:
        for data in made(sound, draw.draw):
            if data not in sound.whole:
                assert sound.place.code(data) in RANDOM[made]

    hold()
