"""The launcher's desk: a run, which has no network, asks here for each address that it opens.

INPUTS      a run's requests, on a socket that it inherits; inputs.json of the load stage
OUTPUTS     for each request an open file; data/downloads/, which all runs share
GUARANTEES  every run gets the same bytes for an address: those that the config declares, else the
            product's own data set, else those of the network, which are fetched once; a failure is
            an answer that says what to write into ``inputs``

A request is one message: JSON with ``url`` and ``pin``, and a socket for the answer, so that all
threads and forks of a run can ask at once. The answer is JSON, and the file as a descriptor: the
run need not see the folder.
"""

import json
import os
import socket
import struct
import subprocess
import tempfile
import threading
import zlib
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from samebits.data import downloads
from samebits.data.downloads import Download, Store
from samebits.errors import SamebitsError
from samebits.experiment.variables import FETCH
from samebits.formats import bundle, canonical, dataset, files

_CHECKOUT = Path(__file__).resolve().parents[3]
_KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_NPZ = f"{_KERAS}mnist.npz"
_PARTS = {"x_train": "train-images-idx3", "y_train": "train-labels-idx1"} | {
    "x_test": "t10k-images-idx3",
    "y_test": "t10k-labels-idx1",
}
# What the product itself loads, whose arrays are pinned: address -> option of ``data``.
_PUBLISHED = {_NPZ: "mnist"} | {f"{_KERAS}{p}-ubyte.gz": "fashion_mnist" for p in _PARTS.values()}
_MOST = 1 << 16  # bytes of a request
_STORED = 65535  # bytes of a block of gzip that is not compressed


class Desk:
    """Answers the requests of one run until the launcher ends."""

    def __init__(self, ends: ExitStack, data: Path, project: Path, load_python: Path | None):
        """``data``: the folder of the load stage. ``load_python``: with the product's data sets."""
        self._store = Store(data.parents[1] / downloads.FOLDER)
        listed = canonical.read_json(data / "inputs.json")
        self._declared = {entry["url"]: entry for entry in listed if entry["url"]}
        self._project, self._load_python = project, load_python
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ends.enter_context(closing(ours))
        self._inherited = ends.enter_context(closing(theirs))
        self.environ, self.descriptors = {FETCH: str(theirs.fileno())}, [theirs.fileno()]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        ends.callback(self._end)

    def begin(self) -> None:
        """Answer from now on. After the fork: a thread of its own."""
        if not self._thread.ident:
            self._thread.start()

    def _serve(self) -> None:
        try:
            while self._one():
                pass
        finally:
            self._socket.close()  # with all requests in it, or the run would wait for an answer

    def _end(self) -> None:
        """Wake the thread, which closes the socket."""
        with suppress(OSError):  # it has done so
            self._socket.shutdown(socket.SHUT_RDWR)

    def _one(self) -> bool:
        """Answer one request; False: there is none any more."""
        data, rights, _, _ = self._socket.recvmsg(_MOST, socket.CMSG_SPACE(4))
        if data:
            asker = socket.socket(fileno=struct.unpack("i", rights[0][2])[0])
            with asker, suppress(OSError):  # the run has ended
                self._answer(json.loads(data), asker)
        return bool(data)

    def _answer(self, asked: Mapping[str, Any], asker: socket.socket) -> None:
        try:
            found = self._find(asked["url"], asked["pin"])
            with found.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                said = {"sha256": found.sha256, "bytes": size, "pinned": found.pinned}
                socket.send_fds(asker, [json.dumps(said).encode()], [file.fileno()])
        except (SamebitsError, OSError) as error:
            asker.sendall(json.dumps({"error": str(error)}).encode())

    def _find(self, url: str, pin: str | None) -> Download:
        if (entry := self._declared.get(url)) is None:
            if url in _PUBLISHED:
                return self._published(url)
            found = self._store.get(url, pin)
            if not found.pinned:
                downloads.tell_first(url, found)
            return found
        if entry["path"] is None:
            return self._store.get(url, entry["sha256"])
        path = self._project / entry["path"]
        if files.digest(path) != entry["sha256"]:
            raise SamebitsError(f"{path}: was changed since it was loaded; start again")
        return Download(path, entry["sha256"], pinned=True)

    def _published(self, url: str) -> Download:
        """A file as Keras has it, of the product's own arrays: its digest is not the pinned one."""
        option = _PUBLISHED[url]
        with self._store.alone(option):
            if (found := self._store.kept(url)) is None:
                place = self._store.folder
                files.remove_partial(place / option)
                with tempfile.TemporaryDirectory(dir=place, prefix=f".{option}.") as folder:
                    self._load(option, Path(folder))
                    found = self._store.add(url, partial(_FORMS[option], url, Path(folder)))
        return Download(found.path, found.sha256, pinned=True)

    def _load(self, option: str, folder: Path) -> None:
        """Run the load stage for a published data set."""
        if self._load_python is None:
            raise SamebitsError(f"{option}: no environment of the load stage")
        config = yaml.safe_load((_CHECKOUT / f"conf/data/{option}.yaml").read_text("utf-8"))
        canonical.write_json(folder / "config.json", {"data": {"option": option} | config})
        flags: list[str | Path] = [
            "--config",
            folder / "config.json",
            "--arrays",
            folder / "arrays",
        ]
        flags += ["--lock", _CHECKOUT / "envs/load.lock.txt", "--record", folder / "record.json"]
        program: list[str | Path] = [self._load_python, "-s", "-E", _CHECKOUT / "scripts/load.py"]
        done = subprocess.run([*program, *flags], capture_output=True, text=True, errors="replace")
        if done.returncode:
            raise SamebitsError(done.stderr.rpartition("error: ")[2].strip())


def _npz(_: str, folder: Path, file: BinaryIO) -> None:
    arrays = {f"{name}.npy": folder / "arrays" / dataset.file_name(name) for name in _PARTS}
    bundle.write(folder / "made.npz", arrays)
    downloads.copy(folder / "made.npz", file)


def _idx(url: str, folder: Path, file: BinaryIO) -> None:
    """One array as gzip's stored blocks: no release of zlib writes other bytes."""
    name = next(name for name, part in _PARTS.items() if part in url)
    array = dataset.read(folder / "arrays")[name]
    data = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    file.write(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")
    for start in range(0, len(data), _STORED):
        block = data[start : start + _STORED]
        last = start + _STORED >= len(data)
        file.write(struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block)
    file.write(struct.pack("<II", zlib.crc32(data), len(data)))


_FORMS = {"mnist": _npz, "fashion_mnist": _idx}
