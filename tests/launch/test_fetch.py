"""The launcher's desk, asked as a run asks it."""

import gzip
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import SCRIPTS, Workspace
from samebits.data.downloads import Store
from samebits.data.sources import decode
from samebits.experiment.variables import FETCH
from samebits.formats import canonical, dataset, files
from samebits.launch import fetch
from sites import CONTENT, SHA256, Site

ASK = """
import json, sys, urllib.request, urllib.error
sys.path.insert(0, sys.argv[1])
from samebits.program import served
served.begin()
for url in sys.argv[2:]:
    try:
        print(json.dumps([len(urllib.request.urlopen(url).read()), None]))
    except urllib.error.URLError as error:
        print(json.dumps([None, str(error)]))
print(json.dumps(served.fetched()))
"""


class Run:
    """A project with a desk, and processes that ask it."""

    def __init__(self, folder: Path, ends: ExitStack, load_python: Path | None = None) -> None:
        self.project, self.ends, self.load_python = folder, ends, load_python
        self.data = folder / "data/inputs-0/arrays"
        self.data.mkdir(parents=True)
        self.declare()

    def declare(self, *entries: dict[str, Any]) -> None:
        canonical.write_json(self.data / "inputs.json", list(entries))

    def ask(self, *urls: str) -> tuple[list[list[Any]], list[dict[str, Any]]]:
        """Of each address the size and the error; and what the record says."""
        desk = fetch.Desk(self.ends, self.data, self.project, self.load_python)
        process = subprocess.Popen(
            [sys.executable, "-c", ASK, str(SCRIPTS), *urls],
            env={**os.environ, **desk.environ},
            pass_fds=desk.descriptors,
            stdout=subprocess.PIPE,
        )
        desk.begin()
        said = process.communicate(timeout=120)[0].splitlines()
        assert process.returncode == 0
        *answers, fetched = map(canonical.loads, said)
        return answers, fetched


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with ExitStack() as ends:
        yield Run(tmp_path, ends)


def test_a_run_gets_what_the_launcher_fetched_once(run: Run, site: Site, capfd: Any) -> None:
    url = f"{site.url}/a.bin"
    entry = {"url": url, "name": "a.bin", "sha256": SHA256, "pinned": False}
    for _ in range(2):
        assert run.ask(url, url) == ([[len(CONTENT), None]] * 2, [entry])
    assert site.handler.asked == ["/a.bin"]
    assert f"{url}: SHA-256 {SHA256}, as fetched: neither" in capfd.readouterr().err


@pytest.mark.process
def test_an_address_without_an_answer_is_an_error_of_the_run(run: Run) -> None:
    ((size, error),), fetched = run.ask("http://127.0.0.1:1/imdb.npz")
    assert (size, fetched) == (None, [])
    assert "http://127.0.0.1:1/imdb.npz cannot be fetched: " in error
    assert "inputs=[{url: 'http://127.0.0.1:1/imdb.npz', path: FILE}]" in error


@pytest.mark.process
def test_a_declared_address_is_served_from_its_file_until_that_changes(run: Run) -> None:
    (run.project / "mine.bin").write_bytes(b"mine")
    sha256 = files.digest(run.project / "mine.bin")
    url = "https://example.invalid/theirs.bin?x=1"
    run.declare({"path": "mine.bin", "sha256": sha256, "bytes": 4, "url": url})
    entry = {"url": url, "name": "theirs.bin", "sha256": sha256, "pinned": True}
    assert run.ask(url) == ([[4, None]], [entry])
    (run.project / "mine.bin").write_bytes(b"other")
    ((_, error),), _ = run.ask(url)
    assert "mine.bin: was changed since it was loaded" in error


def test_a_declared_digest_is_demanded(run: Run, site: Site) -> None:
    url = f"{site.url}/a.bin"
    run.declare({"path": None, "sha256": "0" * 64, "bytes": 1, "url": url})
    ((_, error),), _ = run.ask(url)
    assert f"expected SHA-256 {'0' * 64} (pinned), got {SHA256}" in error


