"""Bundles: the same files give the same bytes, and no other bytes are read."""

import contextlib
import hashlib
import io
import os
import re
import shutil
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samebits.errors import SamebitsError
from samebits.formats import bundle
from samebits.formats.bundle import BundleError

CONTENT = {
    "certificate.json": b'{"format":"samebits-certificate-1"}\n',
    "empty.npy": b"",
    "train/00000.npy": bytes(range(40)),
}
GOLDEN = "775ad04a24aa8fe70360ea96ce510699640141f3adc55a3f08686f2f2ba4ce46"


def files(folder: Path, content: dict[str, bytes]) -> dict[str, Path]:
    """Files with this content, in the order and under the names of the mapping."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / str(position) for position, name in enumerate(content)}
    for name, path in paths.items():
        path.write_bytes(content[name])
    return paths


def written(folder: Path, content: dict[str, bytes]) -> bytes:
    bundle.write(folder / "certificate.zip", files(folder / "files", content))
    return (folder / "certificate.zip").read_bytes()


def read(path: Path) -> dict[str, bytes]:
    """Everything in a bundle, by every way in."""
    with bundle.opened(path) as opened:
        names = opened.names()
        content = {name: opened.open(name).read() for name in names}
        assert all(name in opened for name in names)
    return content


def refusal(folder: Path, data: bytes) -> str:
    """Why these bytes are not a bundle; any other exception fails the test."""
    path = folder / "hostile.zip"
    path.write_bytes(data)
    with pytest.raises(SamebitsError) as refused:
        read(path)
    return str(refused.value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundle")


@pytest.fixture(scope="module")
def sound(folder: Path) -> bytes:
    """The bytes of a small bundle."""
    return written(folder, CONTENT)


# --- writing ---------------------------------------------------------------------------------


def test_what_is_written_is_read(sound: bytes, folder: Path) -> None:
    assert read(folder / "certificate.zip") == CONTENT


def test_the_bytes_stay_what_they_were(sound: bytes) -> None:
    assert hashlib.sha256(sound).hexdigest() == GOLDEN


def test_order_times_modes_and_umask_do_not_matter(sound: bytes, tmp_path: Path) -> None:
    paths = files(tmp_path / "files", dict(reversed(CONTENT.items())))
    for path in paths.values():
        path.chmod(0o700)
        os.utime(path, (1, 1))
    before = os.umask(0o077)
    try:
        bundle.write(tmp_path / "a.zip", paths)
    finally:
        os.umask(before)
    assert (tmp_path / "a.zip").read_bytes() == sound


def test_the_output_is_as_the_umask_has_it_and_its_folder_is_made(tmp_path: Path) -> None:
    output = tmp_path / "deep" / "a.zip"
    before = os.umask(0o027)
    try:
        bundle.write(output, files(tmp_path, CONTENT))
    finally:
        os.umask(before)
    assert stat.S_IMODE(output.stat().st_mode) == 0o640


def test_an_interrupted_write_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = files(tmp_path / "files", CONTENT)
    output = tmp_path / "out" / "a.zip"
    bundle.write(output, paths)
    before = output.read_bytes()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        bundle.write(output, paths | {"more": paths["empty.npy"]})
    assert output.read_bytes() == before
    assert list(output.parent.iterdir()) == [output]


def test_everything_that_cannot_be_written_is_listed_and_nothing_written(tmp_path: Path) -> None:
    paths = {"../b": tmp_path / "absent", "a": tmp_path}
    with pytest.raises(BundleError) as refused:
        bundle.write(tmp_path / "a.zip", paths)
    assert str(refused.value).splitlines()[1:] == [
        f"'../b': {tmp_path}/absent does not exist or is not a file",
        "'../b': has a part that ends with a dot or a space, as '.' and '..' do",
        f"'a': {tmp_path} does not exist or is not a file",
    ]
    assert not (tmp_path / "a.zip").exists()


def test_no_files_are_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no file at all"):
        bundle.write(tmp_path / "a.zip", {})


def test_a_file_that_grows_while_it_is_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one line\n")
    copy = shutil.copyfileobj

    def grow(*given: Any) -> None:
        with path.open("ab") as file:
            file.write(b"and another\n")
        copy(*given)

    monkeypatch.setattr(shutil, "copyfileobj", grow)
    with pytest.raises(BundleError, match="changed while the bundle was written"):
        bundle.write(tmp_path / "a.zip", {"log": path})
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_more_than_65535_files_are_written_and_read(tmp_path: Path) -> None:
    (path := tmp_path / "file").write_bytes(b"x")
    bundle.write(tmp_path / "a.zip", {f"{n:05d}.npy": path for n in range(1 << 16)})
    with bundle.opened(tmp_path / "a.zip") as opened:
        assert len(opened.names()) == 1 << 16
        assert opened.open("65535.npy").read() == b"x"
    with zipfile.ZipFile(tmp_path / "a.zip") as other:
        assert len(other.infolist()) == 1 << 16


def test_more_files_than_can_be_read_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samebits.formats.bundle._LARGEST_DIRECTORY", 150)
    with pytest.raises(BundleError, match="3 files, more than some 100,000"):
        bundle.write(tmp_path / "a.zip", files(tmp_path / "files", CONTENT))


# --- sizes that need zip64 -------------------------------------------------------------------

HUGE = (1 << 32) + 5


@pytest.mark.slow  # 4 GiB are written and read
def test_files_of_more_than_4_gib_are_written_and_read(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"x")
    with (tmp_path / "a").open("wb") as file:
        file.truncate(HUGE)
    bundle.write(tmp_path / "a.zip", {"a": tmp_path / "a", "b": tmp_path / "b"})
    with bundle.opened(tmp_path / "a.zip") as opened:
        assert opened.open("b").read() == b"x"
        stream = opened.open("a")
        assert sum(len(block) for block in iter(lambda: stream.read(1 << 24), b"")) == HUGE
    (tmp_path / "a.zip").unlink()


# --- reading ---------------------------------------------------------------------------------


def test_a_name_that_is_not_in_it_is_refused(sound: bytes, folder: Path) -> None:
    with bundle.opened(folder / "certificate.zip") as opened:
        assert "other" not in opened
        with pytest.raises(BundleError, match="expected 'other' in it"):
            opened.open("other")


def test_threads_read_streams_of_one_bundle_at_once(tmp_path: Path) -> None:
    content = {f"{n}": bytes([n]) * (3_000_000 + n) for n in range(8)}
    written(tmp_path, content)
    with bundle.opened(tmp_path / "certificate.zip") as opened:

        def digest(name: str) -> str:
            sha, stream = hashlib.sha256(), opened.open(name)
            for block in iter(lambda: stream.read(70_001), b""):
                sha.update(block)
            return sha.hexdigest()

        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(digest, [*content, *content]))
    assert got == [hashlib.sha256(data).hexdigest() for data in content.values()] * 2


def test_large_files_are_read_and_written_in_little_memory(tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as file:
        file.truncate(100 << 20)
    tracemalloc.start()
    try:
        bundle.write(tmp_path / "a.zip", {"large": tmp_path / "large"})
        with bundle.opened(tmp_path / "a.zip") as opened:
            stream = opened.open("large")
            assert sum(len(block) for block in iter(lambda: stream.read(1 << 16), b"")) == 100 << 20
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_file_that_ends_while_it_is_read_is_refused(tmp_path: Path) -> None:
    written(tmp_path, CONTENT)
    with bundle.opened(tmp_path / "certificate.zip") as opened:
        os.truncate(tmp_path / "certificate.zip", 20)
        with pytest.raises(BundleError, match="get it again"):
            opened.open("certificate.json").read()


def test_the_last_bytes_do_not_come_when_the_crc_is_wrong(sound: bytes, folder: Path) -> None:
    damaged = sound.replace(b'{"format"', b'{"formaT"')
    (folder / "damaged.zip").write_bytes(damaged)
    with bundle.opened(folder / "damaged.zip") as opened:
        assert opened.open("train/00000.npy").read() == bytes(range(40))
        with pytest.raises(BundleError, match=r"'certificate.json': Bad CRC-32"):
            opened.open("certificate.json").read()


# --- names -----------------------------------------------------------------------------------

UNFIT = {
    "/etc/passwd": "is absolute",
    "../a": "'.' and '..'",
    "a/../b": "'.' and '..'",
    "./a": "'.' and '..'",
    "a/.": "'.' and '..'",
    "a. ": "a dot or a space",
    "": "is absolute",
    "a//b": "an empty part",
    "a/": "a folder",
    "a\\b": "a backslash",
    "C:a": "a colon",
    "a\0b": "printable",
    "a\nb": "printable",
    "a\x7f": "printable",
    "a\u202eb": "printable",
    "e\u0301": "printable",
    "\u00e9": "printable",
    "\ud800": "printable",
    "a" * 256: "longer",
    "a/" * 600 + "b": "longer",
}


@pytest.mark.parametrize("name", UNFIT, ids=ascii)
def test_a_name_that_is_unfit_somewhere_is_refused(name: str) -> None:
    (problem,) = bundle.name_problems([name])
    assert UNFIT[name] in problem
    assert problem.isascii() or "…" in problem


@pytest.mark.parametrize("name", ["config.json", "a" * 255, "train/with-x_y/a+b (1)@.npy", ".a"])
def test_a_plain_name_is_fit(name: str) -> None:
    assert list(bundle.name_problems([name])) == []


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["a", "a"], "'a': the same name as 'a', to some file systems"),
        (["a/B", "A/b"], "'A/b': the same name as 'a/B', to some file systems"),
        (["a", "a/b"], "'a': a folder as well, of 'a/b'"),
        (["a", "a-b", "A/b"], "'a': a folder as well, of 'A/b'"),
    ],
)
def test_names_that_exclude_each_other_are_refused(names: list[str], problem: str) -> None:
    assert list(bundle.name_problems(names)) == [problem]
    assert list(bundle.name_problems(["c", "a.npy", "a-b"])) == []


@given(st.lists(st.text(max_size=12), max_size=6))
def test_any_names_are_judged(names: list[str]) -> None:
    assert sorted(bundle.name_problems(names)) == sorted(bundle.name_problems(names[::-1]))


# --- hostile bundles -------------------------------------------------------------------------


def test_a_changed_byte_is_refused_or_changes_nothing_that_is_read(
    sound: bytes, tmp_path: Path
) -> None:
    passed = 0
    for position in range(len(sound)):
        for change in (0xFF, 1):
            data = bytearray(sound)
            data[position] ^= change
            (tmp_path / "a.zip").write_bytes(data)
            try:
                assert read(tmp_path / "a.zip") == CONTENT
            except BundleError:
                continue
            passed += 1
    assert passed < 250  # of 700: dates, versions, and numbers that the directory repeats


def test_a_byte_less_or_more_is_refused_anywhere(sound: bytes, tmp_path: Path) -> None:
    for position in range(len(sound)):
        refusal(tmp_path, sound[:position])
        refusal(tmp_path, sound[:position] + sound[position + 1 :])
        refusal(tmp_path, sound[:position] + b"\0" + sound[position:])
        refusal(tmp_path, sound + sound[: position + 1])


def plain(info: zipfile.ZipInfo | str, **changes: Any) -> zipfile.ZipInfo:
    """An entry as a bundle has it, but for the changes."""
    if isinstance(info, str):
        info = zipfile.ZipInfo(info, (1980, 1, 1, 0, 0, 0))
        info.external_attr = (stat.S_IFREG | 0o644) << 16
    for name, value in changes.items():
        setattr(info, name, value)
    return info


def zipped(*entries: Any, comment: bytes = b"", **options: Any) -> bytes:
    """What a common tool writes: (ZipInfo or name, content), or names of empty files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.comment = comment
        for entry in entries:
            info, data = entry if isinstance(entry, tuple) else (entry, b"")
            made.writestr(plain(info), data, **options)
    return file.getvalue()


