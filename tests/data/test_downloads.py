"""Downloads: once, by digest, within bounds, and with errors that say what to do."""

import hashlib
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import SCRIPTS
from samebits.config.overrides import parse
from samebits.data import downloads
from samebits.data.downloads import Store
from samebits.errors import SamebitsError
from sites import CONTENT, MD5, SHA256, Site


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data/downloads")


def left(store: Store) -> set[str]:
    """The files of a store but those that are locked."""
    return {path.name for path in store.folder.iterdir() if not path.name.endswith(".lock")}


@pytest.mark.parametrize("pin", [SHA256, MD5, None])
def test_an_address_is_fetched_once_and_kept_by_its_digest(
    site: Site, store: Store, pin: str | None
) -> None:
    url = f"{site.url}/a.bin"
    found = [store.get(url, pin), store.get(url, pin)]
    assert [(f.path.read_bytes(), f.sha256, f.pinned) for f in found] == [
        (CONTENT, SHA256, pin is not None)
    ] * 2
    assert site.handler.asked == ["/a.bin"]
    assert left(store) == {SHA256, "index.json"}
    assert json.loads((store.folder / "index.json").read_bytes()) == {url: SHA256}


def test_a_pinned_file_is_known_by_another_address(site: Site, store: Store) -> None:
    store.get(f"{site.url}/a.bin")
    assert store.get("https://mirror.invalid/a.bin", SHA256).path.read_bytes() == CONTENT


@pytest.mark.parametrize("pin", ["0" * 64, "0" * 32])
def test_another_digest_than_the_pinned_one_is_refused_and_not_kept(
    site: Site, store: Store, pin: str
) -> None:
    with pytest.raises(SamebitsError) as error:
        store.get(f"{site.url}/a.bin", pin)
    assert f"/a.bin: expected {'SHA-256' if len(pin) == 64 else 'MD5'} {pin} (pinned), got" in str(
        error.value
    )
    assert f'sha256: {SHA256}}}]"' in str(error.value)
    assert left(store) == set()


def test_without_a_pin_a_later_run_gets_the_bytes_of_the_first_time(
    site: Site, store: Store
) -> None:
    url = f"{site.url}/a.bin"
    store.get(url)
    site.handler.contents["/a.bin"] = b"other"
    assert store.get(url).path.read_bytes() == CONTENT
    (store.folder / SHA256).unlink()
    with pytest.raises(SamebitsError, match="the file of the first time") as error:
        store.get(url)
    assert SHA256 in str(error.value)
    assert hashlib.sha256(b"other").hexdigest() in str(error.value)


def test_a_damaged_file_is_fetched_again(site: Site, store: Store) -> None:
    store.get(f"{site.url}/a.bin")
    (store.folder / SHA256).write_bytes(b"damaged")
    assert store.get(f"{site.url}/a.bin").path.read_bytes() == CONTENT


def test_a_redirect_leads_to_http_alone(site: Site, store: Store, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)
    site.handler.locations |= {
        "/moved": f"{site.url}/a.bin",
        "/file": secret.as_uri(),
        "/ftp": "ftp://127.0.0.1/a.bin",
        "/loop": "/loop",
    }
    assert store.get(f"{site.url}/moved").path.read_bytes() == CONTENT
    for path in ("/file", "/ftp", "/loop"):
        with pytest.raises(SamebitsError, match="cannot be fetched"):
            store.get(f"{site.url}{path}")


@pytest.mark.process
@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://127.0.0.1/a", "http://127.0.0.1:1/a", "http:///a"]
)
def test_what_cannot_be_fetched_is_told_with_the_line_that_serves_a_file(
    store: Store, url: str
) -> None:
    with pytest.raises(SamebitsError) as error:
        store.get(url, SHA256)
    said = str(error.value)
    assert said.startswith(f"{url} cannot be fetched: ")
    assert f"expected SHA-256 {SHA256}" in said
    assert left(store) == set()
    (word,) = shlex.split(said.partition("if you have the file: ")[2])
    assert parse(word).value == [{"url": url, "path": "FILE"}]


def test_a_missing_page_a_cut_connection_and_too_large_a_file_leave_nothing(
    site: Site, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SamebitsError, match="404"):
        store.get(f"{site.url}/absent")
    site.handler.cut = 5
    with pytest.raises(SamebitsError, match=f"expected {len(CONTENT) + 5} bytes, got"):
        store.get(f"{site.url}/a.bin")
    site.handler.cut = 0
    monkeypatch.setattr(downloads, "_LARGEST", 10)
    with pytest.raises(SamebitsError, match="not complete after"):
        store.get(f"{site.url}/a.bin")
    assert left(store) == set()


def test_processes_at_once_fetch_an_address_once(site: Site, store: Store) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; "
        "from samebits.data.downloads import Store; "
        "print(Store(Path(sys.argv[2])).get(sys.argv[3]).sha256)"
    )
    command = [sys.executable, "-c", program, str(SCRIPTS), str(store.folder), f"{site.url}/a.bin"]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert {process.communicate()[0].strip() for process in started} == {SHA256}
    assert site.handler.asked == ["/a.bin"]
