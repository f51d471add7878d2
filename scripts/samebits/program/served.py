"""Downloads of a program, answered by the launcher: by digest, the same in every run.

INPUTS      SAMEBITS_FETCH: a descriptor of the launcher's desk (launch/fetch.py)
OUTPUTS     ``fetched`` and ``connections``, for the record
GUARANTEES  what Python's urllib would get from http and https comes from the desk, whoever asks:
            Keras' get_file and data sets, pandas, NumPy; a file that the desk vouches for passes
            Keras' own check of a digest; downloads go to the run's own Keras home

Runs on Python 3.7 to 3.13, with every Keras of TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import struct
import sys
from contextlib import suppress
from email.message import Message
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import AbstractHTTPHandler
from urllib.response import addinfourl

from samebits.experiment.variables import FETCH, KERAS_HOME
from samebits.formats import files

# Where get_file lies in Keras 3, tf_keras, Keras 2.13 and later, 2.6 and later, TensorFlow, 2.1.
MODULES = (
    *("keras.src.utils.file_utils", "tf_keras.src.utils.data_utils", "keras.src.utils.data_utils"),
    *("keras.utils.data_utils", "tensorflow.python.keras.utils.data_utils"),
    "tensorflow_core.python.keras.utils.data_utils",
)
_LOOPBACK = ("localhost", "127.", "::1")
_MOST = 1 << 16  # bytes of an answer
_served: dict[str, dict[str, Any]] = {}  # entries of the record by address
_accepted: set[tuple[str, str]] = set()  # what Keras or a program pins, and what the desk gave
_connections: set[str] = set()
_original: Any = getattr(AbstractHTTPHandler, "do_open")  # noqa: B009 (no stub has it)


def begin() -> None:
    """Answer downloads from now on, and note connections. Before the program's first line."""
    if FETCH in os.environ:
        desk = socket.socket(fileno=int(os.environ[FETCH]))
        do_open = functools.partialmethod(_do_open, desk)
        setattr(AbstractHTTPHandler, "do_open", do_open)  # noqa: B010
    if sys.version_info >= (3, 8):
        sys.addaudithook(_hear)


def install(module: Any) -> None:
    """Let Keras take what the desk gave; ``module``: one of MODULES, as soon as it is imported."""
    original, get_file = module.validate_file, module.get_file

    @functools.wraps(original)
    def validate_file(path: Any, file_hash: Any, *args: Any, **options: Any) -> bool:
        if original(path, file_hash, *args, **options):
            return True
        return (str(file_hash), files.digest(Path(path))) in _accepted

    module.validate_file = validate_file
    home, code = os.environ.get(KERAS_HOME), get_file.__code__
    if home:  # Keras 2 does not know the variable, and would write to the user's home
        names = code.co_varnames[: code.co_argcount][-len(get_file.__defaults__) :]
        defaults = dict(zip(names, get_file.__defaults__), cache_dir=home)
        get_file.__defaults__ = tuple(defaults.values())


def fetched() -> list[dict[str, Any]]:
    """The files that this process got: address, name, SHA-256, and whether that was pinned."""
    return [_served[url] for url in sorted(_served)]


def connections() -> list[str] | None:
    """Where this process connected to, or tried to; None where Python does not say."""
    return sorted(_connections) if sys.version_info >= (3, 8) else None


def _do_open(handler: Any, desk: socket.socket, kind: Any, request: Any, **options: Any) -> Any:
    """As urllib's own, which all openers of a program use."""
    if request.get_method() != "GET":
        return _original(handler, kind, request, **options)
    url, pin = request.full_url, _pin()
    said, file = _ask(desk, url, pin)
    name, sha256 = PurePosixPath(urlsplit(url).path).name, said["sha256"]
    _served[url] = {"url": url, "name": name, "sha256": sha256, "pinned": said["pinned"]}
    _accepted.add((pin or sha256, sha256))
    headers = Message()
    headers["Content-Length"] = str(said["bytes"])
    answer: Any = addinfourl(file, headers, url, 200)
    answer.msg = "OK"
    return answer


def _ask(desk: socket.socket, url: str, pin: str | None) -> tuple[dict[str, Any], Any]:
    """The desk's answer and the open file. Raises URLError with the reason."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            asked = json.dumps({"url": url, "pin": pin}).encode()
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", theirs.fileno()))]
            with suppress(OSError):  # nobody listens any more, and so nobody answers
                desk.sendmsg([asked], rights)
        data, given, _, _ = ours.recvmsg(_MOST, socket.CMSG_SPACE(4))
    said = json.loads(data or b'{"error": "the launcher has ended"}')
    if "error" in said:
        raise URLError(said["error"])
    return said, open(struct.unpack("i", given[0][2])[0], "rb")


def _pin() -> str | None:
    """The digest that get_file was called with: it is handed to nobody."""
    frame: Any = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "get_file" and frame.f_globals.get("__name__") in MODULES:
            pinned = frame.f_locals.get("file_hash")
            return str(pinned) if pinned else None
        frame = frame.f_back
    return None


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    host: Any = None
    if event == "socket.getaddrinfo":
        host, port = arguments[:2]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host, port = arguments[1][:2]
    if host:
        host = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        if not host.startswith(_LOOPBACK):
            _connections.add(f"{host}:{port}")