def test_threads_and_forks_ask_at_once(run: Run, site: Site) -> None:
    program = ASK.partition("for url")[0] + (
        "import os; from concurrent.futures import ThreadPoolExecutor\n"
        "forked = os.fork() == 0\n"
        "got = ThreadPoolExecutor(4).map(\n"
        "    lambda _: len(urllib.request.urlopen(sys.argv[2]).read()), range(20))\n"
        "assert set(got) == {7000}\n"
        "os._exit(0) if forked else sys.exit(os.wait()[1])\n"
    )
    desk = fetch.Desk(run.ends, run.data, run.project, None)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(SCRIPTS), f"{site.url}/a.bin"],
        env={**os.environ, **desk.environ},
        pass_fds=desk.descriptors,
    )
    desk.begin()
    assert process.wait(60) == 0


def test_a_run_that_ends_before_its_answer_does_no_harm(run: Run, site: Site) -> None:
    desk = fetch.Desk(run.ends, run.data, run.project, None)
    program = ASK.partition("for url")[0] + (
        "import os, socket, struct; desk = socket.socket(fileno=int(os.environ[sys.argv[3]]))\n"
        "ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "asked = json.dumps({'url': sys.argv[2], 'pin': None}).encode()\n"
        "socket.send_fds(desk, [asked], [theirs.fileno()])\n"
    )
    command = [sys.executable, "-c", program, str(SCRIPTS), f"{site.url}/a.bin", FETCH]
    subprocess.run(
        command, env={**os.environ, **desk.environ}, pass_fds=desk.descriptors, check=True
    )
    desk.begin()
    answers, _ = run.ask(f"{site.url}/a.bin")
    assert answers == [[len(CONTENT), None]]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_desk_that_fails_lets_go_of_the_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(fetch.Desk, "_find")
    desk = fetch.Desk(run.ends, run.data, run.project, None)
    answers = []
    for _ in range(2):  # the second is in the socket when the first one fails
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(20)
        with theirs, socket.socket(fileno=os.dup(desk.descriptors[0])) as asking:
            socket.send_fds(asking, [b'{"url": "http://a", "pin": null}'], [theirs.fileno()])
        answers.append(ours)
    desk.begin()
    for answer in answers:
        with answer:
            assert answer.recv(100) == b""  # "the launcher has ended"


@pytest.mark.environment
def test_mnist_is_the_products_own_whatever_the_network(
    tmp_path: Path, workspace: Workspace
) -> None:
    with ExitStack() as ends:
        run = Run(tmp_path, ends, workspace.python("load"))
        url = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
        (answer,), (entry,) = run.ask(url)
    assert answer[1] is None
    assert entry["pinned"]
    store = Store(tmp_path / "data/downloads")
    found = store.kept(url)
    assert found
    with np.load(found.path) as arrays:
        shapes = {name: (arrays[name].shape, str(arrays[name].dtype)) for name in arrays}
    assert shapes == {
        "x_train": ((60000, 28, 28), "uint8"),
        "y_train": ((60000,), "uint8"),
        "x_test": ((10000, 28, 28), "uint8"),
        "y_test": ((10000,), "uint8"),
    }
    # A function of the arrays alone, so that every machine serves the same bytes.
    assert found.sha256 == "55d80d1260e01e31ee87a33b489be2b8594e3b62d55b8821faac09f5f1cc0d4e"
    assert {path.name for path in store.folder.glob("[!.]*")} == {"index.json", found.sha256}


def test_fashion_mnist_has_the_form_that_keras_reads(tmp_path: Path) -> None:
    image: Any = np.arange(70000, dtype=np.uint8).reshape(100, -1)
    arrays = dict.fromkeys(fetch._PARTS, image) | {"y_test": np.arange(7, dtype=np.uint8)}
    (tmp_path / "arrays").mkdir()
    dataset.write(tmp_path / "arrays", arrays)
    for name, part in fetch._PARTS.items():
        path = tmp_path / f"{part}-ubyte.gz"
        with path.open("wb") as file:
            fetch._idx(f"https://x/{part}-ubyte.gz", tmp_path, file)
        with gzip.open(path) as unpacked:
            np.testing.assert_array_equal(decode(unpacked.read()), arrays[name])


@pytest.mark.process
def test_without_the_product_s_sources_it_says_so(run: Run) -> None:
    url = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
    ((_, error),), _ = run.ask(url)
    assert "mnist: no environment of the load stage" in error
