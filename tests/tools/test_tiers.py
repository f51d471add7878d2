"""A test of the unit tier cannot start anything without failing."""

import multiprocessing
import os
import socket
import subprocess
import urllib.request
from collections.abc import Callable

import pytest


@pytest.mark.parametrize(
    "start",
    [
        lambda: subprocess.run(["/bin/true"], check=True),
        lambda: os.posix_spawn("/bin/true", ["true"], {}),
        lambda: multiprocessing.get_context("fork").Process(target=print).start(),
        lambda: urllib.request.urlopen("http://127.0.0.1:9/"),
        lambda: socket.create_server(("127.0.0.1", 0)),
    ],
)
def test_what_starts_a_process_or_uses_the_network_fails(start: Callable[[], object]) -> None:
    with pytest.raises(pytest.fail.Exception, match="mark this test `process`"):
        start()


@pytest.mark.process
def test_a_marked_test_may_start_a_process() -> None:
    subprocess.run(["/bin/true"], check=True)
