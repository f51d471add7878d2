"""Evidence by name, the same from a folder as from a bundle."""

import os
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from samebits.errors import SamebitsError
from samebits.formats import bundle
from samebits.verification import artifacts

CONTENT = {
    "certificate.json": b"{}\n",
    "train/control/record.json": b'{"a":1}\n',
    "train/control/weights.safetensors": bytes(3_000_000),
    "train/control/weights/empty": b"",
}


def folder(path: Path) -> Path:
    """The content as a folder."""
    for name, data in CONTENT.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def bundled(path: Path) -> Path:
    """The content as a bundle, whose name does not say so."""
    unpacked = folder(path / "unpacked")
    bundle.write(path / "evidence", {name: unpacked / name for name in CONTENT})
    return path / "evidence"


@pytest.fixture(params=[folder, bundled])
def evidence(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    made: Path = request.param(tmp_path)
    return made


def refusal(path: Path) -> str:
    with pytest.raises(SamebitsError) as refused, artifacts.opened(path):
        pass
    return str(refused.value)


def test_folder_and_bundle_read_the_same(evidence: Path) -> None:
    with artifacts.opened(evidence) as found:
        assert found.names() == sorted(CONTENT)
        for name, data in CONTENT.items():
            assert name in found
            with found.open(name) as first, found.open(name) as second:
                assert first.read(10) == second.read(10) == data[:10]
                assert first.read() == data[10:]


def test_a_name_that_is_not_there_is_refused(evidence: Path) -> None:
    with artifacts.opened(evidence) as found:
        for name in ("other", "train", "/etc/passwd", "../a", "train/control/../control"):
            assert name not in found
            with pytest.raises(SamebitsError, match=r"expected '.*' in it, got no such file"):
                found.open(name)


def test_a_bundle_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    made = bundled(tmp_path)
    (tmp_path / "text.zip").write_text("not a bundle")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    assert artifacts.is_bundle(made)
    for other in ("text.zip", "empty", "pipe", "absent", "."):
        assert not artifacts.is_bundle(tmp_path / other)


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("not a bundle")
    os.mkfifo(tmp_path / "pipe")
    for name in ("text.zip", "pipe", "absent"):
        assert re.search("not a bundle|expected a bundle", refusal(tmp_path / name))


def test_a_link_to_a_folder_may_be_given_by_the_user(tmp_path: Path) -> None:
    folder(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    with artifacts.opened(tmp_path / "link") as found:
        assert found.open("certificate.json").read() == b"{}\n"


def linked(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def bound_socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # a socket's path has at most 107 characters
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(before)


@pytest.mark.parametrize(
    "make", [*map(linked, ("/etc/passwd", "/etc", "nowhere")), os.mkfifo, bound_socket]
)
@pytest.mark.parametrize("where", [".", "train/control"])
def test_links_and_special_files_are_refused(
    tmp_path: Path, make: Callable[[Path], None], where: str
) -> None:
    make(folder(tmp_path) / where / "odd")
    assert "odd': is a link, a special file or too deep" in refusal(tmp_path)


def test_everything_in_a_folder_that_is_unfit_is_listed_sorted(tmp_path: Path) -> None:
    linked("/etc/passwd")(folder(tmp_path) / "link")
    for name in (b"A\\b", b"a\xff", b"Certificate.JSON", b"new\nline"):
        (tmp_path / os.fsdecode(name)).touch()
    assert refusal(tmp_path).splitlines() == [
        f"{tmp_path}: expected a folder of plain files, got",
        r"'A\\b': has a backslash or a colon, as paths elsewhere have",
        "'Certificate.JSON': the same name as 'certificate.json', to some file systems",
        r"'a\udcff': has other characters than printable ASCII",
        "'link': is a link, a special file or too deep",
        r"'new\nline': has other characters than printable ASCII",
    ]


def test_a_folder_that_is_too_deep_or_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep").joinpath(*["a"] * 40).mkdir(parents=True)
    assert "too deep" in refusal(tmp_path / "deep")
    monkeypatch.setattr("samebits.verification.artifacts._MOST_ENTRIES", 3)
    assert "more than 3 entries; is it the right folder?" in refusal(folder(tmp_path / "large"))


def to_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def parent_to_link(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))
    path.parent.symlink_to("moved")


@pytest.mark.parametrize("exchange", [to_link, to_pipe, parent_to_link, Path.unlink])
def test_what_is_exchanged_after_the_look_is_not_followed(
    tmp_path: Path, exchange: Callable[[Path], None]
) -> None:
    with artifacts.opened(folder(tmp_path)) as found:
        exchange(tmp_path / "train/control/record.json")
        with pytest.raises(SamebitsError, match=r"train/control/record\.json"):
            found.open("train/control/record.json")


def test_no_file_stays_open(evidence: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with artifacts.opened(evidence) as found:
        for name in found.names():
            found.open(name).close()
            with pytest.raises(SamebitsError):
                found.open(f"{name}x")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_an_unpacked_bundle_is_the_folder(tmp_path: Path) -> None:
    shutil.unpack_archive(bundled(tmp_path), tmp_path / "again", "zip")
    with artifacts.opened(tmp_path / "again") as found:
        assert {name: found.open(name).read() for name in found.names()} == CONTENT
