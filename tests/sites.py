"""A web site of a few files on the loopback interface."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

CONTENT = b"a file\n" * 1000
SHA256, MD5 = (hashlib.new(kind, CONTENT).hexdigest() for kind in ("sha256", "md5"))


class _Handler(BaseHTTPRequestHandler):
    asked: list[str]
    contents: dict[str, bytes]
    locations: dict[str, str]
    cut = 0

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if location := self.locations.get(self.path):
            self.send_response(302)
            self.send_header("Location", location)
            self.end_headers()
            return
        content = self.contents.get(self.path)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"") + self.cut))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_: object) -> None:
        pass


class Site:
    """A server on the loopback interface."""

    def __init__(self) -> None:
        class Handler(_Handler):
            asked: list[str] = []  # noqa: RUF012
            contents: dict[str, bytes] = {}  # noqa: RUF012
            locations: dict[str, str] = {}  # noqa: RUF012

        self.handler = Handler
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        # Its end is noticed at once: by default, in half a second.
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    """A site with one file."""
    made = Site()
    made.handler.contents["/a.bin"] = CONTENT
    yield made
    made.server.shutdown()
    made.server.server_close()