def edited(*edits: tuple[bytes, int, str, int]) -> bytes:
    """A bundle of ``a`` and ``b``, one byte each, with numbers changed behind the last magic."""
    data = bytearray(WHOLE)
    for magic, offset, form, value in edits:
        struct.pack_into(form, data, data.rindex(magic) + offset, value)
    return bytes(data)


def of_kind(kind: int) -> bytes:
    """A bundle of one entry that is not a plain file that nobody runs."""
    return zipped((plain("a", external_attr=kind << 16), b"/etc/passwd"))


LOCAL, LISTED, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
WHOLE = zipped(("a", b"x"), ("b", b"x"))
DATED = plain("a", date_time=(2026, 1, 1, 0, 0, 0))
HOSTILE: dict[str, tuple[bytes, str]] = {
    "traversal": (zipped("../a"), "'.' and '..'"),
    "absolute": (zipped("/a"), "absolute"),
    "folder": (zipped("a/"), "a folder"),
    "not ASCII": (zipped("é"), "printable"),
    "symbolic link": (of_kind(stat.S_IFLNK | 0o777), "expected external_attr"),
    "device": (of_kind(stat.S_IFCHR | 0o666), "expected external_attr"),
    "executable": (of_kind(stat.S_IFREG | 0o755), "expected external_attr"),
    "compressed": (
        zipped(("a", bytes(9999)), compress_type=zipfile.ZIP_DEFLATED),
        "expected compress_type 0, got 8",
    ),
    "dated": (zipped(DATED), "expected date_time"),
    "other system": (zipped(plain("a", create_system=0)), "expected create_system 3, got 0"),
    "not sorted": (zipped("b", "a"), "not in the order of their names"),
    "comment": (zipped("a", comment=b"hidden"), "bytes in all"),
    "entry's comment": (zipped(plain("a", comment=b"hidden")), "expected comment"),
    "extra field": (zipped(plain("a", extra=b"\xfe\xca\0\0")), "expected extra"),
    "case": (zipped("A", "a"), "the same name"),
    "empty": (zipped(), "no file at all"),
    "prefix": (b"#!/bin/sh\n" + zipped("a"), "expected header_offset 0, got 10"),
    "suffix": (zipped("a") + b"\0", "."),
    "text": (b"not a zip", "not a zip"),
    "nothing": (b"", "."),
    "overlapping": (edited((LISTED, 42, "<I", 0)), "'b': expected header_offset 32, got 0"),
    "twice": (WHOLE.replace(b"b", b"a"), "'a': the same name as 'a'"),
    "gap": (edited((LISTED, 42, "<I", 33)), "'b': expected header_offset 32, got 33"),
    "bytes between": (
        WHOLE[:32] + b"hidden" + edited((LISTED, 42, "<I", 38), (END, 16, "<I", 70))[32:],
        "'b': expected header_offset 32, got 38",
    ),
    "bytes before the directory": (
        WHOLE[:64] + b"hidden" + edited((END, 16, "<I", 70))[64:],
        "a directory at byte 70, not at 64",
    ),
    "endless": (
        edited((LISTED, 20, "<I", 1 << 31), (LISTED, 24, "<I", 1 << 31)),
        "bytes in all, not 2147",
    ),
    "another name inside": (WHOLE[:62] + b"c" + WHOLE[63:], "differ"),
    "not UTF-8": (edited((LISTED, 8, "<H", 0x800), (LISTED, 46, "<B", 0xFF)), "codec can't decode"),
    "cut at NUL": (edited((LISTED, 46, "<B", 0)), r"'\\x00'"),
    "a directory of 4 GB": (edited((END, 12, "<I", 0xFFFFFFFF - 1)), "get it again"),
    "a directory that says it is large": (
        edited((END, 12, "<I", 1 << 30), (END, 16, "<I", 0)) + bytes(0),
        "get it again",
    ),
    "encrypted": (edited((LISTED, 8, "<H", 1)), "'b': expected flag_bits 0, got 1"),
    "size after the data": (edited((LISTED, 8, "<H", 8)), "expected flag_bits 0, got 8"),
    "said to be UTF-8": (edited((LISTED, 8, "<H", 0x800)), "expected flag_bits 0, got 2048"),
    "another method": (edited((LISTED, 10, "<H", 99)), "expected compress_type 0, got 99"),
    "another size": (edited((LISTED, 24, "<I", 2)), "expected compress_size 2, got 1"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_bundle_is_refused(tmp_path: Path, kind: str) -> None:
    data, why = HOSTILE[kind]
    message = refusal(tmp_path, data)
    assert re.search(why, message), message


def test_all_problems_are_listed_sorted(tmp_path: Path) -> None:
    said = refusal(tmp_path, zipped("a\\b", "b/../a", "c:")).splitlines()[1:]
    assert [line.split(":")[0] for line in said] == ["'a\\\\b'", "'b/../a'", "'c"]


def test_a_directory_takes_little_more_than_ten_times_its_size_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samebits.formats.bundle._LARGEST_DIRECTORY", 1_000_000)
    one = LISTED + bytes(42)
    listed = one * (1_000_000 // len(one))
    data = listed + END + struct.pack("<4H2IH", 0, 0, 9, 9, len(listed), 0, 0)
    tracemalloc.start()
    try:
        assert len(refusal(tmp_path, data).splitlines()) == 1001
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("tail", [b"", END + struct.pack("<4H2IH", 0, 0, 1, 1, 1 << 30, 0, 0)])
def test_a_gigabyte_of_something_is_refused_without_reading_it(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "hostile.zip"
    with path.open("wb") as file:
        file.write(bundle.MAGIC)
        file.seek(1 << 30)
        file.write(b"x" + tail)
    tracemalloc.start()
    try:
        with pytest.raises(BundleError), bundle.opened(path):
            pass
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: None])
def test_what_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a.zip")
    with (
        pytest.raises(BundleError, match="got no file; check the path"),
        bundle.opened(tmp_path / "a.zip"),
    ):
        pass


@given(st.binary(max_size=300), st.sampled_from([b"", b"PK\5\6" + bytes(18)]))
def test_random_bytes_are_refused(folder: Path, data: bytes, tail: bytes) -> None:
    refusal(folder, data + tail)


EDITS = st.lists(
    st.tuples(st.integers(0, 700), st.integers(0, 8), st.binary(max_size=8)), min_size=1, max_size=4
)


@given(EDITS)
def test_an_edited_bundle_is_refused_or_reads_the_same(
    sound: bytes, folder: Path, edits: Any
) -> None:
    data = sound
    for position, length, new in edits:
        data = data[:position] + new + data[position + length :]
    (folder / "edited.zip").write_bytes(data)
    with contextlib.suppress(BundleError):
        assert read(folder / "edited.zip") == CONTENT
