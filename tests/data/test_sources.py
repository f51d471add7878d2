"""Sources of published data: whichever answers must have the pinned bytes."""

import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refusals import refused
from samebits.data import sources
from samebits.data.sources import decode, encode
from samebits.errors import SamebitsError

FILES = {"x_train": "images", "y_train": "labels"}
IDX = {
    "x_train": encode(np.arange(8, dtype=np.uint8).reshape(2, 2, 2)),
    "y_train": encode(np.array([0, 1], np.uint8)),
}
PINS = {name: hashlib.sha256(data).hexdigest() for name, data in IDX.items()}


def write(folder: Path, data: dict[str, bytes] = IDX, packed: bool = True) -> Path:
    folder.mkdir()
    for name, content in data.items():
        path = folder / (FILES[name] + (".gz" if packed else ""))
        path.write_bytes(gzip.compress(content) if packed else content)
    return folder


def config(**changes: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"file": None, "urls": [], "package": None, "debian": None}
    return empty | {"files": FILES, "sha256": PINS} | changes


def get(settings: dict[str, Any]) -> Any:
    return sources.first_good(sources.from_config(settings), settings["sha256"], lambda line: None)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A loopback server over a folder."""
    folder = write(tmp_path / "served")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", folder
        server.shutdown()


@pytest.mark.parametrize("packed", [True, False])
def test_a_local_folder_comes_first(tmp_path: Path, packed: bool) -> None:
    folder = write(tmp_path / "local", packed=packed)
    arrays, source, refused = get(config(file=str(folder), urls=["file:///never/asked/"]))
    assert source.kind == "local file"
    assert refused == []
    assert np.array_equal(arrays["y_train"], [0, 1])


@pytest.mark.process
def test_a_download_says_which_of_how_many_files_it_is(
    served: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    get(config(urls=[served[0]]))
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said] == [f"download {n} of 2" for n in (1, 2)]
    assert all(line.endswith(".gz, 0.0 MiB") for line in said)


@pytest.mark.process
def test_a_download_decodes_to_the_same_arrays(served: tuple[str, Path]) -> None:
    arrays, source, _ = get(config(urls=[served[0]]))
    assert source.kind == "download"
    assert arrays["x_train"].shape == (2, 2, 2)


@pytest.mark.process
def test_wrong_bytes_are_refused_with_both_digests_and_the_next_source_is_used(
    tmp_path: Path, served: tuple[str, Path]
) -> None:
    wrong = IDX | {"y_train": encode(np.array([1, 1], np.uint8))}
    _, source, refused = get(config(file=str(write(tmp_path / "wrong", wrong)), urls=[served[0]]))
    assert source.kind == "download"
    assert PINS["y_train"] in refused[0].why
    assert hashlib.sha256(wrong["y_train"]).hexdigest() in refused[0].why


@pytest.mark.process
def test_a_truncated_download_is_refused(tmp_path: Path, served: tuple[str, Path]) -> None:
    file = served[1] / "images.gz"
    file.write_bytes(file.read_bytes()[:-9])
    good = write(tmp_path / "debian")
    _, source, refused = get(config(urls=[served[0]], debian=str(good)))
    assert source.kind == "Debian package"
    assert refused[0].kind == "download"


def test_an_archive_larger_than_any_data_set_is_refused(tmp_path: Path) -> None:
    bomb = {"x_train": bytes(sources._LARGEST + 1), "y_train": IDX["y_train"]}
    with pytest.raises(SamebitsError, match="expected at most"):
        get(config(file=str(write(tmp_path / "bomb", bomb))))


@pytest.mark.process
def test_when_no_source_is_left_every_one_is_listed_with_its_reason(tmp_path: Path) -> None:
    closed = "http://127.0.0.1:9/"  # the discard port: nothing listens there
    settings = config(file=str(tmp_path / "no"), urls=[closed], package="no-such-package")
    said = f"local file {tmp_path}/no", f"download {closed}", "no-such-package: not inst"
    with refused(*said):
        get(settings)


# --- IDX -----------------------------------------------------------------------------------------


def test_what_is_encoded_is_decoded() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert np.array_equal(decode(encode(array)), array)


def test_the_header_is_the_published_one() -> None:
    assert encode(np.zeros((2, 3), np.uint8))[:12] == bytes.fromhex("000008020000000200000003")


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\x0d\x01\0\0\0\1" + bytes(4), b"\0\0\x08\x02\0\0", b"\0\0\x08\x01\0\0\0\2a"]
)
def test_what_is_not_an_idx_file_of_bytes_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        decode(data)
